// Engine = reference after every commit, for random plans and random updates, with 1, 2 and 3 workers, and with the
// same updates cut into other commits. THALWEG_PROPERTY_CASES says how many plans, THALWEG_PROPERTY_SEED the first.
#include <catch2/catch.hpp>
#include <cmath>
#include <iostream>
#include <limits>
#include <set>
#include <sstream>

#include "engine/plan/rewrite/arrange.h"
#include "engine/plan/rewrite/rewrite.h"
#include "engine/runtime/run.h"
#include "tests/property/random_plan.h"
#include "tests/support/reference_eval.h"
#include "tests/support/restarted_run.h"

namespace thalweg::testing {
namespace {

constexpr std::uint64_t kCasesDefault = 2000;

using Rows = std::map<Key, reference::Row>;

bool agrees(const Value& wanted, const Value& got) {
  if (wanted.tag() != got.tag()) return false;
  if (wanted.tag() == Value::Tag::kFloat) {
    const double a = wanted.as_float(), b = got.as_float();
    return a == b || (std::isnan(a) && std::isnan(b)) ||
           std::abs(a - b) <= 1e-9 * std::max({1.0, std::abs(a), std::abs(b)});
  }
  if (wanted.tag() != Value::Tag::kTuple) return wanted == got;
  return std::equal(wanted.as_tuple().begin(), wanted.as_tuple().end(), got.as_tuple().begin(), got.as_tuple().end(),
                    agrees);
}

bool agrees(const reference::Row& wanted, const reference::Row& got) {
  return std::equal(wanted.begin(), wanted.end(), got.begin(), got.end(),
                    [](const Value& a, const Value& b) { return agrees(a, b); });
}

std::string text_of(const Key& key, const reference::Row& row) {
  std::string out = to_text(key) + ":";
  for (const Value& value : row) out += " " + (value.is_error() ? std::string("ERROR") : value.to_text());
  return out + "\n";
}

// Nothing if the two tables agree.
std::string difference(const reference::Table& wanted, const Rows& got) {
  std::string out;
  std::map<Key, const reference::Row*> expected;
  for (const auto& [fact, count] : wanted) expected[fact.key] = &fact.row;
  for (const auto& [key, row] : expected) {
    auto found = got.find(key);
    if (found == got.end())
      out += "- " + text_of(key, *row);
    else if (!agrees(*row, found->second))
      out += "- " + text_of(key, *row) + "+ " + text_of(key, found->second);
  }
  for (const auto& [key, row] : got)
    if (expected.count(key) == 0) out += "+ " + text_of(key, row);
  return out;
}

// Applies the changes of one commit; says what is wrong with them by themselves.
std::string apply(const Schema& schema, const Batch& batch, Rows& rows) {
  if (batch.num_rows == 0) return "";
  const KeyColumn keys = batch.keys.materialised(batch.num_rows);
  std::string wrong;
  auto cells = [&](std::size_t row) {
    reference::Row out;
    for (std::size_t i = 0; i < schema.size(); ++i) out.push_back(batch.columns[i].value(schema.columns[i].type, row));
    return out;
  };
  for (std::size_t row = 0; row < batch.num_rows; ++row) {
    if (batch.diff(row) >= 0) continue;
    auto old = rows.find(keys[row]);
    if (batch.diff(row) != -1 || old == rows.end() || !(old->second == cells(row)))
      wrong += "takes away what is not there: " + text_of(keys[row], cells(row));
    else
      rows.erase(old);
  }
  for (std::size_t row = 0; row < batch.num_rows; ++row) {
    if (batch.diff(row) < 0) continue;
    if (batch.diff(row) != 1 || !rows.emplace(keys[row], cells(row)).second)
      wrong += "adds a second row of a key: " + text_of(keys[row], cells(row));
  }
  return wrong;
}

RunOptions run_options(std::uint32_t workers) {
  RunOptions options;
  options.workers = workers;
  options.test_times = true;
  options.history_commits = std::numeric_limits<std::uint64_t>::max();
  options.history_bytes = std::numeric_limits<std::uint64_t>::max();
  options.history_ns = std::numeric_limits<std::int64_t>::max();
  return options;
}

using Answers = std::map<std::uint64_t, std::vector<reference::Table>>;  // by commit time, then node

Answers answers_of(const plan::Plan& plan) {
  Answers answers;
  for (std::uint64_t time : commit_times(plan)) answers[time] = reference::evaluate(plan, time);
  return answers;
}

// What the first export that is wrong got wrong; nodes are in topological order, so that it names the culprit.
std::string check_export(const plan::Node& node, RestartedRun& run, const Answers& answers) {
  const auto& name = std::get<plan::Export>(node.params).name;
  auto reader = run.last->find_export(name);
  if (!reader) return "no export " + name + "\n";
  const std::vector<ExportReader::Change>* changes = &run.changes[name];
  Rows rows;
  std::size_t next = 0;
  std::string wrong;
  for (const auto& [time, tables] : answers) {
    for (; next < changes->size() && (*changes)[next].time <= time; ++next) {
      if ((*changes)[next].time != time && answers.count((*changes)[next].time) == 0)
        wrong += "changes at time " + std::to_string((*changes)[next].time) + ", where no input does\n";
      wrong += apply(reader->schema(), (*changes)[next].batch, rows);
    }
    wrong += difference(tables[node.id.value], rows);
    if (!wrong.empty()) return name + " at time " + std::to_string(time) + ":\n" + wrong;
  }
  if (next < changes->size()) return name + ": changes after the last commit\n";
  auto snapshot = reader->snapshot(std::nullopt);
  if (!snapshot) return name + ": snapshot: " + snapshot.error().message + "\n";
  Rows final_rows;
  for (const Batch& batch : snapshot->batches) wrong += apply(reader->schema(), batch, final_rows);
  wrong += final_rows == rows ? "" : "the snapshot is not the sum of the changes\n";
  return wrong.empty() ? "" : name + ": " + wrong;
}

// How a plan is run: with how many workers at first, and saved and restored where.
struct Course {
  std::uint32_t workers = 1;
  std::vector<Restart> restarts;
};

// How often what runs shares arrangements, by what is at stake.
struct Shared {
  std::uint64_t plans = 0;
  std::uint64_t arrangements = 0;
  std::uint64_t with_itself = 0;  // joins of a table with itself
  std::uint64_t both_sides = 0;   // joins of two shared tables
  std::uint64_t padded = 0;
  std::uint64_t lookups = 0;
  std::uint64_t stacked = 0;  // joins of a shared table with what another join made of it
};
Shared& shared_so_far() {
  static Shared shared;
  return shared;
}

bool comes_from(const plan::Plan& plan, NodeId node, NodeId origin) {
  if (node == origin) return true;
  return std::ranges::any_of(plan.node(node).inputs, [&](NodeId input) { return comes_from(plan, input, origin); });
}

void count_shared(const plan::Plan& plan) {
  Shared& shared = shared_so_far();
  bool any = false;
  for (const plan::Node& node : plan.nodes) {
    any = any || std::holds_alternative<plan::Arrange>(node.params);
    shared.lookups += std::holds_alternative<plan::Ix>(node.params) && plan::is_arranged(plan, node.inputs[1]) ? 1 : 0;
    shared.arrangements += std::holds_alternative<plan::Arrange>(node.params) ? 1 : 0;
    const auto* join = std::get_if<plan::Join>(&node.params);
    if (join == nullptr) continue;
    const bool left = plan::is_arranged(plan, node.inputs[0]), right = plan::is_arranged(plan, node.inputs[1]);
    const bool itself = node.inputs[0] == node.inputs[1];
    shared.with_itself += left && itself ? 1 : 0;
    shared.both_sides += left && right && !itself ? 1 : 0;
    shared.padded += (left || right) && join->how != plan::JoinHow::kInner ? 1 : 0;
    shared.stacked += !itself && ((left && comes_from(plan, node.inputs[1], node.inputs[0])) ||
                                  (right && comes_from(plan, node.inputs[0], node.inputs[1])))
                          ? 1
                          : 0;
  }
  shared.plans += any ? 1 : 0;
}

std::string check_run(const plan::Plan& plan, const Course& course, const Answers& answers) {
  plan::Plan rewritten = plan;  // what runs may be cheaper than what was asked for, never different
  plan::rewrite(rewritten);
  count_shared(rewritten);
  auto run = run_with_restarts(rewritten, run_options(course.workers), course.restarts);
  if (!run) return "the run failed: " + run.error().message + "\n";
  for (const plan::Node& node : plan.nodes) {
    if (!std::holds_alternative<plan::Export>(node.params)) continue;
    std::string wrong = check_export(node, *run, answers);
    if (!wrong.empty()) return wrong;
  }
  return "";
}

std::string inputs_text(const plan::Plan& plan) {
  std::ostringstream out;
  for (const plan::Node& node : plan.nodes)
    if (const auto* input = std::get_if<plan::StaticRows>(&node.params)) {
      out << "n" << node.id.value << ":\n";
      for (const plan::StaticRow& row : *input->rows)
        out << "  " << row.time << (row.diff > 0 ? " + " : " - ") << text_of(row.key, row.cells);
    }
  return out.str();
}

// Leaves out rows of the inputs as long as the case still fails: a key at a time, in all its commits.
plan::Plan shrunk(plan::Plan plan, const Course& course) {
  for (plan::Node& node : plan.nodes) {
    auto* input = std::get_if<plan::StaticRows>(&node.params);
    if (input == nullptr) continue;
    std::set<Key> keys;
    for (const plan::StaticRow& row : *input->rows) keys.insert(row.key);
    for (const Key& key : keys) {
      auto kept = input->rows;
      auto fewer = std::make_shared<std::vector<plan::StaticRow>>();
      for (const plan::StaticRow& row : *kept)
        if (row.key != key) fewer->push_back(row);
      input->rows = std::move(fewer);
      if (check_run(plan, course, answers_of(plan)).empty()) input->rows = std::move(kept);
    }
  }
  return plan;
}

void report(const plan::Plan& plan, std::uint64_t seed, const Course& course, const std::string& cut) {
  plan::Plan small = shrunk(plan, course);
  std::string wrong = check_run(small, course, answers_of(small));
  FAIL("seed " << seed << ", " << course.workers << " workers, " << cut << " " << to_text(course.restarts) << "\n"
               << plan::to_text(small) << inputs_text(small) << wrong);
}

void check_case(std::uint64_t seed, const RandomPlanOptions& base) {
  Random random(seed);
  RandomPlanOptions options = base;
  options.export_all = random.chance(50);
  const plan::Plan plan = random_plan(random, options);
  const std::pair<std::string, plan::Plan> cuts[] = {{"as made", plan},
                                                     {"merged commits", with_merged_commits(plan, random)},
                                                     {"split commits", with_split_commits(plan, random)}};
  std::uint32_t workers = static_cast<std::uint32_t>(seed % 3);
  for (const auto& [cut, cut_plan] : cuts) {  // each cut with another number of workers, by the seed
    workers = workers % 3 + 1;
    Course course{workers, {}};
    const Answers answers = answers_of(cut_plan);
    if (!check_run(cut_plan, course, answers).empty()) report(cut_plan, seed, course, cut);
    if (&cut_plan != &cuts[seed % std::size(cuts)].second) continue;
    course.restarts = random_restarts(random, commit_times(cut_plan));  // one of the cuts is saved and restored, too
    if (!check_run(cut_plan, course, answers).empty()) report(cut_plan, seed, course, cut);
  }
}

void check_cases(std::uint64_t offset, std::uint64_t cases, const RandomPlanOptions& options) {
  const std::uint64_t first = property_seed();
  std::cout << "seeds " << first + offset << " to " << first + offset + cases - 1 << "\n";
  for (std::uint64_t i = 0; i < cases; ++i) check_case(first + offset + i, options);
}

}  // namespace

TEST_CASE("incremental equals batch after every commit: random plans") {
  shared_so_far() = {};
  check_cases(0, property_cases(kCasesDefault), {});
  const Shared shared = shared_so_far();
  std::cout << "runs with shared arrangements: " << shared.plans << ", arrangements: " << shared.arrangements
            << ", joins of a table with itself: " << shared.with_itself
            << ", of two shared tables: " << shared.both_sides << ", padded: " << shared.padded
            << ", lookups: " << shared.lookups << ", stacked: " << shared.stacked << "\n";
  if (property_cases(kCasesDefault) < 1000) return;
  for (std::uint64_t count :
       {shared.plans, shared.with_itself, shared.both_sides, shared.padded, shared.lookups, shared.stacked})
    CHECK(count > 20);
}

TEST_CASE("incremental equals batch after every commit: keys that collide") {
  RandomPlanOptions options;
  options.colliding_keys = true;
  check_cases(1'000'000, property_cases(kCasesDefault) / 4, options);
}

TEST_CASE("incremental equals batch after every commit: many rows in few commits") {
  RandomPlanOptions options;
  options.updates_max = 400;
  options.labels = 1000;
  options.commits_max = 3;
  options.nodes_max = 4;
  options.rows_max = 20'000;
  check_cases(2'000'000, property_cases(kCasesDefault) / 50, options);
}

TEST_CASE("incremental equals batch after every commit: loops, and loops in loops") {
  RandomPlanOptions options;
  options.inputs_max = 2;
  options.nodes_max = 4;
  options.updates_max = 5;
  options.labels = 8;
  options.rows_max = 200;
  options.loops_deep = 2;
  check_cases(3'000'000, property_cases(kCasesDefault) / 4, options);
  options.colliding_keys = true;
  check_cases(4'000'000, property_cases(kCasesDefault) / 10, options);
}

}  // namespace thalweg::testing
