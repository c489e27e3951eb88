// tests/bench/join_update_bench.cc
//
// What one changed row costs in a join of a million rows: orders join people, then single-row updates of orders, one
// per commit. Prints the time from commit to commit (engine time with all coordination, no connector, no sink).
//
//   join_update_bench [ROWS] [UPDATES] [WORKERS]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "engine/runtime/run.h"

namespace {

using namespace thalweg;
using SteadyClock = std::chrono::steady_clock;

class NoConnectors : public ConnectorFactory {
 public:
  Result<std::unique_ptr<Source>> make_source(const plan::Source&, Env&) override {
    return fail(Code::kInternal, "no sources here");
  }
  Result<std::unique_ptr<Sink>> make_sink(const plan::Output&, const Schema&, Env&) override {
    return fail(Code::kInternal, "no sinks here");
  }
};

Key key_of(std::int64_t side, std::int64_t i) { return key_of_values({Value::of(side), Value::of(i)}); }

plan::Plan make_plan(std::int64_t rows, std::int64_t updates) {
  plan::Plan plan;
  auto people = std::make_shared<std::vector<plan::StaticRow>>();
  auto orders = std::make_shared<std::vector<plan::StaticRow>>();
  auto add = [](auto& to, std::uint64_t time, Diff diff, Key key, std::int64_t a, std::int64_t b) {
    to.push_back({.time = time, .diff = diff, .key = key, .cells = {Value::of(a), Value::of(b)}});
  };
  for (std::int64_t i = 0; i < rows; ++i) {
    add(*people, 2, 1, key_of(0, i), i, i * 7);
    add(*orders, 2, 1, key_of(1, i), (i * 7919) % rows, i);
  }
  for (std::int64_t u = 0; u < updates; ++u) {
    std::int64_t i = (u * 104'729) % rows;
    auto time = static_cast<std::uint64_t>(4 + 2 * u);
    add(*orders, time, -1, key_of(1, i), (i * 7919) % rows, i);
    add(*orders, time, 1, key_of(1, i), (i * 7919) % rows, i + rows);
  }
  Type integer(Kind::kInt);
  auto table = [&](auto rows_of, const char* a, const char* b) {
    plan::Node node;
    node.schema.columns = {{a, integer}, {b, integer}};
    node.params = plan::StaticRows{.rows = rows_of, .as_stream = true};
    return plan.add(std::move(node));
  };
  NodeId left = table(orders, "person", "amount");
  NodeId right = table(people, "id", "height");
  plan::Node join;
  join.inputs = {left, right};
  join.schema.columns = {{"amount", integer}, {"height", integer}};
  join.params = plan::Join{.left_on = {0}, .right_on = {0}, .emit = {1, 3}};
  NodeId joined = plan.add(std::move(join));
  plan::Node out;
  out.inputs = {joined};
  out.params = plan::Export{.name = "joined", .indexes = {}, .retain_ns = {}};
  plan.add(std::move(out));
  return plan;
}

}  // namespace

int main(int argc, char** argv) {
  std::int64_t rows = argc > 1 ? std::atoll(argv[1]) : 1'000'000;
  std::int64_t updates = argc > 2 ? std::atoll(argv[2]) : 2'000;
  auto workers = static_cast<std::uint32_t>(argc > 3 ? std::atoi(argv[3]) : 1);
  plan::Plan plan = make_plan(rows, std::min(updates, rows));
  NoConnectors connectors;
  Env env = real_env();
  RunOptions options{.workers = workers};
  auto run = Run::start(plan, options, connectors, env);
  if (!run) {
    std::fprintf(stderr, "%s\n", run.error().message.c_str());
    return 1;
  }
  std::mutex mutex;
  std::vector<SteadyClock::time_point> times;
  times.reserve(static_cast<std::size_t>(updates) + 2);
  auto reader = (*run)->find_export("joined");
  reader->subscribe([&](Frontier) {
    std::lock_guard lock(mutex);
    times.push_back(SteadyClock::now());
  });
  (*run)->wait(-1);
  std::vector<double> us;
  for (std::size_t i = 1; i + 1 < times.size(); ++i)
    us.push_back(std::chrono::duration<double, std::micro>(times[i] - times[i - 1]).count());
  if (us.empty() || reader->num_rows() != static_cast<std::uint64_t>(rows)) {
    std::fprintf(stderr, "wrong: %zu commits, %llu rows\n", times.size(),
                 static_cast<unsigned long long>(reader->num_rows()));
    return 1;
  }
  std::ranges::sort(us);
  auto at = [&](double q) { return us[static_cast<std::size_t>(q * static_cast<double>(us.size() - 1))]; };
  std::printf(
      "%zu single-row updates of a join of %lld rows, %u worker(s): p50 %.1f us, p90 %.1f us, p99 %.1f us, max %.1f "
      "us\n",
      us.size(), static_cast<long long>(rows), workers, at(0.5), at(0.9), at(0.99), us.back());
  return 0;
}
