// engine/operators/temporal/session_assign.cc
//
// Sessions: runs of rows, ordered by time within an instance, whose neighbours belong together. Appends to every row
// the pointer of its session, which stays the same while the session grows, so that a row that extends a session costs
// only itself; a merge or a split renames the shorter part.
//
// S1  After close() every row that is out carries the session that it is in, whatever came in what order.
// S2  A session that is held back (delay) has no row out; once a part of it is out, all of it is.
// S3  A session that was closed by the cutoff has no state and takes part in nothing.
// State   rows, their order, 12 bytes a row beside them, 64 a session.
// Cost    a seek per changed row, the shorter part of a merge or split; with `bounds` all rows of a changed session.
#include <algorithm>
#include <set>
#include <tuple>

#include "engine/operators/quiet_context.h"
#include "engine/operators/registry.h"
#include "engine/operators/temporal/clocks.h"
#include "engine/operators/temporal/staged_input.h"
#include "engine/operators/temporal/time_axis.h"
#include "engine/state/saved_rows.h"

namespace thalweg::operators {

namespace {

constexpr std::uint32_t kNone = 0xFFFFFFFFU;

struct Bounds {
  std::int64_t start = 0;
  std::int64_t end = 0;
  friend bool operator==(const Bounds&, const Bounds&) = default;
};

struct Session {
  Key pointer;
  std::uint32_t count = 0;
  std::uint32_t head = kNone, tail = kNone;  // rows
  std::uint32_t clock = 0;                   // its instance, as the clocks count them
  bool released = false;
  bool changed = false;  // its ends, in this commit
  bool closed = false;
  Bounds emitted;
  std::int64_t release_due = 0, close_due = 0;  // as they are queued
  bool release_queued = false, close_queued = false;
};

struct RowState {
  std::uint32_t session = kNone;  // that it is in
  std::uint32_t emitted = kNone;  // that it was emitted with
  bool dirty = false;
  bool linked = false;
};

// Two neighbours: do they belong to one session?
class Neighbours {
 public:
  Neighbours(const plan::SessionAssign& params, const TimeAxis& axis, std::shared_ptr<const expr::Program> predicate)
      : axis_(axis), gap_(axis.length(params.max_gap)), predicate_(std::move(predicate)) {}

  [[nodiscard]] bool belong(std::int64_t a, std::int64_t b, OperatorContext& context) const {
    if (a == b) return true;
    if (!predicate_) return axis_.compare_distance(a, b, gap_) < 0;
    Batch pair;
    pair.num_rows = 1;
    for (std::int64_t order : {a, b}) {
      ColumnBuilder builder(axis_.is_float() ? Phys::kF64 : Phys::kI64, 1);
      axis_.append(order, builder);
      pair.columns.push_back(builder.finish());
    }
    ExpressionErrors errors(pair, context);
    Column answer = std::move(predicate_->run(pair, errors)[0]);
    return answer.is_value(0) && answer.u8()[0] != 0;
  }

 private:
  TimeAxis axis_;
  TimeLength gap_;
  std::shared_ptr<const expr::Program> predicate_;
};

class SessionAssign : public Operator {
 public:
  SessionAssign(const plan::SessionAssign& params, const Schema& schema, std::shared_ptr<const expr::Program> predicate,
                SourceSpan span)
      : params_(params),
        axis_(schema.columns[params.time].type),
        neighbours_(params, axis_, std::move(predicate)),
        rows_(types_of(schema), true),
        groups_(instance_types(schema, params.instance)),
        clocks_(params.instance_clock ? instance_types(schema, params.instance) : std::vector<Type>{}),
        gap_(axis_.length(params.max_gap)),
        delay_(axis_.length(params.delay)),
        emit_after_(axis_.length(params.emit_after)),
        cutoff_(axis_.length(params.cutoff)),
        holds_(!params.delay.is_none() || !params.emit_after.is_none()),
        closes_(!params.cutoff.is_none()),
        span_(span) {}

  void push(std::size_t, Batch batch, OperatorContext&) override { input_.push(std::move(batch)); }

