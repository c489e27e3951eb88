#include "connectors/http/server_options.h"

#include <algorithm>
#include <optional>

#include "connectors/setting_reader.h"

namespace thalweg::web {
namespace {

using config::OptionSpec;
using config::OptionType;

OptionSpec host_option() {
  return {.name = "host", .type = OptionType::kText, .doc = "where to listen; 127.0.0.1 if only a port is given"};
}
OptionSpec port_option() {
  return {.name = "port",
          .type = OptionType::kInt,
          .doc = "without one the route is served below /p/{pipeline}/ of the daemon's listener",
          .min = 1,
          .max = 65535};
}
OptionSpec auth_option() {
  return {.name = "auth",
          .type = OptionType::kMap,
          .doc = "who may ask: API keys (bearer tokens, or in `X-API-Key`) and users",
          .fields = {{.name = "api_keys", .type = OptionType::kTextList, .doc = "keys", .secret = true},
                     {.name = "basic",
                      .type = OptionType::kAny,
                      .doc = "user: password, or a list of {user, password}",
                      .secret = true}},
          .example = "{api_keys: [$KEY]}"};
}
OptionSpec tls_option() {
  return {
      .name = "tls",
      .type = OptionType::kMap,
      .doc = "speak TLS only",
      .fields = {{.name = "cert", .type = OptionType::kPath, .required = true, .doc = "certificate chain (PEM)"},
                 {.name = "key", .type = OptionType::kPath, .doc = "private key (PEM)"},
                 {.name = "client_ca", .type = OptionType::kPath, .doc = "authorities of clients that may connect"}}};
}

// Of the connector itself, else of its webserver.
const Setting* find(const Setting& args, std::string_view name) {
  const Setting* own = args.find(name);
  if (own != nullptr && !own->is_null()) return own;
  const Setting* webserver = args.find("webserver");
  const Setting* shared = webserver != nullptr ? webserver->find(name) : nullptr;
  return shared != nullptr && !shared->is_null() ? shared : nullptr;
}

bool flag_of(const Setting& args, std::string_view name, bool fallback) {
  const Setting* found = find(args, name);
  return found != nullptr && found->as_bool() != nullptr ? *found->as_bool() : fallback;
}

std::string scalar_text(const Setting& value) {
  if (value.as_text() != nullptr) return *value.as_text();
  return value.spelling;
}

// A JSON object of an example's values, which are data.
std::string json_of(const Setting& value);
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + '"';
}
std::string json_of(const Setting& value) {
  if (const Setting::Map* map = value.as_map()) {
    std::string out = "{";
    for (const auto& [name, item] : *map) out += (out.size() > 1 ? "," : "") + quoted(name) + ":" + json_of(item);
    return out + "}";
  }
  if (const Setting::List* list = value.as_list()) {
    std::string out = "[";
    for (const Setting& item : *list) out += (out.size() > 1 ? "," : "") + json_of(item);
    return out + "]";
  }
  if (const bool* flag = value.as_bool()) return *flag ? "true" : "false";
  if (const std::int64_t* number = value.as_int()) return std::to_string(*number);
  if (const double* number = value.as_float()) return std::to_string(*number);
  return value.as_text() != nullptr ? quoted(*value.as_text()) : "null";
}

Documentation documentation_from(const Setting& args) {
  Documentation out;
  const Setting* given = args.find("documentation");
  if (given == nullptr || given->as_map() == nullptr) return out;
  const SettingReader read(*given);
  out.summary = read.text("summary");
  out.description = read.text("description");
  out.tags = read.texts("tags");
  out.methods = read.texts("method_types");
  if (const Setting* examples = given->find("examples"); examples != nullptr && examples->as_list() != nullptr)
    for (const Setting& one : *examples->as_list()) {
      const SettingReader example(one);
      const Setting* values = one.find("values");
      out.examples.push_back(
          {example.text("id"), example.text("summary"), values != nullptr ? json_of(*values) : std::string("{}")});
    }
  return out;
}

}  // namespace

std::vector<OptionSpec> server_options() {
  return {
      {.name = "webserver",
       .type = OptionType::kMap,
       .doc = "a listener that several routes share: `!io.http.PathwayWebserver {host, port, …}`",
       .fields = {host_option(),
                  port_option(),
                  auth_option(),
                  tls_option(),
                  {.name = "with_schema_endpoint", .type = OptionType::kBool, .doc = "describe the routes at /_schema"},
                  {.name = "with_cors", .type = OptionType::kBool, .doc = "pages of other sites may ask"}},
       .example = "!io.http.PathwayWebserver {host: 127.0.0.1, port: 8011}"},
      host_option(),
      port_option(),
      {.name = "route",
       .type = OptionType::kText,
       .fallback = "/",
       .doc = "the path; a slash at its end does not count"},
      auth_option(),
      tls_option(),
      {.name = "with_cors", .type = OptionType::kBool, .doc = "pages of other sites may ask"},
      {.name = "documentation",
       .type = OptionType::kMap,
       .doc = "for /_schema: `!io.http.EndpointDocumentation {summary, description, tags, method_types, examples}`",
       .fields = {{.name = "summary", .doc = "one line"},
                  {.name = "description", .doc = "more"},
                  {.name = "tags", .type = OptionType::kTextList, .doc = "groups"},
                  {.name = "method_types", .type = OptionType::kTextList, .doc = "methods that are shown"},
                  {.name = "examples", .type = OptionType::kList, .doc = "a list of {id, summary, values}"}}}};
}

