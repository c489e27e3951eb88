// llm/functions/text_functions.h
//
// Parsers (`llm.parser.…`: contents → [(text, metadata)]) and splitters (`llm.splitter.…`: text → [(text, metadata)]).
#pragma once

#include "llm/functions/functions.h"

namespace thalweg::llm {

[[nodiscard]] std::expected<plan::UserFunctionPtr, plan::FunctionError> make_parser(const plan::FunctionSpec& spec,
                                                                                    std::string text);
[[nodiscard]] std::expected<plan::UserFunctionPtr, plan::FunctionError> make_splitter(const plan::FunctionSpec& spec,
                                                                                      std::string text);

}  // namespace thalweg::llm
