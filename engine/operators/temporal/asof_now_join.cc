// engine/operators/temporal/asof_now_join.cc
//
// Every left row once with what the right side is in its commit, right changes of the same commit included. Later
// changes of the right side revise nothing; a left row that goes takes the very answers along that it was given.
//
// State   the right side; with `remember` the left rows and what each was answered, right rows kept for that included.
// Cost    a seek and its partners per left row, a seek per right row.
#include "engine/operators/quiet_context.h"
#include "engine/operators/registry.h"
#include "engine/operators/temporal/pair_output.h"
#include "engine/operators/temporal/staged_input.h"
#include "engine/state/group_ids.h"
#include "engine/state/ordered_index.h"
#include "engine/state/saved_rows.h"

namespace thalweg::operators {

namespace {

constexpr std::uint32_t kAbsent = PairOutput::kAbsent;

// Rows of one side by join key, then by row key.
struct Side {
  Side(const Schema& schema, plan::Columns columns) : rows(types_of(schema), true), on(std::move(columns)) {}
  static std::vector<Type> types_of(const Schema& schema) {
    std::vector<Type> types;
    for (const ColumnSpec& column : schema.columns) types.push_back(column.type);
    return types;
  }
  std::uint32_t insert(const Batch& batch, std::uint32_t row, std::uint32_t group) {
    std::uint32_t id = rows.insert(batch, row);
    if (groups.size() <= id) groups.resize(id + 1);
    groups[id] = group;
    index.insert({group, id, 0, batch.keys[row]});
    return id;
  }
  [[nodiscard]] std::uint32_t find(const Batch& batch, std::uint32_t row, std::uint32_t group) const {
    std::vector<const Column*> cells;
    for (const Column& column : batch.columns) cells.push_back(&column);
    const Key& key = batch.keys[row];
    for (auto at = index.seek({group, 0, 0, key}); at && at->group == group && at->key == key; at.next())
      if (rows.row_equals(at->row, cells, row)) return at->row;
    return kAbsent;
  }
  void unlink(std::uint32_t id) { ENSURE(index.erase({groups[id], id, 0, rows.key(id)})); }

  RowStore rows;
  plan::Columns on;
  OrderedIndex<> index;
  std::vector<std::uint32_t> groups;  // by row
  StagedInput input;
};

class AsofNowJoin : public Operator {
 public:
  AsofNowJoin(const plan::AsofNowJoin& params, const Schema& left, const Schema& right, SourceSpan span)
      : left_(left, params.left_on),
        right_(right, params.right_on),
        groups_(on_types(left, params.left_on)),
        out_(left_.rows, right_.rows, params.emit, params.key),
        pads_(params.how == plan::JoinHow::kLeft),
        remember_(params.remember),
        span_(span) {}

  void push(std::size_t port, Batch batch, OperatorContext&) override {
    (port == 0 ? left_ : right_).input.push(std::move(batch));
  }

  void close(OperatorContext& context) override {
    if (left_.input.empty() && right_.input.empty()) return;
    for (const Batch& batch : right_.input.take())
      each_row(batch, right_, context, &AsofNowJoin::insert_right, &AsofNowJoin::remove_right);
    for (const Batch& batch : left_.input.take())
      each_row(batch, left_, context, &AsofNowJoin::insert_left, &AsofNowJoin::remove_left);
    out_.flush(context);
    for (std::uint32_t id : left_gone_) left_.rows.erase(id);
    left_gone_.clear();
    for (std::uint32_t id : right_gone_)
      if (references_[id] == 0) right_.rows.erase(id);
    right_gone_.clear();
    groups_.drop_unreferenced();
    left_.rows.compact_if_worthwhile();
    right_.rows.compact_if_worthwhile();
  }

  [[nodiscard]] StateSize state() const override {
    return {left_.rows.size() + right_.rows.size(),
            left_.rows.bytes() + right_.rows.bytes() + left_.index.bytes() + right_.index.bytes() + groups_.bytes()};
  }

