// Aggregates and GROUP BY.

#include <algorithm>

#include "pipeline_lang/sql/planner.h"

namespace thalweg::sql {

using plan::ExprKind;
using plan::ReducerKind;

namespace {

bool has_aggregate(const Context& ctx, const plan::Expr& expr) {
  if (expr.kind == ExprKind::kColumn) {
    const Virtual* found = ctx.find_virtual(expr.column);
    return found && found->kind == Virtual::Kind::kAggregate;
  }
  return std::any_of(expr.args.begin(), expr.args.end(), [&](const ExprPtr& arg) { return has_aggregate(ctx, *arg); });
}

bool same_exprs(const std::vector<ExprPtr>& a, const std::vector<ExprPtr>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const ExprPtr& x, const ExprPtr& y) { return same_expr(*x, *y); });
}

bool same_aggregate(const Aggregate& a, const Aggregate& b) {
  return a.kind == b.kind && a.type == b.type && a.distinct == b.distinct && a.parameter == b.parameter &&
         a.separator == b.separator && same_exprs(a.args, b.args) && same_exprs(a.order, b.order);
}

bool counts(ReducerKind kind) {
  return kind == ReducerKind::kCount || kind == ReducerKind::kCountDistinct ||
         kind == ReducerKind::kCountDistinctApproximate;
}

}  // namespace

Result<ExprPtr> Planner::aggregate(Context& ctx, const Ast& ast, const AggregateRow& row) {
  SourceSpan where = span(ast.place);
  std::string name(row.name);
  if (ast.star && row.kind != ReducerKind::kCount) return error("only COUNT takes `*`", ast.place);
  if (!ast.star && (ast.args.size() < std::max<std::size_t>(row.args_min, 1) || ast.args.size() > row.args_max))
    return error("`" + name + "` takes " + std::to_string(row.args_max) +
                     (row.args_max == 1 ? " argument" : " arguments") +
                     (row.kind == ReducerKind::kCount ? " or `*`" : ""),
                 ast.place);
  bool was_inside = std::exchange(ctx.inside_aggregate, true);
  std::vector<ExprPtr> args;
  std::vector<ExprPtr> order;
  std::optional<Error> fault;
  ExprPtr filter;
  auto read = [&]() -> Result<void> {
    for (const AstPtr& arg : ast.args) args.push_back(TRY(value(ctx, *arg)));
    for (const OrderItem& by : ast.order) {
      ExprPtr key = TRY(value(ctx, *by.expr));
      if (by.descending && !key->type.is_number())
        return error("ORDER BY … DESC inside an aggregate takes numbers only", by.expr->place);
      order.push_back(by.descending ? TRY(negate(key, where)) : key);
    }
    if (ast.filter) filter = sql::is_true(TRY(logic(ctx, *ast.filter, "FILTER")));
    return {};
  };
  Result<void> done = read();
  ctx.inside_aggregate = was_inside;
  TRY(std::move(done));
  for (const std::vector<ExprPtr>* list : {&args, &order})
    for (const ExprPtr& expr : *list)
      if (has_aggregate(ctx, *expr)) return error("`" + name + "` cannot contain another aggregate", ast.place);
  if (filter && has_aggregate(ctx, *filter)) return error("FILTER cannot contain an aggregate", ast.place);

  Aggregate aggregate;
  aggregate.kind = row.kind;
  aggregate.skip_nones = !row.keeps_nulls;
  aggregate.is_count = counts(row.kind);
  aggregate.order = std::move(order);
  if (row.kind == ReducerKind::kQuantile) {
    bool number = args[1]->kind == ExprKind::kLiteral && args[1]->type.is_number() && !args[1]->literal.is_none();
    double q = !number                        ? -1
               : args[1]->type.is(Kind::kInt) ? static_cast<double>(args[1]->literal.as_int())
                                              : args[1]->literal.as_float();
    if (!(q >= 0 && q <= 1)) return error("the second argument of `" + name + "` is a number from 0 to 1", ast.place);
    aggregate.parameter = q;
    args.pop_back();
  }
  if (row.kind == ReducerKind::kStringAgg) {
    aggregate.separator = ",";
    if (args.size() == 2) {
      if (args[1]->kind != ExprKind::kLiteral || !args[1]->type.is_plain(Kind::kStr))
        return error("the separator of `" + name + "` is a text in quotes", ast.place);
      aggregate.separator = args[1]->literal.as_text();
      args.pop_back();
    }
    if (!args[0]->type.is(Kind::kStr)) args[0] = TRY(cast_sql(args[0], Kind::kStr, where));
  }
  if (row.type == AggregateType::kBool) args[0] = TRY(as_condition(args[0], "the argument of " + name, where));
  if (row.numeric) {
    if (args[0]->type.is(Kind::kBool) || is_null_literal(*args[0])) args[0] = TRY(convert(args[0], Kind::kInt, where));
    bool fits = args[0]->type.is_number() || args[0]->type.is(Kind::kAny) ||
                (args[0]->type.is(Kind::kDuration) && (row.kind == ReducerKind::kSum || row.kind == ReducerKind::kAvg));
    if (!fits) return error("`" + name + "` takes numbers, found `" + args[0]->type.to_text() + "`", ast.place);
    if (row.name == "TOTAL") args[0] = TRY(convert(args[0], Kind::kFloat, where));
  } else if (!args.empty() && is_null_literal(*args[0])) {
    args[0] = null_literal(Kind::kInt, where);
  }
  Type type = args.empty() ? Type(Kind::kInt) : aggregate_type(row, args);
  if (row.type == AggregateType::kArgument && args.size() == 2) std::swap(args[0], args[1]);  // MIN_BY(result, value)
  aggregate.type = aggregate.is_count ? type : type.as_optional();
  aggregate.distinct = ast.distinct && !row.distinct_is_idle;
  if (row.kind == ReducerKind::kCount && ast.distinct) {
    if (args.empty()) return error("COUNT(DISTINCT *) is not supported; name the columns", ast.place);
    aggregate.kind = ReducerKind::kCountDistinct;
    aggregate.distinct = false;
  }
  if (!aggregate.order.empty() && aggregate.distinct &&
      !(aggregate.order.size() == 1 && same_expr(*aggregate.order[0], *args[0])))
    return error("with DISTINCT, ORDER BY inside an aggregate takes its argument only", ast.place);
  if (filter) {
    // What the filter drops is NULL, and NULLs do not count.
    aggregate.skip_nones = true;
    if (args.empty()) args.push_back(bool_literal(true, where));
    args[0] = if_then(filter, plan::coerce(args[0], args[0]->type.as_optional()),
                      null_literal(args[0]->type.without_optional()));
  }
  aggregate.args = std::move(args);

  auto as_used = [&](ExprPtr column) -> ExprPtr {
    if (row.name != "TOTAL") return column;
    ExprPtr zero = plan::literal(Value::of(0.0), Kind::kFloat, where);
    return plan::special(ExprKind::kCoalesce, {column, zero}, Kind::kFloat, where);
  };
  for (std::size_t i = 0; i < ctx.virtuals.size(); ++i) {
    const Virtual& known = ctx.virtuals[i];
    if (known.kind == Virtual::Kind::kAggregate && same_aggregate(known.aggregate, aggregate))
      return as_used(plan::column(kVirtual + static_cast<std::uint32_t>(i), known.type, where));
  }
  Virtual made;
  made.kind = Virtual::Kind::kAggregate;
  made.type = aggregate.type;
  made.place = ast.place;
  made.aggregate = std::move(aggregate);
  return as_used(ctx.add_virtual(std::move(made), where));
}

