// engine/operators/temporal/cell_order.h
//
// Rows of a store in the value order of the language by some of its columns, for an ordered index: a 64-bit prefix that
// decides most comparisons, and the cells where it does not.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/state/ordered_index.h"
#include "engine/state/row_store.h"

namespace thalweg::operators {

// -1, 0, 1; None first, ERROR last.
[[nodiscard]] int compare_cells(const RowStore& rows, std::size_t column, std::uint32_t a, std::uint32_t b);

// Monotone in the order of cells: a smaller prefix is a smaller cell.
[[nodiscard]] std::int64_t order_prefix(const RowStore& rows, std::size_t column, std::uint32_t row);
// Equal prefixes are equal cells.
[[nodiscard]] bool prefix_decides(const Type& type);

struct CellLess {
  const RowStore* rows;
  std::vector<std::uint32_t> columns;
  bool prefix_is_all;

  bool operator()(const OrderedEntry& a, const OrderedEntry& b) const {
    if (a.group != b.group) return a.group < b.group;
    if (a.order != b.order) return a.order < b.order;
    if (!prefix_is_all && a.row != b.row)
      for (std::uint32_t column : columns)
        if (int order = compare_cells(*rows, column, a.row, b.row)) return order < 0;
    if (a.key != b.key) return a.key < b.key;
    return a.row < b.row;
  }
};

}  // namespace thalweg::operators
