// engine/operators/topk.cc
//
// Per partition the rows at places [offset, offset + limit) of an order, ties by row key; with their rank if asked.
//
// All rows of a partition are kept in order; those of a commit are put there at close. Then a changed partition's
// window is compared with the row numbers that were emitted: the cost of a change is a seek plus the length of the
// window, not of the partition. Rows that leave stay in the store until the end of the commit, for their retraction.
#include <algorithm>

#include "engine/operators/quiet_context.h"
#include "engine/operators/registry.h"
#include "engine/state/hash_index.h"
#include "engine/state/order_prefix.h"
#include "engine/state/order_stage.h"
#include "engine/state/row_store.h"
#include "engine/state/saved_rows.h"
#include "engine/state/sorted_entries.h"

namespace thalweg::operators {

namespace {

class TopK : public Operator {
 public:
  TopK(const plan::TopK& params, const Schema& input)
      : params_(params), rows_(types_of(input), true), partitions_(partition_types(params, input), false) {
    for (const auto& order : params.order) prefixes_.emplace_back(input.columns[order.column].type);
  }

  void push(std::size_t, Batch batch, OperatorContext& context) override;
  void close(OperatorContext& context) override;
  [[nodiscard]] StateSize state() const override {
    return {rows_.size(), rows_.bytes() + index_.bytes() + partitions_.bytes()};
  }

  // The rows say it all, with how often each is there as their diffs.
  void save(StateWriter& out) const override {
    save_rows(rows_, out, [&](Batch& batch, std::span<const std::uint32_t> ids) {
      std::vector<Diff> diffs(ids.size());
      for (std::size_t i = 0; i < ids.size(); ++i) diffs[i] = static_cast<Diff>(counts_[ids[i]]);
      if (std::ranges::any_of(diffs, [](Diff diff) { return diff != 1; })) batch.set_diffs(std::move(diffs));
    });
  }
  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    return load_chunks(in, rows_.types(), true, [&](Batch batch) -> Result<void> {
      QuietContext quiet;
      batch = mine.select(columns_or_one(params_.partition), std::move(batch));
      if (!batch.empty()) push(0, std::move(batch), quiet);
      return {};
    });
  }
  Result<void> finish_load() override { return QuietContext().close(*this); }

 private:
  struct Partition {
    SortedEntries order;
    std::vector<std::uint32_t> emitted;  // the rows of the window, in order
  };
  struct StageOrder;
  // Rows that come or go, with their rank.
  struct Change {
    std::vector<std::uint32_t> ids;
    std::vector<std::int64_t> ranks;
  };

  static std::vector<Type> types_of(const Schema& schema) {
    std::vector<Type> types;
    for (const ColumnSpec& column : schema.columns) types.push_back(column.type);
    return types;
  }
  static std::vector<Type> partition_types(const plan::TopK& params, const Schema& input) {
    std::vector<Type> types;
    for (std::uint32_t column : params.partition) types.push_back(input.columns[column].type);
    return types;
  }

  // Sign of one order column, given the sign of the plain comparison (None first) and whether either is None.
  static int directed(const plan::TopK::Order& order, int plain, bool a_none, bool b_none) {
    if (a_none != b_none) return a_none == order.nulls_first ? -1 : 1;
    return order.descending ? -plain : plain;
  }
  [[nodiscard]] std::uint64_t prefix(const Batch& batch, std::uint32_t row) const;
  [[nodiscard]] int compare(std::uint32_t a, std::uint32_t b) const;
  std::vector<std::uint32_t> partitions_of(const Batch& batch);
  void refresh(Partition& partition, Change& gone, Change& come);
  void emit(const Change& change, Diff diff, OperatorContext& context) const;

