// engine/operators/groupby.cc
//
// Groups with the state of all their reducers: hash of the grouping columns to a group number, and arrays by group.
//
// B1  A group is there while it has rows. Its result is there while every reducer that needs one has a row (a reducer
//     whose rows are all ERROR has no value: the result row is absent; with none_if_empty its cell is None).
// B2  Per commit and group at most one retraction and one insertion, at close, and only if the result changed.
// B3  A row with ERROR in a grouping column is skipped and logged.
// Cost  one probe per row, prefetched in blocks; one pass per reducer over arrays.
#include <algorithm>
#include <numeric>

#include "engine/operators/reducers/reducer.h"
#include "engine/operators/registry.h"
#include "engine/state/hash_index.h"
#include "engine/types/encoding.h"

namespace thalweg::operators {

namespace {

// Three misses per row of a large table, each asked for before it is needed: the slot, the cell, the text of the cell.
constexpr std::size_t kSlotAhead = 32;
constexpr std::size_t kCellAhead = 16;
constexpr std::size_t kTextAhead = 8;
constexpr std::size_t kPrefetchFromGroups = 8192;  // smaller tables are in the cache anyway

class GroupBy : public Operator {
 public:
  GroupBy(const plan::Node& node, const plan::GroupBy& params, const Schema& input, std::vector<std::unique_ptr<Reducer>> reducers)
      : params_(params), schema_(node.schema), span_(node.span), keys_needed_(node.keys_needed), group_columns_(params.by), reducers_(std::move(reducers)),
        groups_(group_types(params, input), false), reducer_counts_(reducers_.size()) {
    if (params.instance) group_columns_.push_back(*params.instance);
    for (const plan::Reducer& reducer : params_.reducers) {
      bool filtered = !reducer.args.empty() && (reducer.skip_errors || reducer.skip_nones);
      filtered_.push_back(filtered);
    }
  }

  void push(std::size_t, Batch batch, OperatorContext& context) override;
  void close(OperatorContext& context) override;
  [[nodiscard]] StateSize state() const override {
    std::size_t bytes = groups_.bytes() + index_.bytes() + counts_.capacity() * 8 + touched_flag_.capacity();
    for (const auto& reducer : reducers_) bytes += reducer->bytes();
    return {groups_.size(), bytes};
  }

 private:
  static std::vector<Type> group_types(const plan::GroupBy& params, const Schema& input) {
    std::vector<Type> types;
    for (std::uint32_t column : params.by) types.push_back(input.columns[column].type);
    if (params.instance) types.push_back(input.columns[*params.instance].type);
    return types;
  }

  Batch without_group_errors(Batch batch, OperatorContext& context);
  void find_groups(const Batch& batch, std::vector<std::uint32_t>& group_of);
  void prefetch_groups(std::size_t row, std::vector<std::uint32_t>& group_of) const;
  std::uint32_t add_group(std::span<const Column* const> columns, std::size_t row, std::uint64_t hash);
  void remember_old(std::span<const std::uint32_t> group_of);
  void update_reducers(const Batch& batch, std::span<const std::uint32_t> group_of, Commit commit);
  [[nodiscard]] bool has_result(std::uint32_t group) const;
  Batch results(const std::vector<std::uint32_t>& groups, OperatorContext* context);
  KeyColumn result_keys(const Batch& rows) const;
  Batch row_of_nothing() const;
  void drop_empty_groups();

  const plan::GroupBy params_;
  const Schema schema_;
  const SourceSpan span_;
  const bool keys_needed_;
  plan::Columns group_columns_;
  std::vector<std::unique_ptr<Reducer>> reducers_;
  std::vector<bool> filtered_;

