// engine/operators/reducers/fold.cc
//
// fold(init, expr): a state per group, advanced by an expression over [state, columns of the row]. Rows in batch order,
// within a batch by sort_by, then by key; so the rows of a commit are staged until results are asked for. The input
// only grows (checked before). An ERROR state stays.
#include <algorithm>

#include "engine/expr/program.h"
#include "engine/operators/reducers/reducer.h"
#include "engine/state/saved_rows.h"

namespace thalweg {

namespace {

class SilentErrors : public expr::RowErrors {
 public:
  void report(std::size_t, SourceSpan, std::string_view message) override { last = message; }
  std::string last;
};

class Fold : public Reducer {
 public:
  Fold(const plan::Reducer& reducer, std::shared_ptr<const expr::Program> program, Schema input, plan::Columns sort_by)
      : type_(reducer.type),
        init_(reducer.fold_init),
        program_(std::move(program)),
        input_(std::move(input)),
        sort_by_(std::move(sort_by)) {}

  void reserve(std::size_t groups) override {
    states_.resize(groups, init_);
    staged_.resize(groups);
  }
  void update(const ReducerRows& rows) override {
    for (std::size_t i = 0; i < rows.rows.size(); ++i) {
      std::uint32_t row = rows.rows[i];
      Batch one = rows.batch.gather(std::span(&row, 1));
      one.materialise_keys();
      one.diffs = nullptr;
      for (Diff n = 0; n < rows.diffs[i]; ++n) staged_[rows.groups[i]].push_back(one);
    }
  }
  Column results(std::span<const std::uint32_t> groups, const ReducerErrors& errors) override {
    ColumnBuilder out(type_, groups.size());
    for (std::size_t i = 0; i < groups.size(); ++i) {
      advance(groups[i], i, errors);
      out.push_value(type_, states_[groups[i]]);
    }
    return out.finish();
  }
  void clear(std::uint32_t group) override {
    states_[group] = init_;
    staged_[group].clear();
  }
  [[nodiscard]] std::size_t bytes() const override { return states_.capacity() * (sizeof(Value) + sizeof(staged_[0])); }

  // A group without a result waits with its rows.
  void save(GroupList groups, StateWriter& out) const override {
    for (std::uint32_t group : groups) {
      out.put_value(states_[group]);
      for (const Batch& row : staged_[group]) put_chunk(row, out);
      end_chunks(out);
    }
  }
  Result<void> load(StateReader& in, GroupList groups) override {
    std::vector<Type> types = column_types(input_);
    for (std::uint32_t group : groups) {
      Value state = TRY(in.value());
      if (group != kNotMine) states_[group] = std::move(state);
      while (TRY(in.boolean())) {
        Batch row = TRY(in.batch(types));
        if (row.num_rows != 1) return in.corrupt("not a row");
        if (group != kNotMine) staged_[group].push_back(std::move(row));
      }
    }
    return {};
  }

 private:
  [[nodiscard]] bool before(const Batch& a, const Batch& b) const {
    for (std::uint32_t column : sort_by_)
      if (int c = Column::compare_cells(input_.columns[column].type, a.columns[column], 0, b.columns[column], 0))
        return c < 0;
    return a.keys.absent() || a.keys[0] < b.keys[0];
  }

  void advance(std::uint32_t group, std::size_t index, const ReducerErrors& errors) {
    std::vector<Batch>& rows = staged_[group];
    std::ranges::sort(rows, [&](const Batch& a, const Batch& b) { return before(a, b); });
    for (Batch& row : rows) {
      if (states_[group].is_error()) break;
      SilentErrors problem;
      row.columns.insert(row.columns.begin(), Column::constant(type_, states_[group], 1));
      Column next = std::move(program_->run(row, problem)[0]);
      states_[group] = next.value(type_, 0);
      if (states_[group].is_error()) errors(index, problem.last.empty() ? "ERROR in fold" : problem.last);
    }
    rows.clear();
  }

  Type type_;
  Value init_;
  std::shared_ptr<const expr::Program> program_;
  Schema input_;
  plan::Columns sort_by_;
  std::vector<Value> states_;
  std::vector<std::vector<Batch>> staged_;
};

}  // namespace

Result<std::unique_ptr<Reducer>> make_fold_reducer(const plan::Reducer& reducer, const Schema& input,
                                                   const plan::Columns& sort_by) {
  if (reducer.kind != plan::ReducerKind::kFold) return std::unique_ptr<Reducer>();
  return std::make_unique<Fold>(reducer, TRY(expr::Program::compile({reducer.fold})), input, sort_by);
}

Result<std::unique_ptr<Reducer>> make_reducer(const plan::Reducer& reducer, const Schema& input,
                                              const plan::Columns& sort_by, bool append_only) {
  if (auto made = make_linear_reducer(reducer, input)) return made;
  if (auto made = make_extreme_reducer(reducer, input, append_only)) return made;
  if (auto made = make_ordered_reducer(reducer, input, sort_by, append_only)) return made;
  if (auto made = make_distinct_reducer(reducer, input)) return made;
  std::unique_ptr<Reducer> fold = TRY(make_fold_reducer(reducer, input, sort_by));
  if (fold) return fold;
  return fail(Code::kInvalidPipeline, "this build has no reducer for '" + reducer.text + "'");
}

}  // namespace thalweg
