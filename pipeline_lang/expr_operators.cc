// Operators, indexing and the literals of lists, tuples and json objects.
#include <algorithm>
#include <array>

#include "engine/expr/function_table.h"
#include "engine/types/from_text.h"
#include "pipeline_lang/expr_checker.h"

namespace thalweg::lang {
namespace {

struct Operator {
  std::string_view sign;
  std::string_view function;
};
constexpr std::array kArithmetic = {
    Operator{"+", "add"},       Operator{"-", "sub"},  Operator{"*", "mul"},     Operator{"/", "truediv"},
    Operator{"//", "floordiv"}, Operator{"%", "mod"},  Operator{"**", "pow"},    Operator{"@", "matmul"},
    Operator{"<<", "shl"},      Operator{">>", "shr"}, Operator{"&", "bit_and"}, Operator{"|", "bit_or"},
    Operator{"^", "bit_xor"},   Operator{"==", "eq"},  Operator{"!=", "ne"},     Operator{"<", "lt"},
    Operator{"<=", "le"},       Operator{">", "gt"},   Operator{">=", "ge"},
};

std::string_view function_of(std::string_view sign) {
  for (const auto& op : kArithmetic)
    if (op.sign == sign) return op.function;
  return {};
}

bool is_none_literal(const plan::Expr& expr) { return expr.kind == plan::ExprKind::kLiteral && expr.literal.is_none(); }

std::string both(const Type& left, const Type& right) {
  return "`" + left.to_text() + "` and `" + right.to_text() + "`";
}

std::string typing_hint(std::string_view sign, const Type& left, const Type& right) {
  const bool one_text = left.is(Kind::kStr) != right.is(Kind::kStr);
  if (left.is(Kind::kJson) || right.is(Kind::kJson))
    return "read the json as a value first: `.as_int()`, `.as_float()`, `.as_str()`, `.as_bool()`";
  if (left.is(Kind::kAny) || right.is(Kind::kAny))
    return "say what the `any` is: `declare_type(int, x)` or `cast(int, x)`";
  if (left.is_datetime() && right.is_datetime() && left.kind() != right.kind())
    return "turn one into the other: `.dt.to_utc(zone)` or `.dt.to_naive_in_timezone(zone)`";
  if (sign == "+" && one_text) return "make both text: `x.to_string()`";
  if (one_text) return "read the text first: `.str.parse_int()`, `.str.parse_float()`; or `cast(int, x)`";
  return {};
}

}  // namespace

Result<void> Checker::refuse_none(const plan::Expr& operand, const Syntax& syntax, std::string_view op) const {
  if (!operand.type.optional() && !operand.type.is(Kind::kNone)) return {};
  const std::string text = source(syntax);
  Error out{Code::kInvalidPipeline,
            "`" + text + "` may be None (its type is `" + operand.type.to_text() + "`), and `" + std::string(op) +
                "` takes no None",
            span(syntax),
            {}};
  out.notes.push_back(
      {"use `coalesce(" + text + ", …)` or `unwrap(" + text + ")`, or rule None out with `" + text + " is not None`",
       {}});
  return fail(std::move(out));
}

Result<plan::ExprPtr> Checker::unary(const Syntax& syntax) {
  auto operand = TRY(check(*syntax.children[0]));
  TRY(refuse_none(*operand, *syntax.children[0], syntax.text));
  if (syntax.text == "not" && !operand->type.is_plain(Kind::kBool))
    return error(*syntax.children[0],
                 "`not` takes a bool, `" + source(*syntax.children[0]) + "` is `" + operand->type.to_text() + "`");
  const std::string function = syntax.text == "-" ? "neg" : syntax.text == "~" ? "bit_not" : "not";
  const Type type = operand->type;
  auto out = apply(function, {{std::move(operand), {}}}, syntax);
  if (!out)
    return error(syntax, "`" + syntax.text + "` does not take `" + type.to_text() + "`",
                 typing_hint(syntax.text, type, type));
  return out;
}

Result<plan::ExprPtr> Checker::logic(const Syntax& syntax, bool conjunction) {
  auto left = TRY(check(*syntax.children[0]));
  auto right = TRY(checked_with(*syntax.children[1], facts_where(*left, conjunction)));
  const std::array<const plan::ExprPtr*, 2> operands = {&left, &right};
  for (std::size_t i = 0; i < 2; ++i) {
    const Type& type = (*operands[i])->type;
    if (type.is_plain(Kind::kBool)) continue;
    TRY(refuse_none(**operands[i], *syntax.children[i], syntax.text));
    return error(*syntax.children[i], "`" + syntax.text + "` takes two bools, found " + both(left->type, right->type));
  }
  return plan::special(conjunction ? plan::ExprKind::kAnd : plan::ExprKind::kOr, {std::move(left), std::move(right)},
                       Kind::kBool, span(syntax));
}

Result<plan::ExprPtr> Checker::binary(const Syntax& syntax) {
  const std::string& sign = syntax.text;
  if (sign == "and" || sign == "or") return logic(syntax, sign == "and");
  auto left = TRY(check(*syntax.children[0]));
  // `&` and `|` of bools are the lazy forms; what the left side rules out holds to the right.
  const bool lazy = (sign == "&" || sign == "|") && left->type.is_plain(Kind::kBool);
  auto right = TRY(checked_with(*syntax.children[1], lazy ? facts_where(*left, sign == "&") : Facts{}));
  TRY(refuse_none(*left, *syntax.children[0], sign));
  TRY(refuse_none(*right, *syntax.children[1], sign));
  if (lazy && right->type.is_plain(Kind::kBool))
    return plan::special(sign == "&" ? plan::ExprKind::kAnd : plan::ExprKind::kOr, {std::move(left), std::move(right)},
                         Kind::kBool, span(syntax));
  const Type left_type = left->type, right_type = right->type;
  auto out = apply(std::string(function_of(sign)), {{std::move(left), {}}, {std::move(right), {}}}, syntax);
  if (out) return out;
  return error(syntax, "`" + sign + "` does not take " + both(left_type, right_type) + " (in `" + source(syntax) + "`)",
               typing_hint(sign, left_type, right_type));
}

Result<plan::ExprPtr> Checker::none_test(plan::ExprPtr operand, bool negated, const Syntax& syntax) {
  return plan::call(negated ? "is_not_none" : "is_none", {std::move(operand)}, Kind::kBool, span(syntax));
}

Result<plan::ExprPtr> Checker::compare(const Syntax& syntax) {
  const std::string& sign = syntax.text;
  if (sign == "in" || sign == "not in") return contains(syntax);
  auto left = TRY(check(*syntax.children[0]));
  auto right = TRY(check(*syntax.children[1]));
  const bool equality = sign == "==" || sign == "!=";
  if (equality && is_none_literal(*right)) return none_test(std::move(left), sign == "!=", syntax);
  if (equality && is_none_literal(*left)) return none_test(std::move(right), sign == "!=", syntax);
  if (!equality) {
    TRY(refuse_none(*left, *syntax.children[0], sign));
    TRY(refuse_none(*right, *syntax.children[1], sign));
  }
  TRY(comparable(left->type, right->type, syntax));
  const Type left_type = left->type, right_type = right->type;
  auto out = apply(std::string(function_of(sign)), {{std::move(left), {}}, {std::move(right), {}}}, syntax);
  if (out) return out;
  std::string hint = typing_hint(sign, left_type, right_type);
  if (hint.empty()) hint = out.error().message;
  return error(syntax,
               "`" + sign + "` does not compare " + both(left_type, right_type) + " (in `" + source(syntax) + "`)",
               hint);
}

// Tuples: equal arity, comparable elements that are never None.
Result<void> Checker::comparable(const Type& left, const Type& right, const Syntax& syntax) const {
  const auto composite = [](const Type& type) { return type.is(Kind::kTuple) || type.is(Kind::kList); };
  if (!composite(left) || !composite(right)) return {};
  const auto refuse = [&](std::string why) -> Result<void> {
    return error(syntax, "`" + syntax.text + "` does not compare the tuples " + both(left, right) + ": " + why);
  };
  const bool tuples = left.is(Kind::kTuple) && right.is(Kind::kTuple);
  if (tuples && left.args().size() != right.args().size()) return refuse("they have different numbers of elements");
  const std::size_t count = tuples ? left.args().size() : 1;
  for (std::size_t i = 0; i < count; ++i) {
    const Type a = tuples ? left.args()[i] : left.element(), b = tuples ? right.args()[i] : right.element();
    if (a.optional() || b.optional()) return refuse("elements that may be None have no order");
    if (composite(a) && composite(b)) TRY(comparable(a, b, syntax));
  }
  return {};
}

Result<plan::ExprPtr> Checker::contains(const Syntax& syntax) {
  auto item = TRY(check(*syntax.children[0]));
  auto container = TRY(check(*syntax.children[1]));
  TRY(refuse_none(*container, *syntax.children[1], syntax.text));
  const Type item_type = item->type, container_type = container->type;
  if (item_type.is(Kind::kStr) && container_type.is(Kind::kStr))
    TRY(refuse_none(*item, *syntax.children[0], syntax.text));
  const bool of_texts = container_type.is(Kind::kStr) && !expr::is_function("contains");
  auto found =
      apply(of_texts ? "str.contains" : "contains", {{std::move(container), {}}, {std::move(item), {}}}, syntax);
  if (!found)
    return error(
        syntax,
        "`" + syntax.text + "` does not look for `" + item_type.to_text() + "` in `" + container_type.to_text() + "`",
        found.error().message);
  if (syntax.text == "in") return found;
  return plan::call("not", {std::move(*found)}, Kind::kBool, span(syntax));
}

Result<plan::ExprPtr> Checker::if_else(const Syntax& at, const Syntax& condition, const Syntax& then,
                                       const Syntax& otherwise) {
  auto test = TRY(check(condition));
  TRY(refuse_none(*test, condition, "if"));
  if (!test->type.is_plain(Kind::kBool))
    return error(condition, "a condition is a bool, `" + source(condition) + "` is `" + test->type.to_text() + "`");
  auto yes = TRY(checked_with(then, facts_where(*test, true)));
  auto no = TRY(checked_with(otherwise, facts_where(*test, false)));
  const Type yes_type = yes->type, no_type = no->type;
  auto out = apply("if_else", {{std::move(test), {}}, {std::move(yes), {}}, {std::move(no), {}}}, at);
  if (!out)
    return error(at, "the branches have types without a common one: " + both(yes_type, no_type), out.error().message);
  return out;
}

Result<plan::ExprPtr> Checker::index(const Syntax& syntax) {
  // `this["odd name"]` is a column.
  const Syntax& owner = *syntax.children[0];
  const Syntax& name = *syntax.children[1];
  if (const auto* side = side_of(owner); side != nullptr && name.kind == SyntaxKind::kLiteral &&
                                         name.value.tag() == Value::Tag::kStr && !is_column(owner.text))
    return side_name(*side, std::string(name.value.as_text()), syntax);
  auto container = TRY(check(*syntax.children[0]));
  auto key = TRY(check(*syntax.children[1]));
  const Type type = container->type;
  if (type.is(Kind::kStr))
    return error(syntax, "text is not indexed", "use `" + source(*syntax.children[0]) + ".str.slice(start, end)`");
  if (type.is(Kind::kTuple) && key->kind == plan::ExprKind::kLiteral && key->literal.tag() == Value::Tag::kInt) {
    const auto size = static_cast<std::int64_t>(type.args().size());
    const std::int64_t at = key->literal.as_int();
    if (at >= size || at < -size)
      return error(*syntax.children[1], "index " + std::to_string(at) + " is out of range: `" + type.to_text() +
                                            "` has " + std::to_string(size) + (size == 1 ? " element" : " elements"));
  }
  if (!type.is(Kind::kJson)) TRY(refuse_none(*container, *syntax.children[0], "[]"));
  const Type key_type = key->type;
  auto out = apply("get_item", {{std::move(container), {}}, {std::move(key), {}}}, syntax);
  if (!out)
    return error(syntax, "`" + type.to_text() + "` is not indexed by `" + key_type.to_text() + "`",
                 out.error().message);
  return out;
}

Result<plan::ExprPtr> Checker::sequence(const Syntax& syntax) {
  std::vector<plan::ExprPtr> elements;
  bool literal = true;
  for (const auto& child : syntax.children) {
    elements.push_back(TRY(check(*child)));
    literal = literal && elements.back()->kind == plan::ExprKind::kLiteral;
  }
  Type type;
  if (syntax.kind == SyntaxKind::kList) {
    Type element = elements.empty() ? Type(Kind::kAny) : elements[0]->type;
    for (std::size_t i = 1; i < elements.size(); ++i) {
      const auto common = common_supertype(element, elements[i]->type);
      if (!common)
        return error(*syntax.children[i],
                     "the elements of a list have one type, found " + both(element, elements[i]->type),
                     "a tuple `(a, b)` may mix types");
      element = *common;
    }
    for (auto& item : elements) item = plan::coerce(std::move(item), element);
    literal = std::all_of(elements.begin(), elements.end(),
                          [](const auto& e) { return e->kind == plan::ExprKind::kLiteral; });
    type = Type::list(element);
  } else {
    std::vector<Type> types;
    for (const auto& item : elements) types.push_back(item->type);
    type = Type::tuple(std::move(types));
  }
  if (literal) {
    std::vector<Value> values;
    for (const auto& item : elements) values.push_back(item->literal);
    return plan::literal(Value::tuple(std::move(values)), std::move(type), span(syntax));
  }
  return plan::call(syntax.kind == SyntaxKind::kList ? "make_list" : "make_tuple", std::move(elements), std::move(type),
                    span(syntax));
}

// Lists inside json may mix types, unlike lists.
Result<plan::ExprPtr> Checker::json_value(const Syntax& syntax) {
  if (syntax.kind != SyntaxKind::kList) return check(syntax);
  std::vector<Argument> args;
  for (const auto& child : syntax.children) args.push_back({TRY(json_value(*child)), {}});
  if (args.empty()) return plan::literal(Value::json("[]"), Kind::kJson, span(syntax));
  return apply("json.array", std::move(args), syntax);
}

Result<plan::ExprPtr> Checker::object(const Syntax& syntax) {
  std::vector<Argument> args;
  for (const auto& child : syntax.children) args.push_back({TRY(json_value(*child)), {}});
  if (args.empty()) return plan::literal(Value::json("{}"), Kind::kJson, span(syntax));
  return apply("json.object", std::move(args), syntax);
}

}  // namespace thalweg::lang
