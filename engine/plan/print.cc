// The stable text of a plan: one line per node, arguments that are at their default left out.

#include <algorithm>

#include <fmt/format.h>

#include "engine/plan/fingerprint.h"
#include "engine/plan/node.h"
#include "engine/types/value_text.h"

namespace thalweg::plan {
namespace {

constexpr std::size_t kRowsShown = 3;  // of static rows

std::string setting_text(const Setting& setting) {
  if (setting.secret) return "***";
  std::string text = setting.tag.empty() ? "" : "!" + setting.tag + " ";
  if (const bool* v = setting.as_bool()) return text + (*v ? "true" : "false");
  if (const std::int64_t* v = setting.as_int()) return text + std::to_string(*v);
  if (const double* v = setting.as_float()) {
    append_float(*v, text);
    return text;
  }
  if (const std::string* v = setting.as_text()) {
    append_quoted(*v, text);
    return text;
  }
  if (const Setting::List* list = setting.as_list()) {
    text += '[';
    for (const Setting& item : *list) text += (&item == list->data() ? "" : ", ") + setting_text(item);
    return text + "]";
  }
  if (const Setting::Map* map = setting.as_map()) {
    text += '{';
    for (const auto& [key, value] : *map)
      text += (&key == &map->front().first ? "" : ", ") + key + ": " + setting_text(value);
    return text + "}";
  }
  return text + "null";
}

std::string value_text(const Value& value) {
  if (value.tag() != Value::Tag::kStr) return value.to_text();
  std::string text;
  append_quoted(value.as_text(), text);
  return text;
}

std::string columns_text(const Columns& columns) {
  std::string text = "[";
  for (std::size_t i = 0; i < columns.size(); ++i) text += fmt::format("{}#{}", i ? ", " : "", columns[i]);
  return text + "]";
}

// `(key=value, flag)`.
class Arguments {
 public:
  Arguments& text(std::string_view name, std::string_view value) {
    if (!out_.empty()) out_ += ", ";
    out_ += name;
    if (!name.empty()) out_ += '=';
    out_ += value;
    return *this;
  }
  Arguments& flag(std::string_view name, bool set) { return set ? text("", name) : *this; }
  Arguments& column(std::string_view name, std::uint32_t index) { return text(name, fmt::format("#{}", index)); }
  Arguments& column(std::string_view name, const std::optional<std::uint32_t>& index) {
    return index ? column(name, *index) : *this;
  }
  Arguments& columns(std::string_view name, const Columns& list) {
    return list.empty() ? *this : text(name, columns_text(list));
  }
  Arguments& expr(std::string_view name, const ExprPtr& e) { return e ? text(name, identity(*e)) : *this; }
  Arguments& value(std::string_view name, const Value& v) { return v.is_none() ? *this : text(name, value_text(v)); }
  [[nodiscard]] std::string finish() const { return out_; }

