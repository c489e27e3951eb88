// engine/plan/expr.h
//
// Typed expressions as data. The language's checker makes them (names resolved, types inferred, implicit casts
// written out); engine/expr compiles them to a column program. An expression sees one row: its columns and its key.
// Expressions over two rows (join, acceptors, predicates, folds) see the columns of both side by side.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/source_span.h"
#include "engine/plan/user_function.h"
#include "engine/types/type.h"
#include "engine/types/value.h"

namespace thalweg::plan {

enum class ExprKind : std::uint8_t {
  kColumn,   // column `column` of the row
  kKey,      // the row's key
  kLiteral,  // `literal`
  kCall,     // `function` of the function table over args, all evaluated; ERROR in gives ERROR out
  kIf,       // args: condition, then, else; only what is needed is evaluated
  kAnd,
  kOr,         // args: two bools, lazy
  kCoalesce,   // first that is not None, lazy
  kRequire,    // args: value, dependencies…; None if any dependency is None
  kFillError,  // args: value, replacement; lazy
};

struct Expr;
using ExprPtr = std::shared_ptr<const Expr>;

struct Expr {
  ExprKind kind = ExprKind::kLiteral;
  Type type;
  SourceSpan span;
  std::uint32_t column = 0;
  Value literal;
  std::string function;  // canonical name in engine/expr/function_table.h: `add`, `str.lower`, `cast`
  std::vector<ExprPtr> args;
  UserFunctionPtr user;  // of a call: the user's function instead of `function`, which is `call`
  bool secret = false;   // of a literal: shown as ***, and so is what goes wrong with it
};

[[nodiscard]] ExprPtr column(std::uint32_t index, Type type, SourceSpan span = {});
[[nodiscard]] ExprPtr key(SourceSpan span = {});
[[nodiscard]] ExprPtr literal(Value value, Type type, SourceSpan span = {}, bool secret = false);
[[nodiscard]] ExprPtr call(std::string function, std::vector<ExprPtr> args, Type result, SourceSpan span = {});
[[nodiscard]] ExprPtr user_call(UserFunctionPtr user, std::vector<ExprPtr> args, Type result, SourceSpan span = {});
[[nodiscard]] ExprPtr special(ExprKind kind, std::vector<ExprPtr> args, Type result, SourceSpan span = {});
// `expr` as `type` where the language casts by itself (int to float, T to T | None); the same node if nothing is to do.
[[nodiscard]] ExprPtr coerce(ExprPtr expr, const Type& type);

// Stable text for plans and golden files: `add(#0, cast<float>(#1))`. Secrets are ***.
[[nodiscard]] std::string to_text(const Expr& expr);
// The same with its secrets: equal texts are equal expressions. Never shown.
[[nodiscard]] std::string identity(const Expr& expr);
// A text with identities in it as it may be shown.
[[nodiscard]] std::string without_secrets(std::string text);
// Whether a secret is in it, however deep.
[[nodiscard]] bool holds_secret(const Expr& expr);
// The same expression over other columns: new index of column i is map[i].
[[nodiscard]] ExprPtr remap_columns(const ExprPtr& expr, const std::vector<std::uint32_t>& map);
void collect_columns(const Expr& expr, std::vector<bool>& used, bool& uses_key);

}  // namespace thalweg::plan
