#include "daemon/serve/config.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "config/decode.h"
#include "connectors/net/http_pool.h"
#include "daemon/rest/problem.h"
#include "pipeline_lang/scalar.h"
#include "pipeline_lang/yaml_reader.h"

namespace thalweg::daemon {
namespace {

using config::OptionSpec;
using config::OptionType;

constexpr std::uint64_t kConfigBytesMax = 1ULL << 20;

OptionSpec option(std::string name, OptionType type, std::string doc, std::string fallback = {}) {
  OptionSpec spec;
  spec.name = std::move(name);
  spec.type = type;
  spec.doc = std::move(doc);
  spec.fallback = std::move(fallback);
  return spec;
}

OptionSpec choice(std::string name, std::vector<std::string> choices, std::string doc) {
  OptionSpec spec = option(std::move(name), OptionType::kEnum, std::move(doc));
  spec.choices = std::move(choices);
  return spec;
}

OptionSpec number(std::string name, double min, double max, std::string doc) {
  OptionSpec spec = option(std::move(name), OptionType::kInt, std::move(doc));
  spec.min = min;
  spec.max = max;
  return spec;
}

OptionSpec section(std::string name, std::vector<OptionSpec> fields, std::string doc, bool open = false) {
  OptionSpec spec = option(std::move(name), OptionType::kMap, std::move(doc));
  spec.fields = std::move(fields);
  spec.open = open;
  return spec;
}

std::vector<OptionSpec> limit_specs() {
  return {
      number("body_bytes", 1024, 1e10, "largest body of a request"),
      number("header_bytes", 1024, 1e6, "largest head of a request"),
      number("connections", 1, 1e5, "open connections; more are answered 503"),
      option("query_time", OptionType::kDuration, "time of an ad-hoc query"),
      number("query_bytes", 1024, 1e12, "memory of an ad-hoc query"),
      number("queries", 1, 64, "ad-hoc queries at a time"),
      number("pipelines", 1, 1e5, "pipelines of this daemon"),
      option("reload_time", OptionType::kDuration, "how long a new plan may take to catch up beside the old one"),
      number("reload_bytes", 0, 1e12, "of what an output wrote, kept so that a reload can correct it"),
      option("stop_time", OptionType::kDuration, "how long pipelines may take to end in order"),
  };
}

const std::vector<OptionSpec>& token_specs() {
  static const std::vector<OptionSpec> kSpecs = [] {
    std::vector<OptionSpec> specs = {option("name", OptionType::kText, "for the log"),
                                     option("sha256", OptionType::kText, "of the token: printf %s TOKEN | sha256sum"),
                                     choice("role", {"ingest", "read", "operate", "admin"}, "what it may do")};
    for (OptionSpec& spec : specs) spec.required = true;
    return specs;
  }();
  return kSpecs;
}

const std::vector<OptionSpec>& basic_specs() {
  static const std::vector<OptionSpec> kSpecs = [] {
    std::vector<OptionSpec> specs = token_specs();
    specs[0].name = "user";
    specs[0].doc = "name of the user";
    specs[1].doc = "of the password";
    return specs;
  }();
  return kSpecs;
}

const std::vector<OptionSpec>& service_specs() {
  static const std::vector<OptionSpec> kSpecs = {
      option("api_key", OptionType::kText, "where a component names none"),
      option("base_url", OptionType::kText, "where the service is"),
      option("endpoint", OptionType::kText, "the same, as Azure calls it"),
      option("api_version", OptionType::kText, "of Azure"),
      option("deployment", OptionType::kText, "of Azure"),
  };
  return kSpecs;
}

const std::vector<OptionSpec>& price_specs() {
  static const std::vector<OptionSpec> kSpecs = {
      option("input", OptionType::kFloat, "dollars for a million tokens that are sent", "0"),
      option("output", OptionType::kFloat, "dollars for a million tokens that come back", "0"),
  };
  return kSpecs;
}

// `1048576`, `512MiB`, `4 GB`, `1.5g`.
std::optional<std::uint64_t> config_bytes(const Setting& given) {
  constexpr double kBytesMax = 1e15;
  if (const std::int64_t* bytes = given.as_int()) {
    if (*bytes < 0 || static_cast<double>(*bytes) > kBytesMax) return std::nullopt;
    return static_cast<std::uint64_t>(*bytes);
  }
  const std::string* text = given.as_text();
  if (text == nullptr) return std::nullopt;
  double number = 0;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || number < 0) return std::nullopt;
  std::string unit;
  for (const char* c = end; c != text->data() + text->size(); ++c)
    if (*c != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
  const bool binary = unit.size() == 3 && unit.substr(1) == "ib";
  const std::size_t power = unit.empty() || unit == "b" ? 0 : std::string_view("kmgt").find(unit[0]) + 1;
  if (power > 4 || !(unit.size() <= 1 || binary || unit.substr(1) == "b")) return std::nullopt;
  for (std::size_t i = 0; i < power; ++i) number *= binary ? 1024 : 1000;
  if (number > kBytesMax) return std::nullopt;
  return static_cast<std::uint64_t>(number);
}

// A tree as data: plain scalars by YAML's rules, `${NAME}` from the environment.
class Converter {
 public:
  Converter(const Env& env, lang::Diagnostics& diagnostics) : env_(env), diagnostics_(diagnostics) {}

