// FROM: which columns there are, and how tables are joined.

#include <algorithm>

#include "pipeline_lang/sql/planner.h"

namespace thalweg::sql {

namespace {

std::set<std::uint32_t> column_set(const ExprPtr& expr) {
  std::set<std::uint32_t> out;
  columns_of(*expr, out);
  return out;
}

bool all_in(const std::set<std::uint32_t>& columns, const std::map<std::uint32_t, std::uint32_t>& there) {
  return std::all_of(columns.begin(), columns.end(), [&](std::uint32_t c) { return there.contains(c); });
}

ExprPtr shifted(const ExprPtr& expr, std::uint32_t by) {
  if (expr->kind != plan::ExprKind::kColumn && expr->args.empty()) return expr;
  auto copy = std::make_shared<plan::Expr>(*expr);
  if (copy->kind == plan::ExprKind::kColumn && copy->column < kVirtual) copy->column += by;
  for (ExprPtr& arg : copy->args) arg = shifted(arg, by);
  return copy;
}

Stage stage_of(const FromPart::Leaf& leaf) {
  Stage stage;
  stage.node = leaf.node;
  stage.columns = leaf.columns;
  for (std::uint32_t i = 0; i < leaf.columns.size(); ++i) stage.where[leaf.first + i] = i;
  return stage;
}

}  // namespace

Result<FromPart> Planner::leaf(const Factor& factor, Relation relation, std::vector<RankColumn> ranks) {
  std::string alias = factor.alias.empty() ? factor.name : factor.alias;
  if (factor.column_aliases.size() > relation.columns.size())
    return error("`" + alias + "` has " + std::to_string(relation.columns.size()) + " columns, " +
                     std::to_string(factor.column_aliases.size()) + " names are given",
                 factor.place);
  for (std::size_t i = 0; i < factor.column_aliases.size(); ++i) relation.columns[i].name = factor.column_aliases[i];
  FromPart part;
  for (std::uint32_t i = 0; i < relation.columns.size(); ++i) {
    part.scope.columns.push_back({alias, relation.columns[i].name, relation.columns[i].type});
    part.scope.star.push_back({relation.columns[i].name, {i}});
  }
  part.leaves.push_back({relation.node, 0, relation.columns, std::move(ranks)});
  return part;
}

Result<FromPart> Planner::factor(Context& ctx, const Factor& factor) {
  switch (factor.kind) {
    case Factor::Kind::kTable: {
      Relation relation = TRY(table(factor.name, ctx.env, factor.place));
      return leaf(factor, std::move(relation), {});
    }
    case Factor::Kind::kQuery: {
      Output output = TRY(query(*factor.query, ctx.outer, ctx.env, false));
      if (!output.outer_keys.empty())
        return error("a derived table cannot refer to columns of the enclosing query", factor.place);
      return leaf(factor, std::move(output.relation), std::move(output.ranks));
    }
    case Factor::Kind::kJoin: {
      FromPart part = TRY(from_item(ctx, *factor.join));
      if (factor.alias.empty()) return part;
      return error("a parenthesised join takes no alias; make it a derived table", factor.place);
    }
    case Factor::Kind::kFunction: return window_function(ctx, factor);
  }
  return error("expected a table", factor.place);
}

FromPart Planner::side_by_side(Context& ctx, FromPart left, FromPart right) {
  auto shift = static_cast<std::uint32_t>(left.scope.columns.size());
  FromPart both = std::move(left);
  both.scope.columns.insert(both.scope.columns.end(), right.scope.columns.begin(), right.scope.columns.end());
  for (StarEntry entry : right.scope.star) {
    for (std::uint32_t& source : entry.sources) source += shift;
    both.scope.star.push_back(std::move(entry));
  }
  for (FromPart::Leaf leaf : right.leaves) {
    leaf.first += shift;
    both.leaves.push_back(std::move(leaf));
  }
  std::set<std::uint32_t> asked;
  for (const ExprPtr& condition : right.conditions) {
    columns_of(*condition, asked);
    both.conditions.push_back(shifted(condition, shift));
  }
  for (std::uint32_t column : asked) {
    if (column < kVirtual) continue;
    Subquery& subquery = ctx.virtuals[column - kVirtual].subquery;
    for (ExprPtr& operand : subquery.operands) operand = shifted(operand, shift);
    if (!subquery.output) continue;
    for (ExprPtr& key : subquery.output->outer_keys) key = shifted(key, shift);
  }
  return both;
}

Result<FromPart> Planner::from(Context& ctx, const Select& select) {
  if (select.from.empty()) {
    FromPart part;
    plan::StaticRow row;
    row.key = key_of_values({});
    auto rows = std::make_shared<std::vector<plan::StaticRow>>(1, row);
    part.leaves.push_back({add(plan::StaticRows{rows, false}, {}, {}, "values"), 0, {}, {}});
    return part;
  }
  std::optional<FromPart> all;
  for (const FromItem& item : select.from) {
    FromPart next = TRY(from_item(ctx, item));
    all = all ? side_by_side(ctx, std::move(*all), std::move(next)) : std::move(next);
  }
  // Two tables of one name would make every qualified name ambiguous.
  std::map<std::string, int> seen;
  for (const FromItem& item : select.from)
    for (const JoinStep& step : item.steps) {
      const Factor& factor = step.factor;
      std::string name = factor.alias.empty() ? factor.name : factor.alias;
      if (name.empty()) continue;
      if (++seen[name] > 1)
        return error("the name `" + name + "` is used twice in FROM; give one of them an alias", factor.place);
    }
  return std::move(*all);
}

Result<FromPart> Planner::from_item(Context& ctx, const FromItem& item) {
  FromPart part = TRY(factor(ctx, item.steps.front().factor));
  for (std::size_t i = 1; i < item.steps.size(); ++i) part = TRY(join_step(ctx, std::move(part), item.steps[i]));
  return part;
}

Result<void> Planner::join_condition(Context& ctx, const FromPart& left, const FromPart& right, const JoinStep& step,
                                     FromPart& both, std::vector<ExprPtr>& on) {
  auto shift = static_cast<std::uint32_t>(left.scope.columns.size());
  if (step.on) {
    // ON sees the two sides and nothing else of this FROM.
    Scope whole = std::move(ctx.scope);
    ctx.scope = both.scope;
    Result<Logic> condition = logic(ctx, *step.on, "ON");
    ctx.scope = std::move(whole);
    if (!condition) return fail(std::move(condition).error());
    split_conjuncts(*condition, on);
    return {};
  }
  std::vector<StarEntry> merged;
  for (std::size_t i = 0; i < step.using_columns.size(); ++i) {
    const std::string& name = step.using_columns[i];
    SourceSpan where = span(step.using_places[i]);
    auto find = [&](const Scope& scope, std::string_view side) -> Result<StarEntry> {
      const StarEntry* found = nullptr;
      for (const StarEntry& entry : scope.star) {
        if (entry.name != name) continue;
        if (found)
          return error("`" + name + "` is ambiguous on the " + std::string(side) + " side", step.using_places[i]);
        found = &entry;
      }
      if (!found)
        return error("USING: the " + std::string(side) + " side has no column `" + name + "`", step.using_places[i]);
      return *found;
    };
    StarEntry a = TRY(find(left.scope, "left"));
    StarEntry b = TRY(find(right.scope, "right"));
    for (std::uint32_t& source : b.sources) source += shift;
    ExprPtr from_left = TRY(star_column(both.scope, a, where));
    ExprPtr from_right = TRY(star_column(both.scope, b, where));
    // USING of an ASOF JOIN ends with the time.
    bool is_asof = step.kind == JoinKind::kAsof || step.kind == JoinKind::kAsofLeft;
    bool is_time = is_asof && i + 1 == step.using_columns.size();
    on.push_back(TRY(compare_sql(is_time ? ">=" : "=", from_left, from_right, where)));
    StarEntry one{name, step.kind == JoinKind::kRight ? b.sources : a.sources};
    if (step.kind == JoinKind::kFull) one.sources.insert(one.sources.end(), b.sources.begin(), b.sources.end());
    merged.push_back(std::move(one));
  }
  std::vector<StarEntry> star = merged;
  for (const StarEntry& entry : both.scope.star)
    if (std::none_of(merged.begin(), merged.end(), [&](const StarEntry& m) { return m.name == entry.name; }))
      star.push_back(entry);
  if (!merged.empty()) both.scope.star = std::move(star);
  return {};
}

Result<FromPart> Planner::join_step(Context& ctx, FromPart left, const JoinStep& step) {
  FromPart right = TRY(factor(ctx, step.factor));
  FromPart both = side_by_side(ctx, left, right);
  std::vector<ExprPtr> on;
  TRY(join_condition(ctx, left, right, step, both, on));
  switch (step.kind) {
    case JoinKind::kFirst:
    case JoinKind::kInner:
    case JoinKind::kCross: both.conditions.insert(both.conditions.end(), on.begin(), on.end()); return both;
    case JoinKind::kLeft:
    case JoinKind::kRight:
    case JoinKind::kFull:
      if (!step.on && step.using_columns.empty()) return error("an outer join needs ON or USING", step.place);
      return join_outer(ctx, step.kind, std::move(left), std::move(right), std::move(on), std::move(both));
    case JoinKind::kAsof:
    case JoinKind::kAsofLeft:
      return join_asof(ctx, step, std::move(left), std::move(right), std::move(on), std::move(both));
  }
  return error("expected a join", step.place);
}

// ---------------------------------------------------------------- inner joins

// Joins the leaves one by one, next the first that an equality connects with what is joined already, and filters as
// soon as all columns of a condition are there.
Result<Stage> Planner::join_leaves(const Context& ctx, const FromPart& part, std::vector<ExprPtr> conditions,
                                   const std::set<std::uint32_t>& used) {
  conditions.insert(conditions.end(), part.conditions.begin(), part.conditions.end());
  std::set<std::uint32_t> needed = used;
  for (const ExprPtr& condition : conditions) columns_of(*condition, needed);

  auto take_ready = [&](const Stage& stage) {
    std::vector<ExprPtr> ready;
    std::erase_if(conditions, [&](const ExprPtr& condition) {
      std::set<std::uint32_t> columns = column_set(condition);
      if (columns.empty() || !all_in(columns, stage.where)) return false;
      ready.push_back(condition);
      return true;
    });
    return ready;
  };

  std::vector<Stage> waiting;
  for (const FromPart::Leaf& leaf : part.leaves) {
    Stage stage = stage_of(leaf);
    stage = TRY(filter(ctx, std::move(stage), take_ready(stage)));
    waiting.push_back(part.leaves.size() > 1 ? keep_columns(stage, needed) : stage);
  }
  Stage joined = std::move(waiting.front());
  waiting.erase(waiting.begin());
  while (!waiting.empty()) {
    // The equalities between what is joined and a candidate.
    auto keys_with = [&](const Stage& next) {
      std::vector<std::pair<std::size_t, Sides>> keys;
      for (std::size_t i = 0; i < conditions.size(); ++i) {
        std::optional<Sides> sides = as_equality(*conditions[i]);
        if (!sides) continue;
        std::set<std::uint32_t> a = column_set(sides->left), b = column_set(sides->right);
        if (a.empty() || b.empty()) continue;
        if (all_in(b, joined.where) && all_in(a, next.where))
          std::swap(sides->left, sides->right);
        else if (!all_in(a, joined.where) || !all_in(b, next.where))
          continue;
        keys.emplace_back(i, *sides);
      }
      return keys;
    };
    std::size_t pick = 0;
    auto keys = keys_with(waiting[0]);
    for (std::size_t i = 1; i < waiting.size() && keys.empty(); ++i) {
      keys = keys_with(waiting[i]);
      if (!keys.empty()) pick = i;
    }
    for (std::size_t i = 0; i < waiting.size() && keys.empty(); ++i)
      if (find_band(conditions, joined, waiting[i])) {
        pick = i;
        break;
      }
    Stage next = std::move(waiting[pick]);
    waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(pick));
    std::vector<ExprPtr> left_on, right_on;
    for (auto& [at, sides] : keys) {
      left_on.push_back(TRY(place(ctx, joined, sides.left)));
      right_on.push_back(TRY(place(ctx, next, sides.right)));
    }
    for (std::size_t i = keys.size(); i-- > 0;)
      conditions.erase(conditions.begin() + static_cast<std::ptrdiff_t>(keys[i].first));
    auto shift = static_cast<std::uint32_t>(joined.columns.size());
    std::optional<Band> band = find_band(conditions, joined, next);
    Side side = band ? TRY(join_band(ctx, joined, left_on, next, right_on, *band))
                     : join({joined.node, joined.columns}, left_on, {next.node, next.columns}, right_on, {});
    if (band) {
      conditions.erase(conditions.begin() + static_cast<std::ptrdiff_t>(std::max(band->low_at, band->high_at)));
      conditions.erase(conditions.begin() + static_cast<std::ptrdiff_t>(std::min(band->low_at, band->high_at)));
    }
    joined.node = side.node;
    joined.columns = side.columns;
    for (const auto& [column, at] : next.where) joined.where[column] = at + shift;
    joined = TRY(filter(ctx, std::move(joined), take_ready(joined)));
    needed = used;
    for (const ExprPtr& condition : conditions) columns_of(*condition, needed);
  }
  return filter(ctx, std::move(joined), conditions);
}

