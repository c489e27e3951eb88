#include "connectors/kafka/schema_registry.h"

#include <fmt/format.h>

#include "config/decode.h"
#include "connectors/formats/encode.h"
#include "connectors/formats/json_object.h"
#include "connectors/formats/json_value.h"
#include "connectors/formats/text_value.h"
#include "engine/types/from_text.h"

namespace thalweg::kafka {

namespace {

constexpr std::string_view kMedia = "application/vnd.schemaregistry.v1+json";

std::string text_member(const json::JsonObject& object, std::string_view name) {
  const std::string_view raw = object.find(name);
  const auto value = raw.empty() ? std::nullopt : json::text_to_value(Type(thalweg::Kind::kStr), raw);
  return value ? std::string(value->as_text()) : std::string();
}

// What the registry says of a request that it does not grant.
std::string reason_of(const net::HttpResponse& response) {
  if (const auto object = json::JsonObject::parse(response.body))
    if (std::string message = text_member(*object, "message"); !message.empty()) return message;
  return fmt::format("status {}", response.status);
}

std::string json_type(const Type& type) {
  switch (type.kind()) {
    case thalweg::Kind::kBool: return R"("boolean")";
    case thalweg::Kind::kInt:
    case thalweg::Kind::kDuration: return R"("integer")";
    case thalweg::Kind::kFloat: return R"("number")";
    case thalweg::Kind::kTuple:
    case thalweg::Kind::kList: return R"("array")";
    case thalweg::Kind::kArray: return R"("object")";
    case thalweg::Kind::kJson:
    case thalweg::Kind::kAny: return {};
    case thalweg::Kind::kNone: return R"("null")";
    case thalweg::Kind::kStr:
    case thalweg::Kind::kBytes:
    case thalweg::Kind::kPointer:
    case thalweg::Kind::kDateTimeNaive:
    case thalweg::Kind::kDateTimeUtc:
    case thalweg::Kind::kUuid: return R"("string")";
  }
  return {};
}

// `{name: value}`, or a list of `{key: name, value: value}`.
Result<void> read_headers(const Setting& settings, RegistrySettings& out) {
  const Setting* given = settings.find("headers");
  if (given == nullptr || given->is_null()) return {};
  if (const Setting::Map* map = given->as_map())
    for (const auto& [name, value] : *map) out.headers.emplace_back(name, config::as_text(value).value_or(""));
  if (given->as_map() != nullptr) return {};
  if (given->as_list() == nullptr)
    return fail(Code::kInvalidPipeline, "`headers` is `{name: value}`, or a list of `{key: name, value: value}`",
                given->span);
  for (const Setting& entry : *given->as_list()) {
    const SettingReader pair(entry);
    if (pair.text("key").empty())
      return fail(Code::kInvalidPipeline, "`headers` is `{name: value}`, or a list of `{key: name, value: value}`",
                  entry.span);
    out.headers.emplace_back(pair.text("key"), pair.text("value"));
  }
  return {};
}

}  // namespace

config::OptionSpec registry_option() {
  using config::OptionType;
  return {
      .name = "schema_registry_settings",
      .type = OptionType::kMap,
      .doc = "a schema registry with Confluent's interface; messages begin with the number of their schema",
      .fields = {{.name = "urls",
                  .type = OptionType::kTextList,
                  .required = true,
                  .doc = "where it is; the first that answers is used",
                  .aliases = {"url"}},
                 {.name = "token_authorization", .doc = "a bearer token", .secret = true},
                 {.name = "username", .doc = "with `password`, instead of a token"},
                 {.name = "password", .doc = "with `username`", .secret = true},
                 {.name = "headers", .type = OptionType::kAny, .doc = "further headers of requests: `{name: value}`"},
                 {.name = "proxy", .doc = "not supported"},
                 {.name = "timeout", .type = OptionType::kDuration, .fallback = "10s", .doc = "for one request"}},
      .example = "!io.kafka.SchemaRegistrySettings {urls: [\"http://localhost:8081\"]}"};
}

Result<std::optional<RegistrySettings>> RegistrySettings::from(const SettingReader& args) {
  const Setting* map = args.map("schema_registry_settings");
  if (map == nullptr) return std::optional<RegistrySettings>{};
  const SettingReader read(*map);
  RegistrySettings out;
  out.urls = read.texts("urls");
  if (out.urls.empty()) return fail(Code::kInvalidPipeline, "`schema_registry_settings` needs `urls`", map->span);
  for (const std::string& url : out.urls)
    if (auto parsed = net::parse_url(url); !parsed) return fail(std::move(parsed).error().at(read.span("urls")));
  if (read.has("proxy")) return fail(Code::kInvalidPipeline, "`proxy` is not supported", read.span("proxy"));
  const std::string token = read.text("token_authorization");
  const std::string user = read.text("username");
  if (!token.empty() && !user.empty())
    return fail(Code::kInvalidPipeline, "a schema registry takes a token, or a user with a password, not both",
                map->span);
  if (!token.empty()) out.authorization = "Bearer " + token;
  if (!user.empty()) {
    out.authorization = "Basic ";
    append_base64(user + ":" + read.text("password"), out.authorization);
  }
  TRY(read_headers(*map, out));
  out.timeout_ms = read.integer("timeout", 10'000'000'000) / 1'000'000;
  return std::optional(std::move(out));
}

std::optional<std::uint32_t> framed_schema(std::string_view message) {
  if (message.size() < kFrameBytes || message[0] != '\0') return std::nullopt;
  std::uint32_t id = 0;
  for (std::size_t i = 1; i < kFrameBytes; ++i) id = id << 8 | static_cast<unsigned char>(message[i]);
  return id;
}

void append_frame(std::uint32_t schema, std::string& out) {
  out += '\0';
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(schema >> shift & 0xFF);
}

Result<net::HttpResponse> SchemaRegistry::request(const std::string& method, const std::string& target,
                                                  const std::string& body) {
  std::optional<Error> last;
  for (const std::string& base : settings_.urls) {
    net::Url url = TRY(net::parse_url(base));
    const bool slash = url.target.ends_with('/');
    if (slash) url.target.pop_back();
    url.target += target;
    net::HttpRequest request;
    request.method = method;
    request.body = body;
    request.headers.add("Accept", std::string(kMedia) + ", application/json");
    if (!body.empty()) request.headers.add("Content-Type", std::string(kMedia));
    if (!settings_.authorization.empty()) request.headers.add("Authorization", settings_.authorization);
    for (const auto& [name, value] : settings_.headers) request.headers.add(name, value);
    auto response = pool_.request(url, std::move(request), settings_.timeout_ms);
    constexpr unsigned kServerError = 500;
    if (response && response->status < kServerError) return response;
    last = response ? Error{Code::kUnavailable, reason_of(*response), {}, {}} : std::move(response).error();
    last->message = fmt::format("the schema registry {} does not answer: {}", base, last->message);
    last->code = Code::kUnavailable;
  }
  return fail(std::move(*last));
}

Result<SchemaRegistry::Schema> SchemaRegistry::schema(std::uint32_t id) {
  const net::HttpResponse response = TRY(request("GET", fmt::format("/schemas/ids/{}", id), ""));
  if (response.status == 404)
    return fail(Code::kNotFound, fmt::format("the schema registry has no schema of the number {}", id));
  const auto object = json::JsonObject::parse(response.body);
  if (response.status != 200 || !object || object->find("schema").empty())
    return fail(Code::kUnavailable,
                fmt::format("the schema registry does not give schema {}: {}", id, reason_of(response)));
  Schema out{text_member(*object, "schemaType"), text_member(*object, "schema")};
  if (out.type.empty()) out.type = "AVRO";
  return out;
}

Result<std::uint32_t> SchemaRegistry::add(const std::string& subject, const Schema& schema) {
  std::string body = R"({"schemaType":)";
  append_json_string(schema.type, body);
  body += R"(,"schema":)";
  append_json_string(schema.text, body);
  body += '}';
  const net::HttpResponse response =
      TRY(request("POST", fmt::format("/subjects/{}/versions", net::percent_encode(subject)), body));
  const auto object = json::JsonObject::parse(response.body);
  const auto id = object ? int_from_text(object->find("id")) : std::nullopt;
  if (response.status != 200 || !id || *id < 0 || *id > UINT32_MAX)
    return fail(Code::kBadData,
                fmt::format("the schema registry does not take the schema of `{}`: {}", subject, reason_of(response)));
  return static_cast<std::uint32_t>(*id);
}

AvroSchemas::Entry AvroSchemas::find(std::uint32_t id) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(id);
  return found == entries_.end() ? Entry{nullptr, fmt::format("schema {} is not known", id)} : found->second;
}

Result<void> AvroSchemas::fetch(std::uint32_t id) {
  {
    const std::lock_guard lock(mutex_);
    if (entries_.contains(id)) return {};
  }
  Entry entry;
  auto found = registry_.schema(id);
  if (!found && found.error().code == Code::kUnavailable) return fail(std::move(found).error());
  if (!found) {
    entry.problem = found.error().message;
  } else if (found->type != "AVRO") {
    entry.problem = fmt::format("schema {} is not one of Avro, but {}", id, found->type);
  } else {
    auto schema = AvroSchema::parse(found->text);
    auto reader = schema ? AvroReader::make(layout_, *schema) : fail(std::move(schema).error());
    if (reader)
      entry.reader = std::move(*reader);
    else
      entry.problem = reader.error().message;
  }
  const std::lock_guard lock(mutex_);
  entries_.emplace(id, std::move(entry));
  return {};
}

std::string json_schema_of(const thalweg::Schema& schema, const std::string& title, bool with_change) {
  std::string out = R"({"$schema":"http://json-schema.org/draft-07/schema#","title":)";
  append_json_string(title, out);
  out += R"(,"type":"object","properties":{)";
  std::string required;
  const auto add = [&](const std::string& name, const Type& type) {
    if (!required.empty()) out += ',', required += ',';
    append_json_string(name, out);
    append_json_string(name, required);
    const std::string one = json_type(type.without_optional());
    out += one.empty()       ? ":{}"
           : type.optional() ? fmt::format(R"(:{{"type":[{},"null"]}})", one)
                             : fmt::format(R"(:{{"type":{}}})", one);
  };
  for (const auto& [name, type] : schema.columns) add(name, type);
  if (with_change) {
    add("diff", Type(thalweg::Kind::kInt));
    add("time", Type(thalweg::Kind::kInt));
  }
  return out + "},\"required\":[" + required + "]}";
}

}  // namespace thalweg::kafka
