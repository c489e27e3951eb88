// connectors/net/steady_ms.h
//
// Milliseconds of a clock that only goes forward, as poll() counts deadlines.
#pragma once

#include <chrono>
#include <cstdint>

namespace thalweg::net {

[[nodiscard]] inline std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace thalweg::net
