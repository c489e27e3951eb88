// R3 of rewrite.h.
#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>

#include "engine/plan/rewrite/conditions.h"
#include "engine/plan/rewrite/rewrite.h"

namespace thalweg::plan {

namespace {

// The ends of a side's range: over the columns of that side.
struct Range {
  ExprPtr lower, upper;
};

// Ranges of both sides that overlap in every pair that the filter lets through.
struct Band {
  std::array<Range, 2> sides;
};

// Only depends on the cells it is given, and costs little.
bool is_simple(const Expr& expr) {
  constexpr std::string_view kNames[] = {"add", "sub", "mul", "neg", "cast"};
  if (expr.user || expr.kind == ExprKind::kKey) return false;
  if (expr.kind == ExprKind::kCall && std::ranges::find(kNames, expr.function) == std::end(kNames) && !is_silent(expr))
    return false;
  return std::ranges::all_of(expr.args, [](const ExprPtr& arg) { return is_simple(*arg); });
}

bool has_order(const Type& type) {
  return type.is(Kind::kInt) || type.is(Kind::kFloat) || type.is_datetime() || type.is(Kind::kDuration);
}

// `condition`, where None counts as refused anyway.
ExprPtr without_none(const ExprPtr& condition) {
  bool refuses_none = condition->kind == ExprKind::kCoalesce && condition->args.size() == 2 &&
                      condition->args[1]->kind == ExprKind::kLiteral && condition->args[1]->literal == Value::of(false);
  return refuses_none ? condition->args[0] : condition;
}

// The lower of both first, if the condition compares two values by order.
std::optional<std::array<ExprPtr, 2>> ordered_pair(const Expr& condition) {
  if (condition.kind != ExprKind::kCall || condition.args.size() != 2) return std::nullopt;
  const ExprPtr& a = condition.args[0];
  const ExprPtr& b = condition.args[1];
  if (!has_order(a->type) || a->type.kind() != b->type.kind()) return std::nullopt;
  if (condition.function == "lt" || condition.function == "le") return std::array{a, b};
  if (condition.function == "gt" || condition.function == "ge") return std::array{b, a};
  return std::nullopt;
}

class BandFinder {
 public:
  BandFinder(const Plan& plan, const std::set<Key>& kept)
      : plan_(plan), readers_(readers_of(plan)), kept_(nodes_kept(plan, kept)) {}

  [[nodiscard]] std::map<std::uint32_t, Band> find() {
    for (const Node& node : plan_.nodes)
      if (const auto* filter = std::get_if<Filter>(&node.params))
        if (node.reports_errors) look(conjuncts(filter->condition), node.inputs[0]);
    return std::move(bands_);
  }

 private:
  // Down to the join whose rows only this filter reads.
  void look(std::vector<ExprPtr> parts, NodeId at) {
    const Node* node = &plan_.node(at);
    for (;; node = &plan_.node(node->inputs[0])) {
      if (readers_[node->id.value].size() != 1) return;
      const auto* project = std::get_if<Project>(&node->params);
      if (!project) break;
      if (!std::ranges::all_of(project->exprs, [](const ExprPtr& expr) { return is_silent(*expr); })) return;
      for (ExprPtr& part : parts) part = before_project(part, *project);
    }
    const auto* join = std::get_if<Join>(&node->params);
    if (!join || join->how != JoinHow::kInner || join->key != JoinKey::kPair) return;
    if (kept_[node->id.value]) return;
    if (std::optional<Band> band = band_of(parts, *node, *join)) bands_[node->id.value] = std::move(*band);
  }

  // A part that looks at what is computed is of no use but has its turn: it may be one that raises an error.
  static ExprPtr before_project(const ExprPtr& part, const Project& project) {
    if (!part) return nullptr;
    ExprPtr below = moved(part, places_before(project));
    if (below) return below;
    return is_silent(*part) ? literal(Value::of(true), Type(Kind::kBool)) : nullptr;
  }

  [[nodiscard]] std::optional<Band> band_of(const std::vector<ExprPtr>& parts, const Node& node,
                                            const Join& join) const {
    std::size_t split = plan_.node(node.inputs[0]).schema.size();
    std::size_t end = split + plan_.node(node.inputs[1]).schema.size();
    std::array<std::vector<std::uint32_t>, 2> places{places_in_side(join.emit, 0, split, end),
                                                     places_in_side(join.emit, 1, split, end)};
    Band band;
    Kind kind = Kind::kNone;
    for (const ExprPtr& part : parts) {
      if (!part) break;
      if (take(band, kind, *without_none(part), places) || is_silent(*part)) continue;
      break;  // raises errors of its own: pairs must reach it
    }
    if (!band.sides[0].lower || !band.sides[1].lower) return std::nullopt;
    return band;
  }

