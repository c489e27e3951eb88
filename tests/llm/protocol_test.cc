#include "llm/providers/protocol.h"

#include <catch2/catch.hpp>

#include "llm/functions/asking.h"
#include "llm/providers/chat_stream.h"
#include "llm/providers/sigv4.h"

namespace thalweg::llm {
namespace {

Json messages() { return Json::parse(R"([{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}])"); }

Model model(Service service, std::string name, std::string key = "k") {
  Model out;
  out.service = service;
  out.name = std::move(name);
  out.api_key = std::move(key);
  out.base_url = default_url(service).empty() ? "http://here" : default_url(service);
  return out;
}

std::string header(const Request& request, std::string_view name) {
  for (const auto& [key, value] : request.headers)
    if (key == name) return value;
  return "";
}

TEST_CASE("OpenAI: chat and vectors") {
  Model gpt = model(Service::kOpenAi, "gpt");
  gpt.extra["temperature"] = 0.5;
  const Request request = chat_request(gpt, messages(), Json::parse(R"({"model":"other","temperature":0})"));
  CHECK(request.url == "https://api.openai.com/v1/chat/completions");
  CHECK(header(request, "Authorization") == "Bearer k");
  CHECK(request.body["model"] == "other");
  CHECK(request.body["temperature"] == 0);
  CHECK(request.body["messages"] == messages());
  CHECK(*chat_answer(gpt, Json::parse(R"({"choices":[{"message":{"content":"yes"}}]})")) == "yes");
  CHECK_FALSE(chat_answer(gpt, Json::parse(R"({"choices":[]})")));
  CHECK_FALSE(chat_answer(gpt, Json::parse("null")));
  CHECK(chat_request(gpt, "Hi", Json()).body["messages"][0]["role"] == "user");
  const Request embed = embed_request(gpt, {"a", "b"});
  CHECK(embed.url == "https://api.openai.com/v1/embeddings");
  CHECK(embed.body["input"] == Json::parse(R"(["a","b"])"));
  // By their index, not by their place.
  const auto vectors =
      embed_answer(gpt, Json::parse(R"({"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}]})"), 2);
  REQUIRE(vectors);
  CHECK((*vectors)[0] == Json::parse("[1]"));
  CHECK_FALSE(embed_answer(gpt, Json::parse(R"({"data":[]})"), 2));
  CHECK_FALSE(embed_answer(gpt, Json::parse(R"({"data":[{"index":7,"embedding":[2]}]})"), 1));
}

TEST_CASE("Anthropic: the system's words stand apart, and are the user's where there is nothing else") {
  const Model claude = model(Service::kAnthropic, "claude");
  const Request request = chat_request(claude, messages(), Json());
  CHECK(request.url == "https://api.anthropic.com/v1/messages");
  CHECK(header(request, "x-api-key") == "k");
  CHECK(header(request, "anthropic-version") == "2023-06-01");
  CHECK(request.body["system"] == "Be brief.");
  CHECK(request.body["messages"].size() == 1);
  CHECK(request.body["max_tokens"] == 1024);
  const Json alone = Json::parse(R"([{"role":"system","content":"All of it"}])");
  const Request only = chat_request(claude, alone, Json());
  CHECK_FALSE(only.body.contains("system"));
  CHECK(only.body["messages"][0]["role"] == "user");
  CHECK(*chat_answer(claude, Json::parse(R"({"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]})")) ==
        "ab");
}

