// Windows and sessions equal their naive recomputation after every commit; gates and behaviors a simulator of the
// rules.
#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "tests/property/temporal_stream.h"

namespace thalweg::testing {
namespace {

constexpr std::uint64_t kCasesDefault = 150;

// instance, time, value
struct Stream {
  bool floats = false;
  Schema schema;
  Events events;
};

Stream random_stream(Random& random, bool may_delete = true) {
  Stream stream;
  stream.floats = random.chance(30);
  stream.schema.columns = {{"i", Kind::kInt}, {"t", stream.floats ? Kind::kFloat : Kind::kInt}, {"v", Kind::kInt}};
  StreamShape shape;
  shape.commits = 2 + random.below(10);
  shape.rows_per_commit = 1 + random.below(8);
  shape.deletions = may_delete ? 25 : 0;
  shape.edits = may_delete ? 20 : 0;
  std::int64_t spread = random.between(0, 12);
  std::int64_t instances = random.between(1, 3);
  bool floats = stream.floats;
  shape.cells = [=](Random& r, std::size_t commit) {
    std::int64_t at = static_cast<std::int64_t>(commit) * 3 + r.between(-spread, spread);
    return Cells{Value::of(r.between(1, instances)), floats ? Value::of(static_cast<double>(at) / 2) : Value::of(at),
                 Value::of(r.between(0, 99))};
  };
  stream.events = random_events(random, shape, 1);
  return stream;
}

double number(const Value& value) {
  return value.tag() == Value::Tag::kFloat ? value.as_float() : static_cast<double>(value.as_int());
}
double at(const Cells& cells) { return number(cells[1]); }
Value like(bool floats, double value) {
  return floats ? Value::of(value) : Value::of(static_cast<std::int64_t>(value));
}

// ---------------------------------------------------------------- tumbling and sliding

std::string tiled_case(std::uint64_t seed) {
  Random random(seed);
  Stream stream = random_stream(random);
  double hop = static_cast<double>(random.between(1, 5)), origin = static_cast<double>(random.between(-3, 3));
  plan::WindowAssign assign;
  assign.time = 1;
  assign.hop = like(stream.floats, hop);
  assign.origin = like(stream.floats, origin);
  assign.from_origin = random.chance(30);
  double length = hop;
  if (random.chance(60)) {
    length = static_cast<double>(random.between(1, 12));
    assign.duration = like(stream.floats, length);
  } else {
    assign.ratio = static_cast<double>(random.between(1, 3));
    length = hop * assign.ratio;
  }
  plan::Plan plan;
  NodeId rows = add_stream(plan, stream.schema, stream.events);
  plan::Node node;
  node.inputs = {rows};
  node.schema = stream.schema;
  node.schema.columns.push_back({"start", stream.schema.columns[1].type});
  node.schema.columns.push_back({"end", stream.schema.columns[1].type});
  node.params = assign;
  NodeId result = plan.add(std::move(node));
  auto wanted = [&](std::uint64_t when) {
    Multiset out;
    for (const Live& row : live_at(stream.events, when)) {
      for (int k = -60; k <= 60; ++k) {
        double start = origin + k * hop;
        if (start > at(row.cells) || at(row.cells) >= start + length || (assign.from_origin && start < origin))
          continue;
        Cells cells = row.cells;
        cells.push_back(like(stream.floats, start));
        cells.push_back(like(stream.floats, start + length));
        add_row(out, cells);
      }
    }
    return out;
  };
  return compare_after_commits(plan, result, commit_times({&stream.events}), wanted);
}

// ---------------------------------------------------------------- sessions

using Run = std::vector<const Live*>;

// Runs of neighbours that belong together, per instance.
std::vector<Run> naive_sessions(const std::vector<Live>& rows, const std::function<bool(double, double)>& belong) {
  std::map<std::int64_t, Run> instances;
  for (const Live& row : rows) instances[row.cells[0].as_int()].push_back(&row);
  std::vector<Run> sessions;
  for (auto& [instance, members] : instances) {
    std::ranges::sort(members, [](const Live* a, const Live* b) {
      return std::pair(at(a->cells), a->key) < std::pair(at(b->cells), b->key);
    });
    for (const Live* row : members) {
      bool joins = !sessions.empty() && sessions.back().front()->cells[0].as_int() == instance &&
                   (at(sessions.back().back()->cells) == at(row->cells) ||
                    belong(at(sessions.back().back()->cells), at(row->cells)));
      if (!joins) sessions.emplace_back();
      sessions.back().push_back(row);
    }
  }
  return sessions;
}

std::string session_case(std::uint64_t seed) {
  Random random(seed);
  Stream stream = random_stream(random);
  Type time = stream.schema.columns[1].type;
  double gap = static_cast<double>(random.between(1, 6));
  plan::SessionAssign assign;
  assign.instance = {0};
  assign.time = 1;
  // A predicate that is no gap: neighbours belong together if the later one is no multiple of 4, or they are close.
  bool odd_rule = random.chance(40) && !stream.floats;
  std::function<bool(double, double)> belong = [gap](double a, double b) { return b - a < gap; };
  if (odd_rule) {
    auto four = plan::literal(Value::of(std::int64_t{4}), Kind::kInt),
         zero = plan::literal(Value::of(std::int64_t{0}), Kind::kInt);
    assign.predicate =
        plan::call("ne", {plan::call("mod", {plan::column(1, time), four}, Kind::kInt), zero}, Kind::kBool);
    belong = [](double, double b) { return std::fmod(std::fmod(b, 4) + 4, 4) != 0; };
  } else {
    assign.max_gap = like(stream.floats, gap);
  }
  plan::Plan plan;
  NodeId rows = add_stream(plan, stream.schema, stream.events);
  assign.bounds = random.chance(50);
  plan::Node node;
  node.inputs = {rows};
  node.schema = stream.schema;
  node.schema.columns.push_back({"session", Kind::kPointer});
  if (assign.bounds) {
    node.schema.columns.push_back({"start", time});
    node.schema.columns.push_back({"end", time});
  }
  node.params = assign;
  NodeId sessions = plan.add(std::move(node));
  auto times = commit_times({&stream.events});
  if (assign.bounds) {
    plan::Project project;
    plan::Node out;
    for (std::uint32_t column : {0U, 1U, 2U, 4U, 5U}) {
      const ColumnSpec& spec = plan.node(sessions).schema.columns[column];
      project.exprs.push_back(plan::column(column, spec.type));
      out.schema.columns.push_back(spec);
    }
    out.inputs = {sessions};
    out.params = std::move(project);
    NodeId result = plan.add(std::move(out));
    return compare_after_commits(plan, result, times, [&](std::uint64_t when) {
      Multiset wanted;
      auto live = live_at(stream.events, when);
      for (const Run& run : naive_sessions(live, belong))
        for (const Live* row : run) {
          Cells cells = row->cells;
          cells.push_back(run.front()->cells[1]);
          cells.push_back(run.back()->cells[1]);
          add_row(wanted, cells);
        }
      return wanted;
    });
  }
  // Grouped by the session's pointer, its bounds reduced: what windowby does.
  plan::GroupBy group;
  group.by = {3};
  group.instance = 0;
  for (auto kind : {plan::ReducerKind::kMin, plan::ReducerKind::kMax, plan::ReducerKind::kCount}) {
    plan::Reducer reducer;
    reducer.kind = kind;
    if (kind != plan::ReducerKind::kCount) reducer.args = {1};
    reducer.type = kind == plan::ReducerKind::kCount ? Type(Kind::kInt) : time;
    group.reducers.push_back(reducer);
  }
  plan::Node grouped;
  grouped.inputs = {sessions};
  grouped.schema.columns = {
      {"session", Kind::kPointer}, {"i", Kind::kInt}, {"start", time}, {"end", time}, {"n", Kind::kInt}};
  grouped.params = std::move(group);
  NodeId groups = plan.add(std::move(grouped));
  plan::Node out;
  plan::Project project;
  for (std::uint32_t column = 1; column < 5; ++column) {
    const ColumnSpec& spec = plan.node(groups).schema.columns[column];
    project.exprs.push_back(plan::column(column, spec.type));
    out.schema.columns.push_back(spec);
  }
  out.inputs = {groups};
  out.params = std::move(project);
  NodeId result = plan.add(std::move(out));
  return compare_after_commits(plan, result, times, [&](std::uint64_t when) {
    Multiset wanted;
    auto live = live_at(stream.events, when);
    for (const Run& run : naive_sessions(live, belong))
      add_row(wanted, {run.front()->cells[0], run.front()->cells[1], run.back()->cells[1],
                       Value::of(static_cast<std::int64_t>(run.size()))});
    return wanted;
  });
}

// ---------------------------------------------------------------- gates

// The rules of forget, buffer and freeze, as they are written, on the net changes of each commit.
struct GateSimulator {
  plan::TimeGate gate;
  std::map<std::int64_t, double> clock;  // of earlier commits, per instance
  std::multimap<Key, Cells> held;
  Multiset out;

