// Joins in time: interval, asof, asof_now, window. A joined row is that of every join (joining.h); behind it an asof
// join has which side the row is of, and its time.
#include <algorithm>

#include "pipeline_lang/tables/joining.h"
#include "pipeline_lang/tables/temporal.h"

namespace thalweg::lang {

namespace {

using plan::ExprPtr;

plan::JoinHow how_of(std::string_view how) {
  if (how == "left") return plan::JoinHow::kLeft;
  if (how == "right") return plan::JoinHow::kRight;
  return how == "outer" ? plan::JoinHow::kOuter : plan::JoinHow::kInner;
}

// The sides of a join in time: what all kinds do in the same way.
class TimedSides {
 public:
  explicit TimedSides(const Lowering& lower) : lower_(lower) {}

  // `left`, `right`, `on`. False after an error.
  bool take_tables() {
    auto sides = join_sides(lower_);
    if (!sides) return false;
    sides_ = std::move(*sides);
    return take_conditions(lower_, sides_);
  }
  // An expression over one side; null where it is absent or wrong (then fine() is false).
  ExprPtr side_expr(std::string_view name, bool left) {
    const Located where = lower_.call().at(name);
    if (!where || !lower_.call().has(name)) return nullptr;
    ExprPtr expr = lower_.expression(where, side_scope(lower_, sides_, left, where.scope));
    fine_ = fine_ && expr != nullptr;
    return expr;
  }
  ExprPtr side_time(std::string_view name, bool left) {
    ExprPtr expr = side_expr(name, left);
    if (expr && !check_time(lower_, expr, name)) {
      fine_ = false;
      return nullptr;
    }
    return expr;
  }
  // `left_time` and `right_time`, of one family. False after an error.
  bool take_times() {
    for (const char* name : {"left_time", "right_time"}) {
      if (lower_.call().has(name)) continue;
      lower_.wrong(lower_.call().span(), std::string("`!") + lower_.call().component().name + "` needs `" + name + "`");
      return false;
    }
    left_time = side_time("left_time", true);
    right_time = side_time("right_time", false);
    return left_time && right_time && same_family(left_time, right_time, "left_time", "right_time");
  }
  bool same_family(const ExprPtr& a, const ExprPtr& b, std::string_view a_name, std::string_view b_name) {
    if (family_of(a->type) == family_of(b->type)) return true;
    lower_.wrong(lower_.call().span_of(b_name), "`" + std::string(a_name) + "` is `" + a->type.to_text() + "` and `" +
                                                    std::string(b_name) + "` is `" + b->type.to_text() +
                                                    "`: the times are both numbers, or datetimes of one kind");
    return fine_ = false;
  }
  // Int and float times meet as floats.
  [[nodiscard]] static Type common_time(const Type& a, const Type& b) { return a.is(Kind::kFloat) ? a : b; }

  // Conditions become columns, then the given expressions do, behind them: their places. The sides' own columns and
  // names stay.
  void place() { place_conditions(lower_, sides_); }
  std::uint32_t append(bool left, const ExprPtr& expr) {
    Table& table = left ? sides_.left : sides_.right;
    if (expr->kind == plan::ExprKind::kColumn) return expr->column;
    const std::string name = table.name;
    table = lower_.extended(table, {expr});
    table.name = name;
    return static_cast<std::uint32_t>(table.schema.size() - 1);
  }

  // Each side by itself and by its own clock: buffer, freeze, forget on the row's time.
  bool pass_gates(const Behavior& behavior, const std::uint32_t times[2]) {
    for (const bool left : {true, false}) {
      Table& table = left ? sides_.left : sides_.right;
      std::optional<std::uint32_t> instance;
      if (behavior.instance_clock) {
        if (sides_.left_on.empty()) {
          lower_.wrong(behavior.span, "`clock: instance` needs `on`: a join key is an instance");
          return false;
        }
        instance = instance_of(left);
      }
      const auto pass = [&](plan::GateKind kind, const Value& threshold) {
        if (threshold.is_none()) return;
        plan::TimeGate gate;
        gate.kind = kind;
        gate.time = times[left ? 0 : 1];
        gate.threshold = threshold;
        gate.instance = instance;
        gate.mark = kind == plan::GateKind::kForget && behavior.keep_results;
        table = add_gate(lower_, table, std::move(gate));
      };
      pass(plan::GateKind::kBuffer, behavior.delay);
      pass(plan::GateKind::kFreeze, behavior.cutoff);
      pass(plan::GateKind::kForget, behavior.cutoff);
    }
    return true;
  }

  [[nodiscard]] bool fine() const { return fine_; }
  [[nodiscard]] JoinSides& sides() { return sides_; }

  ExprPtr left_time, right_time;

