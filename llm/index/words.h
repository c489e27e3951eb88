// llm/index/words.h
//
// Text → the words that a full-text index knows: runs of letters and digits in lower case, CJK characters one by one,
// words of more than 40 bytes left out; with a language, their stems (Snowball).
// Threads  one at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct sb_stemmer;

namespace thalweg::llm {

class Words {
 public:
  // `language` is empty or one of languages().
  explicit Words(const std::string& language);
  ~Words();
  Words(const Words&) = delete;
  Words& operator=(const Words&) = delete;

  // The view lives until the next word.
  void each(std::string_view text, const std::function<void(std::string_view word)>& use);

  [[nodiscard]] static std::vector<std::string> languages();
  [[nodiscard]] static bool knows(const std::string& language);

 private:
  sb_stemmer* stemmer_ = nullptr;
};

}  // namespace thalweg::llm
