// engine/durable/snapshot_info.h
#pragma once

#include <cstdint>

namespace thalweg::durable {

struct SnapshotInfo {
  std::uint64_t number = 0;
  std::uint64_t epoch = 0;
  std::uint64_t generation = 0;
  std::uint64_t bytes = 0;          // of all parts
  std::uint64_t written_bytes = 0;  // of those that were new
  std::int64_t wall_ns = 0;
  std::int64_t duration_ns = 0;
};

}  // namespace thalweg::durable
