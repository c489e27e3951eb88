// engine/operators/reducers/reducer.h
//
// The state of one reducer for all groups of a groupby, in arrays by group number.
//
// A reducer never sees rows whose argument it is to skip (ERROR; None where skip_nones): the groupby filters. What it
// computes depends on the multiset of rows only, never on their order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/operators/operator.h"
#include "engine/operators/reducers/reducer_archive.h"
#include "engine/state/row_store.h"

namespace thalweg {

// Rows of a chunk for one reducer: row `rows[i]` belongs to group `groups[i]`, with diff `diffs[i]`.
struct ReducerRows {
  const Batch& batch;
  std::span<const std::uint32_t> rows;
  std::span<const std::uint32_t> groups;
  std::span<const Diff> diffs;
  Commit commit = 0;
};

// Told of results that cannot be computed (overflow, several values of `unique`), by position in the asked list.
using ReducerErrors = std::function<void(std::size_t index, std::string_view message)>;

// Part of a list of groups.
struct Stretch {
  std::uint32_t from = 0, to = 0;
};

class Reducer {
 public:
  virtual ~Reducer() = default;
  // Groups below `groups` exist from now on.
  virtual void reserve(std::size_t groups) = 0;
  virtual void update(const ReducerRows& rows) = 0;
  // What update() has put off is done: must come before results, merged and clear of groups that were updated since.
  virtual void settle() {}
  // The results of these groups. Every one has at least one row of this reducer.
  virtual Column results(std::span<const std::uint32_t> groups, const ReducerErrors& errors) = 0;
  // The results of stretches of `groups`, each as if it were one group. Every group has a row of this reducer, no
  // stretch is empty, and both ends only move on from one stretch to the next. Requires: plan::merges.
  virtual Column merged(std::span<const std::uint32_t> groups, std::span<const Stretch> stretches,
                        const ReducerErrors& errors);
  // The group has no rows any more: its number may be used for another.
  virtual void clear(std::uint32_t group) = 0;
  [[nodiscard]] virtual std::size_t bytes() const = 0;
  // Use the state of an earlier reducer of the same groupby, which sees the same rows; false if it does not suit.
  virtual bool share(Reducer& /*earlier*/) { return false; }
  // Between commits: a chance to compact.
  virtual void maintain() {}
  // Between commits: the state of these groups, and into groups that have none (reducer_archive.h).
  virtual void save(GroupList groups, StateWriter& out) const = 0;
  virtual Result<void> load(StateReader& in, GroupList groups) = 0;
};

// `input`: schema of the grouped table. The argument columns are as the plan says.
[[nodiscard]] Result<std::unique_ptr<Reducer>> make_reducer(const plan::Reducer& reducer, const Schema& input,
                                                            const plan::Columns& sort_by, bool append_only);

// Moves over the stretches of a list: change(group, +1) for what comes in, change(group, -1) for what leaves, take(i)
// when stretch i is complete.
template <class Change, class Take>
void slide(std::span<const std::uint32_t> groups, std::span<const Stretch> stretches, Change&& change, Take&& take) {
  std::uint32_t from = 0, to = 0;
  for (std::size_t i = 0; i < stretches.size(); ++i) {
    const Stretch& next = stretches[i];
    if (next.from >= to) {
      for (; from < to; ++from) change(groups[from], -1);
      from = to = next.from;
    }
    for (; to < next.to; ++to) change(groups[to], 1);
    for (; from < next.from; ++from) change(groups[from], -1);
    take(i);
  }
}

// For every stretch the group of it that no other beats; beats(a, b) also where both are as good.
template <class Beats>
std::vector<std::uint32_t> slide_best(std::span<const std::uint32_t> groups, std::span<const Stretch> stretches,
                                      Beats&& beats) {
  std::vector<std::uint32_t> candidates, best(stretches.size());  // candidates: positions that no later one beats
  std::size_t head = 0;
  std::uint32_t to = 0;
  for (std::size_t i = 0; i < stretches.size(); ++i) {
    for (to = std::max(to, stretches[i].from); to < stretches[i].to; ++to) {
      while (candidates.size() > head && beats(groups[to], groups[candidates.back()])) candidates.pop_back();
      candidates.push_back(to);
    }
    while (candidates[head] < stretches[i].from) ++head;
    best[i] = groups[candidates[head]];
  }
  return best;
}

// One maker per family; null if the kind is of another.
std::unique_ptr<Reducer> make_linear_reducer(const plan::Reducer& reducer, const Schema& input);
std::unique_ptr<Reducer> make_extreme_reducer(const plan::Reducer& reducer, const Schema& input, bool append_only);
std::unique_ptr<Reducer> make_ordered_reducer(const plan::Reducer& reducer, const Schema& input,
                                              const plan::Columns& sort_by, bool append_only);
std::unique_ptr<Reducer> make_distinct_reducer(const plan::Reducer& reducer, const Schema& input);
Result<std::unique_ptr<Reducer>> make_fold_reducer(const plan::Reducer& reducer, const Schema& input,
                                                   const plan::Columns& sort_by);

}  // namespace thalweg
