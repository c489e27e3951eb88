// engine/operators/temporal/sliding_groupby.cc
//
// Sliding windows that share partial results: a row is reduced into its pane once, and at close every window that a
// change can reach is put together from its panes, each pane passed once per run of neighbouring windows.
//
// P1  After close() the rows out are those that WindowAssign, freeze, buffer, forget and GroupBy would have out.
// P2  A closed window (cutoff) never changes again. Every window that is open was open for all rows of its panes, so a
//     pane needs to know nothing of which of its rows came late.
// State   reducers and 24 bytes per pane, one row per window that is out, both in order. Behind the cutoff: nothing.
// Cost    per row two probes and its reducers, whatever the length of windows; per commit and window that changes, a
// step
//         over its panes' order, and the row.
#include <algorithm>

#include "engine/operators/quiet_context.h"
#include "engine/operators/reducers/reducer_set.h"
#include "engine/operators/registry.h"
#include "engine/operators/temporal/clocks.h"
#include "engine/operators/temporal/pane_axis.h"
#include "engine/operators/temporal/staged_input.h"
#include "engine/plan/panes.h"
#include "engine/state/group_ids.h"
#include "engine/state/hash_index.h"
#include "engine/state/saved_rows.h"

namespace thalweg::operators {

namespace {

constexpr std::uint32_t kNoRow = HashIndex::kNoRow;

struct Pane {
  std::uint32_t partition = 0;  // the instance
  std::uint32_t clock = 0;      // its clock
  std::int64_t index = 0;
};

// Windows of one partition that may have changed, ends included.
struct Run {
  std::uint32_t partition = 0, clock = 0;
  std::int64_t first = 0, last = 0;
};

// Windows to be put together, and the panes for it.
struct Pending {
  std::vector<Run> windows;        // of one window each
  std::vector<std::uint32_t> old;  // the row that is out, or kNoRow
  std::vector<std::uint32_t> panes;
  std::vector<Stretch> stretches;  // of panes, per window
};

std::uint64_t pane_hash(std::uint32_t partition, std::int64_t index) {
  std::uint64_t x = static_cast<std::uint64_t>(index) + partition * 0x9E3779B97F4A7C15ULL;
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93ULL;
  return x ^ (x >> 32);
}

std::vector<Type> instance_types(const Schema& schema, const std::optional<std::uint32_t>& instance) {
  std::vector<Type> types;
  if (instance) types.push_back(schema.columns[*instance].type);
  return types;
}

std::vector<Type> types_of(const Schema& schema) {
  std::vector<Type> types;
  for (const ColumnSpec& column : schema.columns) types.push_back(column.type);
  return types;
}

class SlidingGroupBy : public Operator {
 public:
  SlidingGroupBy(const plan::Node& node, const plan::SlidingGroupBy& params, plan::GroupBy group, const Schema& input,
                 ReducerSet reducers)
      : params_(params),
        group_(std::move(group)),
        schema_(node.schema),
        span_(node.span),
        keys_needed_(node.keys_needed),
        axis_(input.columns[params.windows.time].type),
        pane_axis_(params.windows, axis_),
        from_end_(!params.emit_after.is_none()),
        wait_(axis_.length(from_end_ ? params.emit_after : params.delay)),
        cutoff_(axis_.length(params.cutoff)),
        waits_(from_end_ || !params.delay.is_none()),
        closes_(!params.cutoff.is_none()),
        reducers_(std::move(reducers)),
        partitions_(instance_types(input, params.instance)),
        clocks_(params.instance_clock ? instance_types(input, params.instance) : std::vector<Type>{}),
        rows_(types_of(node.schema), false) {
    if (params.instance) instance_columns_.push_back(*params.instance);
  }

  void push(std::size_t, Batch batch, OperatorContext& context) override {
    if (waits_ || closes_)
      input_.push(std::move(batch));
    else
      apply(std::move(batch), context);
  }

