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

enum class Service : std::uint8_t { kOpenAi, kAzure, kAnthropic, kCohere, kGemini, kOllama, kTei, kBedrock, kCustom };

struct Model {
  Service service = Service::kOpenAi;
  std::string name;
  std::string base_url;  // without a slash at its end
  std::string api_key;
  std::string deployment, api_version;  // Azure
  Json extra = Json::object();          // further members of a request: temperature …
  // Bedrock: whose signature a request bears.
  std::string region, access_key, secret_key, session_token;
  // A service of one's own: the request's body, in which the texts `{prompt}`, `{messages}`, `{model}`, `{text}` and
  // `{texts}` stand for what is asked, and a JSON pointer to the answer in the reply.
  Json template_body;
  std::string answer_pointer;
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

// What a reply says that it took.
struct Usage {
  std::int64_t prompt_tokens = 0, completion_tokens = 0;
};
[[nodiscard]] Usage usage_of(const Model& model, const Json& reply);

[[nodiscard]] Request embed_request(const Model& model, const std::vector<std::string>& texts);
// One vector per text.
[[nodiscard]] Result<std::vector<Json>> embed_answer(const Model& model, const Json& reply, std::size_t count);

// Scores of texts as answers to a question, by a server with `/rerank`.
[[nodiscard]] Request rerank_request(const Model& model, const std::string& query, const Json& texts);
[[nodiscard]] Result<std::vector<double>> rerank_answer(const Json& reply, std::size_t count);

// `anthropic/claude…`, `ollama/…`: LiteLLM's names. Fills service, name and base_url; false for a service that is not
// known.
[[nodiscard]] bool apply_prefix(Model& model);
[[nodiscard]] std::string default_url(Service service);
// The variable of the environment that holds its key.
[[nodiscard]] std::string_view key_variable(Service service);

}  // namespace thalweg::llm
