// engine/expr/merge.h
//
// Puts a column together from parts that were computed over some of its rows.
#pragma once

#include <span>
#include <vector>

#include "engine/types/column.h"

namespace thalweg::expr {

using Rows = std::vector<std::uint32_t>;

class Merge {
 public:
  Merge(Phys phys, std::size_t rows);
  // Cell i of `part` becomes cell rows[i].
  void put(std::span<const std::uint32_t> rows, const Column& part) { copy(rows, part, false); }
  // Cell r of `whole` becomes cell r, for each r of `rows`.
  void pick(std::span<const std::uint32_t> rows, const Column& whole) { copy(rows, whole, true); }
  void tag(std::size_t row, CellTag tag);
  [[nodiscard]] Column finish();

 private:
  void copy(std::span<const std::uint32_t> rows, const Column& from, bool aligned);
  template <class T>
  void copy_cells(std::span<const std::uint32_t> rows, const Cells<T>& from, bool aligned);
  template <class T>
  Column build();

  Phys phys_;
  std::size_t rows_;
  std::vector<char> bytes_;
  std::vector<CellTag> tags_;
  std::vector<HeapRef> heaps_;
};

// Cell by cell: that of `yes` where choice[row] is not 0, else that of `no`. Both have all rows, and layout `phys`.
[[nodiscard]] Column select(const Cells<std::uint8_t>& choice, const Column& yes, const Column& no, Phys phys,
                            std::size_t rows);

}  // namespace thalweg::expr