  void close(OperatorContext& context) override {
    for (Batch& batch : input_.take()) apply(batch, context);
    if (holds_ || closes_) clocks_.exchange(context);
    if (holds_) release(context);
    if (closes_) {
      requeue_closing();
      if (clocks_.saw_rows() && !context.is_end()) close_sessions();
      due_clocks_.insert(due_clocks_.end(), clocks_.moved().begin(), clocks_.moved().end());
    }
    settle(context);
    clocks_.end_commit();
  }

  [[nodiscard]] bool wants_odd() const override { return !forgotten_.empty(); }
  void start_odd(OperatorContext& context) override {
    std::vector<std::uint32_t> rows = std::exchange(forgotten_, {});
    emit_rows(rows, -1, context);
    for (std::uint32_t row : rows) erase_row(row);
    recycle();
  }

  [[nodiscard]] StateSize state() const override {
    return {rows_.size(), rows_.bytes() + index_.bytes() + groups_.bytes() + row_state_.capacity() * sizeof(RowState) +
                              sessions_.capacity() * sizeof(Session)};
  }

  // Names of sessions are not what the rows say: they come from how the sessions grew.
  void save(StateWriter& out) const override {
    clocks_.save(out, due_clocks_);
    out.put_u64(names_);
    std::vector<std::uint32_t> places(sessions_.size(), kNone);
    std::vector<Key> pointers;
    std::vector<std::uint8_t> released;
    std::vector<std::int64_t> starts, ends;
    for (std::uint32_t id = 0; id < sessions_.size(); ++id) {
      const Session& of = sessions_[id];
      if (of.count == 0 || of.closed) continue;
      places[id] = static_cast<std::uint32_t>(pointers.size());
      pointers.push_back(of.pointer);
      released.push_back(of.released ? 1 : 0);
      starts.push_back(of.emitted.start);
      ends.push_back(of.emitted.end);
    }
    out.put_numbers(pointers);
    out.put_numbers(released);
    out.put_numbers(starts);
    out.put_numbers(ends);
    save_rows(rows_, out, [&](Batch& batch, std::span<const std::uint32_t> ids) {
      ColumnBuilder of_row(Phys::kI64, ids.size());
      for (std::uint32_t id : ids) of_row.push_int(places[session(id)]);
      batch.columns.push_back(of_row.finish());
    });
  }

  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    TRY(clocks_.load(in, mine, due_clocks_));
    names_ = std::max(names_, TRY(in.u64()));
    Saved saved;
    saved.pointers = TRY(in.numbers<Key>());
    saved.released = TRY(in.numbers<std::uint8_t>());
    saved.starts = TRY(in.numbers<std::int64_t>());
    saved.ends = TRY(in.numbers<std::int64_t>());
    std::size_t n = saved.pointers.size();
    if (saved.released.size() != n || saved.starts.size() != n || saved.ends.size() != n)
      return in.corrupt("sessions of different numbers");
    saved.ids.assign(n, kNone);
    TRY(load_chunks(in, with_types(rows_.types(), {Kind::kInt}), true, [&](Batch batch) -> Result<void> {
      return load_rows(mine.select(columns_or_one(params_.instance), std::move(batch)), saved, in);
    }));
    for (std::uint32_t id : saved.ids)
      if (id != kNone) queue(id);
    groups_.drop_unreferenced();
    return {};
  }

 private:
  // Sessions as they were saved; `ids`: those that have rows here.
  struct Saved {
    std::vector<Key> pointers;
    std::vector<std::uint8_t> released;
    std::vector<std::int64_t> starts, ends;
    std::vector<std::uint32_t> ids;
  };

