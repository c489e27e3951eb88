#include "llm/providers/remote_models.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "connectors/functions/remote_function.h"
#include "connectors/net/http_pool.h"
#include "connectors/setting_reader.h"
#include "llm/functions/asking.h"
#include "llm/functions/shown_answer.h"
#include "llm/functions/value_function.h"
#include "llm/functions/wrong.h"
#include "llm/providers/chat_stream.h"
#include "llm/providers/protocol.h"
#include "llm/providers/rate.h"
#include "llm/providers/sigv4.h"
#include "llm/providers/usage.h"
#include "llm/text/bpe.h"

namespace thalweg::llm {

namespace {

using functions::Refusal;

// Arguments that are ours; all others are members of the request.
constexpr std::string_view kOwn[] = {"model",
                                     "model_id",
                                     "model_name",
                                     "api_key",
                                     "base_url",
                                     "api_base",
                                     "capacity",
                                     "timeout",
                                     "retries",
                                     "max_retries",
                                     "retry_strategy",
                                     "executor",
                                     "async_mode",
                                     "cache_strategy",
                                     "cache",
                                     "verbose",
                                     "batch_size",
                                     "max_batch_size",
                                     "endpoint",
                                     "deployment",
                                     "api_version",
                                     "headers",
                                     "normalize",
                                     "call_kwargs",
                                     "device",
                                     "name",
                                     "organization",
                                     "deterministic",
                                     "azure_endpoint",
                                     "truncation_keep_strategy",
                                     "models_dir",
                                     "default_headers",
                                     "template",
                                     "answer",
                                     "price_per_million_tokens",
                                     "requests_per_minute",
                                     "tokens_per_minute",
                                     "region_name",
                                     "aws_access_key_id",
                                     "aws_secret_access_key",
                                     "aws_session_token"};

Json json_of(const Setting& setting) {
  if (const bool* v = setting.as_bool()) return *v;
  if (const std::int64_t* v = setting.as_int()) return *v;
  if (const double* v = setting.as_float()) return *v;
  if (const std::string* v = setting.as_text()) return *v;
  if (const Setting::List* list = setting.as_list()) {
    Json out = Json::array();
    for (const Setting& item : *list) out.push_back(json_of(item));
    return out;
  }
  Json out = setting.as_map() != nullptr ? Json::object() : Json();
  if (const Setting::Map* map = setting.as_map())
    for (const auto& [name, value] : *map) out[name] = json_of(value);
  return out;
}

Service service_of(std::string_view kind) {
  const std::string_view name = kind.substr(kind.rfind('.') + 1);
  if (name == "azure") return Service::kAzure;
  if (name == "anthropic") return Service::kAnthropic;
  if (name == "cohere") return Service::kCohere;
  if (name == "gemini") return Service::kGemini;
  if (name == "ollama") return Service::kOllama;
  if (name == "huggingface") return Service::kTei;
  if (name == "bedrock") return Service::kBedrock;
  if (name == "custom") return Service::kCustom;
  return Service::kOpenAi;
}

// Whose signature requests to Bedrock bear.
std::expected<bool, plan::FunctionError> read_keys(const SettingReader& read, Model& out) {
  out.region = read.text("region_name");
  out.access_key = read.text("aws_access_key_id");
  out.secret_key = read.text("aws_secret_access_key");
  out.session_token = read.text("aws_session_token");
  if (out.region.empty()) return wrong("`region_name:` is missing, or the variable AWS_REGION");
  if (out.access_key.empty() || out.secret_key.empty())
    return wrong(
        "`aws_access_key_id:` and `aws_secret_access_key:` are missing, or the variables AWS_ACCESS_KEY_ID "
        "and AWS_SECRET_ACCESS_KEY");
  if (out.base_url.empty()) out.base_url = "https://bedrock-runtime." + out.region + ".amazonaws.com";
  return true;
}

std::expected<bool, plan::FunctionError> read_template(const Setting& options, Model& out) {
  const Setting* given = options.find("template");
  if (given == nullptr || given->as_map() == nullptr)
    return wrong("`template:` is the body of a request, with `{prompt}`, `{messages}` or `{text}` where they go",
                 "template");
  out.template_body = json_of(*given);
  out.answer_pointer = SettingReader(options).text("answer");
  if (!out.answer_pointer.starts_with('/'))
    return wrong("`answer:` is a JSON pointer to the answer in the reply: it begins with a slash", "answer");
  return true;
}

std::expected<Model, plan::FunctionError> model_of(const plan::FunctionSpec& spec) {
  const SettingReader read(spec.options);
  Model out;
  out.service = service_of(spec.kind);
  for (const char* name : {"model", "model_name", "model_id"})
    if (out.name.empty()) out.name = read.text(name);
  for (const char* name : {"base_url", "api_base", "endpoint", "azure_endpoint"})
    if (out.base_url.empty()) out.base_url = read.text(name);
  out.api_key = read.text("api_key");
  out.deployment = read.text("deployment", out.name);
  if (out.name.empty()) out.name = out.deployment;
  out.api_version = read.text("api_version", "2024-02-01");
  const bool litellm = spec.kind.ends_with(".litellm");
  if (litellm && !apply_prefix(out))
    return wrong("no service is known for the model `" + out.name + "`", "model",
                 "with `base_url:` it is asked as one that speaks OpenAI's language");
  if (out.service == Service::kBedrock) TRY_OPTION(read_keys(read, out));
  if (out.service == Service::kCustom) TRY_OPTION(read_template(spec.options, out));
  if (out.base_url.empty()) out.base_url = default_url(out.service);
  while (out.base_url.ends_with('/')) out.base_url.pop_back();
  if (out.service == Service::kGemini && out.base_url.ends_with("/v1beta"))
    out.base_url.resize(out.base_url.size() - 7);
  if (out.base_url.empty()) return wrong("`base_url:` is missing: where the model is served");
  auto url = net::parse_url(out.base_url);
  if (!url) return wrong(url.error().message, "base_url");
  const bool may_be_nameless =
      out.service == Service::kTei || out.service == Service::kCustom || spec.kind.starts_with("llm.reranker.");
  if (out.name.empty() && !may_be_nameless) return wrong("`model:` is missing");
  if (const Setting::Map* map = spec.options.as_map())
    for (const auto& [name, value] : *map)
      if (std::ranges::find(kOwn, name) == std::end(kOwn)) out.extra[name] = json_of(value);
  return out;
}

// What answers depend on, beside the question.
std::string identity_of(const Model& model) {
  const Json out = {{"service", service_name(model.service)}, {"model", model.name},           {"url", model.base_url},
                    {"deployment", model.deployment},         {"version", model.api_version},  {"more", model.extra},
                    {"template", model.template_body},        {"answer", model.answer_pointer}};
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string shortened(std::string text) {
  constexpr std::size_t kShown = 300;
  if (text.size() > kShown) text.resize(kShown);
  return text;
}

class Wire {
 public:
  struct Options {
    std::vector<std::pair<std::string, std::string>> headers;
    net::HttpPoolOptions pool;
    std::optional<AwsKeys> signer;
    std::int64_t requests_per_minute = 0, tokens_per_minute = 0;
  };
  Wire(const Model& model, Options options)
      : service_(model.service),
        usage_(usage_counter(model.service, model.name)),
        headers_(std::move(options.headers)),
        signer_(std::move(options.signer)),
        pool_(std::move(options.pool)) {
    if (options.requests_per_minute > 0 || options.tokens_per_minute > 0)
      limit_ = std::make_unique<RateLimit>(options.requests_per_minute, options.tokens_per_minute);
  }
  void took(const Usage& usage) const {
    if (limit_) limit_->took(usage.prompt_tokens + usage.completion_tokens);
  }

  [[nodiscard]] std::expected<Json, Refusal> post(const Request& request, std::int64_t timeout_ms) {
    auto reply = send(request, timeout_ms);
    usage_.asked(reply.has_value());
    if (reply) usage_.took(tokens_of(service_, *reply));
    return reply;
  }

  // The same, shown while it comes; the time limit is for a silence.
  [[nodiscard]] std::expected<Json, Refusal> stream(const Model& model, const Request& request, std::int64_t timeout_ms,
                                                    ShownAnswer& shown) {
    auto reply = send_for_stream(model, request, timeout_ms, shown);
    usage_.asked(reply.has_value());
    if (reply) usage_.took(tokens_of(service_, *reply));
    return reply;
  }

  [[nodiscard]] UsageCounter& usage() { return usage_; }

 private:
  [[nodiscard]] net::HttpRequest http_of(const Request& request, const char* accept) const {
    net::HttpRequest http;
    http.method = "POST";
    http.headers.add("Content-Type", "application/json");
    http.headers.add("Accept", accept);
    for (const auto& [name, value] : request.headers) http.headers.set(name, value);
    for (const auto& [name, value] : headers_) http.headers.set(name, value);
    http.body = request.body.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (signer_)
      for (const auto& [name, value] : sign_post(*signer_, "bedrock", request.url, http.body, now_seconds()))
        http.headers.set(name, value);
    return http;
  }

  [[nodiscard]] std::expected<Json, Refusal> send(const Request& request, std::int64_t timeout_ms) {
    auto url = net::parse_url(request.url);
    if (!url) return std::unexpected(Refusal{url.error().message, false, 0});
    if (limit_) limit_->wait();
    auto response = pool_.request(*url, http_of(request, "application/json"), timeout_ms);
    if (!response) return std::unexpected(Refusal{response.error().message, true, 0});
    return reply_of(*response);
  }

  [[nodiscard]] std::expected<Json, Refusal> send_for_stream(const Model& model, const Request& request,
                                                             std::int64_t timeout_ms, ShownAnswer& shown) {
    auto url = net::parse_url(request.url);
    if (!url) return std::unexpected(Refusal{url.error().message, false, 0});
    if (limit_) limit_->wait();
    shown.begin();
    ChatStream pieces(model);
    std::string whole;  // of a server that gives no stream after all
    bool streams = false;
    const auto on_head = [&](const net::HttpResponse& head) {
      const std::string* type = head.headers.find("Content-Type");
      streams = head.status / 100 == 2 && type != nullptr &&
                (type->starts_with("text/event-stream") || type->starts_with("application/x-ndjson"));
      return true;
    };
    const auto on_bytes = [&](std::string_view bytes) {
      if (streams)
        shown.token(pieces.feed(bytes));
      else
        whole += bytes;
      return true;
    };
    auto response = pool_.stream(*url, http_of(request, "text/event-stream, application/x-ndjson, application/json"),
                                 timeout_ms, on_bytes, on_head);
    if (!response) return std::unexpected(Refusal{response.error().message, true, 0});
    if (!streams) {
      response->body = std::move(whole);
      return reply_of(*response);
    }
    auto reply = pieces.reply();
    if (!reply) return std::unexpected(Refusal{reply.error().message, true, 0});
    return std::move(*reply);
  }

  static std::expected<Json, Refusal> reply_of(const net::HttpResponse& response) {
    if (response.status / 100 != 2) return std::unexpected(refusal(response));
    Json reply = Json::parse(response.body, nullptr, false);
    if (reply.is_discarded()) return std::unexpected(Refusal{"the model's reply is no JSON", true, 0});
    return reply;
  }
  // What the service calls its own trouble or a matter of time is worth another attempt.
  static Refusal refusal(const net::HttpResponse& response) {
    Refusal out;
    out.message =
        fmt::format("the model's server answered {} {}", response.status, net::reason_phrase(response.status));
    const Json body = Json::parse(response.body, nullptr, false);
    if (body.is_object() && body.contains("error")) {
      const Json& error = body["error"];
      const Json& why = error.is_object() && error.contains("message") ? error["message"] : error;
      out.message += ": " + shortened(why.is_string() ? why.get<std::string>() : why.dump(-1, ' ', true));
    }
    out.again = response.status >= 500 || response.status == 429 || response.status == 408 || response.status == 409;
    if (const std::string* after = response.headers.find("Retry-After")) {
      std::int64_t seconds = 0;
      for (const char c : *after) seconds = c >= '0' && c <= '9' && seconds < 3600 ? seconds * 10 + (c - '0') : 0;
      out.after_ms = seconds * 1000;
    }
    return out;
  }
  const Service service_;
  UsageCounter& usage_;
  static std::int64_t now_seconds() {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
  const std::vector<std::pair<std::string, std::string>> headers_;
  const std::optional<AwsKeys> signer_;
  std::unique_ptr<RateLimit> limit_;
  net::HttpPool pool_;
};

// In units of money for a million tokens.
struct Prices {
  double prompt = 0, completion = 0;
};

std::string answer_line(const Json& value) {
  return "{\"value\":" + value.dump(-1, ' ', false, Json::error_handler_t::replace) + "}";
}

class ChatTransport final : public functions::Transport {
 public:
  ChatTransport(Model model, Wire::Options options, std::optional<Prices> prices)
      : model_(std::move(model)), wire_(model_, std::move(options)), prices_(prices) {}

  std::expected<std::vector<std::string>, Refusal> exchange(const std::vector<std::string>& lines,
                                                            std::int64_t timeout_ms) override {
    std::vector<std::string> out;
    for (const std::string& line : lines) {
      const Json args = Json::parse(line, nullptr, false);
      if (!args.is_array() || args.empty() || args[0].is_null())
        return std::unexpected(Refusal{"a chat is asked with messages", false, 0});
      Json options = args.size() > 1 && args[1].is_object() ? args[1] : Json::object();
      const bool with_receipt = options.erase(std::string(kReceiptOption)) > 0;
      const Json shown = options.value(std::string(kStreamOption), Json());
      options.erase(std::string(kStreamOption));
      auto reply = ask(args[0], options, timeout_ms, ShownAnswer(shown));
      if (!reply) return std::unexpected(std::move(reply.error()));
      out.push_back(answer_line(with_receipt ? receipt_line(*reply) : reply->text));
    }
    return out;
  }
  void answered_from_cache(std::size_t questions) override { wire_.usage().hit(questions); }
  [[nodiscard]] std::string identity() const override { return "chat " + identity_of(model_); }
  // Who is shown the answer is no part of the question.
  [[nodiscard]] std::string question_of(const std::string& line) const override {
    if (line.find(kStreamOption) == std::string::npos) return line;
    Json args = Json::parse(line, nullptr, false);
    if (args.is_array() && args.size() > 1 && args[1].is_object()) args[1].erase(std::string(kStreamOption));
    return args.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

 private:
  [[nodiscard]] std::expected<Reply, Refusal> ask(const Json& messages, const Json& options, std::int64_t timeout_ms,
                                                  ShownAnswer shown) {
    Reply out;
    const Json model = options.value("model", Json());
    out.model = model.is_string() ? model.get<std::string>() : model_.name;
    Request request = chat_request(model_, messages, options);
    const bool streams = shown.is_wanted() && ask_for_stream(model_, request);
    auto reply = streams ? wire_.stream(model_, request, timeout_ms, shown) : wire_.post(request, timeout_ms);
    if (!reply) return std::unexpected(std::move(reply.error()));
    auto answer = chat_answer(model_, *reply);
    if (!answer) return std::unexpected(Refusal{answer.error().message, false, 0});
    const Usage usage = usage_of(model_, *reply);
    wire_.took(usage);
    out.text = std::move(*answer);
    out.prompt_tokens = usage.prompt_tokens;
    out.completion_tokens = usage.completion_tokens;
    if (prices_)
      out.cost = (static_cast<double>(usage.prompt_tokens) * prices_->prompt +
                  static_cast<double>(usage.completion_tokens) * prices_->completion) /
                 1e6;
    return out;
  }

  const Model model_;
  Wire wire_;
  const std::optional<Prices> prices_;
};

// Question, texts → scores.
class RerankTransport final : public functions::Transport {
 public:
  RerankTransport(Model model, Wire::Options options) : model_(std::move(model)), wire_(model_, std::move(options)) {}

  std::expected<std::vector<std::string>, Refusal> exchange(const std::vector<std::string>& lines,
                                                            std::int64_t timeout_ms) override {
    std::vector<std::string> out;
    for (const std::string& line : lines) {
      const Json args = Json::parse(line, nullptr, false);
      if (!args.is_array() || args.size() != 2 || !args[0].is_string() || !args[1].is_array())
        return std::unexpected(Refusal{"a reranker is asked with a question and texts", false, 0});
      auto reply = wire_.post(rerank_request(model_, args[0].get<std::string>(), args[1]), timeout_ms);
      if (!reply) return std::unexpected(std::move(reply.error()));
      auto scores = rerank_answer(*reply, args[1].size());
      if (!scores) return std::unexpected(Refusal{scores.error().message, false, 0});
      out.push_back(answer_line(*scores));
    }
    return out;
  }

 private:
  const Model model_;
  Wire wire_;
};

enum class Keep : std::uint8_t { kAll, kStart, kEnd };

class RemoteEmbedTransport final : public functions::Transport {
 public:
  RemoteEmbedTransport(Model model, Wire::Options options, Keep keep, bool normalize)
      : model_(std::move(model)), wire_(model_, std::move(options)), keep_(keep), normalize_(normalize) {}

  std::expected<std::vector<std::string>, Refusal> exchange(const std::vector<std::string>& lines,
                                                            std::int64_t timeout_ms) override {
    std::vector<std::string> texts;
    for (const std::string& line : lines) {
      const Json args = Json::parse(line, nullptr, false);
      if (!args.is_array() || args.empty() || !args[0].is_string())
        return std::unexpected(Refusal{"what is embedded is a text", false, 0});
      texts.push_back(fitting(args[0].get<std::string>()));
    }
    auto reply = wire_.post(embed_request(model_, texts), timeout_ms);
    if (!reply) return std::unexpected(std::move(reply.error()));
    wire_.took(usage_of(model_, *reply));
    auto vectors = embed_answer(model_, *reply, texts.size());
    if (!vectors) return std::unexpected(Refusal{vectors.error().message, false, 0});
    std::vector<std::string> out;
    for (Json& vector : *vectors) {
      if (normalize_) normalize(vector);
      out.push_back(answer_line(vector));
    }
    return out;
  }

  void answered_from_cache(std::size_t questions) override { wire_.usage().hit(questions); }
  [[nodiscard]] std::string identity() const override {
    return "vectors " + std::to_string(static_cast<int>(keep_)) + (normalize_ ? " normalized " : " ") +
           identity_of(model_);
  }

 private:
  // No text is longer than what OpenAI's models take, and none is empty.
  [[nodiscard]] std::string fitting(std::string text) const {
    constexpr std::size_t kTokensMax = 8191;
    if (text.empty()) return ".";
    if (keep_ == Keep::kAll || text.size() <= kTokensMax) return text;
    const auto bpe = Bpe::find(Bpe::encoding_of_model(model_.name));
    const std::vector<std::size_t> ends = bpe->ends(text);
    if (ends.size() <= kTokensMax) return text;
    std::size_t cut = keep_ == Keep::kStart ? ends[kTokensMax - 1] : ends[ends.size() - kTokensMax - 1];
    while (cut < text.size() && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80)
      keep_ == Keep::kStart ? --cut : ++cut;
    return keep_ == Keep::kStart ? text.substr(0, cut) : text.substr(cut);
  }
  static void normalize(Json& vector) {
    double sum = 0;
    for (const Json& number : vector) sum += number.is_number() ? std::pow(number.get<double>(), 2) : 0;
    if (sum <= 0) return;
    for (Json& number : vector)
      if (number.is_number()) number = number.get<double>() / std::sqrt(sum);
  }

  const Model model_;
  Wire wire_;
  const Keep keep_;
  const bool normalize_;
};

std::expected<std::vector<std::pair<std::string, std::string>>, plan::FunctionError> header_options(
    const plan::FunctionSpec& spec) {
  std::vector<std::pair<std::string, std::string>> out;
  const SettingReader read(spec.options);
  for (const char* option : {"headers", "models_dir", "default_headers"}) {
    const Setting* map = read.map(option);
    if (map == nullptr) continue;
    for (const auto& [name, value] : *map->as_map()) {
      const std::string content = value.as_text() != nullptr ? *value.as_text() : value.spelling;
      const auto is_bad = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; };
      if (name.empty() || name.find_first_of(" :") != std::string::npos || std::ranges::any_of(name, is_bad) ||
          std::ranges::any_of(content, is_bad))
        return wrong("`" + name + "` is no header field", option);
      out.emplace_back(name, content);
    }
  }
  return out;
}

std::expected<Wire::Options, plan::FunctionError> wire_options(const plan::FunctionSpec& spec, const Model& model,
                                                               std::size_t connections,
                                                               std::shared_ptr<const net::AddressPolicy> egress) {
  Wire::Options out;
  out.headers = TRY_OPTION(header_options(spec));
  out.pool.idle_max = connections;
  out.pool.policy = std::move(egress);
  if (model.service == Service::kBedrock)
    out.signer = AwsKeys{model.region, model.access_key, model.secret_key, model.session_token};
  const SettingReader read(spec.options);
  out.requests_per_minute = read.integer("requests_per_minute", 0);
  out.tokens_per_minute = read.integer("tokens_per_minute", 0);
  for (const char* option : {"requests_per_minute", "tokens_per_minute"})
    if (read.has(option) && read.integer(option, 0) < 1)
      return wrong("`" + std::string(option) + "` is at least 1", option);
  return out;
}

std::expected<std::optional<Prices>, plan::FunctionError> prices_of(const Setting& options) {
  const Setting* given = options.find("price_per_million_tokens");
  if (given == nullptr || given->is_null()) return std::nullopt;
  const SettingReader read(*given);
  const Prices out{read.number("input", -1), read.number("output", -1)};
  if (given->as_map() == nullptr || !(out.prompt >= 0) || !(out.completion >= 0))
    return wrong("`price_per_million_tokens` is {input: …, output: …}", "price_per_million_tokens");
  return out;
}

std::expected<functions::RemoteOptions, plan::FunctionError> options_of(const plan::FunctionSpec& spec,
                                                                        std::size_t batch) {
  functions::RemoteOptions defaults;
  defaults.capacity = 16;
  defaults.batch_rows = batch;
  defaults.retries.max = 3;
  return functions::remote_options(spec.options, defaults);
}

}  // namespace

std::expected<plan::UserFunctionPtr, plan::FunctionError> make_chat(const plan::FunctionSpec& spec, std::string text,
                                                                    std::shared_ptr<const net::AddressPolicy> egress) {
  Model model = TRY_OPTION(model_of(spec));
  const auto options = TRY_OPTION(options_of(spec, 1));
  auto wire = TRY_OPTION(wire_options(spec, model, options.capacity, std::move(egress)));
  const auto prices = TRY_OPTION(prices_of(spec.options));
  return functions::make_remote(
      spec, options, std::make_unique<ChatTransport>(std::move(model), std::move(wire), prices), std::move(text));
}

std::expected<plan::UserFunctionPtr, plan::FunctionError> make_embedder(
    const plan::FunctionSpec& spec, std::string text, std::shared_ptr<const net::AddressPolicy> egress) {
  const SettingReader read(spec.options);
  std::int64_t batch = read.integer("batch_size", 32);
  if (batch < 1 || batch > 2048) return wrong("`batch_size` is between 1 and 2048", "batch_size");
  Model model = TRY_OPTION(model_of(spec));
  const bool one_by_one =
      (model.service == Service::kBedrock && !model.name.starts_with("cohere.")) ||
      (model.service == Service::kCustom && model.template_body.dump().find("{texts}") == std::string::npos);
  if (one_by_one) batch = 1;
  model.extra.erase("batch_size");
  const auto options = TRY_OPTION(options_of(spec, static_cast<std::size_t>(batch)));
  auto wire = TRY_OPTION(wire_options(spec, model, options.capacity, std::move(egress)));
  const std::string keep = read.text("truncation_keep_strategy", spec.kind == "llm.embedder.openai" ? "start" : "");
  const Keep kept = keep == "start" ? Keep::kStart : keep == "end" ? Keep::kEnd : Keep::kAll;
  auto transport =
      std::make_unique<RemoteEmbedTransport>(std::move(model), std::move(wire), kept, read.flag("normalize", false));
  return functions::make_remote(spec, options, std::move(transport), std::move(text));
}

std::expected<plan::UserFunctionPtr, plan::FunctionError> make_reranker(
    const plan::FunctionSpec& spec, std::string text, std::shared_ptr<const net::AddressPolicy> egress) {
  Model model = TRY_OPTION(model_of(spec));
  const auto options = TRY_OPTION(options_of(spec, 1));
  auto wire = TRY_OPTION(wire_options(spec, model, options.capacity, std::move(egress)));
  return functions::make_remote(spec, options, std::make_unique<RerankTransport>(std::move(model), std::move(wire)),
                                std::move(text));
}

}  // namespace thalweg::llm
