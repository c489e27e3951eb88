// Whole pipelines on a disk that dies at any of its calls and loses what was not synced: from a source that counts, by
// a groupby, to files. In the end every row is there once, and every commit of one output agrees with the other's.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "connectors/file/sink.h"
#include "engine/durable/memory_disk.h"
#include "engine/runtime/run.h"
#include "tests/support/random.h"

namespace thalweg {

namespace {

class TestRng : public Rng {
 public:
  explicit TestRng(std::uint64_t seed) : random_(seed) {}
  std::uint64_t next() override { return random_.next(); }

 private:
  testing::Random random_;
};

constexpr int kRows = 400;

// The numbers from 0 on with a word each, in transactions of some rows; goes on after the last one that was committed.
class CountingSource final : public Source {
 public:
  explicit CountingSource(std::uint64_t seed) : random_(seed) {}
  Result<void> run(SourceContext& context) override {
    static const std::vector<std::string> kWords = {"a", "b", "c", "d", "e"};
    Schema schema{{{"id", Kind::kInt}, {"word", Kind::kStr}}};
    int next = context.resume_position().empty() ? 0 : std::stoi(context.resume_position());
    while (next < kRows) {
      BatchBuilder rows(schema);
      for (int n = static_cast<int>(random_.between(1, 12)); n > 0 && next < kRows; --n, ++next) {
        std::vector<Value> row = {Value::of(static_cast<std::int64_t>(next)), Value::str(random_.one_of(kWords))};
        rows.push(key_of_values({row[0]}), row);
      }
      if (!context.deliver(rows.finish())) return {};
      if (random_.chance(80) || next == kRows) context.commit(std::to_string(next));
      if (random_.chance(30) && !context.wait(200'000)) return {};
    }
    return {};
  }

 private:
  testing::Random random_;
};

class Connectors final : public ConnectorFactory {
 public:
  explicit Connectors(std::uint64_t seed) : seed_(seed) {}
  Result<std::unique_ptr<Source>> make_source(const plan::Source&, Env&) override {
    return std::make_unique<CountingSource>(seed_);
  }
  Result<std::unique_ptr<Sink>> make_sink(const plan::Output& output, const Schema& schema, Env&) override {
    FileWriteSettings settings;
    settings.path = "/out/" + output.name + ".csv";
    settings.quoting = CsvQuoting::kMinimal;
    return std::make_unique<ChangesFileSink>(std::move(settings), schema);
  }

 private:
  const std::uint64_t seed_;
};

// source(id, word) → rows.csv, and → groupby(word; count, sum(id)) → counts.csv
plan::Plan make_plan() {
  plan::Plan out;
  Schema rows{{{"id", Kind::kInt}, {"word", Kind::kStr}}};
  Schema counts{{{"word", Kind::kStr}, {"rows", Kind::kInt}, {"total", Kind::kInt}}};
  plan::Source source;
  source.connector = "test.count";
  source.append_only = true;
  for (const ColumnSpec& column : rows.columns)
    source.fields.push_back(
        {.name = column.name, .external_name = column.name, .type = column.type, .default_value = std::nullopt});
  NodeId read = out.add({.schema = rows, .params = source, .append_only = true});
  plan::GroupBy group;
  group.by = {1};
  group.reducers.resize(2);
  group.reducers[0].kind = plan::ReducerKind::kCount;
  group.reducers[0].type = Kind::kInt;
  group.reducers[1].kind = plan::ReducerKind::kSum;
  group.reducers[1].args = {0};
  group.reducers[1].type = Kind::kInt;
  NodeId groups = out.add({.inputs = {read}, .schema = counts, .params = group});
  out.add({.inputs = {read}, .params = plan::Output{.connector = "io.csv.write", .name = "rows"}});
  out.add({.inputs = {groups}, .params = plan::Output{.connector = "io.csv.write", .name = "counts"}});
  return out;
}

struct Line {
  std::vector<std::string> cells;
  std::uint64_t time = 0;
  int diff = 0;
};

std::vector<Line> lines_of(Disk& disk, const std::string& path) {
  std::vector<Line> out;
  auto text = read_all(disk, path, 1 << 30);
  if (!text) return out;
  REQUIRE((text->empty() || text->ends_with('\n')));
  std::istringstream in(*text);
  std::string line;
  std::getline(in, line);  // the header
  while (std::getline(in, line)) {
    std::istringstream cells(line);
    Line one;
    std::string cell;
    while (std::getline(cells, cell, ',')) one.cells.push_back(cell);
    REQUIRE(one.cells.size() >= 3);
    one.diff = std::stoi(one.cells.back());
    one.cells.pop_back();
    one.time = std::stoull(one.cells.back());
    one.cells.pop_back();
    out.push_back(std::move(one));
  }
  return out;
}

void check_outputs(Disk& disk, bool complete) {
  std::vector<Line> rows = lines_of(disk, "/out/rows.csv");
  std::vector<Line> counts = lines_of(disk, "/out/counts.csv");
  std::set<std::int64_t> seen;
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> expected;
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> shown;
  std::size_t at = 0;
  for (std::size_t i = 0; i < rows.size();) {
    std::uint64_t time = rows[i].time;
    for (; i < rows.size() && rows[i].time == time; ++i) {
      REQUIRE(rows[i].diff == 1);
      REQUIRE(seen.insert(std::stoll(rows[i].cells[0])).second);
      auto& [n, total] = expected[rows[i].cells[1]];
      ++n;
      total += std::stoll(rows[i].cells[0]);
    }
    if (i < rows.size()) REQUIRE(rows[i].time > time);
    for (; at < counts.size() && counts[at].time <= time; ++at) {
      auto& [n, total] = shown[counts[at].cells[0]];
      n += counts[at].diff * std::stoll(counts[at].cells[1]);
      total += counts[at].diff * std::stoll(counts[at].cells[2]);
    }
    // Between two files only what both have can be compared while nothing has ended.
    if (complete) REQUIRE(shown == expected);
  }
  if (complete) {
    REQUIRE(seen.size() == kRows);
    REQUIRE(*seen.rbegin() == kRows - 1);
    REQUIRE(at == counts.size());
  }
}

struct Simulation {
  explicit Simulation(std::uint64_t seed) : random(seed), disk(std::make_shared<durable::MemoryDisk>()) {
    env = real_env();
    env.disk = disk;
    env.rng = std::make_shared<TestRng>(seed + 1);
    (void)disk->make_directories("/out");
  }

  // How the run ended.
  RunState live(const plan::Plan& plan, ConnectorFactory& connectors) {
    RunOptions options;
    options.workers = 1 + static_cast<std::uint32_t>(random.below(2));
    options.autocommit_ms = 1;
    options.durability.emplace();
    options.durability->directory = "/state";
    if (random.chance(50)) options.durability->snapshot_interval_ns = 1'000'000;
    options.durability->snapshots_on_command = random.chance(30);
    options.durability->snapshot_at_end = random.chance(70);
    auto run = Run::start(plan, options, connectors, env);
    if (!run) {
      why = run.error().message;
      return RunState::kFailed;
    }
    (*run)->wait(-1);
    if (auto failure = (*run)->failure()) why = failure->message;
    return (*run)->state();
  }

  testing::Random random;
  std::shared_ptr<durable::MemoryDisk> disk;
  Env env;
  std::string why;
};

}  // namespace

TEST_CASE("pipelines survive power cuts and crashes at any call of the disk") {
  const std::uint64_t cases = testing::setting_or("THALWEG_POWER_CUTS", 60);
  const plan::Plan plan = make_plan();
  std::uint64_t cuts = 0;
  for (std::uint64_t seed = 1; seed <= cases; ++seed) {
    INFO("seed " << seed);
    Simulation world(seed);
    Connectors connectors(seed);
    TestRng chance(seed + 2);
    for (int life = 0; life < 4; ++life) {
      world.disk->die_at_call(world.disk->calls() + 1 + world.random.below(80));
      RunState state = world.live(plan, connectors);
      bool dead = world.disk->dead();
      INFO("life " << life << ": " << world.why);
      REQUIRE((dead || state == RunState::kEnded));
      world.disk->restart(chance, world.random.chance(60));
      ++cuts;
    }
    RunState state = world.live(plan, connectors);
    INFO(world.why);
    REQUIRE(state == RunState::kEnded);
    check_outputs(*world.disk, true);
  }
  INFO("cuts " << cuts);
}

}  // namespace thalweg