TEST_CASE("Gemini, Ollama, Cohere, Azure and TEI") {
  const Request gemini = chat_request(model(Service::kGemini, "gemini-x"), messages(), Json{{"temperature", 0}});
  CHECK(gemini.url == "https://generativelanguage.googleapis.com/v1beta/models/gemini-x:generateContent");
  CHECK(gemini.body["systemInstruction"]["parts"][0]["text"] == "Be brief.");
  CHECK(gemini.body["contents"][0]["parts"][0]["text"] == "Hi");
  CHECK(gemini.body["generationConfig"]["temperature"] == 0);
  CHECK(*chat_answer(model(Service::kGemini, "g"),
                     Json::parse(R"({"candidates":[{"content":{"parts":[{"text":"ok"}]}}]})")) == "ok");
  const Request ollama = chat_request(model(Service::kOllama, "mistral", ""), messages(), Json{{"temperature", 0}});
  CHECK(ollama.url == "http://localhost:11434/api/chat");
  CHECK(ollama.headers.empty());
  CHECK(ollama.body["stream"] == false);
  CHECK(ollama.body["options"]["temperature"] == 0);
  Model azure = model(Service::kAzure, "x");
  azure.deployment = "my gpt";
  azure.api_version = "2024-02-01";
  const Request deployed = chat_request(azure, messages(), Json());
  CHECK(deployed.url == "http://here/openai/deployments/my%20gpt/chat/completions?api-version=2024-02-01");
  CHECK(header(deployed, "api-key") == "k");
  CHECK_FALSE(deployed.body.contains("model"));
  CHECK(chat_request(model(Service::kCohere, "command"), messages(), Json()).url == "https://api.cohere.com/v2/chat");
  const Model tei = model(Service::kTei, "");
  CHECK(embed_request(tei, {"a"}).url == "http://here/embed");
  CHECK((*embed_answer(tei, Json::parse("[[1.5]]"), 1))[0] == Json::parse("[1.5]"));
}

TEST_CASE("LiteLLM's names") {
  Model ollama = model(Service::kOpenAi, "ollama/mistral");
  ollama.base_url.clear();
  REQUIRE(apply_prefix(ollama));
  CHECK(ollama.service == Service::kOllama);
  CHECK(ollama.name == "mistral");
  Model groq = model(Service::kOpenAi, "groq/llama-3");
  groq.base_url.clear();
  REQUIRE(apply_prefix(groq));
  CHECK(groq.base_url == "https://api.groq.com/openai/v1");
  Model own = model(Service::kOpenAi, "me/mine");
  REQUIRE(apply_prefix(own));  // it says where it is
  CHECK(own.name == "me/mine");
  own.base_url.clear();
  CHECK_FALSE(apply_prefix(own));
}

TEST_CASE("Bedrock: Converse, signed; vectors one by one for Titan, many for Cohere") {
  Model there = model(Service::kBedrock, "m:0", "");
  there.base_url = "https://bedrock-runtime.eu-west-1.amazonaws.com";
  const Request request = chat_request(there, messages(), Json::parse(R"({"temperature":0})"));
  CHECK(request.url == there.base_url + "/model/m%3A0/converse");
  CHECK(request.body["system"] == Json::parse(R"([{"text":"Be brief."}])"));
  CHECK(request.body["messages"] == Json::parse(R"([{"role":"user","content":[{"text":"Hi"}]}])"));
  CHECK(request.body["inferenceConfig"] == Json::parse(R"({"temperature":0,"maxTokens":1024})"));
  const Json reply =
      Json::parse(R"({"output":{"message":{"content":[{"text":"yes"}]}},"usage":{"inputTokens":3,"outputTokens":4}})");
  CHECK(*chat_answer(there, reply) == "yes");
  CHECK(usage_of(there, reply).prompt_tokens == 3);
  CHECK(usage_of(there, reply).completion_tokens == 4);
  CHECK(embed_request(there, {"a"}).body == Json::parse(R"({"inputText":"a"})"));
  CHECK((*embed_answer(there, Json::parse(R"({"embedding":[1,2]})"), 1))[0] == Json::parse("[1,2]"));
  there.name = "cohere.embed";
  CHECK(embed_request(there, {"a", "b"}).body["texts"].size() == 2);
  CHECK((*embed_answer(there, Json::parse(R"({"embeddings":[[1],[2]]})"), 2))[1] == Json::parse("[2]"));
  // The signature was computed by another program.
  const auto fields = sign_post({"eu-west-1", "id", "secret", "tok"}, "bedrock", request.url, R"({"a":1})", 1704164645);
  REQUIRE(fields.size() == 4);
  CHECK(fields[2].second ==
        "AWS4-HMAC-SHA256 Credential=id/20240102/eu-west-1/bedrock/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token, "
        "Signature=7c08f902f1900bd56216d80a6e5bd35bb7018f1177d7aa854da0aecb3b448d2b");
}

