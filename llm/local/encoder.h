// llm/local/encoder.h
//
// A transformer that reads a text in both directions (BERT, RoBERTa, XLM-RoBERTa, DistilBERT), in floats, in this
// process. Texts of one call are read together, each as long as it is.
// Threads  any.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "llm/local/tokenizer.h"

namespace thalweg::llm {

class Encoder {
 public:
  enum class Pooling : std::uint8_t { kMean, kFirst, kMax };

  // The model of a folder.
  [[nodiscard]] static Result<std::shared_ptr<const Encoder>> load(const std::string& folder);
  ~Encoder();

  // One vector per text.
  [[nodiscard]] std::vector<std::vector<float>> embed(std::span<const std::string> texts) const;
  // How well a text answers a query, if the model was made for that (a cross-encoder): its raw score.
  [[nodiscard]] bool scores_pairs() const;
  [[nodiscard]] std::vector<float> score(std::span<const std::pair<std::string, std::string>> pairs) const;
  [[nodiscard]] std::size_t dimensions() const;

 private:
  struct Model;
  explicit Encoder(std::unique_ptr<const Model> model);
  std::unique_ptr<const Model> model_;
};

}  // namespace thalweg::llm
