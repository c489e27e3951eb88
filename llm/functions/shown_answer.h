// llm/functions/shown_answer.h
//
// The answer of a chat, shown to who asked while it comes (connectors/http/answer_stream.h).
//
// A chat of ours that is asked with the option `__stream`, {name, hold}, shows what it says under that name. `hold` is
// the text that means that nothing was found: as long as an answer may become that one, nothing of it is shown.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "connectors/http/answer_stream.h"
#include "llm/functions/asking.h"

namespace thalweg::llm {

inline constexpr std::string_view kStreamOption = "__stream";

class ShownAnswer {
 public:
  explicit ShownAnswer(const Json& option);
  [[nodiscard]] bool is_wanted() const { return stream_ != nullptr; }
  void begin();  // another attempt: what was shown does not count
  void token(std::string_view text);

 private:
  std::shared_ptr<web::AnswerStream> stream_;
  std::string hold_, held_;
  bool holds_ = false;
};

// What the option says for the stream `name`.
[[nodiscard]] Json stream_option(const std::string& name, const std::string& hold);
// Shows what is still missing of `text`; nothing where there is no such stream.
void show_whole(const std::string& name, std::string_view text);

}  // namespace thalweg::llm
