// engine/state/keyed_rows.h
//
// One row per key, as of the last settled commit. Changes of a commit are staged in any order and settled at once.
//
// K1  Every key has at most one effective row. Where the input has several rows of one key, the effective row has
//     ERROR in the columns in which they differ; it is mended when the extra rows leave.
// K2  settle() returns exactly effective-after minus effective-before: at most one deletion and one insertion a key.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "engine/state/archive.h"
#include "engine/state/hash_index.h"
#include "engine/state/row_store.h"
#include "engine/types/batch.h"

namespace thalweg {

class KeyedRows {
 public:
  explicit KeyedRows(std::vector<Type> types);

  void stage(Batch chunk);
  [[nodiscard]] bool has_staged() const { return !staged_.empty(); }
  // Applies what is staged. `on_duplicate` is told of every key that came to have several rows.
  Batch settle(const std::function<void(const Key&)>& on_duplicate);

  [[nodiscard]] std::optional<std::uint32_t> find(const Key& key) const;
  [[nodiscard]] const RowStore& rows() const { return rows_; }
  [[nodiscard]] std::size_t size() const { return rows_.size(); }
  [[nodiscard]] std::size_t bytes() const { return rows_.bytes() + index_.bytes(); }

  // Of which there are rows, each once.
  [[nodiscard]] std::vector<Key> keys() const;
  // Requires: nothing is staged.
  void save(StateWriter& out) const;
  // Adds what was saved, of the keys that `takes`; `added` is told of the rows. Requires: none of these keys is there.
  Result<void> load(StateReader& in, const std::function<bool(const Key&)>& takes,
                    const std::function<void(const Batch&)>& added = {});

 private:
  void insert_all(const Batch& batch);
  Result<void> load_duplicates(StateReader& in, const std::function<bool(const Key&)>& takes);
  struct RawRow {
    Batch row;
    Diff count = 0;
  };
  struct Touched {
    std::vector<std::uint32_t> rows;  // of the batch
  };
  void apply_plain(const Batch& batch, std::span<const std::uint32_t> rows);
  void settle_duplicate(const Batch& batch, const Key& key, std::span<const std::uint32_t> rows,
                        const std::function<void(const Key&)>& on_duplicate, std::vector<Batch>& delta);
  void erase(const Key& key, std::uint32_t id);
  void insert(const Batch& batch, std::size_t row);

  RowStore rows_;
  HashIndex index_;
  std::unordered_map<Key, std::vector<RawRow>> duplicates_;  // all rows of the keys that have several
  std::vector<Batch> staged_;
};

// Row `row` of a clean delta, or of a table as it is now: where an operator finds a key's row before and after a
// commit.
class KeyedDelta {
 public:
  KeyedDelta(const KeyedRows& table, Batch delta);
  [[nodiscard]] const Batch& batch() const { return delta_; }
  struct RowRef {
    bool in_delta = false;
    std::uint32_t row = 0;
  };
  [[nodiscard]] std::optional<RowRef> before(const Key& key) const;
  [[nodiscard]] std::optional<RowRef> after(const Key& key) const;
  void append_cell(std::size_t column, RowRef ref, ColumnBuilder& out) const;
  // The keys it touches, each once.
  void collect_keys(std::vector<Key>& out) const;

 private:
  struct Change {
    std::int64_t deleted = -1;
    std::int64_t inserted = -1;
  };
  const KeyedRows& table_;
  Batch delta_;
  std::unordered_map<Key, Change> changes_;
};

}  // namespace thalweg
