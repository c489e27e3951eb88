// engine/operators/temporal/asof_join.cc
//
// Every row of one side (or of either) with the one row of the other side that is nearest in time: before, after, or
// either way. Both sides lie in ordered indexes; what was emitted for a row is remembered as the number of its peer.
//
// A1  Equal times: backward and forward match them; with results for both sides a left row looks strictly back, a right
//     row strictly forward, so that no two rows are each other's peer twice.
// A2  Peers of equal time: backward takes the greatest key, forward the smallest. Equal distance: the later one.
// State   both sides; 13 bytes a row beside them.
// Cost    a seek per changed row, and one per row between its neighbours on the other side.
// Forgetting (odd commits) takes rows back, but a result whose peer was forgotten stands: the peer is kept for it.
#include "engine/operators/quiet_context.h"
#include "engine/operators/registry.h"
#include "engine/operators/temporal/pair_output.h"
#include "engine/operators/temporal/staged_input.h"
#include "engine/operators/temporal/timed_rows.h"
#include "engine/state/saved_rows.h"

namespace thalweg::operators {

namespace {

using plan::AsofDirection;
constexpr std::uint32_t kAbsent = TimedRows::kAbsent;

struct Position {
  std::uint32_t group;
  std::int64_t order;
  friend auto operator<=>(const Position&, const Position&) = default;
};

struct RowState {
  std::uint32_t peer = kAbsent;  // of what was emitted
  std::uint32_t references = 0;  // rows of the other side that have this one as peer
  bool emitted = false;
  bool dirty = false;
  bool linked = false;
};

struct Side {
  Side(const Schema& schema, plan::Columns on, std::uint32_t time, bool has_results)
      : rows(schema, std::move(on), time, time), results(has_results) {}
  TimedRows rows;
  bool results;
  std::vector<RowState> state;  // by row
  std::vector<std::uint32_t> dirty;
  std::vector<std::uint32_t> gone;  // no longer in the order; erased once nothing refers to them
  std::vector<Position> changed;
  StagedInput input;

  void mark(std::uint32_t row) {
    if (state[row].dirty) return;
    state[row].dirty = true;
    dirty.push_back(row);
  }
};

class AsofJoin : public Operator {
 public:
  AsofJoin(const plan::AsofJoin& params, const Schema& left, const Schema& right, SourceSpan span)
      : left_(left, params.left_on, params.left_time, params.how != plan::JoinHow::kRight),
        right_(right, params.right_on, params.right_time, params.how != plan::JoinHow::kLeft),
        groups_(on_types(left, params.left_on)),
        out_(left_.rows.rows(), right_.rows.rows(), params.emit),
        direction_(params.direction),
        both_(params.how == plan::JoinHow::kOuter),
        has_tolerance_(!params.tolerance.is_none()),
        tolerance_closed_(params.tolerance_closed),
        tolerance_(left_.rows.axis().length(params.tolerance)),
        span_(span) {
    out_.set_times(params.left_time, params.right_time);
  }

  void push(std::size_t port, Batch batch, OperatorContext&) override {
    (port == 0 ? left_ : right_).input.push(std::move(batch));
  }

  void close(OperatorContext& context) override {
    if (left_.input.empty() && right_.input.empty()) return;
    bool forgetting = context.commit() % 2 == 1;
    apply(left_, context);
    apply(right_, context);
    if (!forgetting) {
      if (right_.results) mark_affected(left_, right_);
      if (left_.results) mark_affected(right_, left_);
    }
    left_.changed.clear();
    right_.changed.clear();
    settle(left_, right_, false, context);
    settle(right_, left_, true, context);
    out_.flush(context);
    drop_gone(left_);
    drop_gone(right_);
    groups_.drop_unreferenced();
  }

