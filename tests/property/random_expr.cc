#include "tests/property/random_expr.h"

namespace thalweg::testing {
namespace {

using plan::ExprKind;
using plan::ExprPtr;

ExprPtr gen(Random& random, const Schema& schema, const Type& type, int depth) {
  return random_expr(random, schema, type, depth);
}

ExprPtr leaf(Random& random, const Schema& schema, const Type& type) {
  const std::vector<std::uint32_t> columns = columns_of_type(schema, type);
  if (!columns.empty() && random.chance(75)) return plan::column(random.one_of(columns), type);
  if (type.is_plain(Kind::kPointer) && random.chance(30)) return plan::key();
  if (type.is_plain(Kind::kPointer))
    return plan::call("pointer_from", {gen(random, schema, Kind::kInt, 0)}, Kind::kPointer);
  if (type.optional() && random.chance(60)) return plan::coerce(leaf(random, schema, type.without_optional()), type);
  return plan::literal(random_value(random, type), type);
}

ExprPtr number(Random& random, const Schema& schema, const Type& type, int depth) {
  static const std::vector<std::string> kInt = {"add", "sub", "mul", "floordiv", "mod"};
  static const std::vector<std::string> kFloat = {"add", "sub", "mul", "truediv"};
  if (type.is(Kind::kFloat) && random.chance(20)) return plan::coerce(gen(random, schema, Kind::kInt, depth - 1), type);
  return plan::call(random.one_of(type.is(Kind::kInt) ? kInt : kFloat),
                    {gen(random, schema, type, depth - 1), gen(random, schema, type, depth - 1)}, type);
}

ExprPtr comparison(Random& random, const Schema& schema, int depth) {
  static const std::vector<std::string> kOrders = {"eq", "ne", "lt", "le", "gt", "ge"};
  static const std::vector<std::string> kEqualities = {"eq", "ne"};
  static const std::vector<Type> kTypes = {Kind::kInt, Kind::kFloat, Kind::kStr, Kind::kBool};
  const bool optional = random.chance(25);
  Type type = random.one_of(kTypes);
  if (optional) type = type.as_optional();
  return plan::call(random.one_of(optional || type.is(Kind::kBool) ? kEqualities : kOrders),
                    {gen(random, schema, type, depth - 1), gen(random, schema, type, depth - 1)}, Kind::kBool);
}

ExprPtr boolean(Random& random, const Schema& schema, int depth) {
  switch (random.below(5)) {
    case 0:
    case 1: return comparison(random, schema, depth);
    case 2:
      return plan::special(random.chance(50) ? ExprKind::kAnd : ExprKind::kOr,
                           {gen(random, schema, Kind::kBool, depth - 1), gen(random, schema, Kind::kBool, depth - 1)},
                           Kind::kBool);
    case 3: return plan::call("not", {gen(random, schema, Kind::kBool, depth - 1)}, Kind::kBool);
    default: {
      const Type type(random.chance(50) ? Kind::kInt : Kind::kStr, true);
      return plan::call(random.chance(50) ? "is_none" : "is_not_none", {gen(random, schema, type, depth - 1)},
                        Kind::kBool);
    }
  }
}

// A form that yields any type.
ExprPtr form(Random& random, const Schema& schema, const Type& type, int depth) {
  switch (random.below(3)) {
    case 0:
      return plan::special(ExprKind::kIf,
                           {gen(random, schema, Kind::kBool, depth - 1), gen(random, schema, type, depth - 1),
                            gen(random, schema, type, depth - 1)},
                           type);
    case 1:
      return plan::special(ExprKind::kFillError,
                           {gen(random, schema, type, depth - 1), gen(random, schema, type, depth - 1)}, type);
    default:
      return plan::special(ExprKind::kCoalesce,
                           {gen(random, schema, type.as_optional(), depth - 1),
                            plan::coerce(gen(random, schema, type, depth - 1), type)},
                           type);
  }
}

}  // namespace

std::vector<std::uint32_t> columns_of_type(const Schema& schema, const Type& type) {
  std::vector<std::uint32_t> out;
  for (std::uint32_t i = 0; i < schema.size(); ++i)
    if (schema.columns[i].type == type) out.push_back(i);
  return out;
}

Value random_value(Random& random, const Type& type) {
  static const std::vector<std::string> kTexts = {"", "a", "b", "cc", "a much longer text than a view holds", "ü"};
  if (type.optional() && random.chance(30)) return Value::none();
  switch (type.kind()) {
    case Kind::kBool: return Value::of(random.chance(50));
    case Kind::kInt: return Value::of(random.between(-2, 5));
    case Kind::kFloat: return Value::of(static_cast<double>(random.between(-8, 12)) / 4);
    case Kind::kStr: return Value::str(random.one_of(kTexts));
    case Kind::kPointer: return Value::of(key_of_values({Value::of(random.between(0, 12))}));
    case Kind::kList: {
      std::vector<Value> items;
      for (std::size_t n = random.below(4); n > 0; --n) items.push_back(random_value(random, type.element()));
      return Value::tuple(std::move(items));
    }
    default: return Value::none();
  }
}

plan::ExprPtr random_expr(Random& random, const Schema& schema, const Type& type, int depth) {
  if (depth <= 0 || random.chance(25)) return leaf(random, schema, type);
  if (random.chance(20)) return form(random, schema, type, depth);
  if (type.optional() && random.chance(30))
    return plan::special(ExprKind::kRequire,
                         {gen(random, schema, type.without_optional(), depth - 1),
                          gen(random, schema, Type(Kind::kInt, true), depth - 1)},
                         type);
  if (type.optional()) return plan::coerce(gen(random, schema, type.without_optional(), depth - 1), type);
  switch (type.kind()) {
    case Kind::kBool: return boolean(random, schema, depth);
    case Kind::kInt:
    case Kind::kFloat: return number(random, schema, type, depth);
    case Kind::kStr:
      return plan::call("add", {gen(random, schema, type, depth - 1), gen(random, schema, type, depth - 1)}, type);
    default: return leaf(random, schema, type);
  }
}

}  // namespace thalweg::testing
