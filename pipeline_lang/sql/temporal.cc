// TUMBLE, HOP and SESSION; ASOF JOIN; bands as interval joins.

#include <algorithm>

#include "engine/types/datetime.h"
#include "pipeline_lang/sql/planner.h"

namespace thalweg::sql {

using plan::ExprKind;

namespace {

// Windows of datetimes begin on Mondays, as `!windowby` has it.
constexpr std::int64_t kMonday1973 = 94'694'400 * kNsPerSecond;

bool is_time(const Type& type) { return type.is_number() || type.is_datetime(); }

// The type of a length of time on this axis.
Type length_type(const Type& time) { return time.is_datetime() ? Type(Kind::kDuration) : time.without_optional(); }

bool is_positive(const Value& value) {
  return value.tag() == Value::Tag::kFloat ? value.as_float() > 0 : value.as_int() > 0;
}

}  // namespace

// ---------------------------------------------------------------- table functions

// Rows whose `exprs` are not NULL, with them as plain columns at the end.
Planner::Side Planner::with_plain_columns(const Side& side, const std::vector<ExprPtr>& exprs, plan::Columns& at) {
  plan::Columns found;
  Side wide = with_key_columns(side, exprs, found);
  Logic present;
  present.kind = Logic::Kind::kAnd;
  std::vector<ExprPtr> kept = all_columns(wide.columns);
  std::vector<ColumnSpec> columns = wide.columns;
  for (std::size_t i = 0; i < exprs.size(); ++i) {
    ExprPtr time = plan::column(found[i], wide.columns[found[i]].type);
    if (time->type.admits_none()) present.parts.push_back(Logic::negation(Logic::of(is_null(time))));
    at.push_back(static_cast<std::uint32_t>(kept.size()));
    Type plain = time->type.without_optional();
    kept.push_back(plan::column(found[i], plain));
    columns.push_back({"_time_" + std::to_string(i), plain});
  }
  NodeId node = wide.node;
  if (!present.parts.empty()) node = add(plan::Filter{is_true(present)}, {node}, wide.columns, "filter");
  return {project(node, kept, names_of(columns)), columns};
}

Result<Value> Planner::constant_length(const Ast& ast, const Type& time, std::string_view what, bool positive) {
  Context nothing;
  ExprPtr expr = TRY(value(nothing, ast));
  Type type = length_type(time);
  Result<ExprPtr> length = convert(expr, type, span(ast.place));
  if (!length || (*length)->kind != ExprKind::kLiteral || (*length)->literal.is_none())
    return error(
        std::string(what) + " must be a constant `" + type.to_text() + "`, as times are `" + time.to_text() + "`",
        ast.place);
  if (positive && !is_positive((*length)->literal)) return error(std::string(what) + " must be above zero", ast.place);
  return (*length)->literal;
}

Result<FromPart> Planner::window_function(Context& ctx, const Factor& factor) {
  bool tumble = factor.name == "TUMBLE", hop = factor.name == "HOP", session = factor.name == "SESSION";
  if (!tumble && !hop && !session) {
    return error("unknown table function `" + factor.name + "`; there are TUMBLE, HOP and SESSION", factor.place);
  }
  std::size_t lengths = hop ? 2 : 1;
  std::size_t most = 2 + lengths + (session ? 0 : 1);
  if (factor.args.size() < 2 + lengths || factor.args.size() > most)
    return error("`" + factor.name + "` takes a table, its time column and " +
                     (hop       ? "the slide and the size"
                      : session ? "the gap"
                                : "the size"),
                 factor.place);
  const Ast& source = *factor.args[0];
  Relation relation;
  if (source.kind == AstKind::kColumn && source.qualifier.empty()) {
    relation = TRY(table(source.name, ctx.env, source.place));
  } else if (source.kind == AstKind::kScalar) {
    Output output = TRY(query(*source.query, nullptr, ctx.env, false));
    relation = std::move(output.relation);
  } else {
    return error("the first argument of `" + factor.name + "` is a table", source.place);
  }
  // The time and the partition are columns of that table.
  Context inside;
  inside.env = ctx.env;
  for (std::uint32_t i = 0; i < relation.columns.size(); ++i) {
    inside.scope.columns.push_back({source.name, relation.columns[i].name, relation.columns[i].type});
    inside.scope.star.push_back({relation.columns[i].name, {i}});
  }
  ExprPtr time = TRY(value(inside, *factor.args[1]));
  if (!is_time(time->type))
    return error("the time of `" + factor.name + "` is a number or a datetime, found `" + time->type.to_text() + "`",
                 factor.args[1]->place);
  std::vector<ExprPtr> partition;
  for (const AstPtr& by : factor.partition) partition.push_back(TRY(value(inside, *by)));
  if (!inside.virtuals.empty()) return error("only columns can stand here", inside.virtuals.front().place);
  if (!partition.empty() && !session) return error("only SESSION has a PARTITION BY", factor.place);
  plan::Columns at;
  Side rows = with_plain_columns({relation.node, relation.columns}, {time}, at);
  const Type type = rows.columns[at[0]].type;
  std::vector<ColumnSpec> columns = rows.columns;
  NodeId node;
  std::uint32_t bounds = 0;
  if (session) {
    plan::SessionAssign assign;
    rows = with_key_columns(rows, partition, assign.instance);
    columns = rows.columns;
    assign.time = at[0];
    assign.bounds = true;
    assign.max_gap = TRY(constant_length(*factor.args[2], type, "the gap", true));
    columns.push_back({"_session", Kind::kPointer});
    bounds = static_cast<std::uint32_t>(columns.size());
    columns.push_back({"window_start", type});
    columns.push_back({"window_end", type});
    node = add(std::move(assign), {rows.node}, columns, "session");
  } else {
    plan::WindowAssign assign;
    assign.time = at[0];
    assign.hop = TRY(constant_length(*factor.args[2], type, hop ? "the slide" : "the size", true));
    assign.duration = hop ? TRY(constant_length(*factor.args[3], type, "the size", true)) : assign.hop;
    std::int64_t start = type.is_datetime() ? kMonday1973 : 0;
    double real_start = 0;
    if (factor.args.size() == most) {
      Value offset = TRY(constant_length(*factor.args.back(), type, "the offset", false));
      if (offset.tag() == Value::Tag::kFloat)
        real_start = offset.as_float();
      else
        start += offset.as_int() % assign.hop.as_int();
    }
    assign.origin = type.is(Kind::kFloat)           ? Value::of(real_start)
                    : type.is(Kind::kDateTimeUtc)   ? Value::datetime_utc(start)
                    : type.is(Kind::kDateTimeNaive) ? Value::datetime_naive(start)
                                                    : Value::of(start);
    bounds = static_cast<std::uint32_t>(columns.size());
    columns.push_back({"window_start", type});
    columns.push_back({"window_end", type});
    node = add(std::move(assign), {rows.node}, columns, "windows");
  }
  Relation out;
  out.columns = relation.columns;
  std::vector<ExprPtr> kept = all_columns(relation.columns);
  for (std::uint32_t i = 0; i < 2; ++i) {
    out.columns.push_back({i == 0 ? "window_start" : "window_end", type});
    kept.push_back(plan::column(bounds + i, type));
  }
  out.node = project(node, kept, names_of(out.columns));
  Factor named;
  named.place = factor.place;
  named.name = source.name;
  named.alias = factor.alias;
  named.column_aliases = factor.column_aliases;
  return leaf(named, std::move(out), {});
}

// ---------------------------------------------------------------- ASOF JOIN

// ON: equalities, and one `left.time >= right.time` (or <=, >, <).
Result<FromPart> Planner::join_asof(const Context& ctx, const JoinStep& step, FromPart left, FromPart right,
                                    std::vector<ExprPtr> on, FromPart both) {
  auto shift = static_cast<std::uint32_t>(left.scope.columns.size());
  Context sides;
  sides.scope = both.scope;
  for (const std::vector<ExprPtr>* list : {&on, &left.conditions, &right.conditions})
    for (const ExprPtr& condition : *list) {
      std::set<std::uint32_t> columns;
      columns_of(*condition, columns);
      for (std::uint32_t column : columns)
        if (const Virtual* other = ctx.find_virtual(column))
          return error("ON of an ASOF JOIN takes columns of its two sides only", other->place);
    }
  auto side_of = [&](const ExprPtr& expr) {
    std::set<std::uint32_t> columns;
    columns_of(*expr, columns);
    int side = 0;
    for (std::uint32_t column : columns) side |= column < shift ? 1 : 2;
    return side;
  };
  std::vector<ExprPtr> left_on, right_on;
  ExprPtr left_time, right_time;
  std::string op;
  for (const ExprPtr& condition : on) {
    if (std::optional<Sides> sides_of = as_equality(*condition)) {
      if (side_of(sides_of->left) == 2) std::swap(sides_of->left, sides_of->right);
      if (side_of(sides_of->left) == 1 && side_of(sides_of->right) == 2) {
        left_on.push_back(sides_of->left);
        right_on.push_back(sides_of->right);
        continue;
      }
    }
    bool is_order = condition->kind == ExprKind::kCall && condition->args.size() == 2 &&
                    (condition->function == "ge" || condition->function == "gt" || condition->function == "le" ||
                     condition->function == "lt");
    int a = is_order ? side_of(condition->args[0]) : 0, b = is_order ? side_of(condition->args[1]) : 0;
    if (!op.empty() || !is_order || (a | b) != 3 || a == b)
      return error("ON of an ASOF JOIN is equalities and one comparison of times such as `a.t >= b.t`", step.place);
    bool turned = a == 2;
    left_time = condition->args[turned ? 1 : 0];
    right_time = condition->args[turned ? 0 : 1];
    op = condition->function;
    if (turned) op = op == "ge" ? "le" : op == "gt" ? "lt" : op == "le" ? "ge" : "gt";
  }
  if (op.empty()) return error("ON of an ASOF JOIN needs a comparison of times such as `a.t >= b.t`", step.place);
  if (!is_time(left_time->type))
    return error("the times of an ASOF JOIN are numbers or datetimes, found `" + left_time->type.to_text() + "`",
                 step.place);
  if (op == "gt" || op == "lt") {
    // Strictly before: at most one tick earlier.
    if (left_time->type.is(Kind::kFloat)) return error("an ASOF JOIN of floats takes >= or <=", step.place);
    ExprPtr tick = left_time->type.is(Kind::kInt) ? int_literal(1) : plan::literal(Value::duration(1), Kind::kDuration);
    left_time = TRY(arithmetic(op == "gt" ? "-" : "+", left_time, tick, span(step.place)));
  }
  bool keep_left = step.kind == JoinKind::kAsofLeft;
  auto everything = [](const FromPart& part) {
    std::set<std::uint32_t> all;
    for (std::uint32_t i = 0; i < part.scope.columns.size(); ++i) all.insert(i);
    return all;
  };
  Stage l = TRY(join_leaves(sides, left, {}, everything(left)));
  Stage r = TRY(join_leaves(sides, right, {}, everything(right)));
  std::map<std::uint32_t, std::uint32_t> moved;
  for (const auto& [column, at] : r.where) moved[column + shift] = at;
  r.where = std::move(moved);
  auto wide_columns = [&](const Stage& stage, const std::vector<ExprPtr>& keys, const ExprPtr& time,
                          plan::Columns& at) -> Result<Side> {
    std::vector<ExprPtr> placed = TRY(place_all(sides, stage, keys));
    placed.push_back(TRY(place(sides, stage, time)));
    return with_plain_columns({stage.node, stage.columns}, placed, at);
  };
  plan::AsofJoin join;
  Side wl = TRY(wide_columns(l, left_on, left_time, join.left_on));
  Side wr = TRY(wide_columns(r, right_on, right_time, join.right_on));
  join.left_time = join.left_on.back();
  join.left_on.pop_back();
  join.right_time = join.right_on.back();
  join.right_on.pop_back();
  join.direction = op == "ge" || op == "gt" ? plan::AsofDirection::kBackward : plan::AsofDirection::kForward;

  auto right_key = static_cast<std::uint32_t>(wl.columns.size() + wr.columns.size() + 1);
  std::vector<ColumnSpec> emitted, columns;
  for (std::uint32_t i = 0; i < both.scope.columns.size(); ++i) {
    ScopeColumn& column = both.scope.columns[i];
    bool is_left = i < shift;
    join.emit.push_back(is_left ? l.where.at(i) : static_cast<std::uint32_t>(wl.columns.size()) + r.where.at(i));
    emitted.push_back({column.name, is_left ? column.type : column.type.as_optional()});
    if (!is_left && keep_left) column.type = column.type.as_optional();
    columns.push_back({column.name, column.type});
  }
  join.emit.push_back(right_key);
  emitted.push_back({"_right_key", Type(Kind::kPointer, true)});
  NodeId node = add(std::move(join), {wl.node, wr.node}, emitted, "asof join");
  if (!keep_left) {
    ExprPtr key = plan::column(static_cast<std::uint32_t>(columns.size()), Type(Kind::kPointer, true));
    node = add(plan::Filter{is_true(Logic::negation(Logic::of(is_null(key))))}, {node}, emitted, "filter");
  }
  node = project(node, all_columns(columns), names_of(columns));
  if (keep_left) {
    // Rows without a time or a key match nothing.
    Logic missing;
    missing.kind = Logic::Kind::kOr;
    std::vector<ExprPtr> needed = left_on;
    needed.push_back(left_time);
    for (const ExprPtr& expr : TRY(place_all(sides, l, needed)))
      if (expr->type.admits_none()) missing.parts.push_back(Logic::of(is_null(expr)));
    if (!missing.parts.empty()) {
      NodeId alone = add(plan::Filter{is_true(missing)}, {l.node}, l.columns, "filter");
      std::vector<ExprPtr> padded;
      for (std::uint32_t i = 0; i < columns.size(); ++i)
        padded.push_back(i < shift ? plan::column(l.where.at(i), columns[i].type) : null_literal(columns[i].type));
      node = add(plan::Concat{true}, {node, project(alone, padded, names_of(columns))}, columns, "asof join");
    }
  }
  both.leaves = {{node, 0, columns, {}}};
  both.conditions.clear();
  return both;
}

// ---------------------------------------------------------------- bands

// `x >= low AND x <= high`, x on one side and both bounds on the other: rows meet where a point is in a range.
std::optional<Planner::Band> Planner::find_band(const std::vector<ExprPtr>& conditions, const Stage& left,
                                                const Stage& right) {
  auto on = [](const Stage& stage, const ExprPtr& expr) {
    std::set<std::uint32_t> columns;
    columns_of(*expr, columns);
    return !columns.empty() &&
           std::all_of(columns.begin(), columns.end(), [&](std::uint32_t c) { return stage.where.contains(c); });
  };
  struct Bound {
    std::size_t at;
    ExprPtr point, bound;
    bool lower;  // point >= bound
    bool point_left;
  };
  std::vector<Bound> bounds;
  for (std::size_t i = 0; i < conditions.size(); ++i) {
    const plan::Expr& c = *conditions[i];
    if (c.kind != ExprKind::kCall || (c.function != "ge" && c.function != "le") || !is_time(c.args[0]->type)) continue;
    for (bool turned : {false, true}) {
      const ExprPtr& point = c.args[turned ? 1 : 0];
      const ExprPtr& bound = c.args[turned ? 0 : 1];
      bool lower = (c.function == "ge") != turned;
      if (on(left, point) && on(right, bound))
        bounds.push_back({i, point, bound, lower, true});
      else if (on(right, point) && on(left, bound))
        bounds.push_back({i, point, bound, lower, false});
    }
  }
  for (const Bound& low : bounds)
    for (const Bound& high : bounds)
      if (low.lower && !high.lower && low.at != high.at && low.point_left == high.point_left &&
          same_expr(*low.point, *high.point))
        return Band{low.at, high.at, low.point, low.bound, high.bound, low.point_left};
  return std::nullopt;
}

Result<Planner::Side> Planner::join_band(const Context& ctx, const Stage& left, const std::vector<ExprPtr>& left_on,
                                         const Stage& right, const std::vector<ExprPtr>& right_on, const Band& band) {
  auto widen = [&](const Stage& stage, std::vector<ExprPtr> keys, bool has_point, plan::Columns& at) -> Result<Side> {
    if (has_point) {
      keys.push_back(TRY(place(ctx, stage, band.point)));
    } else {
      keys.push_back(TRY(place(ctx, stage, band.low)));
      keys.push_back(TRY(place(ctx, stage, band.high)));
    }
    return with_plain_columns({stage.node, stage.columns}, keys, at);
  };
  plan::IntervalJoin join;
  Side wl = TRY(widen(left, left_on, band.point_left, join.left_on));
  Side wr = TRY(widen(right, right_on, !band.point_left, join.right_on));
  auto take = [](plan::Columns& columns, bool is_point, std::uint32_t& lower, std::uint32_t& upper) {
    upper = columns.back();
    columns.pop_back();
    lower = is_point ? upper : columns.back();
    if (!is_point) columns.pop_back();
  };
  take(join.left_on, band.point_left, join.left_lower, join.left_upper);
  take(join.right_on, !band.point_left, join.right_lower, join.right_upper);
  Side out;
  for (std::uint32_t i = 0; i < left.columns.size(); ++i) {
    join.emit.push_back(i);
    out.columns.push_back(left.columns[i]);
  }
  for (std::uint32_t i = 0; i < right.columns.size(); ++i) {
    join.emit.push_back(static_cast<std::uint32_t>(wl.columns.size()) + i);
    out.columns.push_back(right.columns[i]);
  }
  out.node = add(std::move(join), {wl.node, wr.node}, out.columns, "interval join");
  return out;
}

}  // namespace thalweg::sql
