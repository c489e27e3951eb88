// engine/operators/join_keys.h
//
// Which rows can have a partner at all (J3 of join.cc).
#pragma once

#include <cstdint>
#include <span>

#include "engine/types/column.h"

namespace thalweg::operators {

// `error` is set if it is for an ERROR that the row cannot.
[[nodiscard]] inline bool can_match(std::span<const Column* const> key, std::uint32_t row, bool none_matches,
                                    bool& error) {
  for (const Column* column : key) {
    CellTag tag = column->tag(row);
    if (tag == CellTag::kError) {
      error = true;
      return false;
    }
    if (tag == CellTag::kNone && !none_matches) return false;
  }
  return true;
}

}  // namespace thalweg::operators