  Setting convert(const ast::Node& node) {
    if (!node.tag.empty()) diagnostics_.error(node.tag_span, "tags have no meaning in this file");
    if (node.is_mapping()) {
      Setting::Map map;
      for (const ast::Entry& entry : node.entries) map.emplace_back(entry.key, convert(*entry.value));
      return Setting(std::move(map), node.span);
    }
    if (node.is_sequence()) {
      Setting::List list;
      for (const ast::NodePtr& item : node.items) list.push_back(convert(*item));
      return Setting(std::move(list), node.span);
    }
    return scalar(node);
  }

 private:
  Setting scalar(const ast::Node& node) {
    if (node.is_null()) return {};
    std::string text = node.text;
    if (lang::has_interpolation(text)) {
      lang::Interpolated done =
          lang::interpolate(text, [this](std::string_view name) { return env_.variable(std::string(name)); });
      if (!done.error.empty()) diagnostics_.error(node.sub_span(done.error_begin, done.error_end), done.error);
      text = done.text;
    }
    Setting out = node.quoted ? Setting(text, node.span) : plain(text, node.span);
    if (!node.quoted) out.spelling = text;
    return out;
  }
  static Setting plain(const std::string& text, SourceSpan span) {
    Value value = lang::untyped_value(text);
    if (value.tag() == Value::Tag::kBool) return Setting(value.as_bool(), span);
    if (value.tag() == Value::Tag::kInt) return Setting(value.as_int(), span);
    if (value.tag() == Value::Tag::kFloat) return Setting(value.as_float(), span);
    return Setting(text, span);
  }
  const Env& env_;
  lang::Diagnostics& diagnostics_;
};

// From decoded settings to the struct.
class ConfigReader {
 public:
  ConfigReader(LoadedConfig& out, const Env& env, std::string folder)
      : out_(out), env_(env), folder_(std::move(folder)) {}

  void read(const Setting& given) {
    Setting all = decode(given, config_specs(), "the configuration");
    ServeConfig& config = out_.config;
    text(all, "pipelines_dir", config.pipelines_dir);
    text(all, "state_dir", config.state_dir);
    text(all, "listen", config.listen);
    if (config.listen.starts_with("unix:") && !config.listen.starts_with("unix:/"))
      config.listen = "unix:" + path_in(folder_, config.listen.substr(5));
    number_of(all, "workers", config.workers);
    if (const Setting* limit = all.find("memory_limit")) read_memory_limit(*limit);
    flag(all, "watch", config.watch);
    flag(all, "allow_exec", config.allow_exec);
    flag(all, "require_pipeline_auth", config.require_pipeline_auth);
    if (const Setting* paths = all.find("allow_paths")) config.allow_paths = texts(*paths);
    if (const Setting* log = all.find("log")) read_log(*log);
    if (const Setting* limits = all.find("limits")) read_limits(*limits);
    if (const Setting* secrets = all.find("secrets")) read_secrets(*secrets);
    if (const Setting* auth = all.find("auth")) read_auth(*auth);
    if (const Setting* telemetry = all.find("telemetry")) read_telemetry(*telemetry);
    if (const Setting* llm = all.find("llm")) read_llm(*llm);
    if (const Setting* tls = all.find("tls")) read_tls(*tls);
    read_egress(all.find("allow_hosts"));
  }

