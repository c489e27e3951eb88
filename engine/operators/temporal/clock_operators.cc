// engine/operators/temporal/clock_operators.cc
//
// What goes by the wall clock: ticks as rows, pauses in a stream, when a row last changed. Ticks are at fixed distances
// from the first commit; under a test's clock all of it follows from the times of the commits.
//
// State   utc_now none; pauses one entry per instance; update timestamps the rows with theirs.
#include <map>

#include "engine/operators/registry.h"
#include "engine/operators/temporal/staged_input.h"
#include "engine/state/group_ids.h"
#include "engine/state/ordered_index.h"
#include "engine/state/row_store.h"
#include "engine/state/saved_rows.h"

namespace thalweg::operators {

namespace {

// Instants at fixed distances from the first time it is asked.
class Ticks {
 public:
  explicit Ticks(std::int64_t every_ns, std::int64_t delay_ns = 0) : every_(every_ns), delay_(delay_ns) {}
  // The newest tick at or before `now`; none before the first.
  std::optional<std::int64_t> newest(std::int64_t now) {
    if (!start_) start_ = now + delay_;
    if (now < *start_) return std::nullopt;
    return *start_ + (now - *start_) / every_ * every_;
  }
  void save(StateWriter& out) const {
    out.put_bool(start_.has_value());
    out.put_i64(start_.value_or(0));
  }
  // Of several workers the first that began.
  Result<void> load(StateReader& in) {
    bool begun = TRY(in.boolean());
    std::int64_t start = TRY(in.i64());
    if (begun) start_ = std::min(start_.value_or(start), start);
    return {};
  }

 private:
  std::int64_t every_, delay_;
  std::optional<std::int64_t> start_;
};

class UtcNow : public Operator {
 public:
  explicit UtcNow(const plan::UtcNow& params) : ticks_(params.refresh_ns, params.initial_delay_ns) {}
  void push(std::size_t, Batch, OperatorContext&) override {}
  void close(OperatorContext& context) override {
    if (context.worker().value != 0 || context.is_end() || context.commit() % 2 == 1) return;
    auto tick = ticks_.newest(context.wall_ns());
    if (!tick || tick == last_) return;
    last_ = tick;
    Batch batch;
    batch.num_rows = 1;
    batch.columns.push_back(Column::from_vector<std::int64_t>(Phys::kI64, {*tick}));
    batch.keys = KeyColumn(std::vector<Key>{key_of_values({Value::datetime_utc(*tick)})});
    context.emit(std::move(batch));
  }
  void save(StateWriter& out) const override {
    ticks_.save(out);
    out.put_bool(last_.has_value());
    out.put_i64(last_.value_or(0));
  }
  Result<void> load(StateReader& in, const ShardFilter&) override {  // only worker 0 has one
    TRY(ticks_.load(in));
    bool has_last = TRY(in.boolean());
    std::int64_t last = TRY(in.i64());
    if (has_last) last_ = last;
    return {};
  }

 private:
  Ticks ticks_;
  std::optional<std::int64_t> last_;
};

class Inactivity : public Operator {
 public:
  Inactivity(const plan::Inactivity& params, std::vector<Type> instance)
      : period_(params.period_ns), ticks_(params.refresh_ns), types_(instance), groups_(std::move(instance)) {
    if (params.instance) instance_.push_back(*params.instance);
  }
  void push(std::size_t, Batch batch, OperatorContext&) override { input_.push(std::move(batch)); }

  void close(OperatorContext& context) override {
    std::int64_t now = context.wall_ns();
    auto tick = ticks_.newest(now);
    if (types_.empty() && seen_.empty() && context.worker().value == 0) {  // the start counts as activity
      seen_.push_back({.last = now, .known = true});
    }
    if (!context.is_end() && tick) look(*tick);
    for (const Batch& batch : input_.take()) {
      std::vector<std::uint32_t> groups;
      groups_.assign(batch, instance_, groups);
      for (std::size_t row = 0; row < batch.num_rows; ++row) {
        if (batch.diff(row) <= 0) continue;
        if (seen_.size() <= groups[row]) seen_.resize(groups[row] + 1);
        if (!seen_[groups[row]].known) groups_.add_reference(groups[row]);
        see(groups[row], now);
      }
    }
    flush(context);
  }
  [[nodiscard]] StateSize state() const override {
    return {seen_.size(), seen_.capacity() * sizeof(Seen) + groups_.bytes()};
  }

