// engine/operators/deduplicate.cc
//
// Per instance the last row that an acceptor took. Arrival-ordered: deletions and ERROR values are ignored, the state
// never goes back. Rows of one commit are looked at in the order of (value, row); the first row of an instance, and
// any row while the accepted value is None, is taken without asking.
#include <algorithm>
#include <numeric>

#include "engine/operators/registry.h"
#include "engine/state/hash_index.h"
#include "engine/state/row_store.h"
#include "engine/state/saved_rows.h"
#include "engine/types/encoding.h"

namespace thalweg::operators {

namespace {

Route route_of(const plan::Deduplicate& params) {
  if (params.instance.empty()) return {Route::By::kOne, {}};
  return {Route::By::kColumns, params.instance};
}

class Deduplicate : public Operator {
 public:
  Deduplicate(const plan::Node& node, const plan::Deduplicate& params, const Schema& input,
              std::shared_ptr<const expr::Program> acceptor)
      : params_(params),
        input_(input),
        span_(node.span),
        acceptor_(std::move(acceptor)),
        rows_(types_of(input), true) {}

  void push(std::size_t, Batch batch, OperatorContext&) override {
    batch.materialise_keys();
    staged_.push_back(std::move(batch));
  }

  void close(OperatorContext& context) override {
    if (staged_.empty()) return;
    Batch batch = consolidate(Batch::concat(std::exchange(staged_, {})));
    for (std::uint32_t row : in_order(batch)) offer(batch, row, context);
    emit_changes(context);
  }

  [[nodiscard]] StateSize state() const override { return {rows_.size(), rows_.bytes() + index_.bytes()}; }

  void save(StateWriter& out) const override { save_rows(rows_, out); }
  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    return load_chunks(in, rows_.types(), true, [&](Batch batch) -> Result<void> {
      batch = mine.select(route_, std::move(batch));
      std::vector<std::uint32_t> ids;
      rows_.insert_all(pointers_to(batch), batch.num_rows, &batch.keys, ids);
      for (std::size_t i = 0; i < ids.size(); ++i) index_.insert(hash_of_key(batch.keys[i]), ids[i]);
      return {};
    });
  }

 private:
  static std::vector<Type> types_of(const Schema& schema) {
    std::vector<Type> types;
    for (const ColumnSpec& column : schema.columns) types.push_back(column.type);
    return types;
  }

  [[nodiscard]] bool has_error(const Batch& batch, std::uint32_t row, const plan::Columns& columns) const {
    return std::ranges::any_of(columns, [&](std::uint32_t c) { return batch.columns[c].tag(row) == CellTag::kError; });
  }

  [[nodiscard]] std::vector<std::uint32_t> in_order(const Batch& batch) const {
    std::vector<std::uint32_t> order;
    for (std::uint32_t row = 0; row < batch.num_rows; ++row)
      if (batch.diff(row) > 0) order.push_back(row);
    std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
      auto by = [&](std::uint32_t c) {
        return Column::compare_cells(input_.columns[c].type, batch.columns[c], a, batch.columns[c], b);
      };
      for (std::uint32_t c : params_.value)
        if (int d = by(c)) return d < 0;
      for (std::uint32_t c = 0; c < batch.columns.size(); ++c)
        if (int d = by(c)) return d < 0;
      return batch.keys[a] < batch.keys[b];
    });
    return order;
  }

  Key instance_key(const Batch& batch, std::uint32_t row) const {
    std::string bytes;
    for (std::uint32_t c : params_.instance) encode_cell(input_.columns[c].type, batch.columns[c], row, bytes);
    return key_of_bytes(bytes);
  }

  void offer(const Batch& batch, std::uint32_t row, OperatorContext& context) {
    if (has_error(batch, row, params_.instance)) {
      context.report(ErrorKind::kSkipped, "Error value encountered in deduplicate instance, skipping the row", span_,
                     batch.keys[row]);
      return;
    }
    if (has_error(batch, row, params_.value)) return;
    Key key = instance_key(batch, row);
    std::uint64_t hash = hash_of_key(key);
    std::uint32_t current = index_.find(hash, [&](std::uint32_t id) { return rows_.key(id) == key; });
    if (current != HashIndex::kNoRow && !accepts(batch, row, current, context)) return;
    if (current != HashIndex::kNoRow && !changed_.contains(key)) {
      Batch old = rows_.gather(std::span(&current, 1));
      old.set_diffs({-1});
      changed_.emplace(key, std::move(old));
    } else if (current == HashIndex::kNoRow) {
      changed_.emplace(key, Batch{});
    }
    if (current != HashIndex::kNoRow) {
      index_.erase(hash, current);
      rows_.erase(current);
    }
    std::vector<const Column*> columns;
    for (const Column& column : batch.columns) columns.push_back(&column);
    index_.insert(hash, rows_.insert(columns, row, &key));
  }

  bool accepts(const Batch& batch, std::uint32_t row, std::uint32_t current, OperatorContext& context) {
    if (!acceptor_) return params_.keep_last;
    bool none =
        std::ranges::all_of(params_.value, [&](std::uint32_t c) { return rows_.tag(c, current) == CellTag::kNone; });
    if (none && !params_.value.empty()) return true;
    Batch pair;
    pair.num_rows = 1;
    for (std::uint32_t c : params_.value) pair.columns.push_back(batch.columns[c].slice(row, row + 1));
    for (std::uint32_t c : params_.value) pair.columns.push_back(rows_.gather(c, std::span(&current, 1)));
    pair.keys = batch.keys.slice(row, row + 1);
    ExpressionErrors errors(pair, context);
    Column answer = std::move(acceptor_->run(pair, errors)[0]);
    return answer.is_value(0) && answer.u8()[0];
  }

  void emit_changes(OperatorContext& context) {
    std::vector<Batch> parts;
    for (auto& [key, old] : changed_) {
      if (!old.empty()) parts.push_back(std::move(old));
      std::uint32_t id = index_.find(hash_of_key(key), [&](std::uint32_t r) { return rows_.key(r) == key; });
      if (id != HashIndex::kNoRow) parts.push_back(rows_.gather(std::span(&id, 1)));
    }
    changed_.clear();
    rows_.compact_if_worthwhile();
    if (parts.empty()) return;
    Batch out = consolidate(Batch::concat(std::move(parts)));
    if (!out.empty()) context.emit(std::move(out));
  }

  const plan::Deduplicate params_;
  const Route route_ = route_of(params_);
  const Schema input_;
  const SourceSpan span_;
  const std::shared_ptr<const expr::Program> acceptor_;
  RowStore rows_;  // the accepted row of every instance, under the instance's key
  HashIndex index_;
  std::unordered_map<Key, Batch> changed_;  // of this commit: the row from before it, if any
  std::vector<Batch> staged_;
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  const auto& params = std::get<plan::Deduplicate>(node.params);
  std::shared_ptr<const expr::Program> acceptor;
  if (params.acceptor) acceptor = TRY(expr::Program::compile({params.acceptor}));
  return std::make_unique<Deduplicate>(node, params, plan.node(node.inputs[0]).schema, std::move(acceptor));
}

std::vector<Route> routes(const plan::Node& node) { return {route_of(std::get<plan::Deduplicate>(node.params))}; }

}  // namespace

const OperatorDescriptor kDeduplicate{
    .name = "deduplicate", .routes = routes, .output_route = spread_unknown, .make = make, .state_version = 1};

}  // namespace thalweg::operators
