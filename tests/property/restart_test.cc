// A pipeline that is saved and restored on its way gives what it gives when it is left alone, commit by commit: here
// those whose results depend on how their rows came, and those that no other property test has.
#include <catch2/catch.hpp>
#include <algorithm>

#include "pipeline_lang/compile.h"
#include "tests/property/temporal_stream.h"

namespace thalweg::testing {
namespace {

constexpr std::uint64_t kCasesDefault = 12;

struct Pipeline {
  const char* name;
  const char* text;  // of `shown`, over $t (i, t, v: changes), $u (likewise) and $a (i, t, v: only grows)
};

constexpr Pipeline kPipelines[] = {
    {"deduplicate, the last", "shown: !deduplicate {table: $t, value: v, instance: [i], keep: last}"},
    {"deduplicate by an acceptor", "shown: !deduplicate {table: $t, value: v, acceptor: new >= current + 2}"},
    {"sort", "shown: !select {table: !sort {table: $t, key: v, instance: i}, columns: {i: i, v: v, p: prev is None}}"},
    {"diff", "shown: !diff {table: $t, timestamp: t, values: [v], instance: i}"},
    {"diff without instance", "shown: !diff {table: $t, timestamp: t, values: [v]}"},
    {"interpolate",
     "$w: !select {table: $t, columns: {t: t, v: \"if_else(v % 3 == 0, None, v + 0.5)\"}}\n"
     "shown: !interpolate {table: $w, timestamp: t, values: [v]}"},
    {"forget", "shown: !forget {table: $a, time_column: t, threshold: 6}"},
    {"forget what changes", "shown: !forget {table: $t, time_column: t, threshold: 6}"},
    {"buffer", "shown: !buffer {table: $t, time_column: t, threshold: 5}"},
    {"buffer by instance", "shown: !buffer {table: $t, time_column: t, threshold: 5, instance: i}"},
    {"freeze", "shown: !freeze {table: $t, time_column: t, threshold: 4}"},
    {"freeze by instance", "shown: !freeze {table: $t, time_column: t, threshold: 4, instance: i}"},
    {"update_rows", "shown: !update_rows {table: $t, other: $u}"},
    {"update_cells",
     "$o: !intersect {table: $u, other: $t}\n"
     "shown: !update_cells {table: $t, other: !select {table: $o, columns: {v: v}}}"},
    {"difference", "shown: !difference {table: $t, other: $u}"},
    {"a stream and back", "shown: !stream_to_table {table: !to_stream {table: $t}, is_upsert: is_upsert}"},
    {"as of now", "shown: !asof_now_join {left: $t, right: $u, on: [i], how: left, select: {v: left.v, w: right.v}}"},
    {"as of now, queries that only grow",
     "shown: !asof_now_join {left: $a, right: $u, on: [i], select: {v: left.v, w: right.v}}"},
    {"as of",
     "shown: !asof_join {left: $t, right: $u, left_time: t, right_time: t, left_instance: left.i, right_instance: "
     "right.i, how: outer, select: {a: left.v, b: right.v}}"},
    {"intervals",
     "shown: !interval_join {left: $t, right: $u, left_time: t, right_time: t, lower: -3, upper: 2, on: [i], how: "
     "outer, select: {a: left.v, b: right.v}}"},
    {"sessions",
     "shown: !windowby {table: $t, time: t, window: !temporal.session {max_gap: 3}, instance: i, reduce: {s: "
     "window.start, e: window.end, n: count(), v: sum(v)}}"},
    {"sliding windows",
     "shown: !windowby {table: $t, time: t, window: !temporal.sliding {hop: 2, duration: 5}, instance: i, reduce: {s: "
     "window.start, n: count(), v: avg(v), m: max(v)}}"},
    {"pauses", "shown: !inactivity_detection {table: $a, allowed_inactivity_period: 3ms, refresh_rate: 1ms}"},
    {"pauses of instances",
     "shown: !inactivity_detection {table: $a, allowed_inactivity_period: 6ms, refresh_rate: 1ms, instance: i}"},
    {"times of updates", "shown: !add_update_timestamp_utc {table: $t, refresh_rate: 3ms}"},
    {"ticks", "shown: !temporal.utc_now {refresh_rate: 3ms}"},
    {"groups of every kind",
     "shown: !groupby {table: $t, by: [i], reduce: {n: count(), s: sum(v), fs: sum(v / 7), a: avg(v / 3), lo: min(v), "
     "hi: max(v), b: argmax(v), u: unique(i), one: any(v), all: sorted_tuple(v), rows: tuple(v), d: "
     "count_distinct(v), sd: stddev(v / 3), med: median(v), q: \"string_agg(v.to_string(), ',')\", e: earliest(v), l: "
     "latest(v), and: bool_and(v > 3), or: bool_or(v > 90), arr: ndarray(v)}}"},
    {"folds",
     "shown: !groupby {table: $a, by: [i], reduce: {f: \"fold(0, acc * 3 + row.v)\", c: "
     "count_distinct_approximate(v), lo: min(v), e: earliest(v), l: latest(v)}}"},
    {"joins by the key of a side",
     "$one: !groupby {table: $u, by: [i], reduce: {w: sum(v)}}\n"
     "shown: !join {left: $t, right: $one, on: [i], how: left, id: left.id, select: {v: left.v, w: right.w}}"},
    {"the greatest of each", "shown: !sql {query: \"SELECT i, v FROM x ORDER BY v DESC, t LIMIT 3\", x: $t}"},
    {"a loop",
     "$n: !select {table: $t, columns: {n: v}}\n"
     "shown: !iterate {inputs: {x: $n}, output: x, body: {x: !select {table: $x, columns: {n: \"n - 7 if n >= 7 else "
     "n\"}}}}"},
};

std::string table_text(const Events& events, const char* name) {
  std::string text =
      std::string(name) + ": !table_from_markdown\n  table: |2\n      | i | t | v | __time__ | __diff__\n";
  for (const Event& event : events) {
    text += "    " + std::to_string((event.key.lo ^ event.key.hi) % 1'000'000'007) + " |";
    for (const Value& cell : event.cells) text += " " + cell.to_text() + " |";
    text += " " + std::to_string(event.time) + " | " + std::to_string(event.diff) + "\n";
  }
  return text;
}

Events stream(Random& random, std::uint64_t source, bool only_grows) {
  StreamShape shape;
  shape.commits = 7;
  shape.rows_per_commit = 4;
  if (only_grows) shape.deletions = shape.edits = 0;
  shape.cells = [](Random& r, std::size_t commit) {
    return Cells{Value::of(r.between(1, 4)), Value::of(static_cast<std::int64_t>(2 * commit) + r.between(0, 6)),
                 Value::of(r.between(0, 99))};
  };
  Events events = random_events(random, shape, source);
  std::ranges::stable_sort(events, {}, &Event::time);
  return events;
}

// The empty text, or what is wrong.
std::string check(const Pipeline& pipeline, std::uint64_t seed) {
  Random random(seed);
  Events t = stream(random, 1, false), u = stream(random, 2, false), a = stream(random, 3, true);
  if (t.empty() || u.empty() || a.empty()) return {};
  std::string text =
      table_text(t, "$t") + table_text(u, "$u") + table_text(a, "$a") + std::string(pipeline.text) + "\n";
  auto compiled = lang::compile_text("pipeline.yaml", text, {});
  if (!compiled.ok()) return render_text(compiled.diagnostics, *compiled.files) + text;
  auto result = std::ranges::find(compiled.exports, "shown", &lang::ExportInfo::name);
  if (result == compiled.exports.end()) return "no table shown\n" + text;
  auto workers = static_cast<std::uint32_t>(1 + random.below(3));
  std::vector<Restart> restarts = random_restarts(random, commit_times({&t, &u, &a}));
  auto wanted = run_results(compiled.plan, result->table, workers);
  auto got = run_results(compiled.plan, result->table, workers, restarts);
  if (wanted.contains(0)) return wanted[0].begin()->first + "\n" + text;
  if (wanted == got) return {};
  std::string wrong = std::to_string(workers) + " workers, " + to_text(restarts) + "\n";
  for (const auto& [time, rows] : wanted) {
    std::string here = got.contains(time) ? difference(rows, got[time]) : "  nothing changed\n";
    if (!here.empty()) return wrong + "at " + std::to_string(time) + ":\n" + here + text;
  }
  return wrong + "more changes than wanted\n" + text;
}

}  // namespace

TEST_CASE("a pipeline that is restored goes on as if it had not been") {
  std::uint64_t first = property_seed();
  for (const Pipeline& pipeline : kPipelines)
    for (std::uint64_t seed = first; seed < first + property_cases(kCasesDefault); ++seed) {
      std::string wrong = check(pipeline, seed);
      if (!wrong.empty()) FAIL_CHECK(pipeline.name << ", seed " << seed << ": " << wrong);
    }
}

}  // namespace thalweg::testing
