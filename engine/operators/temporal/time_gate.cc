// engine/operators/temporal/time_gate.cc
//
// Where event time decides what goes on: freeze drops what is late, buffer holds what is early, forget takes back what
// is old. The clock of a gate is the maximum of a time column over the rows that have reached it, on all workers.
//
// G1  Freeze and forget go by the clock of earlier commits, buffer by that of the running one.
// G2  Forget acts only in a commit in which a row reaches the gate, on whatever worker; the end of input forgets
// nothing. G3  The end of input releases all that is held. State   freeze: the clock. Buffer: held rows. Forget: rows
// not yet forgotten. Cost    a row costs a seek when it comes and one when it is due.
#include "engine/operators/registry.h"
#include "engine/operators/temporal/clocks.h"
#include "engine/operators/temporal/staged_input.h"
#include "engine/operators/temporal/time_axis.h"
#include "engine/state/ordered_index.h"
#include "engine/state/row_store.h"
#include "engine/state/saved_rows.h"

namespace thalweg::operators {

namespace {

constexpr std::int64_t kNever = Clocks::kNever;

// Rows by the time at which they are due.
class WaitingRows {
 public:
  explicit WaitingRows(std::vector<Type> types) : rows_(std::move(types), true) {}
  [[nodiscard]] std::size_t size() const { return rows_.size(); }
  [[nodiscard]] const RowStore& rows() const { return rows_; }
  [[nodiscard]] std::size_t bytes() const { return rows_.bytes() + index_.bytes(); }

  void add(const Batch& batch, std::size_t row, std::uint32_t instance, std::int64_t due) {
    std::uint32_t id = rows_.insert(batch, row);
    index_.insert({instance, id, due, batch.keys[row]});
  }
  // Takes out a row with these cells, if there is one.
  bool cancel(const Batch& batch, std::size_t row, std::uint32_t instance, std::int64_t due) {
    std::vector<const Column*> cells;
    for (const Column& column : batch.columns) cells.push_back(&column);
    const Key& key = batch.keys[row];
    for (auto at = index_.seek({instance, 0, due, key});
         at && at->group == instance && at->order == due && at->key == key; at.next()) {
      if (!rows_.row_equals(at->row, cells, row)) continue;
      OrderedEntry entry = *at;
      index_.erase(entry);
      rows_.erase(entry.row);
      return true;
    }
    return false;
  }
  // Takes out the rows of an instance that are due at `now`; appends them to `out`.
  void take_due(std::uint32_t instance, std::int64_t now, std::vector<std::uint32_t>& out) {
    std::vector<OrderedEntry> due;
    for (auto at = index_.seek(first_of(instance, kNever)); at && at->group == instance && at->order <= now; at.next())
      due.push_back(*at);
    for (const OrderedEntry& entry : due) {
      index_.erase(entry);
      out.push_back(entry.row);
    }
  }
  void take_all(std::vector<std::uint32_t>& out) {
    for (auto at = index_.first(); at; at.next()) out.push_back(at->row);
    index_.clear();
  }
  // Rows that were taken, as batches; then they are gone.
  void emit_taken(std::vector<std::uint32_t>& taken, Diff diff, OperatorContext& context) {
    for (std::size_t from = 0; from < taken.size(); from += kChunkRows) {
      std::span<const std::uint32_t> ids(taken.data() + from, std::min(kChunkRows, taken.size() - from));
      Batch batch = rows_.gather(ids);
      if (diff != 1) batch.set_diffs(std::vector<Diff>(ids.size(), diff));
      context.emit(std::move(batch));
    }
    for (std::uint32_t id : taken) rows_.erase(id);
    taken.clear();
    rows_.compact_if_worthwhile();
  }

 private:
  RowStore rows_;
  OrderedIndex<> index_;
};

Route route_of(const plan::TimeGate& params) {
  if (params.instance) return {Route::By::kColumns, {*params.instance}};
  return {params.kind == plan::GateKind::kFreeze ? Route::By::kAny : Route::By::kKey, {}};
}

class TimeGate : public Operator {
 public:
  TimeGate(const plan::TimeGate& params, const Schema& schema, const Schema* clock_schema, std::vector<Type> instance,
           SourceSpan span)
      : params_(params),
        axis_(schema.columns[params.time].type),
        threshold_(axis_.length(params.threshold)),
        clock_from_port_1_(clock_schema != nullptr),
        clocks_(std::move(instance)),
        waiting_(types_of(schema)),
        span_(span) {
    if (params.instance) instance_columns_.push_back(*params.instance);
    if (params.clock_instance) clock_instance_columns_.push_back(*params.clock_instance);
  }

