// One SELECT: its parts as expressions, then the rows step by step.

#include <algorithm>

#include "engine/base/edit_distance.h"
#include "pipeline_lang/sql/planner.h"

namespace thalweg::sql {

using plan::ExprKind;

namespace {

bool has_virtual(const plan::Expr& expr) {
  if (expr.kind == ExprKind::kColumn) return expr.column >= kVirtual;
  return std::any_of(expr.args.begin(), expr.args.end(), [](const ExprPtr& arg) { return has_virtual(*arg); });
}

// `LIMIT 2` counts, `ORDER BY 2` and `GROUP BY 2` name the second column.
std::optional<std::int64_t> position(const Ast& ast) {
  if (ast.kind != AstKind::kLiteral || ast.literal.tag() != Value::Tag::kInt) return std::nullopt;
  return ast.literal.as_int();
}

}  // namespace

// ---------------------------------------------------------------- parts

Result<void> Planner::expand_star(const Context& ctx, const Ast& ast, std::vector<Item>& out) const {
  std::size_t before = out.size();
  if (ast.qualifier.empty()) {
    for (const StarEntry& entry : ctx.scope.star)
      out.push_back({entry.name, TRY(star_column(ctx.scope, entry, span(ast.place))), ast.place, true});
  } else {
    for (std::uint32_t i = 0; i < ctx.scope.columns.size(); ++i)
      if (ctx.scope.columns[i].table == ast.qualifier)
        out.push_back(
            {ctx.scope.columns[i].name, plan::column(i, ctx.scope.columns[i].type, span(ast.place)), ast.place, true});
  }
  if (out.size() > before) return {};
  if (ast.qualifier.empty()) return error("`*` without a FROM that has columns", ast.place);
  return fail(unknown_column(ctx, ast));
}

Result<std::vector<Planner::Item>> Planner::items(Context& ctx, const Select& select) {
  std::vector<Item> items;
  for (const SelectItem& item : select.items) {
    if (item.expr->kind == AstKind::kStar) {
      if (!item.alias.empty()) return error("`*` takes no name", item.place);
      TRY(expand_star(ctx, *item.expr, items));
      continue;
    }
    ExprPtr expr = TRY(value(ctx, *item.expr));
    TRY(check_size(expr));
    std::string name = item.alias;
    if (name.empty() && item.expr->kind == AstKind::kColumn) name = item.expr->name;
    if (name.empty()) name = "_col_" + std::to_string(items.size());
    items.push_back({std::move(name), std::move(expr), item.place, false});
  }
  return items;
}

// The answer of a query needs names that differ. A column of `*` that an inner join makes equal to one of the same name
// is left out.
Result<void> Planner::one_name_each(std::vector<Item>& items, const std::vector<ExprPtr>& conditions) const {
  auto are_equal = [&](const plan::Expr& a, const plan::Expr& b) {
    return std::any_of(conditions.begin(), conditions.end(), [&](const ExprPtr& condition) {
      std::optional<Sides> sides = as_equality(*condition);
      if (!sides || sides->left->kind != ExprKind::kColumn || sides->right->kind != ExprKind::kColumn) return false;
      std::uint32_t l = sides->left->column, r = sides->right->column;
      return (l == a.column && r == b.column) || (l == b.column && r == a.column);
    });
  };
  for (std::size_t i = 0; i < items.size(); ++i) {
    for (std::size_t j = i + 1; j < items.size();) {
      if (items[i].name != items[j].name) {
        ++j;
        continue;
      }
      bool columns = items[i].expr->kind == ExprKind::kColumn && items[j].expr->kind == ExprKind::kColumn;
      bool same =
          columns && (items[i].expr->column == items[j].expr->column || are_equal(*items[i].expr, *items[j].expr));
      if (!items[j].from_star || !same)
        return error("two columns of the result are named `" + items[j].name + "`; name one of them with AS",
                     items[j].place);
      items.erase(items.begin() + static_cast<std::ptrdiff_t>(j));
    }
  }
  return {};
}

Result<std::vector<ExprPtr>> Planner::group_exprs(Context& ctx, const Select& select, const std::vector<Item>& items) {
  std::vector<ExprPtr> groups;
  for (const AstPtr& by : select.group_by) {
    ExprPtr expr;
    if (auto at = position(*by)) {
      if (*at < 1 || *at > static_cast<std::int64_t>(items.size()))
        return error(
            "GROUP BY " + std::to_string(*at) + ": the select list has " + std::to_string(items.size()) + " columns",
            by->place);
      expr = items[static_cast<std::size_t>(*at - 1)].expr;
    } else {
      expr = TRY(value(ctx, *by));
    }
    TRY(refuse(ctx, {expr}, Virtual::Kind::kAggregate, "GROUP BY"));
    TRY(refuse(ctx, {expr}, Virtual::Kind::kRowNumber, "GROUP BY"));
    bool known = std::any_of(groups.begin(), groups.end(), [&](const ExprPtr& g) { return same_expr(*g, *expr); });
    if (!known) groups.push_back(std::move(expr));
  }
  return groups;
}

Result<std::vector<Planner::Order>> Planner::order_exprs(Context& ctx, const Query& tail,
                                                         const std::vector<Item>& items, bool distinct) {
  std::vector<Order> order;
  for (const OrderItem& by : tail.order) {
    Order next;
    next.descending = by.descending;
    next.nulls_first = by.nulls == NullsOrder::kDefault ? !by.descending : by.nulls == NullsOrder::kFirst;
    const Ast& ast = *by.expr;
    if (auto at = position(ast)) {
      if (*at < 1 || *at > static_cast<std::int64_t>(items.size()))
        return error(
            "ORDER BY " + std::to_string(*at) + ": the select list has " + std::to_string(items.size()) + " columns",
            ast.place);
      next.output = static_cast<std::size_t>(*at - 1);
    }
    for (std::size_t i = 0; i < items.size() && !next.output; ++i)
      if (ast.kind == AstKind::kColumn && ast.qualifier.empty() && items[i].name == ast.name) next.output = i;
    if (!next.output) {
      next.expr = TRY(value(ctx, ast));
      TRY(check_size(next.expr));
      for (std::size_t i = 0; i < items.size() && !next.output; ++i)
        if (same_expr(*items[i].expr, *next.expr)) next.output = i;
    }
    if (next.output)
      next.expr = items[*next.output].expr;
    else if (distinct)
      return error("with DISTINCT, ORDER BY takes what is selected only", ast.place);
    order.push_back(std::move(next));
  }
  return order;
}

Result<void> Planner::refuse(const Context& ctx, const std::vector<ExprPtr>& exprs, Virtual::Kind kind,
                             std::string_view where) const {
  std::set<std::uint32_t> columns;
  for (const ExprPtr& expr : exprs) columns_of(*expr, columns);
  for (std::uint32_t column : columns) {
    const Virtual* found = ctx.find_virtual(column);
    if (!found || found->kind != kind) continue;
    std::string what = kind == Virtual::Kind::kAggregate   ? "an aggregate"
                       : kind == Virtual::Kind::kRowNumber ? "ROW_NUMBER()"
                                                           : "a subquery";
    std::string hint = kind == Virtual::Kind::kRowNumber ? "; filter on it from an outer query"
                       : where == "WHERE"                ? "; use HAVING"
                                                         : "";
    return error(what + " cannot stand in " + std::string(where) + hint, found->place);
  }
  return {};
}

// Conditions `inner = outer` become keys of the answer; anything else that looks outside is refused.
Result<void> Planner::split_correlations(const Context& ctx, Parts& parts) const {
  auto looks = [&](const plan::Expr& expr) {
    std::set<std::uint32_t> columns;
    columns_of(expr, columns);
    bool outside = false, inside = false;
    for (std::uint32_t column : columns) {
      const Virtual* found = ctx.find_virtual(column);
      (found && found->kind == Virtual::Kind::kOuter ? outside : inside) = true;
    }
    return std::pair(outside, inside);
  };
  Stage nowhere;
  std::vector<ExprPtr> kept;
  for (const ExprPtr& condition : parts.conditions) {
    if (!looks(*condition).first) {
      kept.push_back(condition);
      continue;
    }
    std::optional<Sides> sides = as_equality(*condition);
    if (sides && looks(*sides->left) == std::pair(true, false)) std::swap(sides->left, sides->right);
    bool fits = sides && !looks(*sides->left).first && looks(*sides->right) == std::pair(true, false);
    if (!fits) {
      std::set<std::uint32_t> columns;
      columns_of(*condition, columns);
      for (std::uint32_t column : columns)
        if (const Virtual* found = ctx.find_virtual(column); found && found->kind == Virtual::Kind::kOuter)
          return fail(place(ctx, nowhere, plan::column(column, found->type, span(found->place))).error());
    }
    TRY(refuse(ctx, {sides->left}, Virtual::Kind::kSubquery, "a correlation"));
    // The outer side is over the enclosing SELECT.
    auto outward = [&](auto&& self, const ExprPtr& expr) -> ExprPtr {
      if (expr->kind == ExprKind::kColumn) return ctx.find_virtual(expr->column)->outer;
      if (expr->args.empty()) return expr;
      auto copy = std::make_shared<plan::Expr>(*expr);
      for (ExprPtr& arg : copy->args) arg = self(self, arg);
      return copy;
    };
    parts.correlations.push_back({sides->left, outward(outward, sides->right)});
  }
  parts.conditions = std::move(kept);
  return {};
}

Result<Planner::Parts> Planner::parts(Context& ctx, const Select& select, const Query* tail, bool top) {
  Parts parts;
  parts.from = TRY(from(ctx, select));
  ctx.scope = parts.from.scope;
  parts.conditions = std::move(parts.from.conditions);
  parts.from.conditions.clear();
  if (select.where) split_conjuncts(TRY(logic(ctx, *select.where, "WHERE")), parts.conditions);
  TRY(refuse(ctx, parts.conditions, Virtual::Kind::kAggregate, "WHERE"));
  TRY(refuse(ctx, parts.conditions, Virtual::Kind::kRowNumber, "WHERE"));
  parts.items = TRY(items(ctx, select));
  if (top) TRY(one_name_each(parts.items, parts.conditions));
  for (const Item& item : parts.items)
    if (!item.from_star) ctx.aliases.emplace_back(item.name, item.expr);
  parts.groups = TRY(group_exprs(ctx, select, parts.items));
  ctx.grouped = select.grouped ? &parts.groups : nullptr;
  if (select.having) {
    ctx.grouped = &parts.groups;
    split_conjuncts(TRY(logic(ctx, *select.having, "HAVING")), parts.having);
    TRY(refuse(ctx, parts.having, Virtual::Kind::kRowNumber, "HAVING"));
  }
  if (select.qualify) split_conjuncts(TRY(logic(ctx, *select.qualify, "QUALIFY")), parts.qualify);
  if (tail) parts.order = TRY(order_exprs(ctx, *tail, parts.items, select.distinct));
  parts.limited = limits(tail);
  if (!parts.limited) parts.order.clear();
  parts.aggregated = select.grouped || select.having ||
                     std::any_of(ctx.virtuals.begin(), ctx.virtuals.end(),
                                 [](const Virtual& v) { return v.kind == Virtual::Kind::kAggregate; });
  TRY(split_correlations(ctx, parts));
  ctx.aliases.clear();
  ctx.grouped = nullptr;
  return parts;
}

std::set<std::uint32_t> Planner::used_columns(const Context& ctx, const Parts& parts) {
  std::set<std::uint32_t> used;
  auto note = [&](const std::vector<ExprPtr>& exprs) {
    for (const ExprPtr& expr : exprs) columns_of(*expr, used);
  };
  note(parts.groups);
  note(parts.having);
  note(parts.qualify);
  for (const ExprPtr& condition : parts.conditions)
    if (has_virtual(*condition)) columns_of(*condition, used);
  for (const Item& item : parts.items) columns_of(*item.expr, used);
  for (const Order& order : parts.order) columns_of(*order.expr, used);
  for (const Correlation& correlation : parts.correlations) columns_of(*correlation.inner, used);
  for (const Virtual& v : ctx.virtuals) {
    note(v.aggregate.args);
    note(v.aggregate.order);
    note(v.subquery.operands);
    if (v.subquery.output) note(v.subquery.output->outer_keys);
    note(v.row_number.partition);
    note(v.row_number.order);
  }
  return used;
}

// ---------------------------------------------------------------- rows

Result<Stage> Planner::attach(const Context& ctx, Stage stage, const std::vector<ExprPtr>& exprs) {
  std::set<std::uint32_t> missing;
  for (const ExprPtr& expr : exprs) collect_missing(stage, *expr, missing);
  for (std::uint32_t column : missing) {
    if (stage.where.contains(column)) continue;
    const Virtual& wanted = *ctx.find_virtual(column);
    if (wanted.kind == Virtual::Kind::kSubquery) {
      stage = TRY(attach_subquery(ctx, std::move(stage), column));
    } else if (wanted.kind == Virtual::Kind::kRowNumber) {
      stage = TRY(attach_row_number(ctx, std::move(stage), column));
    }
  }
  return stage;
}

Result<Stage> Planner::attach_row_number(const Context& ctx, Stage stage, std::uint32_t column) {
  const RowNumber& number = ctx.find_virtual(column)->row_number;
  stage = TRY(attach(ctx, std::move(stage), number.partition));
  stage = TRY(attach(ctx, std::move(stage), number.order));
  plan::TopK topk;
  topk.rank_column = true;
  std::vector<ExprPtr> keys = TRY(place_all(ctx, stage, number.partition));
  std::vector<ExprPtr> order = TRY(place_all(ctx, stage, number.order));
  keys.insert(keys.end(), order.begin(), order.end());
  plan::Columns at;
  Side wide = with_key_columns({stage.node, stage.columns}, keys, at);
  for (std::size_t i = 0; i < at.size(); ++i) {
    if (i < number.partition.size()) {
      topk.partition.push_back(at[i]);
    } else {
      plan::TopK::Order how = number.how[i - number.partition.size()];
      how.column = at[i];
      topk.order.push_back(how);
    }
  }
  stage.columns = wide.columns;
  stage.columns.push_back({"_row_number", Kind::kInt});
  stage.where[column] = static_cast<std::uint32_t>(stage.columns.size() - 1);
  stage.node = add(std::move(topk), {wide.node}, stage.columns, "row number");
  return stage;
}

Result<Stage> Planner::filter_all(const Context& ctx, Stage stage, const std::vector<ExprPtr>& conditions) {
  std::vector<ExprPtr> rest;
  for (const ExprPtr& condition : conditions) {
    const Virtual* wanted = condition->kind == ExprKind::kColumn ? ctx.find_virtual(condition->column) : nullptr;
    bool is_membership =
        wanted && wanted->kind == Virtual::Kind::kSubquery && wanted->subquery.use != Subquery::Use::kScalar;
    if (is_membership && !stage.where.contains(condition->column))
      stage = TRY(semi_join(ctx, std::move(stage), condition->column));
    else
      rest.push_back(condition);
  }
  stage = TRY(attach(ctx, std::move(stage), rest));
  return filter(ctx, std::move(stage), rest);
}

void Planner::bound_ranks(const std::vector<ExprPtr>& conditions, const std::map<std::uint32_t, NodeId>& ranks) {
  for (const ExprPtr& condition : conditions) {
    if (condition->kind != ExprKind::kCall || condition->args.size() != 2) continue;
    const plan::Expr* rank = condition->args[0].get();
    const plan::Expr* bound = condition->args[1].get();
    std::string op = condition->function;
    if (rank->kind == ExprKind::kLiteral) {  // k >= rank
      std::swap(rank, bound);
      op = op == "ge" ? "le" : op == "gt" ? "lt" : op == "eq" ? "eq" : "";
    }
    if (rank->kind != ExprKind::kColumn || bound->kind != ExprKind::kLiteral ||
        bound->literal.tag() != Value::Tag::kInt)
      continue;
    if (op != "le" && op != "lt" && op != "eq") continue;
    auto it = ranks.find(rank->column);
    if (it == ranks.end()) continue;
    std::int64_t k = bound->literal.as_int();
    if (op == "lt" && k > 0) --k;
    auto* topk = std::get_if<plan::TopK>(&plan_.nodes[it->second.value].params);
    if (!topk) continue;
    auto limit = static_cast<std::uint64_t>(std::max<std::int64_t>(k, 0));
    topk->limit = topk->limit ? std::min(*topk->limit, limit) : limit;
  }
}

Result<Stage> Planner::rows(const Context& ctx, Parts& parts) {
  std::map<std::uint32_t, NodeId> ranks;
  for (const FromPart::Leaf& leaf : parts.from.leaves)
    for (const RankColumn& rank : leaf.ranks) ranks[leaf.first + rank.column] = rank.topk;
  bound_ranks(parts.conditions, ranks);
  std::vector<ExprPtr> early, late;
  for (const ExprPtr& condition : parts.conditions) (has_virtual(*condition) ? late : early).push_back(condition);
  Stage stage = TRY(join_leaves(ctx, parts.from, std::move(early), used_columns(ctx, parts)));
  return filter_all(ctx, std::move(stage), late);
}

Result<Stage> Planner::grouped_rows(const Context& ctx, const Select& select, const Parts& parts, Stage stage) {
  std::vector<ExprPtr> by = parts.groups;
  for (const Correlation& correlation : parts.correlations) by.push_back(correlation.inner);
  stage = TRY(attach(ctx, std::move(stage), by));
  for (const Virtual& v : ctx.virtuals) {
    stage = TRY(attach(ctx, std::move(stage), v.aggregate.args));
    stage = TRY(attach(ctx, std::move(stage), v.aggregate.order));
  }
  stage = TRY(group(ctx, stage, by, !select.grouped && parts.correlations.empty()));
  return filter_all(ctx, std::move(stage), parts.having);
}

NodeId Planner::distinct_rows(NodeId node, const std::vector<ColumnSpec>& columns) {
  plan::GroupBy by_all;
  for (std::uint32_t i = 0; i < columns.size(); ++i) by_all.by.push_back(i);
  return add(std::move(by_all), {node}, columns, "distinct");
}

Result<Output> Planner::finish(const Context& ctx, const Parts& parts, Stage stage, bool distinct, const Query* tail) {
  std::vector<ExprPtr> exprs;
  for (const Item& item : parts.items) exprs.push_back(item.expr);
  for (const Correlation& correlation : parts.correlations) exprs.push_back(correlation.inner);
  std::size_t width = exprs.size();
  std::vector<std::size_t> order_at;
  for (const Order& order : parts.order) {
    order_at.push_back(order.output ? *order.output : exprs.size());
    if (!order.output) exprs.push_back(order.expr);
  }
  stage = TRY(attach(ctx, std::move(stage), parts.qualify));
  if (!parts.qualify.empty()) {
    std::map<std::uint32_t, NodeId> ranks;
    if (const auto* topk = std::get_if<plan::TopK>(&plan_.node(stage.node).params); topk && topk->rank_column)
      for (const auto& [column, at] : stage.where)
        if (column >= kVirtual && at + 1 == stage.columns.size()) ranks[column] = stage.node;
    bound_ranks(parts.qualify, ranks);
  }
  stage = TRY(filter(ctx, std::move(stage), parts.qualify));
  stage = TRY(attach(ctx, std::move(stage), exprs));
  std::vector<ExprPtr> placed = TRY(place_all(ctx, stage, exprs));

  Output output;
  output.width = parts.items.size();
  std::vector<std::string> names;
  for (const Item& item : parts.items) names.push_back(item.name);
  for (std::size_t i = names.size(); i < placed.size(); ++i) names.push_back("_key_" + std::to_string(i));
  std::vector<ColumnSpec> columns;
  for (std::size_t i = 0; i < placed.size(); ++i) columns.push_back({names[i], placed[i]->type});
  NodeId numbered = stage.node;
  NodeId node = project(stage.node, placed, names);
  if (distinct) node = distinct_rows(node, columns);
  if (parts.limited) {
    plan::TopK topk;
    for (std::uint32_t i = 0; i < parts.correlations.size(); ++i)
      topk.partition.push_back(static_cast<std::uint32_t>(parts.items.size()) + i);
    for (std::size_t i = 0; i < parts.order.size(); ++i)
      topk.order.push_back(
          {static_cast<std::uint32_t>(order_at[i]), parts.order[i].descending, parts.order[i].nulls_first});
    topk.limit = tail->limit;
    topk.offset = tail->offset.value_or(0);
    number_rows(tail, topk, columns);
    node = add(std::move(topk), {node}, columns, "limit");
  } else if (!distinct) {
    // A bound on the last numbering from outside is a bound on the node itself.
    const auto* topk = std::get_if<plan::TopK>(&plan_.node(numbered).params);
    if (topk && topk->rank_column && parts.correlations.empty())
      for (std::uint32_t i = 0; i < output.width; ++i)
        if (placed[i]->kind == ExprKind::kColumn && placed[i]->column + 1 == stage.columns.size())
          output.ranks.push_back({i, numbered});
  }
  if (placed.size() > width) {
    std::vector<ExprPtr> kept = all_columns(columns);
    auto unwanted = [&](auto& list) {
      list.erase(list.begin() + static_cast<std::ptrdiff_t>(width),
                 list.begin() + static_cast<std::ptrdiff_t>(placed.size()));
    };
    unwanted(kept);
    unwanted(columns);
    node = project(node, kept, names_of(columns));
  }
  output.relation = {node, columns};
  for (const Correlation& correlation : parts.correlations) output.outer_keys.push_back(correlation.outer);
  return output;
}

Result<Output> Planner::select(const Select& select, const Query* tail, Context* outer, const Environment* env,
                               bool top) {
  Context ctx;
  ctx.outer = outer;
  ctx.env = env;
  Parts parts = TRY(this->parts(ctx, select, tail, top));
  Stage stage = TRY(rows(ctx, parts));
  if (parts.aggregated) stage = TRY(grouped_rows(ctx, select, parts, std::move(stage)));
  Output output = TRY(finish(ctx, parts, std::move(stage), select.distinct, tail));
  bool alone = parts.aggregated && !select.grouped;
  bool cut_off = tail && (tail->offset.value_or(0) > 0 || (tail->limit && *tail->limit == 0));
  output.one_row = alone && !cut_off;
  if (!output.one_row || parts.correlations.empty()) return output;
  std::vector<ExprPtr> missing;
  for (const Item& item : parts.items) {
    ExprPtr over_none = TRY(over_no_rows(ctx, item.expr));
    for (const ExprPtr& having : parts.having) {
      ExprPtr holds = truth(TRY(over_no_rows(ctx, having)));
      over_none = if_then(holds, plan::coerce(over_none, over_none->type.as_optional()), null_literal(over_none->type));
    }
    missing.push_back(over_none);
  }
  output.if_missing = std::move(missing);
  output.row_if_missing = bool_literal(true);
  for (const ExprPtr& having : parts.having) {
    ExprPtr holds = truth(TRY(over_no_rows(ctx, having)));
    output.row_if_missing = plan::special(ExprKind::kAnd, {output.row_if_missing, holds}, Kind::kBool);
  }
  return output;
}

}  // namespace thalweg::sql
