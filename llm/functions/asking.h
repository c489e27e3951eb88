// llm/functions/asking.h
//
// What the functions that ask a chat model have in common.
//
// A1  A chat of ours that is asked with the option `__receipt` answers with what it cost, too: `reply_of` tells both
//     apart. Another function in its place answers with a text, which is all there is to know.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "llm/functions/functions.h"
#include "llm/functions/prompts.h"
#include "llm/functions/value_function.h"

namespace thalweg::llm {

inline constexpr std::string_view kReceiptOption = "__receipt";
inline constexpr char kReceiptMark = '\x1e';  // what an answer with its receipt begins with

// A chat's answer.
struct Reply {
  std::string text;
  std::string model;
  std::int64_t prompt_tokens = 0, completion_tokens = 0;
  std::optional<double> cost;
};
[[nodiscard]] Reply reply_of(std::string answer);
[[nodiscard]] std::string receipt_line(const Reply& reply);  // the contrary

struct Asked {
  Json messages;
  Json options = Json::object();
};
// One answer, or why there is none, for each.
[[nodiscard]] std::vector<Result<Reply>> ask_chat(const plan::UserFunction& chat, const std::vector<Asked>& questions);

// How documents and a question become messages.
struct Asking {
  PromptOptions prompt;
  ContextOptions context;
  [[nodiscard]] std::string text(const Json& documents, std::size_t count, const std::string& query) const;
};
[[nodiscard]] std::expected<Asking, plan::FunctionError> asking_of(const Setting& options,
                                                                   const std::string& default_prompt);
[[nodiscard]] std::string bare_answer(std::string_view text);                          // without case and punctuation
[[nodiscard]] bool is_not_found(std::string_view answer, std::string_view not_found);  // but for case and punctuation

[[nodiscard]] Json parsed_json(const Value& value);  // a text is itself; null: it is neither
[[nodiscard]] Value dumped_json(const Json& json);
[[nodiscard]] std::string text_or(const Value& value, std::string fallback);
[[nodiscard]] Json documents_of(const Value& value);         // a list in any case
[[nodiscard]] Json options_for(const Value& model);          // of a call of a chat
[[nodiscard]] std::string sha256_of(std::string_view text);  // in hexadecimal
// The JSON value in an answer of a model: all of it, what stands between Markdown fences, or the first object in it.
[[nodiscard]] std::optional<Json> json_in(std::string_view answer);

}  // namespace thalweg::llm
