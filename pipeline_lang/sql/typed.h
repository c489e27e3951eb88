// pipeline_lang/sql/typed.h
//
// Typed expressions with SQL's NULLs. Operands may be optional; a result is optional if an operand is, and None
// wherever SQL says NULL. Calls are written over optional arguments with an optional result: the evaluator gives None
// for a row with a None argument. Truth has three values; AND, OR and NOT are kept apart from other expressions (Logic)
// until it is known which of the three are asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/plan/expr.h"

namespace thalweg::sql {

using plan::ExprPtr;

[[nodiscard]] ExprPtr null_literal(const Type& type, SourceSpan span = {});
[[nodiscard]] ExprPtr bool_literal(bool value, SourceSpan span = {});
[[nodiscard]] ExprPtr int_literal(std::int64_t value, SourceSpan span = {});
[[nodiscard]] bool is_null_literal(const plan::Expr& expr);
void columns_of(const plan::Expr& expr, std::set<std::uint32_t>& out);

// `result` becomes optional if an argument is.
[[nodiscard]] ExprPtr lifted(std::string function, std::vector<ExprPtr> args, Type result, SourceSpan span);
// A function of the table by name: typed as over plain arguments, then lifted.
[[nodiscard]] Result<ExprPtr> call_by_name(std::string_view function, std::vector<ExprPtr> args, SourceSpan span);

// As `type` where SQL converts by itself: NULL, int to float, a text literal read as a number or a time. `type` stays
// optional or not as the expression is.
[[nodiscard]] Result<ExprPtr> convert(const ExprPtr& expr, const Type& type, SourceSpan span);
// All to one type; `what` names the place in the error (`UNION`, `CASE`).
[[nodiscard]] Result<Type> unify(std::vector<ExprPtr>& exprs, std::string_view what, SourceSpan span);

// `+ - * / % DIV ||`
[[nodiscard]] Result<ExprPtr> arithmetic(std::string_view op, ExprPtr a, ExprPtr b, SourceSpan span);
[[nodiscard]] Result<ExprPtr> negate(ExprPtr a, SourceSpan span);
// `= <> < <= > >=`
[[nodiscard]] Result<ExprPtr> compare_sql(std::string_view op, ExprPtr a, ExprPtr b, SourceSpan span);
// IS NOT DISTINCT FROM: plain bool, NULL equals NULL.
[[nodiscard]] Result<ExprPtr> same_value(ExprPtr a, ExprPtr b, SourceSpan span);
[[nodiscard]] Result<ExprPtr> concat_text(ExprPtr a, ExprPtr b, SourceSpan span);
[[nodiscard]] Result<ExprPtr> cast_sql(const ExprPtr& expr, const Type& type, SourceSpan span);

// A condition: bool, or a number (true if not zero).
[[nodiscard]] Result<ExprPtr> as_condition(ExprPtr expr, std::string_view what, SourceSpan span);
// True where the condition is true: plain bool.
[[nodiscard]] ExprPtr truth(const ExprPtr& condition);
[[nodiscard]] ExprPtr is_null(const ExprPtr& a, SourceSpan span = {});  // plain bool
// Both branches of one type.
[[nodiscard]] ExprPtr if_then(ExprPtr condition, ExprPtr then, ExprPtr otherwise, SourceSpan span = {});

// The sides of an equality as compare_sql writes it.
struct Sides {
  ExprPtr left, right;
};
[[nodiscard]] std::optional<Sides> as_equality(const plan::Expr& expr);
// Equal but for spans.
[[nodiscard]] bool same_expr(const plan::Expr& a, const plan::Expr& b);

// AND, OR and NOT over conditions of three values. `is true` and `is false` of a whole tree are two-valued trees of
// the same size with lazy operators; only a value that somebody selects needs both.
struct Logic {
  enum class Kind : std::uint8_t { kLeaf, kAnd, kOr, kNot } kind = Kind::kLeaf;
  ExprPtr leaf;  // bool or bool | None
  std::vector<Logic> parts;

  static Logic of(ExprPtr condition) { return {Kind::kLeaf, std::move(condition), {}}; }
  static Logic negation(Logic inner);
};
[[nodiscard]] ExprPtr is_true(const Logic& logic);   // plain bool
[[nodiscard]] ExprPtr is_false(const Logic& logic);  // plain bool
[[nodiscard]] ExprPtr value_of(const Logic& logic, SourceSpan span);
// Conditions that must all be true. A leaf stays as it is, so that as_equality knows it.
void split_conjuncts(const Logic& logic, std::vector<ExprPtr>& out);

// Nodes of the expression as a tree; shared parts count as often as they are used. Saturates.
[[nodiscard]] std::uint64_t tree_size(const plan::Expr& expr);
inline constexpr std::uint64_t kTreeSizeMax = 200'000;

}  // namespace thalweg::sql
