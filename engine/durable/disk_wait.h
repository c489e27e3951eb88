#pragma once

#include <cstdint>
#include <string>

namespace thalweg::durable {

// What is known of writing that waits for room (patient_disk.h).
struct DiskWait {
  bool waiting = false;        // now
  std::int64_t since_ns = 0;   // since when (monotonic)
  std::uint64_t waits = 0;     // so far
  std::int64_t waited_ns = 0;  // in all, those that are over
  std::string reason;          // of the last one
};

}  // namespace thalweg::durable
