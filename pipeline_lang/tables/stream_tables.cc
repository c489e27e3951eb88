// forget buffer freeze, and the passage between tables and streams of events.
#include "pipeline_lang/tables/lowering.h"

namespace thalweg::lang {
namespace {

// `threshold` in the difference type of the time column; int and float mix by making both float.
std::optional<Value> threshold_for(const Lowering& lower, plan::ExprPtr& time) {
  const Call& call = lower.call();
  const auto given = call.duration_or_number("threshold");
  if (!given) return std::nullopt;
  const bool duration = given->tag() == Value::Tag::kDuration;
  const bool fits = time->type.is_number() ? !duration : duration;
  if (!fits) {
    lower.wrong(call.span_of("threshold"),
                std::string("`threshold` is ") + (duration ? "a duration" : "a number") + ", and `time_column` is `" +
                    time->type.to_text() + "`",
                "a number goes with a number, a duration such as `5m` with a datetime");
    return std::nullopt;
  }
  if (duration) return given;
  if (time->type.is(Kind::kFloat)) {
    if (given->tag() == Value::Tag::kInt) return Value::of(static_cast<double>(given->as_int()));
    return given;
  }
  if (given->tag() == Value::Tag::kFloat) time = plan::coerce(time, Kind::kFloat);
  return given;
}

ObjectPtr gate(Builder& builder, const Call& call, plan::GateKind kind) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table || !lower.outside_loop()) return error_object();
  auto time = lower.argument("time_column", *table);
  const auto instance = lower.argument("instance", *table);
  if (!time || (call.has("instance") && !instance)) return error_object();
  const Type& type = time->type;
  if (type.optional() || !(type.is_number() || type.is_datetime() || type.is(Kind::kDuration)))
    return lower.wrong(
        call.span_of("time_column"),
        "`time_column` is a number or a datetime that is never None, the expression is `" + type.to_text() + "`");
  plan::TimeGate params;
  params.kind = kind;
  auto threshold = threshold_for(lower, time);
  if (!threshold) return error_object();
  params.threshold = std::move(*threshold);
  if (kind == plan::GateKind::kForget) {
    const auto mark = call.boolean("mark_forgetting_records");
    if (call.has("mark_forgetting_records") && !mark) return error_object();
    params.mark = mark.value_or(false);
  }
  std::vector<plan::ExprPtr> more;
  const auto place = [&](const plan::ExprPtr& expr) -> std::uint32_t {
    if (expr->kind == plan::ExprKind::kColumn) return expr->column;
    more.push_back(expr);
    return static_cast<std::uint32_t>(table->schema.size() + more.size() - 1);
  };
  params.time = place(time);
  if (instance) params.instance = place(instance);
  const Table input = more.empty() ? *table : lower.extended(*table, more);
  const bool append_only = kind != plan::GateKind::kForget && table->append_only;
  const Table out = builder.add(std::move(params), {input}, input.schema, lower.options(append_only));
  return lower.result(lower.shortened(out, table->schema.size()));
}

ObjectPtr build_forget(Builder& builder, const Call& call) { return gate(builder, call, plan::GateKind::kForget); }
ObjectPtr build_buffer(Builder& builder, const Call& call) { return gate(builder, call, plan::GateKind::kBuffer); }
ObjectPtr build_freeze(Builder& builder, const Call& call) { return gate(builder, call, plan::GateKind::kFreeze); }

ObjectPtr build_filter_forgetting(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table || !lower.outside_loop()) return error_object();
  return lower.result(builder.add(plan::FilterForgetting{}, {*table}, table->schema, lower.options(false)));
}

ObjectPtr build_to_stream(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table || !lower.outside_loop()) return error_object();
  const auto given = call.text("upsert_column_name");
  if (call.has("upsert_column_name") && !given) return error_object();
  const std::string name = given.value_or("is_upsert");
  if (table->schema.find(name))
    return lower.wrong(call.span(), "there is a column `" + name + "` already",
                       "choose another name with `upsert_column_name:`");
  Schema schema = table->schema;
  schema.columns.push_back({name, Kind::kBool});
  return lower.result(builder.add(plan::ToStream{}, {*table}, std::move(schema), lower.options(true)));
}