// ---------------------------------------------------------------- grouping

Result<Planner::Grouped> Planner::plain_group(const Context& ctx, const Stage& stage, const std::vector<ExprPtr>& by,
                                              const std::vector<std::uint32_t>& aggregates, bool one_row) {
  std::vector<ExprPtr> exprs = TRY(place_all(ctx, stage, by));
  plan::GroupBy group;
  group.always_one_row = one_row;
  Grouped out;
  for (std::uint32_t i = 0; i < exprs.size(); ++i) {
    group.by.push_back(i);
    out.columns.push_back({"_by_" + std::to_string(i), exprs[i]->type});
  }
  for (std::uint32_t column : aggregates) {
    const Aggregate& aggregate = ctx.find_virtual(column)->aggregate;
    plan::Reducer reducer;
    reducer.kind = aggregate.kind;
    reducer.type = aggregate.type;
    reducer.skip_nones = aggregate.skip_nones;
    reducer.none_if_empty = true;
    reducer.parameter = aggregate.parameter;
    reducer.separator = aggregate.separator;
    for (const ExprPtr& arg : aggregate.args) {
      ExprPtr placed = TRY(place(ctx, stage, arg));
      auto known = std::find_if(exprs.begin(), exprs.end(), [&](const ExprPtr& e) { return same_expr(*e, *placed); });
      reducer.args.push_back(static_cast<std::uint32_t>(known - exprs.begin()));
      if (known == exprs.end()) exprs.push_back(placed);
    }
    out.columns.push_back({"_agg_" + std::to_string(column - kVirtual), aggregate.type});
    group.reducers.push_back(std::move(reducer));
  }
  std::vector<std::string> names;
  for (std::size_t i = 0; i < exprs.size(); ++i) names.push_back("_in_" + std::to_string(i));
  NodeId input = project(stage.node, exprs, names);
  out.node = add(std::move(group), {input}, out.columns, "group");
  return out;
}

