// engine/io/counted_piece.h
//
// A piece that knows before it is decoded how many records it holds: what `max_backlog_size` counts. Any other piece
// counts as one.
#pragma once

#include <cstddef>

#include "engine/io/source.h"

namespace thalweg {

class CountedPiece : public Piece {
 public:
  [[nodiscard]] virtual std::size_t num_records() const = 0;
};

}  // namespace thalweg
