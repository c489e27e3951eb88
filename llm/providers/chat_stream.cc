#include "llm/providers/chat_stream.h"

#include <algorithm>

namespace thalweg::llm {

namespace {

// The member at the end of a path; null where there is none. A number is a place in a list.
const Json* member_at(const Json& json, std::initializer_list<const char*> path) {
  const Json* here = &json;
  for (const char* step : path) {
    if (here->is_array()) {
      if (here->empty()) return nullptr;
      here = &here->front();
      if (std::string_view(step) == "0") continue;
    }
    if (!here->is_object()) return nullptr;
    const auto found = here->find(step);
    if (found == here->end()) return nullptr;
    here = &*found;
  }
  return here;
}

void append_piece(const Json* found, std::string& out) {
  if (found == nullptr) return;
  if (found->is_string()) out += found->get_ref<const std::string&>();
  if (!found->is_array()) return;
  for (const Json& part : *found)
    if (part.is_object() && part.contains("text")) append_piece(&part["text"], out);
}

void take_count(const Json* found, std::int64_t& out) {
  if (found != nullptr && found->is_number_integer()) out = std::max<std::int64_t>(found->get<std::int64_t>(), 0);
}

}  // namespace

bool ask_for_stream(const Model& model, Request& request) {
  switch (model.service) {
    case Service::kOpenAi: request.body["stream_options"] = {{"include_usage", true}}; break;
    case Service::kAzure:  // its older versions refuse options that they do not know
    case Service::kAnthropic:
    case Service::kCohere:
    case Service::kOllama: break;
    case Service::kGemini: {
      constexpr std::string_view kWhole = ":generateContent";
      const std::size_t method = request.url.rfind(kWhole);
      if (method == std::string::npos) return false;
      request.url.replace(method, kWhole.size(), ":streamGenerateContent?alt=sse");
      return true;
    }
    case Service::kTei:
    case Service::kBedrock:
    case Service::kCustom: return false;
  }
  request.body["stream"] = true;
  return true;
}

std::string ChatStream::feed(std::string_view bytes) {
  std::string fresh;
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    if (end == std::string_view::npos) {
      line_ += bytes;
      break;
    }
    line_ += bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    take_line(line_, fresh);
    line_.clear();
  }
  text_ += fresh;
  return fresh;
}

// A line of server-sent events, or of JSON lines.
void ChatStream::take_line(std::string_view line, std::string& fresh) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  constexpr std::string_view kData = "data:";
  if (line.starts_with(kData)) line.remove_prefix(kData.size());
  while (line.starts_with(' ')) line.remove_prefix(1);
  if (!line.starts_with('{')) return;
  const Json piece = Json::parse(line, nullptr, false);
  if (piece.is_object()) take(piece, fresh);
}

void ChatStream::take(const Json& piece, std::string& fresh) {
  any_ = true;
  if (const Json* error = member_at(piece, {"error"}); error != nullptr && !error->is_null()) {
    const Json* message = member_at(*error, {"message"});
    failure_ = message != nullptr && message->is_string() ? message->get<std::string>() : error->dump(-1, ' ', true);
    return;
  }
  switch (model_.service) {
    case Service::kAnthropic:
      if (piece.value("type", "") == "content_block_delta") append_piece(member_at(piece, {"delta", "text"}), fresh);
      break;
    case Service::kCohere:
      if (piece.value("type", "") == "content-delta")
        append_piece(member_at(piece, {"delta", "message", "content", "text"}), fresh);
      break;
    case Service::kGemini: append_piece(member_at(piece, {"candidates", "0", "content", "parts"}), fresh); break;
    case Service::kOllama: append_piece(member_at(piece, {"message", "content"}), fresh); break;
    default: append_piece(member_at(piece, {"choices", "0", "delta", "content"}), fresh); break;
  }
  take_usage(piece);
}

void ChatStream::take_usage(const Json& piece) {
  switch (model_.service) {
    case Service::kAnthropic:
      take_count(member_at(piece, {"message", "usage", "input_tokens"}), prompt_tokens_);
      take_count(member_at(piece, {"usage", "output_tokens"}), completion_tokens_);
      break;
    case Service::kCohere:
      take_count(member_at(piece, {"delta", "usage", "tokens", "input_tokens"}), prompt_tokens_);
      take_count(member_at(piece, {"delta", "usage", "tokens", "output_tokens"}), completion_tokens_);
      break;
    case Service::kGemini:
      take_count(member_at(piece, {"usageMetadata", "promptTokenCount"}), prompt_tokens_);
      take_count(member_at(piece, {"usageMetadata", "candidatesTokenCount"}), completion_tokens_);
      break;
    case Service::kOllama:
      take_count(member_at(piece, {"prompt_eval_count"}), prompt_tokens_);
      take_count(member_at(piece, {"eval_count"}), completion_tokens_);
      break;
    default:
      take_count(member_at(piece, {"usage", "prompt_tokens"}), prompt_tokens_);
      take_count(member_at(piece, {"usage", "completion_tokens"}), completion_tokens_);
      break;
  }
}

Result<Json> ChatStream::reply() {
  if (!line_.empty()) (void)feed("\n");
  if (!failure_.empty()) return fail(Code::kUnavailable, "the model's server broke off: " + failure_.substr(0, 300));
  if (!any_) return fail(Code::kUnavailable, "the model's reply has no pieces");
  const Json parts = Json::array({Json{{"text", text_}}});
  switch (model_.service) {
    case Service::kAnthropic:
      return Json{{"content", parts},
                  {"usage", {{"input_tokens", prompt_tokens_}, {"output_tokens", completion_tokens_}}}};
    case Service::kCohere:
      return Json{{"message", {{"content", parts}}},
                  {"usage", {{"tokens", {{"input_tokens", prompt_tokens_}, {"output_tokens", completion_tokens_}}}}}};
    case Service::kGemini: {
      Json out;
      out["candidates"] = Json::array({Json{{"content", {{"parts", parts}}}}});
      out["usageMetadata"] = {{"promptTokenCount", prompt_tokens_}, {"candidatesTokenCount", completion_tokens_}};
      return out;
    }
    case Service::kOllama:
      return Json{
          {"message", {{"content", text_}}}, {"prompt_eval_count", prompt_tokens_}, {"eval_count", completion_tokens_}};
    default: break;
  }
  Json out;
  out["choices"] = Json::array({Json{{"message", {{"content", text_}}}}});
  out["usage"] = {{"prompt_tokens", prompt_tokens_}, {"completion_tokens", completion_tokens_}};
  return out;
}

}  // namespace thalweg::llm