  void close(OperatorContext& context) override {
    bool moves = waits_ || closes_;
    if (moves) {
      for (Batch& batch : input_.take()) apply(std::move(batch), context);
      clocks_.exchange(context);
    }
    if (closes_ && !params_.keep_results) take_back_closed(context);
    add_touched(context);
    if (waits_) add_released(context);
    put_together(context);
    drop_empty();
    if (moves) end_commit(context);
    partitions_.drop_unreferenced();
    rows_.compact_if_worthwhile();
    reducers_.maintain();
  }

  [[nodiscard]] StateSize state() const override {
    std::size_t bytes = reducers_.bytes() + partitions_.bytes() + clocks_.bytes() + rows_.bytes() + pane_rows_.bytes() +
                        panes_.capacity() * (sizeof(Pane) + 1) + panes_in_order_.bytes() + windows_in_order_.bytes() +
                        panes_by_time_.bytes() + windows_by_time_.bytes();
    return {panes_in_order_.size() + rows_.size(), bytes, late_rows_};
  }

  // Which windows are out and closed follows from the clocks.
  void save(StateWriter& out) const override {
    clocks_.save(out, closing_);
    out.put_u64(late_rows_);
    save_panes(out);
    std::vector<std::int64_t> windows(rows_.end());
    for (auto at = windows_in_order_.first(); at; at.next()) windows[at->row] = at->order;
    save_rows(rows_, out, [&](Batch& batch, std::span<const std::uint32_t> ids) {
      ColumnBuilder of_row(Phys::kI64, ids.size());
      for (std::uint32_t id : ids) of_row.push_int(windows[id]);
      batch.columns.push_back(of_row.finish());
    });
  }
  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    TRY(clocks_.load(in, mine, closing_));
    std::uint64_t late = TRY(in.u64());
    if (mine.takes_single()) late_rows_ += late;
    TRY(load_panes(in, mine));
    TRY(load_windows(in, mine));
    partitions_.drop_unreferenced();
    if (waits_) released_.assign(clocks_.size(), PaneAxis::kNone);
    if (closes_) closed_.assign(clocks_.size(), PaneAxis::kNone);
    for (std::uint32_t clock = 0; clock < clocks_.size(); ++clock) {
      if (waits_) released_[clock] = due(clock, from_end_, wait_);
      if (closes_) closed_[clock] = due(clock, true, cutoff_);
    }
    return {};
  }

 private:
  // ---------------------------------------------------------------- saved

  // The instance, if any, and the number of a pane.
  void save_panes(StateWriter& out) const {
    std::vector<std::uint32_t> ids;
    for (auto at = panes_in_order_.first(); at; at.next()) ids.push_back(at->row);
    for (std::size_t from = 0; from < ids.size(); from += kChunkRows) {
      std::vector<std::uint32_t> partitions;
      std::vector<std::int64_t> indexes;
      for (std::size_t i = from; i < std::min(from + kChunkRows, ids.size()); ++i) {
        partitions.push_back(panes_[ids[i]].partition);
        indexes.push_back(panes_[ids[i]].index);
      }
      Batch batch;
      if (params_.instance) batch = partitions_.cells().gather(partitions);
      batch.num_rows = indexes.size();
      batch.columns.push_back(Column::from_vector<std::int64_t>(Phys::kI64, std::move(indexes)));
      put_chunk(batch, out);
    }
    end_chunks(out);
    reducers_.save(ids, out);
  }
  [[nodiscard]] Route route_by(std::uint32_t instance) const {
    return columns_or_one(params_.instance ? plan::Columns{instance} : plan::Columns{});
  }
  // Partitions and clocks of rows with the instance in this column.
  void place(const Batch& batch, std::uint32_t instance) {
    plan::Columns columns;
    if (params_.instance) columns.push_back(instance);
    partitions_.assign(batch, columns, partition_of_);
    clock_of_.assign(batch.num_rows, 0);
    if (params_.instance_clock) clocks_.instances(batch, columns, clock_of_);
  }
  Result<void> load_panes(StateReader& in, const ShardFilter& mine) {
    std::vector<std::uint32_t> by_place;
    std::vector<Type> types = with_types(partitions_.cells().types(), {Kind::kInt});
    TRY(load_chunks(in, types, false, [&](Batch batch) -> Result<void> {
      std::size_t first = by_place.size();
      by_place.resize(first + batch.num_rows, kNotMine);
      std::vector<std::uint32_t> taken = mine.rows_of(route_by(0), batch);
      batch = batch.gather(taken);
      place(batch, 0);
      for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
        Pane pane{partition_of_[row], clock_of_[row], batch.columns.back().i64()[row]};
        by_place[first + taken[row]] = add_pane(pane, pane_hash(pane.partition, pane.index));
      }
      return {};
    }));
    return reducers_.load(in, by_place);
  }
  Result<void> load_windows(StateReader& in, const ShardFilter& mine) {
    constexpr std::uint32_t kInstance = 2;  // column of the result
    return load_chunks(in, with_types(rows_.types(), {Kind::kInt}), false, [&](Batch batch) -> Result<void> {
      batch = mine.select(route_by(kInstance), std::move(batch));
      place(batch, kInstance);
      Column windows = batch.columns.back();
      Batch rows = without_last(std::move(batch), 1);
      std::vector<const Column*> cells = pointers_to(rows);
      for (std::uint32_t row = 0; row < rows.num_rows; ++row) {
        std::int64_t window = windows.i64()[row];
        remember_window({partition_of_[row], clock_of_[row], window, window}, cells, row);
      }
      return {};
    });
  }

