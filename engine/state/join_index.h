// engine/state/join_index.h
//
// Rows of two tables, or of several, under a shared set of join keys: the arrangement of a join, or of joins that have
// tables in common (join_family.h).
//
// J1  An entry is there for every join key that any side has rows of; it knows how many rows (as a sum of diffs) each
//     side has.
// J2  Rows of one side under one key are linked; a row has a count, which may be negative within a commit.
// Cost  one probe per row; rows of a key are walked only to join them, and to find a row to delete where no row index
//       exists yet (one is made when a walk gets long).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <span>
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
  // Without sides. They are added before the first rows and numbered from 0; the first two are the quickest.
  explicit JoinIndex(std::vector<Type> key_types);
  int add_side(std::vector<Type> types, bool with_keys);
  // Drops all rows of a side, and the join keys that only it had.
  void clear_side(int side);

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
  // The same for all rows of a chunk, by their entries (kNone: not this row). `shrunk` gets the entries that lost rows.
  void change_all(int side, std::span<const std::uint32_t> entries, std::span<const Column* const> columns,
                  const Batch& batch, bool with_keys, std::vector<std::uint32_t>& shrunk);
  // Drops the entry if no side has rows; one that was dropped may be named again.
  void drop_if_empty(std::uint32_t entry);

  // What `head` will read of an entry, `next` and `row_count` of a row, and `change` of both.
  THALWEG_PREFETCHES void prefetch_entry(int side, std::uint32_t entry) const {
    if (side < kInEntry)
      __builtin_prefetch(&entries_[entry]);
    else if (const auto& places = sides_[side].places; entry < places.size())
      __builtin_prefetch(&places[entry]);
  }
  THALWEG_PREFETCHES void prefetch_link(int side, std::uint32_t row) const {
    __builtin_prefetch(&sides_[side].links[row]);
  }
  THALWEG_PREFETCHES void prefetch_head(int side, std::uint32_t entry) const {
    if (std::uint32_t id = head(side, entry); id != kNone) __builtin_prefetch(&sides_[side].links[id]);
  }

  [[nodiscard]] std::int64_t count(int side, std::uint32_t entry) const {
    if (side < kInEntry) [[likely]]
      return entries_[entry].count[side];
    const auto& places = sides_[side].places;
    return entry < places.size() ? places[entry].count : 0;
  }
  [[nodiscard]] std::uint32_t head(int side, std::uint32_t entry) const {
    if (side < kInEntry) [[likely]]
      return entries_[entry].head[side];
    const auto& places = sides_[side].places;
    return entry < places.size() ? places[entry].head : kNone;
  }
  [[nodiscard]] std::uint32_t next(int side, std::uint32_t row) const { return sides_[side].links[row].next; }
  [[nodiscard]] Diff row_count(int side, std::uint32_t row) const { return sides_[side].links[row].count; }
  [[nodiscard]] const RowStore& rows(int side) const { return sides_[side].rows; }
  [[nodiscard]] std::size_t num_entries() const { return entries_.size(); }
  [[nodiscard]] std::size_t bytes_of_keys() const;
  [[nodiscard]] std::size_t bytes_of_side(int side) const;
  void maintain();
  [[nodiscard]] std::uint64_t hash_of_entry(std::uint32_t entry) const { return entries_[entry].hash; }
  // The entry that a row is under. Requires: the row is there.
  [[nodiscard]] std::uint32_t entry_of(int side, std::uint32_t row) const { return sides_[side].links[row].entry; }

  // The rows of these sides, and the join keys that they have.
  void save(std::span<const int> sides, StateWriter& out) const;
  // Adds what was saved of as many sides, of the join keys for which `mine` gives the rows. Requires: these sides have
  // no rows of these keys; if they are all there are, none of these keys is there.
  Result<void> load(std::span<const int> sides, StateReader& in,
                    const std::function<std::vector<std::uint32_t>(Batch&)>& mine);

 private:
  using Mine = std::function<std::vector<std::uint32_t>(Batch&)>;
  Result<std::vector<std::uint32_t>> load_keys(bool all_new, StateReader& in, const Mine& mine);
  void add_keys(const Batch& batch, std::span<const std::uint64_t> hashes, std::vector<std::uint32_t>& ids);
  void load_rows(int side, const Batch& rows, std::span<const std::uint32_t> entries);
  static constexpr std::size_t kLongWalk = 32;
  static constexpr int kInEntry = 2;  // sides whose rows an entry itself knows
  struct Entry {
    std::uint32_t head[kInEntry] = {kNone, kNone};
    std::int64_t count[kInEntry] = {0, 0};
    std::uint64_t hash = 0;
  };
  struct Place {
    std::uint32_t head = kNone;
    std::int64_t count = 0;
  };
  struct Link {
    std::uint32_t next = kNone;
    std::uint32_t previous = kNone;
    std::uint32_t entry = kNone;
    Diff count = 0;
  };
  struct Side {
    Side(std::vector<Type> types, bool keyed) : rows(std::move(types), keyed), with_keys(keyed) {}
    RowStore rows;
    bool with_keys;
    std::vector<Link> links;
    std::vector<Place> places;  // by entry, as far as it had rows; of sides beyond the second
    HashIndex by_row;           // rows by row key (without keys: by their cells), once `indexed`
    bool indexed = false;
    std::size_t negative = 0;  // links whose count is below zero: deletions that came before their insertion
  };
  [[nodiscard]] std::uint32_t find_row(Side& side, std::uint32_t entry, std::uint32_t head,
                                       std::span<const Column* const> columns, std::size_t row, const Key* key);
  [[nodiscard]] std::uint64_t hash_of_row(const Side& side, std::uint32_t entry, std::span<const Column* const> columns,
                                          std::size_t row, const Key* key) const;
  [[nodiscard]] std::uint64_t hash_of_stored(const Side& side, std::uint32_t id) const;
  void index_rows(Side& side);
  [[nodiscard]] bool has_rows(std::uint32_t entry) const;
  // Where the first row of a side under an entry is, and how many there are.
  struct PlaceRef {
    std::uint32_t& head;
    std::int64_t& count;
  };
  [[nodiscard]] PlaceRef place_of(int side, std::uint32_t entry) {
    if (side < kInEntry) [[likely]]
      return {entries_[entry].head[side], entries_[entry].count[side]};
    auto& places = sides_[side].places;
    if (entry >= places.size()) places.resize(std::size_t{entry} + 1);
    return {places[entry].head, places[entry].count};
  }

  RowStore keys_;
  HashIndex index_;
  std::vector<Entry> entries_;  // by id in keys_
  std::vector<Side> sides_;
};

}  // namespace thalweg
