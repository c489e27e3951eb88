// llm/functions/functions.h
//
// The functions that tags of language models are: parsers, splitters, prompts, embedders, chats, and the small ones
// that a document store is made of. All have kinds that begin with `llm.`.
#pragma once

#include <expected>
#include <memory>

#include "connectors/net/address_policy.h"
#include "engine/plan/user_function.h"

namespace thalweg::llm {

// Checks what can be checked without starting anything. `egress`: where models may be; null: anywhere.
[[nodiscard]] std::expected<plan::UserFunctionPtr, plan::FunctionError> make_function(
    const plan::FunctionSpec& spec, std::shared_ptr<const net::AddressPolicy> egress);

}  // namespace thalweg::llm