  // The right side with what only answers hold, the left side, and by left row the places of its answers.
  void save(StateWriter& out) const override {
    std::vector<std::uint32_t> rights = live_rows(right_.rows), lefts = live_rows(left_.rows);
    save_rows(right_.rows, rights, out, [&](Batch& batch, std::span<const std::uint32_t> ids) {
      ColumnBuilder linked(Phys::kU8, ids.size());
      for (std::uint32_t id : ids) linked.push_bool(linked_[id] != 0);
      batch.columns.push_back(linked.finish());
    });
    save_rows(left_.rows, lefts, out);
    std::vector<std::uint32_t> places(right_.rows.end(), kAbsent), counts, answers;
    for (std::uint32_t place = 0; place < rights.size(); ++place) places[rights[place]] = place;
    for (std::uint32_t left : lefts) {
      counts.push_back(static_cast<std::uint32_t>(answers_[left].size()));
      for (std::uint32_t right : answers_[left]) answers.push_back(right == kAbsent ? kAbsent : places[right]);
    }
    out.put_numbers(counts);
    out.put_numbers(answers);
  }
  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    std::vector<std::uint32_t> rights = TRY(load_right(in, mine));
    std::vector<std::uint32_t> lefts = TRY(load_left(in, mine));
    std::vector<std::uint32_t> counts = TRY(in.numbers<std::uint32_t>());
    std::vector<std::uint32_t> answers = TRY(in.numbers<std::uint32_t>());
    groups_.drop_unreferenced();
    std::size_t next = 0;
    if (counts.size() != lefts.size()) return in.corrupt("rows without answers");
    for (std::size_t i = 0; i < lefts.size(); ++i) {
      if (counts[i] > answers.size() - next) return in.corrupt("rows without answers");
      std::span<const std::uint32_t> places(answers.data() + next, counts[i]);
      next += counts[i];
      if (lefts[i] == kAbsent) continue;
      for (std::uint32_t place : places) {
        if (place != kAbsent && (place >= rights.size() || rights[place] == kAbsent))
          return in.corrupt("an answer without its row");
        answers_[lefts[i]].push_back(place == kAbsent ? kAbsent : rights[place]);
        if (place != kAbsent) ++references_[rights[place]];
      }
    }
    return {};
  }

 private:
  // By place: the row, kAbsent where another worker has it.
  Result<std::vector<std::uint32_t>> load_right(StateReader& in, const ShardFilter& mine) {
    std::vector<std::uint32_t> out;
    TRY(load_chunks(in, with_types(right_.rows.types(), {Kind::kBool}), true, [&](Batch batch) -> Result<void> {
      std::size_t first = out.size();
      out.resize(first + batch.num_rows, kAbsent);
      groups_.assign(batch, right_.on, group_of_);
      Batch rows = without_last(batch, 1);
      for (std::uint32_t row : mine.rows_of(columns_or_one(right_.on), batch)) {
        std::uint32_t id = out[first + row] = add_right(rows, row);
        if (batch.columns.back().u8()[row] != 0) continue;
        right_.unlink(id);
        groups_.drop_reference(group_of_[row]);
        linked_[id] = 0;
      }
      return {};
    }));
    return out;
  }
  Result<std::vector<std::uint32_t>> load_left(StateReader& in, const ShardFilter& mine) {
    std::vector<std::uint32_t> out;
    TRY(load_chunks(in, left_.rows.types(), true, [&](Batch batch) -> Result<void> {
      std::size_t first = out.size();
      out.resize(first + batch.num_rows, kAbsent);
      groups_.assign(batch, left_.on, group_of_);
      for (std::uint32_t row : mine.rows_of(columns_or_one(left_.on), batch)) {
        std::uint32_t id = out[first + row] = left_.insert(batch, row, group_of_[row]);
        groups_.add_reference(group_of_[row]);
        if (answers_.size() <= id) answers_.resize(id + 1);
        answers_[id].clear();
      }
      return {};
    }));
    return out;
  }

  static std::vector<Type> on_types(const Schema& schema, const plan::Columns& on) {
    std::vector<Type> types;
    for (std::uint32_t column : on) types.push_back(schema.columns[column].type);
    return types;
  }

  using Apply = void (AsofNowJoin::*)(const Batch& batch, std::uint32_t row, OperatorContext& context);