  Result<void> load_rows(const Batch& batch, Saved& saved, StateReader& in) {
    groups_.assign(batch, params_.instance, group_of_);
    std::vector<std::uint32_t> clock_of(batch.num_rows, 0);
    if (params_.instance_clock) clocks_.instances(batch, params_.instance, clock_of);
    Batch rows = without_last(batch, 1);
    Cells<std::int64_t> places = batch.columns.back().i64();
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      auto place = static_cast<std::uint64_t>(places[row]);
      if (place >= saved.ids.size()) return in.corrupt("a row without its session");
      if (saved.ids[place] == kNone) {
        saved.ids[place] = static_cast<std::uint32_t>(sessions_.size());
        sessions_.push_back({.pointer = saved.pointers[place],
                             .clock = clock_of[row],
                             .released = saved.released[place] != 0,
                             .emitted = {saved.starts[place], saved.ends[place]}});
      }
      std::uint32_t id = store(rows, row);
      RowState& state = row_state_[id];
      state.session = saved.ids[place];
      Session& of = sessions_[state.session];
      if (of.released) state.emitted = state.session;
      OrderedEntry mine = entry(id);
      index_.insert(mine);
      if (of.count++ == 0) of.head = of.tail = id;
      if (OrderedEntryLess()(mine, entry(of.head))) of.head = id;
      if (OrderedEntryLess()(entry(of.tail), mine)) of.tail = id;
    }
    return {};
  }
  void queue(std::uint32_t id) {
    if (holds_ && !sessions_[id].released) queue_release(id);
    if (closes_ && sessions_[id].released) queue_closing(id);
  }

  static std::vector<Type> types_of(const Schema& schema) {
    std::vector<Type> types;
    for (const ColumnSpec& column : schema.columns) types.push_back(column.type);
    return types;
  }
  static std::vector<Type> instance_types(const Schema& schema, const plan::Columns& columns) {
    std::vector<Type> types;
    for (std::uint32_t column : columns) types.push_back(schema.columns[column].type);
    return types;
  }

  // ---------------------------------------------------------------- rows come and go

