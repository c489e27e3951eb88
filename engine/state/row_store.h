// engine/state/row_store.h
//
// Rows of state in columns: segments of 4096 rows, row numbers that stay valid until erased, texts in a heap of the
// store's own. The storage under groups, arrangements and keyed tables.
//
// R1  A row number names one row from insert to erase; erased numbers are used again.
// R2  Bytes of a text never move under a batch that was gathered: compaction writes a new heap and leaves the old one
//     to those who hold it.
// R3  With copy_on_write, segments handed out by share() never change: writers copy them first.
// Memory  fixed width per row and column, one tag byte per cell only in segments that hold a None or ERROR.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/base/prefetch.h"
#include "engine/types/batch.h"

namespace thalweg {

class RowStore {
 public:
  static constexpr std::uint32_t kSegmentBits = 12;
  static constexpr std::uint32_t kSegmentRows = 1U << kSegmentBits;

  // `with_keys`: rows carry their row key.
  RowStore(std::vector<Type> types, bool with_keys);

  [[nodiscard]] std::size_t size() const { return live_; }   // rows
  [[nodiscard]] std::uint32_t end() const { return next_; }  // all row numbers are below
  [[nodiscard]] const std::vector<Type>& types() const { return types_; }
  [[nodiscard]] std::size_t bytes() const;

  // Cells `columns[i][row]`, one per column of the store.
  std::uint32_t insert(std::span<const Column* const> columns, std::size_t row, const Key* key);
  std::uint32_t insert(const Batch& batch, std::size_t row);
  // Rows 0 … n - 1 of the columns, each as by insert.
  void insert_all(std::span<const Column* const> columns, std::size_t n, const KeyColumn* keys,
                  std::vector<std::uint32_t>& ids);
  void erase(std::uint32_t id);
  // Erases may leave dead texts behind; call between commits.
  void compact_if_worthwhile();

  [[nodiscard]] const Key& key(std::uint32_t id) const { return segment(id).keys[at(id)]; }
  [[nodiscard]] CellTag tag(std::size_t column, std::uint32_t id) const {
    const Cellblock& block = segment(id).columns[column];
    return block.tags ? static_cast<CellTag>(block.tags[at(id)]) : CellTag::kValue;
  }
  template <class T>
  [[nodiscard]] const T& cell(std::size_t column, std::uint32_t id) const {
    return reinterpret_cast<const T*>(segment(id).columns[column].data.get())[at(id)];
  }
  [[nodiscard]] bool equals(std::size_t column, std::uint32_t id, const Column& other, std::size_t row) const;
  [[nodiscard]] bool row_equals(std::uint32_t id, std::span<const Column* const> columns, std::size_t row) const;
  [[nodiscard]] int compare(std::size_t column, std::uint32_t a, std::uint32_t b) const;
  [[nodiscard]] int compare(std::size_t column, std::uint32_t a, const Column& other, std::size_t row) const;
  [[nodiscard]] Value value(std::size_t column, std::uint32_t id) const;
  // Hash of a row's cells in these columns, as Column::hash_into gives for a batch.
  [[nodiscard]] std::uint64_t hash(std::uint32_t id, std::span<const std::size_t> columns) const;
  THALWEG_PREFETCHES void prefetch(std::size_t column, std::uint32_t id) const {
    const Cellblock& block = segment(id).columns[column];
    __builtin_prefetch(block.data.get() + at(id) * block.width);
  }

  // The bytes of a long text; requires that the cell itself was prefetched.
  THALWEG_PREFETCHES void prefetch_text(std::size_t column, std::uint32_t id) const {
    if (types_[column].phys() != Phys::kView) return;
    const StrView& view = cell<StrView>(column, id);
    if (!view.is_inline()) __builtin_prefetch(view.data());
  }

  [[nodiscard]] Column gather(std::size_t column, std::span<const std::uint32_t> ids) const;
  [[nodiscard]] KeyColumn gather_keys(std::span<const std::uint32_t> ids) const;
  [[nodiscard]] Batch gather(std::span<const std::uint32_t> ids) const;

  void append_cell(std::size_t column, std::uint32_t id, ColumnBuilder& out) const;
  [[nodiscard]] bool alive(std::uint32_t id) const { return segment(id).alive[at(id)] != 0; }

  // A view of all segments as they are now, for readers on other threads (R3).
  [[nodiscard]] RowStore share() const;

 private:
  struct Cellblock {
    std::size_t width = 0;
    std::shared_ptr<char[]> data;
    std::shared_ptr<std::uint8_t[]> tags;  // null: all values
  };
  struct Segment {
    std::vector<Cellblock> columns;
    std::shared_ptr<Key[]> keys;
    std::vector<std::uint8_t> alive = std::vector<std::uint8_t>(kSegmentRows);
  };
  using SegmentRef = std::shared_ptr<Segment>;

  [[nodiscard]] static std::uint32_t at(std::uint32_t id) { return id & (kSegmentRows - 1); }
  [[nodiscard]] const Segment& segment(std::uint32_t id) const { return *segments_[id >> kSegmentBits]; }
  [[nodiscard]] Segment& writable(std::uint32_t id);
  void add_segment();
  void write_cell(Cellblock& block, std::uint32_t slot, const Column& from, std::size_t row);
  void write_cells(Cellblock& block, std::uint32_t slot, const Column& from, std::size_t row, std::size_t n);
  [[nodiscard]] StrView own(StrView view);

  std::vector<Type> types_;
  bool with_keys_;
  std::vector<SegmentRef> segments_;
  std::vector<std::uint32_t> free_;
  std::uint32_t next_ = 0;
  std::size_t live_ = 0;
  std::shared_ptr<StringHeap> heap_;
  std::size_t dead_text_bytes_ = 0;
  bool has_texts_ = false;
};

// Compares the rows of a store with those of some columns; a single column of integers without a call.
class RowMatcher {
 public:
  RowMatcher(const RowStore& store, std::span<const Column* const> columns) : store_(store), columns_(columns) {
    if (columns.size() == 1 && columns[0]->phys() == Phys::kI64 && !columns[0]->has_tags()) ints_ = columns[0]->i64();
  }
  [[nodiscard]] bool operator()(std::uint32_t id, std::size_t row) const {
    if (!ints_) return store_.row_equals(id, columns_, row);
    return store_.cell<std::int64_t>(0, id) == (*ints_)[row] && store_.tag(0, id) == CellTag::kValue;
  }

 private:
  const RowStore& store_;
  std::span<const Column* const> columns_;
  std::optional<Cells<std::int64_t>> ints_;
};

}  // namespace thalweg