  [[nodiscard]] StateSize state() const override {
    std::size_t rows = left_.rows.rows().size() + right_.rows.rows().size();
    std::size_t beside = (left_.state.capacity() + right_.state.capacity()) * sizeof(RowState);
    return {rows, left_.rows.bytes() + right_.rows.bytes() + groups_.bytes() + beside};
  }

  // Peers are not what the rows say: a result whose peer was forgotten stands. Rows are named by their places here.
  void save(StateWriter& out) const override {
    std::vector<std::uint32_t> lefts = live_rows(left_.rows.rows()), rights = live_rows(right_.rows.rows());
    save_side(left_, lefts, places_of(rights, right_.rows.end()), out);
    save_side(right_, rights, places_of(lefts, left_.rows.end()), out);
  }
  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    Loaded left = TRY(load_side(left_, in, mine));
    Loaded right = TRY(load_side(right_, in, mine));
    TRY(connect(left_, left, right_, right, in));
    TRY(connect(right_, right, left_, left, in));
    groups_.drop_unreferenced();
    return {};
  }

 private:
  struct Loaded {
    std::vector<std::uint32_t> ids;                             // by place; kAbsent where another worker has it
    std::vector<std::pair<std::uint32_t, std::int64_t>> peers;  // row, place of its peer
  };

  static std::vector<std::uint32_t> places_of(std::span<const std::uint32_t> ids, std::uint32_t end) {
    std::vector<std::uint32_t> places(end, kAbsent);
    for (std::uint32_t place = 0; place < ids.size(); ++place) places[ids[place]] = place;
    return places;
  }

  // Beside its cells: whether a row is in the order, and the place of its peer.
  static void save_side(const Side& side, std::span<const std::uint32_t> rows,
                        const std::vector<std::uint32_t>& peer_places, StateWriter& out) {
    save_rows(side.rows.rows(), rows, out, [&](Batch& batch, std::span<const std::uint32_t> ids) {
      ColumnBuilder linked(Phys::kU8, ids.size()), peers(Phys::kI64, ids.size());
      for (std::uint32_t id : ids) {
        linked.push_bool(side.state[id].linked);
        if (side.state[id].peer == kAbsent)
          peers.push_none();
        else
          peers.push_int(peer_places[side.state[id].peer]);
      }
      batch.columns.push_back(linked.finish());
      batch.columns.push_back(peers.finish());
    });
  }

  Result<Loaded> load_side(Side& side, StateReader& in, const ShardFilter& mine) {
    Loaded out;
    std::size_t width = side.rows.rows().types().size();
    std::vector<Type> types = with_types(side.rows.rows().types(), {Kind::kBool, Type(Kind::kInt, true)});
    Route route = columns_or_one(side.rows.on());
    TRY(load_chunks(in, types, true, [&](Batch batch) -> Result<void> {
      std::vector<std::uint32_t> taken = mine.rows_of(route, batch);
      std::size_t first = out.ids.size();
      out.ids.resize(first + batch.num_rows, kAbsent);
      groups_.assign(batch, side.rows.on(), group_of_);
      Batch rows = without_last(batch, 2);
      const Column& linked = batch.columns[width];
      const Column& peers = batch.columns[width + 1];
      for (std::uint32_t row : taken) {
        std::uint32_t id = out.ids[first + row] = side.rows.insert(rows, row, group_of_[row]);
        if (side.state.size() <= id) side.state.resize(id + 1);
        RowState& state = side.state[id] = RowState{};
        state.linked = linked.u8()[row] != 0;
        state.emitted = state.linked && side.results;
        if (state.linked)
          groups_.add_reference(group_of_[row]);
        else
          side.rows.unlink(id);
        if (peers.is_value(row)) out.peers.emplace_back(id, peers.i64()[row]);
      }
      return {};
    }));
    return out;
  }

