// /openapi.json from the route table, so that it cannot say anything else than the handlers do.
#include <algorithm>

#include "daemon/json_writer.h"
#include "daemon/rest/route.h"
#include "daemon/version.h"

namespace thalweg::daemon {
namespace {

void write_path_parameters(std::string_view path, JsonWriter& json) {
  for (std::size_t at = path.find('{'); at != std::string_view::npos; at = path.find('{', at + 1)) {
    std::string_view name = path.substr(at + 1, path.find('}', at) - at - 1);
    json.begin_object().field("name", name).field("in", "path").field("required", true);
    json.field("description", name == "p"   ? "name of a pipeline"
                              : name == "t" ? "name of an exported table"
                                            : "name of a file of the dashboard");
    json.key("schema").begin_object().field("type", "string").field("minLength", std::int64_t{1});
    json.end_object().end_object();
  }
}

void write_query_parameter(const QueryParameter& parameter, JsonWriter& json) {
  bool prefix = parameter.name.ends_with('.');
  std::string name(parameter.name);
  json.begin_object().field("name", prefix ? name + "{column}" : name).field("in", "query").field("required", false);
  json.field("description", parameter.doc);
  std::string schema = "{\"type\":\"" + std::string(parameter.type) + "\"";
  if (!parameter.schema.empty()) schema += "," + std::string(parameter.schema);
  json.key("schema").raw(schema + "}");
  if (!parameter.example.empty()) json.field("example", parameter.example);
  json.end_object();
}

void write_responses(const Route& route, JsonWriter& json) {
  json.key("responses").begin_object();
  json.key("200").begin_object().field("description", "OK");
  json.key("content").begin_object().key(route.content).begin_object().end_object().end_object().end_object();
  json.key("default").begin_object().field("description", "A problem (RFC 9457)");
  json.key("content").begin_object().key("application/problem+json").begin_object();
  json.key("schema").begin_object().field("$ref", "#/components/schemas/Problem").end_object();
  json.end_object().end_object().end_object();
  json.end_object();
}

void write_operation(const Route& route, JsonWriter& json) {
  std::string method(route.method);
  std::transform(method.begin(), method.end(), method.begin(), [](char c) { return static_cast<char>(c | 0x20); });
  json.key(method).begin_object().field("operationId", route.id).field("summary", route.summary);
  json.key("parameters").begin_array();
  write_path_parameters(route.path, json);
  for (const QueryParameter& parameter : route.query) write_query_parameter(parameter, json);
  json.end_array();
  if (!route.body.empty()) {
    json.key("requestBody").begin_object().field("required", true).field("description", route.body_doc);
    json.key("content").begin_object().key(route.body).begin_object();
    if (!route.body_schema.empty()) json.key("schema").raw(route.body_schema);
    json.end_object().end_object().end_object();
  }
  write_responses(route, json);
  json.end_object();
}

void write_problem_schema(JsonWriter& json) {
  json.key("components").begin_object().key("schemas").begin_object().key("Problem").begin_object();
  json.field("type", "object").key("properties").begin_object();
  for (const char* name : {"type", "title", "code", "detail", "hint"})
    json.key(name).begin_object().field("type", "string").end_object();
  for (const char* name : {"status", "line", "column"})
    json.key(name).begin_object().field("type", "integer").end_object();
  json.end_object().key("required").begin_array().text("status").text("code").text("detail").end_array();
  json.end_object().end_object().end_object();
}

}  // namespace

std::string openapi_document(const std::vector<Route>& routes) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("openapi", "3.1.0");
  json.key("info").begin_object().field("title", "Thalweg").field("version", version_text()).end_object();
  json.key("paths").begin_object();
  std::vector<std::string_view> done;
  for (const Route& route : routes) {
    if (std::find(done.begin(), done.end(), route.path) != done.end()) continue;
    done.push_back(route.path);
    json.key(route.path).begin_object();
    for (const Route& other : routes)
      if (other.path == route.path) write_operation(other, json);
    json.end_object();
  }
  json.end_object();
  write_problem_schema(json);
  json.end_object();
  return out + "\n";
}

}  // namespace thalweg::daemon
