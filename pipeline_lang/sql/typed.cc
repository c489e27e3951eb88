#include "pipeline_lang/sql/typed.h"

#include <algorithm>
#include <unordered_map>

#include "engine/expr/function_table.h"
#include "engine/types/datetime.h"
#include "engine/types/duration.h"
#include "engine/types/from_text.h"

namespace thalweg::sql {
namespace {

using plan::Expr;
using plan::ExprKind;

std::unexpected<Error> wrong_type(std::string message, SourceSpan span) {
  return fail(Code::kInvalidPipeline, std::move(message), span);
}

std::string quoted(const Type& type) { return "`" + type.to_text() + "`"; }

bool admits_none(const ExprPtr& expr) { return expr->type.admits_none(); }

Type with_none_of(const Type& plain, const std::vector<ExprPtr>& args) {
  for (const ExprPtr& arg : args)
    if (admits_none(arg)) return plain.as_optional();
  return plain;
}

// The text of a literal read as `type`; nothing if it does not read so.
std::optional<Value> value_from_text(const std::string& text, const Type& type) {
  if (type.is(Kind::kInt)) {
    if (auto v = int_from_text(text)) return Value::of(*v);
  } else if (type.is(Kind::kFloat)) {
    if (auto v = float_from_text(text)) return Value::of(*v);
  } else if (type.is(Kind::kBool)) {
    if (auto v = bool_from_text(text)) return Value::of(*v);
  } else if (type.is(Kind::kDateTimeNaive)) {
    if (auto v = parse_datetime_naive(text)) return Value::datetime_naive(*v);
  } else if (type.is(Kind::kDateTimeUtc)) {
    if (auto v = parse_datetime_utc(text)) return Value::datetime_utc(*v);
  } else if (type.is(Kind::kDuration)) {
    if (auto v = parse_duration(text)) return Value::duration(*v);
  } else if (type.is(Kind::kUuid)) {
    if (auto v = uuid_from_text(text)) return Value::uuid(*v);
  }
  return std::nullopt;
}

ExprPtr cast_call(const ExprPtr& expr, const Type& plain, SourceSpan span) {
  return lifted("cast", {expr}, plain, span);
}

// Bool takes part in arithmetic as 0 and 1.
ExprPtr as_number(const ExprPtr& expr, SourceSpan span) {
  return expr->type.is(Kind::kBool) ? cast_call(expr, Kind::kInt, span) : expr;
}

struct Operands {
  ExprPtr a, b;
  Type type;  // plain
};

// Both of one type for a comparison; nothing if there is none.
Result<std::optional<Operands>> common_operands(ExprPtr a, ExprPtr b, SourceSpan span) {
  auto is_text_literal = [](const ExprPtr& e) { return e->kind == ExprKind::kLiteral && e->type.is_plain(Kind::kStr); };
  if (is_null_literal(*a) && is_null_literal(*b)) {
    ExprPtr none = null_literal(Kind::kInt, span);
    return std::optional(Operands{none, none, Kind::kInt});
  }
  if (is_null_literal(*a) || (is_text_literal(a) && !b->type.is(Kind::kStr))) {
    Type type = b->type.without_optional();
    return std::optional(Operands{TRY(convert(a, type, span)), b, type});
  }
  if (is_null_literal(*b) || (is_text_literal(b) && !a->type.is(Kind::kStr))) {
    Type type = a->type.without_optional();
    return std::optional(Operands{a, TRY(convert(b, type, span)), type});
  }
  if (a->type.is(Kind::kBool) && b->type.is_number()) a = as_number(a, span);
  if (b->type.is(Kind::kBool) && a->type.is_number()) b = as_number(b, span);
  std::optional<Type> common = common_supertype(a->type.without_optional(), b->type.without_optional());
  if (!common || (common->is(Kind::kAny) && !a->type.is(Kind::kAny) && !b->type.is(Kind::kAny)))
    return std::optional<Operands>();
  return std::optional(Operands{TRY(convert(a, *common, span)), TRY(convert(b, *common, span)), *common});
}

}  // namespace

// ---------------------------------------------------------------- literals and calls

ExprPtr null_literal(const Type& type, SourceSpan span) {
  return plan::literal(Value::none(), type.as_optional(), span);
}
ExprPtr bool_literal(bool value, SourceSpan span) { return plan::literal(Value::of(value), Kind::kBool, span); }
ExprPtr int_literal(std::int64_t value, SourceSpan span) { return plan::literal(Value::of(value), Kind::kInt, span); }

// A column that can only be None is as good as the literal.
void columns_of(const Expr& expr, std::set<std::uint32_t>& out) {
  if (expr.kind == ExprKind::kColumn) out.insert(expr.column);
  for (const ExprPtr& arg : expr.args) columns_of(*arg, out);
}

bool is_null_literal(const Expr& expr) {
  return expr.type.is(Kind::kNone) || (expr.kind == ExprKind::kLiteral && expr.literal.is_none());
}

ExprPtr lifted(std::string function, std::vector<ExprPtr> args, Type result, SourceSpan span) {
  for (const ExprPtr& arg : args)
    if (is_null_literal(*arg)) return null_literal(result, span);
  Type type = with_none_of(result, args);
  return plan::call(std::move(function), std::move(args), type, span);
}

Result<ExprPtr> call_by_name(std::string_view function, std::vector<ExprPtr> args, SourceSpan span) {
  std::vector<expr::Argument> given;
  for (const ExprPtr& arg : args)
    given.push_back({arg->type.without_optional(), arg->kind == ExprKind::kLiteral ? &arg->literal : nullptr, {}});
  Result<expr::Resolved> resolved = expr::resolve(function, given);
  if (!resolved) return fail(std::move(resolved).error().at(span));
  std::vector<ExprPtr> ordered;
  for (std::size_t i = 0; i < resolved->order.size(); ++i) {
    int from = resolved->order[i];
    if (from < 0)
      ordered.push_back(plan::literal(resolved->defaults[i], resolved->params[i], span));
    else
      ordered.push_back(
          TRY(convert(args[static_cast<std::size_t>(from)], resolved->params[i].without_optional(), span)));
  }
  return lifted(resolved->function, std::move(ordered), resolved->result, span);
}

Result<ExprPtr> convert(const ExprPtr& expr, const Type& type, SourceSpan span) {
  Type plain = type.without_optional();
  if (is_null_literal(*expr)) return null_literal(plain, expr->span);
  Type from = expr->type.without_optional();
  if (from == plain || plain.is(Kind::kNone)) return expr;
  if (expr->kind == ExprKind::kLiteral && from.is(Kind::kStr)) {
    if (auto value = value_from_text(expr->literal.as_text(), plain)) return plan::literal(*value, plain, expr->span);
    return wrong_type("the text '" + expr->literal.as_text().substr(0, 60) + "' does not read as " + quoted(plain),
                      expr->span);
  }
  if (expr->kind == ExprKind::kLiteral && from.is(Kind::kInt) && plain.is(Kind::kFloat))
    return plan::literal(Value::of(static_cast<double>(expr->literal.as_int())), plain, expr->span);
  if (from.is(Kind::kBool) && plain.is_number()) return cast_call(expr, plain, span);
  if (is_subtype(from, plain)) return plan::coerce(expr, admits_none(expr) ? plain.as_optional() : plain);
  return wrong_type("expected " + quoted(plain) + ", found " + quoted(from), span);
}

Result<Type> unify(std::vector<ExprPtr>& exprs, std::string_view what, SourceSpan span) {
  std::optional<Type> common;
  bool optional = false;
  for (const ExprPtr& expr : exprs) {
    optional = optional || admits_none(expr);
    if (is_null_literal(*expr)) continue;
    Type plain = expr->type.without_optional();
    if (!common) {
      common = plain;
      continue;
    }
    std::optional<Type> wider = common_supertype(*common, plain);
    if (!wider && common->is(Kind::kBool) && plain.is_number()) wider = plain;
    if (!wider && plain.is(Kind::kBool) && common->is_number()) wider = common;
    if (!wider || (wider->is(Kind::kAny) && !common->is(Kind::kAny) && !plain.is(Kind::kAny)))
      return wrong_type(std::string(what) + ": " + quoted(*common) + " and " + quoted(plain) +
                            " have no common type; CAST one of them",
                        expr->span.known() ? expr->span : span);
    common = wider;
  }
  if (!common) common = Type(Kind::kInt);  // nothing but NULLs
  Type result = optional ? common->as_optional() : *common;
  for (ExprPtr& expr : exprs) expr = plan::coerce(TRY(convert(expr, *common, span)), result);
  return result;
}

// ---------------------------------------------------------------- operators

Result<ExprPtr> concat_text(ExprPtr a, ExprPtr b, SourceSpan span) {
  for (ExprPtr* side : {&a, &b})
    if (!is_null_literal(**side) && !(*side)->type.is(Kind::kStr)) *side = TRY(cast_sql(*side, Kind::kStr, span));
  return lifted("add", {std::move(a), std::move(b)}, Kind::kStr, span);
}

Result<ExprPtr> arithmetic(std::string_view op, ExprPtr a, ExprPtr b, SourceSpan span) {
  if (op == "||") return concat_text(std::move(a), std::move(b), span);
  std::string_view function = op == "+"   ? "add"
                              : op == "-" ? "sub"
                              : op == "*" ? "mul"
                              : op == "/" ? "truediv"
                              : op == "%" ? "sql.mod"
                                          : "floordiv";
  a = as_number(a, span);
  b = as_number(b, span);
  bool real = op == "/";
  if (is_null_literal(*a) || is_null_literal(*b)) {
    Type type = is_null_literal(*a) ? b->type.without_optional() : a->type.without_optional();
    if (real || type.is(Kind::kNone)) type = real ? Kind::kFloat : Kind::kInt;
    return null_literal(type, span);
  }
  if (!a->type.is_number() || !b->type.is_number()) return call_by_name(function, {a, b}, span);
  Type type = a->type.is(Kind::kFloat) || b->type.is(Kind::kFloat) ? Kind::kFloat : Kind::kInt;
  if (real) {
    a = TRY(convert(a, Kind::kFloat, span));
    b = TRY(convert(b, Kind::kFloat, span));
    return lifted("truediv", {a, b}, Kind::kFloat, span);
  }
  a = TRY(convert(a, type, span));
  b = TRY(convert(b, type, span));
  return lifted(std::string(function), {a, b}, type, span);
}

Result<ExprPtr> negate(ExprPtr a, SourceSpan span) {
  if (a->kind == ExprKind::kLiteral && a->type.is_plain(Kind::kInt)) return int_literal(-a->literal.as_int(), span);
  if (a->kind == ExprKind::kLiteral && a->type.is_plain(Kind::kFloat))
    return plan::literal(Value::of(-a->literal.as_float()), Kind::kFloat, span);
  a = as_number(a, span);
  if (is_null_literal(*a)) return null_literal(a->type.is(Kind::kNone) ? Type(Kind::kInt) : a->type, span);
  if (a->type.is_number()) return lifted("neg", {a}, a->type.without_optional(), span);
  return call_by_name("neg", {a}, span);
}

Result<ExprPtr> compare_sql(std::string_view op, ExprPtr a, ExprPtr b, SourceSpan span) {
  std::optional<Operands> both = TRY(common_operands(a, b, span));
  if (!both)
    return wrong_type("cannot compare " + quoted(a->type) + " with " + quoted(b->type) + "; CAST one of them", span);
  if (is_null_literal(*both->a) || is_null_literal(*both->b)) return null_literal(Kind::kBool, span);
  if (op == "=" || op == "<>") {
    // eq and ne accept None and answer; require takes the answer back.
    Type wide = admits_none(both->a) || admits_none(both->b) ? both->type.as_optional() : both->type;
    std::vector<ExprPtr> args{plan::coerce(both->a, wide), plan::coerce(both->b, wide)};
    std::vector<ExprPtr> parts{plan::call(op == "=" ? "eq" : "ne", std::move(args), Kind::kBool, span)};
    for (const ExprPtr& side : {both->a, both->b})
      if (admits_none(side)) parts.push_back(side);
    if (parts.size() == 1) return parts[0];
    return plan::special(ExprKind::kRequire, std::move(parts), Type(Kind::kBool, true), span);
  }
  if (!both->type.is(Kind::kBool) && !both->type.is_number() && !both->type.is(Kind::kStr)) {
    // The table of functions knows which types have an order.
    std::vector<expr::Argument> given{{both->type, nullptr, {}}, {both->type, nullptr, {}}};
    Result<expr::Resolved> resolved = expr::resolve("lt", given);
    if (!resolved) return fail(std::move(resolved).error().at(span));
  }
  if (both->type.is(Kind::kBool)) {
    both->a = as_number(both->a, span);
    both->b = as_number(both->b, span);
  }
  std::string_view function = op == "<" ? "lt" : op == "<=" ? "le" : op == ">" ? "gt" : "ge";
  return lifted(std::string(function), {both->a, both->b}, Kind::kBool, span);
}

Result<ExprPtr> same_value(ExprPtr a, ExprPtr b, SourceSpan span) {
  if (is_null_literal(*a)) return is_null(b, span);
  if (is_null_literal(*b)) return is_null(a, span);
  std::optional<Operands> both = TRY(common_operands(a, b, span));
  if (!both)
    return wrong_type("cannot compare " + quoted(a->type) + " with " + quoted(b->type) + "; CAST one of them", span);
  Type wide = admits_none(both->a) || admits_none(both->b) ? both->type.as_optional() : both->type;
  return plan::call("eq", {plan::coerce(both->a, wide), plan::coerce(both->b, wide)}, Kind::kBool, span);
}

Result<ExprPtr> cast_sql(const ExprPtr& expr, const Type& type, SourceSpan span) {
  Type plain = type.without_optional();
  if (is_null_literal(*expr)) return null_literal(plain, span);
  Type from = expr->type.without_optional();
  if (from == plain) return expr;
  if (expr->kind == ExprKind::kLiteral && from.is(Kind::kStr) && !plain.is(Kind::kBool))
    if (auto value = value_from_text(expr->literal.as_text(), plain)) return plan::literal(*value, plain, span);
  if (from.is(Kind::kStr)) {
    if (plain.is(Kind::kInt) || plain.is(Kind::kFloat) || plain.is(Kind::kBool) || plain.is_datetime() ||
        plain.is(Kind::kDuration) || plain.is(Kind::kUuid))
      return lifted("sql.to_" + std::string(kind_name(plain.kind())), {expr}, plain, span);
  }
  if (plain.is(Kind::kStr) && from.is(Kind::kBool))
    return if_then(truth(expr),
                   plan::coerce(plan::literal(Value::str("true"), Kind::kStr, span), with_none_of(plain, {expr})),
                   expr->type.admits_none()
                       ? plan::special(ExprKind::kRequire, {plan::literal(Value::str("false"), Kind::kStr, span), expr},
                                       plain.as_optional(), span)
                       : plan::literal(Value::str("false"), Kind::kStr, span),
                   span);
  Value name = Value::str(plain.to_text());
  std::vector<expr::Argument> given{{Kind::kStr, &name, {}}, {from, nullptr, {}}};
  Result<expr::Resolved> resolved = expr::resolve("cast", given);
  if (!resolved) return fail(std::move(resolved).error().at(span));
  return cast_call(expr, plain, span);
}

// ---------------------------------------------------------------- truth

Result<ExprPtr> as_condition(ExprPtr expr, std::string_view what, SourceSpan span) {
  if (is_null_literal(*expr)) return null_literal(Kind::kBool, span);
  if (expr->type.is(Kind::kBool)) return expr;
  if (expr->type.is_number()) return compare_sql("<>", expr, int_literal(0, span), span);
  return wrong_type(std::string(what) + " must be a condition, it is " + quoted(expr->type), span);
}

ExprPtr truth(const ExprPtr& condition) {
  if (is_null_literal(*condition)) return bool_literal(false, condition->span);
  if (!admits_none(condition)) return condition;
  return plan::special(ExprKind::kCoalesce, {condition, bool_literal(false)}, Kind::kBool, condition->span);
}

ExprPtr is_null(const ExprPtr& a, SourceSpan span) {
  if (is_null_literal(*a)) return bool_literal(true, span);
  if (!admits_none(a)) return bool_literal(false, span);
  return plan::call("is_none", {a}, Kind::kBool, span);
}

ExprPtr if_then(ExprPtr condition, ExprPtr then, ExprPtr otherwise, SourceSpan span) {
  Type type = then->type.admits_none() ? then->type : otherwise->type;
  return plan::special(ExprKind::kIf, {std::move(condition), plan::coerce(then, type), plan::coerce(otherwise, type)},
                       type, span);
}

// ---------------------------------------------------------------- looking at expressions

std::optional<Sides> as_equality(const Expr& expr) {
  const Expr* call = &expr;
  if (expr.kind == ExprKind::kRequire) {
    call = expr.args[0].get();
    // What compare_sql writes requires only its own sides.
    if (expr.args.size() > 3) return std::nullopt;
  }
  if (call->kind != ExprKind::kCall || call->function != "eq") return std::nullopt;
  // Without require NULL equals NULL, unless both sides are never NULL.
  if (call == &expr && (admits_none(call->args[0]) || admits_none(call->args[1]))) return std::nullopt;
  return Sides{call->args[0], call->args[1]};
}

bool same_expr(const Expr& a, const Expr& b) {
  if (&a == &b) return true;
  if (a.kind != b.kind || a.column != b.column || a.args.size() != b.args.size() || a.function != b.function)
    return false;
  if (!(a.type == b.type)) return false;
  if (a.kind == ExprKind::kLiteral && !(a.literal == b.literal)) return false;
  for (std::size_t i = 0; i < a.args.size(); ++i)
    if (!same_expr(*a.args[i], *b.args[i])) return false;
  return true;
}

namespace {

constexpr std::uint64_t kTreeSizeEnough = std::uint64_t{1} << 40;

std::uint64_t tree_size(const Expr& expr, std::unordered_map<const Expr*, std::uint64_t>& known) {
  auto [it, is_new] = known.try_emplace(&expr, 1);
  if (!is_new) return it->second;
  std::uint64_t size = 1;
  for (const ExprPtr& arg : expr.args) size = std::min(kTreeSizeEnough, size + tree_size(*arg, known));
  known[&expr] = size;
  return size;
}

}  // namespace

std::uint64_t tree_size(const Expr& expr) {
  std::unordered_map<const Expr*, std::uint64_t> known;
  return tree_size(expr, known);
}

// ---------------------------------------------------------------- logic

Logic Logic::negation(Logic inner) {
  if (inner.kind == Kind::kNot) return std::move(inner.parts[0]);
  Logic logic;
  logic.kind = Kind::kNot;
  logic.parts.push_back(std::move(inner));
  return logic;
}

namespace {

ExprPtr chain(ExprKind kind, const std::vector<ExprPtr>& parts, std::size_t begin, std::size_t end) {
  if (end - begin == 1) return parts[begin];
  std::size_t middle = begin + (end - begin) / 2;  // balanced: a long chain is not deep
  return plan::special(kind, {chain(kind, parts, begin, middle), chain(kind, parts, middle, end)}, Kind::kBool,
                       parts[begin]->span);
}

ExprPtr leaf_is(const ExprPtr& leaf, bool wanted) {
  if (wanted) return truth(leaf);
  if (leaf->kind == ExprKind::kLiteral)
    return bool_literal(!leaf->literal.is_none() && !leaf->literal.as_bool(), leaf->span);
  ExprPtr not_false = leaf;
  if (admits_none(leaf))
    not_false = plan::special(ExprKind::kCoalesce, {leaf, bool_literal(true)}, Kind::kBool, leaf->span);
  return plan::call("not", {not_false}, Kind::kBool, leaf->span);
}

// AND is false where one part is: the dual tree.
ExprPtr logic_is(const Logic& logic, bool wanted) {
  if (logic.kind == Logic::Kind::kLeaf) return leaf_is(logic.leaf, wanted);
  if (logic.kind == Logic::Kind::kNot) return logic_is(logic.parts[0], !wanted);
  std::vector<ExprPtr> parts;
  for (const Logic& part : logic.parts) parts.push_back(logic_is(part, wanted));
  bool all = (logic.kind == Logic::Kind::kAnd) == wanted;
  return chain(all ? ExprKind::kAnd : ExprKind::kOr, parts, 0, parts.size());
}

bool may_be_null(const Logic& logic) {
  if (logic.kind == Logic::Kind::kLeaf) return admits_none(logic.leaf);
  return std::any_of(logic.parts.begin(), logic.parts.end(), may_be_null);
}

}  // namespace

ExprPtr is_true(const Logic& logic) { return logic_is(logic, true); }
ExprPtr is_false(const Logic& logic) { return logic_is(logic, false); }

ExprPtr value_of(const Logic& logic, SourceSpan span) {
  if (!may_be_null(logic)) return is_true(logic);
  if (logic.kind == Logic::Kind::kLeaf) return logic.leaf;
  if (logic.kind == Logic::Kind::kNot && logic.parts[0].kind == Logic::Kind::kLeaf)
    return lifted("not", {logic.parts[0].leaf}, Kind::kBool, span);
  return if_then(is_true(logic), bool_literal(true, span),
                 if_then(is_false(logic), bool_literal(false, span), null_literal(Kind::kBool, span), span), span);
}

void split_conjuncts(const Logic& logic, std::vector<ExprPtr>& out) {
  if (logic.kind == Logic::Kind::kLeaf) {
    out.push_back(logic.leaf);
  } else if (logic.kind == Logic::Kind::kAnd) {
    for (const Logic& part : logic.parts) split_conjuncts(part, out);
  } else if (logic.kind == Logic::Kind::kNot && logic.parts[0].kind == Logic::Kind::kOr) {
    for (const Logic& part : logic.parts[0].parts) split_conjuncts(Logic::negation(part), out);
  } else {
    out.push_back(is_true(logic));
  }
}

}  // namespace thalweg::sql
