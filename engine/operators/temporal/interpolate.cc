// engine/operators/temporal/interpolate.cc
//
// Fills Nones of value columns linearly between the nearest rows in time that have a value; at the ends with the
// nearest one. Rows are ordered by (timestamp, key). Two neighbours of equal time divide by zero: an ERROR.
//
// State   rows, their order, per value column the order of the rows that have one, and what was emitted.
// Cost    a seek per changed row and value, and the run of Nones around it.
#include "engine/operators/quiet_context.h"
#include "engine/operators/registry.h"
#include "engine/operators/temporal/staged_input.h"
#include "engine/operators/temporal/time_axis.h"
#include "engine/state/row_store.h"
#include "engine/state/saved_rows.h"

namespace thalweg::operators {

namespace {

struct Filled {
  double value = 0;
  CellTag tag = CellTag::kNone;
  friend bool operator==(const Filled& a, const Filled& b) {
    return a.tag == b.tag && order_of_float(a.value) == order_of_float(b.value);
  }
};

class Interpolate : public Operator {
 public:
  Interpolate(plan::Interpolate params, const Schema& schema, SourceSpan span)
      : params_(std::move(params)),
        axis_(schema.columns[params_.timestamp].type),
        rows_(types_of(schema), true),
        span_(span) {
    for (std::size_t i = 0; i < params_.values.size(); ++i) known_.push_back(std::make_unique<OrderedIndex<>>());
  }

  void push(std::size_t, Batch batch, OperatorContext&) override { input_.push(std::move(batch)); }

  void close(OperatorContext& context) override {
    if (input_.empty()) return;
    for (const Batch& batch : input_.take()) {
      for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
        if (!batch.columns[params_.timestamp].is_value(row)) {
          if (batch.diff(row) > 0)
            context.report(ErrorKind::kSkipped, "Error value encountered in timestamp, skipping the row", span_,
                           batch.keys[row]);
          continue;
        }
        Diff diff = batch.diff(row);
        for (; diff > 0; --diff) insert(batch, row);
        for (; diff < 0; ++diff) remove(batch, row);
      }
    }
    mark_runs();
    settle(context);
  }

  [[nodiscard]] StateSize state() const override {
    std::size_t bytes = rows_.bytes() + index_.bytes() + filled_.capacity() * sizeof(Filled);
    for (const auto& index : known_) bytes += index->bytes();
    return {rows_.size(), bytes};
  }

  // The rows say it all.
  void save(StateWriter& out) const override { save_rows(rows_, out); }
  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    return load_chunks(in, rows_.types(), true, [&](Batch batch) -> Result<void> {
      if (mine.takes_single()) input_.push(std::move(batch));
      return {};
    });
  }
  Result<void> finish_load() override { return QuietContext().close(*this); }

 private:
  static std::vector<Type> types_of(const Schema& schema) {
    std::vector<Type> types;
    for (const ColumnSpec& column : schema.columns) types.push_back(column.type);
    return types;
  }
  [[nodiscard]] std::int64_t time(std::uint32_t row) const {
    std::uint32_t column = params_.timestamp;
    return axis_.is_float() ? order_of_float(rows_.cell<double>(column, row)) : rows_.cell<std::int64_t>(column, row);
  }
  [[nodiscard]] OrderedEntry entry(std::uint32_t row) const { return {0, row, time(row), rows_.key(row)}; }
  [[nodiscard]] double value(std::size_t which, std::uint32_t row) const {
    std::uint32_t column = params_.values[which];
    return rows_.types()[column].phys() == Phys::kF64 ? rows_.cell<double>(column, row)
                                                      : static_cast<double>(rows_.cell<std::int64_t>(column, row));
  }

  void insert(const Batch& batch, std::uint32_t row) {
    std::uint32_t id = rows_.insert(batch, row);
    if (state_.size() <= id) {
      state_.resize(id + 1);
      filled_.resize((id + 1) * params_.values.size());
    }
    state_[id] = {.emitted = false, .dirty = false, .linked = true};
    link(id, true);
  }

  void remove(const Batch& batch, std::uint32_t row) {
    std::vector<const Column*> cells;
    for (const Column& column : batch.columns) cells.push_back(&column);
    std::int64_t at_time = axis_.order(batch.columns[params_.timestamp], row);
    const Key& key = batch.keys[row];
    for (auto at = index_.seek({0, 0, at_time, key}); at && at->order == at_time && at->key == key; at.next()) {
      if (!rows_.row_equals(at->row, cells, row)) continue;
      std::uint32_t id = at->row;
      state_[id].linked = false;
      link(id, false);
      gone_.push_back(id);
      return;
    }
  }

  void link(std::uint32_t id, bool in) {
    OrderedEntry mine = entry(id);
    if (in)
      index_.insert(mine);
    else
      ENSURE(index_.erase(mine));
    for (std::size_t which = 0; which < params_.values.size(); ++which) {
      if (rows_.tag(params_.values[which], id) != CellTag::kValue) continue;
      if (in)
        known_[which]->insert(mine);
      else
        ENSURE(known_[which]->erase(mine));
      changed_.push_back({which, mine});
    }
    mark(id);
  }

  void mark(std::uint32_t row) {
    if (state_[row].dirty) return;
    state_[row].dirty = true;
    dirty_.push_back(row);
  }

