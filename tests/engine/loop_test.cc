// What loops are built on: reducers of extremes, histories, rows sorted into parts; and what ends a loop that does not.
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <optional>
#include <random>

#include "engine/operators/loop/history.h"
#include "engine/operators/loop/partitioned.h"
#include "engine/operators/reducers/reducer.h"
#include "engine/runtime/run.h"

namespace thalweg {
namespace {

Schema ints(std::size_t columns) {
  Schema schema;
  for (std::size_t c = 0; c < columns; ++c) schema.columns.push_back({"c" + std::to_string(c), Type(Kind::kInt)});
  return schema;
}

Batch batch_of(const std::vector<std::int64_t>& cells, std::vector<Diff> diffs) {
  Batch batch;
  batch.num_rows = cells.size();
  batch.columns.push_back(Column::from_vector<std::int64_t>(Phys::kI64, cells));
  batch.set_diffs(std::move(diffs));
  return batch;
}

class NoConnectors : public ConnectorFactory {
 public:
  Result<std::unique_ptr<Source>> make_source(const plan::Source&, Env&) override {
    return fail(Code::kInternal, "no sources here");
  }
  Result<std::unique_ptr<Sink>> make_sink(const plan::Output&, const Schema&, Env&) override {
    return fail(Code::kInternal, "no sinks here");
  }
};

}  // namespace

TEST_CASE("min and max of many values under deletions, chunks in any order") {
  for (plan::ReducerKind kind : {plan::ReducerKind::kMin, plan::ReducerKind::kMax}) {
    plan::Reducer planned;
    planned.kind = kind;
    planned.args = {0};
    planned.type = Type(Kind::kInt);
    auto reducer = make_extreme_reducer(planned, ints(1), false);
    REQUIRE(reducer);
    reducer->reserve(3);
    std::mt19937_64 random(11);
    std::map<std::int64_t, std::int64_t> live[3];
    for (int round = 0; round < 400; ++round) {
      std::vector<std::int64_t> cells;
      std::vector<Diff> diffs;
      std::vector<std::uint32_t> groups, rows;
      auto change = [&](std::uint32_t group, std::int64_t value, Diff diff) {
        rows.push_back(static_cast<std::uint32_t>(cells.size()));
        cells.push_back(value);
        diffs.push_back(diff);
        groups.push_back(group);
        if ((live[group][value] += diff) == 0) live[group].erase(value);
      };
      for (int i = 0; i < 20; ++i) {
        auto group = static_cast<std::uint32_t>(random() % 3);
        std::int64_t value = static_cast<std::int64_t>(random() % 2000) - 1000;
        bool shrinks = round > 200 && live[group].size() > 4;
        if (shrinks)
          change(group, random() % 2 ? live[group].begin()->first : live[group].rbegin()->first, -1);
        else
          change(group, value, 1);
        if (random() % 3 == 0) {  // a deletion ahead of its insertion
          change(group, value + 5000, -1);
          change(group, value + 5000, 1);
        }
      }
      Batch batch = batch_of(cells, diffs);
      reducer->update({batch, rows, groups, diffs, 2});
      for (std::uint32_t group = 0; group < 3; ++group) {
        if (live[group].empty()) continue;
        std::vector<std::uint32_t> asked{group};
        std::int64_t got = reducer->results(asked, {}).i64()[0];
        REQUIRE(got == (kind == plan::ReducerKind::kMin ? live[group].begin()->first : live[group].rbegin()->first));
      }
    }
    for (std::uint32_t group = 0; group < 3; ++group) reducer->clear(group);
  }
}

TEST_CASE("a history adds up equal rows of a round, and forgets what is nothing") {
  RowCode words(ints(2), {0, 1}, false);
  History history(words);
  Batch batch;
  batch.num_rows = 4;
  batch.columns.push_back(Column::from_vector<std::int64_t>(Phys::kI64, {1, 2, 1, 3}));
  batch.columns.push_back(Column::from_vector<std::int64_t>(Phys::kI64, {10, 20, 10, 30}));
  std::vector<RowWord> encoded;
  words.encode(batch, encoded);
  REQUIRE(encoded[0] == encoded[2]);
  REQUIRE_FALSE(encoded[0] == encoded[1]);
  history.append(0, encoded[3], 7, 1);
  history.append(0, encoded[0], 2, 1);
  history.append(0, encoded[1], 2, 1);
  history.settle(0);
  REQUIRE(history.past(0) == 3);
  REQUIRE(history.entries(0)[2].round == 7);
  history.append(0, encoded[2], 2, -1);
  words.encode(batch, encoded);
  history.append(0, encoded[3], 7, -1);
  for (std::size_t i : {0U, 1U, 2U}) words.release(encoded[i]);
  history.settle(0);
  REQUIRE(history.past(0) == 1);
  REQUIRE(words.decode(1, {history.entries(0)[0].word()}).i64()[0] == 20);
  REQUIRE(history.size() == 1);
}

TEST_CASE("many rows come back part by part, few as they came, none lost") {
  for (std::size_t batches : {1U, 40U}) {
    Partitioned rows;
    std::map<std::int64_t, std::int64_t> wanted;
    std::mt19937_64 random(5);
    for (std::size_t b = 0; b < batches; ++b) {
      std::vector<std::int64_t> cells(kChunkRows);
      std::vector<Diff> diffs(kChunkRows);
      for (std::size_t i = 0; i < kChunkRows; ++i) {
        cells[i] = static_cast<std::int64_t>(random() % 5000);
        diffs[i] = random() % 2 ? 1 : -1;
        wanted[cells[i]] += diffs[i];
      }
      rows.add(batch_of(cells, diffs));
      if (rows.is_long()) rows.cut({0});
    }
    std::map<std::int64_t, std::int64_t> got;
    std::size_t seen = 0;
    rows.drain({0}, [&](const Batch& piece) {
      seen += piece.num_rows;
      for (std::size_t i = 0; i < piece.num_rows; ++i) got[piece.columns[0].i64()[i]] += piece.diff(i);
    });
    REQUIRE(seen == batches * kChunkRows);
    REQUIRE(got == wanted);
    REQUIRE(rows.empty());
  }
}

namespace {

// One row whose number grows by one in every round.
plan::Plan counting_plan(std::optional<std::uint64_t> limit) {
  plan::Plan body;
  plan::Node input;
  input.schema = ints(1);
  input.params = plan::LoopInput{0};
  NodeId variable = body.add(std::move(input));
  plan::Node next;
  next.schema = ints(1);
  next.inputs = {variable};
  Type integer(Kind::kInt);
  next.params = plan::Project{
      {plan::call("add", {plan::column(0, integer), plan::literal(Value::of(std::int64_t{1}), integer)}, integer)}};
  NodeId grown = body.add(std::move(next));

  plan::Plan plan;
  plan::Node rows;
  rows.schema = ints(1);
  auto static_rows = std::make_shared<std::vector<plan::StaticRow>>();
  static_rows->push_back({.key = key_of_values({Value::of(std::int64_t{1})}), .cells = {Value::of(std::int64_t{0})}});
  rows.params = plan::StaticRows{static_rows, false};
  NodeId table = plan.add(std::move(rows));
  plan::Node loop;
  loop.schema = ints(1);
  loop.inputs = {table};
  plan::Iterate iterate;
  iterate.body = std::make_shared<plan::Plan>(std::move(body));
  iterate.next = {grown};
  iterate.loop_inputs = {variable};
  iterate.limit = limit;
  loop.params = std::move(iterate);
  NodeId result = plan.add(std::move(loop));
  plan::Node out;
  out.inputs = {result};
  out.params = plan::Export{.name = "out", .indexes = {}, .retain_ns = {}};
  plan.add(std::move(out));
  return plan;
}

std::unique_ptr<Run> run_to_its_end(const plan::Plan& plan) {
  static NoConnectors connectors;
  static Env env = real_env();
  RunOptions options;
  options.workers = 1;
  auto run = Run::start(plan, options, connectors, env);
  REQUIRE(run);
  REQUIRE((*run)->wait(120'000'000'000));
  return std::move(*run);
}

}  // namespace

TEST_CASE("a loop without a fixpoint ends the run with an error that says so") {
  auto run = run_to_its_end(counting_plan(std::nullopt));
  REQUIRE(run->failure());
  CHECK(run->failure()->message.find("100000 rounds") != std::string::npos);
  CHECK(run->failure()->message.find("limit") != std::string::npos);
}

TEST_CASE("a loop tells how many rounds it has run and how many rows went into the next") {
  auto run = run_to_its_end(counting_plan(7));
  REQUIRE(!run->failure());
  std::vector<OperatorStatus> operators = run->operators();
  REQUIRE(operators.size() == 3);
  const StateSize& loop = operators[1].state;
  CHECK(loop.rounds == 7);
  CHECK(loop.last_rounds == 7);
  CHECK(loop.round_rows == 14);  // one row goes and one comes in each
  CHECK(operators[0].state.rounds == 0);
}

}  // namespace thalweg
