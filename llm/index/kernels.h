// llm/index/kernels.h
//
// Products and distances of vectors of floats, for the processor that they run on. `n` is a multiple of 16.
#pragma once

#include <cstddef>

namespace thalweg::llm {

[[nodiscard]] float dot_product(const float* a, const float* b, std::size_t n);
[[nodiscard]] float squared_distance(const float* a, const float* b, std::size_t n);

}  // namespace thalweg::llm
