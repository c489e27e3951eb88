#include <catch2/catch.hpp>

#include "engine/expr/function_table.h"
#include "engine/expr/program.h"
#include "engine/types/datetime.h"

namespace thalweg::expr {
namespace {

struct Ignored final : RowErrors {
  int count = 0;
  void report(std::size_t, SourceSpan, std::string_view) override { ++count; }
};

plan::ExprPtr lit(Value value, Type type) { return plan::literal(std::move(value), std::move(type)); }
plan::ExprPtr text(const char* t) { return lit(Value::str(t), Kind::kStr); }

// `function(args…)` over literals, after typing; the first argument comes from a column so that nothing is folded.
Result<Value> evaluate(const std::string& function, std::vector<plan::ExprPtr> args) {
  std::vector<Argument> typed;
  for (const auto& arg : args) typed.push_back({arg->type, &arg->literal, ""});
  Resolved resolved = TRY(resolve(function, typed));
  std::vector<plan::ExprPtr> ordered;
  for (std::size_t i = 0; i < resolved.order.size(); ++i)
    ordered.push_back(plan::coerce(resolved.order[i] < 0 ? lit(resolved.defaults[i], resolved.params[i])
                                                         : args[static_cast<std::size_t>(resolved.order[i])],
                                   resolved.params[i]));
  Batch batch;
  batch.num_rows = 1;
  if (!args.empty() && function != "datetime") {
    batch.columns.push_back(Column::constant(args[0]->type, args[0]->literal, 1).flattened());
    ordered[0] = plan::coerce(plan::column(0, args[0]->type), resolved.params[0]);
  }
  auto program = TRY(Program::compile({plan::call(resolved.function, ordered, resolved.result)}));
  Ignored errors;
  return program->run(batch, errors)[0].value(resolved.result, 0);
}

Value value_of(const std::string& function, std::vector<plan::ExprPtr> args) {
  INFO(function);
  auto result = evaluate(function, std::move(args));
  if (!result) FAIL(result.error().message);
  return *result;
}

plan::ExprPtr naive(const char* t) {
  return lit(Value::datetime_naive(*parse_datetime_naive(t)), Kind::kDateTimeNaive);
}
plan::ExprPtr utc(const char* t) { return lit(Value::datetime_utc(*parse_datetime_utc(t)), Kind::kDateTimeUtc); }

}  // namespace

TEST_CASE("datetime functions over columns") {
  CHECK(value_of("dt.hour", {naive("2024-01-31T12:34:56")}) == Value::of(std::int64_t{12}));
  CHECK(value_of("dt.weekday", {utc("2024-01-31T12:34:56")}) == Value::of(std::int64_t{2}));
  CHECK(value_of("dt.timestamp", {naive("1970-01-01T00:00:01")}) == Value::of(std::int64_t{1'000'000'000}));
  CHECK(value_of("dt.timestamp", {naive("1970-01-01T00:00:01.5"), text("ms")}) == Value::of(1500.0));
  CHECK(value_of("dt.floor", {naive("2024-01-31T12:34:56"), text("1h")}).to_text() == "2024-01-31T12:00:00.000000000");
  CHECK(value_of("dt.to_utc", {naive("2024-03-31T02:30:00"), text("Europe/Warsaw")}).to_text() ==
        "2024-03-31T01:00:00.000000000+0000");
  CHECK(value_of("dt.strftime", {utc("2024-01-31T12:34:56"), text("%H:%M %Z")}) == Value::str("12:34 UTC"));
  CHECK(value_of("dt.strptime", {text("2024-01-31 12:00+0100"), text("%Y-%m-%d %H:%M%z")}).to_text() ==
        "2024-01-31T11:00:00.000000000+0000");
  CHECK(value_of("dt.strptime", {text("nonsense"), text("%Y")}).is_error());
  CHECK(value_of("dt.from_timestamp", {lit(Value::of(-5.00000000165), Kind::kFloat), text("s")}).to_text() ==
        "1969-12-31T23:59:54.999999999");
  CHECK(value_of("dt.to_duration", {lit(Value::of(std::int64_t{90}), Kind::kInt), text("m")}).to_text() == "1h 30m");
  CHECK(value_of("duration", {text("PT5M")}) == Value::duration(300'000'000'000));
  CHECK(value_of("duration", {text("five")}).is_error());
  CHECK(value_of("datetime", {text("2024-01-01T01:00:00+01:00")}).to_text() == "2024-01-01T00:00:00.000000000+0000");
}

TEST_CASE("a constant text that says nothing is an error before anything runs") {
  CHECK_FALSE(evaluate("dt.floor", {naive("2024-01-31T12:34:56"), text("1 fortnight")}));
  CHECK_FALSE(evaluate("dt.to_utc", {naive("2024-01-31T12:34:56"), text("Europe/Nowhere")}));
  CHECK_FALSE(evaluate("dt.strptime", {text("x"), text("%Q")}));
  CHECK_FALSE(evaluate("datetime", {text("tomorrow")}));
  CHECK_FALSE(evaluate("dt.hour", {text("12:00")}));
}

}  // namespace thalweg::expr
