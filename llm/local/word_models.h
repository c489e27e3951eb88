// llm/local/word_models.h
//
// From pieces of text to tokens: WordPiece, byte pair encoding, or the likeliest of all ways to cut (unigram).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/base/result.h"

namespace thalweg::llm {

using Token = std::uint32_t;

class WordModel {
 public:
  virtual ~WordModel() = default;
  virtual void encode(const std::string& piece, std::vector<Token>& out) const = 0;
};

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
using Vocabulary = std::unordered_map<std::string, Token, TextHash, std::equal_to<>>;

// `model` of a tokenizer.json; its vocabulary is put into `vocabulary`.
[[nodiscard]] Result<std::unique_ptr<const WordModel>> word_model(const nlohmann::json& model, Vocabulary& vocabulary);
// WordPiece as BERT has it. An error without `[UNK]`.
[[nodiscard]] Result<std::unique_ptr<const WordModel>> word_piece(const Vocabulary& vocabulary,
                                                                  const std::string& unknown, std::string prefix,
                                                                  std::size_t letters_max);

}  // namespace thalweg::llm
