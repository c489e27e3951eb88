// How input becomes commits, and when a run says that it has caught up.
#include "engine/runtime/ingest.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "engine/runtime/egress.h"
#include "engine/runtime/run.h"

namespace thalweg::tests {
namespace {

const Schema kNumbers{{{"n", Kind::kInt}}};

Batch numbers(std::int64_t first, std::int64_t count) {
  BatchBuilder builder(kNumbers);
  for (std::int64_t i = first; i < first + count; ++i) {
    std::vector<Value> row{Value::of(i)};
    builder.push(key_of_values(row), row);
  }
  return builder.finish();
}

// Delivers a first batch, is idle, and goes on delivering: what comes later is none of what was found at the start.
class BusySource : public Source {
 public:
  Result<void> run(SourceContext& context) override {
    context.deliver(numbers(0, 1000));
    context.commit();
    context.idle();
    for (std::int64_t i = 1000; !context.stopping(); i += 100) {
      context.deliver(numbers(i, 100));
      context.commit();
      context.wait(100'000, -1);
    }
    return {};
  }
};

class QuietSource : public Source {
 public:
  Result<void> run(SourceContext& context) override {
    context.idle();
    while (context.wait(10'000'000, -1)) context.idle();
    return {};
  }
};

template <class SourceType>
class OneSource : public ConnectorFactory {
 public:
  Result<std::unique_ptr<Source>> make_source(const plan::Source&, Env&) override {
    return std::make_unique<SourceType>();
  }
  Result<std::unique_ptr<Sink>> make_sink(const plan::Output&, const Schema&, Env&) override {
    return fail(Code::kInternal, "no sinks here");
  }
};

// Takes its time over every commit, and remembers which was the last.
class SlowSink : public Sink {
 public:
  explicit SlowSink(std::atomic<std::uint64_t>& written) : written_(written) {}
  Result<void> open(const SinkContext&) override { return {}; }
  Result<void> write(std::uint64_t, const Batch& batch) override {
    rows_ += batch.num_rows;
    return {};
  }
  Result<void> end(std::uint64_t) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    ++written_;
    return {};
  }
  Result<void> close(bool) override { return {}; }