ObjectPtr build_stream_to_table(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table || !lower.outside_loop()) return error_object();
  const Located where = call.at("is_upsert");
  plan::ExprPtr flag;
  if (where) {
    flag = lower.condition(where, lower.scope(*table, where.scope), "is_upsert");
    if (!flag) return error_object();
  } else {
    const auto column = table->schema.find("is_upsert");
    if (!column)
      return lower.wrong(call.span(), "`!stream_to_table` needs `is_upsert:`, which tells insertions from deletions");
    flag = plan::column(static_cast<std::uint32_t>(*column), table->schema.columns[*column].type);
    if (!flag->type.is_plain(Kind::kBool)) return lower.wrong(call.span(), "column `is_upsert` is no bool");
  }
  // The operator takes its flag away; a flag that is a column of the table stays, as at the peer.
  const Table input = lower.extended(*table, {flag});
  const auto column = static_cast<std::uint32_t>(table->schema.size());
  return lower.result(builder.add(plan::StreamToTable{column}, {input}, table->schema, lower.options(false)));
}

// Deletions count by their key alone, so their columns are None.
ObjectPtr build_from_streams(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto updates = call.table("updates");
  const auto deletions = call.table("deletions");
  if (!updates || !deletions || !lower.outside_loop()) return error_object();
  std::vector<NamedExpr> up, down;
  for (auto& column : all_columns(updates->schema)) {
    const Type type = column.expr->type.as_optional();
    down.push_back({column.name, {}, plan::literal(Value::none(), type)});
    up.push_back({column.name, {}, plan::coerce(column.expr, type)});
  }
  const auto flag = static_cast<std::uint32_t>(up.size());
  up.push_back({"_is_upsert", {}, plan::literal(Value::of(true), Kind::kBool)});
  down.push_back({"_is_upsert", {}, plan::literal(Value::of(false), Kind::kBool)});
  const Table first = lower.project(*updates, up), second = lower.project(*deletions, down);
  const Table all = builder.add(plan::Concat{false}, {first, second}, schema_of(down),
                                lower.options(updates->append_only && deletions->append_only));
  Schema merged = all.schema;
  merged.columns.pop_back();
  const Table out = builder.add(plan::StreamToTable{flag}, {all}, std::move(merged), lower.options(false));
  return lower.result(lower.project(out, all_columns(updates->schema)));
}

}  // namespace

void add_stream_tables(Components& out) {
  const ArgSpec time = arg("time_column", ArgKind::kExpr, true, "the event time of a row", {"time", "timestamp"});
  const ArgSpec threshold =
      arg("threshold", ArgKind::kDurationOrNumber, true, "how far the clock may be past the row's time");
  const ArgSpec instance =
      arg("instance", ArgKind::kExpr, false, "each instance has a clock of its own", {"instance_column"});
  ArgSpec mark = arg("mark_forgetting_records", ArgKind::kBool, false, "put what is forgotten at odd times", {"mark"});
  mark.fallback = "false";
  out.push_back(table_component(
      "forget", {table_arg(), time, threshold, instance, mark},
      "Rows are taken back once the clock, the greatest time seen, is past their time by the threshold.",
      "!forget {table: $t, time_column: at, threshold: 1h}", build_forget));
  out.push_back(table_component("buffer", {table_arg(), time, threshold, instance},
                                "Rows are held until the clock is past their time by the threshold, or the input ends.",
                                "!buffer {table: $t, time_column: at, threshold: 10s}", build_buffer));
  out.push_back(table_component(
      "freeze", {table_arg(), time, threshold, instance},
      "Rows and deletions are dropped if the clock was past their time by the threshold before they came.",
      "!freeze {table: $t, time_column: at, threshold: 10m}", build_freeze, {"ignore_late"}));
  out.push_back(table_component(
      "filter_out_results_of_forgetting",
      {table_arg(), arg("ensure_consistency", ArgKind::kBool, false, "accepted; results are consistent")},
      "Changes that come from forgetting left out.", "!filter_out_results_of_forgetting {table: $t}",
      build_filter_forgetting));
  out.push_back(table_component(
      "to_stream", {table_arg(), arg("upsert_column_name", ArgKind::kText, false, "default `is_upsert`")},
      "Each change of a row as an event: `is_upsert` with the new values, or not with the old ones.",
      "!to_stream {table: $t}", build_to_stream));
  out.push_back(table_component(
      "stream_to_table",
      {table_arg(), arg("is_upsert", ArgKind::kExpr, false, "whether an event sets the row or deletes it")},
      "The table that a stream of events makes: per key the last one.",
      "!stream_to_table {table: $events, is_upsert: is_upsert}", build_stream_to_table));
  out.push_back(table_component(
      "from_streams",
      {arg("updates", ArgKind::kTable, true, "events that set a row", {"table", "update_stream", "updates_stream"}),
       arg("deletions", ArgKind::kTable, true, "events that delete the row of their key",
           {"deletion_stream", "deletions_stream"})},
      "The table that a stream of updates and one of deletions make.",
      "!from_streams {updates: $set, deletions: $gone}", build_from_streams));
}

}  // namespace thalweg::lang
