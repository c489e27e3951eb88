// engine/operators/loop/history.h
//
// What came to the groups of a loop's table, by round: per group a list of (row, round, diff), past commits added up.
//
// H1  [0, past(group)) is in order of rounds, without two entries of one row and round and without zeros, once
//     settle(group) was called; what is appended after it follows, in the order in which it came. Appended entries
//     that cancel stay with a diff of 0 until the group is settled.
// H2  Every entry holds a reference to its row's word.
// Cost  16 bytes an entry; appending is an append; settling a group sorts what was appended and merges.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/prefetch.h"
#include "engine/operators/loop/row_code.h"
#include "engine/state/block_pool.h"

namespace thalweg {

class History {
 public:
  static constexpr unsigned kRoundBits = 30;
  struct Entry {
    std::uint64_t bits;
    std::uint32_t round : kRoundBits;
    std::uint32_t tag : 2;
    Diff diff;
    [[nodiscard]] RowWord word() const { return {bits, static_cast<CellTag>(tag)}; }
  };
  static_assert(sizeof(Entry) == 16);

  // `words` says what the words are; it outlives the history.
  explicit History(RowCode& words) : words_(words) {}
  History(const History&) = delete;
  History& operator=(const History&) = delete;
  ~History();

  // Takes over the reference to `word`.
  void append(std::uint32_t group, RowWord word, std::uint64_t round, Diff diff);
  void settle(std::uint32_t group);
  // Settles if the group has got long beside what is settled; says whether the group has entries.
  bool settle_if_worthwhile(std::uint32_t group);

  [[nodiscard]] std::span<const Entry> entries(std::uint32_t group) const {
    if (group >= lists_.size()) return {};
    return {lists_[group].entries.data, lists_[group].entries.size};
  }
  [[nodiscard]] std::uint32_t past(std::uint32_t group) const {
    return group < lists_.size() ? lists_[group].settled : 0;
  }
  [[nodiscard]] bool empty(std::uint32_t group) const { return entries(group).empty(); }
  THALWEG_PREFETCHES void prefetch(std::uint32_t group) const {
    if (group < lists_.size()) __builtin_prefetch(&lists_[group]);
  }
  THALWEG_PREFETCHES void prefetch_entries(std::uint32_t group) const {
    if (group < lists_.size()) __builtin_prefetch(lists_[group].entries.data);
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t bytes() const { return pool_.bytes() + lists_.capacity() * sizeof(List); }

 private:
  struct List {
    PooledArray<Entry> entries;
    std::uint32_t settled = 0;
  };
  RowCode& words_;
  BlockPool<Entry> pool_;
  std::vector<List> lists_;  // by group
  std::size_t size_ = 0;
};

}  // namespace thalweg
