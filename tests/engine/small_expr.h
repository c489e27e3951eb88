// tests/engine/small_expr.h
//
// A small reader of expressions for tests of the function table: literals, calls, methods, operators; no columns.
// It asks `resolve` as the language's checker does, but shares no code with it.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/plan/expr.h"

namespace thalweg::tests {

[[nodiscard]] Result<plan::ExprPtr> read_expr(std::string_view text);
// The value as text; `ERROR: why` for an ERROR, `REFUSED: why` for what is refused before the run.
[[nodiscard]] std::string evaluate(std::string_view text);

}  // namespace thalweg::tests