  // The lower value is of one side, the higher of the other: the range of the one begins before that of the other ends.
  static bool take(Band& band, Kind& kind, const Expr& condition,
                   const std::array<std::vector<std::uint32_t>, 2>& places) {
    auto pair = ordered_pair(condition);
    if (!pair || !is_simple(*(*pair)[0]) || !is_simple(*(*pair)[1])) return false;
    Kind of_pair = (*pair)[0]->type.kind();
    if (kind != Kind::kNone && kind != of_pair) return false;
    for (std::size_t side : {std::size_t{0}, std::size_t{1}}) {
      ExprPtr lower = moved((*pair)[0], places[side]);
      ExprPtr upper = moved((*pair)[1], places[1 - side]);
      if (!lower || !upper || band.sides[side].lower) continue;
      band.sides[side].lower = lower;
      band.sides[1 - side].upper = upper;
      kind = of_pair;
      return true;
    }
    return false;
  }

  const Plan& plan_;
  const std::vector<std::vector<NodeId>> readers_;
  const std::vector<bool> kept_;
  std::map<std::uint32_t, Band> bands_;
};

// ---------------------------------------------------------------- the plan with interval joins

ExprPtr least(const Type& type) {
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  switch (type.kind()) {
    case Kind::kFloat: return literal(Value::of(-std::numeric_limits<double>::infinity()), type);
    case Kind::kDateTimeNaive: return literal(Value::datetime_naive(kLeast), type);
    case Kind::kDateTimeUtc: return literal(Value::datetime_utc(kLeast), type);
    case Kind::kDuration: return literal(Value::duration(kLeast), type);
    default: return literal(Value::of(kLeast), type);
  }
}
ExprPtr greatest(const Type& type) {
  constexpr std::int64_t kGreatest = std::numeric_limits<std::int64_t>::max();
  switch (type.kind()) {
    case Kind::kFloat: return literal(Value::of(std::numeric_limits<double>::infinity()), type);
    case Kind::kDateTimeNaive: return literal(Value::datetime_naive(kGreatest), type);
    case Kind::kDateTimeUtc: return literal(Value::datetime_utc(kGreatest), type);
    case Kind::kDuration: return literal(Value::duration(kGreatest), type);
    default: return literal(Value::of(kGreatest), type);
  }
}

ExprPtr at_most(const ExprPtr& a, const ExprPtr& b) {
  bool optional = a->type.optional() || b->type.optional();
  ExprPtr holds = call("le", {a, b}, Type(Kind::kBool, optional));
  if (!optional) return holds;
  return special(ExprKind::kCoalesce, {holds, literal(Value::of(false), Type(Kind::kBool))}, Type(Kind::kBool));
}

bool is_point(const Range& range) { return identity(*range.lower) == identity(*range.upper); }

// Both ends where the range can be trusted, all of time where not: then the filter is asked about every pair. Ranges
// that end before they begin meet nothing that is a point, but may well pass two comparisons with a range.
Range widened(const Range& range, bool meets_points) {
  ExprPtr sound = is_point(range) || !meets_points
                      ? at_most(range.lower, range.upper)
                      : special(ExprKind::kAnd, {at_most(range.lower, range.lower), at_most(range.upper, range.upper)},
                                Type(Kind::kBool));
  auto or_all = [&](const ExprPtr& end, const ExprPtr& all) {
    ExprPtr value = special(ExprKind::kIf, {sound, end, all}, end->type);
    if (end->type.optional()) value = special(ExprKind::kCoalesce, {value, all}, all->type);
    return special(ExprKind::kFillError, {value, all}, all->type);
  };
  Type plain = range.lower->type.without_optional();
  return {or_all(range.lower, least(plain)), or_all(range.upper, greatest(plain))};
}

// One side as the interval join takes it.
struct Prepared {
  NodeId node;
  std::vector<std::uint32_t> place;  // of the side's columns
  std::uint32_t lower = 0, upper = 0, width = 0;
};

class Writer {
 public:
  explicit Writer(Plan& out) : out_(out) {}

