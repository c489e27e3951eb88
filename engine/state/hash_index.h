// engine/state/hash_index.h
//
// From a 64-bit hash to row numbers: open addressing, linear probing, 8 bytes a slot (32 bits of hash, 32 of row).
// Rows live elsewhere; the caller says whether a candidate is the one. Growing needs no hashes from outside.
//
// H1  At most 7/8 of the slots are in use; a table of n rows takes between 9.2 and 18.3 bytes a row.
// H2  Removal shifts back (no tombstones): a table that shrinks and grows never degrades.
// Cost  one cache line for most probes; find_block prefetches, so that misses overlap.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/base/ensure.h"
#include "engine/base/prefetch.h"

namespace thalweg {

class HashIndex {
 public:
  static constexpr std::uint32_t kNoRow = 0xFFFFFFFFU;

  HashIndex() = default;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t bytes() const { return slots_.capacity() * sizeof(Slot); }

  THALWEG_PREFETCHES void prefetch(std::uint64_t hash) const {
    if (!slots_.empty()) __builtin_prefetch(&slots_[home(tag_of(hash))]);
  }

  // The first row whose hash may be this one, or kNoRow: what to prefetch before `find`.
  [[nodiscard]] std::uint32_t candidate(std::uint64_t hash) const {
    if (slots_.empty()) return kNoRow;
    std::uint32_t tag = tag_of(hash);
    for (std::size_t at = home(tag);; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.row == kNoRow || slot.tag == tag) return slot.row;
    }
  }

  // The row for which `equal(row)` holds among those of this hash, or kNoRow.
  template <class Equal>
  [[nodiscard]] std::uint32_t find(std::uint64_t hash, Equal&& equal) const {
    if (slots_.empty()) return kNoRow;
    std::uint32_t tag = tag_of(hash);
    for (std::size_t at = home(tag);; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.row == kNoRow) return kNoRow;
      if (slot.tag == tag && equal(slot.row)) return slot.row;
    }
  }

  // Requires: no equal row is there.
  void insert(std::uint64_t hash, std::uint32_t row) {
    if ((size_ + 1) * 8 > slots_.size() * 7) grow();
    place({tag_of(hash), row});
    ++size_;
  }

  // Requires: the row is there under this hash.
  void erase(std::uint64_t hash, std::uint32_t row) {
    std::size_t at = locate(hash, row);
    // Shift later entries of the probe run back over the hole.
    std::size_t hole = at;
    for (std::size_t next = (at + 1) & mask_; slots_[next].row != kNoRow; next = (next + 1) & mask_) {
      std::size_t ideal = home(slots_[next].tag);
      if (((next - ideal) & mask_) >= ((next - hole) & mask_)) {
        slots_[hole] = slots_[next];
        hole = next;
      }
    }
    slots_[hole] = Slot{};
    --size_;
  }

  // Requires: `from` is there under this hash. Makes the entry point to another row.
  void replace(std::uint64_t hash, std::uint32_t from, std::uint32_t to) { slots_[locate(hash, from)].row = to; }

  void reserve(std::size_t rows) {
    while (rows * 8 > slots_.size() * 7) grow();
  }
  void clear() {
    slots_.clear();
    size_ = 0;
    mask_ = 0;
    shift_ = 32;
  }

 private:
  struct Slot {
    std::uint32_t tag = 0;
    std::uint32_t row = kNoRow;
  };

  // Spreads the hash over the 32 bits that are kept; the home slot is their top bits, so that growing splits runs.
  [[nodiscard]] static std::uint32_t tag_of(std::uint64_t hash) {
    return static_cast<std::uint32_t>((hash * 0xC2B2AE3D27D4EB4FULL) >> 32);
  }
  [[nodiscard]] std::size_t home(std::uint32_t tag) const { return shift_ >= 32 ? 0 : tag >> shift_; }

  [[nodiscard]] std::size_t locate(std::uint64_t hash, std::uint32_t row) const {
    ENSURE(!slots_.empty());
    for (std::size_t at = home(tag_of(hash));; at = (at + 1) & mask_) {
      ENSURE(slots_[at].row != kNoRow);
      if (slots_[at].row == row) return at;
    }
  }

  void place(Slot slot) {
    std::size_t at = home(slot.tag);
    while (slots_[at].row != kNoRow) at = (at + 1) & mask_;
    slots_[at] = slot;
  }

  void grow() {
    std::size_t capacity = slots_.empty() ? 16 : slots_.size() * 2;
    std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(capacity));
    mask_ = capacity - 1;
    shift_ = 32 - static_cast<unsigned>(__builtin_ctzll(capacity));
    for (const Slot& slot : old)
      if (slot.row != kNoRow) place(slot);
  }

  std::vector<Slot> slots_;
  std::size_t size_ = 0;
  std::size_t mask_ = 0;
  unsigned shift_ = 32;
};

}  // namespace thalweg
