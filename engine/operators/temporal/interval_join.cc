// engine/operators/temporal/interval_join.cc
//
// Pairs of rows whose ranges of time overlap, of one join key each. Both sides lie in ordered indexes; a change looks
// up its partners with one seek on the other side.
//
// State   both sides, and for padded kinds per row the number of its partners.
// Cost    a seek and its partners per changed row.
// With a cutoff, rows whose pairs gates behind would drop are not kept: neither what the clock passed, nor what comes
// late. Forgetting (odd commits) takes pairs back but pads nobody: a row whose partner was forgotten has had one.
#include "engine/operators/quiet_context.h"
#include "engine/operators/registry.h"
#include "engine/operators/temporal/pair_output.h"
#include "engine/operators/temporal/staged_input.h"
#include "engine/operators/temporal/timed_rows.h"
#include "engine/state/saved_rows.h"

namespace thalweg::operators {

namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::min();

struct Side {
  Side(const Schema& schema, plan::Columns on, std::uint32_t lower, std::uint32_t upper, bool pads_rows)
      : rows(schema, std::move(on), lower, upper), pads(pads_rows) {}
  TimedRows rows;
  bool pads;                            // its rows appear without partner
  std::vector<std::uint32_t> partners;  // by row, if it pads
  std::vector<std::uint8_t> padded;     // by row: the padded row is out
  std::vector<std::uint32_t> touched;
  std::vector<std::uint32_t> gone;  // unlinked in this commit
  std::vector<std::uint8_t> alive;
  TimeLength keep;  // how long after its range a row is of use, if there is a cutoff
  StagedInput input;
};

std::vector<Type> on_types(const Schema& schema, const plan::Columns& on) {
  std::vector<Type> types;
  for (std::uint32_t column : on) types.push_back(schema.columns[column].type);
  return types;
}

class IntervalJoin : public Operator {
 public:
  IntervalJoin(const plan::IntervalJoin& params, const Schema& left, const Schema& right, SourceSpan span)
      : left_(left, params.left_on, params.left_lower, params.left_upper,
              params.how == plan::JoinHow::kLeft || params.how == plan::JoinHow::kOuter),
        right_(right, params.right_on, params.right_lower, params.right_upper,
               params.how == plan::JoinHow::kRight || params.how == plan::JoinHow::kOuter),
        groups_(on_types(left, params.left_on)),
        drops_(!params.cutoff.is_none()),
        out_(left_.rows.rows(), right_.rows.rows(), params.emit),
        span_(span) {
    left_.keep = left_.rows.axis().length(params.cutoff);
    right_.keep = right_.rows.axis().length(params.right_cutoff);
  }

  void push(std::size_t port, Batch batch, OperatorContext&) override {
    (port == 0 ? left_ : right_).input.push(std::move(batch));
  }

  void close(OperatorContext& context) override {
    if (left_.input.empty() && right_.input.empty()) return;
    apply(left_, right_, true, context);
    apply(right_, left_, false, context);
    settle_padding(left_, true, context);
    settle_padding(right_, false, context);
    out_.flush(context);
    for (Side* side : {&left_, &right_}) {
      for (std::uint32_t row : side->gone) side->rows.erase(row);
      side->gone.clear();
      if (drops_) drop_past(*side);
      side->rows.compact();
    }
    clock_ = now_;
    groups_.drop_unreferenced();
  }

  [[nodiscard]] StateSize state() const override {
    return {left_.rows.rows().size() + right_.rows.rows().size(),
            left_.rows.bytes() + right_.rows.bytes() + groups_.bytes(), late_rows_};
  }

  // The number of partners is not what the rows say: forgetting takes partners away without a trace.
  void save(StateWriter& out) const override {
    out.put_i64(now_);
    out.put_u64(late_rows_);
    for (const Side* side : {&left_, &right_})
      save_rows(side->rows.rows(), out, [&](Batch& batch, std::span<const std::uint32_t> ids) {
        if (!side->pads) return;
        ColumnBuilder partners(Phys::kI64, ids.size()), padded(Phys::kU8, ids.size());
        for (std::uint32_t id : ids) {
          partners.push_int(side->partners[id]);
          padded.push_bool(side->padded[id] != 0);
        }
        batch.columns.push_back(partners.finish());
        batch.columns.push_back(padded.finish());
      });
  }
  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    now_ = clock_ = std::max(now_, TRY(in.i64()));  // what the greatest clock passed is of no use to any worker
    std::uint64_t late = TRY(in.u64());
    if (mine.takes_single()) late_rows_ += late;
    for (Side* side : {&left_, &right_}) TRY(load_side(*side, in, mine));
    groups_.drop_unreferenced();
    return {};
  }

 private:
  Result<void> load_side(Side& side, StateReader& in, const ShardFilter& mine) {
    std::vector<Type> types = side.rows.rows().types();
    if (side.pads) types = with_types(std::move(types), {Kind::kInt, Kind::kBool});
    return load_chunks(in, types, true, [&](Batch batch) -> Result<void> {
      batch = mine.select(columns_or_one(side.rows.on()), std::move(batch));
      groups_.assign(batch, side.rows.on(), group_of_);
      Batch rows = side.pads ? without_last(batch, 2) : batch;
      for (std::size_t row = 0; row < rows.num_rows; ++row) {
        std::uint32_t id = side.rows.insert(rows, row, group_of_[row]);
        groups_.add_reference(group_of_[row]);
        if (!side.pads) continue;
        make_room(side, id);
        side.partners[id] = static_cast<std::uint32_t>(batch.columns[rows.columns.size()].i64()[row]);
        side.padded[id] = batch.columns[rows.columns.size() + 1].u8()[row];
        side.alive[id] = 1;
      }
      return {};
    });
  }
  static void make_room(Side& side, std::uint32_t id) {
    if (side.partners.size() > id) return;
    side.partners.resize(id + 1);
    side.padded.resize(id + 1);
    side.alive.resize(id + 1);
  }

