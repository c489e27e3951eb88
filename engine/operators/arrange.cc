// engine/operators/arrange.cc
//
// The rows of a table by some of its columns, held once for all joins that read it (state/join_family.h). Rows go
// through as they are; which joins find them in the index, and when, is F1. For lookups they are held by row key; then
// what goes through, at close, is how the one row of each key changes.
#include <algorithm>
#include <numeric>
#include <optional>

#include "engine/operators/join_keys.h"
#include "engine/operators/quiet_context.h"
#include "engine/operators/registry.h"
#include "engine/plan/rewrite/arrange.h"
#include "engine/state/join_family.h"
#include "engine/state/keyed_rows.h"

namespace thalweg::operators {

namespace {

struct ArrangeSpec {
  NodeId node;
  NodeId family;
  plan::Arrange by;
  SourceSpan span;
  std::vector<Type> key_types;
  std::vector<Type> row_types;
  plan::Arranged stored;
  std::vector<Type> stored_types;
};

class Arrange : public Operator {
 public:
  explicit Arrange(ArrangeSpec spec) : spec_(std::move(spec)) {
    if (spec_.by.by_key) rows_.emplace(spec_.row_types);
  }

  void share(JoinFamilies& families) override {
    std::shared_ptr<JoinFamily>& family = families[spec_.family];
    if (!family) family = std::make_shared<JoinFamily>(spec_.key_types);
    family_ = family;
    side_ = &family_->share(spec_.node.value, spec_.stored_types, spec_.stored.kept, spec_.stored.with_keys,
                            spec_.stored.counts);
  }
  void retire() override { family_->leave(side_->side); }

  void push(std::size_t /*port*/, Batch batch, OperatorContext& context) override {
    if (spec_.stored.with_keys) batch.materialise_keys();
    if (rows_) return rows_->stage(std::move(batch));
    give_out(std::move(batch), context);
  }
  void close(OperatorContext& context) override {
    if (!rows_ || !rows_->has_staged()) return;
    Batch delta = rows_->settle(
        [&](const Key& key) { context.report(ErrorKind::kValue, "duplicate key: " + to_text(key), spec_.span, key); });
    if (!delta.empty()) give_out(std::move(delta), context);
  }

  [[nodiscard]] StateSize state() const override;
  void save(StateWriter& out) const override {
    family_->index().save(std::array{side_->side}, out);
    if (rows_) rows_->save(out);
  }
  Result<void> load(StateReader& in, const ShardFilter& mine) override;

 private:
  void give_out(Batch batch, OperatorContext& context) {
    family_->begin(context.commit());
    // What is emitted must be what is held: nothing may cut it on its way.
    if (batch.num_rows <= kChunkRows) return give(std::move(batch), context);
    for (std::size_t begin = 0; begin < batch.num_rows; begin += kChunkRows)
      give(batch.slice(begin, std::min(begin + kChunkRows, batch.num_rows)), context);
  }

  void give(Batch batch, OperatorContext& context);

  const ArrangeSpec spec_;
  std::shared_ptr<JoinFamily> family_;
  SharedSide* side_ = nullptr;
  std::optional<KeyedRows> rows_;      // by row key
  std::vector<std::uint8_t> matches_;  // scratch, by row
};

StateSize Arrange::state() const {
  const JoinIndex& index = family_->index();
  std::size_t bytes = index.bytes_of_side(side_->side) + (rows_ ? rows_->bytes() : 0);
  if (spec_.node == spec_.family) bytes += index.bytes_of_keys();
  return {.rows = index.rows(side_->side).size(), .bytes = bytes};
}

Result<void> Arrange::load(StateReader& in, const ShardFilter& mine) {
  plan::Columns columns(spec_.key_types.size());
  std::iota(columns.begin(), columns.end(), 0U);
  const Route route = rows_ ? Route{Route::By::kPointer, columns} : columns_or_one(columns);
  TRY(family_->index().load(std::array{side_->side}, in, [&](Batch& keys) { return mine.rows_of(route, keys); }));
  if (rows_) TRY(rows_->load(in, [&](const Key& key) { return mine.takes_key(key); }));
  return {};
}

void Arrange::give(Batch batch, OperatorContext& context) {
  Column key_column;
  std::vector<const Column*> key;
  for (std::uint32_t column : spec_.by.on) key.push_back(&batch.columns[column]);
  if (rows_) {
    key_column = batch.keys.as_column(batch.num_rows);
    key.push_back(&key_column);
  }
  side_->hashes.assign(batch.num_rows, 0);
  for (const Column* column : key) column->hash_into(side_->hashes);
  matches_.assign(batch.num_rows, 1);
  if (std::ranges::any_of(key, [](const Column* column) { return column->has_tags(); })) {
    bool error = false;
    for (std::uint32_t row = 0; row < batch.num_rows; ++row)
      matches_[row] = can_match(key, row, spec_.by.none_matches, error) ? 1 : 0;
  }
  family_->index().find_or_add_all(key, side_->hashes, matches_, side_->entries);
  side_->chunk = batch;
  family_->hold(*side_);
  context.emit(std::move(batch));
  family_->store(*side_);
  side_->chunk = {};
}

Result<std::unique_ptr<Operator>> make_arrange(const plan::Node& node, const plan::Plan& plan) {
  const auto& params = std::get<plan::Arrange>(node.params);
  ArrangeSpec spec;
  spec.node = node.id;
  spec.family = plan::family_of(plan, node.id);
  spec.by = params;
  spec.span = node.span;
  for (const ColumnSpec& column : node.schema.columns) spec.row_types.push_back(column.type);
  if (params.by_key) spec.key_types.emplace_back(Kind::kPointer);
  for (std::uint32_t column : params.on) spec.key_types.push_back(node.schema.columns[column].type);
  spec.stored = plan::arranged_for(plan, node.id);
  for (std::uint32_t column : spec.stored.kept) spec.stored_types.push_back(node.schema.columns[column].type);
  return std::make_unique<Arrange>(std::move(spec));
}

Route arrange_spread(const plan::Node& node) {
  const auto& params = std::get<plan::Arrange>(node.params);
  return params.by_key ? Route{Route::By::kKey, {}} : columns_or_one(params.on);
}
std::vector<Route> arrange_routes(const plan::Node& node) { return {arrange_spread(node)}; }

}  // namespace

const OperatorDescriptor kArrange{.name = "arrange",
                                  .routes = arrange_routes,
                                  .output_route = arrange_spread,
                                  .make = make_arrange,
                                  .state_version = 1};

}  // namespace thalweg::operators
