// daemon/query/limits.h
//
// What an ad-hoc query may take.
#pragma once

#include <cstdint>

namespace thalweg::daemon {

struct QueryLimits {
  std::int64_t time_ns = 10'000'000'000;
  std::uint64_t state_bytes = 256ULL << 20;  // what operators and tables read hold
};

}  // namespace thalweg::daemon
