// llm/local/static_model.h
//
// A model that is a table: every token has a vector, a text is the mean of those of its tokens (model2vec, and the
// StaticEmbedding of sentence-transformers).
// Threads  any.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "llm/local/tokenizer.h"

namespace thalweg::llm {

class StaticModel {
 public:
  // Whether the folder has one.
  [[nodiscard]] static bool is_one(const std::string& folder);
  [[nodiscard]] static Result<std::shared_ptr<const StaticModel>> load(const std::string& folder);
  [[nodiscard]] std::vector<std::vector<float>> embed(std::span<const std::string> texts) const;

 private:
  StaticModel() = default;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<float> rows_;
  std::vector<float> weights_;  // by token; empty: all 1
  std::size_t dimensions_ = 0;
  bool normalizes_ = false;
};

}  // namespace thalweg::llm