TEST_CASE("a service of one's own, by templates that are filled in one pass") {
  Model own = model(Service::kCustom, "m");
  own.template_body = Json::parse(R"({"q":"<{prompt}>","all":"{messages}","n":[1,"{model}"]})");
  own.answer_pointer = "/out/0";
  const Json asked = Json::parse(R"([{"role":"user","content":"say {model} {messages}"}])");
  const Request request = chat_request(own, asked, Json());
  CHECK(request.body["q"] == "<say {model} {messages}>");
  CHECK(request.body["all"] == asked);
  CHECK(request.body["n"] == Json::parse(R"([1,"m"])"));
  CHECK(*chat_answer(own, Json::parse(R"({"out":["yes"]})")) == "yes");
  CHECK_FALSE(chat_answer(own, Json::parse(R"({"out":[]})")));
  own.template_body = Json::parse(R"({"in":"{texts}"})");
  own.answer_pointer = "/v";
  CHECK(embed_request(own, {"a", "b"}).body["in"] == Json::parse(R"(["a","b"])"));
  CHECK((*embed_answer(own, Json::parse(R"({"v":[[1],[2]]})"), 2))[1] == Json::parse("[2]"));
  CHECK((*embed_answer(own, Json::parse(R"({"v":[1,2]})"), 1))[0] == Json::parse("[1,2]"));
}

TEST_CASE("rerankers: scores by their index, each once") {
  const Model there = model(Service::kTei, "");
  CHECK(rerank_request(there, "q", Json::parse(R"(["a"])")).url == "http://here/rerank");
  const auto two = rerank_answer(Json::parse(R"([{"index":1,"score":2},{"index":0,"score":1}])"), 2);
  REQUIRE(two);
  CHECK(*two == std::vector<double>{1, 2});
  const auto one = rerank_answer(Json::parse(R"({"results":[{"index":0,"relevance_score":0.5}]})"), 1);
  REQUIRE(one);
  CHECK(one->front() == 0.5);
  CHECK_FALSE(rerank_answer(Json::parse(R"([{"index":0,"score":2},{"index":0,"score":1}])"), 2));
  CHECK_FALSE(rerank_answer(Json::parse(R"([{"index":5,"score":2}])"), 1));
  CHECK_FALSE(rerank_answer(Json::parse("null"), 1));
}

TEST_CASE("JSON in answers of models; receipts go there and back") {
  const auto is = [](std::string_view answer, const char* json) {
    const auto found = json_in(answer);
    return found.has_value() && *found == Json::parse(json);
  };
  CHECK(is(R"({"a":1})", R"({"a":1})"));
  CHECK(is("Sure:\n```json\n[1, 2]\n```\nDone.", "[1,2]"));
  CHECK(is(R"(It is {"a":"}{"} I think.)", R"({"a":"}{"})"));
  CHECK(is("{no} {\"a\":1}", R"({"a":1})"));
  CHECK_FALSE(json_in("nothing {").has_value());
  Reply reply;
  reply.text = "t\n\"";
  reply.model = "m";
  reply.completion_tokens = 2;
  reply.cost = 0.5;
  const Reply back = reply_of(receipt_line(reply));
  CHECK(back.text == reply.text);
  CHECK(back.model == "m");
  CHECK(back.completion_tokens == 2);
  CHECK(back.cost == 0.5);
  CHECK(reply_of("plain").text == "plain");
}

