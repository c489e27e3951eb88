// llm/index/vector_cell.h
//
// A cell as a vector of floats: lists and tuples of numbers, arrays of one dimension, JSON arrays of numbers.
#pragma once

#include <vector>

#include "engine/plan/index.h"

namespace thalweg::llm {

[[nodiscard]] bool may_be_vector(const Type& type);
[[nodiscard]] Result<void> read_vector(const plan::IndexCell& cell, std::vector<float>& out);

}  // namespace thalweg::llm