// An aggregate over distinct values, or in an order of its own: a grouping by itself.
Result<Planner::Grouped> Planner::special_group(const Context& ctx, const Stage& stage, const std::vector<ExprPtr>& by,
                                                const Aggregate& aggregate) {
  std::vector<ExprPtr> exprs = TRY(place_all(ctx, stage, by));
  Stage rows = stage;
  std::vector<ExprPtr> args = TRY(place_all(ctx, stage, aggregate.args));
  if (aggregate.skip_nones) {
    Logic present = Logic::negation(Logic::of(is_null(args[0])));
    if (args[0]->type.admits_none())
      rows.node = add(plan::Filter{is_true(present)}, {stage.node}, stage.columns, "filter");
  }
  exprs.insert(exprs.end(), args.begin(), args.end());
  if (!aggregate.distinct)
    for (const ExprPtr& key : TRY(place_all(ctx, stage, aggregate.order))) exprs.push_back(key);
  std::vector<ColumnSpec> columns;
  for (std::size_t i = 0; i < exprs.size(); ++i) columns.push_back({"_in_" + std::to_string(i), exprs[i]->type});
  NodeId input = project(rows.node, exprs, names_of(columns));
  if (aggregate.distinct) input = distinct_rows(input, columns);

  plan::GroupBy group;
  plan::Reducer reducer;
  Grouped out;
  for (std::uint32_t i = 0; i < by.size(); ++i) {
    group.by.push_back(i);
    out.columns.push_back({"_by_" + std::to_string(i), exprs[i]->type});
  }
  for (std::size_t i = 0; i < args.size(); ++i) reducer.args.push_back(static_cast<std::uint32_t>(by.size() + i));
  for (std::size_t i = 0; i < aggregate.order.size(); ++i)
    group.sort_by.push_back(aggregate.distinct ? static_cast<std::uint32_t>(by.size())
                                               : static_cast<std::uint32_t>(by.size() + args.size() + i));
  reducer.kind = aggregate.kind;
  reducer.type = aggregate.type;
  reducer.skip_nones = aggregate.skip_nones;
  reducer.none_if_empty = true;
  reducer.parameter = aggregate.parameter;
  reducer.separator = aggregate.separator;
  group.reducers.push_back(std::move(reducer));
  out.columns.push_back({"_agg", aggregate.type});
  out.node = add(std::move(group), {input}, out.columns, "group");
  return out;
}

Result<Stage> Planner::group(const Context& ctx, const Stage& stage, const std::vector<ExprPtr>& by, bool one_row) {
  std::vector<std::uint32_t> plain, special;
  for (std::size_t i = 0; i < ctx.virtuals.size(); ++i) {
    const Virtual& v = ctx.virtuals[i];
    if (v.kind != Virtual::Kind::kAggregate) continue;
    bool by_itself = v.aggregate.distinct || !v.aggregate.order.empty();
    (by_itself ? special : plain).push_back(kVirtual + static_cast<std::uint32_t>(i));
  }
  Grouped main = TRY(plain_group(ctx, stage, by, plain, one_row));
  Stage out;
  out.grouped = true;
  out.node = main.node;
  out.columns = main.columns;
  for (std::uint32_t i = 0; i < by.size(); ++i) out.groups.emplace_back(by[i], i);
  for (std::size_t i = 0; i < plain.size(); ++i) out.where[plain[i]] = static_cast<std::uint32_t>(by.size() + i);
  for (std::uint32_t column : special) {
    Grouped one = TRY(special_group(ctx, stage, by, ctx.find_virtual(column)->aggregate));
    std::vector<ExprPtr> left_on, right_on;
    for (std::uint32_t i = 0; i < by.size(); ++i) {
      left_on.push_back(plan::column(i, out.columns[i].type));
      right_on.push_back(plan::column(i, one.columns[i].type));
    }
    JoinSpec spec;
    spec.how = plan::JoinHow::kLeft;
    spec.key = plan::JoinKey::kLeft;
    spec.none_matches = true;
    Side joined = join({out.node, out.columns}, left_on, {one.node, one.columns}, right_on, spec);
    out.node = joined.node;
    out.columns = joined.columns;
    out.where[column] = static_cast<std::uint32_t>(out.columns.size() - 1);
  }
  return out;
}

Result<ExprPtr> Planner::over_no_rows(const Context& ctx, const ExprPtr& expr) const {
  if (expr->kind == ExprKind::kColumn) {
    const Virtual* found = ctx.find_virtual(expr->column);
    if (found && found->kind == Virtual::Kind::kAggregate)
      return found->aggregate.is_count ? int_literal(0) : null_literal(found->type.without_optional());
    if (found) return error("a subquery inside a correlated aggregate is not supported", found->place);
    return expr;
  }
  if (expr->args.empty()) return expr;
  auto copy = std::make_shared<plan::Expr>(*expr);
  for (ExprPtr& arg : copy->args) arg = TRY(over_no_rows(ctx, arg));
  return copy;
}

}  // namespace thalweg::sql
