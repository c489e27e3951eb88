// Steps over stages: placing expressions, filters, joins of two nodes.

#include <algorithm>

#include "pipeline_lang/sql/planner.h"

namespace thalweg::sql {

using plan::ExprKind;

namespace {

ExprPtr rebuilt(const plan::Expr& expr, std::vector<ExprPtr> args) {
  auto copy = std::make_shared<plan::Expr>(expr);
  copy->args = std::move(args);
  return copy;
}

}  // namespace

Result<ExprPtr> Planner::place(const Context& ctx, const Stage& stage, const ExprPtr& expr) const {
  for (const auto& [grouped, at] : stage.groups)
    if (same_expr(*grouped, *expr)) return plan::column(at, stage.columns[at].type, expr->span);
  if (expr->kind == ExprKind::kColumn) {
    auto it = stage.where.find(expr->column);
    if (it != stage.where.end()) return plan::column(it->second, expr->type, expr->span);
    Error fault{Code::kInvalidPipeline, {}, expr->span, {}};
    if (const Virtual* missing = ctx.find_virtual(expr->column)) {
      switch (missing->kind) {
        case Virtual::Kind::kAggregate: fault.message = "an aggregate cannot stand here"; break;
        case Virtual::Kind::kSubquery: fault.message = "a subquery cannot stand here"; break;
        case Virtual::Kind::kRowNumber:
          fault.message = "ROW_NUMBER() cannot stand here; filter on it from an outer query";
          break;
        case Virtual::Kind::kOuter:
          fault.message =
              "correlation other than by equality: `" + missing->text +
              "` of the enclosing query may only stand in WHERE, as one whole side of an `=` AND-ed to the rest";
          break;
      }
      return fail(std::move(fault));
    }
    const ScopeColumn& column = ctx.scope.columns[expr->column];
    fault.message = stage.grouped ? "column `" + column.name + "` is neither in GROUP BY nor inside an aggregate"
                                  : "column `" + column.name + "` cannot be used in this condition";
    return fail(std::move(fault));
  }
  if (expr->args.empty()) return expr;
  std::vector<ExprPtr> args;
  for (const ExprPtr& arg : expr->args) args.push_back(TRY(place(ctx, stage, arg)));
  return rebuilt(*expr, std::move(args));
}

Result<std::vector<ExprPtr>> Planner::place_all(const Context& ctx, const Stage& stage,
                                                const std::vector<ExprPtr>& exprs) const {
  std::vector<ExprPtr> placed;
  for (const ExprPtr& expr : exprs) placed.push_back(TRY(place(ctx, stage, expr)));
  return placed;
}

void Planner::collect_missing(const Stage& stage, const plan::Expr& expr, std::set<std::uint32_t>& out) const {
  for (const auto& [grouped, at] : stage.groups)
    if (same_expr(*grouped, expr)) return;
  if (expr.kind == ExprKind::kColumn && expr.column >= kVirtual && !stage.where.contains(expr.column))
    out.insert(expr.column);
  for (const ExprPtr& arg : expr.args) collect_missing(stage, *arg, out);
}

Result<Stage> Planner::filter(const Context& ctx, Stage stage, const std::vector<ExprPtr>& conditions) {
  if (conditions.empty()) return stage;
  Logic all;
  all.kind = Logic::Kind::kAnd;
  for (const ExprPtr& condition : conditions) all.parts.push_back(Logic::of(TRY(place(ctx, stage, condition))));
  stage.node = add(plan::Filter{is_true(all)}, {stage.node}, stage.columns, "filter");
  return stage;
}

// Without the columns of FROM that nobody asks for.
Stage Planner::keep_columns(const Stage& stage, const std::set<std::uint32_t>& used) {
  Stage kept = stage;
  kept.where.clear();
  kept.columns.clear();
  std::vector<ExprPtr> exprs;
  for (const auto& [column, at] : stage.where) {
    if (!used.contains(column)) continue;
    kept.where[column] = static_cast<std::uint32_t>(exprs.size());
    kept.columns.push_back(stage.columns[at]);
    exprs.push_back(plan::column(at, stage.columns[at].type));
  }
  if (exprs.size() == stage.columns.size()) return stage;
  kept.node = project(stage.node, exprs, names_of(kept.columns));
  return kept;
}

// Key expressions that are no plain columns are computed first; `at` says where the keys are.
Planner::Side Planner::with_key_columns(const Side& side, const std::vector<ExprPtr>& keys, plan::Columns& at) {
  Side wide = side;
  std::vector<ExprPtr> exprs = all_columns(side.columns);
  for (const ExprPtr& key : keys) {
    if (key->kind == ExprKind::kColumn && key->type == side.columns[key->column].type) {
      at.push_back(key->column);
      continue;
    }
    at.push_back(static_cast<std::uint32_t>(exprs.size()));
    exprs.push_back(key);
    wide.columns.push_back({"_key_" + std::to_string(exprs.size()), key->type});
  }
  if (exprs.size() > side.columns.size()) wide.node = project(side.node, exprs, names_of(wide.columns));
  return wide;
}

Planner::Side Planner::join(const Side& left, std::vector<ExprPtr> left_on, const Side& right,
                            std::vector<ExprPtr> right_on, const JoinSpec& spec) {
  for (std::size_t i = 0; i < left_on.size(); ++i) {
    bool optional = left_on[i]->type.admits_none() || right_on[i]->type.admits_none();
    if (!optional) continue;
    left_on[i] = plan::coerce(left_on[i], left_on[i]->type.as_optional());
    right_on[i] = plan::coerce(right_on[i], right_on[i]->type.as_optional());
  }
  plan::Join join;
  join.how = spec.how;
  join.key = spec.key;
  join.none_matches = spec.none_matches;
  Side wide_left = with_key_columns(left, left_on, join.left_on);
  Side wide_right = with_key_columns(right, right_on, join.right_on);
  Side out;
  bool pad_left = spec.how == plan::JoinHow::kRight || spec.how == plan::JoinHow::kOuter;
  bool pad_right = spec.how == plan::JoinHow::kLeft || spec.how == plan::JoinHow::kOuter;
  auto emit = [&](const std::vector<ColumnSpec>& columns, std::size_t first, bool padded) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      join.emit.push_back(static_cast<std::uint32_t>(first + i));
      out.columns.push_back({columns[i].name, padded ? columns[i].type.as_optional() : columns[i].type});
    }
  };
  emit(left.columns, 0, pad_left);
  emit(right.columns, wide_left.columns.size(), pad_right);
  auto keys = static_cast<std::uint32_t>(wide_left.columns.size() + wide_right.columns.size());
  for (std::uint32_t side = 0; side < 2; ++side) {
    if (!(side == 0 ? spec.left_key : spec.right_key)) continue;
    join.emit.push_back(keys + side);
    out.columns.push_back({side == 0 ? "_left_key" : "_right_key", Type(Kind::kPointer, true)});
  }
  out.node = add(std::move(join), {wide_left.node, wide_right.node}, out.columns, "join");
  return out;
}

}  // namespace thalweg::sql
