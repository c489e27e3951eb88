// Clocks: utc_now, and what goes by the wall clock.
#include "pipeline_lang/tables/temporal.h"

namespace thalweg::lang {

namespace {

// A length of time above zero; `fallback` where it is absent, nothing after an error.
std::optional<std::int64_t> positive_duration(const Lowering& lower, std::string_view name, std::int64_t fallback) {
  const Call& call = lower.call();
  if (!call.has(name)) return fallback;
  const auto given = call.duration(name);
  if (given && *given <= 0) {
    lower.wrong(call.span_of(name), "`" + std::string(name) + "` is above zero");
    return std::nullopt;
  }
  return given;
}

ObjectPtr build_utc_now(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  if (!lower.outside_loop()) return error_object();
  const auto refresh = positive_duration(lower, "refresh_rate", 60'000'000'000);
  std::optional<std::int64_t> delay = 0;
  if (call.has("initial_delay")) delay = call.duration("initial_delay");
  if (!refresh || !delay) return error_object();
  if (*delay < 0) return lower.wrong(call.span_of("initial_delay"), "`initial_delay` is not below zero");
  Schema schema;
  schema.columns.push_back({"timestamp_utc", Kind::kDateTimeUtc});
  return lower.result(builder.add(plan::UtcNow{*refresh, *delay}, {}, std::move(schema), lower.options(true)));
}

ObjectPtr build_inactivity(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table || !lower.outside_loop()) return error_object();
  const auto period = positive_duration(lower, "allowed_inactivity_period", 0);
  const auto refresh = positive_duration(lower, "refresh_rate", 1'000'000'000);
  const auto instance = lower.argument("instance", *table);
  if (!period || !refresh || (call.has("instance") && !instance)) return error_object();
  if (!table->append_only)
    return lower.wrong(call.span_of("table"),
                       "`!inactivity_detection` goes by rows that come; the table is not append-only",
                       "`!assert_append_only` states it, `!to_stream` makes a stream of changes");
  plan::Inactivity params{*period, *refresh, {}};
  Table input = *table;
  Schema schema;
  if (instance) {
    if (instance->kind == plan::ExprKind::kColumn) {
      params.instance = instance->column;
      schema.columns.push_back(table->schema.columns[instance->column]);
    } else {
      params.instance = static_cast<std::uint32_t>(table->schema.size());
      input = lower.extended(*table, {instance});
      schema.columns.push_back({"instance", instance->type});
    }
  }
  schema.columns.push_back({"inactivity_timestamp_utc", Kind::kDateTimeUtc});
  schema.columns.push_back({"resumed_activity_timestamp_utc", Type(Kind::kDateTimeUtc, true)});
  return lower.result(builder.add(std::move(params), {input}, std::move(schema), lower.options(false)));
}

ObjectPtr build_update_timestamp(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table || !lower.outside_loop()) return error_object();
  const auto refresh = positive_duration(lower, "refresh_rate", 1'000'000'000);
  std::optional<std::string> name = "updated_timestamp_utc";
  if (call.has("update_timestamp_column_name")) name = call.text("update_timestamp_column_name");
  if (!refresh || !name) return error_object();
  if (table->schema.find(*name))
    return lower.wrong(call.span_of("update_timestamp_column_name"), "the table has a column `" + *name + "`",
                       "name the new one with `update_timestamp_column_name:`");
  Schema schema = table->schema;
  schema.columns.push_back({*name, Kind::kDateTimeUtc});
  return lower.result(builder.add(plan::UpdateTimestamp{*refresh}, {*table}, std::move(schema),
                                  lower.options(table->append_only, table->universe)));
}

}  // namespace

void add_clock_components(Components& out) {
  const ArgSpec refresh = arg("refresh_rate", ArgKind::kDuration, false, "how far ticks of the clock are apart");
  out.push_back(table_component(
      "temporal.utc_now",
      {refresh, arg("initial_delay", ArgKind::kDuration, false, "when the first tick is, after the start")},
      "One row per tick of the wall clock: `timestamp_utc`.", "!temporal.utc_now {refresh_rate: 10s}", build_utc_now,
      {"utc_now"}));
  out.push_back(table_component(
      "inactivity_detection",
      {table_arg(), arg("allowed_inactivity_period", ArgKind::kDuration, true, "how long nothing may come"), refresh,
       arg("instance", ArgKind::kExpr, false, "each instance is watched by itself")},
      "Pauses in a stream of rows: when the last row before one came, and the first after it.",
      "!inactivity_detection {table: $events, allowed_inactivity_period: 5m}", build_inactivity,
      {"temporal.inactivity_detection"}));
  out.push_back(table_component("add_update_timestamp_utc",
                                {table_arg(), refresh,
                                 arg("update_timestamp_column_name", ArgKind::kText, false,
                                     "name of the new column; default updated_timestamp_utc")},
                                "All columns, and when the row last changed.", "!add_update_timestamp_utc {table: $t}",
                                build_update_timestamp, {"temporal.add_update_timestamp_utc"}));
}

}  // namespace thalweg::lang
