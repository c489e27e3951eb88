// llm/local/tokenizer.h
//
// Texts as the tokens of a model, by its tokenizer.json (WordPiece, BPE, unigram), or by a vocab.txt of BERT. Text that
// looks like a special token is plain text.
// Threads  any.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "llm/local/normal_form.h"
#include "llm/local/pieces.h"
#include "llm/local/word_models.h"

namespace thalweg::llm {

class Tokenizer {
 public:
  struct Encoded {
    std::vector<Token> tokens;
    std::vector<std::uint8_t> segments;  // by token: which text it is of, as the model was told
  };

  // From the files of a folder.
  [[nodiscard]] static Result<std::shared_ptr<const Tokenizer>> load(const std::string& folder);
  [[nodiscard]] static Result<std::shared_ptr<const Tokenizer>> from_json(const std::string& text);

  // The tokens of a text and nothing else.
  [[nodiscard]] std::vector<Token> plain(std::string_view text) const;
  // With the model's marks around it, at most `limit` tokens.
  [[nodiscard]] Encoded encode(std::string_view text, std::size_t limit) const;
  [[nodiscard]] Encoded encode_pair(std::string_view first, std::string_view second, std::size_t limit) const;
  // What stands for unknown words; nothing if the model has no such token.
  [[nodiscard]] std::optional<Token> unknown() const { return unknown_; }

 private:
  // A mark, or a text: 0 the first, 1 the second.
  struct Part {
    bool is_text = false;
    Token token = 0;
    std::size_t text = 0;
    std::uint8_t segment = 0;
  };
  Tokenizer() = default;
  Result<void> read(const nlohmann::json& json);
  Result<void> read_marks(const nlohmann::json& post);
  Result<void> read_vocabulary_file(const std::string& folder, const std::string& path);
  void mark_as_bert(Token begin, Token end);
  [[nodiscard]] Encoded put_together(const std::vector<Part>& parts,
                                     const std::vector<std::vector<Token>>& texts) const;

  std::vector<TextStep> normal_form_;
  std::vector<CutStep> cuts_;
  Vocabulary vocabulary_;
  std::unique_ptr<const WordModel> model_;
  std::vector<Part> single_, pair_;
  std::optional<Token> unknown_;
};

}  // namespace thalweg::llm
