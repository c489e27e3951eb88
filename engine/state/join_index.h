// engine/state/join_index.h
//
// Rows of two tables under a shared set of join keys: the arrangement of a join.
//
// J1  An entry is there for every join key that either side has rows of; it knows how many rows (as a sum of diffs)
//     each side has.
// J2  Rows of one side under one key are linked; a row has a count, which may be negative within a commit.
// Cost  one probe per row; rows of a key are walked only to join them, and to find a row to delete where no row index
//       exists yet (one is made when a walk gets long).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "engine/base/prefetch.h"
#include "engine/state/archive.h"
#include "engine/state/hash_index.h"
#include "engine/state/row_store.h"

namespace thalweg {

class JoinIndex {
 public:
  static constexpr std::uint32_t kNone = 0xFFFFFFFFU;

  // `key_types`: of the join columns. `rows[s]`: types of the columns kept for side s. `with_keys`: row keys are kept,
  // too, and tell rows apart; else equal rows are one.
  JoinIndex(std::vector<Type> key_types, std::array<std::vector<Type>, 2> rows, bool with_keys = true);

  // The entry of a join key, or kNone.
  [[nodiscard]] std::uint32_t find(std::span<const Column* const> key, std::size_t row, std::uint64_t hash) const;
  std::uint32_t find_or_add(std::span<const Column* const> key, std::size_t row, std::uint64_t hash);
  // The entries of the rows of a chunk, made where `matches[row]` and there is none; kNone elsewhere. Asks for memory
  // before it is needed.
  void find_or_add_all(std::span<const Column* const> key, std::span<const std::uint64_t> hashes,
                       std::span<const std::uint8_t> matches, std::vector<std::uint32_t>& entries);

  // Adds `diff` copies of a row (columns as kept for the side). `key` is not looked at without keys.
  void change(int side, std::uint32_t entry, std::span<const Column* const> columns, std::size_t row, const Key* key,
              Diff diff);
  // Drops the entry if neither side has rows; one that was dropped may be named again.
  void drop_if_empty(std::uint32_t entry);

  // What `head` will read of an entry, `next` and `row_count` of a row, and `change` of both.
  THALWEG_PREFETCHES void prefetch_entry(std::uint32_t entry) const { __builtin_prefetch(&entries_[entry]); }
  THALWEG_PREFETCHES void prefetch_link(int side, std::uint32_t row) const {
    __builtin_prefetch(&sides_[side].links[row]);
  }
  THALWEG_PREFETCHES void prefetch_head(int side, std::uint32_t entry) const {
    if (std::uint32_t id = entries_[entry].head[side]; id != kNone) __builtin_prefetch(&sides_[side].links[id]);
  }

  [[nodiscard]] std::int64_t count(int side, std::uint32_t entry) const { return entries_[entry].count[side]; }
  [[nodiscard]] std::uint32_t head(int side, std::uint32_t entry) const { return entries_[entry].head[side]; }
  [[nodiscard]] std::uint32_t next(int side, std::uint32_t row) const { return sides_[side].links[row].next; }
  [[nodiscard]] Diff row_count(int side, std::uint32_t row) const { return sides_[side].links[row].count; }
  [[nodiscard]] const RowStore& rows(int side) const { return sides_[side].rows; }
  [[nodiscard]] std::size_t num_entries() const { return entries_.size(); }
  [[nodiscard]] std::size_t num_rows() const { return sides_[0].rows.size() + sides_[1].rows.size(); }
  [[nodiscard]] std::size_t bytes() const;
  void maintain();
  [[nodiscard]] std::uint64_t hash_of_entry(std::uint32_t entry) const { return entries_[entry].hash; }
  // The entry that a row is under. Requires: the row is there.
  [[nodiscard]] std::uint32_t entry_of(int side, std::uint32_t row) const { return sides_[side].links[row].entry; }

  void save(StateWriter& out) const;
  // Adds what was saved of the join keys for which `mine` gives the rows. Requires: none of these keys is there.
  Result<void> load(StateReader& in, const std::function<std::vector<std::uint32_t>(Batch&)>& mine);

 private:
  void load_rows(int side, const Batch& rows, std::span<const std::uint32_t> entries);
  static constexpr std::size_t kLongWalk = 32;
  struct Entry {
    std::uint32_t head[2] = {kNone, kNone};
    std::int64_t count[2] = {0, 0};
    std::uint64_t hash = 0;
  };
  struct Link {
    std::uint32_t next = kNone;
    std::uint32_t previous = kNone;
    std::uint32_t entry = kNone;
    Diff count = 0;
  };
  struct Side {
    Side(std::vector<Type> types, bool with_keys) : rows(std::move(types), with_keys) {}
    RowStore rows;
    std::vector<Link> links;
    HashIndex by_row;  // rows by row key (without keys: by their cells), once `indexed`
    bool indexed = false;
    std::size_t negative = 0;  // links whose count is below zero: deletions that came before their insertion
  };
  [[nodiscard]] std::uint32_t find_row(Side& side, std::uint32_t entry, std::uint32_t head,
                                       std::span<const Column* const> columns, std::size_t row, const Key* key);
  [[nodiscard]] std::uint64_t hash_of_row(std::uint32_t entry, std::span<const Column* const> columns, std::size_t row,
                                          const Key* key) const;
  [[nodiscard]] std::uint64_t hash_of_stored(const Side& side, std::uint32_t id) const;
  void index_rows(Side& side);

  const bool with_keys_;
  RowStore keys_;
  HashIndex index_;
  std::vector<Entry> entries_;  // by id in keys_
  std::array<Side, 2> sides_;
};

}  // namespace thalweg
