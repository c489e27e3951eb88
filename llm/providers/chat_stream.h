// llm/providers/chat_stream.h
//
// Answers of chats that come in pieces: what a service has to be asked for them, and how their pieces become the reply
// that it would have given at once. Pure data in, pure data out.
#pragma once

#include <string>
#include <string_view>

#include "llm/providers/protocol.h"

namespace thalweg::llm {

// Makes a request one for a stream. False: the service gives none here, it is asked as before.
[[nodiscard]] bool ask_for_stream(const Model& model, Request& request);

class ChatStream {
 public:
  explicit ChatStream(const Model& model) : model_(model) {}
  // The text that is new with these bytes of the body.
  [[nodiscard]] std::string feed(std::string_view bytes);
  // Once all bytes are there: the reply, as chat_answer() and usage_of() read it. An error that came in the middle is
  // one here: kUnavailable.
  [[nodiscard]] Result<Json> reply();

 private:
  void take_line(std::string_view line, std::string& fresh);
  void take(const Json& piece, std::string& fresh);
  void take_usage(const Json& piece);

  const Model& model_;
  std::string line_;  // begun
  std::string text_;
  std::string failure_;
  std::int64_t prompt_tokens_ = 0, completion_tokens_ = 0;
  bool any_ = false;
};

}  // namespace thalweg::llm
