#include "pipeline_lang/tables/temporal.h"

#include <algorithm>

#include "engine/base/ensure.h"
#include "engine/expr/function_table.h"

namespace thalweg::lang {

plan::ExprPtr typed_call(std::string_view function, std::vector<plan::ExprPtr> args) {
  std::vector<expr::Argument> given;
  for (const auto& arg : args)
    given.push_back({arg->type, arg->kind == plan::ExprKind::kLiteral ? &arg->literal : nullptr, {}});
  auto resolved = expr::resolve(function, given);
  ENSURE(resolved.has_value());
  std::vector<plan::ExprPtr> placed;
  for (std::size_t i = 0; i < resolved->order.size(); ++i) {
    const int from = resolved->order[i];
    plan::ExprPtr arg =
        from < 0 ? plan::literal(resolved->defaults[i], resolved->params[i]) : args[static_cast<std::size_t>(from)];
    placed.push_back(plan::coerce(std::move(arg), resolved->params[i]));
  }
  return plan::call(resolved->function, std::move(placed), resolved->result);
}

TimeFamily family_of(const Type& time) {
  if (time.is(Kind::kDateTimeNaive)) return TimeFamily::kNaive;
  return time.is(Kind::kDateTimeUtc) ? TimeFamily::kUtc : TimeFamily::kNumber;
}

bool check_time(const Lowering& lower, const plan::ExprPtr& time, std::string_view name) {
  if (!time) return false;
  const Type& type = time->type;
  if (!type.optional() && (type.is_number() || type.is_datetime())) return true;
  std::string hint;
  if (type.optional() && (type.is_number() || type.is_datetime()))
    hint = "use `unwrap(…)`, `coalesce(…, …)`, or filter the Nones out before";
  lower.wrong(lower.call().span_of(name),
              "`" + std::string(name) + "` is a number or a datetime that is never None; the time here is `" +
                  type.to_text() + "`",
              hint);
  return false;
}

Value Lengths::take(const Call& call, std::string_view name) {
  if (!call.has(name)) return Value::none();
  auto given = call.duration_or_number(name);
  if (!given) {
    fine_ = false;
    return Value::none();
  }
  const bool duration = given->tag() == Value::Tag::kDuration;
  if (duration == time_.is_number()) {
    lower_.wrong(call.span_of(name),
                 "`" + std::string(name) + "` is " + (duration ? "a duration" : "a number") + ", and the time is `" +
                     time_.to_text() + "`",
                 duration ? "with a time that is a number, lengths are numbers"
                          : "with a datetime, lengths are durations such as `5m`");
    fine_ = false;
    return Value::none();
  }
  any_float_ = any_float_ || given->tag() == Value::Tag::kFloat;
  return *given;
}

Value Lengths::take_positive(const Call& call, std::string_view name) {
  Value value = take(call, name);
  const bool wrong =
      value.tag() == Value::Tag::kFloat ? !(value.as_float() > 0) : !value.is_none() && value.as_int() <= 0;
  if (!wrong) return value;
  lower_.wrong(call.span_of(name), "`" + std::string(name) + "` is above zero");
  fine_ = false;
  return Value::none();
}

Type Lengths::time() const { return time_.is(Kind::kInt) && any_float_ ? Type(Kind::kFloat) : time_; }

Value Lengths::fit(const Value& length) const {
  if (time().is(Kind::kFloat) && length.tag() == Value::Tag::kInt)
    return Value::of(static_cast<double>(length.as_int()));
  return length;
}

Type length_type(const Type& time) { return time.is_datetime() ? Type(Kind::kDuration) : time.without_optional(); }

plan::ExprPtr shifted(const plan::ExprPtr& time, const Value& length) {
  const bool zero =
      length.is_none() || (length.tag() == Value::Tag::kFloat ? length.as_float() == 0 : length.as_int() == 0);
  if (zero) return time;
  return typed_call("add", {time, plan::literal(length, length_type(time->type))});
}

Value sum_of_lengths(const Value& a, const Value& b) {
  if (a.is_none()) return b;
  if (b.is_none()) return a;
  if (a.tag() == Value::Tag::kFloat) return Value::of(a.as_float() + b.as_float());
  std::int64_t sum = 0;
  if (__builtin_add_overflow(a.as_int(), b.as_int(), &sum)) sum = b.as_int() > 0 ? INT64_MAX : INT64_MIN;
  return a.tag() == Value::Tag::kDuration ? Value::duration(sum) : Value::of(sum);
}

std::optional<Behavior> take_behavior(const Lowering& lower, Lengths& lengths, bool& fine) {
  const Call& call = lower.call();
  Behavior out;
  if (call.has("watermark")) {
    if (call.has("behavior")) {
      lower.wrong(call.span_of("watermark"), "`watermark` and `behavior` both say how long to wait; give one of them",
                  "`watermark: 5m` is `behavior: !temporal.common_behavior {cutoff: 5m}`");
      fine = false;
      return std::nullopt;
    }
    out.span = call.span_of("watermark");
    out.cutoff = lengths.take(call, "watermark");
    fine = fine && lengths.fine();
    return out;
  }
  if (!call.has("behavior")) return std::nullopt;
  out.span = call.span_of("behavior");
  const Instance* instance = call.instance("behavior");
  if (instance == nullptr || instance->component->kind != ComponentKind::kBehavior) {
    if (instance != nullptr)
      lower.wrong(out.span, "`behavior` takes `!temporal.common_behavior` or `!temporal.exactly_once_behavior`");
    fine = false;
    return std::nullopt;
  }
  const Call& behavior = *instance->call;
  if (const auto clock = behavior.choice("clock"))
    out.instance_clock = *clock == "instance";
  else if (behavior.has("clock"))
    fine = false;
  if (instance->component->name == "temporal.exactly_once_behavior") {
    out.exactly_once = true;
    out.shift = lengths.take(behavior, "shift");
    fine = fine && lengths.fine();
    return out;
  }
  out.delay = lengths.take(behavior, "delay");
  out.cutoff = lengths.take(behavior, "cutoff");
  if (behavior.has("keep_results")) {
    const auto keep = behavior.boolean("keep_results");
    if (!keep) fine = false;
    out.keep_results = keep.value_or(true);
  }
  if (!out.keep_results && !behavior.has("cutoff")) {
    lower.wrong(behavior.span_of("keep_results"),
                "`keep_results: false` needs a `cutoff`: without one no result is ever old");
    fine = false;
  }
  fine = fine && lengths.fine();
  return out;
}

Table add_gate(const Lowering& lower, const Table& table, plan::TimeGate gate, const Table* clock) {
  const bool append_only = gate.kind != plan::GateKind::kForget && (table.append_only || gate.late);
  std::vector<Table> inputs{table};
  if (clock != nullptr) inputs.push_back(*clock);
  Table out = lower.builder().add(std::move(gate), inputs, table.schema, lower.options(append_only));
  out.name = table.name;
  return out;
}

void add_temporal_components(Components& out) {
  add_window_components(out);
  add_temporal_join_components(out);
  add_clock_components(out);
}

}  // namespace thalweg::lang