 private:
  Setting decode(const Setting& given, std::span<const OptionSpec> specs, const std::string& what) {
    std::vector<Error> errors;
    config::DecodeOptions options;
    options.what = what;
    options.resolve_path = [this](const Setting& value) {
      return path_in(folder_, value.as_text() ? *value.as_text() : "");
    };
    Setting out = config::decode(given, specs, options, errors);
    for (Error& error : errors) out_.diagnostics.report(std::move(error));
    return out;
  }
  static std::string path_in(const std::string& folder, const std::string& path) {
    return path.empty() || path.front() == '/' || folder.empty() ? path : folder + "/" + path;
  }
  static void text(const Setting& map, std::string_view name, std::string& into) {
    if (const Setting* value = map.find(name); value && value->as_text()) into = *value->as_text();
  }
  static void flag(const Setting& map, std::string_view name, bool& into) {
    if (const Setting* value = map.find(name); value && value->as_bool()) into = *value->as_bool();
  }
  template <class Number>
  static void number_of(const Setting& map, std::string_view name, Number& into) {
    if (const Setting* value = map.find(name); value && value->as_int()) into = static_cast<Number>(*value->as_int());
  }
  static std::vector<std::string> texts(const Setting& list) {
    std::vector<std::string> out;
    if (const Setting::List* items = list.as_list())
      for (const Setting& item : *items)
        if (item.as_text()) out.push_back(*item.as_text());
    return out;
  }

  void read_tls(const Setting& tls) {
    text(tls, "cert", out_.config.tls.cert);
    text(tls, "key", out_.config.tls.key);
    text(tls, "client_ca", out_.config.tls.client_ca);
    if (out_.config.tls.cert.empty()) {
      out_.diagnostics.error(tls.span, "`tls` needs `cert`");
      return;
    }
    if (auto made = net::TlsContext::make(out_.config.tls); !made)
      out_.diagnostics.error(tls.span, made.error().message);
  }
  void read_egress(const Setting* allowed) {
    auto policy = net::AddressPolicy::make(allowed ? texts(*allowed) : std::vector<std::string>());
    if (policy)
      out_.config.egress = std::make_shared<const net::AddressPolicy>(std::move(*policy));
    else
      out_.diagnostics.error(allowed->span, policy.error().message);
  }
  void read_memory_limit(const Setting& limit) {
    if (auto bytes = config_bytes(limit))
      out_.config.memory_limit = *bytes;
    else
      out_.diagnostics.error(limit.span, "`memory_limit` is a number of bytes, or one with a unit: 512MiB, 4GB");
  }
  void read_telemetry(const Setting& telemetry) {
    std::string& endpoint = out_.config.otlp_endpoint;
    text(telemetry, "otlp_endpoint", endpoint);
    if (endpoint.empty()) return;
    if (auto url = net::parse_url(endpoint); !url)
      out_.diagnostics.error(telemetry.find("otlp_endpoint")->span, url.error().message);
  }
  void read_llm(const Setting& llm) {
    const Setting::Map* services = llm.as_map();
    if (!services) return;
    const std::vector<std::string> known = {"openai", "azure",  "anthropic",   "cohere", "gemini",
                                            "google", "ollama", "huggingface", "prices"};
    for (const auto& [name, value] : *services) {
      if (name == "prices") {
        read_prices(value);
        continue;
      }
      if (std::ranges::find(known, name) == known.end()) {
        std::string near = suggestion(name, known);
        out_.diagnostics.error(value.span,
                               "unknown service of language models `" + name + "`" + (near.empty() ? "" : "; " + near));
        continue;
      }
      read_service(name == "google" ? "gemini" : name, value);
    }
  }
  void read_service(const std::string& service, const Setting& given) {
    Setting decoded = decode(given, service_specs(), "`" + service + "`");
    for (const OptionSpec& spec : service_specs()) {
      std::string value;
      text(decoded, spec.name, value);
      if (!value.empty())
        out_.config.llm["llm." + service + "." + (spec.name == "endpoint" ? "base_url" : spec.name)] = value;
    }
  }
  void read_prices(const Setting& prices) {
    const Setting::Map* models = prices.as_map();
    if (!models) {
      out_.diagnostics.error(prices.span, "`prices` maps models to {input, output}: dollars for a million tokens");
      return;
    }
    for (const auto& [model, value] : *models) {
      Setting decoded = decode(value, price_specs(), "a price");
      auto number = [&](const char* name) {
        const Setting* found = decoded.find(name);
        if (found == nullptr) return 0.0;
        if (const double* real = found->as_float()) return *real;
        return found->as_int() != nullptr ? static_cast<double>(*found->as_int()) : 0.0;
      };
      out_.config.llm_prices[model] = {number("input"), number("output")};
    }
  }
  void read_log(const Setting& log) {
    flag(log, "access", out_.config.log_access);
    std::string level;
    std::string format;
    text(log, "level", level);
    text(log, "format", format);
    if (level == "debug") out_.config.log_level = LogLevel::kDebug;
    if (level == "warning" || level == "warn") out_.config.log_level = LogLevel::kWarning;
    if (level == "error") out_.config.log_level = LogLevel::kError;
    if (level == "off") out_.config.log_level = LogLevel::kOff;
    if (format == "json") out_.config.log_format = LogFormat::kJson;
  }
  void read_limits(const Setting& given) {
    ServeLimits& limits = out_.config.limits;
    number_of(given, "body_bytes", limits.body_bytes);
    number_of(given, "header_bytes", limits.header_bytes);
    number_of(given, "connections", limits.connections);
    number_of(given, "query_time", limits.query_ns);
    number_of(given, "query_bytes", limits.query_bytes);
    number_of(given, "queries", limits.queries);
    number_of(given, "pipelines", limits.pipelines);
    number_of(given, "reload_time", limits.reload_ns);
    number_of(given, "reload_bytes", limits.reload_bytes);
    number_of(given, "stop_time", limits.stop_ns);
  }
  void read_secrets(const Setting& secrets) {
    if (const Setting* names = secrets.find("env")) out_.config.secret_names = texts(*names);
    text(secrets, "files_dir", out_.config.secrets_dir);
  }

