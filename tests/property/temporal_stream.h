// tests/property/temporal_stream.h
//
// Streams of events for the tests of operators over time: rows come, change and go, out of order, in commits; a plan
// over them runs with some workers, and its result is compared after every commit.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/plan/node.h"
#include "tests/support/random.h"
#include "tests/support/restarted_run.h"

namespace thalweg::testing {

using Cells = std::vector<Value>;
using Multiset = std::map<std::string, int>;  // rows as text, with how many there are

struct Event {
  std::uint64_t time = 2;  // of the commit
  Diff diff = 1;
  Key key;
  Cells cells;
};
using Events = std::vector<Event>;

struct StreamShape {
  std::size_t commits = 8;
  std::size_t rows_per_commit = 6;
  int deletions = 20;  // percent of the events
  int edits = 20;
  std::function<Cells(Random&, std::size_t commit)> cells;
};
// `source` keeps the keys of streams apart.
Events random_events(Random& random, const StreamShape& shape, std::uint64_t source);

// The rows that are there after the commit of `time`.
struct Live {
  Key key;
  Cells cells;
};
std::vector<Live> live_at(const Events& events, std::uint64_t time);
std::vector<std::uint64_t> commit_times(const std::vector<const Events*>& streams);

std::string row_text(const Cells& cells);
void add_row(Multiset& rows, const Cells& cells, int count = 1);

// Builds `plan` (inputs first: add_stream), runs it, and gives the result after every commit, the end included.
NodeId add_stream(plan::Plan& plan, const Schema& schema, const Events& events);
std::map<std::uint64_t, Multiset> run_results(plan::Plan plan, NodeId result, std::uint32_t workers,
                                              const std::vector<Restart>& restarts = {});
// What is in one and not in the other, for messages.
std::string difference(const Multiset& wanted, const Multiset& got);

// Runs with 1, 2 and 3 workers, and twice saved and restored on the way; `wanted` gives the result after the commit of
// a time. Empty, or what is wrong.
std::string compare_after_commits(const plan::Plan& plan, NodeId result, const std::vector<std::uint64_t>& times,
                                  const std::function<Multiset(std::uint64_t time)>& wanted);

}  // namespace thalweg::testing
