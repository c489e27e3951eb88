// engine/io/reread.h
//
// What a source has beside Source if it can read one record by itself: a dead letter that is replayed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/result.h"
#include "engine/io/source.h"

namespace thalweg {

class RereadsRecords {
 public:
  virtual ~RereadsRecords() = default;
  // A piece that decodes this record as the source would have. `position` is that of the bad record; `number` is used
  // once only, for keys that are generated. Any thread.
  virtual Result<std::unique_ptr<Piece>> reread(const std::string& record, const std::string& position,
                                                std::uint64_t number) = 0;
};

}  // namespace thalweg