  RowStore groups_;
  HashIndex index_;
  std::vector<std::uint64_t> hashes_;                   // of the running chunk
  std::vector<std::int64_t> counts_;                    // rows by group
  std::vector<std::vector<std::int64_t>> reducer_counts_;  // rows by reducer (filtered ones only) and group
  std::vector<std::uint8_t> touched_flag_;              // by group: touched in this commit
  std::vector<std::uint32_t> touched_;
  std::vector<std::uint32_t> old_groups_;               // touched groups that had a result at the start of the commit
  std::vector<Batch> old_rows_;                         // theirs, in that order
  std::vector<std::uint32_t> position_;                 // scratch of close, by group; kNoRow between commits
  bool emitted_nothing_row_ = false;                    // always_one_row: the row over no rows is out
};

Batch GroupBy::without_group_errors(Batch batch, OperatorContext& context) {
  bool tagged = std::ranges::any_of(group_columns_, [&](std::uint32_t c) { return batch.columns[c].has_tags(); });
  if (!tagged) return batch;
  std::vector<std::uint32_t> kept;
  for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
    bool error = std::ranges::any_of(group_columns_, [&](std::uint32_t c) { return batch.columns[c].tag(row) == CellTag::kError; });
    if (!error) {
      kept.push_back(row);
    } else if (batch.diff(row) > 0) {
      std::optional<Key> key;
      if (batch.keys.written()) key = batch.keys[row];
      context.report(ErrorKind::kSkipped, "Error value encountered in grouping columns, skipping the row", span_, key);
    }
  }
  return kept.size() == batch.num_rows ? batch : batch.gather(kept);
}

std::uint32_t GroupBy::add_group(std::span<const Column* const> columns, std::size_t row, std::uint64_t hash) {
  std::uint32_t group = groups_.insert(columns, row, nullptr);
  index_.insert(hash, group);
  if (group >= counts_.size()) {
    std::size_t n = group + 1;
    counts_.resize(n);
    touched_flag_.resize(n);
    for (auto& counts : reducer_counts_) counts.resize(n);
    for (const auto& reducer : reducers_) reducer->reserve(n);
  }
  return group;
}

void GroupBy::find_groups(const Batch& batch, std::vector<std::uint32_t>& group_of) {
  std::size_t n = batch.num_rows;
  hashes_.assign(n, 0);
  std::vector<const Column*> columns;
  for (std::uint32_t c : group_columns_) {
    columns.push_back(&batch.columns[c]);
    batch.columns[c].hash_into(hashes_);
  }
  group_of.resize(n);
  bool prefetch = index_.size() > kPrefetchFromGroups && !columns.empty();
  for (std::size_t row = 0; row < n; ++row) {
    if (prefetch) prefetch_groups(row, group_of);
    std::uint32_t group = index_.find(hashes_[row], [&](std::uint32_t g) { return groups_.row_equals(g, columns, row); });
    if (group == HashIndex::kNoRow) group = add_group(columns, row, hashes_[row]);
    group_of[row] = group;
  }
}

// `group_of` holds the candidates of the rows ahead until they are looked up.
void GroupBy::prefetch_groups(std::size_t row, std::vector<std::uint32_t>& group_of) const {
  std::size_t n = group_of.size();
  if (row + kSlotAhead < n) index_.prefetch(hashes_[row + kSlotAhead]);
  if (row + kCellAhead < n) {
    std::uint32_t candidate = index_.candidate(hashes_[row + kCellAhead]);
    group_of[row + kCellAhead] = candidate;
    if (candidate != HashIndex::kNoRow) {
      groups_.prefetch(0, candidate);
      __builtin_prefetch(&counts_[candidate]);
    }
  }
  if (row >= kCellAhead - kTextAhead && row + kTextAhead < n) {
    std::uint32_t candidate = group_of[row + kTextAhead];
    if (candidate != HashIndex::kNoRow) groups_.prefetch_text(0, candidate);
  }
}

bool GroupBy::has_result(std::uint32_t group) const {
  if (counts_[group] <= 0) return false;
  for (std::size_t i = 0; i < reducers_.size(); ++i)
    if (filtered_[i] && !params_.reducers[i].none_if_empty && reducer_counts_[i][group] <= 0) return false;
  return true;
}

// Results must be taken before the first change of a commit reaches a group.
void GroupBy::remember_old(std::span<const std::uint32_t> group_of) {
  std::vector<std::uint32_t> fresh;
  for (std::uint32_t group : group_of) {
    if (touched_flag_[group]) continue;
    touched_flag_[group] = 1;
    touched_.push_back(group);
    if (has_result(group)) fresh.push_back(group);
  }
  if (fresh.empty()) return;
  old_rows_.push_back(results(fresh, nullptr));
  old_groups_.insert(old_groups_.end(), fresh.begin(), fresh.end());
}

void GroupBy::update_reducers(const Batch& batch, std::span<const std::uint32_t> group_of, Commit commit) {
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
    const plan::Reducer& planned = params_.reducers[r];
    bool tagged = std::ranges::any_of(planned.args, [&](std::uint32_t c) { return batch.columns[c].has_tags(); });
    if (!filtered_[r] || !tagged) {
      if (filtered_[r])
        for (std::size_t i = 0; i < n; ++i) reducer_counts_[r][group_of[i]] += diffs[i];
      reducers_[r]->update({batch, all, group_of, diffs, commit});
      continue;
    }
    std::vector<std::uint32_t> rows;
    std::vector<std::uint32_t> groups;
    std::vector<Diff> kept_diffs;
    for (std::uint32_t row = 0; row < n; ++row) {
      bool keep = std::ranges::none_of(planned.args, [&](std::uint32_t c) {
        CellTag tag = batch.columns[c].tag(row);
        return (tag == CellTag::kError && planned.skip_errors) || (tag == CellTag::kNone && planned.skip_nones);
      });
      if (!keep) continue;
      rows.push_back(row);
      groups.push_back(group_of[row]);
      kept_diffs.push_back(diffs[row]);
      reducer_counts_[r][group_of[row]] += diffs[row];
    }
    reducers_[r]->update({batch, rows, groups, kept_diffs, commit});
  }
}