// ---------------------------------------------------------------- outer joins

namespace {

// A condition of ON by the sides it looks at.
struct OuterCondition {
  std::vector<ExprPtr> left_on, right_on;  // equalities
  std::vector<ExprPtr> left, right, both;
};

OuterCondition sort_conditions(const std::vector<ExprPtr>& on, std::uint32_t shift) {
  OuterCondition sorted;
  for (const ExprPtr& condition : on) {
    auto side_of = [&](const std::set<std::uint32_t>& columns) {
      bool left = false, right = false;
      for (std::uint32_t column : columns) (column < shift ? left : right) = true;
      return (left ? 1 : 0) + (right ? 2 : 0);
    };
    std::optional<Sides> sides = as_equality(*condition);
    if (sides) {
      int a = side_of(column_set(sides->left)), b = side_of(column_set(sides->right));
      if (a == 2 && b == 1) {
        std::swap(sides->left, sides->right);
        std::swap(a, b);
      }
      if (a == 1 && b == 2) {
        sorted.left_on.push_back(sides->left);
        sorted.right_on.push_back(sides->right);
        continue;
      }
    }
    int side = side_of(column_set(condition));
    (side == 3 ? sorted.both : side == 2 ? sorted.right : sorted.left).push_back(condition);
  }
  return sorted;
}

// A row that fails `guards` matches nothing: its keys are NULL.
void guard_keys(std::vector<ExprPtr>& keys, const std::vector<ExprPtr>& guards) {
  if (guards.empty()) return;
  Logic all;
  all.kind = Logic::Kind::kAnd;
  for (const ExprPtr& guard : guards) all.parts.push_back(Logic::of(guard));
  ExprPtr holds = is_true(all);
  keys[0] = if_then(holds, plan::coerce(keys[0], keys[0]->type.as_optional()), null_literal(keys[0]->type));
}

}  // namespace