  void push(std::size_t port, Batch batch, OperatorContext&) override {
    (port == 0 ? input_ : clock_input_).push(std::move(batch));
  }

  void close(OperatorContext& context) override {
    std::vector<Batch> batches = input_.take();
    std::vector<std::vector<std::uint32_t>> instances(batches.size());
    for (std::size_t i = 0; i < batches.size(); ++i) {
      clocks_.instances(batches[i], instance_columns_, instances[i]);
      if (!clock_from_port_1_)
        see(batches[i], instances[i], params_.clock.value_or(params_.time));
      else if (batches[i].num_rows > 0)
        clocks_.touch();
    }
    for (const Batch& batch : clock_input_.take()) {
      std::vector<std::uint32_t> of_rows;
      clocks_.instances(batch, clock_instance_columns_, of_rows);
      see(batch, of_rows, *params_.clock);
    }
    clocks_.exchange(context);
    for (std::size_t i = 0; i < batches.size(); ++i) pass(std::move(batches[i]), instances[i], context);
    if (params_.kind == plan::GateKind::kBuffer) release(context);
    if (params_.kind == plan::GateKind::kForget) forget(context);
    clocks_.end_commit();
  }

  [[nodiscard]] bool wants_odd() const override { return !pending_.empty(); }
  void start_odd(OperatorContext& context) override { waiting_.emit_taken(pending_, -1, context); }

  [[nodiscard]] StateSize state() const override {
    return {waiting_.size(), waiting_.bytes() + clocks_.bytes(), late_rows_};
  }

  void save(StateWriter& out) const override {
    clocks_.save(out, due_instances_);
    out.put_u64(late_rows_);
    save_rows(waiting_.rows(), out);
  }
  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    TRY(clocks_.load(in, mine, due_instances_));
    std::uint64_t late = TRY(in.u64());
    if (mine.takes_single()) late_rows_ += late;
    return load_chunks(in, waiting_.rows().types(), true, [&](Batch batch) -> Result<void> {
      batch = mine.select(route_, std::move(batch));
      std::vector<std::uint32_t> instances;
      clocks_.instances(batch, instance_columns_, instances);
      const Column& times = batch.columns[params_.time];
      for (std::size_t row = 0; row < batch.num_rows; ++row)
        waiting_.add(batch, row, instances[row], axis_.plus(axis_.order(times, row), threshold_));
      return {};
    });
  }

 private:
  static std::vector<Type> types_of(const Schema& schema) {
    std::vector<Type> types;
    for (const ColumnSpec& column : schema.columns) types.push_back(column.type);
    return types;
  }

  void see(const Batch& batch, const std::vector<std::uint32_t>& instances, std::uint32_t column) {
    const Column& times = batch.columns[column];
    for (std::size_t row = 0; row < batch.num_rows; ++row)
      if (times.is_value(row)) clocks_.see(instances[row], axis_.order(times, row));
  }

  void pass(Batch batch, const std::vector<std::uint32_t>& instances, OperatorContext& context) {
    const Column& times = batch.columns[params_.time];
    std::vector<std::uint32_t> kept;
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      if (!times.is_value(row)) {
        if (batch.diff(row) > 0)
          context.report(ErrorKind::kSkipped, "Error value encountered in the time of a row, skipping the row", span_,
                         batch.keys[row]);
        continue;
      }
      std::int64_t due = axis_.plus(axis_.order(times, row), threshold_);
      if (passes(batch, row, instances[row], due, context)) kept.push_back(row);
    }
    if (kept.size() == batch.num_rows)
      context.emit(std::move(batch));
    else if (!kept.empty())
      context.emit(batch.gather(kept));
  }