  const plan::TopK params_;
  std::vector<OrderPrefix> prefixes_;  // by order column
  RowStore rows_;
  std::vector<std::int64_t> counts_;  // by row
  RowStore partitions_;
  HashIndex index_;
  std::vector<Partition> states_;       // by partition
  std::vector<std::uint32_t> touched_;  // by this commit
  OrderStage stage_;
  std::vector<std::uint32_t> dead_;    // rows of this commit that have left their partition
  std::vector<std::uint32_t> window_;  // scratch
};

// None goes where the first order column wants it, whatever its direction.
std::uint64_t TopK::prefix(const Batch& batch, std::uint32_t row) const {
  if (params_.order.empty()) return 0;
  const plan::TopK::Order& order = params_.order[0];
  const Column& column = batch.columns[order.column];
  if (column.tag(row) == CellTag::kNone) return order.nulls_first ? 0 : ~std::uint64_t{0};
  std::uint64_t prefix = prefixes_[0].of(column, row);
  return order.descending ? ~prefix : prefix;
}

int TopK::compare(std::uint32_t a, std::uint32_t b) const {
  if (a == b) return 0;
  for (const auto& order : params_.order) {
    bool a_none = rows_.tag(order.column, a) == CellTag::kNone;
    bool b_none = rows_.tag(order.column, b) == CellTag::kNone;
    if (int c = directed(order, rows_.compare(order.column, a, b), a_none, b_none)) return c;
  }
  if (rows_.key(a) != rows_.key(b)) return rows_.key(a) < rows_.key(b) ? -1 : 1;
  for (std::size_t c = 0; c < rows_.types().size(); ++c)
    if (int d = rows_.compare(c, a, b)) return d;
  return 0;
}

struct TopK::StageOrder {
  TopK& self;
  [[nodiscard]] int compare(std::uint32_t a, std::uint32_t b) const { return self.compare(a, b); }
  [[nodiscard]] static bool decides(std::uint64_t) { return false; }  // rows of different keys are never equal
  void absorb(std::uint32_t to, std::uint32_t from) const { self.counts_[to] += self.counts_[from]; }
  [[nodiscard]] bool is_nothing(std::uint32_t id) const { return self.counts_[id] == 0; }
  void forget(std::uint32_t id) const { self.rows_.erase(id); }
  void leave(std::uint32_t id) const { self.dead_.push_back(id); }
};

std::vector<std::uint32_t> TopK::partitions_of(const Batch& batch) {
  std::size_t n = batch.num_rows;
  std::vector<std::uint64_t> hashes(n, 0);
  std::vector<const Column*> columns;
  for (std::uint32_t c : params_.partition) {
    columns.push_back(&batch.columns[c]);
    batch.columns[c].hash_into(hashes);
  }
  constexpr std::size_t kSlotAhead = 16;
  RowMatcher same(partitions_, columns);
  std::vector<std::uint32_t> out(n);
  for (std::uint32_t row = 0; row < n; ++row) {
    if (row + kSlotAhead < n) index_.prefetch(hashes[row + kSlotAhead]);
    std::uint32_t p = index_.find(hashes[row], [&](std::uint32_t id) { return same(id, row); });
    if (p == HashIndex::kNoRow) {
      p = partitions_.insert(columns, row, nullptr);
      index_.insert(hashes[row], p);
      if (p >= states_.size()) states_.resize(p + 1);
    }
    out[row] = p;
  }
  return out;
}

void TopK::push(std::size_t, Batch batch, OperatorContext&) {
  batch.materialise_keys();
  std::vector<std::uint32_t> partitions = partitions_of(batch);
  std::vector<const Column*> columns;
  for (const Column& column : batch.columns) columns.push_back(&column);
  std::vector<std::uint32_t> ids;
  rows_.insert_all(columns, batch.num_rows, &batch.keys, ids);
  counts_.resize(std::max<std::size_t>(counts_.size(), rows_.end()));
  for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
    counts_[ids[row]] = batch.diff(row);
    stage_.add(partitions[row], prefix(batch, row), ids[row]);
  }
}

// What is in one of the two windows only: by place where ranks are shown, else by row (both are in order).
void TopK::refresh(Partition& partition, Change& gone, Change& come) {
  window_.clear();
  std::uint64_t place = 0;
  std::uint64_t end = params_.limit ? params_.offset + *params_.limit : ~std::uint64_t{0};
  if (end > params_.offset) {
    partition.order.for_each([&](std::uint32_t id) {
      for (std::int64_t n = 0; n < counts_[id] && place < end; ++n, ++place)
        if (place >= params_.offset) window_.push_back(id);
      return place < end;
    });
  }
  std::vector<std::uint32_t>& old = partition.emitted;
  auto add = [&](Change& change, std::uint32_t id, std::size_t at) {
    change.ids.push_back(id);
    if (params_.rank_column) change.ranks.push_back(static_cast<std::int64_t>(params_.offset + at + 1));
  };
  if (params_.rank_column) {
    for (std::size_t at = 0; at < std::max(old.size(), window_.size()); ++at) {
      if (at < old.size() && at < window_.size() && old[at] == window_[at]) continue;
      if (at < old.size()) add(gone, old[at], at);
      if (at < window_.size()) add(come, window_[at], at);
    }
  } else {
    std::vector<std::uint32_t> before = old;
    std::vector<std::uint32_t> now = window_;
    std::ranges::sort(before);
    std::ranges::sort(now);
    std::ranges::set_difference(before, now, std::back_inserter(gone.ids));
    std::ranges::set_difference(now, before, std::back_inserter(come.ids));
  }
  old.assign(window_.begin(), window_.end());
}

void TopK::emit(const Change& change, Diff diff, OperatorContext& context) const {
  for (std::size_t begin = 0; begin < change.ids.size(); begin += kChunkRows) {
    std::size_t n = std::min(kChunkRows, change.ids.size() - begin);
    Batch batch = rows_.gather(std::span(change.ids).subspan(begin, n));
    if (params_.rank_column) {
      auto first = change.ranks.begin() + static_cast<std::ptrdiff_t>(begin);
      batch.columns.push_back(Column::from_vector<std::int64_t>(
          Phys::kI64, std::vector<std::int64_t>(first, first + static_cast<std::ptrdiff_t>(n))));
    }
    if (diff != 1) batch.set_diffs(std::vector<Diff>(n, diff));
    context.emit(std::move(batch));
  }
}

void TopK::close(OperatorContext& context) {
  if (stage_.empty()) return;
  auto order_of = [this](std::uint32_t p) -> SortedEntries& {
    touched_.push_back(p);
    return states_[p].order;
  };
  stage_.settle(order_of, StageOrder{*this});
  Change gone;
  Change come;
  for (std::uint32_t p : touched_) refresh(states_[p], gone, come);
  touched_.clear();
  emit(gone, -1, context);
  emit(come, 1, context);
  for (std::uint32_t id : dead_) rows_.erase(id);
  dead_.clear();
  rows_.compact_if_worthwhile();
}

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  return std::make_unique<TopK>(std::get<plan::TopK>(node.params), plan.node(node.inputs[0]).schema);
}

std::vector<Route> routes(const plan::Node& node) {
  const auto& params = std::get<plan::TopK>(node.params);
  if (params.partition.empty()) return {Route{Route::By::kOne, {}}};
  return {Route{Route::By::kColumns, params.partition}};
}

Route spread(const plan::Node& node) { return routes(node)[0]; }

}  // namespace

const OperatorDescriptor kTopK{
    .name = "top_k", .routes = routes, .output_route = spread, .make = make, .state_version = 1};

}  // namespace thalweg::operators