void GroupBy::push(std::size_t, Batch batch, OperatorContext& context) {
  batch = without_group_errors(std::move(batch), context);
  if (batch.empty()) return;
  std::vector<std::uint32_t> group_of;
  find_groups(batch, group_of);
  remember_old(group_of);
  update_reducers(batch, group_of, context.commit());
}

KeyColumn GroupBy::result_keys(const Batch& rows) const {
  std::size_t n = rows.num_rows;
  std::vector<Key> keys(n);
  if (params_.key_is_column) {
    Cells<Key> cells = rows.columns[0].u128();
    for (std::size_t i = 0; i < n; ++i) keys[i] = cells[i];
    return KeyColumn(std::move(keys));
  }
  std::size_t columns = group_columns_.size();
  std::string bytes;
  for (std::size_t i = 0; i < n; ++i) {
    bytes.clear();
    for (std::size_t c = 0; c < columns; ++c) encode_cell(schema_.columns[c].type, rows.columns[c], i, bytes);
    keys[i] = key_of_bytes(bytes);
    if (!params_.instance) continue;
    bytes.clear();
    encode_cell(schema_.columns[columns - 1].type, rows.columns[columns - 1], i, bytes);
    keys[i] = with_instance(keys[i], key_of_bytes(bytes));
  }
  return KeyColumn(std::move(keys));
}

Batch GroupBy::results(const std::vector<std::uint32_t>& groups, OperatorContext* context) {
  Batch out;
  out.num_rows = groups.size();
  for (std::size_t c = 0; c < group_columns_.size(); ++c) out.columns.push_back(groups_.gather(c, groups));
  for (std::size_t r = 0; r < reducers_.size(); ++r) {
    ReducerErrors errors = [&](std::size_t, std::string_view message) {
      if (context) context->report(ErrorKind::kValue, std::string(message), span_, std::nullopt);
    };
    bool may_be_empty = filtered_[r] && params_.reducers[r].none_if_empty &&
                        std::ranges::any_of(groups, [&](std::uint32_t g) { return reducer_counts_[r][g] <= 0; });
    if (!may_be_empty) {
      out.columns.push_back(reducers_[r]->results(groups, errors));
      continue;
    }
    std::vector<std::uint32_t> full;
    for (std::uint32_t g : groups)
      if (reducer_counts_[r][g] > 0) full.push_back(g);
    Column values = reducers_[r]->results(full, errors);
    ColumnBuilder builder(values.phys(), groups.size());
    std::size_t next = 0;
    bool is_count = params_.reducers[r].kind == plan::ReducerKind::kCount || params_.reducers[r].kind == plan::ReducerKind::kCountDistinct;
    for (std::uint32_t g : groups) {
      if (reducer_counts_[r][g] > 0) builder.push_cell(values, next++);
      else if (is_count) builder.push_int(0);
      else builder.push_none();
    }
    out.columns.push_back(builder.finish());
  }
  if (keys_needed_) out.keys = result_keys(out);
  return out;
}

// SQL's row of an aggregate over no rows: counts are 0, the rest None.
Batch GroupBy::row_of_nothing() const {
  BatchBuilder builder(schema_);
  std::vector<Value> row;
  for (const plan::Reducer& reducer : params_.reducers) {
    bool is_count = reducer.kind == plan::ReducerKind::kCount || reducer.kind == plan::ReducerKind::kCountDistinct ||
                    reducer.kind == plan::ReducerKind::kCountDistinctApproximate;
    row.push_back(is_count ? Value::of(std::int64_t{0}) : Value::none());
  }
  builder.push(key_of_values({}), row);
  Batch batch = builder.finish();
  if (!keys_needed_) batch.keys = {};
  return batch;
}

