// The state of a run as parts: what is refused, and that every operator has said how it is saved.
#include "engine/runtime/saved_state.h"

#include <catch2/catch.hpp>
#include <variant>

#include "tests/support/restarted_run.h"

namespace thalweg::tests {
namespace {

using testing::Restart;

class NoConnectors : public ConnectorFactory {
 public:
  Result<std::unique_ptr<Source>> make_source(const plan::Source&, Env&) override {
    return fail(Code::kInternal, "no sources here");
  }
  Result<std::unique_ptr<Sink>> make_sink(const plan::Output&, const Schema&, Env&) override {
    return fail(Code::kInternal, "no sinks here");
  }
};

// words(word, n) at times 2, 4, 6 → groupby(word; kind(n)) → export
plan::Plan make_plan(plan::ReducerKind kind) {
  plan::Plan out;
  Schema words{{{"word", Kind::kStr}, {"n", Kind::kInt}}};
  Schema totals{{{"word", Kind::kStr}, {"total", Kind::kInt}}};
  auto rows = std::make_shared<std::vector<plan::StaticRow>>();
  for (std::int64_t i = 0; i < 300; ++i)
    rows->push_back({.time = static_cast<std::uint64_t>(2 + 2 * (i / 100)),
                     .diff = 1,
                     .key = Key{1, static_cast<std::uint64_t>(i)},
                     .cells = {Value::str("word number " + std::to_string(i % 7)), Value::of(i)}});
  NodeId input = out.add({.schema = words, .params = plan::StaticRows{.rows = rows, .as_stream = true}});
  plan::Reducer reducer;
  reducer.kind = kind;
  reducer.args = {1};
  reducer.type = Kind::kInt;
  plan::GroupBy group;
  group.by = {0};
  group.reducers = {reducer};
  NodeId groups = out.add({.inputs = {input}, .schema = totals, .params = group, .label = "$totals"});
  out.add({.inputs = {groups}, .params = plan::Export{.name = "totals", .indexes = {}, .retain_ns = std::nullopt}});
  return out;
}

RunOptions options_with(std::uint32_t workers, std::shared_ptr<const SavedRun> restore = nullptr) {
  RunOptions options;
  options.workers = workers;
  options.test_times = true;
  options.restore = std::move(restore);
  return options;
}

SavedRun saved_before(const plan::Plan& plan, Commit time, std::uint32_t workers) {
  NoConnectors connectors;
  RunOptions options = options_with(workers);
  options.pause_before = time;
  auto run = Run::start(plan, options, connectors, real_env());
  REQUIRE(run);
  REQUIRE((*run)->pause());
  REQUIRE((*run)->frontier().at == time);
  auto saved = (*run)->save_state();
  REQUIRE(saved);
  return std::move(*saved);
}

Result<std::unique_ptr<Run>> restored(const plan::Plan& plan, SavedRun saved, std::uint32_t workers) {
  NoConnectors connectors;
  return Run::start(plan, options_with(workers, std::make_shared<const SavedRun>(std::move(saved))), connectors,
                    real_env());
}

template <std::size_t... I>
std::vector<std::string_view> all_operator_names(std::index_sequence<I...>) {
  return {plan::operator_name(plan::Params(std::in_place_index<I>))...};
}

// Bytes in memory in the place of a part.
void replace_bytes(SavedPart& part, std::string bytes) {
  part.bytes = bytes.size();
  auto kept = std::make_shared<const std::string>(std::move(bytes));
  part.open = [kept]() -> StateReader::Pull {
    return [kept, done = false]() mutable -> Result<std::string_view> {
      return std::exchange(done, true) ? std::string_view() : std::string_view(*kept);
    };
  };
}

std::string bytes_of(const SavedPart& part) {
  std::string out;
  StateReader::Pull pull = part.open();
  for (;;) {
    std::string_view piece = *pull();
    if (piece.empty()) return out;
    out += piece;
  }
}

}  // namespace

TEST_CASE("every operator says that it holds nothing, or how it is saved") {
  std::size_t operators = 0;
  for (std::string_view name : all_operator_names(std::make_index_sequence<std::variant_size_v<plan::Params>>())) {
    const OperatorDescriptor* descriptor = find_operator(name);
    if (!descriptor) continue;  // of the runtime
    ++operators;
    INFO(name);
    CHECK(descriptor->stateless != (descriptor->state_version > 0));
  }
  REQUIRE(operators > 25);
}

TEST_CASE("S1: groups go on where they were, with any number of workers") {
  plan::Plan plan = make_plan(plan::ReducerKind::kSum);
  for (std::uint32_t before : {1U, 2U, 3U})
    for (std::uint32_t after : {1U, 2U, 3U}) {
      auto whole = testing::run_with_restarts(plan, options_with(before), {});
      auto cut = testing::run_with_restarts(plan, options_with(before), {Restart{4, after}, Restart{6, before}});
      REQUIRE(whole);
      REQUIRE(cut);
      auto wanted = whole->last->find_export("totals")->snapshot(std::nullopt);
      auto got = cut->last->find_export("totals")->snapshot(std::nullopt);
      REQUIRE(wanted->batches.size() == 1);
      REQUIRE(got->batches.size() == 1);
      const Batch& a = wanted->batches[0];
      const Batch& b = got->batches[0];
      REQUIRE(a.num_rows == 7);
      REQUIRE(b.num_rows == 7);
      for (std::size_t row = 0; row < 7; ++row) {
        CHECK(a.keys[row] == b.keys[row]);
        CHECK(Column::cells_equal(a.columns[1], row, b.columns[1], row));
      }
    }
}

TEST_CASE("S2: the state of another pipeline is refused") {
  SavedRun saved = saved_before(make_plan(plan::ReducerKind::kSum), 4, 1);
  REQUIRE(saved.parts.size() == 2);
  auto other = restored(make_plan(plan::ReducerKind::kMax), saved, 1);
  REQUIRE(!other);
  CHECK(other.error().message.find("another pipeline") != std::string::npos);
}

TEST_CASE("S2: a part that is missing is refused") {
  plan::Plan plan = make_plan(plan::ReducerKind::kSum);
  SavedRun saved = saved_before(plan, 4, 2);
  saved.parts.pop_back();
  auto run = restored(plan, saved, 2);
  REQUIRE(!run);
  CHECK(run.error().message.find("has nothing of") != std::string::npos);
}

TEST_CASE("a part that ends early or goes on too long is refused") {
  plan::Plan plan = make_plan(plan::ReducerKind::kMedian);
  SavedRun saved = saved_before(plan, 6, 1);
  for (std::size_t which = 0; which < saved.parts.size(); ++which) {
    std::string bytes = bytes_of(saved.parts[which]);
    REQUIRE(bytes.size() == saved.parts[which].bytes);
    for (std::size_t length = 0; length < bytes.size(); length += 1 + length / 8) {
      SavedRun broken = saved;
      replace_bytes(broken.parts[which], bytes.substr(0, length));
      REQUIRE(!restored(plan, broken, 1));
    }
    SavedRun longer = saved;
    replace_bytes(longer.parts[which], bytes + "x");
    REQUIRE(!restored(plan, longer, 1));
  }
}

TEST_CASE("a run that is not paused is not saved") {
  NoConnectors connectors;
  RunOptions options = options_with(1);
  options.pause_before = 4;
  auto run = Run::start(make_plan(plan::ReducerKind::kSum), options, connectors, real_env());
  REQUIRE(run);
  REQUIRE((*run)->pause());
  (*run)->resume();
  REQUIRE((*run)->wait(60'000'000'000));
  auto saved = (*run)->save_state();  // over: its state stands still
  REQUIRE(saved);
  CHECK(saved->frontier.done);
}

}  // namespace thalweg::tests