  void apply(const Batch& batch, OperatorContext& context) {
    groups_.assign(batch, params_.instance, group_of_);
    std::vector<std::uint32_t> clock_of(batch.num_rows, 0);
    if (params_.instance_clock) clocks_.instances(batch, params_.instance, clock_of);
    std::vector<std::uint32_t> order;
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      if (!usable(batch, row, context)) continue;
      clocks_.see(clock_of[row], axis_.order(batch.columns[params_.time], row));
      order.push_back(row);
    }
    // Deletions first; insertions in order, so that each finds its neighbour in place.
    std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
      bool adds_a = batch.diff(a) > 0, adds_b = batch.diff(b) > 0;
      if (adds_a != adds_b) return !adds_a;
      if (group_of_[a] != group_of_[b]) return group_of_[a] < group_of_[b];
      std::int64_t time_a = axis_.order(batch.columns[params_.time], a),
                   time_b = axis_.order(batch.columns[params_.time], b);
      if (time_a != time_b) return time_a < time_b;
      return batch.keys[a] < batch.keys[b];
    });
    for (std::uint32_t row : order) {
      Diff diff = batch.diff(row);
      for (; diff > 0; --diff) insert(batch, row, clock_of[row], context);
      for (; diff < 0; ++diff) remove(batch, row, context);
    }
  }

  bool usable(const Batch& batch, std::uint32_t row, OperatorContext& context) const {
    bool good = batch.columns[params_.time].is_value(row);
    for (std::uint32_t column : params_.instance) good = good && batch.columns[column].tag(row) != CellTag::kError;
    if (!good && batch.diff(row) > 0)
      context.report(ErrorKind::kSkipped, "Error value encountered in grouping columns, skipping the row", span_,
                     batch.keys[row]);
    return good;
  }

  [[nodiscard]] std::int64_t time(std::uint32_t row) const {
    return axis_.is_float() ? order_of_float(rows_.cell<double>(params_.time, row))
                            : rows_.cell<std::int64_t>(params_.time, row);
  }
  [[nodiscard]] OrderedEntry entry(std::uint32_t row) const {
    return {row_group_[row], row, time(row), rows_.key(row)};
  }
  [[nodiscard]] std::uint32_t before(const OrderedEntry& entry) const {
    auto at = index_.seek_before(entry);
    return at && at->group == entry.group ? at->row : kNone;
  }
  // Of an entry that is not in the order (any more, or yet).
  [[nodiscard]] std::uint32_t after(const OrderedEntry& entry) const {
    auto at = index_.seek(entry);
    return at && at->group == entry.group ? at->row : kNone;
  }
  [[nodiscard]] bool belong(std::uint32_t a, std::uint32_t b, OperatorContext& context) const {
    return neighbours_.belong(time(a), time(b), context);
  }

  std::uint32_t store(const Batch& batch, std::uint32_t row) {
    std::uint32_t id = rows_.insert(batch, row);
    if (row_state_.size() <= id) {
      row_state_.resize(id + 1);
      row_group_.resize(id + 1);
    }
    row_state_[id] = RowState{};
    row_state_[id].linked = true;
    row_group_[id] = group_of_[row];
    groups_.add_reference(row_group_[id]);
    return id;
  }

  void insert(const Batch& batch, std::uint32_t row, std::uint32_t clock, OperatorContext& context) {
    std::uint32_t id = store(batch, row);
    OrderedEntry mine = entry(id);
    std::uint32_t previous = before(mine), next = after(mine);
    bool with_previous = previous != kNone && belong(previous, id, context);
    bool with_next = next != kNone && belong(id, next, context);
    bool together = previous != kNone && next != kNone && session(previous) == session(next);
    if (together && !(with_previous && with_next)) {
      split(previous, next);
      together = false;
    }
    index_.insert(mine);
    if (with_previous)
      append(id, session(previous));
    else if (with_next)
      prepend(id, session(next));
    else
      start_session(id, clock);
    if (with_previous && with_next && !together) merge(id, next);
  }

  void remove(const Batch& batch, std::uint32_t row, OperatorContext& context) {
    std::uint32_t id = find(batch, row);
    if (id == kNone) return;  // of a closed session, or never let through
    unlink(id);
    OrderedEntry mine = entry(id);
    std::uint32_t previous = before(mine), next = after(mine);
    if (previous == kNone || next == kNone) return;
    bool together = session(previous) == session(next);
    bool should = belong(previous, next, context);
    if (together && !should) split(previous, next);
    if (!together && should) merge(previous, next);
  }

  [[nodiscard]] std::uint32_t find(const Batch& batch, std::uint32_t row) const {
    std::vector<const Column*> cells;
    for (const Column& column : batch.columns) cells.push_back(&column);
    std::int64_t order = axis_.order(batch.columns[params_.time], row);
    std::uint32_t group = group_of_[row];
    const Key& key = batch.keys[row];
    for (auto at = index_.seek({group, 0, order, key});
         at && at->group == group && at->order == order && at->key == key; at.next())
      if (rows_.row_equals(at->row, cells, row)) return at->row;
    return kNone;
  }

  // Takes a row out of the order and out of its session.
  void unlink(std::uint32_t row) {
    OrderedEntry mine = entry(row);
    ENSURE(index_.erase(mine));
    row_state_[row].linked = false;
    mark(row);
    gone_.push_back(row);
    Session& of = sessions_[session(row)];
    if (--of.count == 0) {
      of.head = of.tail = kNone;
      change(session(row));
      return;
    }
    if (of.head != row && of.tail != row) return;
    if (of.head == row) of.head = after(mine);
    if (of.tail == row) of.tail = before(mine);
    change(session(row));
  }

  // ---------------------------------------------------------------- sessions

  [[nodiscard]] std::uint32_t session(std::uint32_t row) const { return row_state_[row].session; }
  void mark(std::uint32_t row) {
    if (row_state_[row].dirty) return;
    row_state_[row].dirty = true;
    dirty_.push_back(row);
  }
  void change(std::uint32_t id) {
    if (sessions_[id].changed) return;
    sessions_[id].changed = true;
    changed_.push_back(id);
  }
  void put(std::uint32_t row, std::uint32_t id) {
    row_state_[row].session = id;
    mark(row);
  }

  std::uint32_t new_session(std::uint32_t clock) {
    std::uint32_t id;
    if (free_.empty()) {
      id = static_cast<std::uint32_t>(sessions_.size());
      sessions_.emplace_back();
    } else {
      id = free_.back();
      free_.pop_back();
    }
    sessions_[id] = Session{};
    sessions_[id].clock = clock;
    sessions_[id].released = !holds_;
    change(id);
    return id;
  }
  void start_session(std::uint32_t row, std::uint32_t clock) {
    std::uint32_t id = new_session(clock);
    sessions_[id].pointer = key_of_part(rows_.key(row), ++names_);
    sessions_[id].count = 1;
    sessions_[id].head = sessions_[id].tail = row;
    put(row, id);
  }
  void append(std::uint32_t row, std::uint32_t id) {  // or inside
    Session& of = sessions_[id];
    ++of.count;
    put(row, id);
    if (OrderedEntryLess()(entry(of.tail), entry(row))) {
      of.tail = row;
      change(id);
    }
  }
  void prepend(std::uint32_t row, std::uint32_t id) {
    Session& of = sessions_[id];
    ++of.count;
    of.head = row;
    put(row, id);
    change(id);
  }

  // The session of `last`, which ends there, and that of `first`, which begins there, become one.
  void merge(std::uint32_t last, std::uint32_t first) {
    std::uint32_t left = session(last), right = session(first);
    bool rename_left = sessions_[left].count < sessions_[right].count;
    std::uint32_t from = rename_left ? left : right, to = rename_left ? right : left;
    if (rename_left)
      sessions_[right].head = sessions_[left].head;
    else
      sessions_[left].tail = sessions_[right].tail;
    for (auto at = index_.seek(entry(rename_left ? last : first));
         at && at->group == row_group_[last] && session(at->row) == from;) {
      put(at->row, to);
      if (rename_left)
        at.prev();
      else
        at.next();
    }
    Session& merged = sessions_[to];
    merged.count += sessions_[from].count;
    merged.released = merged.released || sessions_[from].released;
    sessions_[from].count = 0;
    sessions_[from].head = sessions_[from].tail = kNone;
    change(from);
    change(to);
    if (holds_ && merged.released) mark_session(to);  // what was held back comes out with the rest: S2
  }
  void mark_session(std::uint32_t id) {
    const Session& of = sessions_[id];
    if (of.count == 0) return;
    for (auto at = index_.seek(entry(of.head)); at && at->group == row_group_[of.head] && session(at->row) == id;
         at.next())
      mark(at->row);
  }

  // One session with `last` and `first` as neighbours becomes two; the shorter part gets the new name.
  void split(std::uint32_t last, std::uint32_t first) {
    std::uint32_t old = session(first);
    std::uint32_t group = row_group_[first];
    auto back = index_.seek(entry(last)), ahead = index_.seek(entry(first));
    auto inside = [&](const OrderedIndex<>::Cursor& at) { return at && at->group == group && session(at->row) == old; };
    std::uint32_t length = 0;
    bool rename_left = false;
    for (;; ++length) {
      if (!inside(ahead)) break;
      if (!inside(back)) {
        rename_left = true;
        break;
      }
      ahead.next();
      back.prev();
    }
    std::uint32_t fresh = new_session(sessions_[old].clock);
    Session& kept = sessions_[old];
    Session& part = sessions_[fresh];
    part.released = kept.released;
    part.pointer = key_of_part(rows_.key(rename_left ? last : first), ++names_);
    part.count = length;
    kept.count -= length;
    part.head = rename_left ? kept.head : first;
    part.tail = rename_left ? last : kept.tail;
    (rename_left ? kept.head : kept.tail) = rename_left ? first : last;
    for (auto at = index_.seek(entry(rename_left ? last : first)); length > 0; --length) {
      put(at->row, fresh);
      if (rename_left)
        at.prev();
      else
        at.next();
    }
    change(old);
  }

  // ---------------------------------------------------------------- clocks

  [[nodiscard]] Bounds bounds(const Session& of) const { return {time(of.head), time(of.tail)}; }
  using Queue = std::set<std::tuple<std::uint32_t, std::int64_t, std::uint32_t>>;  // clock, due, session

  void release(OperatorContext& context) {
    for (std::uint32_t id : changed_) {
      Session& of = sessions_[id];
      if (of.release_queued) release_queue_.erase({of.clock, of.release_due, id});
      of.release_queued = false;
      if (of.count > 0 && !of.released) queue_release(id);
    }
    if (context.is_end()) {
      while (!release_queue_.empty()) release_first(release_queue_.begin());
      return;
    }
    std::vector<std::uint32_t> clocks = clocks_.moved();
    for (std::uint32_t id : changed_) clocks.push_back(sessions_[id].clock);
    for (std::uint32_t clock : clocks) {
      for (;;) {
        auto first = release_queue_.lower_bound({clock, Clocks::kNever, 0});
        bool due = first != release_queue_.end() && std::get<0>(*first) == clock &&
                   clocks_.now(clock) != Clocks::kNever && std::get<1>(*first) <= clocks_.now(clock);
        if (!due) break;
        release_first(first);
      }
    }
  }
  void queue_release(std::uint32_t id) {
    Session& of = sessions_[id];
    Bounds at = bounds(of);
    of.release_due =
        params_.emit_after.is_none() ? axis_.plus(at.start, delay_) : axis_.plus(axis_.plus(at.end, gap_), emit_after_);
    of.release_queued = true;
    release_queue_.insert({of.clock, of.release_due, id});
  }
  void release_first(Queue::iterator at) {
    std::uint32_t id = std::get<2>(*at);
    release_queue_.erase(at);
    sessions_[id].release_queued = false;
    sessions_[id].released = true;
    mark_session(id);
    change(id);
  }

  void requeue_closing() {
    for (std::uint32_t id : changed_) {
      Session& of = sessions_[id];
      if (of.close_queued) close_queue_.erase({of.clock, of.close_due, id});
      of.close_queued = false;
      if (of.count > 0 && of.released) queue_closing(id);
    }
  }
  void queue_closing(std::uint32_t id) {
    Session& of = sessions_[id];
    of.close_due = axis_.plus(axis_.plus(time(of.tail), gap_), cutoff_);
    of.close_queued = true;
    close_queue_.insert({of.clock, of.close_due, id});
  }
  // By the clock of earlier commits.
  void close_sessions() {
    for (std::uint32_t id : changed_) due_clocks_.push_back(sessions_[id].clock);
    for (std::uint32_t clock : due_clocks_) {
      for (;;) {
        auto first = close_queue_.lower_bound({clock, Clocks::kNever, 0});
        bool due = first != close_queue_.end() && std::get<0>(*first) == clock &&
                   clocks_.before(clock) != Clocks::kNever && std::get<1>(*first) <= clocks_.before(clock);
        if (!due) break;
        close_session(std::get<2>(*first));
      }
    }
    due_clocks_.clear();
  }
  void close_session(std::uint32_t id) {
    Session& of = sessions_[id];
    close_queue_.erase({of.clock, of.close_due, id});
    of.close_queued = false;
    of.closed = true;
    std::vector<std::uint32_t> rows;
    for (auto at = index_.seek(entry(of.head)); at && at->group == row_group_[of.head] && session(at->row) == id;
         at.next())
      rows.push_back(at->row);
    for (std::uint32_t row : rows) {
      ENSURE(index_.erase(entry(row)));
      mark(row);
      if (params_.mark)
        closing_.push_back(row);  // goes out as it is; its retraction follows in the odd commit
      else {
        row_state_[row].linked = false;
        gone_.push_back(row);
      }
    }
    if (!params_.mark) {
      of.count = 0;
      of.head = of.tail = kNone;
    }
    change(id);
  }

  // ---------------------------------------------------------------- what goes out

  void settle(OperatorContext& context) {
    if (params_.bounds)
      for (std::uint32_t id : changed_)
        if (sessions_[id].count > 0 && bounds(sessions_[id]) != sessions_[id].emitted) mark_session(id);
    std::vector<std::uint32_t> out, in;
    for (std::uint32_t row : dirty_) {
      RowState& state = row_state_[row];
      state.dirty = false;
      bool want = state.linked && sessions_[state.session].released;
      bool same = want && state.emitted == state.session && !(params_.bounds && moved(state.session));
      if (same) continue;
      if (state.emitted != kNone) out.push_back(row);
      if (want) in.push_back(row);
    }
    dirty_.clear();
    emit_rows(out, -1, context);
    for (std::uint32_t row : out) row_state_[row].emitted = kNone;
    for (std::uint32_t id : changed_)
      if (sessions_[id].count > 0) sessions_[id].emitted = bounds(sessions_[id]);
    for (std::uint32_t row : in) row_state_[row].emitted = row_state_[row].session;
    emit_rows(in, 1, context);
    for (std::uint32_t row : gone_) erase_row(row);
    gone_.clear();
    forgotten_.insert(forgotten_.end(), closing_.begin(), closing_.end());
    closing_.clear();
    if (forgotten_.empty()) recycle();
  }
  [[nodiscard]] bool moved(std::uint32_t id) const { return bounds(sessions_[id]) != sessions_[id].emitted; }

  void erase_row(std::uint32_t row) {
    groups_.drop_reference(row_group_[row]);
    rows_.erase(row);
  }
  void recycle() {
    for (std::uint32_t id : changed_) {
      sessions_[id].changed = false;
      if (sessions_[id].count == 0 || sessions_[id].closed) free_.push_back(id);
    }
    changed_.clear();
    groups_.drop_unreferenced();
    rows_.compact_if_worthwhile();
  }

  void emit_rows(const std::vector<std::uint32_t>& rows, Diff diff, OperatorContext& context) {
    for (std::size_t from = 0; from < rows.size(); from += kChunkRows) {
      std::span<const std::uint32_t> ids(rows.data() + from, std::min(kChunkRows, rows.size() - from));
      Batch batch = rows_.gather(ids);
      ColumnBuilder pointers(Phys::kU128, ids.size());
      Phys phys = axis_.is_float() ? Phys::kF64 : Phys::kI64;
      ColumnBuilder starts(phys, ids.size()), ends(phys, ids.size());
      for (std::uint32_t row : ids) {
        const Session& of = sessions_[row_state_[row].emitted];
        pointers.push_key(of.pointer);
        if (!params_.bounds) continue;
        axis_.append(of.emitted.start, starts);
        axis_.append(of.emitted.end, ends);
      }
      batch.columns.push_back(pointers.finish());
      if (params_.bounds) {
        batch.columns.push_back(starts.finish());
        batch.columns.push_back(ends.finish());
      }
      if (diff != 1) batch.set_diffs(std::vector<Diff>(ids.size(), diff));
      context.emit(std::move(batch));
    }
  }

  plan::SessionAssign params_;
  TimeAxis axis_;
  Neighbours neighbours_;
  RowStore rows_;
  GroupIds groups_;
  Clocks clocks_;
  OrderedIndex<> index_;
  TimeLength gap_, delay_, emit_after_, cutoff_;
  bool holds_, closes_;
  SourceSpan span_;
  StagedInput input_;

  std::vector<RowState> row_state_;       // by row
  std::vector<std::uint32_t> row_group_;  // by row
  std::vector<Session> sessions_;
  std::vector<std::uint32_t> free_;  // sessions to be used again
  std::uint64_t names_ = 0;
  Queue release_queue_, close_queue_;
  std::vector<std::uint32_t> due_clocks_;  // that moved since sessions were last closed

  std::vector<std::uint32_t> group_of_;                          // scratch
  std::vector<std::uint32_t> dirty_, changed_, gone_, closing_;  // of this commit
  std::vector<std::uint32_t> forgotten_;                         // to be retracted in the odd commit
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  const auto& params = std::get<plan::SessionAssign>(node.params);
  std::shared_ptr<const expr::Program> predicate;
  if (params.predicate) predicate = TRY(expr::Program::compile({params.predicate}));
  return std::make_unique<SessionAssign>(params, plan.node(node.inputs[0]).schema, std::move(predicate), node.span);
}

std::vector<Route> routes(const plan::Node& node) {
  const auto& params = std::get<plan::SessionAssign>(node.params);
  if (params.instance.empty()) return {{Route::By::kOne, {}}};
  return {{Route::By::kColumns, params.instance}};
}
Route output_route(const plan::Node& node) { return routes(node)[0]; }

}  // namespace

const OperatorDescriptor kSessionAssign{
    .name = "session_assign", .routes = routes, .output_route = output_route, .make = make, .state_version = 1};

}  // namespace thalweg::operators
