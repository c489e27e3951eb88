#include "engine/operators/reducers/reducer_set.h"

#include <algorithm>
#include <numeric>

#include "engine/types/encoding.h"

namespace thalweg {

namespace {

// Another reducer orders the same rows: both can read one ordered state, which is cheaper than two of the fastest kind.
bool shares_order(const plan::GroupBy& params, const plan::Reducer& mine) {
  using enum plan::ReducerKind;
  constexpr plan::ReducerKind kKinds[] = {kMin, kMax, kMedian, kQuantile, kSortedTuple};
  auto ordered = [&](const plan::Reducer& reducer) {
    return std::ranges::find(kKinds, reducer.kind) != std::end(kKinds);
  };
  return ordered(mine) && std::ranges::any_of(params.reducers, [&](const plan::Reducer& other) {
           return &other != &mine && ordered(other) && other.args == mine.args && other.skip_nones == mine.skip_nones &&
                  other.skip_errors == mine.skip_errors;
         });
}

}  // namespace

Result<ReducerSet> ReducerSet::make(const plan::GroupBy& params, const Schema& input, bool append_only) {
  ReducerSet set;
  set.planned_ = params.reducers;
  for (const plan::Reducer& reducer : params.reducers) {
    bool ordered = !append_only && shares_order(params, reducer);
    std::unique_ptr<Reducer> made = ordered ? make_ordered_reducer(reducer, input, params.sort_by, append_only)
                                            : TRY(make_reducer(reducer, input, params.sort_by, append_only));
    for (const auto& earlier : set.reducers_)
      if (made->share(*earlier)) break;
    set.reducers_.push_back(std::move(made));
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

void ReducerSet::update_filtered(std::size_t r, const Batch& batch, std::span<const std::uint32_t> group_of,
                                 std::span<const Diff> diffs, Commit commit) {
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

void ReducerSet::settle() {
  for (const auto& reducer : reducers_) reducer->settle();
}

void ReducerSet::append_results(const std::vector<std::uint32_t>& groups, const ReducerErrors& errors,
                                std::vector<Column>& out, bool as_before) {
  if (!as_before) settle();
  for (std::size_t r = 0; r < reducers_.size(); ++r) {
    bool may_be_empty = filtered_[r] && planned_[r].none_if_empty &&
                        std::ranges::any_of(groups, [&](std::uint32_t g) { return of_reducer_[r][g] <= 0; });
    out.push_back(may_be_empty ? results_or_none(r, groups, errors) : reducers_[r]->results(groups, errors));
  }
}

Column ReducerSet::results_or_none(std::size_t r, const std::vector<std::uint32_t>& groups,
                                   const ReducerErrors& errors) {
  std::vector<std::uint32_t> full;
  std::vector<std::uint8_t> has;
  for (std::uint32_t g : groups) {
    has.push_back(of_reducer_[r][g] > 0 ? 1 : 0);
    if (has.back() != 0) full.push_back(g);
  }
  return spread(r, reducers_[r]->results(full, errors), has);
}

Column ReducerSet::spread(std::size_t r, const Column& values, const std::vector<std::uint8_t>& has) const {
  ColumnBuilder builder(values.phys(), has.size());
  std::size_t next = 0;
  bool is_count =
      planned_[r].kind == plan::ReducerKind::kCount || planned_[r].kind == plan::ReducerKind::kCountDistinct;
  for (std::uint8_t one : has) {
    if (one != 0)
      builder.push_cell(values, next++);
    else if (is_count)
      builder.push_int(0);
    else
      builder.push_none();
  }
  return builder.finish();
}

// ---------------------------------------------------------------- saved

void ReducerSet::save(GroupList groups, StateWriter& out) const {
  save_numbers<std::int64_t>(groups, out, [&](std::uint32_t group) { return counts_[group]; });
  for (std::size_t r = 0; r < reducers_.size(); ++r) {
    if (filtered_[r])
      save_numbers<std::int64_t>(groups, out, [&](std::uint32_t group) { return of_reducer_[r][group]; });
    reducers_[r]->save(groups, out);
  }
}

Result<void> ReducerSet::load(StateReader& in, GroupList groups) {
  TRY(load_numbers<std::int64_t>(in, groups, [&](std::uint32_t g, std::int64_t count) { counts_[g] = count; }));
  for (std::size_t r = 0; r < reducers_.size(); ++r) {
    if (filtered_[r])
      TRY(load_numbers<std::int64_t>(in, groups,
                                     [&](std::uint32_t g, std::int64_t count) { of_reducer_[r][g] = count; }));
    TRY(reducers_[r]->load(in, groups));
  }
  return {};
}

// ---------------------------------------------------------------- stretches

// Only reducers that merge are ever asked.
Column Reducer::merged(std::span<const std::uint32_t>, std::span<const Stretch>, const ReducerErrors&) {
  UNREACHABLE();
}

std::vector<std::uint8_t> ReducerSet::have_results(std::span<const std::uint32_t> groups,
                                                   std::span<const Stretch> stretches) const {
  std::vector<std::uint8_t> out(stretches.size());
  for (std::size_t i = 0; i < stretches.size(); ++i) out[i] = stretches[i].from < stretches[i].to ? 1 : 0;
  for (std::size_t r = 0; r < reducers_.size(); ++r) {
    if (!filtered_[r] || planned_[r].none_if_empty) continue;
    std::int64_t rows = 0;
    slide(
        groups, stretches, [&](std::uint32_t group, int sign) { rows += sign * of_reducer_[r][group]; },
        [&](std::size_t i) { out[i] = out[i] != 0 && rows > 0 ? 1 : 0; });
  }
  return out;
}

void ReducerSet::append_merged(std::span<const std::uint32_t> groups, std::span<const Stretch> stretches,
                               const ReducerErrors& errors, std::vector<Column>& out) {
  settle();
  for (std::size_t r = 0; r < reducers_.size(); ++r) {
    bool skips = filtered_[r] && std::ranges::any_of(groups, [&](std::uint32_t g) { return of_reducer_[r][g] <= 0; });
    out.push_back(skips ? merged_or_none(r, groups, stretches, errors)
                        : reducers_[r]->merged(groups, stretches, errors));
  }
}

// Groups without a row of the reducer are left out.
Column ReducerSet::merged_or_none(std::size_t r, std::span<const std::uint32_t> groups,
                                  std::span<const Stretch> stretches, const ReducerErrors& errors) {
  std::vector<std::uint32_t> full, before(groups.size() + 1);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    before[i] = static_cast<std::uint32_t>(full.size());
    if (of_reducer_[r][groups[i]] > 0) full.push_back(groups[i]);
  }
  before[groups.size()] = static_cast<std::uint32_t>(full.size());
  std::vector<Stretch> kept;
  std::vector<std::uint8_t> has;
  for (const Stretch& stretch : stretches) {
    Stretch narrow{before[stretch.from], before[stretch.to]};
    has.push_back(narrow.from < narrow.to ? 1 : 0);
    if (has.back() != 0) kept.push_back(narrow);
  }
  Column values = reducers_[r]->merged(full, kept, errors);
  return kept.size() == stretches.size() ? values : spread(r, values, has);
}

void ReducerSet::clear(std::uint32_t group) {
  settle();
  counts_[group] = 0;
  for (auto& counts : of_reducer_)
    if (!counts.empty()) counts[group] = 0;
  for (const auto& reducer : reducers_) reducer->clear(group);
}

void ReducerSet::maintain() {
  settle();
  for (const auto& reducer : reducers_) reducer->maintain();
}

std::size_t ReducerSet::bytes() const {
  std::size_t bytes = counts_.capacity() * sizeof(std::int64_t);
  for (const auto& reducer : reducers_) bytes += reducer->bytes();
  return bytes;
}

KeyColumn group_keys(const plan::GroupBy& params, const Schema& schema, std::span<const Column> columns,
                     std::size_t rows) {
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
