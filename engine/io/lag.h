// engine/io/lag.h
//
// What a source has beside Source if it knows how much of its input it has not read yet.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace thalweg {

struct PartitionLag {
  std::string partition;  // `orders/0`
  std::int64_t next = 0;  // what is read next
  std::int64_t end = -1;  // where the next record will be put; negative: not known yet
  [[nodiscard]] std::int64_t lag() const { return end < next ? 0 : end - next; }
};

class KnowsLag {
 public:
  virtual ~KnowsLag() = default;
  // Any thread; nothing is asked of the outside.
  [[nodiscard]] virtual std::vector<PartitionLag> lag() const = 0;
};

}  // namespace thalweg