  void read_auth(const Setting& auth) {
    if (const Setting* tokens = auth.find("tokens")) read_credentials(*tokens, false);
    if (const Setting* basic = auth.find("basic")) read_credentials(*basic, true);
    std::string path;
    text(auth, "tokens_file", path);
    if (path.empty()) return;
    auto content = read_text(path, kConfigBytesMax, *env_.disk);
    if (!content) {
      out_.diagnostics.error(auth.find("tokens_file")->span, "cannot read the tokens: " + content.error().message);
      return;
    }
    FileId file = out_.files->add(path, *content);
    ast::NodePtr root = read_yaml(*out_.files, file, out_.diagnostics);
    if (root) read_credentials(Converter(env_, out_.diagnostics).convert(*root), false);
  }
  void read_credentials(const Setting& list, bool basic) {
    const Setting::List* items = list.as_list();
    if (!items) {
      out_.diagnostics.error(
          list.span, basic ? "expected a list of {user, sha256, role}" : "expected a list of {name, sha256, role}");
      return;
    }
    for (const Setting& item : *items) {
      if (!item.as_map()) {
        out_.diagnostics.error(item.span, "expected a mapping with sha256 and role");
        continue;
      }
      Setting decoded = decode(item, basic ? basic_specs() : token_specs(), basic ? "a user" : "a token");
      Credential credential;
      credential.basic = basic;
      text(decoded, basic ? "user" : "name", credential.name);
      text(decoded, "sha256", credential.sha256);
      std::string role;
      text(decoded, "role", role);
      credential.role = role_from_text(role).value_or(Role::kRead);
      for (char& c : credential.sha256) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      bool hex = credential.sha256.size() == 64 &&
                 credential.sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
      if (!hex && !credential.sha256.empty())
        out_.diagnostics.error(item.find("sha256")->span,
                               "`sha256` is 64 hexadecimal digits: printf %s TOKEN | sha256sum");
      if (hex) out_.config.auth.credentials.push_back(std::move(credential));
    }
  }

