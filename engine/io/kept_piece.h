// engine/io/kept_piece.h
//
// Pieces that the log of commits need not keep the rows of: their source can give them again from what it keeps.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/io/source.h"

namespace thalweg {

// Beside Piece.
class KeptPiece {
 public:
  virtual ~KeptPiece() = default;
  // What the source needs to give this piece again, for as long as the state is kept. Empty: it cannot. Asked for once,
  // before decode().
  [[nodiscard]] virtual std::string origin() = 0;
};

// Beside Source.
class ReadsAgain {
 public:
  virtual ~ReadsAgain() = default;
  // The piece of an origin: it decodes to the same rows and bad records as it did. `kept`: what the source had put with
  // the commit of the piece, and before it. An error if what is there is not what was. Before run(); several threads.
  [[nodiscard]] virtual Result<std::unique_ptr<Piece>> read_again(std::string_view origin,
                                                                  const BlobMap& kept) const = 0;
};

}  // namespace thalweg
