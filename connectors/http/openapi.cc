#include "connectors/http/openapi.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "connectors/formats/encode.h"
#include "connectors/http/problem.h"

namespace thalweg::web {
namespace {

using Json = nlohmann::ordered_json;

Json parsed(const std::string& text) {
  Json out = Json::parse(text, nullptr, false);
  return out.is_discarded() ? Json() : out;
}

Json json_schema_of(const Type& type) {
  switch (type.kind()) {
    case Kind::kInt: return {{"type", "number"}, {"format", "int64"}};
    case Kind::kFloat: return {{"type", "number"}, {"format", "double"}};
    case Kind::kBool: return {{"type", "boolean"}};
    case Kind::kStr:
    case Kind::kUuid:
    case Kind::kPointer:
    case Kind::kDuration: return {{"type", "string"}};
    case Kind::kBytes: return {{"type", "string"}, {"format", "byte"}};
    case Kind::kDateTimeNaive:
    case Kind::kDateTimeUtc: return {{"type", "string"}, {"format", "date-time"}};
    case Kind::kList: return {{"type", "array"}, {"items", json_schema_of(type.element())}};
    case Kind::kTuple:
    case Kind::kArray: return {{"type", "array"}, {"items", Json::object()}};
    case Kind::kJson: return {{"type", "object"}, {"additionalProperties", true}};
    case Kind::kNone:
    case Kind::kAny: break;
  }
  return Json::object();
}

const std::string& name_of(const plan::SourceField& field) {
  return field.external_name.empty() ? field.name : field.external_name;
}

Json property_of(const plan::SourceField& field) {
  Json out = json_schema_of(field.type);
  if (field.type.optional()) out["nullable"] = true;
  if (field.default_value) {
    std::string text;
    append_json_value(*field.default_value, text);
    out["default"] = parsed(text);
  }
  return out;
}

bool is_required(const plan::SourceField& field) { return !field.default_value && !field.type.admits_none(); }

Json body_of(const Documentation& doc) {
  if (doc.raw_body) return {{"required", true}, {"content", {{"text/plain", {{"schema", {{"type", "string"}}}}}}}};
  Json properties = Json::object();
  Json required = Json::array();
  for (const plan::SourceField& field : doc.fields) {
    properties[name_of(field)] = property_of(field);
    if (is_required(field)) required.push_back(name_of(field));
  }
  Json schema = {{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
  if (!required.empty()) schema["required"] = required;
  Json content = {{"schema", schema}};
  for (const Example& example : doc.examples)
    content["examples"][example.id] = {{"summary", example.summary}, {"value", parsed(example.values)}};
  return {{"required", true}, {"content", {{"application/json", content}}}};
}

Json parameters_of(const Documentation& doc) {
  Json out = Json::array();
  for (const plan::SourceField& field : doc.fields)
    out.push_back(
        {{"in", "query"}, {"name", name_of(field)}, {"required", is_required(field)}, {"schema", property_of(field)}});
  return out;
}

Json operation_of(const RouteSpec& route, const std::string& method) {
  const Documentation& doc = route.documentation;
  Json out = Json::object();
  if (!doc.summary.empty()) out["summary"] = doc.summary;
  if (!doc.description.empty()) out["description"] = doc.description;
  if (!doc.tags.empty()) out["tags"] = doc.tags;
  if (method == "GET" || method == "HEAD" || method == "DELETE")
    out["parameters"] = parameters_of(doc);
  else
    out["requestBody"] = body_of(doc);
  out["responses"] = {{"200", {{"description", "OK"}}},
                      {"400", {{"description", "the request does not fit the schema"}}},
                      {"503", {{"description", "the pipeline does not run, or is too busy"}}},
                      {"504", {{"description", "there was no answer in time"}}}};
  if (!route.access.open()) out["responses"]["401"] = {{"description", "an API key or a password is asked for"}};
  return out;
}

// Texts in quotes as JSON has them are texts in YAML, too.
void append_yaml(const Json& value, std::size_t depth, std::string& out) {
  const auto indent = [&] { out.append(2 * depth, ' '); };
  if (value.is_object() && !value.empty()) {
    for (const auto& [key, item] : value.items()) {
      indent();
      out += Json(key).dump() + ":";
      const bool nested = (item.is_object() || item.is_array()) && !item.empty();
      out += nested ? "\n" : " ";
      append_yaml(item, depth + 1, out);
    }
  } else if (value.is_array() && !value.empty()) {
    for (const Json& item : value) {
      indent();
      const bool nested = (item.is_object() || item.is_array()) && !item.empty();
      out += nested ? "-\n" : "- ";
      append_yaml(item, depth + 1, out);
    }
  } else {
    out += value.dump() + "\n";
  }
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

net::HttpResponse describe_routes(const std::vector<const RouteSpec*>& routes, const net::HttpRequest& request,
                                  const std::vector<std::pair<std::string, std::string>>& query) {
  std::string format = "yaml";
  for (const auto& [name, value] : query)
    if (name == "format") format = value;
  if (format != "yaml" && format != "json") return field_problem("`format` is `yaml` or `json`", "format");
  const std::string* host = request.headers.find("Host");
  const std::string* forwarded = request.headers.find("X-Forwarded-Proto");
  const bool tls = !routes.front()->place.tls_cert.empty();
  const std::string scheme = forwarded != nullptr && (*forwarded == "http" || *forwarded == "https") ? *forwarded
                             : tls                                                                   ? "https"
                                                                                                     : "http";
  Json paths = Json::object();
  for (const RouteSpec* route : routes) {
    const std::string path = route->path.empty() ? "/" : route->path;
    const std::vector<std::string>& shown = route->documentation.methods;
    for (const std::string& method : route->methods)
      if (shown.empty() || std::ranges::find(shown, method) != shown.end())
        paths[path][lower(method)] = operation_of(*route, method);
  }
  Json document = {{"openapi", "3.0.3"},
                   {"info", {{"title", "Routes of a Thalweg pipeline"}, {"version", "1.0.0"}}},
                   {"servers", {{{"url", scheme + "://" + (host != nullptr ? *host : "localhost")}}}},
                   {"paths", paths}};
  if (format == "json") return json_answer(200, document.dump(2) + "\n");
  net::HttpResponse out = json_answer(200, {});
  out.headers.set("Content-Type", "application/yaml");
  append_yaml(document, 0, out.body);
  return out;
}

}  // namespace thalweg::web
