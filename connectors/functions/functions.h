// connectors/functions/functions.h
//
// Functions that users bring along: Lua, programs, servers. The composition root hands make_function to the language's
// catalogue.
#pragma once

#include <expected>
#include <memory>

#include "connectors/net/address_policy.h"
#include "engine/plan/user_function.h"

namespace thalweg {

struct FunctionPolicy {
  bool allow_exec = true;                            // off where pipelines come from others
  std::shared_ptr<const net::AddressPolicy> egress;  // where `!udf.http` may connect to; null: anywhere
};

// Checks what can be checked without starting anything (U1): options, the syntax of Lua sources.
[[nodiscard]] std::expected<plan::UserFunctionPtr, plan::FunctionError> make_function(const plan::FunctionSpec& spec,
                                                                                      const FunctionPolicy& policy);

// What plans know a function by: its name and a hash of all that is said of it. A function of another text is another
// function: a changed source or option changes the plan.
[[nodiscard]] std::string function_text(const plan::FunctionSpec& spec);

}  // namespace thalweg
