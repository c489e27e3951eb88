// llm/functions/functions.h
//
// The functions that tags of language models are: parsers, splitters, prompts, embedders, chats, and the small ones
// that a document store is made of. All have kinds that begin with `llm.`.
#pragma once

#include <expected>

#include "engine/plan/user_function.h"

namespace thalweg::llm {

// Checks what can be checked without starting anything.
[[nodiscard]] std::expected<plan::UserFunctionPtr, plan::FunctionError> make_function(const plan::FunctionSpec& spec);

}  // namespace thalweg::llm