  bool passes(const Batch& batch, std::size_t row, std::uint32_t instance, std::int64_t due, OperatorContext& context) {
    switch (params_.kind) {
      case plan::GateKind::kFreeze: {
        bool late = is_past(clocks_.before(instance), due);
        if (late && !params_.late && batch.diff(row) > 0) late_rows_ += static_cast<std::uint64_t>(batch.diff(row));
        return params_.late ? late && batch.diff(row) > 0 : !late;
      }
      case plan::GateKind::kBuffer:
        if (batch.diff(row) < 0) return !cancel(batch, row, instance, due);
        if (context.is_end() || is_past(clocks_.now(instance), due)) return true;
        hold(batch, row, instance, due);
        return false;
      case plan::GateKind::kForget:
        if (batch.diff(row) < 0) return cancel(batch, row, instance, due);  // of what is forgotten: absorbed
        hold(batch, row, instance, due);
        if (is_past(clocks_.before(instance), due)) late_instances_.push_back(instance);
        return true;
    }
    UNREACHABLE();
  }
  static bool is_past(std::int64_t clock, std::int64_t due) { return clock != kNever && clock >= due; }

  void hold(const Batch& batch, std::size_t row, std::uint32_t instance, std::int64_t due) {
    for (Diff diff = batch.diff(row); diff > 0; --diff) waiting_.add(batch, row, instance, due);
  }
  bool cancel(const Batch& batch, std::size_t row, std::uint32_t instance, std::int64_t due) {
    bool any = false;
    for (Diff diff = batch.diff(row); diff < 0; ++diff) any = waiting_.cancel(batch, row, instance, due) || any;
    return any;
  }

  void release(OperatorContext& context) {
    std::vector<std::uint32_t> taken;
    if (context.is_end())
      waiting_.take_all(taken);
    else
      for (std::uint32_t instance : clocks_.moved()) waiting_.take_due(instance, clocks_.now(instance), taken);
    waiting_.emit_taken(taken, 1, context);
  }

  // The clock that decides is that of earlier commits: what became due in the last commit falls now.
  void forget(OperatorContext& context) {
    bool acts = clocks_.saw_rows() && !context.is_end();
    std::vector<std::uint32_t> taken;
    if (acts) {
      for (std::uint32_t instance : due_instances_) waiting_.take_due(instance, clocks_.before(instance), taken);
      due_instances_.clear();
      for (std::uint32_t instance : late_instances_) waiting_.take_due(instance, clocks_.before(instance), taken);
      late_instances_.clear();
    }
    due_instances_.insert(due_instances_.end(), clocks_.moved().begin(), clocks_.moved().end());
    if (!params_.mark)
      waiting_.emit_taken(taken, -1, context);
    else
      pending_.insert(pending_.end(), taken.begin(), taken.end());
  }

  plan::TimeGate params_;
  const Route route_ = route_of(params_);
  TimeAxis axis_;
  TimeLength threshold_;
  bool clock_from_port_1_;
  Clocks clocks_;
  WaitingRows waiting_;
  SourceSpan span_;
  plan::Columns instance_columns_, clock_instance_columns_;
  StagedInput input_, clock_input_;
  std::uint64_t late_rows_ = 0;                // that freeze dropped
  std::vector<std::uint32_t> due_instances_;   // whose clock moved since the last time that forget acted
  std::vector<std::uint32_t> late_instances_;  // that got rows in this commit which are due already
  std::vector<std::uint32_t> pending_;         // forgotten, to be retracted in the odd commit
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  const auto& params = std::get<plan::TimeGate>(node.params);
  const Schema& schema = plan.node(node.inputs[0]).schema;
  const Schema* clock_schema = node.inputs.size() > 1 ? &plan.node(node.inputs[1]).schema : nullptr;
  std::vector<Type> instance;
  if (params.instance) instance.push_back(schema.columns[*params.instance].type);
  return std::make_unique<TimeGate>(params, schema, clock_schema, std::move(instance), node.span);
}

std::vector<Route> routes(const plan::Node& node) {
  const auto& params = std::get<plan::TimeGate>(node.params);
  std::vector<Route> result{route_of(params)};
  if (node.inputs.size() > 1)
    result.push_back(params.clock_instance ? Route{Route::By::kColumns, {*params.clock_instance}} : Route{});
  return result;
}

}  // namespace

const OperatorDescriptor kTimeGate{
    .name = "time_gate", .routes = routes, .output_route = spread_unknown, .make = make, .state_version = 1};

}  // namespace thalweg::operators
