// engine/operators/loop/loop_join.cc
//
// An inner join inside a loop. Rows are indexed with the round in which they came; a match of rows of rounds r and s
// belongs to round max(r, s): now, or kept until that round comes.
#include <algorithm>
#include <map>

#include "engine/operators/loop/loop_node.h"
#include "engine/state/join_index.h"

namespace thalweg {

namespace {

std::vector<Type> types_with_round(const Schema& schema) {
  std::vector<Type> types;
  for (const ColumnSpec& column : schema.columns) types.push_back(column.type);
  types.push_back(Type(Kind::kInt));
  return types;
}

std::vector<Type> key_types(const plan::Join& join, const Schema& left) {
  std::vector<Type> types;
  for (std::uint32_t column : join.left_on) types.push_back(left.columns[column].type);
  return types;
}

class LoopJoin : public LoopNode {
 public:
  LoopJoin(const plan::Node& node, const plan::Join& join, const Schema& left, const Schema& right)
      : join_(join), schema_(node.schema), widths_{left.size(), right.size()},
        index_(key_types(join, left), {types_with_round(left), types_with_round(right)}) {}

  void push(std::size_t port, Batch batch) override {
    batch.materialise_keys();
    staged_.emplace_back(static_cast<int>(port), std::move(batch));
  }

  void run(std::uint64_t round, OperatorContext&, std::vector<Batch>& out) override {
    for (auto& [side, batch] : std::exchange(staged_, {})) take(side, batch, round);
    auto due = pending_.find(round);
    if (due == pending_.end()) return;
    Batch all = consolidate(Batch::concat(std::move(due->second)));
    pending_.erase(due);
    if (!all.empty()) out.push_back(std::move(all));
  }

  [[nodiscard]] std::optional<std::uint64_t> next_round() const override {
    return pending_.empty() ? std::nullopt : std::optional(pending_.begin()->first);
  }
  void end_commit() override {
    pending_.clear();
    std::ranges::sort(touched_);
    touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
    for (std::uint32_t entry : touched_) index_.drop_if_empty(entry);
    touched_.clear();
    index_.maintain();
  }
  [[nodiscard]] StateSize state() const override { return {index_.num_rows(), index_.bytes()}; }

 private:
  struct Matches {
    std::vector<std::uint32_t> rows;
    std::vector<std::uint32_t> partners;
    std::vector<Diff> diffs;
  };

  [[nodiscard]] bool can_match(std::span<const Column* const> key, std::uint32_t row) const {
    return std::ranges::all_of(key, [&](const Column* column) {
      CellTag tag = column->tag(row);
      return tag == CellTag::kValue || (tag == CellTag::kNone && join_.none_matches);
    });
  }

  void take(int side, const Batch& batch, std::uint64_t round) {
    int other = 1 - side;
    std::vector<const Column*> key;
    for (std::uint32_t column : side == 0 ? join_.left_on : join_.right_on) key.push_back(&batch.columns[column]);
    Column rounds = Column::constant(Type(Kind::kInt), Value::of(static_cast<std::int64_t>(round)), batch.num_rows);
    std::vector<const Column*> kept;
    for (const Column& column : batch.columns) kept.push_back(&column);
    kept.push_back(&rounds);
    std::vector<std::uint64_t> hashes(batch.num_rows, 0);
    for (const Column* column : key) column->hash_into(hashes);
    std::size_t round_column = widths_[static_cast<std::size_t>(other)];
    std::map<std::uint64_t, Matches> matches;
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      if (!can_match(key, row)) continue;
      std::uint32_t entry = index_.find_or_add(key, row, hashes[row]);
      touched_.push_back(entry);
      for (std::uint32_t id = index_.head(other, entry); id != JoinIndex::kNone; id = index_.next(other, id)) {
        auto theirs = static_cast<std::uint64_t>(index_.rows(other).cell<std::int64_t>(round_column, id));
        Matches& at = matches[std::max(round, theirs)];
        at.rows.push_back(row);
        at.partners.push_back(id);
        at.diffs.push_back(batch.diff(row) * index_.row_count(other, id));
      }
      index_.change(side, entry, kept, row, batch.keys[row], batch.diff(row));
    }
    for (auto& [at, found] : matches) pending_[at].push_back(assemble(side, batch, found));
  }

  [[nodiscard]] Batch assemble(int side, const Batch& batch, const Matches& found) const {
    int other = 1 - side;
    std::size_t n = found.rows.size();
    KeyColumn own = batch.keys.gather(found.rows);
    KeyColumn theirs = index_.rows(other).gather_keys(found.partners);
    const KeyColumn& left_keys = side == 0 ? own : theirs;
    const KeyColumn& right_keys = side == 0 ? theirs : own;
    Batch out;
    out.num_rows = n;
    for (std::uint32_t index : join_.emit) {
      if (index >= widths_[0] + widths_[1]) {
        out.columns.push_back((index == widths_[0] + widths_[1] ? left_keys : right_keys).as_column(n));
        continue;
      }
      int from = index < widths_[0] ? 0 : 1;
      std::size_t column = from == 0 ? index : index - widths_[0];
      out.columns.push_back(from == side ? batch.columns[column].gather(found.rows) : index_.rows(other).gather(column, found.partners));
    }
    std::vector<Key> keys(n);
    for (std::size_t i = 0; i < n; ++i) {
      switch (join_.key) {
        case plan::JoinKey::kPair: keys[i] = key_of_pair(left_keys[i], right_keys[i]); break;
        case plan::JoinKey::kLeft: keys[i] = left_keys[i]; break;
        case plan::JoinKey::kRight: keys[i] = right_keys[i]; break;
      }
    }
    out.keys = KeyColumn(std::move(keys));
    out.set_diffs(found.diffs);
    return out;
  }

  const plan::Join join_;
  const Schema schema_;
  const std::size_t widths_[2];
  JoinIndex index_;
  std::vector<std::pair<int, Batch>> staged_;
  std::map<std::uint64_t, std::vector<Batch>> pending_;  // matches by the round they belong to
  std::vector<std::uint32_t> touched_;
};

}  // namespace

std::unique_ptr<LoopNode> make_loop_join(const plan::Node& node, const plan::Plan& plan) {
  return std::make_unique<LoopJoin>(node, std::get<plan::Join>(node.params), plan.node(node.inputs[0]).schema,
                                    plan.node(node.inputs[1]).schema);
}

}  // namespace thalweg