  void save(StateWriter& out) const override {
    ticks_.save(out);
    std::vector<std::uint32_t> known;
    for (std::uint32_t group = 0; group < seen_.size(); ++group)
      if (seen_[group].known) known.push_back(group);
    Batch batch;
    batch.num_rows = known.size();
    if (!types_.empty()) batch = groups_.cells().gather(known);
    ColumnBuilder last(Phys::kI64, known.size()), paused(Phys::kU8, known.size());
    for (std::uint32_t group : known) {
      last.push_int(seen_[group].last);
      paused.push_bool(seen_[group].paused);
    }
    batch.columns.push_back(last.finish());
    batch.columns.push_back(paused.finish());
    out.put_batch(batch);
  }
  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    TRY(ticks_.load(in));
    Batch batch = TRY(in.batch(with_types(types_, {Kind::kInt, Kind::kBool})));
    batch =
        mine.select(types_.empty() ? Route{Route::By::kOne, {}} : Route{Route::By::kColumns, {0}}, std::move(batch));
    std::vector<std::uint32_t> groups;
    groups_.assign(batch, std::vector<std::uint32_t>(types_.size(), 0), groups);
    for (std::size_t row = 0; row < batch.num_rows; ++row) {
      if (seen_.size() <= groups[row]) seen_.resize(groups[row] + 1);
      if (!seen_[groups[row]].known) groups_.add_reference(groups[row]);
      seen_[groups[row]] = {.last = batch.columns[types_.size()].i64()[row],
                            .known = true,
                            .paused = batch.columns[types_.size() + 1].u8()[row] != 0};
    }
    return {};
  }

 private:
  struct Seen {
    std::int64_t last = 0;
    bool known = false;
    bool paused = false;
  };
  struct Line {
    std::uint32_t group;
    std::int64_t from;
    std::optional<std::int64_t> to;
    Diff diff;
  };

  void look(std::int64_t tick) {
    for (std::uint32_t group = 0; group < seen_.size(); ++group) {
      Seen& seen = seen_[group];
      if (!seen.known || seen.paused || tick - seen.last <= period_) continue;
      seen.paused = true;
      lines_.push_back({group, seen.last, {}, 1});
    }
  }
  void see(std::uint32_t group, std::int64_t now) {
    Seen& seen = seen_[group];
    if (seen.paused) {
      lines_.push_back({group, seen.last, {}, -1});
      lines_.push_back({group, seen.last, now, 1});
    }
    seen = {.last = now, .known = true, .paused = false};
  }
  void flush(OperatorContext& context) {
    if (lines_.empty()) return;
    Batch batch;
    batch.num_rows = lines_.size();
    ColumnBuilder from(Phys::kI64), to(Phys::kI64);
    std::vector<std::uint32_t> groups;
    std::vector<Key> keys;
    std::vector<Diff> diffs;
    for (const Line& line : lines_) {
      groups.push_back(line.group);
      from.push_int(line.from);
      if (line.to)
        to.push_int(*line.to);
      else
        to.push_none();
      diffs.push_back(line.diff);
      std::vector<Value> key{Value::datetime_utc(line.from)};
      if (!types_.empty()) key.push_back(groups_.cells().value(0, line.group));
      keys.push_back(key_of_values(key));
    }
    if (!types_.empty()) batch.columns.push_back(groups_.cells().gather(0, groups));
    batch.columns.push_back(from.finish());
    batch.columns.push_back(to.finish());
    batch.keys = KeyColumn(std::move(keys));
    batch.set_diffs(std::move(diffs));
    lines_.clear();
    context.emit(consolidate(batch));
  }

  std::int64_t period_;
  Ticks ticks_;
  std::vector<Type> types_;
  GroupIds groups_;
  plan::Columns instance_;
  StagedInput input_;
  std::vector<Seen> seen_;  // by instance
  std::vector<Line> lines_;
};

class UpdateTimestamp : public Operator {
 public:
  UpdateTimestamp(const plan::UpdateTimestamp& params, std::vector<Type> types)
      : ticks_(params.refresh_ns), rows_(std::move(types), true) {}
  void push(std::size_t, Batch batch, OperatorContext&) override { input_.push(std::move(batch)); }

