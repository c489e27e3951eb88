// engine/operators/loop/loop_join.cc
//
// An inner join inside a loop. Per join key the history of either side is kept: what is read of its rows, by round. A
// match of rows of rounds r and s belongs to round max(r, s): it leaves at once, or when that round comes.
#include <algorithm>
#include <map>

#include "engine/operators/loop/history.h"
#include "engine/operators/loop/loop_node.h"
#include "engine/operators/loop/partitioned.h"
#include "engine/state/group_ids.h"

namespace thalweg {

namespace {

// A column of the result: column `at` of what is kept of a side, or that side's row key, or unread.
struct OutColumn {
  int side = 0;
  bool unread = false;
  bool is_key = false;
  std::size_t at = 0;
};

struct Layout {
  std::vector<OutColumn> out;
  plan::Columns kept[2];
  bool with_key[2] = {false, false};
};

Layout layout_of(const plan::Node& node, const plan::Join& join, std::size_t left_width, std::size_t right_width) {
  Layout layout;
  for (std::size_t place = 0; place < join.emit.size(); ++place) {
    std::size_t index = join.emit[place];
    OutColumn out;
    out.side = index < left_width || index == left_width + right_width ? 0 : 1;
    if (place < node.used.size() && !node.used[place]) {
      out.unread = true;
    } else if (index >= left_width + right_width) {
      out.is_key = true;
      layout.with_key[out.side] = true;
    } else {
      auto column = static_cast<std::uint32_t>(out.side == 0 ? index : index - left_width);
      plan::Columns& kept = layout.kept[out.side];
      auto found = std::ranges::find(kept, column);
      out.at = static_cast<std::size_t>(found - kept.begin());
      if (found == kept.end()) kept.push_back(column);
    }
    layout.out.push_back(out);
  }
  if (node.keys_needed) {
    layout.with_key[0] |= join.key != plan::JoinKey::kRight;
    layout.with_key[1] |= join.key != plan::JoinKey::kLeft;
  }
  return layout;
}

class LoopJoin : public LoopNode {
 public:
  LoopJoin(const plan::Node& node, const plan::Join& join, const Schema& left, const Schema& right, Layout layout)
      : join_(join),
        schema_(node.schema),
        keys_needed_(node.keys_needed),
        layout_(std::move(layout)),
        groups_(key_types(join, left)),
        rows_{RowCode(left, layout_.kept[0], layout_.with_key[0]),
              RowCode(right, layout_.kept[1], layout_.with_key[1])},
        histories_{History(rows_[0]), History(rows_[1])} {}

  void push(std::size_t port, Batch batch, std::uint64_t round, OperatorContext& out) override;
  void run(std::uint64_t round, OperatorContext& out) override;
  [[nodiscard]] std::optional<std::uint64_t> next_round() const override {
    return pending_.empty() ? std::nullopt : std::optional(pending_.begin()->first);
  }
  void end_commit() override;
  [[nodiscard]] StateSize state() const override {
    return {histories_[0].size() + histories_[1].size(),
            groups_.bytes() + rows_[0].bytes() + rows_[1].bytes() + histories_[0].bytes() + histories_[1].bytes()};
  }

 private:
  struct Matches {
    std::vector<RowWord> rows[2];
    std::vector<Diff> diffs;
    void add(int side, RowWord mine, RowWord theirs, Diff diff) {
      rows[side].push_back(mine);
      rows[1 - side].push_back(theirs);
      diffs.push_back(diff);
    }
    [[nodiscard]] std::size_t size() const { return diffs.size(); }
    void clear() {
      rows[0].clear();
      rows[1].clear();
      diffs.clear();
    }
  };

  static std::vector<Type> key_types(const plan::Join& join, const Schema& left) {
    std::vector<Type> types;
    for (std::uint32_t column : join.left_on) types.push_back(left.columns[column].type);
    return types;
  }
  [[nodiscard]] bool can_match(std::span<const std::uint32_t> on, const Batch& batch, std::uint32_t row) const {
    return std::ranges::all_of(on, [&](std::uint32_t column) {
      CellTag tag = batch.columns[column].tag(row);
      return tag == CellTag::kValue || (tag == CellTag::kNone && join_.none_matches);
    });
  }
  [[nodiscard]] const plan::Columns& on(int side) const { return side == 0 ? join_.left_on : join_.right_on; }
  void take(int side, Batch batch, std::uint64_t round, OperatorContext& out);
  void match(int side, std::uint32_t group, RowWord word, std::uint64_t round, Diff diff, OperatorContext& out);
  void emit(const Matches& matches, OperatorContext& out) const;
  [[nodiscard]] KeyColumn result_keys(const Matches& matches) const;

