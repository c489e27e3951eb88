// engine/io/upsert_marks.h
//
// What a source that replaces by key may hand over beside rows; the Upsert operator behind it understands.
//
//   a cell tagged kPending    the cell of the key's row as it was before: an update that does not say its value
//   a row of diff kClearShard all rows whose key is in the shard of this row's key go, and with them what came before
//                             in the commit (TRUNCATE, or a table that is read anew)
#pragma once

#include <limits>
#include <span>

#include "engine/types/batch.h"

namespace thalweg {

inline constexpr Diff kClearShard = std::numeric_limits<Diff>::min();

// A mark for every shard; `types` are those of the source's columns.
[[nodiscard]] inline Batch clear_all(std::span<const Type> types) {
  Batch out;
  out.num_rows = kVirtualShards;
  std::vector<Key> keys;
  for (std::uint32_t shard = 0; shard < kVirtualShards; ++shard) keys.push_back(Key{0, shard});
  out.keys = KeyColumn(std::move(keys));
  for (const Type& type : types) {
    ColumnBuilder column(type, out.num_rows);
    for (std::uint32_t shard = 0; shard < kVirtualShards; ++shard) column.push_none();
    out.columns.push_back(column.finish());
  }
  out.set_diffs(std::vector<Diff>(out.num_rows, kClearShard));
  return out;
}

}  // namespace thalweg
