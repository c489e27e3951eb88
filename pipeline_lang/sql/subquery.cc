// Subqueries as joins. A correlated one comes with its keys as columns, so it is computed once for all rows of the
// enclosing SELECT and joined to them.

#include <algorithm>

#include "pipeline_lang/sql/planner.h"

namespace thalweg::sql {

using plan::ExprKind;

Result<ExprPtr> Planner::subquery(Context& ctx, const Ast& ast) {
  Virtual made;
  made.kind = Virtual::Kind::kSubquery;
  made.place = ast.place;
  Subquery& sub = made.subquery;
  sub.use = ast.kind == AstKind::kExists    ? Subquery::Use::kExists
            : ast.kind == AstKind::kInQuery ? Subquery::Use::kIn
                                            : Subquery::Use::kScalar;
  sub.output = std::make_shared<Output>(TRY(query(*ast.query, &ctx, ctx.env, false)));
  Output& output = *sub.output;
  if (sub.use == Subquery::Use::kScalar) {
    if (output.width != 1)
      return error("a scalar subquery gives one column, this one gives " + std::to_string(output.width), ast.place);
    made.type = output.relation.columns[0].type.as_optional();
    if (output.if_missing && !(*output.if_missing)[0]->type.admits_none() &&
        !output.relation.columns[0].type.admits_none())
      made.type = output.relation.columns[0].type;  // COUNT
  } else {
    made.type = Kind::kBool;
  }
  if (sub.use == Subquery::Use::kIn) {
    const Ast& left = *ast.args[0];
    std::vector<const Ast*> operands;
    if (left.kind == AstKind::kRow)
      for (const AstPtr& arg : left.args) operands.push_back(arg.get());
    else
      operands.push_back(&left);
    if (output.if_missing) return error("IN over a correlated aggregate is not supported; use `=`", ast.place);
    if (operands.size() != output.width)
      return error("IN compares " + std::to_string(operands.size()) + " values with a subquery of " +
                       std::to_string(output.width) + " columns",
                   ast.place);
    std::vector<ExprPtr> columns = all_columns(output.relation.columns);
    bool may_be_null = false;
    for (std::size_t i = 0; i < operands.size(); ++i) {
      ExprPtr x = TRY(value(ctx, *operands[i]));
      ExprPtr equal = TRY(compare_sql("=", x, columns[i], span(ast.place)));
      if (std::optional<Sides> sides = as_equality(*equal)) {  // both sides converted to one type
        x = sides->left;
        columns[i] = sides->right;
      } else {  // a NULL on one side
        x = is_null_literal(*x) ? null_literal(columns[i]->type.is(Kind::kNone) ? Type(Kind::kInt) : columns[i]->type)
                                : x;
        if (is_null_literal(*columns[i])) columns[i] = null_literal(x->type);
      }
      may_be_null = may_be_null || x->type.admits_none() || columns[i]->type.admits_none();
      sub.operands.push_back(std::move(x));
    }
    std::vector<ColumnSpec> specs = output.relation.columns;
    for (std::size_t i = 0; i < specs.size(); ++i) specs[i].type = columns[i]->type;
    output.relation.node = project(output.relation.node, columns, names_of(specs));
    output.relation.columns = specs;
    if (may_be_null) made.type = made.type.as_optional();
    if (may_be_null && operands.size() > 1 && ast.negated)
      return error("NOT IN over rows that may hold NULL is not supported; use NOT EXISTS", ast.place);
  }
  return ctx.add_virtual(std::move(made), span(ast.place));
}

Result<Stage> Planner::attach_subquery(const Context& ctx, Stage stage, std::uint32_t column) {
  const Subquery& sub = ctx.find_virtual(column)->subquery;
  stage = TRY(attach(ctx, std::move(stage), sub.operands));
  stage = TRY(attach(ctx, std::move(stage), sub.output->outer_keys));
  switch (sub.use) {
    case Subquery::Use::kScalar: return attach_scalar(ctx, std::move(stage), column);
    case Subquery::Use::kExists: return attach_exists(ctx, std::move(stage), column);
    case Subquery::Use::kIn: return attach_in(ctx, std::move(stage), column);
  }
  return stage;
}

// The stage with one more column, `value` over the columns of `joined`, which begin with those of the stage.
Result<Stage> Planner::with_column(Stage stage, const Side& joined, ExprPtr value, std::uint32_t column) {
  std::vector<ExprPtr> exprs;
  for (std::uint32_t i = 0; i < stage.columns.size(); ++i) exprs.push_back(plan::column(i, joined.columns[i].type));
  stage.where[column] = static_cast<std::uint32_t>(exprs.size());
  stage.columns.push_back({"_subquery_" + std::to_string(column - kVirtual), value->type});
  exprs.push_back(std::move(value));
  stage.node = project(joined.node, exprs, names_of(stage.columns));
  return stage;
}

namespace {

plan::Reducer any_of_column(std::uint32_t column, const Type& type) {
  plan::Reducer reducer;
  reducer.kind = plan::ReducerKind::kAny;
  reducer.args = {column};
  reducer.type = type;
  reducer.skip_errors = false;
  return reducer;
}

plan::Reducer count_rows() {
  plan::Reducer reducer;
  reducer.kind = plan::ReducerKind::kCount;
  reducer.type = Kind::kInt;
  return reducer;
}

}  // namespace

// ---------------------------------------------------------------- scalar

Result<Stage> Planner::attach_scalar(const Context& ctx, Stage stage, std::uint32_t column) {
  const Virtual& wanted = *ctx.find_virtual(column);
  const Output& output = *wanted.subquery.output;
  SourceSpan where = span(wanted.place);
  std::size_t keys = output.outer_keys.size();
  Side rows{output.relation.node, output.relation.columns};
  Type type = rows.columns[0].type;
  // Columns of `one`: the keys, the value, a mark that there is a row.
  Side one;
  for (std::size_t i = 0; i < keys; ++i) one.columns.push_back(rows.columns[1 + i]);
  one.columns.push_back({"value", type});
  one.columns.push_back({"found", Kind::kBool});
  std::vector<ExprPtr> exprs;
  if (output.one_row) {
    for (std::uint32_t i = 0; i < keys; ++i) exprs.push_back(plan::column(1 + i, rows.columns[1 + i].type));
    exprs.push_back(plan::column(0, type));
    exprs.push_back(bool_literal(true));
    one.node = project(rows.node, exprs, names_of(one.columns));
  } else {
    plan::GroupBy group;
    std::vector<ColumnSpec> columns;
    for (std::uint32_t i = 0; i < keys; ++i) {
      group.by.push_back(1 + i);
      columns.push_back(rows.columns[1 + i]);
      exprs.push_back(plan::column(i, columns[i].type));
    }
    group.reducers = {count_rows(), any_of_column(0, type)};
    columns.push_back({"rows", Kind::kInt});
    columns.push_back({"value", type});
    NodeId grouped = add(std::move(group), {rows.node}, columns, "scalar subquery");
    auto at = static_cast<std::uint32_t>(keys);
    exprs.push_back(plan::call("sql.single", {plan::column(at + 1, type), plan::column(at, Kind::kInt)}, type, where));
    exprs.push_back(bool_literal(true));
    one.node = project(grouped, exprs, names_of(one.columns));
  }
  std::vector<ExprPtr> left_on = TRY(place_all(ctx, stage, output.outer_keys));
  std::vector<ExprPtr> right_on;
  for (std::uint32_t i = 0; i < keys; ++i) right_on.push_back(plan::column(i, one.columns[i].type));
  JoinSpec spec;
  spec.how = plan::JoinHow::kLeft;
  spec.key = plan::JoinKey::kLeft;
  Side joined = join({stage.node, stage.columns}, left_on, one, right_on, spec);
  auto at = static_cast<std::uint32_t>(stage.columns.size() + keys);
  ExprPtr value = plan::column(at, joined.columns[at].type, where);
  if (output.if_missing) {
    ExprPtr found = plan::column(at + 1, joined.columns[at + 1].type);
    ExprPtr missing = (*output.if_missing)[0];
    if (!wanted.type.admits_none())
      value = plan::special(ExprKind::kCoalesce, {value, missing}, wanted.type, where);
    else
      value = if_then(is_null(found), plan::coerce(missing, wanted.type), value, where);
  }
  return with_column(std::move(stage), joined, std::move(value), column);
}

// ---------------------------------------------------------------- EXISTS and IN

Result<Stage> Planner::attach_exists(const Context& ctx, Stage stage, std::uint32_t column) {
  const Virtual& wanted = *ctx.find_virtual(column);
  const Output& output = *wanted.subquery.output;
  auto keys = static_cast<std::uint32_t>(output.outer_keys.size());
  Side found;
  JoinSpec spec;
  spec.how = plan::JoinHow::kLeft;
  spec.key = plan::JoinKey::kLeft;
  plan::GroupBy group;
  std::vector<ColumnSpec> columns;
  std::vector<ExprPtr> exprs, right_on;
  for (std::uint32_t i = 0; i < keys; ++i) {
    group.by.push_back(static_cast<std::uint32_t>(output.width) + i);
    columns.push_back(output.relation.columns[output.width + i]);
    exprs.push_back(plan::column(i, columns[i].type));
    right_on.push_back(exprs.back());
  }
  NodeId distinct = add(std::move(group), {output.relation.node}, columns, "exists");
  exprs.push_back(bool_literal(true));
  columns.push_back({"found", Kind::kBool});
  found = {project(distinct, exprs, names_of(columns)), columns};
  std::vector<ExprPtr> left_on = TRY(place_all(ctx, stage, output.outer_keys));
  Side joined = join({stage.node, stage.columns}, left_on, found, right_on, spec);
  auto at = static_cast<std::uint32_t>(joined.columns.size() - 1);
  ExprPtr mark = plan::column(at, joined.columns[at].type);
  ExprPtr value = output.row_if_missing ? plan::special(ExprKind::kOr, {truth(mark), output.row_if_missing},
                                                        Kind::kBool, span(wanted.place))
                                        : truth(mark);
  return with_column(std::move(stage), joined, std::move(value), column);
}

// TRUE where a row matches; else NULL where the operand or a row is NULL (and there is a row); else FALSE.
Result<Stage> Planner::attach_in(const Context& ctx, Stage stage, std::uint32_t column) {
  const Virtual& wanted = *ctx.find_virtual(column);
  const Output& output = *wanted.subquery.output;
  auto width = static_cast<std::uint32_t>(output.width);
  auto keys = static_cast<std::uint32_t>(output.outer_keys.size());
  const std::vector<ColumnSpec>& columns = output.relation.columns;
  JoinSpec spec;
  spec.how = plan::JoinHow::kLeft;
  spec.key = plan::JoinKey::kLeft;

  // Distinct rows with their keys, and a mark.
  std::vector<ColumnSpec> marked = columns;
  NodeId distinct = distinct_rows(output.relation.node, columns);
  std::vector<ExprPtr> exprs = all_columns(columns);
  exprs.push_back(bool_literal(true));
  marked.push_back({"found", Kind::kBool});
  Side rows{project(distinct, exprs, names_of(marked)), marked};
  std::vector<ExprPtr> operands = TRY(place_all(ctx, stage, wanted.subquery.operands));
  std::vector<ExprPtr> outer = TRY(place_all(ctx, stage, output.outer_keys));
  std::vector<ExprPtr> left_on = operands;
  left_on.insert(left_on.end(), outer.begin(), outer.end());
  exprs.pop_back();
  Side joined = join({stage.node, stage.columns}, left_on, rows, exprs, spec);
  auto found_at = static_cast<std::uint32_t>(joined.columns.size() - 1);
  ExprPtr found = truth(plan::column(found_at, joined.columns[found_at].type));
  if (!wanted.type.admits_none()) return with_column(std::move(stage), joined, found, column);

  // Per key: is there a row, and one that is NULL?
  plan::GroupBy group;
  std::vector<ColumnSpec> counted;
  std::vector<ExprPtr> right_on;
  std::vector<ExprPtr> with_null;
  for (std::uint32_t i = 0; i < keys; ++i) {
    with_null.push_back(plan::column(width + i, columns[width + i].type));
    group.by.push_back(i);
    counted.push_back(columns[width + i]);
    right_on.push_back(plan::column(i, columns[width + i].type));
  }
  Logic some_null;
  some_null.kind = Logic::Kind::kOr;
  for (std::uint32_t i = 0; i < width; ++i)
    some_null.parts.push_back(Logic::of(is_null(plan::column(i, columns[i].type))));
  with_null.push_back(is_true(some_null));
  std::vector<ColumnSpec> before = counted;
  before.push_back({"is_null", Kind::kBool});
  NodeId input = project(distinct, with_null, names_of(before));
  plan::Reducer any_null;
  any_null.kind = plan::ReducerKind::kBoolOr;
  any_null.args = {keys};
  any_null.type = Kind::kBool;
  group.reducers = {any_null};
  counted.push_back({"any_null", Kind::kBool});
  Side groups{add(std::move(group), {input}, counted, "in"), counted};
  Side both = join(joined, outer, groups, right_on, spec);
  auto null_at = static_cast<std::uint32_t>(both.columns.size() - 1);
  ExprPtr any = plan::column(null_at, both.columns[null_at].type);  // None: no rows at all
  Logic unknown;
  unknown.kind = Logic::Kind::kOr;
  unknown.parts.push_back(Logic::of(truth(any)));
  for (const ExprPtr& operand : operands) unknown.parts.push_back(Logic::of(is_null(operand)));
  Type maybe(Kind::kBool, true);
  ExprPtr value =
      if_then(found, plan::coerce(bool_literal(true), maybe),
              if_then(is_null(any), plan::coerce(bool_literal(false), maybe),
                      if_then(is_true(unknown), null_literal(Kind::kBool), plan::coerce(bool_literal(false), maybe))),
              span(wanted.place));
  return with_column(std::move(stage), both, std::move(value), column);
}

Result<Stage> Planner::semi_join(const Context& ctx, Stage stage, std::uint32_t column) {
  const Virtual& wanted = *ctx.find_virtual(column);
  const Output& output = *wanted.subquery.output;
  stage = TRY(attach(ctx, std::move(stage), wanted.subquery.operands));
  stage = TRY(attach(ctx, std::move(stage), output.outer_keys));
  // A correlated aggregate has a row for keys that it has never seen.
  if (output.if_missing || (wanted.subquery.use == Subquery::Use::kExists && output.outer_keys.empty())) {
    stage = TRY(attach_subquery(ctx, std::move(stage), column));
    return filter(ctx, std::move(stage), {plan::column(column, wanted.type)});
  }
  auto width = static_cast<std::uint32_t>(output.width);
  std::vector<ExprPtr> left_on;
  plan::GroupBy group;
  std::vector<ColumnSpec> columns;
  auto use = [&](std::uint32_t at) {
    group.by.push_back(at);
    columns.push_back(output.relation.columns[at]);
  };
  if (wanted.subquery.use == Subquery::Use::kIn) {
    left_on = TRY(place_all(ctx, stage, wanted.subquery.operands));
    for (std::uint32_t i = 0; i < width; ++i) use(i);
  }
  for (std::uint32_t i = 0; i < output.outer_keys.size(); ++i) use(width + i);
  for (const ExprPtr& key : TRY(place_all(ctx, stage, output.outer_keys))) left_on.push_back(key);
  Side rows{add(std::move(group), {output.relation.node}, columns, "semi join"), columns};
  JoinSpec spec;
  spec.key = plan::JoinKey::kLeft;
  Side joined = join({stage.node, stage.columns}, left_on, rows, all_columns(columns), spec);
  std::vector<ExprPtr> kept = all_columns(stage.columns);
  stage.node = project(joined.node, kept, names_of(stage.columns));
  return stage;
}

}  // namespace thalweg::sql
