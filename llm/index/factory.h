// llm/index/factory.h
//
// Indexes by what a pipeline says of them: `bm25`, `knn` (exact), `hnsw` (a graph), `hybrid`, and `all`, which finds
// every row that a filter admits.
#pragma once

#include <expected>

#include "engine/plan/index.h"

namespace thalweg::llm {

[[nodiscard]] std::expected<plan::IndexFactoryPtr, plan::FunctionError> make_index(const plan::IndexSpec& spec);

}  // namespace thalweg::llm
