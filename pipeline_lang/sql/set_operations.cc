// Queries: WITH, set operations, VALUES, ORDER BY and LIMIT of a whole.

#include <algorithm>

#include "pipeline_lang/sql/planner.h"

namespace thalweg::sql {

Result<Output> Planner::query(const Query& query, Context* outer, const Environment* env, bool top) {
  std::vector<std::unique_ptr<Environment>> inner;  // each sees those before it
  for (const Cte& cte : query.ctes) {
    Output output = TRY(this->query(*cte.query, outer, env, false));
    if (!output.outer_keys.empty())
      return error("the query `" + cte.name + "` of WITH cannot refer to columns of the enclosing query", cte.place);
    Relation relation = std::move(output.relation);
    if (cte.columns.size() > relation.columns.size())
      return error("`" + cte.name + "` has " + std::to_string(relation.columns.size()) + " columns, " +
                       std::to_string(cte.columns.size()) + " names are given",
                   cte.place);
    for (std::size_t i = 0; i < cte.columns.size(); ++i) relation.columns[i].name = cte.columns[i];
    auto next = std::make_unique<Environment>();
    next->outer = env;
    for (const Cte& other : query.ctes) {
      if (&other == &cte) break;
      if (other.name == cte.name) return error("`" + cte.name + "` is defined twice in WITH", cte.place);
    }
    next->queries[cte.name] = std::move(relation);
    env = next.get();
    inner.push_back(std::move(next));
  }
  return body(*query.body, &query, outer, env, top);
}

Result<Output> Planner::body(const Body& body, const Query* tail, Context* outer, const Environment* env, bool top) {
  if (body.kind == Body::Kind::kSelect) return select(*body.select, tail, outer, env, top);
  bool plain = !tail || (tail->order.empty() && !tail->limit && !tail->offset);
  if (body.kind == Body::Kind::kQuery && plain) return query(*body.query, outer, env, top);
  Relation relation = TRY(closed_body(body, env, outer));
  if (tail) relation = TRY(order_and_limit(std::move(relation), *tail));
  if (top)
    for (std::size_t i = 0; i < relation.columns.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (relation.columns[i].name == relation.columns[j].name)
          return error(
              "two columns of the result are named `" + relation.columns[i].name + "`; name one of them with AS",
              body.place);
  Output output;
  output.width = relation.columns.size();
  output.relation = std::move(relation);
  return output;
}

// A body that cannot be correlated.
Result<Relation> Planner::closed_body(const Body& body, const Environment* env, Context* outer) {
  switch (body.kind) {
    case Body::Kind::kValues: return values(body, env);
    case Body::Kind::kChain: return chain(body, env, outer);
    case Body::Kind::kSelect:
    case Body::Kind::kQuery: break;
  }
  Output output = body.kind == Body::Kind::kSelect ? TRY(select(*body.select, nullptr, outer, env, false))
                                                   : TRY(query(*body.query, outer, env, false));
  if (!output.outer_keys.empty())
    return error("a correlated subquery inside UNION, INTERSECT, EXCEPT or under its own ORDER BY is not supported",
                 body.place);
  return std::move(output.relation);
}

Result<Relation> Planner::chain(const Body& body, const Environment* env, Context* outer) {
  Relation left = TRY(closed_body(*body.parts[0], env, outer));
  for (std::size_t i = 0; i < body.ops.size(); ++i) {
    Relation right = TRY(closed_body(*body.parts[i + 1], env, outer));
    left = TRY(combine(body.ops[i], left, right, body.parts[i + 1]->place));
  }
  return left;
}

Result<Relation> Planner::combine(SetOp op, const Relation& left, const Relation& right, Place place) {
  static constexpr std::string_view kNames[] = {"UNION",         "UNION ALL", "INTERSECT",
                                                "INTERSECT ALL", "EXCEPT",    "EXCEPT ALL"};
  std::string name(kNames[static_cast<std::size_t>(op)]);
  if (left.columns.size() != right.columns.size())
    return error(name + ": the left side has " + std::to_string(left.columns.size()) + " columns, this one has " +
                     std::to_string(right.columns.size()),
                 place);
  // Both sides with the same types.
  std::vector<ExprPtr> from_left = all_columns(left.columns), from_right = all_columns(right.columns);
  Relation out;
  for (std::size_t i = 0; i < from_left.size(); ++i) {
    std::vector<ExprPtr> pair{from_left[i], from_right[i]};
    Type type = TRY(unify(pair, name + ", column `" + left.columns[i].name + "`", span(place)));
    from_left[i] = pair[0];
    from_right[i] = pair[1];
    out.columns.push_back({left.columns[i].name, type});
  }
  std::vector<std::string> names = names_of(out.columns);
  NodeId a = project(left.node, from_left, names);
  NodeId b = project(right.node, from_right, names);
  bool all = op == SetOp::kIntersectAll || op == SetOp::kExceptAll;
  if (all) {
    // Equal rows numbered: the n-th here meets the n-th there.
    std::vector<ColumnSpec> numbered = out.columns;
    numbered.push_back({"_number", Kind::kInt});
    plan::TopK number;
    for (std::uint32_t i = 0; i < out.columns.size(); ++i) number.partition.push_back(i);
    number.rank_column = true;
    for (NodeId* side : {&a, &b}) *side = distinct_rows(add(number, {*side}, numbered, "number"), numbered);
    plan::KeyedKind kind = op == SetOp::kIntersectAll ? plan::KeyedKind::kIntersect : plan::KeyedKind::kDifference;
    NodeId both = add(plan::Keyed{kind, {}}, {a, b}, numbered, name);
    out.node = project(both, all_columns(out.columns), names);
    return out;
  }
  switch (op) {
    case SetOp::kUnionAll: out.node = add(plan::Concat{true}, {a, b}, out.columns, name); break;
    case SetOp::kUnion:
      out.node = distinct_rows(add(plan::Concat{true}, {a, b}, out.columns, name), out.columns);
      break;
    case SetOp::kIntersect:
    case SetOp::kExcept: {
      plan::KeyedKind kind = op == SetOp::kIntersect ? plan::KeyedKind::kIntersect : plan::KeyedKind::kDifference;
      a = distinct_rows(a, out.columns);
      b = distinct_rows(b, out.columns);
      out.node = add(plan::Keyed{kind, {}}, {a, b}, out.columns, name);
      break;
    }
    case SetOp::kIntersectAll:
    case SetOp::kExceptAll: break;
  }
  return out;
}

Result<Relation> Planner::values(const Body& body, const Environment* env) {
  Relation out;
  std::size_t width = body.rows.front().size();
  std::vector<std::vector<ExprPtr>> columns(width);
  Context nothing;
  nothing.env = env;
  for (const std::vector<AstPtr>& row : body.rows) {
    if (row.size() != width)
      return error(
          "the rows of VALUES differ in length: " + std::to_string(width) + " and " + std::to_string(row.size()),
          row.front()->place);
    for (std::size_t i = 0; i < width; ++i) columns[i].push_back(TRY(value(nothing, *row[i])));
  }
  if (!nothing.virtuals.empty()) return error("VALUES takes constants only", nothing.virtuals.front().place);
  for (std::size_t i = 0; i < width; ++i) {
    Type type = TRY(unify(columns[i], "VALUES", span(body.place)));
    out.columns.push_back({"_col_" + std::to_string(i), type});
  }
  // One row per line, without columns; each line is computed from it.
  std::vector<NodeId> lines;
  for (std::size_t r = 0; r < body.rows.size(); ++r) {
    plan::StaticRow row;
    row.key = key_of_values({Value::of(static_cast<std::int64_t>(r))});
    bool literal = true;
    for (std::size_t i = 0; i < width; ++i) literal = literal && columns[i][r]->kind == plan::ExprKind::kLiteral;
    if (!literal) {
      auto rows = std::make_shared<std::vector<plan::StaticRow>>(1, row);
      std::vector<ExprPtr> exprs;
      for (std::size_t i = 0; i < width; ++i) exprs.push_back(columns[i][r]);
      lines.push_back(project(add(plan::StaticRows{rows, false}, {}, {}, "values"), exprs, names_of(out.columns)));
      continue;
    }
    for (std::size_t i = 0; i < width; ++i) row.cells.push_back(columns[i][r]->literal);
    auto rows = std::make_shared<std::vector<plan::StaticRow>>(1, row);
    lines.push_back(add(plan::StaticRows{rows, false}, {}, out.columns, "values"));
  }
  out.node = lines.size() == 1 ? lines[0] : add(plan::Concat{true}, lines, out.columns, "values");
  return out;
}

Result<Relation> Planner::order_and_limit(Relation relation, const Query& tail) {
  if (!tail.limit && !tail.offset && tail.order.empty()) return relation;
  // The outputs are all that can be named.
  Context ctx;
  std::vector<Item> outputs;
  for (std::uint32_t i = 0; i < relation.columns.size(); ++i) {
    ctx.scope.columns.push_back({"", relation.columns[i].name, relation.columns[i].type});
    ctx.scope.star.push_back({relation.columns[i].name, {i}});
    outputs.push_back({relation.columns[i].name, plan::column(i, relation.columns[i].type), {}, true});
  }
  std::vector<Order> order = TRY(order_exprs(ctx, tail, outputs, false));
  if (!limits(&tail)) return relation;
  if (!ctx.virtuals.empty())
    return error("ORDER BY of a UNION takes columns of its result only", ctx.virtuals.front().place);
  std::vector<ExprPtr> keys;
  for (const Order& by : order) keys.push_back(by.expr);
  plan::Columns at;
  Side wide = with_key_columns({relation.node, relation.columns}, keys, at);
  plan::TopK topk;
  for (std::size_t i = 0; i < order.size(); ++i)
    topk.order.push_back({at[i], order[i].descending, order[i].nulls_first});
  topk.limit = tail.limit;
  topk.offset = tail.offset.value_or(0);
  std::size_t width = relation.columns.size();
  std::vector<ColumnSpec> columns = wide.columns;
  number_rows(&tail, topk, columns);
  NodeId node = add(std::move(topk), {wide.node}, columns, "limit");
  if (wide.columns.size() > width) {
    std::vector<ExprPtr> kept = all_columns(columns);
    auto unwanted = [&](auto& list) {
      list.erase(list.begin() + static_cast<std::ptrdiff_t>(width),
                 list.begin() + static_cast<std::ptrdiff_t>(wide.columns.size()));
    };
    unwanted(kept);
    unwanted(columns);
    node = project(node, kept, names_of(columns));
  }
  relation.node = node;
  return relation;
}

}  // namespace thalweg::sql