Result<FromPart> Planner::join_outer(const Context& ctx, JoinKind kind, FromPart left, FromPart right,
                                     std::vector<ExprPtr> on, FromPart both) {
  std::vector<ExprPtr> below = on;
  below.insert(below.end(), left.conditions.begin(), left.conditions.end());
  below.insert(below.end(), right.conditions.begin(), right.conditions.end());
  for (const ExprPtr& condition : below)
    for (std::uint32_t column : column_set(condition))
      if (const Virtual* other = ctx.find_virtual(column))
        return error(other->kind == Virtual::Kind::kSubquery
                         ? "a subquery in ON of an outer join, or below one, is not supported"
                         : "ON of an outer join takes columns of its two sides only",
                     other->place);
  auto shift = static_cast<std::uint32_t>(left.scope.columns.size());
  auto all_of_part = [](const FromPart& part) {
    std::set<std::uint32_t> all;
    for (std::uint32_t i = 0; i < part.scope.columns.size(); ++i) all.insert(i);
    return all;
  };
  // Names in errors are those of the scope at hand.
  Context sides;
  sides.scope = both.scope;
  Stage l = TRY(join_leaves(sides, left, {}, all_of_part(left)));
  Stage r = TRY(join_leaves(sides, right, {}, all_of_part(right)));
  std::map<std::uint32_t, std::uint32_t> moved;
  for (const auto& [column, at] : r.where) moved[column + shift] = at;
  r.where = std::move(moved);

  bool keep_left = kind == JoinKind::kLeft || kind == JoinKind::kFull;
  bool keep_right = kind == JoinKind::kRight || kind == JoinKind::kFull;
  OuterCondition sorted = sort_conditions(on, shift);
  if (!keep_left) l = TRY(filter(sides, std::move(l), std::exchange(sorted.left, {})));
  if (!keep_right) r = TRY(filter(sides, std::move(r), std::exchange(sorted.right, {})));
  if (sorted.left_on.empty() && (!sorted.left.empty() || !sorted.right.empty())) {
    sorted.left_on.push_back(int_literal(1));
    sorted.right_on.push_back(int_literal(1));
  }
  std::vector<ExprPtr> left_on = TRY(place_all(sides, l, sorted.left_on));
  std::vector<ExprPtr> right_on = TRY(place_all(sides, r, sorted.right_on));
  guard_keys(left_on, TRY(place_all(sides, l, sorted.left)));
  guard_keys(right_on, TRY(place_all(sides, r, sorted.right)));

  // The columns in the order of the scope.
  std::vector<ColumnSpec> columns;
  std::vector<ExprPtr> in_order;
  for (std::uint32_t i = 0; i < both.scope.columns.size(); ++i) {
    bool is_left = i < shift;
    bool padded = is_left ? keep_right : keep_left;
    ScopeColumn& column = both.scope.columns[i];
    if (padded) column.type = column.type.as_optional();
    columns.push_back({column.name, column.type});
    std::uint32_t at = is_left ? l.where[i] : r.where[i] + static_cast<std::uint32_t>(l.columns.size());
    in_order.push_back(plan::column(at, column.type));
  }
  NodeId node;
  if (sorted.both.empty()) {
    JoinSpec spec;
    spec.how = keep_left && keep_right ? plan::JoinHow::kOuter
               : keep_left             ? plan::JoinHow::kLeft
                                       : plan::JoinHow::kRight;
    Side joined = join({l.node, l.columns}, left_on, {r.node, r.columns}, right_on, spec);
    node = project(joined.node, in_order, names_of(columns));
  } else {
    // What matches by the keys and the rest of ON; then the rows of the kept sides that are in no match.
    JoinSpec spec;
    spec.left_key = spec.right_key = true;
    Side joined = join({l.node, l.columns}, left_on, {r.node, r.columns}, right_on, spec);
    Stage pairs;
    pairs.node = joined.node;
    pairs.columns = joined.columns;
    pairs.where = l.where;
    for (const auto& [column, at] : r.where) pairs.where[column] = at + static_cast<std::uint32_t>(l.columns.size());
    pairs = TRY(filter(sides, std::move(pairs), sorted.both));
    std::vector<ExprPtr> widened;
    for (std::size_t i = 0; i < in_order.size(); ++i) {
      ExprPtr plain = plan::column(in_order[i]->column, joined.columns[in_order[i]->column].type);
      widened.push_back(plan::coerce(plain, columns[i].type));
    }
    std::vector<NodeId> parts{project(pairs.node, widened, names_of(columns))};
    auto pad = [&](const Stage& side, bool is_left, std::uint32_t key_column) {
      plan::GroupBy matched;
      matched.by = {key_column};
      matched.key_is_column = true;
      NodeId keys = add(std::move(matched), {pairs.node}, {{"key", Type(Kind::kPointer, true)}}, "matched");
      NodeId alone = add(plan::Keyed{plan::KeyedKind::kDifference, {}}, {side.node, keys}, side.columns, "unmatched");
      std::vector<ExprPtr> padded;
      for (std::uint32_t i = 0; i < columns.size(); ++i) {
        if ((i < shift) != is_left) {
          padded.push_back(null_literal(columns[i].type));
          continue;
        }
        std::uint32_t at = side.where.at(i);
        padded.push_back(plan::coerce(plan::column(at, side.columns[at].type), columns[i].type));
      }
      parts.push_back(project(alone, padded, names_of(columns)));
    };
    auto keys = static_cast<std::uint32_t>(l.columns.size() + r.columns.size());
    if (keep_left) pad(l, true, keys);
    if (keep_right) pad(r, false, keys + 1);
    node = add(plan::Concat{true}, parts, columns, "outer join");
  }
  both.leaves = {{node, 0, columns, {}}};
  both.conditions.clear();
  return both;
}

}  // namespace thalweg::sql