  LoadedConfig& out_;
  const Env& env_;
  const std::string folder_;
};

}  // namespace

const std::vector<OptionSpec>& config_specs() {
  static const std::vector<OptionSpec> kSpecs = {
      option("pipelines_dir", OptionType::kPath, "every *.yaml in it is a pipeline"),
      option("state_dir", OptionType::kPath, "what the daemon keeps: which pipelines are stopped, earlier definitions"),
      option("listen", OptionType::kText, "HOST:PORT or unix:PATH", std::string(kListenDefault)),
      section("tls",
              {option("cert", OptionType::kPath, "certificate chain"), option("key", OptionType::kPath, "private key"),
               option("client_ca", OptionType::kPath, "who may connect")},
              "TLS of the listener"),
      section("auth",
              {option("tokens_file", OptionType::kPath, "a file with the list"),
               option("tokens", OptionType::kList, "[{name, sha256, role}]"),
               option("basic", OptionType::kList, "[{user, sha256, role}]")},
              "who may ask; without it only this machine"),
      option("require_pipeline_auth", OptionType::kBool, "pipelines that listen themselves need `auth:`"),
      number("workers", 1, 256, "worker threads of pipelines that do not say"),
      option("memory_limit", OptionType::kAny, "bytes, or 512MiB, 4GB: above it the largest pipeline fails"),
      section("log",
              {choice("level", {"debug", "info", "warning", "warn", "error", "off"}, "what is logged"),
               option("access", OptionType::kBool, "a line for every request", "false"),
               choice("format", {"text", "json"}, "one line an event")},
              "the log"),
      section("metrics", {}, "reserved", true),
      section("telemetry", {option("otlp_endpoint", OptionType::kText, "where traces go")}, "traces"),
      section("limits", limit_specs(), "bounds of what callers may take"),
      section("secrets",
              {option("env", OptionType::kTextList, "environment variables that pipelines may read; default: all"),
               option("files_dir", OptionType::kPath, "folder that `!secret.file` reads from")},
              "where secrets come from"),
      section(
          "llm", {},
          "defaults of language-model components by service ({openai: {api_key, base_url}}), and `prices` of models",
          true),
      option("watch", OptionType::kBool, "follow changes of the pipelines' files", "true"),
      option("allow_paths", OptionType::kTextList, "folders that pipelines may read beside their own"),
      option(
          "allow_hosts", OptionType::kTextList,
          "names, addresses and networks (10.0.0.0/8, db.internal, *.internal) that HTTP connectors may reach beside "
          "public ones"),
      option("allow_exec", OptionType::kBool, "pipelines may start programs"),
  };
  return kSpecs;
}

LoadedConfig load_config(const std::string& path, const Env& env) {
  LoadedConfig out;
  out.files = std::make_shared<FileTable>();
  if (path.empty()) return out;
  auto text = read_text(path, kConfigBytesMax, *env.disk);
  if (!text) {
    out.diagnostics.error({}, "cannot read the configuration: " + text.error().message);
    return out;
  }
  FileId file = out.files->add(path, *text);
  ast::NodePtr root = read_yaml(*out.files, file, out.diagnostics);
  if (!root) return out;
  if (!root->is_mapping() && !root->is_null()) {
    out.diagnostics.error(root->span, "expected a mapping of settings");
    return out;
  }
  std::size_t slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "" : slash == 0 ? "/" : path.substr(0, slash);
  if (root->is_mapping()) ConfigReader(out, env, folder).read(Converter(env, out.diagnostics).convert(*root));
  return out;
}

Result<std::string> read_text(const std::string& path, std::uint64_t bytes_max, Disk& disk) {
  std::unique_ptr<ReadFile> file = TRY(disk.open_read(path));
  FileStat stat = TRY(file->stat());
  if (stat.is_directory) return fail(Code::kInvalidArgument, path + " is a folder");
  if (stat.size > bytes_max)
    return fail(Code::kTooLarge, path + " is larger than " + std::to_string(bytes_max) + " bytes");
  std::string text(stat.size, '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    std::size_t n = TRY(file->read_at(have, text.data() + have, text.size() - have));
    if (n == 0) break;
    have += n;
  }
  text.resize(have);
  return text;
}

}  // namespace thalweg::daemon
