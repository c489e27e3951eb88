// llm/text/bpe.h
//
// Tokens of OpenAI's models: byte pair encoding with the vocabularies that are built in, `cl100k_base` and
// `o200k_base`. Text that looks like a special token is plain text.
// Threads  any.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace thalweg::llm {

class Bpe {
 public:
  // Null: no such encoding. Vocabularies are unpacked once.
  [[nodiscard]] static std::shared_ptr<const Bpe> find(std::string_view encoding);
  // The encoding of a model: `gpt-4o` has o200k_base; cl100k_base where nothing better is known.
  [[nodiscard]] static std::string encoding_of_model(std::string_view model);

  // Where each of the first `limit` tokens ends, in bytes of the text.
  [[nodiscard]] std::vector<std::size_t> ends(std::string_view text, std::size_t limit = SIZE_MAX) const;
  [[nodiscard]] std::vector<std::uint32_t> encode(std::string_view text) const;
  [[nodiscard]] std::size_t count(std::string_view text) const { return ends(text).size(); }

 private:
  struct Tables;
  explicit Bpe(std::unique_ptr<Tables> tables);
  // Calls `use(token, begin, end)` until it returns false.
  template <class Use>
  void each(std::string_view text, Use use) const;
  template <class Use>
  bool merge(std::string_view word, std::size_t offset, Use& use) const;

 public:
  ~Bpe();

 private:
  std::unique_ptr<Tables> tables_;
};

// Unicode's NFKC form; broken UTF-8 stays as it is.
[[nodiscard]] std::string compatible_form(std::string_view text);

}  // namespace thalweg::llm