  void each_row(const Batch& batch, const Side& side, OperatorContext& context, Apply insert, Apply remove) {
    groups_.assign(batch, side.on, group_of_);
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      bool good = true;
      for (std::uint32_t column : side.on) good = good && batch.columns[column].tag(row) != CellTag::kError;
      Diff diff = batch.diff(row);
      if (!good) {
        if (diff > 0)
          context.report(ErrorKind::kSkipped, "Error value encountered in join condition, skipping the row", span_,
                         batch.keys[row]);
        continue;
      }
      for (; diff > 0; --diff) (this->*insert)(batch, row, context);
      for (; diff < 0; ++diff) (this->*remove)(batch, row, context);
    }
  }

  void insert_right(const Batch& batch, std::uint32_t row, OperatorContext&) { add_right(batch, row); }
  std::uint32_t add_right(const Batch& batch, std::uint32_t row) {
    std::uint32_t id = right_.insert(batch, row, group_of_[row]);
    groups_.add_reference(group_of_[row]);
    if (references_.size() <= id) {
      references_.resize(id + 1);
      linked_.resize(id + 1);
    }
    references_[id] = 0;
    linked_[id] = 1;
    return id;
  }
  void remove_right(const Batch& batch, std::uint32_t row, OperatorContext&) {
    std::uint32_t id = right_.find(batch, row, group_of_[row]);
    if (id == kAbsent) return;
    right_.unlink(id);
    groups_.drop_reference(group_of_[row]);
    linked_[id] = 0;
    if (references_[id] == 0) right_gone_.push_back(id);
  }

  void insert_left(const Batch& batch, std::uint32_t row, OperatorContext& context) {
    std::uint32_t group = group_of_[row];
    std::uint32_t id = left_.rows.insert(batch, row);
    std::vector<std::uint32_t> answers;
    for (auto at = right_.index.seek(first_of(group, 0)); at && at->group == group; at.next())
      answers.push_back(at->row);
    if (answers.empty() && pads_) answers.push_back(kAbsent);
    for (std::uint32_t right : answers) out_.add(id, right, 1, context);
    if (!remember_) {
      left_gone_.push_back(id);
      return;
    }
    if (left_.groups.size() <= id) {
      left_.groups.resize(id + 1);
      answers_.resize(id + 1);
    }
    left_.groups[id] = group;
    left_.index.insert({group, id, 0, batch.keys[row]});
    groups_.add_reference(group);
    for (std::uint32_t right : answers)
      if (right != kAbsent) ++references_[right];
    answers_[id] = std::move(answers);
  }
  void remove_left(const Batch& batch, std::uint32_t row, OperatorContext& context) {
    std::uint32_t id = remember_ ? left_.find(batch, row, group_of_[row]) : kAbsent;
    if (id == kAbsent) return;
    for (std::uint32_t right : std::exchange(answers_[id], {})) {
      out_.add(id, right, -1, context);
      if (right != kAbsent && --references_[right] == 0 && !linked_[right]) right_gone_.push_back(right);
    }
    left_.unlink(id);
    groups_.drop_reference(group_of_[row]);
    left_gone_.push_back(id);
  }

  Side left_, right_;
  GroupIds groups_;
  PairOutput out_;
  bool pads_, remember_;
  SourceSpan span_;
  std::vector<std::vector<std::uint32_t>> answers_;  // by left row
  std::vector<std::uint32_t> references_;            // by right row: answers that hold it
  std::vector<std::uint8_t> linked_;                 // by right row: it is part of the right side
  std::vector<std::uint32_t> left_gone_, right_gone_;
  std::vector<std::uint32_t> group_of_;  // scratch
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  const auto& params = std::get<plan::AsofNowJoin>(node.params);
  return std::make_unique<AsofNowJoin>(params, plan.node(node.inputs[0]).schema, plan.node(node.inputs[1]).schema,
                                       node.span);
}
std::vector<Route> routes(const plan::Node& node) {
  const auto& params = std::get<plan::AsofNowJoin>(node.params);
  if (params.left_on.empty()) return {{Route::By::kOne, {}}, {Route::By::kOne, {}}};
  return {{Route::By::kColumns, params.left_on}, {Route::By::kColumns, params.right_on}};
}

}  // namespace

const OperatorDescriptor kAsofNowJoin{
    .name = "asof_now_join", .routes = routes, .output_route = spread_unknown, .make = make, .state_version = 1};

}  // namespace thalweg::operators
