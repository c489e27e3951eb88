// pipeline_lang/llm/models.h
//
// Functions of language models as objects: what the tags of embedders, chats, splitters and parsers evaluate to, and
// those that a document store and question answering make for themselves.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline_lang/builder.h"

namespace thalweg::lang {

// What parsers and splitters answer: a list of (text, metadata).
[[nodiscard]] Type chunks_type();

// A function of kind `kind`, made by the catalogue. Null after an error, which is reported at `call`.
[[nodiscard]] plan::UserFunctionPtr make_llm_function(
    Builder& builder, const Call& call, std::string kind, Type returns, Setting::Map options = {},
    std::vector<std::pair<std::string, plan::UserFunctionPtr>> functions = {});

// The function in argument `name`, one of the kind `what` (`llm.chat.`). Null after an error, and where it is absent.
[[nodiscard]] const FunctionObject* function_argument(Builder& builder, const Call& call, std::string_view name,
                                                      std::string_view what);

}  // namespace thalweg::lang
