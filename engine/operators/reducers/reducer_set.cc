#include "engine/operators/reducers/reducer_set.h"

#include <algorithm>
#include <numeric>

#include "engine/types/encoding.h"

namespace thalweg {

Result<ReducerSet> ReducerSet::make(const plan::GroupBy& params, const Schema& input, bool append_only) {
  ReducerSet set;
  set.planned_ = params.reducers;
  for (const plan::Reducer& reducer : params.reducers) {
    set.reducers_.push_back(TRY(make_reducer(reducer, input, params.sort_by, append_only)));
    set.filtered_.push_back(!reducer.args.empty() && (reducer.skip_errors || reducer.skip_nones));
  }
  set.of_reducer_.resize(set.reducers_.size());
  return set;
}

void ReducerSet::reserve(std::size_t groups) {
  if (groups <= counts_.size()) return;
  counts_.resize(groups);
  for (auto& counts : of_reducer_) counts.resize(groups);
  for (const auto& reducer : reducers_) reducer->reserve(groups);
}

bool ReducerSet::has_result(std::uint32_t group) const {
  if (counts_[group] <= 0) return false;
  for (std::size_t i = 0; i < reducers_.size(); ++i)
    if (filtered_[i] && !planned_[i].none_if_empty && of_reducer_[i][group] <= 0) return false;
  return true;
}

void ReducerSet::update(const Batch& batch, std::span<const std::uint32_t> group_of, Commit commit) {
  std::size_t n = batch.num_rows;
  std::vector<Diff> ones;
  std::span<const Diff> diffs;
  if (batch.diffs) {
    diffs = *batch.diffs;
  } else {
    ones.assign(n, 1);
    diffs = ones;
  }
  for (std::size_t i = 0; i < n; ++i) counts_[group_of[i]] += diffs[i];
  if (reducers_.empty()) return;
  std::vector<std::uint32_t> all(n);
  std::iota(all.begin(), all.end(), 0U);
  for (std::size_t r = 0; r < reducers_.size(); ++r) {
    bool tagged = std::ranges::any_of(planned_[r].args, [&](std::uint32_t c) { return batch.columns[c].has_tags(); });
    if (filtered_[r] && tagged) {
      update_filtered(r, batch, group_of, diffs, commit);
      continue;
    }
    if (filtered_[r])
      for (std::size_t i = 0; i < n; ++i) of_reducer_[r][group_of[i]] += diffs[i];
    reducers_[r]->update({batch, all, group_of, diffs, commit});
  }
}

void ReducerSet::update_filtered(std::size_t r, const Batch& batch, std::span<const std::uint32_t> group_of, std::span<const Diff> diffs,
                                 Commit commit) {
  const plan::Reducer& planned = planned_[r];
  std::vector<std::uint32_t> rows;
  std::vector<std::uint32_t> groups;
  std::vector<Diff> kept_diffs;
  for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
    bool keep = std::ranges::none_of(planned.args, [&](std::uint32_t c) {
      CellTag tag = batch.columns[c].tag(row);
      return (tag == CellTag::kError && planned.skip_errors) || (tag == CellTag::kNone && planned.skip_nones);
    });
    if (!keep) continue;
    rows.push_back(row);
    groups.push_back(group_of[row]);
    kept_diffs.push_back(diffs[row]);
    of_reducer_[r][group_of[row]] += diffs[row];
  }
  reducers_[r]->update({batch, rows, groups, kept_diffs, commit});
}

void ReducerSet::append_results(const std::vector<std::uint32_t>& groups, const ReducerErrors& errors, std::vector<Column>& out) {
  for (std::size_t r = 0; r < reducers_.size(); ++r) {
    bool may_be_empty = filtered_[r] && planned_[r].none_if_empty &&
                        std::ranges::any_of(groups, [&](std::uint32_t g) { return of_reducer_[r][g] <= 0; });
    out.push_back(may_be_empty ? results_or_none(r, groups, errors) : reducers_[r]->results(groups, errors));
  }
}

Column ReducerSet::results_or_none(std::size_t r, const std::vector<std::uint32_t>& groups, const ReducerErrors& errors) {
  std::vector<std::uint32_t> full;
  for (std::uint32_t g : groups)
    if (of_reducer_[r][g] > 0) full.push_back(g);
  Column values = reducers_[r]->results(full, errors);
  ColumnBuilder builder(values.phys(), groups.size());
  std::size_t next = 0;
  bool is_count = planned_[r].kind == plan::ReducerKind::kCount || planned_[r].kind == plan::ReducerKind::kCountDistinct;
  for (std::uint32_t g : groups) {
    if (of_reducer_[r][g] > 0) builder.push_cell(values, next++);
    else if (is_count) builder.push_int(0);
    else builder.push_none();
  }
  return builder.finish();
}

void ReducerSet::clear(std::uint32_t group) {
  counts_[group] = 0;
  for (auto& counts : of_reducer_)
    if (!counts.empty()) counts[group] = 0;
  for (const auto& reducer : reducers_) reducer->clear(group);
}

void ReducerSet::maintain() {
  for (const auto& reducer : reducers_) reducer->maintain();
}

std::size_t ReducerSet::bytes() const {
  std::size_t bytes = counts_.capacity() * sizeof(std::int64_t);
  for (const auto& reducer : reducers_) bytes += reducer->bytes();
  return bytes;
}

KeyColumn group_keys(const plan::GroupBy& params, const Schema& schema, std::span<const Column> columns, std::size_t rows) {
  std::vector<Key> keys(rows);
  if (params.key_is_column) {
    Cells<Key> cells = columns[0].u128();
    for (std::size_t i = 0; i < rows; ++i) keys[i] = cells[i];
    return KeyColumn(std::move(keys));
  }
  std::size_t width = params.by.size() + (params.instance ? 1 : 0);
  std::string bytes;
  for (std::size_t i = 0; i < rows; ++i) {
    bytes.clear();
    for (std::size_t c = 0; c < width; ++c) encode_cell(schema.columns[c].type, columns[c], i, bytes);
    keys[i] = key_of_bytes(bytes);
    if (!params.instance) continue;
    bytes.clear();
    encode_cell(schema.columns[width - 1].type, columns[width - 1], i, bytes);
    keys[i] = with_instance(keys[i], key_of_bytes(bytes));
  }
  return KeyColumn(std::move(keys));
}

}  // namespace thalweg
