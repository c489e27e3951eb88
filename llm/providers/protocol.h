// llm/providers/protocol.h
//
// How the services of language models are spoken to: what a question looks like on the wire, and where in the reply
// the answer is. Pure data in, pure data out; the transport is in remote_models.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/base/result.h"

namespace thalweg::llm {

using Json = nlohmann::ordered_json;

enum class Service : std::uint8_t { kOpenAi, kAzure, kAnthropic, kCohere, kGemini, kOllama, kTei };

struct Model {
  Service service = Service::kOpenAi;
  std::string name;
  std::string base_url;  // without a slash at its end
  std::string api_key;
  std::string deployment, api_version;  // Azure
  Json extra = Json::object();          // further members of a request: temperature …
};

struct Request {
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  Json body;
};

// `messages` is a list of {role, content}, or a text, which is the user's; `options` win over the model's own (`model`
// among them).
[[nodiscard]] Request chat_request(const Model& model, const Json& messages, const Json& options);
[[nodiscard]] Result<std::string> chat_answer(const Model& model, const Json& reply);

[[nodiscard]] Request embed_request(const Model& model, const std::vector<std::string>& texts);
// One vector per text.
[[nodiscard]] Result<std::vector<Json>> embed_answer(const Model& model, const Json& reply, std::size_t count);

// `anthropic/claude…`, `ollama/…`: LiteLLM's names. Fills service, name and base_url; false for a service that is not
// known.
[[nodiscard]] bool apply_prefix(Model& model);
[[nodiscard]] std::string default_url(Service service);
// The variable of the environment that holds its key.
[[nodiscard]] std::string_view key_variable(Service service);

}  // namespace thalweg::llm