  // Rows without a value between the known ones around a known row that came or went.
  void mark_runs() {
    for (const auto& [which, mine] : changed_) {
      auto from = index_.seek_before(mine);
      for (; from && rows_.tag(params_.values[which], from->row) == CellTag::kNone; from.prev()) mark(from->row);
      auto to = index_.seek(mine);
      if (to && to->row == mine.row) to.next();
      for (; to && rows_.tag(params_.values[which], to->row) == CellTag::kNone; to.next()) mark(to->row);
    }
    changed_.clear();
  }

  [[nodiscard]] Filled fill(std::size_t which, std::uint32_t row) const {
    CellTag tag = rows_.tag(params_.values[which], row);
    if (tag == CellTag::kValue) return {value(which, row), tag};
    if (tag != CellTag::kNone) return {0, tag};
    OrderedEntry mine = entry(row);
    auto before = known_[which]->seek_before(mine), after = known_[which]->seek(mine);
    if (!before && !after) return {};
    if (!before) return {value(which, after->row), CellTag::kValue};
    if (!after) return {value(which, before->row), CellTag::kValue};
    double width = span(before->order, after->order);
    if (width == 0) return {0, CellTag::kError};
    double low = value(which, before->row), high = value(which, after->row);
    return {low + (high - low) * (span(before->order, mine.order) / width), CellTag::kValue};
  }
  [[nodiscard]] double span(std::int64_t from, std::int64_t to) const {
    if (axis_.is_float()) return float_of_order(to) - float_of_order(from);
    return static_cast<double>(static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from));
  }

  void settle(OperatorContext& context) {
    std::size_t width = params_.values.size();
    std::vector<std::uint32_t> out, in;
    std::vector<Filled> fresh(dirty_.size() * width);
    for (std::size_t i = 0; i < dirty_.size(); ++i) {
      std::uint32_t row = dirty_[i];
      state_[row].dirty = false;
      bool same = state_[row].emitted && state_[row].linked;
      for (std::size_t which = 0; which < width && state_[row].linked; ++which) {
        fresh[i * width + which] = fill(which, row);
        same = same && fresh[i * width + which] == filled_[row * width + which];
      }
      if (same) continue;
      if (state_[row].emitted) out.push_back(row);
      if (state_[row].linked) in.push_back(static_cast<std::uint32_t>(i));
      state_[row].emitted = state_[row].linked;
    }
    emit(out, -1, context);
    for (std::uint32_t& i : in) {
      std::uint32_t row = dirty_[i];
      for (std::size_t which = 0; which < width; ++which) {
        filled_[row * width + which] = fresh[i * width + which];
        bool made =
            fresh[i * width + which].tag == CellTag::kError && rows_.tag(params_.values[which], row) == CellTag::kNone;
        if (made) context.report(ErrorKind::kValue, "division by zero", span_, rows_.key(row));
      }
      i = row;
    }
    emit(in, 1, context);
    dirty_.clear();
    for (std::uint32_t row : gone_) rows_.erase(row);
    gone_.clear();
    rows_.compact_if_worthwhile();
  }

  void emit(const std::vector<std::uint32_t>& rows, Diff diff, OperatorContext& context) {
    std::size_t width = params_.values.size();
    for (std::size_t from = 0; from < rows.size(); from += kChunkRows) {
      std::span<const std::uint32_t> ids(rows.data() + from, std::min(kChunkRows, rows.size() - from));
      Batch batch = rows_.gather(ids);
      for (std::size_t which = 0; which < width; ++which) {
        ColumnBuilder builder(Phys::kF64, ids.size());
        for (std::uint32_t row : ids) {
          const Filled& cell = filled_[row * width + which];
          if (cell.tag == CellTag::kValue)
            builder.push_float(cell.value);
          else
            builder.push_tagged(cell.tag);
        }
        batch.columns[params_.values[which]] = builder.finish();
      }
      if (diff != 1) batch.set_diffs(std::vector<Diff>(ids.size(), diff));
      context.emit(std::move(batch));
    }
  }

  struct RowState {
    bool emitted = false;
    bool dirty = false;
    bool linked = false;
  };
  struct Changed {
    std::size_t which;
    OrderedEntry entry;
  };

  plan::Interpolate params_;
  TimeAxis axis_;
  RowStore rows_;
  SourceSpan span_;
  OrderedIndex<> index_;
  std::vector<std::unique_ptr<OrderedIndex<>>> known_;  // per value: rows that have one
  StagedInput input_;
  std::vector<RowState> state_;  // by row
  std::vector<Filled> filled_;   // by row and value: as emitted
  std::vector<Changed> changed_;
  std::vector<std::uint32_t> dirty_, gone_;
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  return std::make_unique<Interpolate>(std::get<plan::Interpolate>(node.params), plan.node(node.inputs[0]).schema,
                                       node.span);
}
std::vector<Route> routes(const plan::Node&) { return {{Route::By::kOne, {}}}; }
Route output_route(const plan::Node&) { return {Route::By::kOne, {}}; }

}  // namespace

const OperatorDescriptor kInterpolate{
    .name = "interpolate", .routes = routes, .output_route = output_route, .make = make, .state_version = 1};

}  // namespace thalweg::operators
