#include "tests/property/temporal_stream.h"

#include <algorithm>
#include <limits>
#include <set>

#include "engine/runtime/run.h"
#include "tests/support/restarted_run.h"

namespace thalweg::testing {

Events random_events(Random& random, const StreamShape& shape, std::uint64_t source) {
  Events events;
  std::vector<Live> live;
  std::uint64_t next_key = 0;
  std::uint64_t time = 0;
  for (std::size_t commit = 0; commit < shape.commits; ++commit) {
    time += 2 + 2 * random.below(3);
    std::set<Key> touched;  // at most one change of a key per commit
    std::size_t count = random.below(2 * shape.rows_per_commit + 1);
    for (std::size_t i = 0; i < count; ++i) {
      int what = static_cast<int>(random.below(100));
      if (what >= shape.deletions + shape.edits || live.empty()) {
        Live fresh{sequence_key(source, next_key++), shape.cells(random, commit)};
        events.push_back({time, 1, fresh.key, fresh.cells});
        touched.insert(fresh.key);
        live.push_back(std::move(fresh));
        continue;
      }
      std::size_t at = random.below(live.size());
      if (!touched.insert(live[at].key).second) continue;
      events.push_back({time, -1, live[at].key, live[at].cells});
      if (what < shape.deletions) {
        live.erase(live.begin() + static_cast<std::ptrdiff_t>(at));
      } else {
        live[at].cells = shape.cells(random, commit);
        events.push_back({time, 1, live[at].key, live[at].cells});
      }
    }
  }
  // The order within a commit means nothing.
  for (std::size_t i = events.size(); i > 1; --i) {
    std::size_t j = random.below(i);
    if (events[i - 1].time == events[j].time) std::swap(events[i - 1], events[j]);
  }
  return events;
}

std::vector<Live> live_at(const Events& events, std::uint64_t time) {
  std::map<Key, Cells> rows;
  std::vector<const Event*> order;
  for (const Event& event : events)
    if (event.time <= time) order.push_back(&event);
  std::ranges::stable_sort(
      order, [](const Event* a, const Event* b) { return std::pair(a->time, a->diff) < std::pair(b->time, b->diff); });
  for (const Event* event : order) {
    if (event->diff < 0)
      rows.erase(event->key);
    else
      rows[event->key] = event->cells;
  }
  std::vector<Live> out;
  for (auto& [key, cells] : rows) out.push_back({key, cells});
  return out;
}

std::vector<std::uint64_t> commit_times(const std::vector<const Events*>& streams) {
  std::set<std::uint64_t> times;
  for (const Events* events : streams)
    for (const Event& event : *events) times.insert(event.time);
  return {times.begin(), times.end()};
}

std::string row_text(const Cells& cells) {
  std::string out;
  for (const Value& cell : cells)
    out += (out.empty() ? "" : " | ") + (cell.is_error() ? std::string("ERROR") : cell.to_text());
  return out;
}

void add_row(Multiset& rows, const Cells& cells, int count) {
  int& now = rows[row_text(cells)];
  now += count;
  if (now == 0) rows.erase(row_text(cells));
}

NodeId add_stream(plan::Plan& plan, const Schema& schema, const Events& events) {
  auto rows = std::make_shared<std::vector<plan::StaticRow>>();
  for (const Event& event : events) rows->push_back({event.time, event.diff, event.key, event.cells});
  std::ranges::stable_sort(*rows, {}, &plan::StaticRow::time);
  plan::Node node;
  node.schema = schema;
  node.params = plan::StaticRows{std::move(rows), true};
  return plan.add(std::move(node));
}

std::map<std::uint64_t, Multiset> run_results(plan::Plan plan, NodeId result, std::uint32_t workers,
                                              const std::vector<Restart>& restarts) {
  plan::Node exported;
  exported.inputs = {result};
  exported.params = plan::Export{"result", {}, {}};
  plan.add(std::move(exported));
  RunOptions options;
  options.workers = workers;
  options.test_times = true;
  options.history_commits = std::numeric_limits<std::uint64_t>::max();
  options.history_bytes = std::numeric_limits<std::uint64_t>::max();
  options.history_ns = std::numeric_limits<std::int64_t>::max();
  std::map<std::uint64_t, Multiset> out;
  auto run = run_with_restarts(plan, options, restarts);
  if (!run) {
    out[0][run.error().message] = 1;
    return out;
  }
  if (run->last->state() != RunState::kEnded) {
    out[0]["the run did not end"] = 1;
    return out;
  }
  auto reader = run->last->find_export("result");
  Multiset rows;
  for (const auto& change : run->changes["result"]) {
    for (std::size_t row = 0; row < change.batch.num_rows; ++row) {
      Cells cells;
      for (std::size_t i = 0; i < reader->schema().size(); ++i)
        cells.push_back(change.batch.columns[i].value(reader->schema().columns[i].type, row));
      add_row(rows, cells, change.batch.diff(row));
    }
    out[change.time] = rows;
  }
  return out;
}

std::string difference(const Multiset& wanted, const Multiset& got) {
  std::string out;
  std::set<std::string> rows;
  for (const auto& [row, count] : wanted) rows.insert(row);
  for (const auto& [row, count] : got) rows.insert(row);
  for (const std::string& row : rows) {
    int a = wanted.contains(row) ? wanted.at(row) : 0, b = got.contains(row) ? got.at(row) : 0;
    if (a != b) out += "  wanted " + std::to_string(a) + " got " + std::to_string(b) + ": " + row + "\n";
  }
  return out;
}

std::string compare_after_commits(const plan::Plan& plan, NodeId result, const std::vector<std::uint64_t>& times,
                                  const std::function<Multiset(std::uint64_t time)>& wanted) {
  // As it is, and saved and restored at some of the times. What to do is a matter of the times: a seed stays a case.
  Random random(times.empty() ? 0 : times.back() * 31 + times.size() + plan.nodes.size() * 1009);
  for (std::uint32_t round = 0; round < 5; ++round) {
    std::uint32_t workers = round % 3 + 1;
    std::vector<Restart> restarts;
    if (round >= 3) restarts = random_restarts(random, times);
    auto results = run_results(plan, result, workers, restarts);
    if (auto failed = results.find(0); failed != results.end()) return failed->second.begin()->first;
    for (std::uint64_t time : times) {
      auto at = results.upper_bound(time);  // the newest at or below the time
      const Multiset got = at == results.begin() ? Multiset{} : std::prev(at)->second;
      std::string wrong = difference(wanted(time), got);
      if (!wrong.empty())
        return std::to_string(workers) + " workers, " + to_text(restarts) + " after commit " + std::to_string(time) +
               ":\n" + wrong;
    }
  }
  return {};
}

}  // namespace thalweg::testing
