#include "llm/providers/protocol.h"

#include <algorithm>

#include "connectors/net/http_message.h"

namespace thalweg::llm {

namespace {

struct Prefix {
  std::string_view name;
  Service service;
  std::string_view url;
};
constexpr Prefix kPrefixes[] = {
    {"openai", Service::kOpenAi, ""},
    {"azure", Service::kAzure, ""},
    {"anthropic", Service::kAnthropic, ""},
    {"cohere", Service::kCohere, ""},
    {"gemini", Service::kGemini, ""},
    {"ollama", Service::kOllama, ""},
    {"ollama_chat", Service::kOllama, ""},
    {"huggingface", Service::kTei, ""},
    {"bedrock", Service::kBedrock, ""},
    {"mistral", Service::kOpenAi, "https://api.mistral.ai/v1"},
    {"groq", Service::kOpenAi, "https://api.groq.com/openai/v1"},
    {"openrouter", Service::kOpenAi, "https://openrouter.ai/api/v1"},
    {"deepseek", Service::kOpenAi, "https://api.deepseek.com/v1"},
    {"together_ai", Service::kOpenAi, "https://api.together.xyz/v1"},
    {"hosted_vllm", Service::kOpenAi, ""},
    {"lm_studio", Service::kOpenAi, ""},
};

Json as_messages(const Json& messages) {
  if (messages.is_array()) return messages;
  Json one;
  one["role"] = "user";
  one["content"] = messages.is_string() ? messages : Json(messages.dump());
  return Json::array({one});
}

std::string text_of(const Json& content) {
  if (content.is_string()) return content.get<std::string>();
  std::string out;
  if (content.is_array())
    for (const Json& part : content)
      if (part.is_object() && part.contains("text") && part["text"].is_string()) out += part["text"].get<std::string>();
  return out;
}

// Services that want the system's words apart get them apart; if there is nothing else, they are the user's.
struct Split {
  std::string system;
  Json others = Json::array();
};
Split split_system(const Json& messages) {
  Split out;
  for (const Json& message : messages) {
    if (message.value("role", "") == "system")
      out.system += (out.system.empty() ? "" : "\n\n") + text_of(message.value("content", Json()));
    else
      out.others.push_back(message);
  }
  if (out.others.empty()) {
    Json user;
    user["role"] = "user";
    user["content"] = std::exchange(out.system, {});
    out.others.push_back(std::move(user));
  }
  return out;
}

Json merged(const Model& model, const Json& options) {
  Json out = model.extra;
  if (options.is_object())
    for (const auto& [name, value] : options.items())
      if (!value.is_null()) out[name] = value;
  if (!out.contains("model")) out["model"] = model.name;
  return out;
}

std::string azure_url(const Model& model, std::string_view what) {
  return model.base_url + "/openai/deployments/" + net::percent_encode(model.deployment) + "/" + std::string(what) +
         "?api-version=" + net::percent_encode(model.api_version);
}

std::vector<std::pair<std::string, std::string>> headers_of(const Model& model) {
  std::vector<std::pair<std::string, std::string>> out;
  if (model.service == Service::kAnthropic) out.emplace_back("anthropic-version", "2023-06-01");
  if (model.api_key.empty()) return out;
  switch (model.service) {
    case Service::kAzure: out.emplace_back("api-key", model.api_key); break;
    case Service::kAnthropic: out.emplace_back("x-api-key", model.api_key); break;
    case Service::kGemini: out.emplace_back("x-goog-api-key", model.api_key); break;
    default: out.emplace_back("Authorization", "Bearer " + model.api_key); break;
  }
  return out;
}

std::string gemini_model(std::string name) { return name.starts_with("models/") ? name : "models/" + name; }

Request gemini_chat(const Model& model, const Json& messages, Json body) {
  const std::string name = body["model"].get<std::string>();
  body.erase("model");
  Json config = Json::object();
  for (const auto& [option, field] : {std::pair{"temperature", "temperature"},
                                      std::pair{"max_tokens", "maxOutputTokens"}, std::pair{"top_p", "topP"}}) {
    if (!body.contains(option)) continue;
    config[field] = body[option];
    body.erase(option);
  }
  const Split split = split_system(messages);
  Json out = std::move(body);
  if (!split.system.empty()) out["systemInstruction"]["parts"] = Json::array({Json{{"text", split.system}}});
  out["contents"] = Json::array();
  for (const Json& message : split.others) {
    Json one;
    one["role"] = message.value("role", "user") == "assistant" ? "model" : "user";
    one["parts"] = Json::array({Json{{"text", text_of(message.value("content", Json()))}}});
    out["contents"].push_back(std::move(one));
  }
  if (!config.empty()) out["generationConfig"] = std::move(config);
  return {model.base_url + "/v1beta/" + gemini_model(name) + ":generateContent", headers_of(model), std::move(out)};
}

// Texts of a template that are a name in braces become what they stand for; others have it put into them.
Json filled(const Json& templ, const Json& values) {
  if (templ.is_string()) {
    const auto& text = templ.get_ref<const std::string&>();
    for (const auto& [name, value] : values.items())
      if (text == "{" + name + "}") return value;
    std::string out;
    for (std::size_t at = 0; at < text.size();) {  // in one pass: what is put in is not looked at again
      bool found = false;
      for (const auto& [name, value] : values.items()) {
        const std::string mark = "{" + name + "}";
        if (text.compare(at, mark.size(), mark) != 0) continue;
        out += value.is_string() ? value.get<std::string>() : value.dump();
        at += mark.size();
        found = true;
        break;
      }
      if (!found) out += text[at++];
    }
    return out;
  }
  if (!templ.is_structured()) return templ;
  Json out = templ;
  for (auto& item : out) item = filled(item, values);
  return out;
}

const Json* pointed(const Json& reply, const std::string& pointer) {
  const Json::json_pointer path(pointer);
  return reply.contains(path) ? &reply[path] : nullptr;
}

Request custom_chat(const Model& model, const Json& messages, const Json& options) {
  const Json& last = messages.empty() ? Json() : messages.back();
  const Json values = {{"prompt", text_of(last.is_object() ? last.value("content", Json()) : Json())},
                       {"messages", messages},
                       {"model", options.value("model", model.name)}};
  return {model.base_url, headers_of(model), filled(model.template_body, values)};
}

// The Converse API.
Request bedrock_chat(const Model& model, const Json& messages, Json body) {
  const std::string name = body["model"].get<std::string>();
  body.erase("model");
  Json config = Json::object();
  for (const auto& [option, field] :
       {std::pair{"temperature", "temperature"}, std::pair{"max_tokens", "maxTokens"},
        std::pair{"maxTokens", "maxTokens"}, std::pair{"top_p", "topP"}, std::pair{"topP", "topP"},
        std::pair{"stop", "stopSequences"}, std::pair{"stopSequences", "stopSequences"}}) {
    if (!body.contains(option)) continue;
    config[field] = body[option];
    body.erase(option);
  }
  if (!config.contains("maxTokens")) config["maxTokens"] = 1024;
  const Split split = split_system(messages);
  Json out = std::move(body);
  if (!split.system.empty()) out["system"] = Json::array({Json{{"text", split.system}}});
  out["messages"] = Json::array();
  for (const Json& message : split.others) {
    Json one;
    one["role"] = message.value("role", "user");
    one["content"] = Json::array({Json{{"text", text_of(message.value("content", Json()))}}});
    out["messages"].push_back(std::move(one));
  }
  out["inferenceConfig"] = std::move(config);
  return {model.base_url + "/model/" + net::percent_encode(name) + "/converse", {}, std::move(out)};
}

Request bedrock_embed(const Model& model, const std::vector<std::string>& texts) {
  Json body = model.extra;
  if (model.name.starts_with("cohere.")) {
    body["texts"] = texts;
    if (!body.contains("input_type")) body["input_type"] = "search_document";
  } else {
    body["inputText"] = texts.front();
  }
  return {model.base_url + "/model/" + net::percent_encode(model.name) + "/invoke", {}, std::move(body)};
}

std::unexpected<Error> no_answer(const Json& reply) {
  constexpr std::size_t kShown = 200;
  std::string text = reply.dump(-1, ' ', true);
  if (text.size() > kShown) text = text.substr(0, kShown) + "…";
  return fail(Code::kBadData, "the model's reply has no answer: " + text);
}

const Json* at(const Json& reply, std::initializer_list<std::string_view> path) {
  const Json* here = &reply;
  for (const std::string_view step : path) {
    if (step == "0") {
      if (!here->is_array() || here->empty()) return nullptr;
      here = &(*here)[0];
      continue;
    }
    if (!here->is_object() || !here->contains(step)) return nullptr;
    here = &(*here)[std::string(step)];
  }
  return here;
}

}  // namespace

std::string default_url(Service service) {
  switch (service) {
    case Service::kOpenAi: return "https://api.openai.com/v1";
    case Service::kAzure: return "";
    case Service::kAnthropic: return "https://api.anthropic.com";
    case Service::kCohere: return "https://api.cohere.com";
    case Service::kGemini: return "https://generativelanguage.googleapis.com";
    case Service::kOllama: return "http://localhost:11434";
    case Service::kTei:
    case Service::kBedrock:
    case Service::kCustom: return "";
  }
  return "";
}

std::string_view key_variable(Service service) {
  switch (service) {
    case Service::kOpenAi: return "OPENAI_API_KEY";
    case Service::kAzure: return "AZURE_OPENAI_API_KEY";
    case Service::kAnthropic: return "ANTHROPIC_API_KEY";
    case Service::kCohere: return "COHERE_API_KEY";
    case Service::kGemini: return "GOOGLE_API_KEY";
    case Service::kOllama: return "";
    case Service::kTei: return "HF_TOKEN";
    case Service::kBedrock:
    case Service::kCustom: return "";
  }
  return "";
}

bool apply_prefix(Model& model) {
  const std::size_t slash = model.name.find('/');
  if (slash == std::string::npos) {  // as LiteLLM: a bare name is OpenAI's, unless it says another maker
    if (model.name.starts_with("claude")) model.service = Service::kAnthropic;
    if (model.name.starts_with("command")) model.service = Service::kCohere;
    if (model.name.starts_with("gemini")) model.service = Service::kGemini;
    return true;
  }
  for (const Prefix& prefix : kPrefixes)
    if (model.name.compare(0, slash, prefix.name) == 0) {
      model.service = prefix.service;
      model.name.erase(0, slash + 1);
      if (model.base_url.empty()) model.base_url = prefix.url;
      if (model.service == Service::kAzure) model.deployment = model.name;
      return true;
    }
  return !model.base_url.empty();  // a name with a slash at a server of one's own
}

Request chat_request(const Model& model, const Json& given, const Json& options) {
  const Json messages = as_messages(given);
  Json body = merged(model, options);
  switch (model.service) {
    case Service::kGemini: return gemini_chat(model, messages, std::move(body));
    case Service::kAnthropic: {
      const Split split = split_system(messages);
      if (!body.contains("max_tokens")) body["max_tokens"] = 1024;
      body.erase("logit_bias");
      if (!split.system.empty()) body["system"] = split.system;
      body["messages"] = split.others;
      return {model.base_url + "/v1/messages", headers_of(model), std::move(body)};
    }
    case Service::kCohere:
      body["messages"] = split_system(messages).system.empty() ? split_system(messages).others : messages;
      return {model.base_url + "/v2/chat", headers_of(model), std::move(body)};
    case Service::kOllama: {
      Json settings = Json::object();
      for (const char* name : {"temperature", "top_p", "top_k", "seed", "num_ctx", "num_predict"}) {
        if (!body.contains(name)) continue;
        settings[name] = body[name];
        body.erase(name);
      }
      if (!settings.empty()) body["options"] = std::move(settings);
      body["messages"] = messages;
      body["stream"] = false;
      return {model.base_url + "/api/chat", headers_of(model), std::move(body)};
    }
    case Service::kAzure:
      body.erase("model");
      body["messages"] = messages;
      return {azure_url(model, "chat/completions"), headers_of(model), std::move(body)};
    case Service::kBedrock: return bedrock_chat(model, messages, std::move(body));
    case Service::kCustom: return custom_chat(model, messages, body);
    case Service::kTei:
    case Service::kOpenAi: break;
  }
  body["messages"] = messages;
  return {model.base_url + "/chat/completions", headers_of(model), std::move(body)};
}

Result<std::string> chat_answer(const Model& model, const Json& reply) {
  const Json* found = nullptr;
  switch (model.service) {
    case Service::kAnthropic: found = at(reply, {"content"}); break;
    case Service::kCohere: found = at(reply, {"message", "content"}); break;
    case Service::kGemini: found = at(reply, {"candidates", "0", "content", "parts"}); break;
    case Service::kOllama: found = at(reply, {"message", "content"}); break;
    case Service::kBedrock: found = at(reply, {"output", "message", "content"}); break;
    case Service::kCustom: found = pointed(reply, model.answer_pointer); break;
    default: found = at(reply, {"choices", "0", "message", "content"}); break;
  }
  if (found == nullptr || !(found->is_string() || found->is_array())) return no_answer(reply);
  return text_of(*found);
}

Usage usage_of(const Model& model, const Json& reply) {
  const auto number = [&](std::initializer_list<std::string_view> path) -> std::int64_t {
    const Json* found = at(reply, path);
    return found != nullptr && found->is_number_integer() ? std::max<std::int64_t>(found->get<std::int64_t>(), 0) : 0;
  };
  switch (model.service) {
    case Service::kAnthropic: return {number({"usage", "input_tokens"}), number({"usage", "output_tokens"})};
    case Service::kCohere:
      return {number({"usage", "tokens", "input_tokens"}), number({"usage", "tokens", "output_tokens"})};
    case Service::kGemini:
      return {number({"usageMetadata", "promptTokenCount"}), number({"usageMetadata", "candidatesTokenCount"})};
    case Service::kOllama: return {number({"prompt_eval_count"}), number({"eval_count"})};
    case Service::kBedrock: return {number({"usage", "inputTokens"}), number({"usage", "outputTokens"})};
    default: return {number({"usage", "prompt_tokens"}), number({"usage", "completion_tokens"})};
  }
}

Request rerank_request(const Model& model, const std::string& query, const Json& texts) {
  // Servers of text-embeddings-inference take `texts`, others `documents` and the model's name; each ignores the rest.
  Json body = model.extra;
  body["query"] = query;
  body["texts"] = texts;
  body["documents"] = texts;
  if (!model.name.empty()) body["model"] = model.name;
  return {model.base_url.ends_with("/rerank") ? model.base_url : model.base_url + "/rerank", headers_of(model),
          std::move(body)};
}

Result<std::vector<double>> rerank_answer(const Json& reply, std::size_t count) {
  const Json* list = reply.is_array() ? &reply : at(reply, {"results"});
  std::vector<double> out(count);
  std::vector<bool> known(count);
  if (list == nullptr || !list->is_array() || list->size() != count) return no_answer(reply);
  for (const Json& item : *list) {
    if (!item.is_object()) return no_answer(reply);
    const auto index = item.value("index", count);
    const Json score = item.contains("score") ? item["score"] : item.value("relevance_score", Json());
    if (index >= count || known[index] || !score.is_number()) return no_answer(reply);
    out[index] = score.get<double>();
    known[index] = true;
  }
  return out;
}

Request embed_request(const Model& model, const std::vector<std::string>& texts) {
  Json body = model.extra;
  switch (model.service) {
    case Service::kGemini: {
      body = Json::object();
      body["requests"] = Json::array();
      for (const std::string& text : texts) {
        Json one;
        one["model"] = gemini_model(model.name);
        one["content"]["parts"] = Json::array({Json{{"text", text}}});
        body["requests"].push_back(std::move(one));
      }
      return {model.base_url + "/v1beta/" + gemini_model(model.name) + ":batchEmbedContents", headers_of(model),
              std::move(body)};
    }
    case Service::kCohere:
      body["model"] = model.name;
      body["texts"] = texts;
      if (!body.contains("input_type")) body["input_type"] = "search_document";
      body["embedding_types"] = Json::array({"float"});
      return {model.base_url + "/v2/embed", headers_of(model), std::move(body)};
    case Service::kOllama:
      body["model"] = model.name;
      body["input"] = texts;
      return {model.base_url + "/api/embed", headers_of(model), std::move(body)};
    case Service::kTei: body["inputs"] = texts; return {model.base_url + "/embed", headers_of(model), std::move(body)};
    case Service::kAzure:
      body["input"] = texts;
      return {azure_url(model, "embeddings"), headers_of(model), std::move(body)};
    case Service::kBedrock: return bedrock_embed(model, texts);
    case Service::kCustom: {
      const Json values = {{"text", texts.front()}, {"texts", texts}, {"model", model.name}};
      return {model.base_url, headers_of(model), filled(model.template_body, values)};
    }
    case Service::kAnthropic:
    case Service::kOpenAi: break;
  }
  body["model"] = model.name;
  body["input"] = texts;
  return {model.base_url + "/embeddings", headers_of(model), std::move(body)};
}

Result<std::vector<Json>> embed_answer(const Model& model, const Json& reply, std::size_t count) {
  std::vector<Json> out(count);
  const auto take = [&](const Json* list, std::string_view member) {
    if (list == nullptr || !list->is_array() || list->size() != count) return false;
    for (std::size_t i = 0; i < count; ++i) {
      const Json& item = (*list)[i];
      if (!member.empty() && !item.is_object()) return false;
      const std::size_t place = member.empty() ? i : item.value("index", i);
      if (place >= count) return false;
      out[place] = member.empty() ? item : item.value(std::string(member), Json());
    }
    for (const Json& vector : out)
      if (!vector.is_array() || vector.empty()) return false;
    return true;
  };
  bool fine = false;
  switch (model.service) {
    case Service::kGemini: fine = take(at(reply, {"embeddings"}), "values"); break;
    case Service::kCohere: fine = take(at(reply, {"embeddings", "float"}), ""); break;
    case Service::kOllama: fine = take(at(reply, {"embeddings"}), ""); break;
    case Service::kTei: fine = take(&reply, ""); break;
    case Service::kBedrock:
      if (const Json* one = at(reply, {"embedding"}); one != nullptr && count == 1) {
        out[0] = *one;
        fine = one->is_array() && !one->empty();
      } else {
        const Json* many = at(reply, {"embeddings"});  // of Cohere's models there
        fine = take(many != nullptr && many->is_object() ? at(*many, {"float"}) : many, "");
      }
      break;
    case Service::kCustom: {
      const Json* found = pointed(reply, model.answer_pointer);
      const bool one =
          count == 1 && found != nullptr && found->is_array() && !found->empty() && (*found)[0].is_number();
      if (one) out[0] = *found;
      fine = one || take(found, "");
      break;
    }
    default: fine = take(at(reply, {"data"}), "embedding"); break;
  }
  if (!fine) return no_answer(reply);
  return out;
}

}  // namespace thalweg::llm
