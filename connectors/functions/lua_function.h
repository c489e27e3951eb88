// connectors/functions/lua_function.h
//
// `!udf.lua`. Workers that call at once have a state each; a state is used again by whoever comes next.
#pragma once

#include <expected>

#include "engine/plan/user_function.h"

namespace thalweg::functions {

[[nodiscard]] std::expected<plan::UserFunctionPtr, plan::FunctionError> make_lua(const plan::FunctionSpec& spec,
                                                                                 std::string text);

}  // namespace thalweg::functions
