#include <catch2/catch.hpp>

#include <fstream>

#include "engine/expr/function_table.h"
#include "engine/expr/program.h"
#include "tests/engine/small_expr.h"

namespace thalweg {
namespace {

using plan::ExprKind;
using plan::ExprPtr;
using tests::evaluate;

const Type kInt = Kind::kInt, kFloat = Kind::kFloat, kBool = Kind::kBool, kStr = Kind::kStr;
const Type kOptionalInt(Kind::kInt, true);

struct Reports final : expr::RowErrors {
  void report(std::size_t row, SourceSpan, std::string_view message) override {
    list.push_back(std::to_string(row) + " " + std::string(message));
  }
  std::vector<std::string> list;
};

// Rows of one optional int column `a` and one int column `b`.
Batch two_columns(const std::vector<std::optional<std::int64_t>>& a, const std::vector<std::int64_t>& b) {
  ColumnBuilder x(kOptionalInt), y(kInt);
  for (const auto& v : a) v ? x.push_int(*v) : x.push_none();
  for (std::int64_t v : b) y.push_int(v);
  Batch batch;
  batch.num_rows = b.size();
  batch.columns = {x.finish(), y.finish()};
  return batch;
}

std::string run(const ExprPtr& expr, const Batch& batch, Reports& reports) {
  auto program = expr::Program::compile({expr});
  REQUIRE(program);
  Column column = (*program)->run(batch, reports)[0];
  REQUIRE(column.size() == batch.num_rows);
  std::string text;
  for (std::size_t i = 0; i < batch.num_rows; ++i) text += (i ? " " : "") + column.value(expr->type, i).to_text();
  return text;
}
std::string run(const ExprPtr& expr, const Batch& batch) {
  Reports reports;
  return run(expr, batch, reports);
}

ExprPtr a() { return plan::column(0, kOptionalInt); }
ExprPtr b() { return plan::column(1, kInt); }
ExprPtr number(std::int64_t v) { return plan::literal(Value::of(v), kInt); }
ExprPtr divide(ExprPtr x, ExprPtr y) { return plan::call("floordiv", {std::move(x), std::move(y)}, kInt); }
ExprPtr equal(ExprPtr x, ExprPtr y) { return plan::call("eq", {std::move(x), std::move(y)}, kBool); }

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    char c = text[++i];
    out += c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
  }
  return out;
}

}  // namespace

TEST_CASE("the example of every function gives its result") {
  for (const expr::FunctionDoc& doc : expr::all_functions()) {
    if (doc.example.empty()) continue;
    INFO(doc.name << ": " << doc.example);
    CHECK(evaluate(doc.example) == doc.example_result);
  }
}

TEST_CASE("every function says what it is") {
  for (const expr::FunctionDoc& doc : expr::all_functions()) {
    INFO(doc.name);
    CHECK(!doc.signature.empty());
    CHECK(!doc.doc.empty());
  }
}

TEST_CASE("expressions agree with Python") {
  std::ifstream file(std::string(ENGINE_TEST_DIR) + "/expr_vectors.txt");
  REQUIRE(file);
  std::string line;
  std::size_t count = 0;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::size_t tab = line.find('\t');
    REQUIRE(tab != std::string::npos);
    std::string expected = unescaped(std::string_view(line).substr(tab + 1));
    std::string got = evaluate(std::string_view(line).substr(0, tab));
    if (expected == "ERROR") got = got.substr(0, 5);
    INFO(line);
    CHECK(got == expected);
    ++count;
  }
  CHECK(count > 1000);
}

TEST_CASE("lazy branches see only their rows") {
  Batch batch = two_columns({1, std::nullopt, 3}, {0, 2, 3});
  Reports reports;
  ExprPtr safe = plan::special(ExprKind::kIf,
                               {plan::call("ne", {b(), number(0)}, kBool), divide(number(6), b()), number(-1)}, kInt);
  CHECK(run(safe, batch, reports) == "-1 3 2");
  CHECK(reports.list.empty());

  ExprPtr guarded = plan::special(
      ExprKind::kAnd, {plan::call("ne", {b(), number(0)}, kBool), equal(divide(number(6), b()), number(3))}, kBool);
  CHECK(run(guarded, batch, reports) == "False True False");
  CHECK(reports.list.empty());

  ExprPtr either =
      plan::special(ExprKind::kOr, {equal(b(), number(0)), equal(divide(number(6), b()), number(2))}, kBool);
  CHECK(run(either, batch, reports) == "True False True");
  CHECK(reports.list.empty());

  ExprPtr present = plan::special(ExprKind::kCoalesce, {a(), divide(number(8), b())}, kInt);
  CHECK(run(present, batch, reports) == "1 4 3");
  CHECK(reports.list.empty());
}

TEST_CASE("an ERROR is reported once where it arose, and can be filled") {
  Batch batch = two_columns({1, 2, 3}, {0, 2, 0});
  Reports reports;
  ExprPtr quotient = divide(number(6), b());
  ExprPtr twice = plan::call("add", {quotient, quotient}, kInt);
  ExprPtr filled = plan::special(ExprKind::kFillError, {twice, plan::call("add", {b(), number(100)}, kInt)}, kInt);
  CHECK(run(filled, batch, reports) == "100 6 100");
  CHECK(reports.list == std::vector<std::string>{"0 division by zero", "2 division by zero"});
}

