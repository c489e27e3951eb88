// engine/operators/reducers/reducer_set.h
//
// All reducers of a groupby, and how many rows each has of every group: what filtered rows and absent results mean.
//
// S1  A group is there while it has rows. Its result is there while every reducer that needs one has a row (a reducer
//     whose rows are all ERROR has no value: the result row is absent; with none_if_empty its cell is None).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/base/prefetch.h"
#include "engine/operators/reducers/reducer.h"

namespace thalweg {

class ReducerSet {
 public:
  [[nodiscard]] static Result<ReducerSet> make(const plan::GroupBy& params, const Schema& input, bool append_only);

  // Groups below `groups` exist from now on.
  void reserve(std::size_t groups);
  // Row i of the batch belongs to group_of[i].
  void update(const Batch& batch, std::span<const std::uint32_t> group_of, Commit commit);
  [[nodiscard]] std::int64_t count(std::uint32_t group) const { return counts_[group]; }
  [[nodiscard]] bool has_result(std::uint32_t group) const;
  // One column per reducer for groups that have a result. `as_before`: none of them was updated since the last call
  // without it, so that what was put off for others may wait.
  void append_results(const std::vector<std::uint32_t>& groups, const ReducerErrors& errors, std::vector<Column>& out,
                      bool as_before = false);
  // The same for stretches of a list of groups that have rows, each as if it were one group (see Reducer::merged).
  [[nodiscard]] std::vector<std::uint8_t> have_results(std::span<const std::uint32_t> groups,
                                                       std::span<const Stretch> stretches) const;
  void append_merged(std::span<const std::uint32_t> groups, std::span<const Stretch> stretches,
                     const ReducerErrors& errors, std::vector<Column>& out);
  // The group has no rows any more: its number may be used for another.
  void clear(std::uint32_t group);
  void maintain();
  THALWEG_PREFETCHES void prefetch(std::uint32_t group) const { __builtin_prefetch(&counts_[group]); }
  [[nodiscard]] std::size_t groups() const { return counts_.size(); }
  [[nodiscard]] std::span<const std::int64_t> counts() const { return counts_; }
  [[nodiscard]] std::size_t bytes() const;
  // Of these groups; into groups that have no rows (reducer_archive.h).
  void save(GroupList groups, StateWriter& out) const;
  Result<void> load(StateReader& in, GroupList groups);

 private:
  ReducerSet() = default;
  void settle();
  void update_filtered(std::size_t reducer, const Batch& batch, std::span<const std::uint32_t> group_of,
                       std::span<const Diff> diffs, Commit commit);
  Column merged_or_none(std::size_t reducer, std::span<const std::uint32_t> groups, std::span<const Stretch> stretches,
                        const ReducerErrors& errors);
  // Values of those that have one; None or 0 of the others.
  [[nodiscard]] Column spread(std::size_t reducer, const Column& values, const std::vector<std::uint8_t>& has) const;
  Column results_or_none(std::size_t reducer, const std::vector<std::uint32_t>& groups, const ReducerErrors& errors);

  std::vector<plan::Reducer> planned_;
  std::vector<std::unique_ptr<Reducer>> reducers_;
  std::vector<bool> filtered_;                         // by reducer: some rows may not be its rows
  std::vector<std::int64_t> counts_;                   // rows by group
  std::vector<std::vector<std::int64_t>> of_reducer_;  // rows by reducer (filtered ones only) and group
};

// The row keys of a groupby's results: `columns` are the grouping columns, of these types.
[[nodiscard]] KeyColumn group_keys(const plan::GroupBy& params, const Schema& schema, std::span<const Column> columns,
                                   std::size_t rows);

}  // namespace thalweg
