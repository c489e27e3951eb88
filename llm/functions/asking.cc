#include "llm/functions/asking.h"

#include <array>

#include <openssl/sha.h>

#include "connectors/setting_reader.h"
#include "llm/functions/wrong.h"

namespace thalweg::llm {

Json parsed_json(const Value& value) {
  if (value.tag() == Value::Tag::kStr) return value.as_text();
  if (value.tag() != Value::Tag::kJson) return nullptr;
  Json out = Json::parse(value.as_text(), nullptr, false);
  return out.is_discarded() ? Json(nullptr) : out;
}

Value dumped_json(const Json& json) { return Value::json(json.dump(-1, ' ', false, Json::error_handler_t::replace)); }

std::string text_or(const Value& value, std::string fallback) {
  return value.tag() == Value::Tag::kStr ? value.as_text() : std::move(fallback);
}

Json documents_of(const Value& value) {
  Json out = parsed_json(value);
  return out.is_array() ? out : Json::array();
}

Json options_for(const Value& model) {
  Json out = Json::object();
  if (model.tag() == Value::Tag::kStr && !model.as_text().empty()) out["model"] = model.as_text();
  return out;
}

std::string sha256_of(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const unsigned char byte : digest) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

// ---------------------------------------------------------------- answers

Reply reply_of(std::string answer) {
  Reply out;
  if (!answer.starts_with(kReceiptMark)) {
    out.text = std::move(answer);
    return out;
  }
  const Json receipt = Json::parse(answer.begin() + 1, answer.end(), nullptr, false);
  if (!receipt.is_object()) return out;
  out.text = receipt.value("text", "");
  out.model = receipt.value("model", "");
  out.prompt_tokens = receipt.value("prompt_tokens", std::int64_t{0});
  out.completion_tokens = receipt.value("completion_tokens", std::int64_t{0});
  if (receipt.contains("cost") && receipt["cost"].is_number()) out.cost = receipt["cost"].get<double>();
  return out;
}

std::string receipt_line(const Reply& reply) {
  Json out = {{"text", reply.text},
              {"model", reply.model},
              {"prompt_tokens", reply.prompt_tokens},
              {"completion_tokens", reply.completion_tokens}};
  if (reply.cost) out["cost"] = *reply.cost;
  return kReceiptMark + out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<Result<Reply>> ask_chat(const plan::UserFunction& chat, const std::vector<Asked>& questions) {
  std::vector<std::vector<Value>> rows;
  for (const Asked& question : questions) {
    Json options = question.options;
    options[std::string(kReceiptOption)] = true;
    rows.push_back({dumped_json(question.messages), dumped_json(options)});
  }
  const std::array<Type, 2> types = {Kind::kJson, Kind::kJson};
  std::vector<Result<Reply>> out;
  for (auto& answer : ask_all(chat, rows, types, Type(Kind::kStr, true))) {
    if (!answer)
      out.push_back(std::unexpected(std::move(answer.error())));
    else if (answer->tag() == Value::Tag::kStr)
      out.emplace_back(reply_of(answer->as_text()));
    else
      out.push_back(fail(Code::kBadData, "the model has no answer"));
  }
  return out;
}

std::optional<Json> json_in(std::string_view answer) {
  const auto parsed = [](std::string_view text) -> std::optional<Json> {
    Json out = Json::parse(text, nullptr, false);
    if (out.is_discarded()) return std::nullopt;
    return out;
  };
  if (auto whole = parsed(answer)) return whole;
  constexpr std::string_view kFence = "```";
  if (const std::size_t fence = answer.find(kFence); fence != std::string_view::npos) {
    const std::size_t begin = answer.find('\n', fence);
    const std::size_t end = begin == std::string_view::npos ? begin : answer.find(kFence, begin);
    if (end != std::string_view::npos)
      if (auto inside = parsed(answer.substr(begin, end - begin))) return inside;
  }
  // The object that begins first and is whole: texts in it may have braces.
  for (std::size_t begin = answer.find('{'); begin != std::string_view::npos; begin = answer.find('{', begin + 1)) {
    int depth = 0;
    bool in_text = false;
    for (std::size_t at = begin; at < answer.size(); ++at) {
      const char c = answer[at];
      if (in_text && c == '\\') ++at;
      if (c == '"') in_text = !in_text;
      if (in_text) continue;
      depth += c == '{' ? 1 : c == '}' ? -1 : 0;
      if (depth > 0) continue;
      if (auto object = parsed(answer.substr(begin, at - begin + 1))) return object;
      break;
    }
  }
  return std::nullopt;
}

// ---------------------------------------------------------------- questions

std::string Asking::text(const Json& documents, std::size_t count, const std::string& query) const {
  return prompt_of(prompt, context_of(documents, count, context), query);
}

std::expected<Asking, plan::FunctionError> asking_of(const Setting& options, const std::string& default_prompt) {
  const SettingReader read(options);
  Asking out;
  out.prompt.name = default_prompt;
  const std::string given = read.text("prompt_template");
  if (knows_prompt(given)) {
    out.prompt.name = given;
  } else if (!given.empty()) {
    if (given.find("{context}") == std::string::npos || given.find("{query}") == std::string::npos)
      return wrong("a prompt has `{context}` and `{query}`, where the documents and the question go",
                   "prompt_template");
    out.prompt.custom = given;
  }
  out.prompt.not_found =
      read.text("no_answer_string", read.text("information_not_found_response", out.prompt.not_found));
  out.prompt.additional_rules = read.text("additional_rules");
  if (read.has("context_metadata_keys")) out.context.metadata_keys = read.texts("context_metadata_keys");
  out.context.joiner = read.text("context_joiner", out.context.joiner);
  return out;
}

std::string bare_answer(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c >= 'A' && c <= 'Z')
      out += static_cast<char>(c + ('a' - 'A'));
    else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80)
      out += c;
  }
  return out;
}

bool is_not_found(std::string_view answer, std::string_view not_found) {
  return bare_answer(answer) == bare_answer(not_found);
}

}  // namespace thalweg::llm