void GroupBy::close(OperatorContext& context) {
  std::vector<std::uint32_t> present;
  for (std::uint32_t group : touched_)
    if (has_result(group)) present.push_back(group);
  if (old_groups_.empty() && !params_.always_one_row) {  // all are new: nothing to compare, no need to hold them at once
    for (std::size_t begin = 0; begin < present.size(); begin += kChunkRows) {
      std::size_t end = std::min(begin + kChunkRows, present.size());
      std::vector<std::uint32_t> chunk(present.begin() + static_cast<std::ptrdiff_t>(begin), present.begin() + static_cast<std::ptrdiff_t>(end));
      context.emit(results(chunk, &context));
    }
    return drop_empty_groups();
  }
  Batch now = results(present, &context);

  // Positions by group, to drop what did not change.
  std::vector<std::uint32_t> old_kept;
  std::vector<std::uint32_t> new_kept;
  Batch before = old_rows_.empty() ? Batch{} : Batch::concat(std::exchange(old_rows_, {}));
  if (!old_groups_.empty()) {
    position_.resize(counts_.size(), HashIndex::kNoRow);
    for (std::uint32_t i = 0; i < present.size(); ++i) position_[present[i]] = i;
    std::vector<bool> same(present.size(), false);
    for (std::uint32_t i = 0; i < old_groups_.size(); ++i) {
      std::uint32_t at = position_[old_groups_[i]];
      bool equal = at != HashIndex::kNoRow;
      for (std::size_t c = group_columns_.size(); equal && c < before.columns.size(); ++c)
        equal = Column::cells_equal(before.columns[c], i, now.columns[c], at);
      if (equal) same[at] = true;
      else old_kept.push_back(i);
    }
    for (std::uint32_t i = 0; i < present.size(); ++i) {
      position_[present[i]] = HashIndex::kNoRow;
      if (!same[i]) new_kept.push_back(i);
    }
  } else {
    new_kept.resize(present.size());
    std::iota(new_kept.begin(), new_kept.end(), 0U);
  }
  if (!old_kept.empty()) {
    Batch retractions = before.gather(old_kept);
    retractions.set_diffs(std::vector<Diff>(old_kept.size(), -1));
    context.emit(std::move(retractions));
  }
  if (params_.always_one_row && context.worker().value == 0) {
    bool nothing = std::ranges::none_of(counts_, [](std::int64_t count) { return count > 0; });
    if (nothing != emitted_nothing_row_) {
      Batch row = row_of_nothing();
      if (!nothing) row.set_diffs({-1});
      context.emit(std::move(row));
      emitted_nothing_row_ = nothing;
    }
  }
  if (!new_kept.empty()) context.emit(new_kept.size() == now.num_rows ? std::move(now) : now.gather(new_kept));
  drop_empty_groups();
}

void GroupBy::drop_empty_groups() {
  std::vector<std::size_t> columns(group_columns_.size());
  std::iota(columns.begin(), columns.end(), 0U);
  for (std::uint32_t group : touched_) {
    touched_flag_[group] = 0;
    if (counts_[group] != 0) continue;
    index_.erase(groups_.hash(group, columns), group);
    groups_.erase(group);
    for (auto& counts : reducer_counts_) counts[group] = 0;
    for (const auto& reducer : reducers_) reducer->clear(group);
  }
  touched_.clear();
  old_groups_.clear();
  groups_.compact_if_worthwhile();
  for (const auto& reducer : reducers_) reducer->maintain();
}

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  const auto& params = std::get<plan::GroupBy>(node.params);
  const plan::Node& input = plan.node(node.inputs[0]);
  std::vector<std::unique_ptr<Reducer>> reducers;
  for (const plan::Reducer& reducer : params.reducers)
    reducers.push_back(TRY(make_reducer(reducer, input.schema, params.sort_by, input.append_only)));
  return std::make_unique<GroupBy>(node, params, input.schema, std::move(reducers));
}

std::vector<Route> routes(const plan::Node& node) {
  const auto& params = std::get<plan::GroupBy>(node.params);
  if (params.instance) return {Route{Route::By::kColumns, {*params.instance}}};
  if (params.by.empty()) return {Route{Route::By::kOne, {}}};
  return {Route{Route::By::kColumns, params.by}};
}

Route spread(const plan::Node& node) {
  const auto& params = std::get<plan::GroupBy>(node.params);
  if (params.instance) return {Route::By::kColumns, {static_cast<std::uint32_t>(params.by.size())}};
  if (params.by.empty()) return {Route::By::kOne, {}};
  plan::Columns columns(params.by.size());
  std::iota(columns.begin(), columns.end(), 0U);
  return {Route::By::kColumns, columns};
}

}  // namespace

const OperatorDescriptor kGroupBy{.name = "groupby", .routes = routes, .output_route = spread, .make = make};

}  // namespace thalweg::operators
