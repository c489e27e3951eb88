// engine/operators/temporal/sort_rows.cc
//
// Rows with their neighbours in an order: sort appends the keys of the previous and the next row, diff the values of
// the previous one. Rows are ordered by (cells, key) within an instance.
//
// State   rows, their order, 12 bytes a row beside them.
// Cost    a seek per changed row; it and its two neighbours go out anew.
#include "engine/operators/quiet_context.h"
#include "engine/operators/registry.h"
#include "engine/operators/temporal/cell_order.h"
#include "engine/operators/temporal/staged_input.h"
#include "engine/state/group_ids.h"
#include "engine/state/saved_rows.h"

namespace thalweg::operators {

namespace {

constexpr std::uint32_t kNone = 0xFFFFFFFFU;

struct RowState {
  std::uint32_t previous = kNone, next = kNone;  // as emitted
  bool emitted = false;
  bool dirty = false;
  bool linked = false;
};

struct What {
  plan::Columns order;
  std::optional<std::uint32_t> instance;
  bool links = false;    // append previous and next
  plan::Columns values;  // or these of the previous row
};

class SortRows : public Operator {
 public:
  SortRows(What what, const Schema& schema)
      : what_(std::move(what)),
        rows_(types_of(schema), true),
        groups_(instance_types(schema, what_.instance)),
        index_(CellLess{&rows_, what_.order,
                        what_.order.size() == 1 && prefix_decides(schema.columns[what_.order[0]].type)}) {
    if (what_.instance) instance_.push_back(*what_.instance);
  }

  void push(std::size_t, Batch batch, OperatorContext&) override { input_.push(std::move(batch)); }

  void close(OperatorContext& context) override {
    if (input_.empty()) return;
    for (const Batch& batch : input_.take()) {
      groups_.assign(batch, instance_, group_of_);
      for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
        Diff diff = batch.diff(row);
        for (; diff > 0; --diff) insert(batch, row);
        for (; diff < 0; ++diff) remove(batch, row);
      }
    }
    settle(context);
  }

  [[nodiscard]] StateSize state() const override {
    return {rows_.size(), rows_.bytes() + index_.bytes() + groups_.bytes() + state_.capacity() * sizeof(RowState)};
  }

