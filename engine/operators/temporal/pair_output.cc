#include "engine/operators/temporal/pair_output.h"

#include <algorithm>

namespace thalweg::operators {

Column PairOutput::cells(const RowStore& store, std::uint32_t column, const std::vector<std::uint32_t>& ids) const {
  if (std::ranges::find(ids, kAbsent) == ids.end()) return store.gather(column, ids);
  ColumnBuilder builder(store.types()[column], ids.size());
  for (std::uint32_t id : ids) {
    if (id == kAbsent)
      builder.push_none();
    else
      store.append_cell(column, id, builder);
  }
  return builder.finish();
}

Column PairOutput::keys(const RowStore& store, const std::vector<std::uint32_t>& ids) const {
  ColumnBuilder builder(Phys::kU128, ids.size());
  for (std::uint32_t id : ids) {
    if (id == kAbsent)
      builder.push_none();
    else
      builder.push_key(store.key(id));
  }
  return builder.finish();
}

Column PairOutput::times() const {
  ColumnBuilder builder(left_.types()[left_time_], sides_.size());
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    if (sides_[i])
      right_.append_cell(right_time_, rights_[i], builder);
    else
      left_.append_cell(left_time_, lefts_[i], builder);
  }
  return builder.finish();
}

KeyColumn PairOutput::row_keys() const {
  std::vector<Key> keys(lefts_.size());
  for (std::size_t i = 0; i < lefts_.size(); ++i) {
    if (key_ != plan::JoinKey::kPair) {
      keys[i] = key_ == plan::JoinKey::kLeft ? left_.key(lefts_[i]) : right_.key(rights_[i]);
      continue;
    }
    std::optional<Key> left, right;
    if (lefts_[i] != kAbsent) left = left_.key(lefts_[i]);
    if (rights_[i] != kAbsent) right = right_.key(rights_[i]);
    keys[i] = key_of_pair(left, right);
    // A left row with its peer and a right row with its peer may be the same two.
    if (!sides_.empty() && sides_[i]) keys[i] = key_of_part(keys[i], 1);
  }
  return KeyColumn(std::move(keys));
}

void PairOutput::flush(OperatorContext& context) {
  if (lefts_.empty()) return;
  Batch batch;
  batch.num_rows = lefts_.size();
  auto num_left = static_cast<std::uint32_t>(left_.types().size()),
       num_right = static_cast<std::uint32_t>(right_.types().size());
  for (std::uint32_t column : emit_) {
    if (column < num_left)
      batch.columns.push_back(cells(left_, column, lefts_));
    else if (column < num_left + num_right)
      batch.columns.push_back(cells(right_, column - num_left, rights_));
    else if (column == num_left + num_right)
      batch.columns.push_back(keys(left_, lefts_));
    else if (column == num_left + num_right + 1)
      batch.columns.push_back(keys(right_, rights_));
    else if (column == num_left + num_right + 2)
      batch.columns.push_back(Column::from_vector<std::uint8_t>(Phys::kU8, sides_));
    else
      batch.columns.push_back(times());
  }
  batch.keys = row_keys();
  if (std::ranges::any_of(diffs_, [](Diff diff) { return diff != 1; })) batch.set_diffs(std::move(diffs_));
  lefts_.clear();
  rights_.clear();
  sides_.clear();
  diffs_.clear();
  context.emit(std::move(batch));
}

}  // namespace thalweg::operators