 private:
  std::string out_;
};

std::string_view how_text(JoinHow how) {
  switch (how) {
    case JoinHow::kInner: return "inner";
    case JoinHow::kLeft: return "left";
    case JoinHow::kRight: return "right";
    case JoinHow::kOuter: return "outer";
  }
  return "";
}
std::string_view key_text(JoinKey key) {
  switch (key) {
    case JoinKey::kPair: return "pair";
    case JoinKey::kLeft: return "left";
    case JoinKey::kRight: return "right";
  }
  return "";
}
std::string_view direction_text(AsofDirection direction) {
  switch (direction) {
    case AsofDirection::kBackward: return "backward";
    case AsofDirection::kForward: return "forward";
    case AsofDirection::kNearest: return "nearest";
  }
  return "";
}
std::string_view from_text(SourceField::From from) {
  switch (from) {
    case SourceField::From::kPayload: return "payload";
    case SourceField::From::kKey: return "key";
    case SourceField::From::kTime: return "time";
    case SourceField::From::kPartition: return "partition";
    case SourceField::From::kMetadata: return "metadata";
  }
  return "";
}
std::string_view reducer_name(ReducerKind kind) {
  switch (kind) {
    case ReducerKind::kCount: return "count";
    case ReducerKind::kCountDistinct: return "count_distinct";
    case ReducerKind::kCountDistinctApproximate: return "count_distinct_approximate";
    case ReducerKind::kSum: return "sum";
    case ReducerKind::kAvg: return "avg";
    case ReducerKind::kMin: return "min";
    case ReducerKind::kMax: return "max";
    case ReducerKind::kArgMin: return "argmin";
    case ReducerKind::kArgMax: return "argmax";
    case ReducerKind::kUnique: return "unique";
    case ReducerKind::kAny: return "any";
    case ReducerKind::kTuple: return "tuple";
    case ReducerKind::kSortedTuple: return "sorted_tuple";
    case ReducerKind::kNdArray: return "ndarray";
    case ReducerKind::kEarliest: return "earliest";
    case ReducerKind::kLatest: return "latest";
    case ReducerKind::kFirst: return "first";
    case ReducerKind::kLast: return "last";
    case ReducerKind::kStddev: return "stddev";
    case ReducerKind::kStddevPop: return "stddev_pop";
    case ReducerKind::kVarSamp: return "var_samp";
    case ReducerKind::kVarPop: return "var_pop";
    case ReducerKind::kMedian: return "median";
    case ReducerKind::kQuantile: return "quantile";
    case ReducerKind::kStringAgg: return "string_agg";
    case ReducerKind::kBoolAnd: return "bool_and";
    case ReducerKind::kBoolOr: return "bool_or";
    case ReducerKind::kFold: return "fold";
    case ReducerKind::kUser: return "user";
  }
  return "";
}

std::string reducer_text(const Reducer& reducer) {
  Arguments args;
  for (std::uint32_t column : reducer.args) args.column("", column);
  args.flag("skip_nones", reducer.skip_nones)
      .flag("keep_errors", !reducer.skip_errors)
      .flag("none_if_empty", reducer.none_if_empty);
  if (reducer.parameter != 0) args.text("parameter", fmt::format("{}", reducer.parameter));
  if (!reducer.separator.empty()) args.value("separator", Value::str(reducer.separator));
  args.expr("fold", reducer.fold).value("init", reducer.fold_init);
  return fmt::format("{}({})", reducer_name(reducer.kind), args.finish());
}

std::string field_text(const SourceField& field) {
  std::string text = fmt::format("{}: {}", field.name, field.type.to_text());
  if (field.external_name != field.name && !field.external_name.empty()) text += " name=" + field.external_name;
  if (field.from != SourceField::From::kPayload) text += fmt::format(" from={}", from_text(field.from));
  if (field.default_value) text += " default=" + value_text(*field.default_value);
  if (field.primary_key) text += " primary_key";
  if (!field.used) text += " unused";
  return text;
}

std::string join_list(const std::vector<std::string>& items) {
  std::string text = "[";
  for (std::size_t i = 0; i < items.size(); ++i) text += (i ? ", " : "") + items[i];
  return text + "]";
}

// ---------------------------------------------------------------- one function per operator

std::string arguments(const Source& p) {
  std::vector<std::string> fields;
  for (const SourceField& field : p.fields) fields.push_back(field_text(field));
  return Arguments()
      .text("", p.connector)
      .text("args", setting_text(p.args))
      .text("fields", join_list(fields))
      .flag("no_keys", !p.needs_keys)
      .flag("upsert", p.upsert)
      .flag("append_only", p.append_only)
      .text("name", p.name)
      .finish();
}
std::string arguments(const StaticRows& p) {
  std::size_t count = p.rows ? p.rows->size() : 0;
  Arguments args;
  args.text("rows", std::to_string(count)).flag("as_stream", p.as_stream);
  std::vector<std::string> shown;
  for (std::size_t i = 0; i < std::min(count, kRowsShown); ++i) {
    std::vector<std::string> cells;
    for (const Value& cell : (*p.rows)[i].cells) cells.push_back(p.secret ? "***" : value_text(cell));
    shown.push_back(join_list(cells));
  }
  return args.text("first", join_list(shown)).finish();
}
std::string arguments(const ErrorLog& p) {
  std::vector<std::string> ids;
  for (NodeId id : p.operators) ids.push_back(fmt::format("n{}", id.value));
  if (p.all) return "all";
  return Arguments().text("operators", join_list(ids)).flag("rejected_records", p.rejected_records).finish();
}
std::string arguments(const Project& p) {
  std::vector<std::string> exprs;
  for (const ExprPtr& e : p.exprs) exprs.push_back(identity(*e));
  return join_list(exprs);
}
std::string arguments(const Remember& p) {
  std::vector<std::string> exprs;
  for (const ExprPtr& e : p.exprs) exprs.push_back(identity(*e));
  return join_list(exprs);
}
std::string arguments(const Filter& p) { return identity(*p.condition); }
std::string arguments(const Rekey& p) { return identity(*p.key); }
std::string arguments(const Flatten& p) {
  return Arguments().column("column", p.column).flag("origin_id", p.origin_id).finish();
}
std::string arguments(const RemoveErrors&) { return ""; }
std::string arguments(const AssertAppendOnly&) { return ""; }
std::string arguments(const FilterForgetting&) { return ""; }
std::string arguments(const Upsert&) { return ""; }
std::string arguments(const Keyed& p) {
  std::vector<std::string> from;
  for (std::int32_t column : p.from_other) from.push_back(column < 0 ? "own" : fmt::format("#{}", column));
  return from.empty() ? "" : Arguments().text("from", join_list(from)).finish();
}
std::string arguments(const Ix& p) {
  return Arguments().column("key", p.key).flag("optional", p.optional).text("emit", columns_text(p.emit)).finish();
}
std::string arguments(const Concat& p) { return p.reindex ? "reindex" : ""; }
std::string arguments(const GroupBy& p) {
  std::vector<std::string> reducers;
  for (const Reducer& reducer : p.reducers) reducers.push_back(reducer_text(reducer));
  return Arguments()
      .columns("by", p.by)
      .column("instance", p.instance)
      .flag("key_is_column", p.key_is_column)
      .columns("sort_by", p.sort_by)
      .text("reducers", join_list(reducers))
      .flag("always_one_row", p.always_one_row)
      .finish();
}
std::string arguments(const Deduplicate& p) {
  return Arguments()
      .columns("value", p.value)
      .columns("instance", p.instance)
      .expr("acceptor", p.acceptor)
      .flag("keep_last", p.keep_last)
      .finish();
}
std::string arguments(const TopK& p) {
  std::vector<std::string> order;
  for (const TopK::Order& o : p.order)
    order.push_back(fmt::format("#{}{}{}", o.column, o.descending ? " desc" : "", o.nulls_first ? "" : " nulls_last"));
  Arguments args;
  args.columns("partition", p.partition).text("order", join_list(order));
  if (p.offset > 0) args.text("offset", std::to_string(p.offset));
  if (p.limit) args.text("limit", std::to_string(*p.limit));
  return args.flag("rank", p.rank_column).finish();
}
std::string arguments(const Join& p) {
  return Arguments()
      .text("", how_text(p.how))
      .columns("left_on", p.left_on)
      .columns("right_on", p.right_on)
      .flag("none_never_matches", !p.none_matches)
      .text("key", key_text(p.key))
      .text("emit", columns_text(p.emit))
      .finish();
}
std::string arguments(const Arrange& p) {
  if (p.by_key) return "by_key";
  return Arguments().text("on", columns_text(p.on)).flag("none_never_matches", !p.none_matches).finish();
}
std::string arguments(const Sort& p) {
  return Arguments().columns("key", p.key).column("instance", p.instance).finish();
}
std::string arguments(const OrderedDiff& p) {
  return Arguments()
      .column("timestamp", p.timestamp)
      .columns("values", p.values)
      .column("instance", p.instance)
      .finish();
}
std::string arguments(const Interpolate& p) {
  return Arguments().column("timestamp", p.timestamp).columns("values", p.values).finish();
}
std::string arguments(const TimeGate& p) {
  return Arguments()
      .column("time", p.time)
      .value("threshold", p.threshold)
      .column("instance", p.instance)
      .column("clock", p.clock)
      .column("clock_instance", p.clock_instance)
      .flag("mark", p.mark)
      .flag("late", p.late)
      .finish();
}
std::string arguments(const WindowAssign& p) {
  Arguments args;
  args.column("time", p.time).value("hop", p.hop).value("duration", p.duration);
  if (p.duration.is_none()) args.text("ratio", fmt::format("{}", p.ratio));
  return args.value("origin", p.origin).flag("from_origin", p.from_origin).finish();
}
std::string arguments(const SlidingGroupBy& p) {
  std::vector<std::string> reducers;
  for (const Reducer& reducer : p.reducers) reducers.push_back(reducer_text(reducer));
  return Arguments()
      .text("", arguments(p.windows))
      .column("instance", p.instance)
      .columns("sort_by", p.sort_by)
      .text("reducers", join_list(reducers))
      .value("delay", p.delay)
      .value("emit_after", p.emit_after)
      .value("cutoff", p.cutoff)
      .flag("take_back", !p.keep_results)
      .flag("instance_clock", p.instance_clock)
      .finish();
}
std::string arguments(const SessionAssign& p) {
  return Arguments()
      .columns("instance", p.instance)
      .column("time", p.time)
      .value("max_gap", p.max_gap)
      .expr("predicate", p.predicate)
      .flag("bounds", p.bounds)
      .value("delay", p.delay)
      .value("emit_after", p.emit_after)
      .value("cutoff", p.cutoff)
      .flag("mark", p.mark)
      .flag("instance_clock", p.instance_clock)
      .finish();
}
std::string arguments(const IntervalJoin& p) {
  return Arguments()
      .text("", how_text(p.how))
      .columns("left_on", p.left_on)
      .columns("right_on", p.right_on)
      .text("left", columns_text({p.left_lower, p.left_upper}))
      .text("right", columns_text({p.right_lower, p.right_upper}))
      .text("emit", columns_text(p.emit))
      .value("cutoff", p.cutoff)
      .value("right_cutoff", p.right_cutoff)
      .finish();
}
std::string arguments(const AsofJoin& p) {
  return Arguments()
      .text("", how_text(p.how))
      .text("", direction_text(p.direction))
      .columns("left_on", p.left_on)
      .columns("right_on", p.right_on)
      .column("left_time", p.left_time)
      .column("right_time", p.right_time)
      .value("tolerance", p.tolerance)
      .flag("open", !p.tolerance_closed)
      .text("emit", columns_text(p.emit))
      .finish();
}
std::string arguments(const AsofNowJoin& p) {
  return Arguments()
      .text("", how_text(p.how))
      .columns("left_on", p.left_on)
      .columns("right_on", p.right_on)
      .text("key", key_text(p.key))
      .flag("forgetful", !p.remember)
      .text("emit", columns_text(p.emit))
      .finish();
}
std::string arguments(const IndexQuery& p) {
  return Arguments()
      .text("", p.index->text())
      .columns("data", p.data)
      .columns("query", p.query)
      .column("metadata", p.metadata)
      .column("filter", p.filter)
      .column("limit", p.limit)
      .text("fixed_limit", std::to_string(p.fixed_limit))
      .columns("reply", p.reply)
      .flag("each", !p.collapse)
      .flag("live", p.live)
      .flag("forgetful", !p.remember)
      .finish();
}
std::string duration_text(std::int64_t ns) { return Value::duration(ns).to_text(); }
std::string arguments(const UtcNow& p) {
  return Arguments()
      .text("refresh", duration_text(p.refresh_ns))
      .text("initial_delay", duration_text(p.initial_delay_ns))
      .finish();
}
std::string arguments(const Inactivity& p) {
  return Arguments()
      .text("period", duration_text(p.period_ns))
      .text("refresh", duration_text(p.refresh_ns))
      .column("instance", p.instance)
      .finish();
}
std::string arguments(const UpdateTimestamp& p) {
  return Arguments().text("refresh", duration_text(p.refresh_ns)).finish();
}
std::string arguments(const ToStream&) { return ""; }
std::string arguments(const StreamToTable& p) { return Arguments().column("is_upsert", p.is_upsert).finish(); }
std::string arguments(const Iterate& p) {
  Arguments args;
  args.text("output", std::to_string(p.output));
  if (p.limit) args.text("limit", std::to_string(*p.limit));
  return args.finish();
}
std::string arguments(const LoopInput& p) { return std::to_string(p.input); }
std::string arguments(const Output& p) {
  return Arguments().text("", p.connector).text("args", setting_text(p.args)).text("name", p.name).finish();
}
std::string arguments(const Export& p) {
  std::vector<std::string> indexes;
  for (const Columns& index : p.indexes) indexes.push_back(columns_text(index));
  Arguments args;
  args.text("", p.name);
  if (!indexes.empty()) args.text("indexes", join_list(indexes));
  if (p.retain_ns) args.text("retain_ns", std::to_string(*p.retain_ns));
  return args.finish();
}

// ---------------------------------------------------------------- names

std::string_view name_of(const Source&) { return "source"; }
std::string_view name_of(const StaticRows&) { return "static_rows"; }
std::string_view name_of(const ErrorLog&) { return "error_log"; }
std::string_view name_of(const Project&) { return "project"; }
std::string_view name_of(const Remember&) { return "remember"; }
std::string_view name_of(const Filter&) { return "filter"; }
std::string_view name_of(const Rekey&) { return "rekey"; }
std::string_view name_of(const Flatten&) { return "flatten"; }
std::string_view name_of(const RemoveErrors&) { return "remove_errors"; }
std::string_view name_of(const AssertAppendOnly&) { return "assert_append_only"; }
std::string_view name_of(const FilterForgetting&) { return "filter_forgetting"; }
std::string_view name_of(const Upsert&) { return "upsert"; }
std::string_view name_of(const Keyed& p) {
  switch (p.kind) {
    case KeyedKind::kUpdateRows: return "update_rows";
    case KeyedKind::kUpdateCells: return "update_cells";
    case KeyedKind::kIntersect: return "intersect";
    case KeyedKind::kDifference: return "difference";
    case KeyedKind::kRestrict: return "restrict";
  }
  return "";
}
std::string_view name_of(const Ix&) { return "ix"; }
std::string_view name_of(const Concat&) { return "concat"; }
std::string_view name_of(const GroupBy&) { return "groupby"; }
std::string_view name_of(const Deduplicate&) { return "deduplicate"; }
std::string_view name_of(const TopK&) { return "top_k"; }
std::string_view name_of(const Join&) { return "join"; }
std::string_view name_of(const Arrange&) { return "arrange"; }
std::string_view name_of(const Sort&) { return "sort"; }
std::string_view name_of(const OrderedDiff&) { return "ordered_diff"; }
std::string_view name_of(const Interpolate&) { return "interpolate"; }
std::string_view name_of(const TimeGate& p) {
  switch (p.kind) {
    case GateKind::kForget: return "forget";
    case GateKind::kBuffer: return "buffer";
    case GateKind::kFreeze: return "freeze";
  }
  return "";
}
std::string_view name_of(const WindowAssign&) { return "window_assign"; }
std::string_view name_of(const SlidingGroupBy&) { return "sliding_groupby"; }
std::string_view name_of(const SessionAssign&) { return "session_assign"; }
std::string_view name_of(const IntervalJoin&) { return "interval_join"; }
std::string_view name_of(const AsofJoin&) { return "asof_join"; }
std::string_view name_of(const AsofNowJoin&) { return "asof_now_join"; }
std::string_view name_of(const IndexQuery&) { return "index_query"; }
std::string_view name_of(const UtcNow&) { return "utc_now"; }
std::string_view name_of(const Inactivity&) { return "inactivity_detection"; }
std::string_view name_of(const UpdateTimestamp&) { return "add_update_timestamp_utc"; }
std::string_view name_of(const ToStream&) { return "to_stream"; }
std::string_view name_of(const StreamToTable&) { return "stream_to_table"; }
std::string_view name_of(const Iterate&) { return "iterate"; }
std::string_view name_of(const LoopInput&) { return "loop_input"; }
std::string_view name_of(const Output&) { return "output"; }
std::string_view name_of(const Export&) { return "export"; }

void print_nodes(const Plan& plan, const std::string& indent, std::string& out) {
  for (const Node& node : plan.nodes) {
    std::string inputs;
    for (NodeId input : node.inputs) inputs += fmt::format("{}n{}", inputs.empty() ? "" : ", ", input.value);
    std::string args = without_secrets(std::visit([](const auto& p) { return arguments(p); }, node.params));
    std::string columns;
    for (const ColumnSpec& column : node.schema.columns)
      columns += fmt::format("{}{}: {}", columns.empty() ? "" : ", ", column.name, column.type.to_text());
    out += fmt::format("{}n{} = {}({}{}{})", indent, node.id.value, operator_name(node.params), inputs,
                       inputs.empty() || args.empty() ? "" : "; ", args);
    if (!columns.empty()) out += fmt::format(" -> ({})", columns);
    if (node.append_only) out += " append_only";
    if (!node.label.empty()) out += fmt::format("  # {}", node.label);
    out += '\n';
    if (const auto* iterate = std::get_if<Iterate>(&node.params); iterate && iterate->body) {
      print_nodes(*iterate->body, indent + "  ", out);
      std::string next;
      for (NodeId id : iterate->next) next += fmt::format("{}n{}", next.empty() ? "" : ", ", id.value);
      out += fmt::format("{}  next {}\n", indent, next);
    }
  }
}

}  // namespace

std::string_view operator_name(const Params& params) {
  return std::visit([](const auto& p) { return name_of(p); }, params);
}

std::string node_identity(const Node& node) {
  std::string text(operator_name(node.params));
  text += "(" + std::visit([](const auto& p) { return arguments(p); }, node.params) + ") -> (";
  for (const ColumnSpec& column : node.schema.columns) text += column.name + ": " + column.type.to_text() + ", ";
  return text + ")" + (node.append_only ? " append_only" : "");
}

std::string node_text(const Node& node) { return without_secrets(node_identity(node)); }

std::string to_text(const Plan& plan) {
  std::string out;
  print_nodes(plan, "", out);
  return out;
}

}  // namespace thalweg::plan
