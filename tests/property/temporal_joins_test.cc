// Joins in time equal their naive recomputation after every commit, with 1, 2 and 3 workers.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/plan/rewrite/rewrite.h"
#include "tests/property/temporal_stream.h"

namespace thalweg::testing {
namespace {

constexpr std::uint64_t kCasesDefault = 150;

// key, time, value; times are ints, or floats of halves.
struct Sides {
  bool floats = false;
  bool keyed = false;
  Schema schema;
  Events left, right;
};

Value time_value(bool floats, Random& random, std::size_t commit, std::int64_t spread) {
  std::int64_t at = static_cast<std::int64_t>(commit) * 3 + random.between(-spread, spread);
  return floats ? Value::of(static_cast<double>(at) / 2) : Value::of(at);
}

Sides random_sides(Random& random) {
  Sides sides;
  sides.floats = random.chance(30);
  sides.keyed = random.chance(60);
  sides.schema.columns = {{"k", Kind::kStr}, {"t", sides.floats ? Kind::kFloat : Kind::kInt}, {"v", Kind::kInt}};
  StreamShape shape;
  shape.commits = 2 + random.below(8);
  shape.rows_per_commit = 1 + random.below(8);
  shape.deletions = random.chance(30) ? 0 : 25;
  std::int64_t spread = random.between(0, 12);
  std::size_t keys = 1 + random.below(3);
  shape.cells = [&sides, spread, keys](Random& r, std::size_t commit) {
    return Cells{Value::str("key " + std::to_string(r.below(keys)) + " with a long text"),
                 time_value(sides.floats, r, commit, spread), Value::of(r.between(0, 99))};
  };
  sides.left = random_events(random, shape, 1);
  sides.right = random_events(random, shape, 2);
  return sides;
}

double at(const Cells& cells) {
  return cells[1].tag() == Value::Tag::kFloat ? cells[1].as_float() : static_cast<double>(cells[1].as_int());
}
Cells joined(const Cells* left, const Cells* right) {
  Cells out;
  for (const Cells* side : {left, right})
    for (std::size_t i = 0; i < 3; ++i) out.push_back(side ? (*side)[i] : Value::none());
  return out;
}
Schema joined_schema(const Schema& one) {
  Schema out;
  for (int side = 0; side < 2; ++side)
    for (const ColumnSpec& column : one.columns)
      out.columns.push_back({column.name + std::to_string(side), column.type.as_optional()});
  return out;
}

plan::JoinHow random_how(Random& random, bool inner) {
  static const std::vector<plan::JoinHow> all = {plan::JoinHow::kLeft, plan::JoinHow::kRight, plan::JoinHow::kOuter,
                                                 plan::JoinHow::kInner};
  return all[random.below(inner ? 4 : 3)];
}

std::string interval_case(std::uint64_t seed) {
  Random random(seed);
  Sides sides = random_sides(random);
  plan::JoinHow how = random_how(random, true);
  std::int64_t low = random.between(-4, 3);
  std::int64_t high = low + random.between(0, 6);
  plan::Plan plan;
  NodeId left = add_stream(plan, sides.schema, sides.left), right = add_stream(plan, sides.schema, sides.right);
  // Bounds are columns that a projection makes.
  Type type = sides.schema.columns[1].type;
  auto literal = [&](std::int64_t v) {
    return sides.floats ? plan::literal(Value::of(static_cast<double>(v)), type) : plan::literal(Value::of(v), type);
  };
  auto time = plan::column(1, type);
  plan::Project project;
  for (std::uint32_t i = 0; i < 3; ++i) project.exprs.push_back(plan::column(i, sides.schema.columns[i].type));
  project.exprs.push_back(plan::call("add", {time, literal(low)}, type));
  project.exprs.push_back(plan::call("add", {time, literal(high)}, type));
  plan::Node bounds;
  bounds.inputs = {left};
  bounds.schema = sides.schema;
  bounds.schema.columns.push_back({"low", type});
  bounds.schema.columns.push_back({"high", type});
  bounds.params = std::move(project);
  NodeId ranged = plan.add(std::move(bounds));
  plan::IntervalJoin join;
  join.how = how;
  if (sides.keyed) join.left_on = join.right_on = {0};
  join.left_lower = 3;
  join.left_upper = 4;
  join.right_lower = join.right_upper = 1;
  join.emit = {0, 1, 2, 5, 6, 7};
  plan::Node node;
  node.inputs = {ranged, right};
  node.schema = joined_schema(sides.schema);
  node.params = join;
  NodeId result = plan.add(std::move(node));
  auto wanted = [&](std::uint64_t when) {
    Multiset rows;
    auto lefts = live_at(sides.left, when), rights = live_at(sides.right, when);
    std::vector<bool> met(rights.size());
    for (const Live& l : lefts) {
      bool any = false;
      for (std::size_t i = 0; i < rights.size(); ++i) {
        const Cells& r = rights[i].cells;
        if (sides.keyed && !(l.cells[0] == r[0])) continue;
        if (at(l.cells) + static_cast<double>(low) > at(r) || at(r) > at(l.cells) + static_cast<double>(high)) continue;
        any = true;
        met[i] = true;
        add_row(rows, joined(&l.cells, &r));
      }
      if (!any && (how == plan::JoinHow::kLeft || how == plan::JoinHow::kOuter))
        add_row(rows, joined(&l.cells, nullptr));
    }
    for (std::size_t i = 0; i < rights.size(); ++i)
      if (!met[i] && (how == plan::JoinHow::kRight || how == plan::JoinHow::kOuter))
        add_row(rows, joined(nullptr, &rights[i].cells));
    return rows;
  };
  return compare_after_commits(plan, result, commit_times({&sides.left, &sides.right}), wanted);
}

// A comparison of `lower` with `upper`, written from either side.
plan::ExprPtr ordered(Random& random, const plan::ExprPtr& lower, const plan::ExprPtr& upper, bool strict) {
  if (random.chance(50)) return plan::call(strict ? "lt" : "le", {lower, upper}, Kind::kBool);
  return plan::call(strict ? "gt" : "ge", {upper, lower}, Kind::kBool);
}

// A filter over a plain join that bounds columns of one side by the other's: as written, what is rewritten has an
// interval join.
std::string band_case(std::uint64_t seed) {
  Random random(seed);
  Sides sides = random_sides(random);
  std::array<std::int64_t, 4> shift{};  // of the ends: left from, left until, right from, right until
  for (std::int64_t& by : shift) by = random.between(-4, 4);
  if (random.chance(50)) shift[2] = shift[3] = 0;  // a point on the right
  std::array<bool, 2> strict{random.chance(30), random.chance(30)};
  plan::Plan plan;
  NodeId left = add_stream(plan, sides.schema, sides.left), right = add_stream(plan, sides.schema, sides.right);
  Type type = sides.schema.columns[1].type;
  auto end = [&](std::uint32_t column, std::int64_t by) {
    plan::ExprPtr time = plan::column(column, type);
    if (by == 0) return time;
    return plan::call(
        "add", {time, plan::literal(sides.floats ? Value::of(static_cast<double>(by)) : Value::of(by), type)}, type);
  };
  plan::Join join;
  if (sides.keyed) join.left_on = join.right_on = {0};
  join.none_matches = random.chance(50);
  join.emit = {0, 1, 2, 3, 4, 5};
  plan::Node joining;
  joining.inputs = {left, right};
  for (int side = 0; side < 2; ++side)
    for (const ColumnSpec& column : sides.schema.columns)
      joining.schema.columns.push_back({column.name + std::to_string(side), column.type});
  joining.params = join;
  plan::Node filter;
  filter.schema = joining.schema;
  filter.inputs = {plan.add(std::move(joining))};
  std::vector<plan::ExprPtr> parts{ordered(random, end(1, shift[0]), end(4, shift[3]), strict[0]),
                                   ordered(random, end(4, shift[2]), end(1, shift[1]), strict[1])};
  if (random.chance(50)) std::swap(parts[0], parts[1]);
  bool third = random.chance(30);
  if (third)
    parts.insert(parts.begin() + 1,
                 plan::call("ne", {plan::column(2, Kind::kInt), plan::column(5, Kind::kInt)}, Kind::kBool));
  plan::ExprPtr condition = parts[0];
  for (std::size_t i = 1; i < parts.size(); ++i)
    condition = plan::special(plan::ExprKind::kAnd, {condition, parts[i]}, Kind::kBool);
  filter.params = plan::Filter{condition};
  NodeId result = plan.add(std::move(filter));
  result = plan::rewrite(plan)[result.value];
  bool planned = std::ranges::any_of(
      plan.nodes, [](const plan::Node& node) { return std::holds_alternative<plan::IntervalJoin>(node.params); });
  if (!planned) return "the band is not planned as an interval join\n";
  auto holds = [](double a, double b, bool is_strict) { return is_strict ? a < b : a <= b; };
  auto wanted = [&](std::uint64_t when) {
    Multiset rows;
    for (const Live& l : live_at(sides.left, when))
      for (const Live& r : live_at(sides.right, when)) {
        if (sides.keyed && !(l.cells[0] == r.cells[0])) continue;
        auto by = [&](std::size_t i) { return static_cast<double>(shift[i]); };
        if (!holds(at(l.cells) + by(0), at(r.cells) + by(3), strict[0])) continue;
        if (!holds(at(r.cells) + by(2), at(l.cells) + by(1), strict[1])) continue;
        if (third && l.cells[2] == r.cells[2]) continue;
        add_row(rows, joined(&l.cells, &r.cells));
      }
    return rows;
  };
  return compare_after_commits(plan, result, commit_times({&sides.left, &sides.right}), wanted);
}

struct AsofCase {
  plan::JoinHow how;
  plan::AsofDirection direction;
  std::optional<double> tolerance;
  bool closed = true;
  bool keyed = false;
};

const Live* naive_peer(const AsofCase& c, const Live& row, bool row_is_right, const std::vector<Live>& others) {
  const Live* best = nullptr;
  bool both = c.how == plan::JoinHow::kOuter;
  auto better = [&](const Live& a, const Live& b) {  // a before b as a peer
    double ta = at(a.cells), tb = at(b.cells), t = at(row.cells);
    if (c.direction == plan::AsofDirection::kBackward) return ta != tb ? ta > tb : b.key < a.key;
    if (c.direction == plan::AsofDirection::kForward) return ta != tb ? ta < tb : a.key < b.key;
    double da = std::abs(ta - t), db = std::abs(tb - t);
    if (da != db) return da < db;
    if (ta != tb) return ta > tb;
    // Equal times: looked for ahead the smallest key, behind the greatest.
    return ta >= t ? a.key < b.key : b.key < a.key;
  };
  for (const Live& other : others) {
    if (c.keyed && !(other.cells[0] == row.cells[0])) continue;
    double t = at(row.cells), o = at(other.cells);
    if (c.direction == plan::AsofDirection::kBackward && (o > t || (o == t && both && !row_is_right))) continue;
    if (c.direction == plan::AsofDirection::kForward && (o < t || (o == t && both && row_is_right))) continue;
    if (!best || better(other, *best)) best = &other;
  }
  if (best && c.tolerance) {
    double distance = std::abs(at(best->cells) - at(row.cells));
    if (distance > *c.tolerance || (distance == *c.tolerance && !c.closed)) return nullptr;
  }
  return best;
}

std::string asof_case(std::uint64_t seed) {
  Random random(seed);
  Sides sides = random_sides(random);
  AsofCase c;
  c.how = random_how(random, false);
  c.direction = static_cast<plan::AsofDirection>(random.below(3));
  c.keyed = sides.keyed;
  if (random.chance(40)) c.tolerance = static_cast<double>(random.between(0, 5));
  c.closed = random.chance(70);
  plan::Plan plan;
  NodeId left = add_stream(plan, sides.schema, sides.left), right = add_stream(plan, sides.schema, sides.right);
  plan::AsofJoin join;
  join.how = c.how;
  join.direction = c.direction;
  if (c.keyed) join.left_on = join.right_on = {0};
  join.left_time = join.right_time = 1;
  if (c.tolerance)
    join.tolerance = sides.floats ? Value::of(*c.tolerance) : Value::of(static_cast<std::int64_t>(*c.tolerance));
  join.tolerance_closed = c.closed;
  join.emit = {0, 1, 2, 3, 4, 5, 8, 9};
  plan::Node node;
  node.inputs = {left, right};
  node.schema = joined_schema(sides.schema);
  node.schema.columns.push_back({"side", Kind::kBool});
  node.schema.columns.push_back({"at", sides.schema.columns[1].type});
  node.params = join;
  NodeId result = plan.add(std::move(node));
  auto wanted = [&](std::uint64_t when) {
    Multiset rows;
    auto lefts = live_at(sides.left, when), rights = live_at(sides.right, when);
    auto add = [&](const Live& row, bool is_right) {
      const Live* peer = naive_peer(c, row, is_right, is_right ? lefts : rights);
      const Cells* peer_cells = peer ? &peer->cells : nullptr;
      Cells out = is_right ? joined(peer_cells, &row.cells) : joined(&row.cells, peer_cells);
      out.push_back(Value::of(is_right));
      out.push_back(row.cells[1]);
      add_row(rows, out);
    };
    if (c.how != plan::JoinHow::kRight)
      for (const Live& row : lefts) add(row, false);
    if (c.how != plan::JoinHow::kLeft)
      for (const Live& row : rights) add(row, true);
    return rows;
  };
  return compare_after_commits(plan, result, commit_times({&sides.left, &sides.right}), wanted);
}

// Arrival-ordered: a simulator of the rule.
std::string asof_now_case(std::uint64_t seed) {
  Random random(seed);
  Sides sides = random_sides(random);
  sides.keyed = true;
  plan::JoinHow how = random.chance(50) ? plan::JoinHow::kInner : plan::JoinHow::kLeft;
  plan::Plan plan;
  NodeId left = add_stream(plan, sides.schema, sides.left), right = add_stream(plan, sides.schema, sides.right);
  plan::AsofNowJoin join;
  join.how = how;
  join.left_on = join.right_on = {0};
  join.emit = {0, 1, 2, 3, 4, 5};
  plan::Node node;
  node.inputs = {left, right};
  node.schema = joined_schema(sides.schema);
  node.params = join;
  NodeId result = plan.add(std::move(node));
  std::map<std::uint64_t, Multiset> answers;
  std::map<Key, std::vector<Cells>> given;
  auto times = commit_times({&sides.left, &sides.right});
  for (std::uint64_t when : times) {
    auto rights = live_at(sides.right, when);
    // An edit that changes nothing is no news.
    auto cancels = [&](const Event& event) {
      return std::ranges::any_of(sides.left, [&](const Event& other) {
        return other.time == when && other.diff == -event.diff && other.key == event.key &&
               row_text(other.cells) == row_text(event.cells);
      });
    };
    for (const Event& event : sides.left)
      if (event.time == when && event.diff < 0 && !cancels(event)) given.erase(event.key);
    for (const Event& event : sides.left) {
      if (event.time != when || event.diff < 0 || cancels(event)) continue;
      std::vector<Cells>& rows = given[event.key];
      for (const Live& r : rights)
        if (r.cells[0] == event.cells[0]) rows.push_back(joined(&event.cells, &r.cells));
      if (rows.empty() && how == plan::JoinHow::kLeft) rows.push_back(joined(&event.cells, nullptr));
    }
    for (const auto& [key, rows] : given)
      for (const Cells& cells : rows) add_row(answers[when], cells);
    answers[when];
  }
  return compare_after_commits(plan, result, times, [&](std::uint64_t when) { return answers[when]; });
}

void run_cases(const char* what, std::string (*one)(std::uint64_t seed)) {
  std::uint64_t first = property_seed();
  for (std::uint64_t seed = first; seed < first + property_cases(kCasesDefault); ++seed) {
    std::string wrong = one(seed);
    if (!wrong.empty()) FAIL(what << ", seed " << seed << ": " << wrong);
  }
}

}  // namespace

TEST_CASE("incremental equals recompute: interval join") { run_cases("interval join", interval_case); }
TEST_CASE("incremental equals recompute: bands in joins") { run_cases("bands in joins", band_case); }
TEST_CASE("incremental equals recompute: asof join") { run_cases("asof join", asof_case); }
TEST_CASE("as the rule says: asof_now join") { run_cases("asof_now join", asof_now_case); }

}  // namespace thalweg::testing
