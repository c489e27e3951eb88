// tests/bench/temporal/late_row_bench.cc
//
// What a late row costs: millions of rows of state, then single rows from the middle of the time, one per commit.
// Prints the time from commit to commit (engine time with all coordination, no connector, no sink).
//
//   late_row_bench tumbling|sliding|sessions|asof|interval [ROWS] [LATE] [WORKERS]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

#include "engine/runtime/run.h"
#include "pipeline_lang/compile.h"

namespace {

using namespace thalweg;
using SteadyClock = std::chrono::steady_clock;

constexpr std::int64_t kKeys = 1000;

class NoConnectors : public ConnectorFactory {
 public:
  Result<std::unique_ptr<Source>> make_source(const plan::Source&, Env&) override {
    return fail(Code::kInternal, "no sources here");
  }
  Result<std::unique_ptr<Sink>> make_sink(const plan::Output&, const Schema&, Env&) override {
    return fail(Code::kInternal, "no sinks here");
  }
};

const std::map<std::string, std::string> kPipelines = {
    {"tumbling", R"(
result: !windowby
  table: $a
  time: t
  window: !temporal.tumbling {duration: 1000}
  instance: k
  reduce: {start: window.start, n: count(), total: sum(v)}
)"},
    {"sliding", R"(
result: !windowby
  table: $a
  time: t
  window: !temporal.sliding {hop: 100, duration: 1000}
  instance: k
  reduce: {start: window.start, n: count(), total: sum(v)}
)"},
    {"sessions", R"(
result: !windowby
  table: $a
  time: t
  window: !temporal.session {max_gap: 100}
  instance: k
  reduce: {start: window.start, n: count(), total: sum(v)}
)"},
    {"asof", R"(
result: !asof_join
  left: $a
  right: $b
  left_time: left.t
  right_time: right.t
  on: [left.k == right.k]
  select: {k: left.k, t: left.t, a: left.v, b: right.v}
)"},
    {"interval", R"(
result: !interval_join
  left: $a
  right: $b
  left_time: left.t
  right_time: right.t
  lower: -5
  upper: 5
  on: [left.k == right.k]
  select: {k: left.k, a: left.v, b: right.v}
)"},
};
constexpr const char* kTables = R"(
$a: !table_from_markdown
  table: |
    k | t | v
    1 | 1 | 1
$b: !table_from_markdown
  table: |
    k | t | v
    1 | 1 | 1
)";

// Rows of one side: times rise by 10 per row of a key; sessions end where a thousand rows of a key have passed.
std::shared_ptr<std::vector<plan::StaticRow>> rows_of(std::int64_t side, std::int64_t rows, std::int64_t late) {
  auto out = std::make_shared<std::vector<plan::StaticRow>>();
  out->reserve(static_cast<std::size_t>(rows + late));
  const auto add = [&](std::uint64_t time, std::int64_t i, std::int64_t k, std::int64_t t) {
    out->push_back({.time = time,
                    .diff = 1,
                    .key = sequence_key(static_cast<std::uint64_t>(side), static_cast<std::uint64_t>(i)),
                    .cells = {Value::of(k), Value::of(t), Value::of(i % 1000)}});
  };
  const auto time_of = [](std::int64_t i) { return i / kKeys * 10 + i / kKeys / 1000 * 500; };
  for (std::int64_t i = 0; i < rows; ++i) add(2, i, i % kKeys, time_of(i));
  for (std::int64_t u = 0; u < late; ++u) {
    std::int64_t at = (u * 104'729) % rows;
    add(static_cast<std::uint64_t>(4 + 2 * u), rows + u, at % kKeys, time_of(at) + 3);
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  std::string kind = argc > 1 ? argv[1] : "";
  if (!kPipelines.contains(kind)) {
    std::fprintf(stderr, "usage: late_row_bench tumbling|sliding|sessions|asof|interval [ROWS] [LATE] [WORKERS]\n");
    return 2;
  }
  std::int64_t rows = argc > 2 ? std::atoll(argv[2]) : 10'000'000;
  std::int64_t late = argc > 3 ? std::atoll(argv[3]) : 2'000;
  auto workers = static_cast<std::uint32_t>(argc > 4 ? std::atoi(argv[4]) : 1);
  auto compiled = lang::compile_text("bench.yaml", kTables + kPipelines.at(kind), {});
  if (!compiled.ok()) {
    std::fprintf(stderr, "%s\n", render_text(compiled.diagnostics, *compiled.files).c_str());
    return 1;
  }
  std::vector<plan::StaticRows*> tables;
  for (plan::Node& node : compiled.plan.nodes)
    if (auto* table = std::get_if<plan::StaticRows>(&node.params)) tables.push_back(table);
  std::int64_t each = rows / static_cast<std::int64_t>(tables.size());
  for (std::size_t i = 0; i < tables.size(); ++i)  // late rows come in on the last one: the quotes, for asof
    *tables[i] = {.rows = rows_of(static_cast<std::int64_t>(i), each, i + 1 == tables.size() ? late : 0),
                  .as_stream = true};
  NoConnectors connectors;
  Env env = real_env();
  auto run = Run::start(compiled.plan, RunOptions{.workers = workers}, connectors, env);
  if (!run) {
    std::fprintf(stderr, "%s\n", run.error().message.c_str());
    return 1;
  }
  std::mutex mutex;
  std::vector<SteadyClock::time_point> times;
  times.reserve(static_cast<std::size_t>(late) + 2);
  auto reader = (*run)->find_export("result");
  reader->subscribe([&](Frontier) {
    std::lock_guard lock(mutex);
    times.push_back(SteadyClock::now());
  });
  (*run)->wait(-1);
  std::vector<double> us;
  for (std::size_t i = 1; i + 1 < times.size(); ++i)
    us.push_back(std::chrono::duration<double, std::micro>(times[i] - times[i - 1]).count());
  if (us.empty()) {
    std::fprintf(stderr, "wrong: %zu commits\n", times.size());
    return 1;
  }
  std::ranges::sort(us);
  auto at = [&](double q) { return us[static_cast<std::size_t>(q * static_cast<double>(us.size() - 1))]; };
  std::printf(
      "%s: %zu late rows, one per commit, on %lld rows, %u worker(s), %llu rows out: p50 %.1f us, p90 %.1f us, p99 "
      "%.1f us, max %.1f us\n",
      kind.c_str(), us.size(), static_cast<long long>(rows), workers,
      static_cast<unsigned long long>(reader->num_rows()), at(0.5), at(0.9), at(0.99), us.back());
  return 0;
}
