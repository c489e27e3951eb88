#include "llm/functions/documents.h"

#include <nlohmann/json.hpp>

#include "llm/filter/jmespath.h"
#include "llm/functions/value_function.h"

namespace thalweg::llm {

namespace {

using Json = nlohmann::ordered_json;
using Args = std::span<const Value>;

Json parsed(const Value& value) {
  if (value.tag() != Value::Tag::kJson) return nullptr;
  Json out = Json::parse(value.as_text(), nullptr, false);
  return out.is_discarded() ? Json(nullptr) : out;
}

Value dumped(const Json& json) { return Value::json(json.dump(-1, ' ', false, Json::error_handler_t::replace)); }

std::string text_or_empty(const Value& value) { return value.is_none() ? std::string() : value.as_text(); }

Result<Value> merge_metadata(Args args) {
  Json out = parsed(args[0]);
  if (!out.is_object()) out = Json::object();
  const Json over = parsed(args[1]);
  if (over.is_object()) out.update(over);
  return dumped(out);
}

Result<Value> filters(Args args) {
  std::string merged = TRY(merge_filters(text_or_empty(args[0]), text_or_empty(args[1])));
  return merged.empty() ? Value::none() : Value::str(std::move(merged));
}

Result<Value> documents(Args args) {
  const auto& texts = args[0].as_tuple();
  const auto& metadata = args[1].as_tuple();
  const auto& scores = args[2].as_tuple();
  Json out = Json::array();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    Json one;
    one["text"] = texts[i].as_text();
    one["metadata"] = parsed(metadata[i]);
    one["dist"] = -scores[i].as_float();
    out.push_back(std::move(one));
  }
  return dumped(out);
}

Result<Value> inputs(Args args) {
  Json out = Json::array();
  for (const Value& metadata : args[0].as_tuple()) {
    Json one = parsed(metadata);
    // What is asked about is in the index: both are of the same commit.
    if (args[1].tag() == Value::Tag::kBool && args[1].as_bool()) {
      if (!one.is_object()) one = Json::object();
      one["_indexing_status"] = "INDEXED";
    }
    out.push_back(std::move(one));
  }
  return dumped(out);
}

}  // namespace

plan::UserFunctionPtr make_document_function(const plan::FunctionSpec& spec, const std::string& text) {
  if (spec.kind == "llm.merge_metadata") return value_function(text, merge_metadata);
  if (spec.kind == "llm.filters") return value_function(text, filters);
  if (spec.kind == "llm.documents") return value_function(text, documents);
  if (spec.kind == "llm.inputs") return value_function(text, inputs);
  return nullptr;
}

}  // namespace thalweg::llm
