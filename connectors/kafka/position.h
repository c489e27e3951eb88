// connectors/kafka/position.h
//
// Where a source stands, as text that is kept with the pipeline's state:
//
//   1 CLUSTER;TOPIC PARTITION:NEXT PARTITION:NEXT;TOPIC …      `1 5L6g3nShT;orders 0:42 1:17`
//
// NEXT is the offset of the first message that has not been read. CLUSTER may be `-`: not known.
#pragma once

#include <string>
#include <string_view>

#include "connectors/kafka/client.h"

namespace thalweg::kafka {

struct Position {
  std::string cluster;
  Offsets next;

  [[nodiscard]] std::string to_text() const;
  // kBadData: not a text that to_text makes.
  static Result<Position> from_text(std::string_view text);
};

}  // namespace thalweg::kafka
