// Answers that differ from call to call: what a Remember node has out is one answer per row that is there, and nothing
// of rows that went, after every commit, for any number of workers.
#include <catch2/catch.hpp>

#include <atomic>
#include <set>

#include "tests/property/temporal_stream.h"

namespace thalweg::testing {
namespace {

constexpr std::uint64_t kCasesDefault = 100;

// Answers with its argument and a number that never comes again; ERROR for multiples of 7.
class Numbering final : public plan::UserFunction {
 public:
  [[nodiscard]] const std::string& text() const override { return text_; }
  [[nodiscard]] bool deterministic() const override { return false; }
  [[nodiscard]] bool propagates_none() const override { return false; }
  [[nodiscard]] Column call(const plan::UserCall& call) const override {
    ColumnBuilder out(call.result, call.rows);
    for (std::size_t row = 0; row < call.rows; ++row) {
      const std::int64_t v = call.args[0].i64()[row];
      ++calls;
      if (v % 7 == 0) {
        call.fail(row, "a multiple of seven");
        out.push_error();
        continue;
      }
      out.push_int(v * kStep + next_++);
    }
    return out.finish();
  }
  static constexpr std::int64_t kStep = 1'000'000;
  mutable std::atomic<std::int64_t> calls{0};

 private:
  const std::string text_ = "numbering";
  mutable std::atomic<std::int64_t> next_{1};
};

struct Case {
  plan::Plan plan;
  NodeId result;
  Events events;
  std::shared_ptr<const Numbering> function = std::make_shared<const Numbering>();
};

// Columns v and other; the answer is over v alone.
Case random_case(std::uint64_t seed) {
  Random random(seed);
  Case out;
  Schema schema;
  schema.columns = {{"v", Kind::kInt}, {"other", Kind::kInt}};
  StreamShape shape;
  shape.commits = 2 + random.below(10);
  shape.rows_per_commit = 1 + random.below(10);
  shape.deletions = 30;
  shape.edits = 30;
  const std::int64_t spread = random.between(1, 20);
  shape.cells = [spread](Random& r, std::size_t) {
    return Cells{Value::of(r.between(1, spread)), Value::of(r.between(0, 2))};
  };
  out.events = random_events(random, shape, 1);
  const NodeId rows = add_stream(out.plan, schema, out.events);
  plan::Remember remember;
  remember.exprs.push_back(plan::user_call(out.function, {plan::column(0, Kind::kInt)}, Kind::kInt));
  plan::Node node;
  node.inputs = {rows};
  node.schema = schema;
  node.schema.columns.push_back({"answer", Kind::kInt});
  node.params = std::move(remember);
  out.result = out.plan.add(std::move(node));
  return out;
}

// The rows with their answers reduced to what they are made of.
std::string wrong_after(const Events& events, std::uint64_t time, const Multiset& got) {
  Multiset wanted;
  for (const Live& row : live_at(events, time)) {
    const std::int64_t v = row.cells[0].as_int();
    add_row(wanted, {row.cells[0], row.cells[1], v % 7 == 0 ? Value::error() : Value::of(v)});
  }
  Multiset plain;
  for (const auto& [text, count] : got) {
    if (count < 0) return "a row is there " + std::to_string(count) + " times: " + text;
    const std::size_t cut = text.rfind('|');
    const std::string answer = text.substr(cut + 1);
    const std::size_t digits = answer.find_first_of("0123456789");
    std::string reduced = text;
    if (digits != std::string::npos) {
      const std::int64_t v = std::stoll(answer.substr(digits)) / Numbering::kStep;
      reduced = text.substr(0, cut + 1) + answer.substr(0, digits) + std::to_string(v);
      if (count != 1) return "an answer was given twice: " + text;
    }
    plain[reduced] += count;
  }
  return difference(wanted, plain);
}

}  // namespace

TEST_CASE("remembered answers go with their rows") {
  for (std::uint64_t seed = 1; seed <= kCasesDefault; ++seed) {
    for (std::uint32_t round = 0; round < 6; ++round) {
      const std::uint32_t workers = round % 3 + 1;
      const Case one = random_case(seed);
      Random random(seed * 7 + round);
      std::vector<Restart> restarts;  // the second time it is saved and restored on its way
      if (round >= 3) restarts = random_restarts(random, commit_times({&one.events}));
      const auto results = run_results(one.plan, one.result, workers, restarts);
      for (std::uint64_t time : commit_times({&one.events})) {
        const auto got = results.find(time);
        INFO("seed " << seed << ", workers " << workers << ", after " << time << " " << to_text(restarts));
        REQUIRE(got != results.end());
        CHECK(wrong_after(one.events, time, got->second) == "");
      }
    }
  }
}

TEST_CASE("a row that is changed where the function does not look is not asked about again") {
  Case one;
  Schema schema;
  schema.columns = {{"v", Kind::kInt}, {"other", Kind::kInt}};
  const Key key = key_of_values({Value::of(std::int64_t{1})});
  const auto cells = [](std::int64_t v, std::int64_t other) { return Cells{Value::of(v), Value::of(other)}; };
  one.events = {{2, 1, key, cells(1, 1)},
                {4, -1, key, cells(1, 1)},
                {4, 1, key, cells(1, 2)},
                {6, -1, key, cells(1, 2)},
                {6, 1, key, cells(2, 2)}};
  const NodeId rows = add_stream(one.plan, schema, one.events);
  plan::Remember remember;
  remember.exprs.push_back(plan::user_call(one.function, {plan::column(0, Kind::kInt)}, Kind::kInt));
  plan::Node node;
  node.inputs = {rows};
  node.schema = schema;
  node.schema.columns.push_back({"answer", Kind::kInt});
  node.params = std::move(remember);
  one.result = one.plan.add(std::move(node));
  const auto results = run_results(one.plan, one.result, 1);
  REQUIRE(results.contains(6));
  CHECK(one.function->calls == 2);
}

}  // namespace thalweg::testing
