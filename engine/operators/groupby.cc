// engine/operators/groupby.cc
//
// Groups with the state of all their reducers: hash of the grouping columns to a group number, and arrays by group.
//
// B1  Which groups are there and have a result: S1 of reducers/reducer_set.h.
// B2  Per commit and group at most one retraction and one insertion, at close, and only if the result changed.
// B3  A row with ERROR in a grouping column is skipped and logged.
// Cost  one probe per row, prefetched in blocks; one pass per reducer over arrays.
#include <algorithm>
#include <numeric>

#include "engine/operators/reducers/reducer_set.h"
#include "engine/operators/registry.h"
#include "engine/state/hash_index.h"
#include "engine/state/saved_rows.h"

namespace thalweg::operators {

namespace {

// Three misses per row of a large table, each asked for before it is needed: the slot, the cell, the text of the cell.
constexpr std::size_t kSlotAhead = 32;
constexpr std::size_t kCellAhead = 16;
constexpr std::size_t kTextAhead = 8;
constexpr std::size_t kPrefetchFromGroups = 8192;  // smaller tables are in the cache anyway

class GroupBy : public Operator {
 public:
  GroupBy(const plan::Node& node, const plan::GroupBy& params, const Schema& input, ReducerSet reducers)
      : params_(params),
        schema_(node.schema),
        span_(node.span),
        keys_needed_(node.keys_needed),
        group_columns_(params.by),
        reducers_(std::move(reducers)),
        groups_(group_types(params, input), false) {
    if (params.instance) group_columns_.push_back(*params.instance);
  }

