// Arguments that tags of several families of models take.
#include "pipeline_lang/llm/model_family.h"

namespace thalweg::lang {

ArgSpec with_fallback(std::string name, ArgKind kind, std::string fallback, std::string doc) {
  return {.name = std::move(name), .kind = kind, .fallback = std::move(fallback), .doc = std::move(doc)};
}

std::vector<ArgSpec> served_model_args(const ModelRow& row) {
  std::vector<ArgSpec> out;
  out.push_back(with_fallback("model", ArgKind::kText, std::string(row.model), "The model's name."));
  out.back().aliases = {"model_name", "model_id"};
  out.push_back(with_fallback("api_key", ArgKind::kText, row.key.empty() ? "" : "the variable " + std::string(row.key),
                              "The key."));
  out.back().secret = true;
  out.push_back(with_fallback("base_url", ArgKind::kText, row.url.empty() ? "" : "the variable " + std::string(row.url),
                              "Where the model is served."));
  out.back().aliases = {"api_base", "endpoint", "azure_endpoint"};
  out.push_back(with_fallback("capacity", ArgKind::kInt, "16", "Calls under way at once."));
  out.push_back(with_fallback("timeout", ArgKind::kDurationOrNumber, "60", "Seconds, or a duration, of one attempt."));
  out.push_back(with_fallback("max_retries", ArgKind::kInt, "3", "Accepted; `retry_strategy` says more."));
  out.push_back(with_fallback("retry_strategy", ArgKind::kComponent, "exponential", "How often and when."));
  out.push_back(with_fallback("cache_strategy", ArgKind::kAny, "none", "Whether answers to equal questions are kept."));
  out.push_back(with_fallback("headers", ArgKind::kLiteral, "", "Further header fields."));
  out.back().secret = true;
  out.push_back(with_fallback("requests_per_minute", ArgKind::kInt, "", "Who comes too early waits."));
  out.push_back(with_fallback("tokens_per_minute", ArgKind::kInt, "", "Who comes too early waits."));
  return out;
}

void add_custom_args(std::vector<ArgSpec>& out) {
  out.push_back(with_fallback("template", ArgKind::kLiteral, "",
                              "The body of a request: `{prompt}`, `{messages}`, `{text}`, `{texts}` and `{model}` are "
                              "put into it."));
  out.push_back(with_fallback("answer", ArgKind::kText, "", "A JSON pointer to the answer in the reply."));
}

void add_bedrock_args(std::vector<ArgSpec>& out) {
  for (const char* name : {"region_name", "aws_access_key_id", "aws_secret_access_key", "aws_session_token"}) {
    out.push_back(with_fallback(name, ArgKind::kText, "a variable of AWS's", "Whose requests these are."));
    out.back().secret =
        std::string_view(name).find("secret") != std::string_view::npos || std::string_view(name).ends_with("token");
  }
}

}  // namespace thalweg::lang
