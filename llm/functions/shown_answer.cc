#include "llm/functions/shown_answer.h"

namespace thalweg::llm {

ShownAnswer::ShownAnswer(const Json& option) {
  if (!option.is_object()) return;
  stream_ = web::AnswerStream::find(option.value("name", ""));
  hold_ = bare_answer(option.value("hold", ""));
}

void ShownAnswer::begin() {
  if (!stream_) return;
  stream_->reset();
  held_.clear();
  holds_ = !hold_.empty();
}

void ShownAnswer::token(std::string_view text) {
  if (!stream_ || text.empty()) return;
  if (!holds_) return stream_->token(text);
  held_ += text;
  holds_ = hold_.starts_with(bare_answer(held_));
  if (!holds_) stream_->token(std::exchange(held_, {}));
}

Json stream_option(const std::string& name, const std::string& hold) {
  Json out = {{"name", name}};
  if (!hold.empty()) out["hold"] = hold;
  return out;
}

void show_whole(const std::string& name, std::string_view text) {
  if (name.empty()) return;
  const auto stream = web::AnswerStream::find(name);
  if (!stream) return;
  const std::string shown = stream->shown();
  if (text.starts_with(shown)) return stream->token(text.substr(shown.size()));
  stream->reset();
  stream->token(text);
}

}  // namespace thalweg::llm