 private:
  std::atomic<std::uint64_t>& written_;
  std::uint64_t rows_ = 0;
};

class BusyToSlow : public ConnectorFactory {
 public:
  Result<std::unique_ptr<Source>> make_source(const plan::Source&, Env&) override {
    return std::make_unique<BusySource>();
  }
  Result<std::unique_ptr<Sink>> make_sink(const plan::Output&, const Schema&, Env&) override {
    return std::make_unique<SlowSink>(written);
  }
  std::atomic<std::uint64_t> written{0};
};

plan::Plan exported_source() {
  plan::Plan out;
  plan::Source source;
  source.connector = "test";
  source.fields.push_back({.name = "n", .external_name = "n", .type = Kind::kInt, .default_value = std::nullopt});
  NodeId read = out.add({.schema = kNumbers, .params = source});
  out.add({.inputs = {read}, .params = plan::Export{.name = "numbers", .indexes = {}, .retain_ns = std::nullopt}});
  return out;
}

}  // namespace

TEST_CASE("a run that has caught up stays so while more arrives, and shows what it found at the start") {
  OneSource<BusySource> connectors;
  Env env = real_env();
  auto run = Run::start(exported_source(), RunOptions{.workers = 2}, connectors, env);
  REQUIRE(run);
  while (!(*run)->caught_up()) REQUIRE_FALSE((*run)->wait(100'000));
  CHECK((*run)->find_export("numbers")->num_rows() >= 1000);
  for (int i = 0; i < 2000; ++i) {
    REQUIRE((*run)->caught_up());
    (*run)->wait(20'000);
  }
  (*run)->stop();
  (*run)->wait(-1);
}

TEST_CASE("a source that finds nothing is caught up") {
  OneSource<QuietSource> connectors;
  Env env = real_env();
  auto run = Run::start(exported_source(), RunOptions{}, connectors, env);
  REQUIRE(run);
  for (int i = 0; i < 5000 && !(*run)->caught_up(); ++i) (*run)->wait(1'000'000);
  CHECK((*run)->caught_up());
}

TEST_CASE("a slow sink gets few large commits: none begins while several wait for it") {
  BusyToSlow connectors;
  Env env = real_env();
  plan::Plan plan = exported_source();
  plan.add({.inputs = {plan.nodes[0].id}, .params = plan::Output{.connector = "test", .args = {}, .name = "slow"}});
  auto run = Run::start(plan, RunOptions{.workers = 2}, connectors, env);
  REQUIRE(run);
  std::uint64_t ahead = 0;
  // Longer on a machine that has other things to do.
  for (int i = 0; i < 300 || (i < 60'000 && (ahead < 2 || connectors.written <= 10)); ++i) {
    std::uint64_t written = connectors.written;
    std::uint64_t closed = (*run)->num_commits();
    ahead = std::max(ahead, closed > written ? closed - written : 0);
    REQUIRE_FALSE((*run)->wait(1'000'000));
  }
  CHECK(ahead >= 2);  // it is slow
  CHECK(ahead <= Egress::kQueuedCommitsMax + 4);
  CHECK(connectors.written > 10);  // and goes on
  CHECK((*run)->pause());          // and can be held
  (*run)->resume();
  (*run)->stop();
  (*run)->wait(-1);
}

TEST_CASE("a commit takes in a bounded number of bytes; the rest is for the next one") {
  Env env = real_env();
  Ingest ingest(env, 3'600'000, [] {});
  std::uint32_t source = ingest.add_source(false);
  constexpr std::int64_t kRows = 100'000;
  std::atomic<std::size_t> delivered{0};
  std::size_t wanted = 3 * Ingest::kCommitBytesMax;
  std::thread feeder([&] {
    while (delivered < wanted) {
      Batch batch = numbers(0, kRows);
      if (!ingest.deliver(source, nullptr, batch)) return;
      ingest.end_transaction(source, {});
      delivered += static_cast<std::size_t>(kRows) * (sizeof(Key) + sizeof(Diff) + 8);
    }
    ingest.end_source(source);
  });
  std::size_t rows = 0;
  int commits = 0;
  while (!ingest.all_ended()) {
    if (!ingest.has_work()) continue;
    ingest.open_commit();
    std::size_t bytes = 0;
    Ingest::Item item;
    for (Ingest::Taken taken = ingest.take(item); taken != Ingest::Taken::kClosed; taken = ingest.take(item))
      if (taken == Ingest::Taken::kItem) {
        rows += item.batch.num_rows;
        bytes += item.batch.num_rows * (sizeof(Key) + sizeof(Diff) + 8);
      }
    CHECK(bytes < Ingest::kCommitBytesMax + Ingest::kQueuedBytesMax);
    ++commits;
  }
  feeder.join();
  CHECK(rows * (sizeof(Key) + sizeof(Diff) + 8) == delivered);
  CHECK(commits >= 3);
}

namespace {

// Everything that may be taken now; whether the commit has closed.
bool take_all(Ingest& ingest, std::size_t& rows) {
  Ingest::Item item;
  for (;;) {
    Ingest::Taken taken = ingest.take(item);
    if (taken != Ingest::Taken::kItem) return taken == Ingest::Taken::kClosed;
    rows += item.batch.num_rows;
  }
}

}  // namespace

TEST_CASE("I3: a source with a bound of records waits until what it delivered is visible") {
  Env env = real_env();
  Ingest ingest(env, 3'600'000, [] {});
  std::uint32_t source = ingest.add_source(false, 100);
  std::atomic<std::size_t> delivered{0};
  constexpr std::size_t kWanted = 2000;
  std::thread feeder([&] {
    while (delivered < kWanted) {
      if (!ingest.deliver(source, nullptr, numbers(0, 10))) return;
      ingest.end_transaction(source, {});
      delivered += 10;
    }
    ingest.end_source(source);
  });
  std::size_t visible = 0;
  std::size_t taken = 0;
  std::size_t ahead = 0;
  while (!ingest.all_ended()) {
    while (!ingest.has_work() && !ingest.all_ended()) std::this_thread::yield();
    ingest.open_commit();
    CHECK(take_all(ingest, taken));
    // Closed, but not visible: the reader gets to the bound and stays there.
    while (delivered < std::min(visible + 100, kWanted)) std::this_thread::yield();
    for (int i = 0; i < 20; ++i) std::this_thread::yield();
    ahead = std::max(ahead, delivered - visible);
    visible = taken;
    ingest.tell_committed();
  }
  feeder.join();
  CHECK(ahead == 100);
  CHECK(taken == kWanted);
}

TEST_CASE("I3: a transaction with more records than the bound gets through, in one commit") {
  Env env = real_env();
  Ingest ingest(env, 3'600'000, [] {});
  std::uint32_t source = ingest.add_source(false, 100);
  std::thread feeder([&] {
    for (int i = 0; i < 50; ++i)
      if (!ingest.deliver(source, nullptr, numbers(0, 30))) return;
    ingest.end_transaction(source, {});
    ingest.end_source(source);
  });
  while (!ingest.has_work()) std::this_thread::yield();
  ingest.open_commit();
  std::size_t rows = 0;
  while (!take_all(ingest, rows)) std::this_thread::yield();
  CHECK(rows == 1500);
  ingest.tell_committed();
  feeder.join();
  CHECK(ingest.all_ended());
}

TEST_CASE("a source hears of its transactions when their commit is visible, not when a later one has begun") {
  Env env = real_env();
  Ingest ingest(env, 3'600'000, [] {});
  std::uint32_t source = ingest.add_source(false);
  std::vector<std::uint64_t> told;
  ingest.listen(source, [&](std::uint64_t transactions) { told.push_back(transactions); });
  std::size_t rows = 0;
  for (int commit = 0; commit < 3; ++commit) {
    REQUIRE(ingest.deliver(source, nullptr, numbers(commit, 1)));
    ingest.end_transaction(source, {});
    ingest.open_commit();
    CHECK(take_all(ingest, rows));
  }
  for (int commit = 0; commit < 3; ++commit) ingest.tell_committed();
  CHECK(told == std::vector<std::uint64_t>{1, 2, 3});
}

}  // namespace thalweg::tests