  const plan::Join join_;
  const Schema schema_;
  const bool keys_needed_;
  const Layout layout_;
  GroupIds groups_;
  RowCode rows_[2];
  History histories_[2];
  bool has_past_ = false;
  Partitioned staged_[2];                     // of the running round
  Matches now_;                               // of the running round
  std::map<std::uint64_t, Matches> pending_;  // of later ones
  std::vector<std::uint32_t> touched_[2];
  std::vector<std::uint32_t> group_of_;  // scratch
  std::vector<RowWord> words_;           // scratch
};

void LoopJoin::push(std::size_t port, Batch batch, std::uint64_t, OperatorContext&) {
  staged_[port].add(std::move(batch));
  if (staged_[port].is_long()) staged_[port].cut(on(static_cast<int>(port)));
}

void LoopJoin::take(int side, Batch batch, std::uint64_t round, OperatorContext& out) {
  if (batch.empty()) return;
  History& mine = histories_[side];
  const History& theirs = histories_[1 - side];
  if (rows_[side].with_key()) batch.materialise_keys();
  groups_.assign(batch, on(side), group_of_);
  rows_[side].encode(batch, words_);
  bool may_not_match =
      std::ranges::any_of(on(side), [&](std::uint32_t column) { return batch.columns[column].has_tags(); });
  constexpr std::size_t kAhead = 8;
  for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
    if (row + 2 * kAhead < batch.num_rows) {
      theirs.prefetch(group_of_[row + 2 * kAhead]);
      mine.prefetch(group_of_[row + 2 * kAhead]);
    }
    if (row + kAhead < batch.num_rows) {
      theirs.prefetch_entries(group_of_[row + kAhead]);
      mine.prefetch_entries(group_of_[row + kAhead]);
    }
    if (may_not_match && !can_match(on(side), batch, row)) {
      rows_[side].release(words_[row]);
      continue;
    }
    std::uint32_t group = group_of_[row];
    match(side, group, words_[row], round, batch.diff(row), out);
    if (mine.empty(group)) groups_.add_reference(group);
    mine.append(group, words_[row], round, batch.diff(row));
    if (has_past_) touched_[side].push_back(group);
  }
}

void LoopJoin::match(int side, std::uint32_t group, RowWord word, std::uint64_t round, Diff diff,
                     OperatorContext& out) {
  for (const History::Entry& entry : histories_[1 - side].entries(group)) {
    if (entry.diff == 0) continue;  // came and went; goes when the group is settled
    if (entry.round > round) {
      pending_[entry.round].add(side, word, entry.word(), diff * entry.diff);
      continue;
    }
    now_.add(side, word, entry.word(), diff * entry.diff);
    if (now_.size() < kChunkRows) continue;
    emit(now_, out);
    now_.clear();
  }
}

void LoopJoin::run(std::uint64_t round, OperatorContext& out) {
  for (int side : {0, 1}) staged_[side].drain(on(side), [&](Batch batch) { take(side, std::move(batch), round, out); });
  if (now_.size() > 0) emit(now_, out);
  now_.clear();
  auto due = pending_.find(round);
  if (due == pending_.end()) return;
  emit(due->second, out);
  pending_.erase(due);
}

KeyColumn LoopJoin::result_keys(const Matches& matches) const {
  if (join_.key == plan::JoinKey::kLeft) return rows_[0].decode_keys(matches.rows[0]);
  if (join_.key == plan::JoinKey::kRight) return rows_[1].decode_keys(matches.rows[1]);
  KeyColumn left = rows_[0].decode_keys(matches.rows[0]);
  KeyColumn right = rows_[1].decode_keys(matches.rows[1]);
  std::vector<Key> keys(matches.size());
  for (std::size_t i = 0; i < keys.size(); ++i) keys[i] = key_of_pair(left[i], right[i]);
  return KeyColumn(std::move(keys));
}

void LoopJoin::emit(const Matches& matches, OperatorContext& out) const {
  Batch batch;
  batch.num_rows = matches.size();
  for (std::size_t c = 0; c < layout_.out.size(); ++c) {
    const OutColumn& column = layout_.out[c];
    const std::vector<RowWord>& words = matches.rows[column.side];
    if (column.unread)
      batch.columns.push_back(Column::constant(schema_.columns[c].type, Value::none(), batch.num_rows));
    else if (column.is_key)
      batch.columns.push_back(rows_[column.side].decode_keys(words).as_column(batch.num_rows));
    else
      batch.columns.push_back(rows_[column.side].decode(column.at, words));
  }
  if (keys_needed_) batch.keys = result_keys(matches);
  batch.set_diffs(matches.diffs);
  out.emit(std::move(batch));
}

void LoopJoin::end_commit() {
  pending_.clear();
  now_.clear();
  for (Partitioned& staged : staged_) staged.clear();
  has_past_ |= histories_[0].size() + histories_[1].size() > 0;
  for (int side : {0, 1}) {
    std::ranges::sort(touched_[side]);
    touched_[side].erase(std::unique(touched_[side].begin(), touched_[side].end()), touched_[side].end());
    for (std::uint32_t group : touched_[side])
      if (!histories_[side].settle_if_worthwhile(group)) groups_.drop_reference(group);
    touched_[side].clear();
    rows_[side].maintain();
  }
  groups_.drop_unreferenced();
}

}  // namespace

std::unique_ptr<LoopNode> make_loop_join(const plan::Node& node, const plan::Plan& plan) {
  const auto& join = std::get<plan::Join>(node.params);
  const Schema& left = plan.node(node.inputs[0]).schema;
  const Schema& right = plan.node(node.inputs[1]).schema;
  return std::make_unique<LoopJoin>(node, join, left, right, layout_of(node, join, left.size(), right.size()));
}

}  // namespace thalweg
