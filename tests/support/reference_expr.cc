#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <set>

#include "tests/support/reference_eval.h"
#include "engine/base/int128.h"

// Expressions cell by cell, by the rules of language.md 3 for the functions that random plans use.
namespace thalweg::reference {
namespace {

using plan::ExprKind;

Value checked(Int128 value) {
  if (value > INT64_MAX || value < INT64_MIN) return Value::error();
  return Value::of(static_cast<std::int64_t>(value));
}

bool is_int(const Value& value) { return value.tag() == Value::Tag::kInt; }
double as_number(const Value& value) { return is_int(value) ? static_cast<double>(value.as_int()) : value.as_float(); }

Value arithmetic(char op, const Value& a, const Value& b) {
  if (a.tag() == Value::Tag::kStr) return Value::str(a.as_text() + b.as_text());
  if (op == '/') {
    if (as_number(b) == 0) return Value::error();
    return Value::of(as_number(a) / as_number(b));
  }
  if (is_int(a) && is_int(b)) {
    const Int128 x = a.as_int(), y = b.as_int();
    if (op == '+') return checked(x + y);
    if (op == '-') return checked(x - y);
    if (op == '*') return checked(x * y);
    if (y == 0) return Value::error();
    Int128 quotient = x / y;
    if (x % y != 0 && (x < 0) != (y < 0)) --quotient;
    return checked(op == 'd' ? quotient : x - quotient * y);
  }
  const double x = as_number(a), y = as_number(b);
  if (op == '+') return Value::of(x + y);
  if (op == '-') return Value::of(x - y);
  return Value::of(x * y);
}

// The numbers of two sides compare by value, everything else by the order of its type.
int order_of(const Value& a, const Value& b) {
  if (a.tag() != b.tag() && (is_int(a) || is_int(b)) && !a.is_none() && !b.is_none()) {
    const double x = as_number(a), y = as_number(b);
    return x < y ? -1 : x > y ? 1 : 0;
  }
  return compare(a, b);
}

using Function = std::function<Value(const std::vector<Value>&)>;

const std::map<std::string, Function>& functions() {
  static const std::map<std::string, Function> kFunctions = {
      {"add", [](const auto& a) { return arithmetic('+', a[0], a[1]); }},
      {"sub", [](const auto& a) { return arithmetic('-', a[0], a[1]); }},
      {"mul", [](const auto& a) { return arithmetic('*', a[0], a[1]); }},
      {"truediv", [](const auto& a) { return arithmetic('/', a[0], a[1]); }},
      {"floordiv", [](const auto& a) { return arithmetic('d', a[0], a[1]); }},
      {"mod", [](const auto& a) { return arithmetic('m', a[0], a[1]); }},
      {"neg", [](const auto& a) { return arithmetic('-', Value::of(std::int64_t{0}), a[0]); }},
      {"eq", [](const auto& a) { return Value::of(order_of(a[0], a[1]) == 0); }},
      {"ne", [](const auto& a) { return Value::of(order_of(a[0], a[1]) != 0); }},
      {"lt", [](const auto& a) { return Value::of(order_of(a[0], a[1]) < 0); }},
      {"le", [](const auto& a) { return Value::of(order_of(a[0], a[1]) <= 0); }},
      {"gt", [](const auto& a) { return Value::of(order_of(a[0], a[1]) > 0); }},
      {"ge", [](const auto& a) { return Value::of(order_of(a[0], a[1]) >= 0); }},
      {"not", [](const auto& a) { return Value::of(!a[0].as_bool()); }},
      {"is_none", [](const auto& a) { return Value::of(a[0].is_none()); }},
      {"is_not_none", [](const auto& a) { return Value::of(!a[0].is_none()); }},
      {"pointer_from", [](const auto& a) { return Value::of(key_of_values(a)); }},
      {"make_tuple", [](const auto& a) { return Value::tuple(a); }},
  };
  return kFunctions;
}

Value call(const plan::Expr& expr, const Row& row, const Key& key) {
  std::vector<Value> args;
  for (const plan::ExprPtr& arg : expr.args) args.push_back(evaluate(*arg, row, key));
  for (const Value& arg : args)
    if (arg.is_error()) return Value::error();
  static const std::set<std::string> kNoneThrough{"add", "sub", "mul", "lt", "le", "gt", "ge"};
  if (kNoneThrough.contains(expr.function))
    for (const Value& arg : args)
      if (arg.is_none()) return Value::none();
  if (expr.function == "cast" && expr.type.is(Kind::kFloat) && !args[0].is_none()) return Value::of(as_number(args[0]));
  if (expr.function == "cast") return args[0];
  auto found = functions().find(expr.function);
  if (found == functions().end()) {
    std::fprintf(stderr, "reference_expr: no function '%s'\n", expr.function.c_str());
    std::abort();
  }
  return found->second(args);
}

Value lazy_logic(const plan::Expr& expr, const Row& row, const Key& key, bool decides) {
  Value first = evaluate(*expr.args[0], row, key);
  if (first.is_error() || first.as_bool() == decides) return first;
  return evaluate(*expr.args[1], row, key);
}

Value coalesce(const plan::Expr& expr, const Row& row, const Key& key) {
  Value value;
  for (const plan::ExprPtr& arg : expr.args) {
    value = evaluate(*arg, row, key);
    if (!value.is_none()) break;
  }
  return value;
}

Value require(const plan::Expr& expr, const Row& row, const Key& key) {
  for (std::size_t i = 1; i < expr.args.size(); ++i) {
    Value needed = evaluate(*expr.args[i], row, key);
    if (needed.is_none() || needed.is_error()) return needed;
  }
  return evaluate(*expr.args[0], row, key);
}

}  // namespace

Value evaluate(const plan::Expr& expr, const Row& row, const Key& key) {
  switch (expr.kind) {
    case ExprKind::kColumn: return row[expr.column];
    case ExprKind::kKey: return Value::of(key);
    case ExprKind::kLiteral: return expr.literal;
    case ExprKind::kCall: return call(expr, row, key);
    case ExprKind::kIf: {
      Value condition = evaluate(*expr.args[0], row, key);
      if (condition.is_error()) return condition;
      return evaluate(*expr.args[condition.as_bool() ? 1 : 2], row, key);
    }
    case ExprKind::kAnd: return lazy_logic(expr, row, key, false);
    case ExprKind::kOr: return lazy_logic(expr, row, key, true);
    case ExprKind::kCoalesce: return coalesce(expr, row, key);
    case ExprKind::kRequire: return require(expr, row, key);
    case ExprKind::kFillError: {
      Value value = evaluate(*expr.args[0], row, key);
      return value.is_error() ? evaluate(*expr.args[1], row, key) : value;
    }
  }
  return Value::error();
}

}  // namespace thalweg::reference
