// Behaviors on windows do what the rules of the language say, after every commit: a simulator of the rules, one pair of
// a row and a window at a time, against compiled pipelines. Windows of shared panes equal those that cannot share.
#include <catch2/catch.hpp>
#include <iterator>
#include <set>

#include "pipeline_lang/compile.h"
#include "tests/property/temporal_stream.h"

namespace thalweg::testing {
namespace {

constexpr std::uint64_t kCasesDefault = 200;
constexpr std::uint64_t kEnd = 18446744073709551614ULL;

enum class Kind : std::uint8_t { kTumbling, kSliding, kSession, kIntervals };

struct Behavior {
  std::optional<std::int64_t> delay, cutoff, shift;  // shift: exactly once
  bool keep = true;
  bool instance_clock = false;

  [[nodiscard]] bool any() const { return delay || cutoff || shift; }
  [[nodiscard]] std::optional<std::int64_t> closes_after() const { return shift ? shift : cutoff; }
  [[nodiscard]] bool waits() const { return delay || shift; }
};

struct Scenario {
  Kind kind = Kind::kTumbling;
  std::int64_t hop = 1, length = 1;  // tumbling and sliding
  std::optional<std::int64_t> origin;
  std::int64_t gap = 1;  // sessions
  bool predicate = false;
  std::int64_t lower = 0, upper = 0;  // intervals_over
  bool outer = false;
  bool by_instance = false;
  Behavior behavior;
  Events rows;    // i, t, v
  Events places;  // at: where intervals are
};

// ---------------------------------------------------------------- as a pipeline

std::string number(std::int64_t value) { return std::to_string(value); }

std::string table_text(const Events& events, const std::vector<std::string>& columns) {
  std::string text = "    table: |2\n        |";
  for (const std::string& column : columns) text += " " + column + " |";
  text += " __time__ | __diff__\n";
  std::vector<const Event*> order;
  for (const Event& event : events) order.push_back(&event);
  std::ranges::stable_sort(order, {}, [](const Event* event) { return event->time; });
  for (const Event* event : order) {
    text += "      " + number(static_cast<std::int64_t>((event->key.lo ^ event->key.hi) % 1'000'000'007)) + " |";
    for (const Value& cell : event->cells) text += " " + cell.to_text() + " |";
    text += " " + std::to_string(event->time) + " | " + std::to_string(event->diff) + "\n";
  }
  return text;
}

std::string window_text(const Scenario& s) {
  std::string origin = s.origin ? ", origin: " + number(*s.origin) : "";
  switch (s.kind) {
    case Kind::kTumbling: return "!temporal.tumbling {duration: " + number(s.length) + origin + "}";
    case Kind::kSliding:
      return "!temporal.sliding {hop: " + number(s.hop) + ", duration: " + number(s.length) + origin + "}";
    case Kind::kSession:
      return s.predicate ? "!temporal.session {predicate: b - a < " + number(s.gap) + "}"
                         : "!temporal.session {max_gap: " + number(s.gap) + "}";
    case Kind::kIntervals:
      return "!temporal.intervals_over {at: $places.at, lower_bound: " + number(s.lower) +
             ", upper_bound: " + number(s.upper) + ", is_outer: " + (s.outer ? "true" : "false") + "}";
  }
  return {};
}

std::string behavior_text(const Behavior& b) {
  if (!b.any()) return {};
  std::string args;
  const auto add = [&](const std::string& text) { args += (args.empty() ? "" : ", ") + text; };
  if (b.shift) return "  behavior: !temporal.exactly_once_behavior {shift: " + number(*b.shift) + "}\n";
  if (b.delay) add("delay: " + number(*b.delay));
  if (b.cutoff) add("cutoff: " + number(*b.cutoff));
  if (!b.keep) add("keep_results: false");
  if (b.instance_clock) add("clock: instance");
  return "  behavior: !temporal.common_behavior {" + args + "}\n";
}

std::string windowby_text(const Scenario& s, const std::string& name, const std::string& reduce) {
  return name + ": !windowby\n  table: $events\n  time: t\n  window: " + window_text(s) + "\n" +
         (s.by_instance ? "  instance: i\n" : "") + behavior_text(s.behavior) +
         "  reduce: {i: _pw_instance, s: window.start, e: window.end, " + reduce + "}\n";
}

std::string source_text(const Scenario& s) {
  std::string text = "$events: !table_from_markdown\n" + table_text(s.rows, {"i", "t", "v"});
  if (s.kind == Kind::kIntervals) text += "$places: !table_from_markdown\n" + table_text(s.places, {"at"});
  return text;
}

struct Compiled {
  lang::CompileResult result;
  [[nodiscard]] NodeId table(const std::string& name) const {
    for (const auto& info : result.exports)
      if (info.name == name) return info.table;
    FAIL("no table " << name);
    return {};
  }
};
Compiled compiled(const std::string& text) {
  Compiled out{lang::compile_text("pipeline.yaml", text, {})};
  if (!out.result.ok()) FAIL(render_text(out.result.diagnostics, *out.result.files) << text);
  return out;
}

// ---------------------------------------------------------------- the rules, pair by pair

// A row in a window; a window of intervals_over without rows is a pair without a row.
struct Pair {
  std::int64_t start = 0, end = 0;
  std::int64_t instance = 0;
  std::string id;                    // of the row and, for intervals, the place
  std::optional<std::int64_t> time;  // of the row
  Value value;
  friend auto operator<=>(const Pair& a, const Pair& b) {
    return std::tie(a.start, a.end, a.instance, a.id, a.time) <=> std::tie(b.start, b.end, b.instance, b.id, b.time);
  }
  friend bool operator==(const Pair& a, const Pair& b) { return (a <=> b) == 0; }
};
using Pairs = std::multiset<Pair>;

struct PairChange {
  int diff = 1;
  Pair pair;
};

using Clock = std::map<std::int64_t, std::int64_t>;  // by instance; all are 0 if there is one clock
using Ticks = std::vector<std::pair<std::int64_t, std::int64_t>>;

void advance(Clock& clock, std::int64_t instance, std::int64_t time) {
  auto [at, fresh] = clock.emplace(instance, time);
  if (!fresh) at->second = std::max(at->second, time);
}
bool past(const Clock& clock, std::int64_t instance, std::int64_t due) {
  auto at = clock.find(instance);
  return at != clock.end() && at->second >= due;
}

bool take_one(Pairs& pairs, const Pair& pair) {
  auto at = pairs.find(pair);
  if (at == pairs.end()) return false;
  pairs.erase(at);
  return true;
}

class PairGates {
 public:
  explicit PairGates(const Scenario& s) : s_(s), b_(s.behavior) {}

  // `ticks`: the clock's rows, if it is that of another table.
  void commit(std::vector<PairChange> changes, const Ticks* ticks) {
    std::ranges::stable_sort(changes, {}, &PairChange::diff);
    changes = freeze(std::move(changes), ticks);
    changes = buffer(std::move(changes), ticks);
    forget(changes, ticks);
  }
  void end() {
    for (const Pair& pair : held_) alive.insert(pair);
    held_.clear();
  }

  Pairs alive;      // what the groups hold
  Pairs forgotten;  // of the last commit: gone without a trace in kept results

 private:
  [[nodiscard]] std::int64_t clock_of(std::int64_t instance) const { return b_.instance_clock ? instance : 0; }
  [[nodiscard]] std::int64_t waits_until(const Pair& pair) const {
    return b_.shift ? pair.end + *b_.shift : pair.start + *b_.delay;
  }
  void see(Clock& clock, const std::vector<PairChange>& changes, const Ticks* ticks, bool adjusted) const {
    if (ticks) {
      for (auto [instance, time] : *ticks) advance(clock, clock_of(instance), time);
      return;
    }
    for (const PairChange& change : changes)
      advance(clock, clock_of(change.pair.instance),
              adjusted ? std::max(*change.pair.time, waits_until(change.pair)) : *change.pair.time);
  }

  std::vector<PairChange> freeze(std::vector<PairChange> changes, const Ticks* ticks) {
    if (!b_.closes_after()) return changes;
    std::vector<PairChange> out;
    for (const PairChange& change : changes)
      if (!past(freeze_, clock_of(change.pair.instance), change.pair.end + *b_.closes_after())) out.push_back(change);
    see(freeze_, changes, ticks, false);
    return out;
  }

  std::vector<PairChange> buffer(std::vector<PairChange> changes, const Ticks* ticks) {
    if (!b_.waits()) return changes;
    see(buffer_, changes, ticks, false);
    std::vector<PairChange> out;
    for (const PairChange& change : changes) {
      if (change.diff < 0) {
        if (!take_one(held_, change.pair)) out.push_back(change);
      } else if (past(buffer_, clock_of(change.pair.instance), waits_until(change.pair))) {
        out.push_back(change);
      } else {
        held_.insert(change.pair);
      }
    }
    for (auto at = held_.begin(); at != held_.end();) {
      if (!past(buffer_, clock_of(at->instance), waits_until(*at))) {
        ++at;
        continue;
      }
      out.push_back({1, *at});
      at = held_.erase(at);
    }
    return out;
  }

  void forget(const std::vector<PairChange>& changes, const Ticks* ticks) {
    forgotten.clear();
    for (const PairChange& change : changes) {
      if (change.diff > 0)
        alive.insert(change.pair);
      else
        take_one(alive, change.pair);
    }
    if (!b_.closes_after()) return;
    bool reached = !changes.empty() || (ticks && !ticks->empty());
    for (auto at = alive.begin(); reached && at != alive.end();) {
      if (!past(forget_, clock_of(at->instance), at->end + *b_.closes_after())) {
        ++at;
        continue;
      }
      forgotten.insert(*at);
      at = alive.erase(at);
    }
    see(forget_, changes, ticks, b_.waits() && !ticks);
  }

  const Scenario& s_;
  const Behavior& b_;
  Clock freeze_, buffer_, forget_;
  Pairs held_;
};

// ---------------------------------------------------------------- what a commit changes

// Net changes of a commit: an edit that changes nothing is none.
std::vector<const Event*> net_events(const Events& events, std::uint64_t when) {
  std::vector<const Event*> out;
  for (const Event& event : events) {
    if (event.time != when) continue;
    bool cancels = false;
    for (const Event& other : events)
      cancels = cancels || (other.time == when && other.diff == -event.diff && other.key == event.key &&
                            row_text(other.cells) == row_text(event.cells));
    if (!cancels) out.push_back(&event);
  }
  return out;
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

std::vector<PairChange> tiled_changes(const Scenario& s, std::uint64_t when) {
  std::vector<PairChange> out;
  for (const Event* event : net_events(s.rows, when)) {
    std::int64_t t = event->cells[1].as_int(), origin = s.origin.value_or(0);
    for (std::int64_t k = floor_div(t - origin, s.hop);; --k) {
      std::int64_t start = origin + k * s.hop;
      if (start + s.length <= t || (s.origin && k < 0)) break;
      out.push_back({event->diff,
                     {start, start + s.length, s.by_instance ? event->cells[0].as_int() : 0, to_text(event->key), t,
                      event->cells[2]}});
    }
  }
  return out;
}

Pairs interval_pairs(const Scenario& s, std::uint64_t when) {
  Pairs out;
  auto rows = live_at(s.rows, when);
  for (const Live& place : live_at(s.places, when)) {
    std::int64_t at = place.cells[0].as_int();
    bool any = false;
    for (const Live& row : rows) {
      std::int64_t t = row.cells[1].as_int();
      if (t < at + s.lower || t > at + s.upper) continue;
      any = true;
      out.insert({at + s.lower, at + s.upper, s.by_instance ? row.cells[0].as_int() : 0,
                  to_text(place.key) + to_text(row.key), t, row.cells[2]});
    }
    if (!any && s.outer) out.insert({at + s.lower, at + s.upper, 0, to_text(place.key), std::nullopt, Value::none()});
  }
  return out;
}

std::vector<PairChange> difference_of(const Pairs& before, const Pairs& after) {
  const auto same = [](const Pair& a, const Pair& b) { return a == b && row_text({a.value}) == row_text({b.value}); };
  std::vector<PairChange> out;
  for (const Pair& pair : before)
    if (std::ranges::none_of(after, [&](const Pair& other) { return same(pair, other); })) out.push_back({-1, pair});
  for (const Pair& pair : after)
    if (std::ranges::none_of(before, [&](const Pair& other) { return same(pair, other); })) out.push_back({1, pair});
  return out;
}

// Rows of the result over these pairs: i, s, e, n, vs.
Multiset grouped(const Scenario& s, const Pairs& pairs) {
  std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t>, std::vector<const Pair*>> groups;
  for (const Pair& pair : pairs) groups[{pair.instance, pair.start, pair.end}].push_back(&pair);
  Multiset out;
  for (const auto& [group, members] : groups) {
    std::vector<Value> values;
    for (const Pair* pair : members)
      if (!pair->value.is_none()) values.push_back(pair->value);
    std::ranges::sort(values, {}, [](const Value& v) { return v.as_int(); });
    auto [instance, start, end] = group;
    Value shown = s.by_instance ? Value::of(instance) : Value::none();
    add_row(out, {shown, Value::of(start), Value::of(end), Value::of(static_cast<std::int64_t>(members.size())),
                  Value::tuple(std::move(values))});
  }
  return out;
}

void apply_difference(Multiset& rows, const Multiset& before, const Multiset& after) {
  const auto add = [&](const Multiset& part, int sign) {
    for (const auto& [row, count] : part) {
      int& now = rows[row];
      now += sign * count;
      if (now == 0) rows.erase(row);
    }
  };
  add(before, -1);
  add(after, 1);
}

Pairs joined(const Pairs& a, const Pairs& b) {
  Pairs out = a;
  out.insert(b.begin(), b.end());
  return out;
}

std::map<std::uint64_t, Multiset> simulate_pairs(const Scenario& s, const std::vector<std::uint64_t>& times) {
  PairGates gates(s);
  std::map<std::uint64_t, Multiset> out;
  Multiset visible;
  Pairs before;
  for (std::uint64_t when : times) {
    const Multiset was = grouped(s, gates.alive);
    if (when == kEnd) {
      gates.end();
    } else if (s.kind == Kind::kIntervals) {
      Pairs after = interval_pairs(s, when);
      Ticks ticks;
      for (const Event* event : net_events(s.rows, when))
        ticks.emplace_back(event->cells[0].as_int(), event->cells[1].as_int());
      gates.commit(difference_of(before, after), &ticks);
      before = std::move(after);
    } else {
      gates.commit(tiled_changes(s, when), nullptr);
    }
    // Kept results never learn of what was forgotten.
    bool kept = s.behavior.keep;
    apply_difference(visible, was,
                     grouped(s, kept && when != kEnd ? joined(gates.alive, gates.forgotten) : gates.alive));
    out[when] = visible;
  }
  return out;
}

// ---------------------------------------------------------------- the rules of sessions

class SessionRules {
 public:
  explicit SessionRules(const Scenario& s) : s_(s), b_(s.behavior) {}

  // Gives the rows of the result.
  const Multiset& commit(std::uint64_t when) {
    const Multiset was = shown();
    bool any = false;
    auto changes = net_events(s_.rows, when);
    std::ranges::stable_sort(changes, {}, [](const Event* event) { return event->diff; });
    Clock frozen = freeze_;
    Clock before = clock_;
    for (const Event* event : changes) {
      std::int64_t clock = clock_of(event->cells[0].as_int()), t = event->cells[1].as_int();
      advance(freeze_, clock, t);
      if (b_.closes_after() && past(frozen, clock, t + *b_.closes_after())) continue;
      any = true;
      advance(clock_, clock, t);
      if (event->diff > 0)
        rows_.push_back({event->key, event->cells});
      else
        std::erase_if(rows_, [&](const Row& row) {
          return row.key == event->key && row_text(row.cells) == row_text(event->cells);
        });
    }
    release(false);
    if (b_.closes_after() && any)
      for (const auto& run : sessions())
        if (run.front()->released && past(before, clock_of(instance(*run.front())),
                                          run.back()->cells[1].as_int() + reach() + *b_.closes_after()))
          for (Row* row : run) row->closed = true;
    if (b_.keep) apply_difference(visible_, was, shown());
    std::erase_if(rows_, [](const Row& row) { return row.closed; });
    if (!b_.keep) apply_difference(visible_, was, shown());
    return visible_;
  }
  const Multiset& end() {
    const Multiset was = shown();
    release(true);
    apply_difference(visible_, was, shown());
    return visible_;
  }

 private:
  struct Row {
    Key key;
    Cells cells;
    bool released = false;
    bool closed = false;
  };
  using Run = std::vector<Row*>;

  [[nodiscard]] static std::int64_t instance(const Row& row) { return row.cells[0].as_int(); }
  [[nodiscard]] std::int64_t clock_of(std::int64_t of) const { return b_.instance_clock ? of : 0; }
  [[nodiscard]] std::int64_t reach() const { return s_.predicate ? 0 : s_.gap; }

  std::vector<Run> sessions() {
    std::map<std::int64_t, Run> instances;
    for (Row& row : rows_) instances[s_.by_instance ? instance(row) : 0].push_back(&row);
    std::vector<Run> out;
    for (auto& [of, members] : instances) {
      std::ranges::sort(members, {}, [](const Row* row) { return std::pair(row->cells[1].as_int(), row->key); });
      for (std::size_t i = 0; i < members.size(); ++i) {
        std::int64_t t = members[i]->cells[1].as_int(), previous = i > 0 ? members[i - 1]->cells[1].as_int() : 0;
        if (i == 0 || (t != previous && t - previous >= s_.gap)) out.emplace_back();
        out.back().push_back(members[i]);
      }
    }
    return out;
  }
  void release(bool all) {
    for (Run& run : sessions()) {
      bool out = all || !b_.waits() || std::ranges::any_of(run, [](const Row* row) { return row->released; });
      if (!out) {
        std::int64_t due =
            b_.shift ? run.back()->cells[1].as_int() + reach() + *b_.shift : run.front()->cells[1].as_int() + *b_.delay;
        out = past(clock_, clock_of(instance(*run.front())), due);
      }
      for (Row* row : run) row->released = out;
    }
  }
  Multiset shown() {
    Multiset out;
    for (const Run& run : sessions()) {
      if (!run.front()->released) continue;
      std::vector<Value> values;
      for (const Row* row : run) values.push_back(row->cells[2]);
      std::ranges::sort(values, {}, [](const Value& v) { return v.as_int(); });
      Value of = s_.by_instance ? run.front()->cells[0] : Value::none();
      add_row(out, {of, run.front()->cells[1], run.back()->cells[1], Value::of(static_cast<std::int64_t>(run.size())),
                    Value::tuple(std::move(values))});
    }
    return out;
  }

  const Scenario& s_;
  const Behavior& b_;
  Clock freeze_, clock_;
  std::vector<Row> rows_;
  Multiset visible_;
};

std::map<std::uint64_t, Multiset> simulate(const Scenario& s, const std::vector<std::uint64_t>& times) {
  if (s.kind != Kind::kSession) return simulate_pairs(s, times);
  SessionRules rules(s);
  std::map<std::uint64_t, Multiset> out;
  for (std::uint64_t when : times) out[when] = when == kEnd ? rules.end() : rules.commit(when);
  return out;
}

// ---------------------------------------------------------------- scenarios

Behavior random_behavior(Random& random, Kind kind, bool by_instance) {
  Behavior out;
  std::int64_t least = kind == Kind::kTumbling || kind == Kind::kSliding ? -1 : 0;
  if (random.chance(20)) {
    out.shift = random.between(least, 6);
    return out;
  }
  if (random.chance(50)) out.delay = random.between(0, 8);
  if (random.chance(75)) out.cutoff = random.between(least, 8);
  if (out.cutoff && random.chance(40)) out.keep = false;
  if (out.any() && by_instance && random.chance(50)) out.instance_clock = true;
  return out;
}

Scenario random_scenario(Random& random) {
  Scenario s;
  s.kind = static_cast<Kind>(random.below(4));
  s.hop = random.between(1, 5);
  s.length = s.kind == Kind::kTumbling ? s.hop : random.between(1, 14);
  if (s.kind != Kind::kSession && random.chance(30)) s.origin = random.between(-3, 8);
  s.gap = random.between(1, 6);
  s.predicate = random.chance(30);
  s.lower = random.between(-6, 2);
  s.upper = random.between(s.lower, 4);
  s.outer = random.chance(40);
  s.by_instance = random.chance(60) && !(s.kind == Kind::kIntervals && s.outer);
  s.behavior = random_behavior(random, s.kind, s.by_instance);
  StreamShape shape;
  shape.commits = 2 + random.below(12);
  shape.rows_per_commit = 1 + random.below(6);
  bool may_delete = random.chance(60);
  shape.deletions = may_delete ? 20 : 0;
  shape.edits = may_delete ? 15 : 0;
  std::int64_t spread = random.between(0, 12), instances = random.between(1, 3);
  shape.cells = [=](Random& r, std::size_t commit) {
    std::int64_t at = static_cast<std::int64_t>(commit) * 3 + r.between(-spread, spread);
    return Cells{Value::of(r.between(1, instances)), Value::of(at), Value::of(r.between(0, 99))};
  };
  s.rows = random_events(random, shape, 1);
  if (s.rows.empty()) s.rows.push_back({2, 1, sequence_key(1, 0), shape.cells(random, 0)});
  shape.cells = [=](Random& r, std::size_t commit) {
    return Cells{Value::of(static_cast<std::int64_t>(commit) * 3 + r.between(-spread, spread))};
  };
  s.places = random_events(random, shape, 2);
  if (s.places.empty()) s.places.push_back({2, 1, sequence_key(2, 0), shape.cells(random, 0)});
  return s;
}

std::vector<std::uint64_t> times_of(const Scenario& s) {
  auto times = s.kind == Kind::kIntervals ? commit_times({&s.rows, &s.places}) : commit_times({&s.rows});
  times.push_back(kEnd);
  return times;
}

std::string behavior_case(std::uint64_t seed) {
  Random random(seed);
  Scenario s = random_scenario(random);
  std::string text = source_text(s) + windowby_text(s, "shown", "n: count(), vs: \"sorted_tuple(v, skip_nones=true)\"");
  auto pipeline = compiled(text);
  auto times = times_of(s);
  auto wanted = simulate(s, times);
  std::string wrong = compare_after_commits(pipeline.result.plan, pipeline.table("shown"), times,
                                            [&](std::uint64_t when) { return wanted[when]; });
  return wrong.empty() ? wrong : wrong + text;
}

// ---------------------------------------------------------------- shared panes

constexpr const char* kMerging =
    "n: count(), total: sum(v), mean: avg(v), part: sum(v / 3), share: avg(v / 7), low: min(v), high: max(v), spread: "
    "stddev(v), "
    "var: var_pop(v / 3), best: argmax(v), worst: argmin(v % 5), start: first(v), newest: last(v), all_small: "
    "bool_and(v < 80), "
    "any_large: bool_or(v > 90), broken: sum(100 // (v % 4)), some: count(w), most: max(w)";

std::string panes_case(std::uint64_t seed) {
  Random random(seed);
  Scenario s = random_scenario(random);
  s.kind = Kind::kSliding;
  s.length = s.hop * random.between(2, 6) + random.between(0, s.hop - 1);
  bool floats = random.chance(30);
  std::string source = source_text(s);
  source.replace(source.find("$events:"), 8, "$raw:");
  source += "$events: !select {table: $raw, columns: {i: i, t: \"" + std::string(floats ? "t / 2" : "t") +
            "\", v: v, w: \"if_else(v % 3 == 0, None, v)\"}}\n";
  if (floats) s.behavior = Behavior{};
  std::string text = source + windowby_text(s, "shared", kMerging) +
                     windowby_text(s, "single", std::string(kMerging) + ", vs: sorted_tuple(v)") +
                     "alone: !without {table: $single_rows, columns: [vs]}\n";
  std::size_t at = text.find("single: !windowby");
  text.replace(at, 7, "$single_rows:");
  if (floats) {  // only ratios tile floats
    for (std::size_t from = text.find("duration: "); from != std::string::npos; from = text.find("duration: ", from))
      text.replace(from, text.find_first_of(",}", from) - from, "ratio: " + number(s.length / s.hop));
  }
  auto pipeline = compiled(text);
  auto times = times_of(s);
  for (std::uint32_t workers : {1U, 2U, 3U}) {
    auto single = run_results(pipeline.result.plan, pipeline.table("alone"), workers);
    std::string wrong =
        compare_after_commits(pipeline.result.plan, pipeline.table("shared"), times, [&](std::uint64_t when) {
          auto newest = single.upper_bound(when);
          return newest == single.begin() ? Multiset{} : std::prev(newest)->second;
        });
    if (!wrong.empty()) return wrong + text;
  }
  return {};
}

bool has_node(const plan::Plan& plan, std::string_view name) {
  return std::ranges::any_of(plan.nodes,
                             [&](const plan::Node& node) { return plan::operator_name(node.params) == name; });
}

void run_cases(const std::string& what, const std::function<std::string(std::uint64_t)>& one) {
  std::uint64_t first = property_seed();
  for (std::uint64_t seed = first; seed < first + property_cases(kCasesDefault); ++seed) {
    std::string wrong = one(seed);
    if (!wrong.empty()) FAIL(what << ", seed " << seed << ": " << wrong);
  }
}

}  // namespace

TEST_CASE("as the rules say: behaviors on windows") { run_cases("behaviors", behavior_case); }
TEST_CASE("windows of shared panes equal windows by themselves") { run_cases("panes", panes_case); }

TEST_CASE("panes are shared where all reducers merge") {
  Random random(1);
  Scenario s = random_scenario(random);
  s.kind = Kind::kSliding;
  s.hop = 2;
  s.length = 7;
  s.behavior = {};
  CHECK(has_node(compiled(source_text(s) + windowby_text(s, "shown", "n: count(), m: max(v)")).result.plan,
                 "sliding_groupby"));
  CHECK(!has_node(compiled(source_text(s) + windowby_text(s, "shown", "n: count(), m: tuple(v)")).result.plan,
                  "sliding_groupby"));
  s.length = 3;
  CHECK(!has_node(compiled(source_text(s) + windowby_text(s, "shown", "n: count()")).result.plan, "sliding_groupby"));
}

}  // namespace thalweg::testing
