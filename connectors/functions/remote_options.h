// connectors/functions/remote_options.h
//
// How a function outside this process is asked, in the peer's terms: a time limit per attempt, around it retries,
// around them the capacity, around all of it the cache.
#pragma once

#include <cstdint>
#include <expected>

#include "engine/plan/user_function.h"

namespace thalweg::functions {

struct Retries {
  std::int64_t max = 0;
  double first_delay_ms = 1000;
  double factor = 2;  // 1: always the same delay
  double jitter_ms = 300;
};

struct RemoteOptions {
  std::size_t capacity = 4;  // calls under way at once
  std::int64_t timeout_ms = 60'000;
  Retries retries;
  std::size_t batch_rows = 1;     // rows of one call
  std::size_t cache_entries = 0;  // 0: no cache
  bool cache_outlives = false;    // the process, where the pipeline keeps its state
};

// From `capacity`, `timeout`, `retries`, `retry_strategy`, `cache_strategy`, `max_batch_size` and `executor`.
[[nodiscard]] std::expected<RemoteOptions, plan::FunctionError> remote_options(const Setting& options,
                                                                               const RemoteOptions& defaults);

}  // namespace thalweg::functions