  // The rows say it all.
  void save(StateWriter& out) const override { save_rows(rows_, out); }
  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    return load_chunks(in, rows_.types(), true, [&](Batch batch) -> Result<void> {
      input_.push(mine.select(columns_or_one(instance_), std::move(batch)));
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
  static std::vector<Type> instance_types(const Schema& schema, std::optional<std::uint32_t> instance) {
    if (!instance) return {};
    return {schema.columns[*instance].type};
  }

  [[nodiscard]] OrderedEntry entry(std::uint32_t row) const {
    return {row_group_[row], row, order_prefix(rows_, what_.order[0], row), rows_.key(row)};
  }
  [[nodiscard]] std::uint32_t before(const OrderedEntry& entry) const {
    auto at = index_.seek_before(entry);
    return at && at->group == entry.group ? at->row : kNone;
  }
  // Of an entry that is not in the order.
  [[nodiscard]] std::uint32_t after(const OrderedEntry& entry) const {
    auto at = index_.seek(entry);
    return at && at->group == entry.group ? at->row : kNone;
  }

  std::uint32_t store(const Batch& batch, std::uint32_t row) {
    std::uint32_t id = rows_.insert(batch, row);
    if (state_.size() <= id) {
      state_.resize(id + 1);
      row_group_.resize(id + 1);
    }
    state_[id] = RowState{};
    row_group_[id] = group_of_[row];
    return id;
  }

  void insert(const Batch& batch, std::uint32_t row) {
    std::uint32_t id = store(batch, row);
    groups_.add_reference(row_group_[id]);
    state_[id].linked = true;
    OrderedEntry mine = entry(id);
    mark(before(mine));
    mark(after(mine));
    mark(id);
    index_.insert(mine);
  }

  void remove(const Batch& batch, std::uint32_t row) {
    std::uint32_t id = find(batch, row);
    if (id == kNone) return;
    OrderedEntry mine = entry(id);
    ENSURE(index_.erase(mine));
    state_[id].linked = false;
    groups_.drop_reference(row_group_[id]);
    mark(before(mine));
    mark(after(mine));
    mark(id);
    gone_.push_back(id);
  }

  // The comparison needs a row of the store: the deleted row is put there to look for its like.
  [[nodiscard]] std::uint32_t find(const Batch& batch, std::uint32_t row) {
    std::uint32_t probe = store(batch, row);
    OrderedEntry from = entry(probe);
    from.row = probe;
    std::uint32_t found = kNone;
    std::vector<const Column*> cells;
    for (const Column& column : batch.columns) cells.push_back(&column);
    auto same = [&](const OrderedIndex<CellLess>::Cursor& at) {
      return at && at->group == from.group && at->order == from.order && at->key == from.key;
    };
    for (auto at = index_.seek(from); found == kNone && same(at); at.next())
      if (rows_.row_equals(at->row, cells, row)) found = at->row;
    for (auto at = index_.seek_before(from); found == kNone && same(at); at.prev())
      if (rows_.row_equals(at->row, cells, row)) found = at->row;
    rows_.erase(probe);
    return found;
  }

  void mark(std::uint32_t row) {
    if (row == kNone || state_[row].dirty) return;
    state_[row].dirty = true;
    dirty_.push_back(row);
  }

  struct Line {
    std::uint32_t row, previous, next;
  };

  void settle(OperatorContext& context) {
    std::vector<Line> out, in;
    for (std::uint32_t row : dirty_) {
      RowState& state = state_[row];
      state.dirty = false;
      Line now{row, kNone, kNone};
      if (state.linked) {
        auto at = index_.seek(entry(row));
        auto back = at, ahead = at;
        back.prev();
        ahead.next();
        if (back && back->group == row_group_[row]) now.previous = back->row;
        if (what_.links && ahead && ahead->group == row_group_[row]) now.next = ahead->row;
      }
      if (state.emitted && state.linked && state.previous == now.previous && state.next == now.next) continue;
      if (state.emitted) out.push_back({row, state.previous, state.next});
      if (state.linked) in.push_back(now);
      state.emitted = state.linked;
      state.previous = now.previous;
      state.next = now.next;
    }
    dirty_.clear();
    emit(out, -1, context);
    emit(in, 1, context);
    for (std::uint32_t row : gone_) rows_.erase(row);
    gone_.clear();
    groups_.drop_unreferenced();
    rows_.compact_if_worthwhile();
  }

  void emit(const std::vector<Line>& lines, Diff diff, OperatorContext& context) {
    for (std::size_t from = 0; from < lines.size(); from += kChunkRows) {
      std::span<const Line> part(lines.data() + from, std::min(kChunkRows, lines.size() - from));
      std::vector<std::uint32_t> ids;
      for (const Line& line : part) ids.push_back(line.row);
      Batch batch = rows_.gather(ids);
      if (what_.links) {
        batch.columns.push_back(pointers(part, &Line::previous));
        batch.columns.push_back(pointers(part, &Line::next));
      }
      for (std::uint32_t value : what_.values) {
        ColumnBuilder builder(rows_.types()[value], part.size());
        for (const Line& line : part) {
          if (line.previous == kNone)
            builder.push_none();
          else
            rows_.append_cell(value, line.previous, builder);
        }
        batch.columns.push_back(builder.finish());
      }
      if (diff != 1) batch.set_diffs(std::vector<Diff>(part.size(), diff));
      context.emit(std::move(batch));
    }
  }
  [[nodiscard]] Column pointers(std::span<const Line> lines, std::uint32_t Line::* which) const {
    ColumnBuilder builder(Phys::kU128, lines.size());
    for (const Line& line : lines) {
      if (line.*which == kNone)
        builder.push_none();
      else
        builder.push_key(rows_.key(line.*which));
    }
    return builder.finish();
  }

  What what_;
  RowStore rows_;
  GroupIds groups_;
  OrderedIndex<CellLess> index_;
  plan::Columns instance_;
  StagedInput input_;
  std::vector<RowState> state_;           // by row
  std::vector<std::uint32_t> row_group_;  // by row
  std::vector<std::uint32_t> group_of_;   // scratch
  std::vector<std::uint32_t> dirty_, gone_;
};

Result<std::unique_ptr<Operator>> make_sort(const plan::Node& node, const plan::Plan& plan) {
  const auto& params = std::get<plan::Sort>(node.params);
  return std::make_unique<SortRows>(What{.order = params.key, .instance = params.instance, .links = true, .values = {}},
                                    plan.node(node.inputs[0]).schema);
}
Result<std::unique_ptr<Operator>> make_diff(const plan::Node& node, const plan::Plan& plan) {
  const auto& params = std::get<plan::OrderedDiff>(node.params);
  return std::make_unique<SortRows>(
      What{.order = {params.timestamp}, .instance = params.instance, .links = false, .values = params.values},
      plan.node(node.inputs[0]).schema);
}

std::vector<Route> by_instance(std::optional<std::uint32_t> instance) {
  if (!instance) return {{Route::By::kOne, {}}};
  return {{Route::By::kColumns, {*instance}}};
}
std::vector<Route> sort_routes(const plan::Node& node) {
  return by_instance(std::get<plan::Sort>(node.params).instance);
}
std::vector<Route> diff_routes(const plan::Node& node) {
  return by_instance(std::get<plan::OrderedDiff>(node.params).instance);
}
Route sort_output(const plan::Node& node) { return sort_routes(node)[0]; }
Route diff_output(const plan::Node& node) { return diff_routes(node)[0]; }

}  // namespace

const OperatorDescriptor kSort{
    .name = "sort", .routes = sort_routes, .output_route = sort_output, .make = make_sort, .state_version = 1};
const OperatorDescriptor kOrderedDiff{
    .name = "ordered_diff", .routes = diff_routes, .output_route = diff_output, .make = make_diff, .state_version = 1};

}  // namespace thalweg::operators