  void apply(Side& mine, Side& other, bool is_left, OperatorContext& context) {
    for (const Batch& batch : mine.input.take()) {
      groups_.assign(batch, mine.rows.on(), group_of_);
      for (std::size_t row = 0; row < batch.num_rows; ++row) {
        if (!mine.rows.usable(batch, row, span_, context)) continue;
        Diff diff = batch.diff(row);
        if (drops_ && !is_left) now_ = std::max(now_, mine.rows.order(batch, row));
        if (drops_ && is_past(mine, mine.rows.upper(batch, row), clock_)) {
          if (!is_left && diff > 0) late_rows_ += static_cast<std::uint64_t>(diff);
          continue;
        }
        for (; diff > 0; --diff) insert(mine, other, is_left, batch, row, context);
        for (; diff < 0; ++diff) remove(mine, other, is_left, batch, row, context);
      }
    }
  }

  void insert(Side& mine, Side& other, bool is_left, const Batch& batch, std::size_t row, OperatorContext& context) {
    std::uint32_t group = group_of_[row];
    std::uint32_t id = mine.rows.insert(batch, row, group);
    groups_.add_reference(group);
    std::uint32_t partners = 0;
    other.rows.for_each_overlap(group, mine.rows.order(id), mine.rows.upper(id), [&](std::uint32_t partner) {
      ++partners;
      if (other.pads && other.partners[partner]++ == 0) other.touched.push_back(partner);
      emit(is_left, id, partner, 1, context);
    });
    if (!mine.pads) return;
    make_room(mine, id);
    mine.partners[id] = partners;
    mine.padded[id] = 0;
    mine.alive[id] = 1;
    mine.touched.push_back(id);
  }

  void remove(Side& mine, Side& other, bool is_left, const Batch& batch, std::size_t row, OperatorContext& context) {
    std::uint32_t group = group_of_[row];
    std::uint32_t id = mine.rows.find(batch, row, group);
    if (id == TimedRows::kAbsent) return;  // forgotten or never let through
    bool forgetting = context.commit() % 2 == 1;
    other.rows.for_each_overlap(group, mine.rows.order(id), mine.rows.upper(id), [&](std::uint32_t partner) {
      if (other.pads && !forgetting && --other.partners[partner] == 0) other.touched.push_back(partner);
      emit(is_left, id, partner, -1, context);
    });
    mine.rows.unlink(id);
    groups_.drop_reference(group);
    mine.gone.push_back(id);
    if (!mine.pads) return;
    mine.alive[id] = 0;
    mine.touched.push_back(id);
  }

  // Rounding of floats must not drop a row before the last pair that it can be in.
  [[nodiscard]] bool is_past(const Side& side, std::int64_t upper, std::int64_t clock) const {
    if (clock == kNever) return false;
    std::int64_t due = side.rows.axis().plus(upper, side.keep);
    if (!side.rows.axis().is_float()) return due <= clock;
    constexpr double kSlack = 1e-12;
    double until = float_of_order(due);
    return until + kSlack * (std::fabs(until) + std::fabs(side.keep.real) + std::fabs(float_of_order(upper))) <
           float_of_order(clock);
  }
  // In order of time, up to the first row that is still of use.
  void drop_past(Side& side) {
    std::vector<std::uint32_t> past;
    for (auto at = side.rows.index().first(); at && is_past(side, side.rows.upper(at->row), now_); at.next())
      past.push_back(at->row);
    for (std::uint32_t row : past) {
      side.rows.unlink(row);
      groups_.drop_reference(side.rows.group(row));
      side.rows.erase(row);
    }
  }

  void emit(bool is_left, std::uint32_t mine, std::uint32_t other, Diff diff, OperatorContext& context) {
    out_.add(is_left ? mine : other, is_left ? other : mine, diff, context);
  }

  void settle_padding(Side& side, bool is_left, OperatorContext& context) {
    for (std::uint32_t row : side.touched) {
      bool want = side.alive[row] && side.partners[row] == 0;
      if (want == (side.padded[row] != 0)) continue;
      side.padded[row] = want;
      emit(is_left, row, PairOutput::kAbsent, want ? 1 : -1, context);
    }
    side.touched.clear();
  }

  Side left_, right_;
  GroupIds groups_;
  bool drops_;                                  // there is a cutoff
  std::int64_t clock_ = kNever, now_ = kNever;  // maximum of the right times, of earlier commits and of all
  std::uint64_t late_rows_ = 0;                 // of the right, behind the cutoff
  PairOutput out_;
  SourceSpan span_;
  std::vector<std::uint32_t> group_of_;  // scratch
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  const auto& params = std::get<plan::IntervalJoin>(node.params);
  return std::make_unique<IntervalJoin>(params, plan.node(node.inputs[0]).schema, plan.node(node.inputs[1]).schema,
                                        node.span);
}

std::vector<Route> routes(const plan::Node& node) {
  const auto& params = std::get<plan::IntervalJoin>(node.params);
  if (params.left_on.empty()) return {{Route::By::kOne, {}}, {Route::By::kOne, {}}};
  return {{Route::By::kColumns, params.left_on}, {Route::By::kColumns, params.right_on}};
}

}  // namespace

const OperatorDescriptor kIntervalJoin{
    .name = "interval_join", .routes = routes, .output_route = spread_unknown, .make = make, .state_version = 1};

}  // namespace thalweg::operators