  void push(std::size_t, Batch batch, OperatorContext& context) override;
  void close(OperatorContext& context) override;
  bool replay(OperatorContext& context) override;
  void save(StateWriter& out) const override;
  Result<void> load(StateReader& in, const ShardFilter& mine) override;
  [[nodiscard]] StateSize state() const override {
    return {groups_.size(), groups_.bytes() + index_.bytes() + touched_flag_.capacity() + reducers_.bytes()};
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
  Batch results(const std::vector<std::uint32_t>& groups, OperatorContext* context);
  Batch row_of_nothing() const;
  void drop_empty_groups();

  const plan::GroupBy params_;
  const Schema schema_;
  const SourceSpan span_;
  const bool keys_needed_;
  plan::Columns group_columns_;
  ReducerSet reducers_;

  RowStore groups_;
  HashIndex index_;
  std::vector<std::uint64_t> hashes_;       // of the running chunk
  std::vector<std::uint8_t> touched_flag_;  // by group: touched in this commit
  std::vector<std::uint32_t> touched_;
  std::vector<std::uint32_t> old_groups_;  // touched groups that had a result at the start of the commit
  std::vector<Batch> old_rows_;            // theirs, in that order
  std::vector<std::uint32_t> position_;    // scratch of close, by group; kNoRow between commits
  bool emitted_nothing_row_ = false;       // always_one_row: the row over no rows is out
};

Batch GroupBy::without_group_errors(Batch batch, OperatorContext& context) {
  bool tagged = std::ranges::any_of(group_columns_, [&](std::uint32_t c) { return batch.columns[c].has_tags(); });
  if (!tagged) return batch;
  std::vector<std::uint32_t> kept;
  for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
    bool error = std::ranges::any_of(group_columns_,
                                     [&](std::uint32_t c) { return batch.columns[c].tag(row) == CellTag::kError; });
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
  if (group >= touched_flag_.size()) {
    touched_flag_.resize(group + 1);
    reducers_.reserve(group + 1);
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
  RowMatcher same(groups_, columns);
  for (std::size_t row = 0; row < n; ++row) {
    if (prefetch) prefetch_groups(row, group_of);
    std::uint32_t group = index_.find(hashes_[row], [&](std::uint32_t g) { return same(g, row); });
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
      reducers_.prefetch(candidate);
    }
  }
  if (row >= kCellAhead - kTextAhead && row + kTextAhead < n) {
    std::uint32_t candidate = group_of[row + kTextAhead];
    if (candidate != HashIndex::kNoRow) groups_.prefetch_text(0, candidate);
  }
}

// Results must be taken before the first change of a commit reaches a group.
void GroupBy::remember_old(std::span<const std::uint32_t> group_of) {
  std::vector<std::uint32_t> fresh;
  for (std::uint32_t group : group_of) {
    if (touched_flag_[group]) continue;
    touched_flag_[group] = 1;
    touched_.push_back(group);
    if (reducers_.has_result(group)) fresh.push_back(group);
  }
  if (fresh.empty()) return;
  old_rows_.push_back(results(fresh, nullptr));
  old_groups_.insert(old_groups_.end(), fresh.begin(), fresh.end());
}

void GroupBy::push(std::size_t, Batch batch, OperatorContext& context) {
  batch = without_group_errors(std::move(batch), context);
  if (batch.empty()) return;
  std::vector<std::uint32_t> group_of;
  find_groups(batch, group_of);
  remember_old(group_of);
  reducers_.update(batch, group_of, context.commit());
}

Batch GroupBy::results(const std::vector<std::uint32_t>& groups, OperatorContext* context) {
  Batch out;
  out.num_rows = groups.size();
  for (std::size_t c = 0; c < group_columns_.size(); ++c) out.columns.push_back(groups_.gather(c, groups));
  ReducerErrors errors = [&](std::size_t, std::string_view message) {
    if (context) context->report(ErrorKind::kValue, std::string(message), span_, std::nullopt);
  };
  reducers_.append_results(groups, errors, out.columns, context == nullptr);
  if (keys_needed_) out.keys = group_keys(params_, schema_, out.columns, out.num_rows);
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
    if (reducers_.has_result(group)) present.push_back(group);
  if (old_groups_.empty() &&
      !params_.always_one_row) {  // all are new: nothing to compare, no need to hold them at once
    for (std::size_t begin = 0; begin < present.size(); begin += kChunkRows) {
      std::size_t end = std::min(begin + kChunkRows, present.size());
      std::vector<std::uint32_t> chunk(present.begin() + static_cast<std::ptrdiff_t>(begin),
                                       present.begin() + static_cast<std::ptrdiff_t>(end));
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
    position_.resize(reducers_.groups(), HashIndex::kNoRow);
    for (std::uint32_t i = 0; i < present.size(); ++i) position_[present[i]] = i;
    std::vector<bool> same(present.size(), false);
    for (std::uint32_t i = 0; i < old_groups_.size(); ++i) {
      std::uint32_t at = position_[old_groups_[i]];
      bool equal = at != HashIndex::kNoRow;
      for (std::size_t c = group_columns_.size(); equal && c < before.columns.size(); ++c)
        equal = Column::cells_equal(before.columns[c], i, now.columns[c], at);
      if (equal)
        same[at] = true;
      else
        old_kept.push_back(i);
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
    bool nothing = std::ranges::none_of(reducers_.counts(), [](std::int64_t count) { return count > 0; });
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

bool GroupBy::replay(OperatorContext& context) {
  std::vector<std::uint32_t> chunk;
  for (std::uint32_t group = 0; group < reducers_.groups(); ++group) {
    if (reducers_.has_result(group)) chunk.push_back(group);
    if (chunk.size() < kChunkRows && group + 1 < reducers_.groups()) continue;
    if (!chunk.empty()) context.emit(results(chunk, nullptr));
    chunk.clear();
  }
  if (emitted_nothing_row_) context.emit(row_of_nothing());
  return true;
}

// How stored groups are spread: their cells are the grouping columns, the instance last.
Route route_of_groups(const plan::GroupBy& params) {
  if (params.instance) return {Route::By::kColumns, {static_cast<std::uint32_t>(params.by.size())}};
  if (params.by.empty()) return {Route::By::kOne, {}};
  plan::Columns columns(params.by.size());
  std::iota(columns.begin(), columns.end(), 0U);
  return {Route::By::kColumns, columns};
}

void GroupBy::save(StateWriter& out) const {
  std::vector<std::uint32_t> groups = live_rows(groups_);
  save_rows(groups_, groups, out);
  reducers_.save(groups, out);
  out.put_bool(emitted_nothing_row_);
}

Result<void> GroupBy::load(StateReader& in, const ShardFilter& mine) {
  std::vector<std::uint32_t> by_place;
  Route route = route_of_groups(params_);
  TRY(load_chunks(in, groups_.types(), false, [&](Batch batch) -> Result<void> {
    std::vector<std::uint32_t> taken = mine.rows_of(route, batch);
    std::size_t first = by_place.size();
    by_place.resize(first + batch.num_rows, kNotMine);
    if (taken.size() < batch.num_rows) batch = batch.gather(taken);
    std::vector<std::uint32_t> ids;
    groups_.insert_all(pointers_to(batch), batch.num_rows, nullptr, ids);
    hashes_.assign(batch.num_rows, 0);
    for (const Column& column : batch.columns) column.hash_into(hashes_);
    index_.reserve(index_.size() + ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (i + kSlotAhead < ids.size()) index_.prefetch(hashes_[i + kSlotAhead]);
      index_.insert(hashes_[i], ids[i]);
      by_place[first + taken[i]] = ids[i];
    }
    return {};
  }));
  touched_flag_.resize(std::max<std::size_t>(touched_flag_.size(), groups_.end()));
  reducers_.reserve(groups_.end());
  TRY(reducers_.load(in, by_place));
  bool nothing = TRY(in.boolean());
  emitted_nothing_row_ = emitted_nothing_row_ || (nothing && mine.takes_single());
  return {};
}

void GroupBy::drop_empty_groups() {
  std::vector<std::size_t> columns(group_columns_.size());
  std::iota(columns.begin(), columns.end(), 0U);
  for (std::uint32_t group : touched_) {
    touched_flag_[group] = 0;
    if (reducers_.count(group) != 0) continue;
    index_.erase(groups_.hash(group, columns), group);
    groups_.erase(group);
    reducers_.clear(group);
  }
  touched_.clear();
  old_groups_.clear();
  groups_.compact_if_worthwhile();
  reducers_.maintain();
}

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  const auto& params = std::get<plan::GroupBy>(node.params);
  const plan::Node& input = plan.node(node.inputs[0]);
  ReducerSet reducers = TRY(ReducerSet::make(params, input.schema, input.append_only));
  return std::make_unique<GroupBy>(node, params, input.schema, std::move(reducers));
}

std::vector<Route> routes(const plan::Node& node) {
  const auto& params = std::get<plan::GroupBy>(node.params);
  if (params.instance) return {Route{Route::By::kColumns, {*params.instance}}};
  if (params.by.empty()) return {Route{Route::By::kOne, {}}};
  return {Route{Route::By::kColumns, params.by}};
}

Route spread(const plan::Node& node) { return route_of_groups(std::get<plan::GroupBy>(node.params)); }

}  // namespace

const OperatorDescriptor kGroupBy{
    .name = "groupby", .routes = routes, .output_route = spread, .make = make, .state_version = 1};

}  // namespace thalweg::operators