  [[nodiscard]] std::int64_t instance(const Cells& cells) const { return gate.instance ? cells[0].as_int() : 0; }
  [[nodiscard]] bool past(const std::map<std::int64_t, double>& clocks, const Cells& cells) const {
    auto now = clocks.find(instance(cells));
    return now != clocks.end() && now->second >= at(cells) + number(gate.threshold);
  }
  bool drop_held(const Event& event) {
    auto [from, to] = held.equal_range(event.key);
    for (; from != to; ++from)
      if (row_text(from->second) == row_text(event.cells)) {
        held.erase(from);
        return true;
      }
    return false;
  }
  void commit(const std::vector<const Event*>& events) {
    auto now = clock;
    for (const Event* event : events) {
      auto [place, fresh] = now.emplace(instance(event->cells), at(event->cells));
      if (!fresh) place->second = std::max(place->second, at(event->cells));
    }
    for (int pass : {-1, 1})
      for (const Event* event : events)
        if (event->diff == pass) take(*event, now);
    if (gate.kind == plan::GateKind::kBuffer) release([&](const Cells& cells) { return past(now, cells); }, 1);
    if (gate.kind == plan::GateKind::kForget && !events.empty())
      release([&](const Cells& cells) { return past(clock, cells); }, -1);
    clock = now;
  }
  void end() {
    if (gate.kind == plan::GateKind::kBuffer) release([](const Cells&) { return true; }, 1);
  }
  void take(const Event& event, const std::map<std::int64_t, double>& now) {
    switch (gate.kind) {
      case plan::GateKind::kFreeze:
        if (!past(clock, event.cells)) add_row(out, event.cells, event.diff);
        return;
      case plan::GateKind::kBuffer:
        if (event.diff < 0) {
          if (!drop_held(event)) add_row(out, event.cells, -1);
        } else if (past(now, event.cells)) {
          add_row(out, event.cells);
        } else {
          held.emplace(event.key, event.cells);
        }
        return;
      case plan::GateKind::kForget:
        if (event.diff < 0) {
          if (drop_held(event)) add_row(out, event.cells, -1);
          return;
        }
        add_row(out, event.cells);
        held.emplace(event.key, event.cells);
        return;
    }
  }
  void release(const std::function<bool(const Cells&)>& due, int count) {
    for (auto at_row = held.begin(); at_row != held.end();) {
      if (!due(at_row->second)) {
        ++at_row;
        continue;
      }
      add_row(out, at_row->second, count);
      at_row = held.erase(at_row);
    }
  }
};

std::string gate_case(std::uint64_t seed) {
  Random random(seed);
  plan::TimeGate gate;
  gate.kind = static_cast<plan::GateKind>(random.below(3));
  // Freeze may let an insertion pass and drop its deletion: exports are keyed, so only insertions there.
  Stream stream = random_stream(random, gate.kind != plan::GateKind::kFreeze);
  gate.time = 1;
  gate.threshold = like(stream.floats, static_cast<double>(random.between(-3, 8)));
  if (random.chance(50)) gate.instance = 0;
  plan::Plan plan;
  NodeId rows = add_stream(plan, stream.schema, stream.events);
  plan::Node node;
  node.inputs = {rows};
  node.schema = stream.schema;
  node.params = gate;
  NodeId result = plan.add(std::move(node));
  GateSimulator simulator{gate, {}, {}, {}};
  std::map<std::uint64_t, Multiset> wanted;
  auto times = commit_times({&stream.events});
  for (std::uint64_t when : times) {
    // Net changes: an edit that changes nothing is none.
    std::vector<const Event*> events;
    for (const Event& event : stream.events) {
      if (event.time != when) continue;
      bool cancels = false;
      for (const Event& other : stream.events)
        cancels = cancels || (other.time == when && other.diff == -event.diff && other.key == event.key &&
                              row_text(other.cells) == row_text(event.cells));
      if (!cancels) events.push_back(&event);
    }
    simulator.commit(events);
    wanted[when] = simulator.out;
  }
  simulator.end();
  times.push_back(18446744073709551614ULL);
  wanted[times.back()] = simulator.out;
  return compare_after_commits(plan, result, times, [&](std::uint64_t when) { return wanted[when]; });
}

// ---------------------------------------------------------------- sort, diff, interpolate

std::string order_case(std::uint64_t seed) {
  Random random(seed);
  Stream stream = random_stream(random);
  int kind = static_cast<int>(random.below(3));
  plan::Plan plan;
  Schema schema = stream.schema;
  if (kind == 2) schema.columns[2].type = Type(Kind::kFloat, true);
  if (kind == 2)
    for (Event& event : stream.events)  // some values are None, the same for the same cells
      event.cells[2] =
          event.cells[2].as_int() % 3 ? Value::none() : Value::of(static_cast<double>(event.cells[2].as_int()));
  NodeId rows = add_stream(plan, schema, stream.events);
  bool by_instance = kind != 2 && random.chance(60);
  plan::Node node;
  node.inputs = {rows};
  node.schema = schema;
  if (kind == 0) {
    plan::Sort sort{{1}, {}};
    if (by_instance) sort.instance = 0;
    node.params = sort;
    node.schema.columns.push_back({"prev", Type(Kind::kPointer, true)});
    node.schema.columns.push_back({"next", Type(Kind::kPointer, true)});
  } else if (kind == 1) {
    plan::OrderedDiff diff{1, {2}, {}};
    if (by_instance) diff.instance = 0;
    node.params = diff;
    node.schema.columns.push_back({"before", Type(Kind::kInt, true)});
  } else {
    node.params = plan::Interpolate{1, {2}};
  }
  NodeId result = plan.add(std::move(node));
  auto wanted = [&](std::uint64_t when) {
    Multiset out;
    std::map<std::int64_t, std::vector<Live>> instances;
    for (Live& row : live_at(stream.events, when)) instances[by_instance ? row.cells[0].as_int() : 0].push_back(row);
    for (auto& [instance, members] : instances) {
      std::ranges::sort(members, [](const Live& a, const Live& b) {
        return std::pair(at(a.cells), a.key) < std::pair(at(b.cells), b.key);
      });
      for (std::size_t i = 0; i < members.size(); ++i) {
        Cells cells = members[i].cells;
        if (kind == 0) {
          cells.push_back(i > 0 ? Value::of(members[i - 1].key) : Value::none());
          cells.push_back(i + 1 < members.size() ? Value::of(members[i + 1].key) : Value::none());
        } else if (kind == 1) {
          cells.push_back(i > 0 ? members[i - 1].cells[2] : Value::none());
        } else if (cells[2].is_none()) {
          std::size_t low = i, high = i;
          while (low > 0 && members[low].cells[2].is_none()) --low;
          while (high + 1 < members.size() && members[high].cells[2].is_none()) ++high;
          const Live &a = members[low], &b = members[high];
          if (a.cells[2].is_none())
            cells[2] = b.cells[2];
          else if (b.cells[2].is_none())
            cells[2] = a.cells[2];
          else if (at(a.cells) == at(b.cells))
            cells[2] = Value::error();
          else
            cells[2] = Value::of(number(a.cells[2]) + (number(b.cells[2]) - number(a.cells[2])) *
                                                          ((at(cells) - at(a.cells)) / (at(b.cells) - at(a.cells))));
        }
        add_row(out, cells);
      }
    }
    return out;
  };
  return compare_after_commits(plan, result, commit_times({&stream.events}), wanted);
}

void run_cases(const char* what, std::string (*one)(std::uint64_t seed)) {
  std::uint64_t first = property_seed();
  for (std::uint64_t seed = first; seed < first + property_cases(kCasesDefault); ++seed) {
    std::string wrong = one(seed);
    if (!wrong.empty()) FAIL(what << ", seed " << seed << ": " << wrong);
  }
}

}  // namespace

TEST_CASE("incremental equals recompute: tumbling and sliding windows") { run_cases("windows", tiled_case); }
TEST_CASE("incremental equals recompute: sessions") { run_cases("sessions", session_case); }
TEST_CASE("incremental equals recompute: sort, diff, interpolate") { run_cases("order", order_case); }
TEST_CASE("as the rules say: forget, buffer, freeze") { run_cases("gates", gate_case); }

}  // namespace thalweg::testing