  static Result<void> connect(Side& anchors, const Loaded& loaded, Side& peers, const Loaded& other, StateReader& in) {
    for (const auto& [row, place] : loaded.peers) {
      bool there = place >= 0 && static_cast<std::size_t>(place) < other.ids.size();
      if (!there || other.ids[static_cast<std::size_t>(place)] == kAbsent) return in.corrupt("a row without its peer");
      anchors.state[row].peer = other.ids[static_cast<std::size_t>(place)];
      ++peers.state[anchors.state[row].peer].references;
    }
    return {};
  }

  static std::vector<Type> on_types(const Schema& schema, const plan::Columns& on) {
    std::vector<Type> types;
    for (std::uint32_t column : on) types.push_back(schema.columns[column].type);
    return types;
  }

  void apply(Side& side, OperatorContext& context) {
    for (const Batch& batch : side.input.take()) {
      groups_.assign(batch, side.rows.on(), group_of_);
      for (std::size_t row = 0; row < batch.num_rows; ++row) {
        if (!side.rows.usable(batch, row, span_, context)) continue;
        Diff diff = batch.diff(row);
        for (; diff > 0; --diff) insert(side, batch, row);
        for (; diff < 0; ++diff) remove(side, batch, row);
      }
    }
  }

  void insert(Side& side, const Batch& batch, std::size_t row) {
    std::uint32_t id = side.rows.insert(batch, row, group_of_[row]);
    groups_.add_reference(group_of_[row]);
    if (side.state.size() <= id) side.state.resize(id + 1);
    side.state[id] = RowState{};
    side.state[id].linked = true;
    if (side.results) side.mark(id);
    side.changed.push_back({group_of_[row], side.rows.order(id)});
  }

  void remove(Side& side, const Batch& batch, std::size_t row) {
    std::uint32_t id = side.rows.find(batch, row, group_of_[row]);
    if (id == kAbsent) return;  // forgotten or never let through
    side.changed.push_back({group_of_[row], side.rows.order(id)});
    side.rows.unlink(id);
    side.state[id].linked = false;
    side.gone.push_back(id);
    if (side.results) side.mark(id);
    groups_.drop_reference(group_of_[row]);
  }

  // Marks the rows of `anchors` whose peer may be another one now that rows of `peers` came or went.
  void mark_affected(Side& peers, Side& anchors) {
    if (anchors.dirty.size() >= anchors.rows.rows().size()) return;  // all are marked
    std::ranges::sort(peers.changed);
    auto [end, last] = std::ranges::unique(peers.changed);
    peers.changed.erase(end, last);
    const TimeAxis& axis = anchors.rows.axis();
    for (const Position& at : peers.changed) {
      std::int64_t from = at.order, to = at.order;
      if (looks_forward()) {
        auto before = peers.rows.index().seek_before(first_of(at.group, at.order));
        from = before && before->group == at.group ? before->order : std::numeric_limits<std::int64_t>::min();
      }
      if (looks_back()) {
        auto after = peers.rows.index().seek(last_of(at.group, at.order));
        to = after && after->group == at.group ? after->order : std::numeric_limits<std::int64_t>::max();
      }
      if (has_tolerance_) {
        from = std::max(from, axis.minus(at.order, tolerance_));
        to = std::min(to, axis.plus(at.order, tolerance_));
      }
      for (auto anchor = anchors.rows.index().seek(first_of(at.group, from));
           anchor && anchor->group == at.group && anchor->order <= to; anchor.next())
        anchors.mark(anchor->row);
    }
  }

  [[nodiscard]] bool looks_back() const { return direction_ != AsofDirection::kForward; }
  [[nodiscard]] bool looks_forward() const { return direction_ != AsofDirection::kBackward; }