TEST_CASE("an expression both lazy and eager is computed, and reported, once") {
  Batch batch = two_columns({1, 2}, {0, 1});
  Reports reports;
  ExprPtr quotient = divide(number(6), b());
  ExprPtr lazy = plan::special(ExprKind::kIf, {equal(b(), number(0)), quotient, number(7)}, kInt);
  CHECK(run(plan::call("add", {lazy, quotient}, kInt), batch, reports) == "Error 13");
  CHECK(reports.list.size() == 1);
}

TEST_CASE("one row in two lazy places reports its ERROR once") {
  Batch batch = two_columns({1, 2}, {0, 1});
  Reports reports;
  ExprPtr quotient = divide(number(6), b());
  ExprPtr one = plan::special(ExprKind::kIf, {equal(b(), number(0)), quotient, number(7)}, kInt);
  ExprPtr two = plan::special(ExprKind::kIf, {equal(b(), number(0)), quotient, number(8)}, kInt);
  CHECK(run(plan::call("add", {one, two}, kInt), batch, reports) == "Error 15");
  CHECK(reports.list.size() == 1);
}

TEST_CASE("a failing constant is an ERROR of every row") {
  Batch batch = two_columns({1, 2}, {0, 1});
  Reports reports;
  CHECK(run(divide(number(1), number(0)), batch, reports) == "Error Error");
  CHECK(reports.list.size() == 2);
}

TEST_CASE("None spreads by the rules") {
  Batch batch = two_columns({1, std::nullopt, 3}, {1, 2, 3});
  ExprPtr none = plan::literal(Value::none(), Kind::kNone);
  CHECK(run(equal(a(), b()), batch) == "True False True");
  CHECK(run(equal(a(), plan::literal(Value::none(), kOptionalInt)), batch) == "False True False");
  CHECK(run(plan::call("is_none", {a()}, kBool), batch) == "False True False");
  CHECK(run(plan::call("cast", {a()}, Type(Kind::kFloat, true)), batch) == "1.0 None 3.0");
  CHECK(run(plan::call("cast", {a()}, kStr), batch) == "1 None 3");
  CHECK(run(plan::special(ExprKind::kRequire, {b(), a()}, kOptionalInt), batch) == "1 None 3");
  Reports reports;
  CHECK(run(plan::call("unwrap", {a()}, kInt), batch, reports) == "1 Error 3");
  CHECK(reports.list.size() == 1);
}

TEST_CASE("and, or with None follow Kleene") {
  ColumnBuilder x(Type(Kind::kBool, true)), y(Type(Kind::kBool, true));
  for (int i = 0; i < 9; ++i) {
    i / 3 == 2 ? x.push_none() : x.push_bool(i / 3 == 1);
    i % 3 == 2 ? y.push_none() : y.push_bool(i % 3 == 1);
  }
  Batch batch;
  batch.num_rows = 9;
  batch.columns = {x.finish(), y.finish()};
  Type type(Kind::kBool, true);
  std::vector<ExprPtr> args{plan::column(0, type), plan::column(1, type)};
  CHECK(run(plan::special(ExprKind::kAnd, args, type), batch) == "False False False False True None False None None");
  CHECK(run(plan::special(ExprKind::kOr, args, type), batch) == "False True None True True True None True None");
}

TEST_CASE("programs over no rows and over chunks of constants") {
  Batch none = two_columns({}, {});
  CHECK(run(divide(number(6), b()), none).empty());
  Batch batch = two_columns({1, 1}, {3, 3});
  batch.columns[1] = Column::constant(kInt, Value::of(std::int64_t{3}), 2);
  CHECK(run(divide(number(6), b()), batch) == "2 2");
}

TEST_CASE("texts of expressions are stable, columns can be remapped") {
  ExprPtr sum = plan::call("add", {plan::column(0, kFloat), plan::coerce(plan::column(1, kInt), kFloat)}, kFloat);
  CHECK(plan::to_text(*sum) == "add(#0, cast<float>(#1))");
  CHECK(plan::to_text(*plan::remap_columns(sum, {5, 2})) == "add(#5, cast<float>(#2))");
  CHECK(plan::coerce(sum, kFloat) == sum);
  CHECK(plan::coerce(sum, Type(Kind::kFloat, true)) == sum);
  CHECK(plan::to_text(*plan::coerce(number(1), kFloat)) == "1.0");
}

TEST_CASE("calls that do not fit are refused with a reason") {
  CHECK(evaluate("'a'.str.lowr()") == "REFUSED: unknown function `str.lowr`");
  CHECK(evaluate("'a' + 1").starts_with("REFUSED: `add` does not take (str, int)"));
  CHECK(evaluate("'a'.str.slice(1)").find("misses its argument `end`") != std::string::npos);
  CHECK(evaluate("'a'.str.slice(1, 2, 3)").find("takes at most 3") != std::string::npos);
  CHECK(evaluate("'a'.str.slice(1, endd=2)").find("no argument named `endd`") != std::string::npos);
  CHECK(evaluate("parse_int('1', optional=True).num.abs()").find("unwrap") != std::string::npos);
  CHECK(evaluate("'a'.str.matches('(')").find("bad regular expression") != std::string::npos);
  CHECK(evaluate("(1, 2)[5]").find("out of range") != std::string::npos);
  CHECK(evaluate("(1, None) == (1, 2)").find("tuple") != std::string::npos);
  CHECK(evaluate("as_int(json(1), default='x')").find("default") != std::string::npos);
}

}  // namespace thalweg
