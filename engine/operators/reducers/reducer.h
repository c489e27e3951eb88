// engine/operators/reducers/reducer.h
//
// The state of one reducer for all groups of a groupby, in arrays by group number.
//
// A reducer never sees rows whose argument it is to skip (ERROR; None where skip_nones): the groupby filters. What it
// computes depends on the multiset of rows only, never on their order.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "engine/operators/operator.h"
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

class Reducer {
 public:
  virtual ~Reducer() = default;
  // Groups below `groups` exist from now on.
  virtual void reserve(std::size_t groups) = 0;
  virtual void update(const ReducerRows& rows) = 0;
  // The results of these groups. Every one has at least one row of this reducer.
  virtual Column results(std::span<const std::uint32_t> groups, const ReducerErrors& errors) = 0;
  // The group has no rows any more: its number may be used for another.
  virtual void clear(std::uint32_t group) = 0;
  [[nodiscard]] virtual std::size_t bytes() const = 0;
  // Between commits: a chance to compact.
  virtual void maintain() {}
};

// `input`: schema of the grouped table. The argument columns are as the plan says.
[[nodiscard]] Result<std::unique_ptr<Reducer>> make_reducer(const plan::Reducer& reducer, const Schema& input,
                                                            const plan::Columns& sort_by, bool append_only);

// One maker per family; null if the kind is of another.
std::unique_ptr<Reducer> make_linear_reducer(const plan::Reducer& reducer, const Schema& input);
std::unique_ptr<Reducer> make_extreme_reducer(const plan::Reducer& reducer, const Schema& input, bool append_only);
std::unique_ptr<Reducer> make_ordered_reducer(const plan::Reducer& reducer, const Schema& input, const plan::Columns& sort_by,
                                              bool append_only);
std::unique_ptr<Reducer> make_distinct_reducer(const plan::Reducer& reducer, const Schema& input);
Result<std::unique_ptr<Reducer>> make_fold_reducer(const plan::Reducer& reducer, const Schema& input, const plan::Columns& sort_by);

}  // namespace thalweg