// The reply that pieces make, fed byte by byte, and the text that was new each time.
std::pair<std::string, Json> streamed(const Model& model, std::string_view body) {
  ChatStream stream(model);
  std::string shown;
  for (const char byte : body) shown += stream.feed({&byte, 1});
  const auto reply = stream.reply();
  REQUIRE(reply);
  return {shown, *reply};
}

TEST_CASE("Streams: pieces of every service become the reply that it gives at once") {
  const auto check = [](Service service, std::string_view body) {
    const Model asked = model(service, "m");
    const auto [shown, reply] = streamed(asked, body);
    CHECK(shown == "Hel\nlo");
    CHECK(*chat_answer(asked, reply) == "Hel\nlo");
    CHECK(usage_of(asked, reply).prompt_tokens == 7);
    CHECK(usage_of(asked, reply).completion_tokens == 2);
  };
  check(Service::kOpenAi,
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n"
        "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\\n\"}}],\"usage\":null}\n\n: a comment\n\n"
        "data: {\"choices\":[{\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\"}]}\n\n"
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n");
  check(Service::kAnthropic,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":7}}}\n\n"
        "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hel\\n\"}}\n\n"
        "data: {\"type\":\"ping\"}\n\n"
        "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"lo\"}}\n\n"
        "data: "
        "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n");
  check(Service::kGemini,
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hel\\n\"}]}}]}\n\n"
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"lo\"}]}}],\"usageMetadata\":"
        "{\"promptTokenCount\":7,\"candidatesTokenCount\":2}}\n\n");
  check(Service::kCohere,
        "data: {\"type\":\"content-delta\",\"delta\":{\"message\":{\"content\":{\"text\":\"Hel\\n\"}}}}\n\n"
        "data: {\"type\":\"content-delta\",\"delta\":{\"message\":{\"content\":{\"text\":\"lo\"}}}}\n\n"
        "data: "
        "{\"type\":\"message-end\",\"delta\":{\"usage\":{\"tokens\":{\"input_tokens\":7,\"output_tokens\":2}}}}\n\n");
  check(Service::kOllama,
        "{\"message\":{\"content\":\"Hel\\n\"},\"done\":false}\n{\"message\":{\"content\":\"lo\"},\"done\":false}\n"
        "{\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":7,\"eval_count\":2}");
}

TEST_CASE("Streams: what is asked for, and what breaks off") {
  Request request = chat_request(model(Service::kOpenAi, "gpt"), messages(), Json());
  CHECK(ask_for_stream(model(Service::kOpenAi, "gpt"), request));
  CHECK(request.body["stream"] == true);
  CHECK(request.body["stream_options"]["include_usage"] == true);
  request = chat_request(model(Service::kGemini, "gemini"), messages(), Json());
  CHECK(ask_for_stream(model(Service::kGemini, "gemini"), request));
  CHECK(request.url.ends_with(":streamGenerateContent?alt=sse"));
  request = chat_request(model(Service::kOllama, "llama"), messages(), Json());
  CHECK(ask_for_stream(model(Service::kOllama, "llama"), request));
  CHECK(request.body["stream"] == true);
  request = chat_request(model(Service::kBedrock, "claude"), messages(), Json());
  CHECK_FALSE(ask_for_stream(model(Service::kBedrock, "claude"), request));
  const Model gpt = model(Service::kOpenAi, "gpt");
  ChatStream broken(gpt);
  CHECK(broken.feed("data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n") == "Hel");
  CHECK(broken.feed("data: {\"error\":{\"message\":\"overloaded\"}}\n\n").empty());
  CHECK(broken.reply().error().message.find("overloaded") != std::string::npos);
  ChatStream silent(gpt);
  CHECK_FALSE(silent.reply());
}

}  // namespace
}  // namespace thalweg::llm
