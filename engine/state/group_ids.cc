#include "engine/state/group_ids.h"

namespace thalweg {

GroupIds::GroupIds(std::vector<Type> types) : trivial_(types.empty()), cells_(std::move(types), false) {}

void GroupIds::assign(const Batch& batch, std::span<const std::uint32_t> columns, std::vector<std::uint32_t>& groups) {
  groups.assign(batch.num_rows, 0);
  if (trivial_) return;
  row_hashes_.assign(batch.num_rows, 0);
  std::vector<const Column*> cells;
  for (std::uint32_t column : columns) {
    cells.push_back(&batch.columns[column]);
    batch.columns[column].hash_into(row_hashes_);
  }
  constexpr std::size_t kSlotAhead = 24;
  constexpr std::size_t kCellAhead = 12;
  for (std::size_t row = 0; row < batch.num_rows; ++row) {
    if (row + kSlotAhead < batch.num_rows) index_.prefetch(row_hashes_[row + kSlotAhead]);
    if (row + kCellAhead < batch.num_rows) {
      std::uint32_t candidate = index_.candidate(row_hashes_[row + kCellAhead]);
      if (candidate != HashIndex::kNoRow) cells_.prefetch(0, candidate);
    }
    std::uint64_t hash = row_hashes_[row];
    std::uint32_t group = index_.find(hash, [&](std::uint32_t id) { return cells_.row_equals(id, cells, row); });
    if (group == HashIndex::kNoRow) {
      group = cells_.insert(cells, row, nullptr);
      index_.insert(hash, group);
      if (references_.size() <= group) {
        references_.resize(group + 1);
        hashes_.resize(group + 1);
      }
      references_[group] = 0;
      hashes_[group] = hash;
      fresh_.push_back(group);
    }
    groups[row] = group;
  }
}

void GroupIds::drop_reference(std::uint32_t group) {
  if (trivial_) return;
  ENSURE(references_[group] > 0);
  if (--references_[group] == 0) fresh_.push_back(group);
}

void GroupIds::forget(std::uint32_t group) {
  index_.erase(hashes_[group], group);
  cells_.erase(group);
}

void GroupIds::drop_unreferenced() {
  for (std::uint32_t group : fresh_)
    if (cells_.alive(group) && references_[group] == 0) forget(group);
  fresh_.clear();
  cells_.compact_if_worthwhile();
}

}  // namespace thalweg
