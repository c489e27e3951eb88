// engine/operators/keyed.cc
//
// Operators that put two tables together by row key: update_rows, update_cells, intersect, difference, restrict.
//
// Both inputs are kept as keyed tables; at close the keys that changed on either side are looked at once, before and
// after. restrict and update_cells with a key that the table lacks: `key missing`, the row is ignored.
#include <algorithm>

#include "engine/operators/registry.h"
#include "engine/state/keyed_rows.h"

namespace thalweg::operators {

namespace {

std::vector<Type> types_of(const Schema& schema) {
  std::vector<Type> types;
  for (const ColumnSpec& column : schema.columns) types.push_back(column.type);
  return types;
}

class Keyed : public Operator {
 public:
  Keyed(const plan::Node& node, const plan::Keyed& params, const Schema& left, const Schema& right)
      : params_(params),
        schema_(node.schema),
        span_(node.span),
        sides_{KeyedRows(types_of(left)), KeyedRows(types_of(right))} {}

  void push(std::size_t port, Batch batch, OperatorContext&) override { sides_[port].stage(std::move(batch)); }

  void close(OperatorContext& context) override {
    if (!sides_[0].has_staged() && !sides_[1].has_staged()) return;
    auto duplicate = [&](const Key& key) {
      context.report(ErrorKind::kValue, "duplicate key: " + to_text(key), span_, key);
    };
    KeyedDelta left(sides_[0], sides_[0].settle(duplicate));
    KeyedDelta right(sides_[1], sides_[1].settle(duplicate));
    std::vector<Key> keys;
    left.collect_keys(keys);
    right.collect_keys(keys);
    std::ranges::sort(keys);
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());

    Rows out(schema_);
    for (const Key& key : keys) {
      report_missing(key, left, right, context);
      append(out, key, left, left.before(key), right, right.before(key), -1);
      append(out, key, left, left.after(key), right, right.after(key), 1);
    }
    Batch changes = consolidate(out.finish());
    if (!changes.empty()) context.emit(std::move(changes));
  }

  [[nodiscard]] StateSize state() const override {
    return {sides_[0].size() + sides_[1].size(), sides_[0].bytes() + sides_[1].bytes()};
  }

  void save(StateWriter& out) const override {
    for (const KeyedRows& side : sides_) side.save(out);
  }
  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    for (KeyedRows& side : sides_) TRY(side.load(in, [&](const Key& key) { return mine.takes_key(key); }));
    return {};
  }

 private:
  using Ref = std::optional<KeyedDelta::RowRef>;

  struct Rows {
    explicit Rows(const Schema& schema) {
      for (const ColumnSpec& column : schema.columns) builders.emplace_back(column.type);
    }
    Batch finish() {
      Batch batch;
      batch.num_rows = keys.size();
      for (ColumnBuilder& builder : builders) batch.columns.push_back(builder.finish());
      batch.keys = KeyColumn(std::move(keys));
      batch.set_diffs(std::move(diffs));
      return batch;
    }
    std::vector<ColumnBuilder> builders;
    std::vector<Key> keys;
    std::vector<Diff> diffs;
  };

  void append(Rows& out, const Key& key, const KeyedDelta& left, Ref l, const KeyedDelta& right, Ref r,
              Diff diff) const {
    bool from_right = params_.kind == plan::KeyedKind::kUpdateRows && r;
    bool present = false;
    switch (params_.kind) {
      case plan::KeyedKind::kUpdateRows: present = l || r; break;
      case plan::KeyedKind::kUpdateCells: present = l.has_value(); break;
      case plan::KeyedKind::kIntersect:
      case plan::KeyedKind::kRestrict: present = l && r; break;
      case plan::KeyedKind::kDifference: present = l && !r; break;
    }
    if (!present) return;
    for (std::size_t c = 0; c < out.builders.size(); ++c) {
      std::int32_t other = params_.kind == plan::KeyedKind::kUpdateCells && r && c < params_.from_other.size()
                               ? params_.from_other[c]
                               : -1;
      if (from_right)
        right.append_cell(c, *r, out.builders[c]);
      else if (other >= 0)
        right.append_cell(static_cast<std::size_t>(other), *r, out.builders[c]);
      else
        left.append_cell(c, *l, out.builders[c]);
    }
    out.keys.push_back(key);
    out.diffs.push_back(diff);
  }

  // Once, when the other side's row comes (or the table's row goes) and the table has none.
  void report_missing(const Key& key, const KeyedDelta& left, const KeyedDelta& right, OperatorContext& context) const {
    bool wants = params_.kind == plan::KeyedKind::kUpdateCells || params_.kind == plan::KeyedKind::kRestrict;
    if (!wants || !right.after(key) || left.after(key)) return;
    if (right.before(key) && !left.before(key)) return;
    context.report(ErrorKind::kValue, "key missing in input table: " + to_text(key), span_, key);
  }

  const plan::Keyed params_;
  const Schema schema_;
  const SourceSpan span_;
  KeyedRows sides_[2];
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  return std::make_unique<Keyed>(node, std::get<plan::Keyed>(node.params), plan.node(node.inputs.front()).schema,
                                 plan.node(node.inputs.back()).schema);  // of one input: the other side stays empty
}

}  // namespace

const OperatorDescriptor kKeyed{
    .name = "keyed", .routes = route_by_key, .output_route = spread_by_key, .make = make, .state_version = 1};

}  // namespace thalweg::operators