Result<void> check_server(const Setting& args) {
  const SettingReader read(args);
  for (const char* name : {"host", "port", "tls"})
    if (read.has("webserver") && read.has(name))
      return fail(Code::kInvalidPipeline, "`" + std::string(name) + "` belongs to the `webserver` that is given",
                  read.span(name));
  if (find(args, "host") != nullptr && find(args, "port") == nullptr)
    return fail(Code::kInvalidPipeline, "`host` needs a `port`", find(args, "host")->span);
  const std::string route = read.text("route", "/");
  if (!route.starts_with('/')) return fail(Code::kInvalidPipeline, "`route` begins with a slash", read.span("route"));
  if (route.find_first_of("?# ") != std::string::npos)
    return fail(Code::kInvalidPipeline, "`route` is a path: no blank, `?` or `#`", read.span("route"));
  if (find(args, "port") == nullptr && find(args, "tls") != nullptr)
    return fail(Code::kInvalidPipeline, "`tls` needs a `port`: the daemon's listener has its own",
                find(args, "tls")->span);
  if (const Setting* tls = find(args, "tls"); tls != nullptr && !SettingReader(*tls).has("cert"))
    return fail(Code::kInvalidPipeline, "`tls` of a listener needs `cert`", tls->span);
  if (const Setting* auth = find(args, "auth"); auth != nullptr && access_from(*auth).open())
    return fail(Code::kInvalidPipeline, "`auth` names neither an API key nor a user with a password", auth->span);
  return {};
}

Result<RouteSpec> route_from(const Setting& args, const ConnectorServices& services) {
  if (!services.web) return fail(Code::kInvalidArgument, "routes are served by `thalweg run` and `thalweg serve` only");
  TRY(check_server(args));
  RouteSpec out;
  out.pipeline = services.pipeline;
  out.run = services.run;
  if (const Setting* port = find(args, "port")) {
    out.place.port = static_cast<std::uint16_t>(*port->as_int());
    const Setting* host = find(args, "host");
    out.place.host = host != nullptr ? scalar_text(*host) : "127.0.0.1";
  } else if (!services.has_listener) {
    return fail(Code::kInvalidPipeline, "a route without `port` is served on the daemon's listener: use `--listen`",
                args.span);
  }
  if (const Setting* tls = find(args, "tls")) {
    const SettingReader read(*tls);
    out.place.tls_cert = read.text("cert");
    out.place.tls_key = read.text("key");
    out.place.client_ca = read.text("client_ca");
  }
  out.path = SettingReader(args).text("route", "/");
  while (out.path.size() > 1 && out.path.ends_with('/')) out.path.pop_back();
  if (const Setting* auth = find(args, "auth")) out.access = access_from(*auth);
  out.with_cors = flag_of(args, "with_cors", false);
  out.with_schema = flag_of(args, "with_schema_endpoint", true);
  out.documentation = documentation_from(args);
  return out;
}

Result<std::vector<std::string>> methods_from(const Setting& args, std::string_view fallback) {
  static const std::vector<std::string> kKnown = {"GET", "POST", "PUT", "PATCH", "DELETE"};
  const SettingReader read(args);
  std::vector<std::string> out = read.texts("methods");
  if (out.empty()) out.emplace_back(fallback);
  for (std::string& method : out) {
    std::ranges::transform(method, method.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    if (std::ranges::find(kKnown, method) == kKnown.end())
      return fail(Code::kInvalidPipeline, "`methods` are of GET, POST, PUT, PATCH and DELETE, not `" + method + "`",
                  read.span("methods"));
  }
  return out;
}

std::optional<OwnListener> own_listener(const std::string& connector, const Setting& args) {
  if (!connector.starts_with("io.http.") || find(args, "port") == nullptr) return std::nullopt;
  if (args.find("url") != nullptr) return std::nullopt;
  OwnListener out;
  out.port = static_cast<std::uint16_t>(find(args, "port")->as_int() != nullptr ? *find(args, "port")->as_int() : 0);
  if (const Setting* host = find(args, "host")) out.host = scalar_text(*host);
  const Setting* auth = find(args, "auth");
  const Setting* tls = find(args, "tls");
  out.has_auth = (auth != nullptr && !access_from(*auth).open()) ||
                 (tls != nullptr && tls->find("client_ca") != nullptr && !tls->find("client_ca")->is_null());
  return out;
}

}  // namespace thalweg::web