  // ---------------------------------------------------------------- rows into panes

  void apply(Batch batch, OperatorContext& context) {
    partitions_.assign(batch, instance_columns_, partition_of_);
    clock_of_.assign(batch.num_rows, 0);
    if (params_.instance_clock) clocks_.instances(batch, instance_columns_, clock_of_);
    pane_of_.clear();
    kept_.clear();
    const Column& times = batch.columns[params_.windows.time];
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      if (!times.is_value(row)) {
        skip(batch, row, "Error value encountered in window time, skipping the row", context);
        continue;
      }
      std::int64_t time = axis_.order(times, row);
      auto index = pane_axis_.pane(time);
      if (!index) {
        skip(batch, row, "window bounds are out of range, skipping the row", context);
        continue;
      }
      if (pane_axis_.first_window(*index) > pane_axis_.last_window(*index)) continue;
      std::uint32_t pane = pane_for(batch, row, time, *index, context);
      if (pane == kNoRow) continue;
      kept_.push_back(row);
      pane_of_.push_back(pane);
    }
    if (kept_.empty()) return;
    if (kept_.size() < batch.num_rows) batch = batch.gather(kept_);
    reduce(batch, context.commit());
  }

  void skip(const Batch& batch, std::size_t row, const char* why, OperatorContext& context) const {
    if (batch.diff(row) < 0) return;
    std::optional<Key> key;
    if (batch.keys.written()) key = batch.keys[row];
    context.report(ErrorKind::kSkipped, why, span_, key);
  }

  // kNoRow for a row that is dropped.
  std::uint32_t pane_for(const Batch& batch, std::uint32_t row, std::int64_t time, std::int64_t index,
                         OperatorContext& context) {
    std::uint32_t clock = clock_of_[row];
    if (waits_ || closes_) clocks_.see(clock, time);
    if (params_.instance && batch.columns[*params_.instance].tag(row) == CellTag::kError) {
      skip(batch, row, "Error value encountered in grouping columns, skipping the row", context);
      return kNoRow;
    }
    if (closes_) {
      std::int64_t first = pane_axis_.first_window(index), last = pane_axis_.last_window(index),
                   closed = closed_before(clock);
      if (closed >= first && batch.diff(row) > 0)
        late_rows_ += static_cast<std::uint64_t>(std::min(last, closed) - first + 1);
      if (closed >= last) return kNoRow;
      took_rows_ = true;
    }
    return find_pane(partition_of_[row], clock, index);
  }

  std::uint32_t find_pane(std::uint32_t partition, std::uint32_t clock, std::int64_t index) {
    auto is_it = [&](std::uint32_t id) { return panes_[id].index == index && panes_[id].partition == partition; };
    if (newest_ != kNoRow && is_it(newest_)) return newest_;
    std::uint64_t hash = pane_hash(partition, index);
    newest_ = pane_rows_.find(hash, is_it);
    if (newest_ == kNoRow) newest_ = add_pane({partition, clock, index}, hash);
    return newest_;
  }

  std::uint32_t add_pane(const Pane& pane, std::uint64_t hash) {
    std::uint32_t id;
    if (free_.empty()) {
      id = static_cast<std::uint32_t>(panes_.size());
      panes_.emplace_back();
      touched_flag_.push_back(0);
      reducers_.reserve(panes_.size());
    } else {
      id = free_.back();
      free_.pop_back();
    }
    panes_[id] = pane;
    pane_rows_.insert(hash, id);
    panes_in_order_.insert({pane.partition, id, pane.index, {}});
    if (waits_ || closes_) panes_by_time_.insert({pane.clock, id, pane.index, {}});
    partitions_.add_reference(pane.partition);
    return id;
  }

  void drop_pane(std::uint32_t id) {
    const Pane& pane = panes_[id];
    pane_rows_.erase(pane_hash(pane.partition, pane.index), id);
    ENSURE(panes_in_order_.erase({pane.partition, id, pane.index, {}}));
    if (waits_ || closes_) ENSURE(panes_by_time_.erase({pane.clock, id, pane.index, {}}));
    partitions_.drop_reference(pane.partition);
    reducers_.clear(id);
    free_.push_back(id);
  }

  void reduce(const Batch& batch, Commit commit) {
    for (std::uint32_t pane : pane_of_) {
      if (touched_flag_[pane]) continue;
      touched_flag_[pane] = 1;
      touched_.push_back(pane);
    }
    reducers_.update(batch, pane_of_, commit);
  }

  // ---------------------------------------------------------------- which windows change

  [[nodiscard]] std::int64_t closed_before(std::uint32_t clock) const {
    return clock < closed_.size() ? closed_[clock] : PaneAxis::kNone;
  }
  [[nodiscard]] std::int64_t released_before(std::uint32_t clock) const {
    return clock < released_.size() ? released_[clock] : PaneAxis::kNone;
  }
  [[nodiscard]] std::int64_t due(std::uint32_t clock, bool from_end, TimeLength length) const {
    std::int64_t now = clocks_.now(clock);
    return now == Clocks::kNever ? PaneAxis::kNone : pane_axis_.last_due(now, from_end, length);
  }
  void add_run(const Pane& pane, std::int64_t first, std::int64_t last) {
    first = std::max(first, pane_axis_.first_window(pane.index));
    last = std::min(last, pane_axis_.last_window(pane.index));
    if (first <= last) runs_.push_back({pane.partition, pane.clock, first, last});
  }

  // What changed panes change: windows that are open and out.
  void add_touched(OperatorContext& context) {
    constexpr std::int64_t kAll = std::numeric_limits<std::int64_t>::max();
    if (waits_) {  // the clock of this commit decides what is out
      if (released_.size() < clocks_.size()) released_.resize(clocks_.size(), PaneAxis::kNone);
      released_now_ = released_;
      for (std::uint32_t clock : clocks_.moved()) released_now_[clock] = due(clock, from_end_, wait_);
    }
    for (std::uint32_t id : touched_) {
      const Pane& pane = panes_[id];
      std::int64_t closed = closes_ ? closed_before(pane.clock) : PaneAxis::kNone;
      std::int64_t last = waits_ && !context.is_end() ? released_now_[pane.clock] : kAll;
      if (last != PaneAxis::kNone) add_run(pane, closed == PaneAxis::kNone ? closed : closed + 1, last);
    }
  }

  // Windows that come out because the clock reached them, or the input ends.
  void add_released(OperatorContext& context) {
    if (context.is_end()) {
      for (auto at = panes_by_time_.first(); at; at.next()) {
        std::int64_t before = released_before(at->group);
        add_run(panes_[at->row], before == PaneAxis::kNone ? before : before + 1,
                std::numeric_limits<std::int64_t>::max());
      }
      return;
    }
    for (std::uint32_t clock : clocks_.moved()) {
      std::int64_t before = released_before(clock), now = released_now_[clock];
      if (now == before) continue;
      std::int64_t first = before == PaneAxis::kNone ? before : before + 1;
      std::int64_t from = before == PaneAxis::kNone ? before : pane_axis_.first_pane(first);
      for (auto at = panes_by_time_.seek(first_of(clock, from));
           at && at->group == clock && at->order < pane_axis_.end_pane(now); at.next())
        add_run(panes_[at->row], first, now);
    }
  }

  // ---------------------------------------------------------------- windows from panes

  void put_together(OperatorContext& context) {
    std::ranges::sort(runs_, [](const Run& a, const Run& b) {
      return std::pair(a.partition, a.first) < std::pair(b.partition, b.first);
    });
    for (std::size_t i = 0; i < runs_.size();) {
      Run run = runs_[i];
      for (++i; i < runs_.size() && runs_[i].partition == run.partition && runs_[i].first <= run.last + 1; ++i)
        run.last = std::max(run.last, runs_[i].last);
      while (run.first <= run.last) {
        std::int64_t room = static_cast<std::int64_t>(kChunkRows - pending_.windows.size());
        Run part = run;
        part.last = std::min(run.last, run.first + room - 1);
        add_pending(part);
        run.first = part.last + 1;
        if (pending_.windows.size() == kChunkRows) flush(context);
      }
    }
    runs_.clear();
    if (!pending_.windows.empty()) flush(context);
  }

  void add_pending(const Run& run) {
    auto base = static_cast<std::uint32_t>(pending_.panes.size());
    std::vector<std::int64_t>& indexes = scratch_;
    indexes.clear();
    std::int64_t end = pane_axis_.end_pane(run.last);
    for (auto at = panes_in_order_.seek(first_of(run.partition, pane_axis_.first_pane(run.first)));
         at && at->group == run.partition && at->order < end; at.next()) {
      if (reducers_.count(at->row) <= 0) continue;
      pending_.panes.push_back(at->row);
      indexes.push_back(at->order);
    }
    auto old = windows_in_order_.seek(first_of(run.partition, run.first));
    std::uint32_t from = 0, to = 0;
    for (std::int64_t window = run.first; window <= run.last; ++window) {
      while (from < indexes.size() && indexes[from] < pane_axis_.first_pane(window)) ++from;
      to = std::max(to, from);
      while (to < indexes.size() && indexes[to] < pane_axis_.end_pane(window)) ++to;
      pending_.windows.push_back({run.partition, run.clock, window, window});
      pending_.stretches.push_back({base + from, base + to});
      bool is_out = old && old->group == run.partition && old->order == window;
      pending_.old.push_back(is_out ? old->row : kNoRow);
      if (is_out) old.next();
    }
  }

  void flush(OperatorContext& context) {
    std::vector<std::uint8_t> present = reducers_.have_results(pending_.panes, pending_.stretches);
    std::vector<std::uint32_t> places;  // of the windows that have a result
    for (std::uint32_t i = 0; i < present.size(); ++i)
      if (present[i] != 0) places.push_back(i);
    Batch now = results(places, context);
    std::vector<const Column*> cells;
    for (const Column& column : now.columns) cells.push_back(&column);
    std::vector<std::uint32_t> out, out_places, in;
    for (std::uint32_t i = 0, next = 0; i < present.size(); ++i) {
      std::uint32_t row = present[i] != 0 ? next++ : kNoRow;
      std::uint32_t old = pending_.old[i];
      if (old != kNoRow && row != kNoRow && rows_.row_equals(old, cells, row)) continue;
      if (old != kNoRow) {
        out.push_back(old);
        out_places.push_back(i);
      }
      if (row != kNoRow) in.push_back(row);
    }
    retract(out, context);
    if (in.size() == now.num_rows && !in.empty())
      context.emit(now);
    else if (!in.empty())
      context.emit(now.gather(in));
    for (std::size_t i = 0; i < out.size(); ++i) forget_window(pending_.windows[out_places[i]], out[i]);
    for (std::uint32_t row : in) remember_window(pending_.windows[places[row]], cells, row);
    pending_ = {};
  }

  Batch results(const std::vector<std::uint32_t>& places, OperatorContext& context) {
    Batch batch;
    batch.num_rows = places.size();
    if (places.empty()) return batch;
    Phys phys = axis_.is_float() ? Phys::kF64 : Phys::kI64;
    ColumnBuilder starts(phys, places.size()), ends(phys, places.size());
    std::vector<std::uint32_t> partitions;
    std::vector<Stretch> stretches;
    for (std::uint32_t i : places) {
      const Run& window = pending_.windows[i];
      axis_.append(pane_axis_.start(window.first), starts);
      axis_.append(pane_axis_.end(window.first), ends);
      partitions.push_back(window.partition);
      stretches.push_back(pending_.stretches[i]);
    }
    batch.columns.push_back(starts.finish());
    batch.columns.push_back(ends.finish());
    if (params_.instance) batch.columns.push_back(partitions_.cells().gather(0, partitions));
    ReducerErrors errors = [&](std::size_t, std::string_view message) {
      context.report(ErrorKind::kValue, std::string(message), span_, std::nullopt);
    };
    reducers_.append_merged(pending_.panes, stretches, errors, batch.columns);
    add_keys(batch);
    return batch;
  }

  void add_keys(Batch& batch) const {
    if (keys_needed_) batch.keys = group_keys(group_, schema_, batch.columns, batch.num_rows);
  }

  void retract(std::span<const std::uint32_t> rows, OperatorContext& context) {
    for (std::size_t from = 0; from < rows.size(); from += kChunkRows) {
      auto ids = rows.subspan(from, std::min(kChunkRows, rows.size() - from));
      Batch batch = rows_.gather(ids);
      add_keys(batch);
      batch.set_diffs(std::vector<Diff>(ids.size(), -1));
      context.emit(std::move(batch));
    }
  }

  void remember_window(const Run& window, std::span<const Column* const> cells, std::uint32_t row) {
    std::uint32_t id = rows_.insert(cells, row, nullptr);
    windows_in_order_.insert({window.partition, id, window.first, {}});
    if (closes_) windows_by_time_.insert({window.clock, id, window.first, Key{window.partition, 0}});
    partitions_.add_reference(window.partition);
  }
  void forget_window(const Run& window, std::uint32_t id) {
    rows_.erase(id);
    ENSURE(windows_in_order_.erase({window.partition, id, window.first, {}}));
    if (closes_) ENSURE(windows_by_time_.erase({window.clock, id, window.first, Key{window.partition, 0}}));
    partitions_.drop_reference(window.partition);
  }

  void drop_empty() {
    for (std::uint32_t id : touched_) {
      touched_flag_[id] = 0;
      if (reducers_.count(id) == 0) drop_pane(id);
    }
    touched_.clear();
    newest_ = kNoRow;
  }

  // ---------------------------------------------------------------- behind the cutoff

  // keep_results: false. As forget does: in commits in which a row gets through somewhere, by the clock of earlier
  // ones.
  void take_back_closed(OperatorContext& context) {
    bool acts = took_rows_;
    if (context.num_workers() > 1)
      for (const std::string& other : context.all_to_all(std::string(1, took_rows_ ? '1' : '0')))
        acts = acts || other == "1";
    if (!acts || context.is_end()) return;
    std::vector<std::uint32_t> taken;
    std::vector<Run> windows;
    for (std::uint32_t clock : closing_) {
      for (auto at = windows_by_time_.seek(first_of(clock, PaneAxis::kNone));
           at && at->group == clock && at->order <= closed_[clock]; at.next()) {
        taken.push_back(at->row);
        windows.push_back({static_cast<std::uint32_t>(at->key.hi), clock, at->order, at->order});
      }
    }
    closing_.clear();
    retract(taken, context);
    for (std::size_t i = 0; i < taken.size(); ++i) forget_window(windows[i], taken[i]);
  }

  // What the clock passed in this commit takes no more rows: its state goes now, the rows that are out stay or wait for
  // take_back_closed.
  void end_commit(OperatorContext& context) {
    took_rows_ = false;
    if (waits_)
      for (std::uint32_t clock : clocks_.moved()) released_[clock] = released_now_[clock];
    if (closes_ && !context.is_end()) {
      if (closed_.size() < clocks_.size()) closed_.resize(clocks_.size(), PaneAxis::kNone);
      for (std::uint32_t clock : clocks_.moved()) close_windows(clock, due(clock, true, cutoff_));
    }
    clocks_.end_commit();
  }

  void close_windows(std::uint32_t clock, std::int64_t last) {
    if (last == closed_[clock]) return;
    closed_[clock] = last;
    std::vector<std::uint32_t> panes;
    std::int64_t end = pane_axis_.first_pane(last + 1);
    for (auto at = panes_by_time_.seek(first_of(clock, PaneAxis::kNone)); at && at->group == clock && at->order < end;
         at.next())
      panes.push_back(at->row);
    for (std::uint32_t pane : panes) drop_pane(pane);
    if (!params_.keep_results) return closing_.push_back(clock);
    std::vector<OrderedEntry> windows;
    for (auto at = windows_by_time_.seek(first_of(clock, PaneAxis::kNone));
         at && at->group == clock && at->order <= last; at.next())
      windows.push_back(*at);
    for (const OrderedEntry& at : windows)
      forget_window({static_cast<std::uint32_t>(at.key.hi), clock, at.order, at.order}, at.row);
  }

  const plan::SlidingGroupBy params_;
  const plan::GroupBy group_;  // by start, end and instance, in the schema of the result
  const Schema schema_;
  const SourceSpan span_;
  const bool keys_needed_;
  TimeAxis axis_;
  PaneAxis pane_axis_;
  bool from_end_;  // windows wait from their end on
  TimeLength wait_, cutoff_;
  bool waits_, closes_;
  plan::Columns instance_columns_;

  ReducerSet reducers_;  // by pane
  std::vector<Pane> panes_;
  std::vector<std::uint8_t> touched_flag_;
  std::vector<std::uint32_t> touched_;  // panes, in this commit
  std::vector<std::uint32_t> free_;
  HashIndex pane_rows_;
  std::uint32_t newest_ = kNoRow;  // the pane that was last looked up
  GroupIds partitions_;
  OrderedIndex<> panes_in_order_;  // by partition and pane
  OrderedIndex<> panes_by_time_;   // by clock and pane; with a behavior

  Clocks clocks_;
  StagedInput input_;
  std::vector<std::int64_t> released_;  // by clock: the last window that is out, and after this commit
  std::vector<std::int64_t> released_now_;
  std::vector<std::int64_t> closed_;    // by clock: the last window that takes no more rows
  std::vector<std::uint32_t> closing_;  // clocks that passed windows which are still out
  bool took_rows_ = false;              // in this commit
  std::uint64_t late_rows_ = 0;

  RowStore rows_;                    // windows that are out
  OrderedIndex<> windows_in_order_;  // by partition and window
  OrderedIndex<> windows_by_time_;   // by clock and window, the partition in the key; with a cutoff

  std::vector<Run> runs_;  // scratch of a commit
  Pending pending_;
  std::vector<std::int64_t> scratch_;
  std::vector<std::uint32_t> partition_of_, clock_of_, pane_of_, kept_;
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  const auto& params = std::get<plan::SlidingGroupBy>(node.params);
  const plan::Node& input = plan.node(node.inputs[0]);
  ENSURE(plan::merges_panes(params, input.schema));
  plan::GroupBy group;
  group.by = {0, 1};
  group.instance = params.instance;
  group.sort_by = params.sort_by;
  group.reducers = params.reducers;
  ReducerSet reducers = TRY(ReducerSet::make(group, input.schema, input.append_only));
  return std::make_unique<SlidingGroupBy>(node, params, std::move(group), input.schema, std::move(reducers));
}

std::vector<Route> routes(const plan::Node& node) {
  const auto& params = std::get<plan::SlidingGroupBy>(node.params);
  if (params.instance) return {{Route::By::kColumns, {*params.instance}}};
  return {{Route::By::kOne, {}}};
}

Route output_route(const plan::Node& node) {
  const auto& params = std::get<plan::SlidingGroupBy>(node.params);
  if (params.instance) return {Route::By::kColumns, {2}};
  return {Route::By::kOne, {}};
}

}  // namespace

const OperatorDescriptor kSlidingGroupBy{
    .name = "sliding_groupby", .routes = routes, .output_route = output_route, .make = make, .state_version = 1};

}  // namespace thalweg::operators
