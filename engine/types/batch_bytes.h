// engine/types/batch_bytes.h
#pragma once

#include <cstdint>

#include "engine/types/batch.h"

namespace thalweg {

// What the rows take in memory: keys, diffs, cells and long texts, shared or not.
[[nodiscard]] std::uint64_t bytes_of(const Batch& batch);

}  // namespace thalweg