  [[nodiscard]] std::uint32_t best_peer(const Side& peers, std::uint32_t group, std::int64_t time,
                                        bool anchor_is_right) const {
    const auto& index = peers.rows.index();
    bool strict_back = both_ && !anchor_is_right && direction_ == AsofDirection::kBackward;
    bool strict_forward = both_ && anchor_is_right && direction_ == AsofDirection::kForward;
    OrderedIndex<>::Cursor before, after;
    if (looks_back()) before = index.seek_before(strict_back ? first_of(group, time) : last_of(group, time));
    if (looks_forward()) after = index.seek(strict_forward ? last_of(group, time) : first_of(group, time));
    bool has_before = before && before->group == group, has_after = after && after->group == group;
    if (!has_before && !has_after) return kAbsent;
    bool take_before =
        has_before && (!has_after || peers.rows.axis().compare_sides(before->order, time, after->order) < 0);
    const OrderedEntry& peer = take_before ? *before : *after;
    if (has_tolerance_) {
      int distance = take_before ? peers.rows.axis().compare_distance(peer.order, time, tolerance_)
                                 : peers.rows.axis().compare_distance(time, peer.order, tolerance_);
      if (distance > 0 || (distance == 0 && !tolerance_closed_)) return kAbsent;
    }
    return peer.row;
  }

  void settle(Side& anchors, Side& peers, bool anchors_are_right, OperatorContext& context) {
    if (anchors.dirty.size() > 1024)  // seeks in order find their way in the cache
      std::ranges::sort(anchors.dirty, OrderedEntryLess(), [&](std::uint32_t row) { return anchors.rows.entry(row); });
    for (std::uint32_t row : anchors.dirty) {
      RowState& state = anchors.state[row];
      state.dirty = false;
      std::uint32_t peer = kAbsent;
      if (state.linked) peer = best_peer(peers, anchors.rows.group(row), anchors.rows.order(row), anchors_are_right);
      if (state.emitted && state.linked && peer == state.peer) continue;
      if (state.emitted) emit(row, state.peer, anchors_are_right, -1, context);
      if (state.peer != kAbsent) release(peers, state.peer);
      if (state.linked) {
        emit(row, peer, anchors_are_right, 1, context);
        if (peer != kAbsent) ++peers.state[peer].references;
      }
      state.emitted = state.linked;
      state.peer = state.linked ? peer : kAbsent;
    }
    anchors.dirty.clear();
  }

  void release(Side& peers, std::uint32_t peer) {
    RowState& state = peers.state[peer];
    if (--state.references == 0 && !state.linked) peers.gone.push_back(peer);
  }

  void emit(std::uint32_t anchor, std::uint32_t peer, bool anchor_is_right, Diff diff, OperatorContext& context) {
    out_.add_sided(anchor_is_right ? peer : anchor, anchor_is_right ? anchor : peer, anchor_is_right, diff, context);
  }

  static void drop_gone(Side& side) {
    std::ranges::sort(side.gone);
    auto [end, last] = std::ranges::unique(side.gone);
    side.gone.erase(end, last);
    for (std::uint32_t row : side.gone)
      if (side.state[row].references == 0) side.rows.erase(row);
    side.gone.clear();
    side.rows.compact();
  }

  Side left_, right_;
  GroupIds groups_;
  PairOutput out_;
  AsofDirection direction_;
  bool both_;
  bool has_tolerance_, tolerance_closed_;
  TimeLength tolerance_;
  SourceSpan span_;
  std::vector<std::uint32_t> group_of_;  // scratch
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  const auto& params = std::get<plan::AsofJoin>(node.params);
  return std::make_unique<AsofJoin>(params, plan.node(node.inputs[0]).schema, plan.node(node.inputs[1]).schema,
                                    node.span);
}

std::vector<Route> routes(const plan::Node& node) {
  const auto& params = std::get<plan::AsofJoin>(node.params);
  if (params.left_on.empty()) return {{Route::By::kOne, {}}, {Route::By::kOne, {}}};
  return {{Route::By::kColumns, params.left_on}, {Route::By::kColumns, params.right_on}};
}

}  // namespace

const OperatorDescriptor kAsofJoin{
    .name = "asof_join", .routes = routes, .output_route = spread_unknown, .make = make, .state_version = 1};

}  // namespace thalweg::operators