  void write(Node& node, const Band& band) {
    const Join join = std::get<Join>(node.params);
    std::array<std::size_t, 2> widths{out_.node(node.inputs[0]).schema.size(), out_.node(node.inputs[1]).schema.size()};
    std::array<Prepared, 2> sides{prepare(node, 0, join, band), prepare(node, 1, join, band)};
    auto moved_to = [](const Prepared& side, const Columns& columns) {
      Columns out;
      for (std::uint32_t column : columns) out.push_back(side.place[column]);
      return out;
    };
    IntervalJoin interval;
    interval.left_on = moved_to(sides[0], join.left_on);
    interval.right_on = moved_to(sides[1], join.right_on);
    interval.left_lower = sides[0].lower;
    interval.left_upper = sides[0].upper;
    interval.right_lower = sides[1].lower;
    interval.right_upper = sides[1].upper;
    for (std::uint32_t index : join.emit) {
      if (index < widths[0])
        interval.emit.push_back(sides[0].place[index]);
      else if (index < widths[0] + widths[1])
        interval.emit.push_back(sides[0].width + sides[1].place[index - widths[0]]);
      else
        interval.emit.push_back(sides[0].width + sides[1].width +
                                (index - static_cast<std::uint32_t>(widths[0] + widths[1])));
    }
    node.inputs = {sides[0].node, sides[1].node};
    node.params = std::move(interval);
  }

 private:
  // The columns that are read, and the ends of the range.
  Prepared prepare(const Node& node, std::size_t side, const Join& join, const Band& band) {
    const NodeId from = node.inputs[side];
    const Schema schema = out_.node(from).schema;
    const Columns& on = side == 0 ? join.left_on : join.right_on;
    std::size_t first = side == 0 ? 0 : out_.node(node.inputs[0]).schema.size();
    std::vector<bool> read(schema.size(), false);
    for (std::uint32_t column : on) read[column] = true;
    for (std::uint32_t index : join.emit)
      if (index >= first && index < first + schema.size()) read[index - first] = true;
    Prepared prepared{join.none_matches ? from : without_none(node, from, on), {}, 0, 0, 0};
    Project project;
    Node projected;
    prepared.place.resize(schema.size(), kNowhere);
    auto add = [&](ExprPtr expr, std::string name) {
      projected.schema.columns.push_back({std::move(name), expr->type});
      project.exprs.push_back(std::move(expr));
      return static_cast<std::uint32_t>(project.exprs.size() - 1);
    };
    for (std::uint32_t c = 0; c < schema.size(); ++c)
      if (read[c]) prepared.place[c] = add(column(c, schema.columns[c].type), schema.columns[c].name);
    Range range = widened(band.sides[side], is_point(band.sides[1 - side]));
    prepared.lower = add(range.lower, "_from");
    prepared.upper = add(range.upper, "_until");
    prepared.width = static_cast<std::uint32_t>(project.exprs.size());
    projected.inputs = {prepared.node};
    projected.params = std::move(project);
    describe(projected, node, prepared.node);
    projected.reports_errors = false;  // the filter tells of what is wrong with a pair
    prepared.node = out_.add(std::move(projected));
    return prepared;
  }

  // Without the rows whose key has a None; ERROR passes, for the join to tell of.
  NodeId without_none(const Node& node, NodeId from, const Columns& on) {
    const Schema schema = out_.node(from).schema;
    ExprPtr all;
    for (std::uint32_t c : on) {
      const Type& type = schema.columns[c].type;
      if (!type.admits_none()) continue;
      ExprPtr present = special(
          ExprKind::kFillError,
          {call("is_not_none", {column(c, type)}, Type(Kind::kBool)), literal(Value::of(true), Type(Kind::kBool))},
          Type(Kind::kBool));
      all = all ? special(ExprKind::kAnd, {all, present}, Type(Kind::kBool)) : present;
    }
    if (!all) return from;
    Node filter;
    filter.inputs = {from};
    filter.schema = schema;
    filter.params = Filter{all};
    describe(filter, node, from);
    return out_.add(std::move(filter));
  }

  void describe(Node& fresh, const Node& join, NodeId input) const {
    fresh.span = join.span;
    fresh.label = join.label;
    fresh.append_only = out_.node(input).append_only;
    fresh.reports_errors = join.reports_errors;
  }

  Plan& out_;
};

}  // namespace

std::vector<NodeId> join_by_bands(Plan& plan, const std::set<Key>& kept) {
  std::map<std::uint32_t, Band> bands = BandFinder(plan, kept).find();
  std::vector<NodeId> now(plan.nodes.size());
  for (std::uint32_t i = 0; i < now.size(); ++i) now[i] = NodeId{i};
  if (bands.empty()) return now;
  std::vector<Node> nodes = std::exchange(plan.nodes, {});
  Writer writer(plan);
  for (Node& node : nodes) {
    NodeId old = node.id;
    renumber(node, now);
    if (auto band = bands.find(old.value); band != bands.end()) writer.write(node, band->second);
    now[old.value] = plan.add(std::move(node));
  }
  return now;
}

}  // namespace thalweg::plan
