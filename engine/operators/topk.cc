// engine/operators/topk.cc
//
// Per partition the rows at places [offset, offset + limit) of an order, ties by row key; with their rank if asked.
//
// All rows of a partition are kept in order. At close a changed partition's window is compared with what was emitted:
// the cost of a change is a seek plus the length of the window, not of the partition.
#include <algorithm>

#include "engine/operators/registry.h"
#include "engine/state/hash_index.h"
#include "engine/state/row_store.h"
#include "engine/state/sorted_ids.h"

namespace thalweg::operators {

namespace {

class TopK : public Operator {
 public:
  TopK(const plan::Node& node, const plan::TopK& params, const Schema& input)
      : params_(params),
        schema_(node.schema),
        rows_(types_of(input), true),
        partitions_(partition_types(params, input), false) {}

  void push(std::size_t, Batch batch, OperatorContext& context) override;
  void close(OperatorContext& context) override;
  [[nodiscard]] StateSize state() const override {
    return {rows_.size(), rows_.bytes() + index_.bytes() + partitions_.bytes()};
  }

 private:
  struct Partition {
    SortedIds order;
    Batch emitted;  // the rows of the window, as emitted
    bool touched = false;
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
  [[nodiscard]] int compare(std::uint32_t id, const Batch& batch, std::uint32_t row) const;
  [[nodiscard]] int compare(std::uint32_t a, std::uint32_t b) const;
  Batch window_rows(const std::vector<std::uint32_t>& ids) const;
  void refresh(Partition& partition, std::vector<Batch>& changes);

  const plan::TopK params_;
  const Schema schema_;
  RowStore rows_;
  std::vector<std::int64_t> counts_;  // by row
  RowStore partitions_;
  HashIndex index_;
  std::vector<Partition> states_;  // by partition
  std::vector<std::uint32_t> touched_;
};

int TopK::compare(std::uint32_t id, const Batch& batch, std::uint32_t row) const {
  for (const auto& order : params_.order) {
    const Column& column = batch.columns[order.column];
    int plain = rows_.compare(order.column, id, column, row);
    bool a_none = rows_.tag(order.column, id) == CellTag::kNone;
    bool b_none = column.tag(row) == CellTag::kNone;
    if (int c = directed(order, plain, a_none, b_none)) return c;
  }
  if (rows_.key(id) != batch.keys[row]) return rows_.key(id) < batch.keys[row] ? -1 : 1;
  for (std::size_t c = 0; c < batch.columns.size(); ++c)
    if (int d = rows_.compare(c, id, batch.columns[c], row)) return d;
  return 0;
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

void TopK::push(std::size_t, Batch batch, OperatorContext&) {
  batch.materialise_keys();
  std::vector<std::uint64_t> hashes(batch.num_rows, 0);
  std::vector<const Column*> partition_columns;
  for (std::uint32_t c : params_.partition) {
    partition_columns.push_back(&batch.columns[c]);
    batch.columns[c].hash_into(hashes);
  }
  for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
    std::uint32_t p =
        index_.find(hashes[row], [&](std::uint32_t id) { return partitions_.row_equals(id, partition_columns, row); });
    if (p == HashIndex::kNoRow) {
      p = partitions_.insert(partition_columns, row, nullptr);
      index_.insert(hashes[row], p);
      if (p >= states_.size()) states_.resize(p + 1);
    }
    Partition& partition = states_[p];
    if (!partition.touched) {
      partition.touched = true;
      touched_.push_back(p);
    }
    auto order = [&](std::uint32_t id) { return compare(id, batch, row); };
    std::uint32_t id = partition.order.find(order);
    if (id == SortedIds::kNoId) {
      id = rows_.insert(batch, row);
      if (id >= counts_.size()) counts_.resize(id + 1);
      counts_[id] = batch.diff(row);
      partition.order.insert(id, order);
      continue;
    }
    counts_[id] += batch.diff(row);
    if (counts_[id] != 0) continue;
    partition.order.erase([&](std::uint32_t other) { return compare(other, id); });
    rows_.erase(id);
  }
}

Batch TopK::window_rows(const std::vector<std::uint32_t>& ids) const {
  Batch batch = rows_.gather(ids);
  if (params_.rank_column) {
    std::vector<std::int64_t> ranks(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) ranks[i] = static_cast<std::int64_t>(params_.offset + i + 1);
    batch.columns.push_back(Column::from_vector<std::int64_t>(Phys::kI64, std::move(ranks)));
  }
  return batch;
}

void TopK::refresh(Partition& partition, std::vector<Batch>& changes) {
  std::vector<std::uint32_t> window;
  std::uint64_t place = 0;
  std::uint64_t end = params_.limit ? params_.offset + *params_.limit : ~std::uint64_t{0};
  if (end > params_.offset) {
    partition.order.for_each([&](std::uint32_t id) {
      for (std::int64_t n = 0; n < counts_[id] && place < end; ++n, ++place)
        if (place >= params_.offset) window.push_back(id);
      return place < end;
    });
  }
  Batch now = window_rows(window);
  if (!partition.emitted.empty()) {
    Batch old = std::move(partition.emitted);
    old.set_diffs(std::vector<Diff>(old.num_rows, -1));
    changes.push_back(std::move(old));
  }
  if (!now.empty()) changes.push_back(now);
  partition.emitted = std::move(now);
  partition.touched = false;
}

void TopK::close(OperatorContext& context) {
  if (touched_.empty()) return;
  std::vector<Batch> changes;
  for (std::uint32_t p : touched_) refresh(states_[p], changes);
  touched_.clear();
  rows_.compact_if_worthwhile();
  if (changes.empty()) return;
  Batch out = consolidate(Batch::concat(std::move(changes)));
  if (!out.empty()) context.emit(std::move(out));
}

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  return std::make_unique<TopK>(node, std::get<plan::TopK>(node.params), plan.node(node.inputs[0]).schema);
}

std::vector<Route> routes(const plan::Node& node) {
  const auto& params = std::get<plan::TopK>(node.params);
  if (params.partition.empty()) return {Route{Route::By::kOne, {}}};
  return {Route{Route::By::kColumns, params.partition}};
}

}  // namespace

const OperatorDescriptor kTopK{.name = "top_k", .routes = routes, .output_route = spread_unknown, .make = make};

}  // namespace thalweg::operators
