// connectors/file/row_counts.h
//
// How often each row occurs, by its hash: open addressing, 24 bytes a slot, at most three quarters full.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "engine/types/key.h"

namespace thalweg {

class RowCounts {
 public:
  struct Slot {
    Key row;
    std::uint32_t before = 0;
    std::uint32_t now = 0;
    [[nodiscard]] bool used() const { return row.hi != 0 || row.lo != 0; }
  };
  // The slot of the row; a new one counts nothing. Valid until the next call.
  Slot& at(const Key& row) {
    if (4 * (used_ + 1) > 3 * slots_.size()) grow();
    Slot& slot = find(row);
    if (!slot.used()) {
      slot.row = row;
      ++used_;
    }
    return slot;
  }
  // What is counted as now becomes before; rows that are no more are forgotten.
  void turn_over() {
    std::vector<Slot> old = std::exchange(slots_, {});
    used_ = 0;
    std::size_t live = 0;
    for (const Slot& slot : old) live += slot.now > 0;
    reserve(live);
    for (const Slot& slot : old)
      if (slot.now > 0) at(slot.row).before = slot.now;
  }
  [[nodiscard]] std::size_t bytes() const { return slots_.size() * sizeof(Slot); }

 private:
  Slot& find(const Key& row) {
    std::size_t mask = slots_.size() - 1;
    std::size_t i = hash_of_key(row) & mask;
    while (slots_[i].used() && slots_[i].row != row) i = (i + 1) & mask;
    return slots_[i];
  }
  void reserve(std::size_t rows) {
    std::size_t size = 16;
    while (3 * size < 4 * (rows + 1)) size *= 2;
    slots_.assign(size, Slot{});
  }
  void grow() {
    std::vector<Slot> old = std::exchange(slots_, {});
    reserve(used_ * 2);
    for (const Slot& slot : old)
      if (slot.used()) find(slot.row) = slot;
  }
  std::vector<Slot> slots_;
  std::size_t used_ = 0;
};

}  // namespace thalweg
