#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <tuple>

#include "engine/runtime/run.h"

namespace thalweg {
namespace {

class NoConnectors : public ConnectorFactory {
 public:
  Result<std::unique_ptr<Source>> make_source(const plan::Source&, Env&) override {
    return fail(Code::kInternal, "no sources here");
  }
  Result<std::unique_ptr<Sink>> make_sink(const plan::Output&, const Schema&, Env&) override {
    return fail(Code::kInternal, "no sinks here");
  }
};

struct Row {
  std::int64_t partition = 0;
  std::optional<std::int64_t> value;  // None is possible
  std::int64_t other = 0;
  Key key;
  friend bool operator==(const Row&, const Row&) = default;
};
using Window = std::map<std::tuple<Key, std::int64_t>, Row>;  // (key, rank)

struct Case {
  std::vector<plan::StaticRow> rows;
  std::map<std::uint64_t, std::vector<Row>> states;  // rows that are there after a time
};

Case random_case(std::mt19937_64& random, std::size_t updates) {
  Case out;
  std::vector<Row> live;
  auto change = [&](std::uint64_t time, const Row& row, Diff diff) {
    out.rows.push_back(
        {.time = time,
         .diff = diff,
         .key = row.key,
         .cells = {Value::of(row.partition), row.value ? Value::of(*row.value) : Value::none(), Value::of(row.other)}});
  };
  std::int64_t next = 0;
  for (std::uint64_t time = 2; time <= 20; time += 2) {
    for (std::size_t n = random() % (updates + 1); n > 0; --n) {
      if (!live.empty() && random() % 5 < 2) {
        std::size_t at = random() % live.size();
        change(time, live[at], -1);
        if (random() % 4 == 0) {  // and back again, unchanged
          change(time, live[at], 1);
          continue;
        }
        live.erase(live.begin() + static_cast<std::ptrdiff_t>(at));
        continue;
      }
      Row row{static_cast<std::int64_t>(random() % 3), std::nullopt, static_cast<std::int64_t>(random() % 2),
              key_of_values({Value::of(next++)})};
      if (random() % 6 != 0) row.value = static_cast<std::int64_t>(random() % 8);
      live.push_back(row);
      change(time, row, 1);
    }
    out.states[time] = live;
  }
  return out;
}

Window expected(std::vector<Row> rows, const plan::TopK& params) {
  auto before = [&](const Row& a, const Row& b) {
    if (a.partition != b.partition) return a.partition < b.partition;
    const plan::TopK::Order& order = params.order[0];
    if (a.value.has_value() != b.value.has_value()) return a.value.has_value() != order.nulls_first;
    if (a.value != b.value) return order.descending ? *a.value > *b.value : *a.value < *b.value;
    if (params.order.size() > 1 && a.other != b.other) return a.other < b.other;
    return a.key < b.key;
  };
  std::ranges::sort(rows, before);
  Window window;
  std::int64_t rank = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rank = i > 0 && rows[i].partition == rows[i - 1].partition ? rank + 1 : 1;
    auto place = static_cast<std::uint64_t>(rank - 1);
    if (place >= params.offset && (!params.limit || place < params.offset + *params.limit))
      window[{rows[i].key, params.rank_column ? rank : 0}] = rows[i];
  }
  return window;
}

void check(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Case data = random_case(random, seed % 3 == 0 ? 200 : 6);
  plan::TopK params;
  params.partition = {0};
  params.order = {{.column = 1, .descending = random() % 2 == 0, .nulls_first = random() % 2 == 0}};
  if (random() % 2 == 0) params.order.push_back({.column = 2});
  params.offset = random() % 3;
  if (random() % 4 != 0) params.limit = random() % 4;
  params.rank_column = random() % 2 == 0;

  plan::Plan plan;
  plan::Node input;
  input.schema.columns = {{"p", Type(Kind::kInt)}, {"v", Type(Kind::kInt, true)}, {"o", Type(Kind::kInt)}};
  input.params = plan::StaticRows{.rows = std::make_shared<std::vector<plan::StaticRow>>(data.rows), .as_stream = true};
  NodeId rows = plan.add(input);
  plan::Node top;
  top.inputs = {rows};
  top.schema = input.schema;
  if (params.rank_column) top.schema.columns.push_back({"rank", Type(Kind::kInt)});
  top.params = params;
  NodeId topped = plan.add(top);
  plan::Node out;
  out.inputs = {topped};
  out.params = plan::Export{.name = "top", .indexes = {}, .retain_ns = {}};
  plan.add(std::move(out));

  NoConnectors connectors;
  RunOptions options{.workers = 1 + static_cast<std::uint32_t>(seed % 2)};
  options.test_times = true;
  auto run = Run::start(plan, options, connectors, real_env());
  REQUIRE(run.has_value());
  (*run)->wait(-1);
  auto changes = (*run)->find_export("top")->diff(Frontier{}, Frontier{0, true});
  REQUIRE(changes.has_value());
  Window window;
  std::size_t next = 0;
  for (const auto& [time, state] : data.states) {
    for (; next < changes->size() && (*changes)[next].time <= time; ++next) {
      const Batch& batch = (*changes)[next].batch;
      for (bool inserts : {false, true})
        for (std::size_t i = 0; i < batch.num_rows; ++i) {
          if ((batch.diff(i) > 0) != inserts) continue;
          std::int64_t rank = params.rank_column ? batch.columns[3].i64()[i] : 0;
          Row row{batch.columns[0].i64()[i], std::nullopt, batch.columns[2].i64()[i], batch.keys[i]};
          if (batch.columns[1].is_value(i)) row.value = batch.columns[1].i64()[i];
          if (inserts)
            CHECK(window.emplace(std::tuple(row.key, rank), row).second);
          else
            CHECK(window.erase({row.key, rank}) == 1);
        }
    }
    INFO("seed " << seed << ", time " << time);
    REQUIRE(window == expected(state, params));
  }
}

}  // namespace

TEST_CASE("the window of an order is right after every commit, whatever comes and goes") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) check(seed);
}

}  // namespace thalweg