 private:
  std::uint32_t instance_of(bool left) {
    const plan::Columns& on = left ? sides_.left_on : sides_.right_on;
    if (on.size() == 1) return on[0];
    const Schema& schema = (left ? sides_.left : sides_.right).schema;
    std::vector<ExprPtr> parts;
    for (const std::uint32_t column : on) parts.push_back(plan::column(column, schema.columns[column].type));
    return append(left, typed_call("make_tuple", std::move(parts)));
  }

  const Lowering& lower_;
  JoinSides sides_;
  bool fine_ = true;
};

// A join's behavior; false after an error.
bool join_behavior(const Lowering& lower, Lengths& lengths, std::optional<Behavior>& out) {
  bool fine = true;
  out = take_behavior(lower, lengths, fine);
  if (!fine) return false;
  if (!out) return true;
  if (out->exactly_once) {
    lower.wrong(out->span, "a join in time takes no `exactly_once_behavior`",
                "`!temporal.common_behavior {delay, cutoff, keep_results}` acts on each side");
    return false;
  }
  if (!lower.outside_loop()) return false;
  return true;
}
void fit_behavior(std::optional<Behavior>& behavior, const Lengths& lengths) {
  if (!behavior) return;
  behavior->delay = lengths.fit(behavior->delay);
  behavior->cutoff = lengths.fit(behavior->cutoff);
}
Table without_forgetting(const Lowering& lower, Table table, const std::optional<Behavior>& behavior) {
  if (!behavior || behavior->cutoff.is_none() || !behavior->keep_results) return table;
  return lower.builder().add(plan::FilterForgetting{}, {table}, table.schema, lower.options(false));
}

// `how`, default `fallback`; empty after an error.
std::string take_how(const Lowering& lower, std::string_view fallback) {
  const auto given = lower.call().choice("how");
  if (lower.call().has("how") && !given) return {};
  return given.value_or(std::string(fallback));
}

// ---------------------------------------------------------------- interval_join

// A side's range of time: a point, or from one expression to another.
struct Range {
  ExprPtr lower, upper;
};

std::optional<Range> take_range(const Lowering& lower, TimedSides& timed, bool left) {
  const std::string side = left ? "left" : "right";
  const std::string low = side + "_time_lower", high = side + "_time_upper", point = side + "_time";
  const Call& call = lower.call();
  if (call.has(point)) {
    if (call.has(low) || call.has(high)) {
      lower.wrong(call.span_of(point), "`" + point + "` and `" + (call.has(low) ? low : high) + "` both say when the " +
                                           side + " row is; give the point or the range");
      return std::nullopt;
    }
    ExprPtr time = timed.side_time(point, left);
    if (!time) return std::nullopt;
    return Range{time, time};
  }
  if (!call.has(low) || !call.has(high)) {
    lower.wrong(call.span(), "`!interval_join` needs `" + point + "`, or `" + low + "` and `" + high + "`");
    return std::nullopt;
  }
  Range out{timed.side_time(low, left), timed.side_time(high, left)};
  if (!out.lower || !out.upper || !timed.same_family(out.lower, out.upper, low, high)) return std::nullopt;
  return out;
}

ObjectPtr build_interval_join(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  TimedSides timed(lower);
  const std::string how = take_how(lower, "inner");
  bool fine = timed.take_tables() && !how.empty();
  if (!fine) return error_object();
  auto left = take_range(lower, timed, true);
  auto right = take_range(lower, timed, false);
  if (!left || !right) return error_object();
  const bool ranges = call.has("left_time_lower") || call.has("right_time_lower");
  if (!timed.same_family(left->lower, right->lower, call.has("left_time") ? "left_time" : "left_time_lower",
                         call.has("right_time") ? "right_time" : "right_time_lower"))
    return error_object();
  Type type = left->lower->type;
  for (const ExprPtr& bound : {left->upper, right->lower, right->upper})
    type = TimedSides::common_time(type, bound->type);
  Lengths lengths(lower, type);
  const Value low = lengths.take(call, "lower"), high = lengths.take(call, "upper");
  std::optional<Behavior> behavior;
  if (!join_behavior(lower, lengths, behavior) || !lengths.fine()) return error_object();
  if (!ranges) {
    for (const char* name : {"lower", "upper"})
      if (!call.has(name))
        return lower.wrong(call.span(), std::string("`!interval_join` needs `") + name + "`",
                           "for example `lower: -5m, upper: 0s`: how far the right time may be from the left one");
    const Value a = lengths.fit(low), b = lengths.fit(high);
    const bool crossed = lengths.time().is(Kind::kFloat) ? a.as_float() > b.as_float() : a.as_int() > b.as_int();
    if (crossed) return lower.wrong(call.span_of("lower"), "`lower` is above `upper`");
  } else if (call.has("lower") || call.has("upper")) {
    return lower.wrong(call.span_of(call.has("lower") ? "lower" : "upper"),
                       "`lower` and `upper` go with `left_time` and `right_time`, not with ranges");
  }
  type = lengths.time();
  fit_behavior(behavior, lengths);

  const bool left_padded = how == "right" || how == "outer", right_padded = how == "left" || how == "outer";
  timed.place();
  JoinSides& sides = timed.sides();
  plan::IntervalJoin join;
  join.how = how_of(how);
  std::uint32_t times[2];
  times[0] = timed.append(true, plan::coerce(left->lower, type));
  times[1] = timed.append(false, plan::coerce(right->lower, type));
  if (behavior && !timed.pass_gates(*behavior, times)) return error_object();
  if (ranges) {
    join.left_lower = times[0];
    join.right_lower = times[1];
    join.left_upper = left->upper == left->lower ? times[0] : timed.append(true, plan::coerce(left->upper, type));
    join.right_upper = right->upper == right->lower ? times[1] : timed.append(false, plan::coerce(right->upper, type));
  } else {
    const ExprPtr time = plan::column(times[0], type);
    join.left_lower = timed.append(true, shifted(time, lengths.fit(low)));
    join.left_upper = timed.append(true, shifted(time, lengths.fit(high)));
    join.right_lower = join.right_upper = times[1];
  }
  join.left_on = sides.left_on;
  join.right_on = sides.right_on;

  JoinedNames names(lower, sides, left_padded, right_padded);
  const auto selection = names.selection("select");
  if (!selection) return error_object();
  std::vector<ExprPtr> exprs;
  for (const auto& item : *selection) exprs.push_back(item.expr);
  const std::vector<Type> types = joined_types(sides, left_padded, right_padded);
  const Emission emission(types.size(), exprs);
  join.emit = emission.columns();
  const bool append_only = how == "inner" && sides.left.append_only && sides.right.append_only;
  Table joined =
      builder.add(std::move(join), {sides.left, sides.right}, emission.schema(types), lower.options(append_only));
  joined = without_forgetting(lower, std::move(joined), behavior);
  std::vector<NamedExpr> result;
  for (const auto& item : *selection) result.push_back({item.name, item.span, emission.remapped(item.expr)});
  return lower.result(lower.project(joined, result));
}

// ---------------------------------------------------------------- asof_join

struct AsofHow {
  std::string how;
  bool behavior_is_emit = false;  // `behavior: emit_per_left` of the original brief
};

std::optional<AsofHow> asof_how(const Lowering& lower) {
  const Call& call = lower.call();
  AsofHow out;
  out.how = take_how(lower, "");
  if (call.has("how") && out.how.empty()) return std::nullopt;
  std::string emit;
  SourceSpan span;
  if (call.has("emit")) {
    const auto given = call.choice("emit");
    if (!given) return std::nullopt;
    emit = *given;
    span = call.span_of("emit");
  } else if (call.has("behavior")) {
    const Located where = call.at("behavior");
    const bool plain = where && where.node->is_scalar() && !where.node->is_reference();
    std::string text = plain ? (where.node->text.empty() ? where.node->tag : where.node->text) : std::string();
    text = text.substr(text.rfind('.') == std::string::npos ? 0 : text.rfind('.') + 1);
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    if (text == "emit_per_left") emit = "left";
    if (text == "emit_per_right") emit = "right";
    if (text == "emit_all" || text == "all") emit = "all";
    out.behavior_is_emit = !emit.empty();
    span = call.span_of("behavior");
  }
  if (!emit.empty()) {
    const std::string meant = emit == "all" ? "outer" : emit;
    if (!out.how.empty() && out.how != meant) {
      lower.wrong(span, "`emit: " + emit + "` is `how: " + meant + "`, but `how` is `" + out.how + "`");
      return std::nullopt;
    }
    out.how = meant;
  }
  if (out.how.empty()) out.how = "left";
  if (out.how == "inner") {
    lower.wrong(call.span_of("how"),
                "an asof join is `left`, `right` or `outer`: each row has one result, with or without a peer",
                "drop rows without a peer by a `!filter` afterwards");
    return std::nullopt;
  }
  return out;
}

// `defaults: {right.price: 0}`: what stands where there is no peer. `left_padded`: the left side may be absent.
bool take_defaults(const Lowering& lower, const JoinSides& sides, JoinedNames& names,
                   std::vector<std::pair<std::uint32_t, Value>>& out) {
  const Call& call = lower.call();
  if (!call.has("defaults")) return true;
  const auto nodes = call.expressions("defaults");
  if (!nodes) return false;
  bool fine = true;
  for (const NamedNode& node : *nodes) {
    ExprInput input;
    input.text = node.name;
    input.span = node.name_span;
    const auto column = as_column_name(input);
    const auto is = [&](bool left) {
      const auto known = side_qualifiers(sides, left);
      return column && std::find(known.begin(), known.end(), column->qualifier) != known.end();
    };
    const bool left = is(true);
    if (!left && !is(false)) {
      lower.wrong(node.name_span, "`defaults` maps `left.column` or `right.column` to a value");
      fine = false;
      continue;
    }
    const Table& table = left ? sides.left : sides.right;
    const auto index = table.schema.find(column->name);
    if (!index || *index >= (left ? sides.left_columns : sides.right_columns)) {
      lower.report(unknown_column(column->name, table.column_names(), node.name_span));
      fine = false;
      continue;
    }
    const auto value = expr_input(lower.builder(), node.value);
    if (!value) {
      fine = false;
      continue;
    }
    const Type& type = table.schema.columns[*index].type;
    auto expr = check_as(*value, NameScope(), type, "defaults");
    if (!expr) {
      lower.report(std::move(expr).error());
      fine = false;
      continue;
    }
    if ((*expr)->kind != plan::ExprKind::kLiteral) {
      lower.wrong(node.value.span(), "a default is a constant");
      fine = false;
      continue;
    }
    names.set_type(left, static_cast<std::uint32_t>(*index), type);
    const auto at = static_cast<std::uint32_t>(*index + (left ? 0 : sides.left.schema.size()));
    out.emplace_back(at, (*expr)->literal);
  }
  return fine;
}

// `selectors: {left.price: trade_price}`: expression, then the name it gets.
std::optional<std::vector<NamedExpr>> inverted_selection(const Lowering& lower, const JoinedNames& names) {
  const auto nodes = lower.call().expressions("selectors");
  if (!nodes) return std::nullopt;
  std::vector<NamedExpr> out;
  for (const NamedNode& node : *nodes) {
    ExprInput input;
    input.text = node.name;
    input.span = node.name_span;
    const auto name = lower.builder().text(node.value);
    auto expr = check_expression(input, names.scope(node.value.scope));
    if (!expr) lower.report(std::move(expr).error());
    if (!expr || !name) return std::nullopt;
    out.push_back({*name, node.name_span, std::move(*expr)});
  }
  return out;
}

ObjectPtr build_asof_join(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  TimedSides timed(lower);
  const auto how = asof_how(lower);
  if (call.has("index"))
    return lower.wrong(call.span_of("index"), "`index` is not needed: both sides are kept in order of time",
                       "leave it out; an exported table takes `index: [columns]` on the tag that is exported");
  if (!timed.take_tables() || !how || !timed.take_times()) return error_object();
  plan::AsofJoin join;
  join.how = how_of(how->how);
  if (call.has("direction")) {
    const auto direction = call.choice("direction");
    if (!direction) return error_object();
    join.direction = *direction == "forward"   ? plan::AsofDirection::kForward
                     : *direction == "nearest" ? plan::AsofDirection::kNearest
                                               : plan::AsofDirection::kBackward;
  }
  if (call.has("closed_window")) {
    const auto closed = call.boolean("closed_window");
    if (!closed) return error_object();
    join.tolerance_closed = *closed;
  }
  Lengths lengths(lower, TimedSides::common_time(timed.left_time->type, timed.right_time->type));
  join.tolerance = lengths.take(call, "tolerance");
  std::optional<Behavior> behavior;
  if (!how->behavior_is_emit && !join_behavior(lower, lengths, behavior)) return error_object();
  if (!lengths.fine()) return error_object();
  join.tolerance = lengths.fit(join.tolerance);
  const bool negative = join.tolerance.tag() == Value::Tag::kFloat
                            ? join.tolerance.as_float() < 0
                            : !join.tolerance.is_none() && join.tolerance.as_int() < 0;
  if (negative) return lower.wrong(call.span_of("tolerance"), "`tolerance` is not below zero");
  fit_behavior(behavior, lengths);
  const Type type = lengths.time();

  const bool left_padded = how->how != "left", right_padded = how->how != "right";
  timed.place();
  std::uint32_t times[2];
  times[0] = timed.append(true, plan::coerce(timed.left_time, type));
  times[1] = timed.append(false, plan::coerce(timed.right_time, type));
  if (behavior && !timed.pass_gates(*behavior, times)) return error_object();
  JoinSides& sides = timed.sides();
  join.left_time = times[0];
  join.right_time = times[1];
  join.left_on = sides.left_on;
  join.right_on = sides.right_on;

  std::vector<Type> types = joined_types(sides, left_padded, right_padded);
  const auto side_at = static_cast<std::uint32_t>(types.size());
  types.emplace_back(Kind::kBool);
  types.push_back(type);
  JoinedNames names(lower, sides, left_padded, right_padded);
  std::vector<std::pair<std::uint32_t, Value>> defaults;
  if (!take_defaults(lower, sides, names, defaults)) return error_object();
  names.bind("side", plan::column(side_at, Kind::kBool));
  names.bind("t", plan::column(side_at + 1, type));
  // The instance is the join key: the left value, or the right one where there is no left row.
  std::vector<ExprPtr> keys;
  for (std::size_t i = 0; i < sides.left_on.size(); ++i) {
    const std::uint32_t left = sides.left_on[i],
                        right = static_cast<std::uint32_t>(sides.left.schema.size() + sides.right_on[i]);
    const Type key = sides.left.schema.columns[sides.left_on[i]].type;
    ExprPtr expr = plan::column(left, types[left]);
    if (left_padded)
      expr = plan::special(
          plan::ExprKind::kCoalesce,
          {plan::column(left, key.as_optional()), plan::coerce(plan::column(right, types[right]), key.as_optional())},
          key);
    keys.push_back(std::move(expr));
  }
  if (keys.empty())
    names.bind("instance", plan::literal(Value::none(), Type()));
  else
    names.bind("instance", keys.size() == 1 ? keys[0] : typed_call("make_tuple", keys));
  const auto selection = call.has("selectors") ? inverted_selection(lower, names) : names.selection("select");
  if (!selection) return error_object();

  std::vector<ExprPtr> exprs;
  for (const auto& item : *selection) exprs.push_back(item.expr);
  const std::uint32_t left_key = side_at - 2, right_key = side_at - 1;
  const auto num_left = static_cast<std::uint32_t>(sides.left.schema.size());
  for (const auto& [column, value] : defaults) {
    exprs.push_back(plan::column(column, types[column]));
    exprs.push_back(plan::column(column < num_left ? left_key : right_key, Type(Kind::kPointer, true)));
  }
  const Emission emission(types.size(), exprs);
  join.emit = emission.columns();
  Table joined = builder.add(std::move(join), {sides.left, sides.right}, emission.schema(types), lower.options(false));
  joined = without_forgetting(lower, std::move(joined), behavior);
  if (!defaults.empty()) {
    std::vector<NamedExpr> filled = all_columns(joined.schema);
    for (const auto& [column, value] : defaults) {
      const ExprPtr here = emission.remapped(plan::column(column, types[column]));
      const ExprPtr key =
          emission.remapped(plan::column(column < num_left ? left_key : right_key, Type(Kind::kPointer, true)));
      const Type own = column < num_left ? sides.left.schema.columns[column].type
                                         : sides.right.schema.columns[column - num_left].type;
      // A default stands in for a missing peer, not for a None of a peer.
      const ExprPtr present = plan::column(here->column, own);
      filled[here->column].expr =
          plan::special(plan::ExprKind::kIf, {typed_call("is_none", {key}), plan::literal(value, own), present}, own);
    }
    joined = lower.project(joined, filled);
  }
  std::vector<NamedExpr> result;
  for (const auto& item : *selection) result.push_back({item.name, item.span, emission.remapped(item.expr)});
  return lower.result(lower.project(joined, result));
}

// ---------------------------------------------------------------- asof_now_join

ObjectPtr build_asof_now_join(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  TimedSides timed(lower);
  const std::string how = take_how(lower, "inner");
  if (!timed.take_tables() || how.empty() || !lower.outside_loop()) return error_object();
  if (how == "right" || how == "outer")
    return lower.wrong(
        call.span_of("how"),
        "an asof_now join is `inner` or `left`: only left rows ask, right rows never appear by themselves");
  const auto key = join_key(lower, timed.sides(), how);
  if (!key) return error_object();
  if (*key == plan::JoinKey::kRight)
    return lower.wrong(call.span_of("id"), "the rows of an asof_now join are those of the left: `id` is `left.id`");
  const bool right_padded = how == "left";
  timed.place();
  JoinSides& sides = timed.sides();
  JoinedNames names(lower, sides, false, right_padded);
  const auto selection = names.selection("select");
  if (!selection) return error_object();
  std::vector<ExprPtr> exprs;
  for (const auto& item : *selection) exprs.push_back(item.expr);
  const std::vector<Type> types = joined_types(sides, false, right_padded);
  const Emission emission(types.size(), exprs);
  plan::AsofNowJoin join;
  join.how = how_of(how);
  join.left_on = sides.left_on;
  join.right_on = sides.right_on;
  join.key = *key;
  join.remember = !sides.left.append_only;
  join.emit = emission.columns();
  std::optional<UniverseId> universe;
  if (how == "left" && *key == plan::JoinKey::kLeft) universe = sides.left.universe;
  const bool append_only = sides.left.append_only;
  const Table joined = builder.add(std::move(join), {sides.left, sides.right}, emission.schema(types),
                                   lower.options(append_only, universe));
  std::vector<NamedExpr> result;
  for (const auto& item : *selection) result.push_back({item.name, item.span, emission.remapped(item.expr)});
  return lower.result(lower.project(joined, result));
}

// ---------------------------------------------------------------- window_join

// Rows of both sides as one table: [columns of left | columns of right | keys of the join… | time | is right | key].
Table union_of(const Lowering& lower, const JoinSides& sides, const std::uint32_t times[2], const Type& type) {
  std::vector<Table> parts;
  for (const bool left : {true, false}) {
    const Table& mine = left ? sides.left : sides.right;
    std::vector<NamedExpr> exprs;
    for (const bool of_left : {true, false}) {
      const Schema& schema = (of_left ? sides.left : sides.right).schema;
      for (std::uint32_t i = 0; i < schema.size(); ++i) {
        const Type optional = schema.columns[i].type.as_optional();
        ExprPtr expr = of_left == left ? plan::coerce(plan::column(i, schema.columns[i].type), optional)
                                       : plan::literal(Value::none(), optional);
        exprs.push_back({(of_left ? "l" : "r") + std::to_string(i), {}, std::move(expr)});
      }
    }
    for (std::size_t i = 0; i < sides.left_on.size(); ++i) {
      const Type common = common_supertype(sides.left.schema.columns[sides.left_on[i]].type,
                                           sides.right.schema.columns[sides.right_on[i]].type)
                              .value_or(Type(Kind::kAny));
      const std::uint32_t column = left ? sides.left_on[i] : sides.right_on[i];
      exprs.push_back(
          {"on" + std::to_string(i), {}, plan::coerce(plan::column(column, mine.schema.columns[column].type), common)});
    }
    exprs.push_back({"time", {}, plan::column(times[left ? 0 : 1], type)});
    exprs.push_back({"side", {}, plan::literal(Value::of(!left), Kind::kBool)});
    exprs.push_back({"key", {}, plan::key()});
    parts.push_back(lower.project(mine, exprs));
  }
  return lower.builder().add(plan::Concat{.reindex = true}, parts, parts[0].schema, lower.options(false));
}

// One side out of the union, with its own key: [its columns | session | start | end].
Table side_of_union(const Lowering& lower, const Table& rows, const JoinSides& sides, bool left, const Type& type) {
  const auto num_left = static_cast<std::uint32_t>(sides.left.schema.size()),
             num_right = static_cast<std::uint32_t>(sides.right.schema.size());
  const auto after = static_cast<std::uint32_t>(num_left + num_right + sides.left_on.size());
  const ExprPtr is_right = plan::column(after + 1, Kind::kBool);
  Table out = lower.builder().add(plan::Filter{left ? typed_call("not", {is_right}) : is_right}, {rows}, rows.schema,
                                  lower.options(false));
  out = lower.builder().add(plan::Rekey{plan::column(after + 2, Kind::kPointer)}, {out}, out.schema,
                            lower.options(false));
  std::vector<NamedExpr> exprs;
  const Schema& own = (left ? sides.left : sides.right).schema;
  for (std::uint32_t i = 0; i < own.size(); ++i)  // in a row of this side its columns are what they were
    exprs.push_back({own.columns[i].name, {}, plan::column((left ? 0 : num_left) + i, own.columns[i].type)});
  exprs.push_back({"_session", {}, plan::column(after + 3, Kind::kPointer)});
  exprs.push_back({"_pw_window_start", {}, plan::column(after + 4, type)});
  exprs.push_back({"_pw_window_end", {}, plan::column(after + 5, type)});
  return lower.project(out, exprs);
}

// Gives both sides the columns start and end (and a session), and joins on them: into sides; the columns to join by.
bool assign_windows(const Lowering& lower, const Instance& window, TimedSides& timed, Lengths& lengths,
                    std::uint32_t start[2], plan::Columns on[2]) {
  JoinSides& sides = timed.sides();
  const std::string& kind = window.component->name;
  plan::SessionAssign session;
  if (kind == "temporal.session") {
    if (!session_window(lower, *window.call, lengths.time(), lengths, session)) return false;
    if (session.predicate && !session_predicate(lower, *window.call, lengths.time(), session)) return false;
    session.max_gap = lengths.fit(session.max_gap);
  }
  std::optional<plan::WindowAssign> tiled;
  if (kind != "temporal.session") {
    tiled = tiled_window(lower, *window.call, kind == "temporal.tumbling", lengths);
    if (!tiled) return false;
  }
  const Type type = lengths.time();
  timed.place();
  std::uint32_t times[2];
  times[0] = timed.append(true, plan::coerce(timed.left_time, type));
  times[1] = timed.append(false, plan::coerce(timed.right_time, type));
  on[0] = sides.left_on;
  on[1] = sides.right_on;
  if (tiled) {
    for (const bool left : {true, false}) {
      Table& table = left ? sides.left : sides.right;
      const int at = left ? 0 : 1;
      plan::WindowAssign assign = *tiled;
      assign.time = times[at];
      Schema schema = table.schema;
      start[at] = static_cast<std::uint32_t>(schema.size());
      schema.columns.push_back({"_pw_window_start", type});
      schema.columns.push_back({"_pw_window_end", type});
      const std::string name = table.name;
      table = lower.builder().add(std::move(assign), {table}, std::move(schema), lower.options(table.append_only));
      table.name = name;
      on[at].push_back(start[at]);
      on[at].push_back(start[at] + 1);
    }
    return true;
  }
  Table rows = union_of(lower, sides, times, type);
  const auto first_on = static_cast<std::uint32_t>(sides.left.schema.size() + sides.right.schema.size());
  for (std::uint32_t i = 0; i < sides.left_on.size(); ++i) session.instance.push_back(first_on + i);
  session.time = static_cast<std::uint32_t>(first_on + sides.left_on.size());
  session.bounds = true;
  Schema schema = rows.schema;
  schema.columns.push_back({"_session", Kind::kPointer});
  schema.columns.push_back({"_pw_window_start", type});
  schema.columns.push_back({"_pw_window_end", type});
  rows = lower.builder().add(std::move(session), {rows}, std::move(schema), lower.options(false));
  Table left = side_of_union(lower, rows, sides, true, type), right = side_of_union(lower, rows, sides, false, type);
  left.name = sides.left.name;
  right.name = sides.right.name;
  start[0] = static_cast<std::uint32_t>(sides.left.schema.size() + 1);
  start[1] = static_cast<std::uint32_t>(sides.right.schema.size() + 1);
  sides.left = std::move(left);
  sides.right = std::move(right);
  on[0].push_back(start[0] - 1);
  on[1].push_back(start[1] - 1);
  return true;
}

ObjectPtr build_window_join(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  TimedSides timed(lower);
  const std::string how = take_how(lower, "inner");
  const Instance* window = window_argument(lower);
  if (!timed.take_tables() || how.empty() || window == nullptr || !timed.take_times()) return error_object();
  if (window->component->name == "temporal.intervals_over")
    return lower.wrong(call.span_of("window"), "`!window_join` does not take `intervals_over`",
                       "`!interval_join` joins rows within bounds");
  Lengths lengths(lower, TimedSides::common_time(timed.left_time->type, timed.right_time->type));
  std::uint32_t start[2];
  plan::Columns on[2];
  if (!assign_windows(lower, *window, timed, lengths, start, on)) return error_object();
  const Type type = lengths.time();
  JoinSides& sides = timed.sides();
  const bool left_padded = how == "right" || how == "outer", right_padded = how == "left" || how == "outer";
  JoinedNames names(lower, sides, left_padded, right_padded);
  const std::vector<Type> types = joined_types(sides, left_padded, right_padded);
  const auto num_left = static_cast<std::uint32_t>(sides.left.schema.size());
  const auto bound = [&](std::uint32_t offset) -> ExprPtr {
    const std::uint32_t left = start[0] + offset, right = num_left + start[1] + offset;
    if (!left_padded) return plan::column(left, type);
    if (!right_padded) return plan::column(right, type);
    return plan::special(plan::ExprKind::kCoalesce,
                         {plan::column(left, types[left]), plan::column(right, types[right])}, type);
  };
  for (const char* name : {"_pw_window_start", "window.start"}) names.bind(name, bound(0));
  for (const char* name : {"_pw_window_end", "window.end"}) names.bind(name, bound(1));
  std::vector<ExprPtr> keys;
  for (std::size_t i = 0; i < sides.left_on.size(); ++i) {
    const std::uint32_t left = sides.left_on[i], right = num_left + sides.right_on[i];
    const Type key = sides.left.schema.columns[sides.left_on[i]].type;
    keys.push_back(left_padded ? plan::special(plan::ExprKind::kCoalesce,
                                               {plan::column(left, key.as_optional()),
                                                plan::coerce(plan::column(right, types[right]), key.as_optional())},
                                               key)
                               : plan::column(left, types[left]));
  }
  const ExprPtr instance = keys.empty()       ? plan::literal(Value::none(), Type())
                           : keys.size() == 1 ? keys[0]
                                              : typed_call("make_tuple", keys);
  names.bind("_pw_instance", instance);
  names.bind("_pw_window", typed_call("make_tuple", {instance, bound(0), bound(1)}));
  const auto selection = names.selection("select");
  if (!selection) return error_object();
  std::vector<ExprPtr> exprs;
  for (const auto& item : *selection) exprs.push_back(item.expr);
  const Emission emission(types.size(), exprs);
  plan::Join join;
  join.how = how_of(how);
  join.left_on = on[0];
  join.right_on = on[1];
  join.emit = emission.columns();
  const bool append_only = how == "inner" && sides.left.append_only && sides.right.append_only;
  const Table joined =
      builder.add(std::move(join), {sides.left, sides.right}, emission.schema(types), lower.options(append_only));
  std::vector<NamedExpr> result;
  for (const auto& item : *selection) result.push_back({item.name, item.span, emission.remapped(item.expr)});
  return lower.result(lower.project(joined, result));
}

// ---------------------------------------------------------------- rows

ArgSpec how_arg(std::string_view fallback) {
  ArgSpec how = arg("how", ArgKind::kEnum, false, "which rows without a partner stay, padded with None");
  how.choices = {"inner", "left", "right", "outer"};
  how.fallback = fallback;
  return how;
}

std::vector<ArgSpec> sides_args() {
  return {arg("left", ArgKind::kTable, true, "the left table", {"left_table", "table"}),
          arg("right", ArgKind::kTable, true, "the right table", {"right_table", "other"}),
          arg("on", ArgKind::kExprList, false, "`left.a == right.b`, `a == b`, or a name that both have"),
          arg("left_instance", ArgKind::kExpr, false, "one more equality, with `right_instance`"),
          arg("right_instance", ArgKind::kExpr, false, "what `left_instance` is to be equal to")};
}

std::vector<ArgSpec> timed_args() {
  std::vector<ArgSpec> out = sides_args();
  out.push_back(arg("left_time", ArgKind::kExpr, false, "when a left row happened", {"self_time"}));
  out.push_back(arg("right_time", ArgKind::kExpr, false, "when a right row happened", {"other_time"}));
  return out;
}

ArgSpec select_arg() {
  return arg("select", ArgKind::kExprList, false, "the columns of the result; default all of both", {"columns"});
}
ArgSpec behavior_arg() { return arg("behavior", ArgKind::kComponent, false, "how late rows of each side may be"); }

}  // namespace

void add_temporal_join_components(Components& out) {
  std::vector<ArgSpec> interval = timed_args();
  for (const char* name : {"left_time_lower", "left_time_upper", "right_time_lower", "right_time_upper"})
    interval.push_back(
        arg(name, ArgKind::kExpr, false, "in place of a point in time, a range: rows join whose ranges overlap"));
  interval.push_back(arg("lower", ArgKind::kDurationOrNumber, false,
                         "the right time is at least the left time plus this", {"lower_bound"}));
  interval.push_back(arg("upper", ArgKind::kDurationOrNumber, false,
                         "the right time is at most the left time plus this", {"upper_bound"}));
  interval.insert(interval.end(), {how_arg("inner"), behavior_arg(), select_arg()});
  out.push_back(table_component("interval_join", std::move(interval), "Rows of two tables that are close in time.",
                                "!interval_join {left: $orders, right: $shipments, left_time: left.at, right_time: "
                                "right.at, lower: 0s, upper: 2h, on: [order], select: [order, {shipped: right.at}]}",
                                build_interval_join, {"temporal.interval_join"}));

  std::vector<ArgSpec> asof = timed_args();
  ArgSpec direction = arg("direction", ArgKind::kEnum, false, "where the peer is looked for");
  direction.choices = {"backward", "forward", "nearest"};
  direction.fallback = "backward";
  ArgSpec emit = arg("emit", ArgKind::kEnum, false,
                     "one result per row of the left, the right, or either: another word for `how`");
  emit.choices = {"left", "right", "all"};
  asof.insert(asof.end(),
              {how_arg("left"), direction, emit,
               arg("tolerance", ArgKind::kDurationOrNumber, false, "how far away a peer may be", {"time_distance"}),
               arg("closed_window", ArgKind::kBool, false, "whether a peer exactly that far away counts; default true"),
               arg("defaults", ArgKind::kExprMap, false, "`left.c` or `right.c`: what stands there without a peer"),
               arg("behavior", ArgKind::kAny, false, "how late rows of each side may be"),
               arg("index", ArgKind::kAny, false, "an error: not needed"), select_arg(),
               arg("selectors", ArgKind::kExprMap, false, "`select` the other way round: expression: name")});
  out.push_back(table_component("asof_join", std::move(asof),
                                "Each row with the nearest row in time of the other table.",
                                "!asof_join {left: $trades, right: $quotes, left_time: left.at, right_time: right.at, "
                                "on: [symbol], select: [left.at, price, {bid: right.bid}]}",
                                build_asof_join, {"temporal.asof_join"}));

  std::vector<ArgSpec> now = sides_args();
  now.insert(now.end(), {how_arg("inner"), arg("id", ArgKind::kExpr, false, "`left.id`: the result has the left keys"),
                         select_arg()});
  out.push_back(table_component("asof_now_join", std::move(now),
                                "Each left row with what the right table is when it comes; never revised.",
                                "!asof_now_join {left: $queries, right: $data, on: [word], how: left}",
                                build_asof_now_join, {"temporal.asof_now_join"}));

  std::vector<ArgSpec> window = timed_args();
  window.insert(window.end(),
                {arg("window", ArgKind::kComponent, false, "`!temporal.tumbling`, `sliding` or `session`"),
                 how_arg("inner"), select_arg()});
  out.push_back(table_component("window_join", std::move(window), "Rows of two tables that share a window.",
                                "!window_join {left: $a, right: $b, left_time: left.at, right_time: right.at, window: "
                                "!temporal.tumbling {duration: 1m}, select: {a: left.x, b: right.x}}",
                                build_window_join, {"temporal.window_join"}));
}

}  // namespace thalweg::lang