  void close(OperatorContext& context) override {
    std::int64_t now = context.wall_ns();
    std::int64_t stamp = ticks_.newest(now).value_or(now);
    for (Batch& batch : input_.take()) {
      std::vector<std::int64_t> stamps(batch.num_rows, stamp);
      std::vector<std::uint32_t> kept;
      for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
        for (Diff diff = batch.diff(row); diff > 0; --diff) remember(batch, row, stamp);
        if (batch.diff(row) > 0 || take(batch, row, stamps[row])) kept.push_back(row);
      }
      batch.columns.push_back(Column::from_vector<std::int64_t>(Phys::kI64, std::move(stamps)));
      if (kept.size() == batch.num_rows)
        context.emit(std::move(batch));
      else if (!kept.empty())
        context.emit(batch.gather(kept));
    }
    rows_.compact_if_worthwhile();
  }
  [[nodiscard]] StateSize state() const override { return {rows_.size(), rows_.bytes() + index_.bytes()}; }

  void save(StateWriter& out) const override {
    ticks_.save(out);
    save_rows(rows_, out, [&](Batch& batch, std::span<const std::uint32_t> ids) {
      ColumnBuilder stamps(Phys::kI64, ids.size());
      for (std::uint32_t id : ids) stamps.push_int(stamps_[id]);
      batch.columns.push_back(stamps.finish());
    });
  }
  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    TRY(ticks_.load(in));
    return load_chunks(in, with_types(rows_.types(), {Kind::kInt}), true, [&](Batch batch) -> Result<void> {
      batch = mine.select({Route::By::kKey, {}}, std::move(batch));
      Batch rows = without_last(batch, 1);
      for (std::uint32_t row = 0; row < batch.num_rows; ++row) remember(rows, row, batch.columns.back().i64()[row]);
      return {};
    });
  }

 private:
  void remember(const Batch& batch, std::uint32_t row, std::int64_t stamp) {
    std::uint32_t id = rows_.insert(batch, row);
    index_.insert({0, id, 0, batch.keys[row]});
    if (stamps_.size() <= id) stamps_.resize(id + 1);
    stamps_[id] = stamp;
  }
  bool take(const Batch& batch, std::uint32_t row, std::int64_t& stamp) {
    std::vector<const Column*> cells;
    for (const Column& column : batch.columns) cells.push_back(&column);
    for (auto at = index_.seek({0, 0, 0, batch.keys[row]}); at && at->key == batch.keys[row]; at.next()) {
      if (!rows_.row_equals(at->row, cells, row)) continue;
      OrderedEntry entry = *at;
      stamp = stamps_[entry.row];
      index_.erase(entry);
      rows_.erase(entry.row);
      return true;
    }
    return false;
  }

  Ticks ticks_;
  RowStore rows_;
  OrderedIndex<> index_;  // by row key
  std::vector<std::int64_t> stamps_;
  StagedInput input_;
};

Result<std::unique_ptr<Operator>> make_utc_now(const plan::Node& node, const plan::Plan&) {
  return std::make_unique<UtcNow>(std::get<plan::UtcNow>(node.params));
}
Result<std::unique_ptr<Operator>> make_inactivity(const plan::Node& node, const plan::Plan& plan) {
  const auto& params = std::get<plan::Inactivity>(node.params);
  std::vector<Type> instance;
  if (params.instance) instance.push_back(plan.node(node.inputs[0]).schema.columns[*params.instance].type);
  return std::make_unique<Inactivity>(params, std::move(instance));
}
Result<std::unique_ptr<Operator>> make_update_timestamp(const plan::Node& node, const plan::Plan& plan) {
  std::vector<Type> types;
  for (const ColumnSpec& column : plan.node(node.inputs[0]).schema.columns) types.push_back(column.type);
  return std::make_unique<UpdateTimestamp>(std::get<plan::UpdateTimestamp>(node.params), std::move(types));
}
std::vector<Route> inactivity_routes(const plan::Node& node) {
  const auto& params = std::get<plan::Inactivity>(node.params);
  if (!params.instance) return {{Route::By::kOne, {}}};
  return {{Route::By::kColumns, {*params.instance}}};
}

}  // namespace

const OperatorDescriptor kUtcNow{
    .name = "utc_now", .routes = route_any, .output_route = spread_unknown, .make = make_utc_now, .state_version = 1};
const OperatorDescriptor kInactivity{.name = "inactivity_detection",
                                     .routes = inactivity_routes,
                                     .output_route = spread_unknown,
                                     .make = make_inactivity,
                                     .state_version = 1};
const OperatorDescriptor kUpdateTimestamp{.name = "add_update_timestamp_utc",
                                          .routes = route_by_key,
                                          .output_route = spread_by_key,
                                          .make = make_update_timestamp,
                                          .state_version = 1};

}  // namespace thalweg::operators
