#include "llm/functions/documents.h"

#include <nlohmann/json.hpp>

#include "connectors/setting_reader.h"
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

using SourceNames = std::vector<std::string>;

// metadata, with_status and, of stores of whole documents, failed, source: lists side by side.
Result<Value> inputs(const SourceNames& sources, Args args) {
  Json out = Json::array();
  const auto& metadata = args[0].as_tuple();
  const bool with_status = args[1].tag() == Value::Tag::kBool && args[1].as_bool();
  for (std::size_t i = 0; i < metadata.size(); ++i) {
    Json one = parsed(metadata[i]);
    if (with_status) {
      if (!one.is_object()) one = Json::object();
      // What is asked about is in the index: both are of the same commit.
      const bool failed = args.size() > 2 && args[2].as_tuple()[i].as_int() != 0;
      one["_indexing_status"] = failed ? "FAILED" : "INDEXED";
      if (args.size() > 3 && !sources.empty())
        one["_source"] = sources.at(static_cast<std::size_t>(args[3].as_tuple()[i].as_int()));
    }
    out.push_back(std::move(one));
  }
  return dumped(out);
}

// file_count, last_modified, last_indexed; then of each source: there, failed, deleted.
Result<Value> statistics(const SourceNames& sources, Args args) {
  const auto number = [&](std::size_t i) {
    return args[i].tag() == Value::Tag::kInt ? args[i].as_int() : std::int64_t{0};
  };
  const auto number_or_null = [&](std::size_t i) { return args[i].is_none() ? Json() : Json(number(i)); };
  Json out;
  out["file_count"] = number(0);
  out["last_modified"] = number_or_null(1);
  out["last_indexed"] = number_or_null(2);
  if (sources.empty()) return dumped(out);
  out["sources"] = Json::array();
  for (std::size_t source = 0; source < sources.size(); ++source) {
    const std::int64_t there = number(3 + 3 * source), failed = number(4 + 3 * source),
                       deleted = number(5 + 3 * source);
    out["sources"].push_back({{"source", sources[source]},
                              {"seen", there + deleted},
                              {"indexed", there - failed},
                              {"failed", failed},
                              {"deleted", deleted}});
  }
  return dumped(out);
}

}  // namespace

plan::UserFunctionPtr make_document_function(const plan::FunctionSpec& spec, const std::string& text) {
  if (spec.kind == "llm.merge_metadata") return value_function(text, merge_metadata);
  if (spec.kind == "llm.filters") return value_function(text, filters);
  if (spec.kind == "llm.documents") return value_function(text, documents);
  const bool lists = spec.kind == "llm.inputs";
  if (!lists && spec.kind != "llm.statistics") return nullptr;
  return value_function(text, [lists, sources = SettingReader(spec.options).texts("sources")](Args args) {
    return lists ? inputs(sources, args) : statistics(sources, args);
  });
}

}  // namespace thalweg::llm
