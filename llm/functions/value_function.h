// llm/functions/value_function.h
//
// A function of values, row by row, in this process: the same arguments always give the same answer.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "engine/base/result.h"
#include "engine/plan/user_function.h"

namespace thalweg::llm {

using Answer = std::function<Result<Value>(std::span<const Value> args)>;

[[nodiscard]] plan::UserFunctionPtr value_function(std::string text, Answer answer);

// Calls a function with values, one row: what it answers, or why it does not.
[[nodiscard]] Result<Value> ask(const plan::UserFunction& function, std::span<const Value> args,
                                std::span<const Type> types, const Type& result);

// Calls it for many rows at once. `rows[i]` are the arguments of row i.
[[nodiscard]] std::vector<Result<Value>> ask_all(const plan::UserFunction& function,
                                                 std::span<const std::vector<Value>> rows, std::span<const Type> types,
                                                 const Type& result);

}  // namespace thalweg::llm
