#include "connectors/http/descriptor.h"

#include <algorithm>

#include "connectors/http/client_source.h"
#include "connectors/http/input_server.h"
#include "connectors/http/query_server.h"
#include "connectors/http/rest_sink.h"
#include "connectors/http/rest_source.h"
#include "connectors/http/server_options.h"
#include "connectors/http/table_sink.h"
#include "connectors/http/webhook_sink.h"
#include "connectors/setting_reader.h"

namespace thalweg {

namespace {

using config::ConnectorSpec;
using config::OptionSpec;
using config::OptionType;

constexpr std::int64_t kProbeMs = 5000;

// ---------------------------------------------------------------- queries

std::vector<plan::SourceField> raw_query_field() {
  plan::SourceField field;
  field.name = field.external_name = "query";
  field.type = Type(Kind::kStr);
  field.from = plan::SourceField::From::kMetadata;  // not a member of the body, but all of it
  return {field};
}

bool is_raw(const std::vector<plan::SourceField>& fields) {
  return fields.size() == 1 && fields[0].from == plan::SourceField::From::kMetadata;
}

bool deletes_completed(const Setting& args) {
  const SettingReader read(args);
  return read.flag("delete_completed_queries", !read.flag("keep_queries", false));
}

Result<void> check_rest(const Setting& args) {
  TRY(web::check_server(args));
  TRY(web::methods_from(args, "POST"));
  const SettingReader read(args);
  const Setting* mcp = read.map("mcp");
  if (mcp != nullptr && SettingReader(*mcp).text("transport") == "stdio" && (read.has("host") || read.has("port")))
    return fail(Code::kInvalidPipeline, "`transport: stdio` has neither `host` nor `port`", read.span("port"));
  if (read.has("keep_queries") && read.has("delete_completed_queries"))
    return fail(Code::kInvalidPipeline, "`keep_queries` is the contrary of `delete_completed_queries`: give one",
                read.span("keep_queries"));
  return {};
}

// What callers see of the column that names streams: a flag.
std::vector<plan::SourceField> shown_fields(std::vector<plan::SourceField> fields, std::optional<std::size_t> stream) {
  if (!stream) return fields;
  plan::SourceField& field = fields[*stream];
  field.name = field.external_name = "stream";
  field.type = Type(Kind::kBool);
  field.default_value = Value::of(false);
  return fields;
}

// The requests of a tool of an MCP server.
Result<web::RestSource::Front> offered_tool(const plan::Source& source, const Setting& mcp,
                                            const std::shared_ptr<web::QueryServer>& server,
                                            std::unique_ptr<web::RouteSpec> route, const ConnectorServices& services) {
  const SettingReader read(mcp);
  web::McpTool tool{.name = read.text("tool"),
                    .title = read.text("title"),
                    .description = read.text("description"),
                    .fields = source.fields,
                    .handle = [server](web::Exchange exchange) { server->handle(std::move(exchange)); }};
  web::RestSource::Front out;
  out.tool = TRY(web::offer_tool(read.text("server"), std::move(route), std::move(tool), services));
  return out;
}

Result<std::unique_ptr<Source>> make_rest(const plan::Source& source, Env& env, const ConnectorServices& services) {
  const SettingReader read(source.args);
  const Setting* mcp = read.map("mcp");
  const bool stdio = mcp != nullptr && SettingReader(*mcp).text("transport") == "stdio";
  if (stdio && (!services.web || services.has_listener))
    return fail(Code::kInvalidPipeline, "`transport: stdio` is for `thalweg run` without a listener", mcp->span);
  auto route = std::make_unique<web::RouteSpec>(stdio ? web::RouteSpec() : TRY(web::route_from(source.args, services)));
  route->methods = TRY(web::methods_from(source.args, "POST"));
  route->reads_only = true;
  web::QueryServer::Options options;
  const auto names_stream = std::ranges::find(source.fields, read.text("stream_column"), &plan::SourceField::name);
  if (mcp == nullptr && names_stream != source.fields.end())
    options.stream_field = static_cast<std::size_t>(names_stream - source.fields.begin());
  route->documentation.fields = shown_fields(source.fields, options.stream_field);
  options.raw_body = is_raw(source.fields);
  route->documentation.raw_body = options.raw_body;
  options.identity = services.pipeline + " " + (route->place.on_daemon() ? "" : route->place.to_text()) + route->path +
                     (mcp != nullptr ? " " + SettingReader(*mcp).text("tool") : "");
  options.fields = source.fields;
  options.rng = env.rng;
  options.delete_completed = deletes_completed(source.args);
  options.timeout_ns = read.integer("timeout", options.timeout_ns);
  options.pending_max = static_cast<std::size_t>(read.integer("max_pending", 1024));
  if (read.has("cache_strategy")) options.cached_max = 10'000;
  const auto server = web::QueryServer::make(std::move(options), services.web);
  web::RestSource::Front front;
  if (mcp != nullptr) {
    front = TRY(offered_tool(source, *mcp, server, stdio ? nullptr : std::move(route), services));
  } else {
    route->handle = [server](web::Exchange exchange) { server->handle(std::move(exchange)); };
    front.route = TRY(services.web->add(std::move(*route)));
  }
  return std::make_unique<web::RestSource>(source, std::move(front), server, deletes_completed(source.args));
}

ConnectorDescriptor rest_connector() {
  ConnectorDescriptor out;
  out.spec = {.name = "io.http.rest_connector",
              .role = ConnectorSpec::Role::kSource,
              .doc =
                  "Requests as rows: a table of queries. Each waits for the row with its key that "
                  "`io.http.rest_response` gets. Without a schema the body is the text in column `query`.",
              .example = "!io.http.rest_connector {port: 8011, route: /, schema: {messages: str}}",
              .options = web::server_options()};
  auto& options = out.spec.options;
  options.push_back(
      {.name = "methods", .type = OptionType::kTextList, .fallback = "POST", .doc = "GET, POST, PUT, PATCH, DELETE"});
  options.push_back({.name = "delete_completed_queries",
                     .type = OptionType::kBool,
                     .doc = "a query's row goes when it is answered; true by default"});
  options.push_back(
      {.name = "keep_queries", .type = OptionType::kBool, .doc = "the contrary of `delete_completed_queries`"});
  options.push_back({.name = "timeout",
                     .type = OptionType::kDuration,
                     .fallback = "2m",
                     .doc = "how long a request waits for its answer (then 504)",
                     .min = 0});
  options.push_back({.name = "max_pending",
                     .type = OptionType::kInt,
                     .fallback = "1024",
                     .doc = "queries that wait at a time; more are answered 503",
                     .min = 1,
                     .max = 1e6});
  options.push_back({.name = "cache_strategy",
                     .type = OptionType::kAny,
                     .doc = "anything: equal requests get the stored answer (10,000 of at most 64 KiB are kept)"});
  options.push_back({.name = "stream_column",
                     .doc = "the column of text that names the stream of a request that asks for server-sent events "
                            "(`Accept: text/event-stream`, or `stream: true`), None in other rows"});
  options.push_back({.name = "mcp",
                     .type = OptionType::kMap,
                     .doc = "the requests are those of a tool of an MCP server, not of a route; `route` is where the "
                            "server is",
                     .fields = {{.name = "server", .fallback = "pathway-mcp-server", .doc = "the server's name"},
                                {.name = "transport",
                                 .type = OptionType::kEnum,
                                 .fallback = "streamable-http",
                                 .doc = "how it is spoken to",
                                 .choices = {"streamable-http", "stdio"}},
                                {.name = "tool", .required = true, .doc = "the tool's name"},
                                {.name = "title", .doc = "its name for people"},
                                {.name = "description", .doc = "what it does"}},
                     .example = "{tool: search, description: Finds documents.}"});
  options.push_back({.name = "autocommit_duration_ms",
                     .type = OptionType::kInt,
                     .fallback = "50",
                     .doc = "how long a commit may be held open under load",
                     .min = 0});
  out.make_served_source = make_rest;
  out.describe = [](const Setting& args, const std::vector<plan::SourceField>& schema,
                    Env&) -> Result<plan::SourceShape> {
    TRY(check_rest(args));
    plan::SourceShape shape;
    shape.fields = schema.empty() ? raw_query_field() : schema;
    shape.append_only = !deletes_completed(args);
    for (const plan::SourceField& field : schema)
      if (field.primary_key)
        return fail(Code::kInvalidPipeline,
                    "every request is a row of its own: column `" + field.name + "` cannot be a primary key",
                    args.span);
    return shape;
  };
  return out;
}

ConnectorDescriptor rest_response() {
  ConnectorDescriptor out;
  out.spec = {
      .name = "io.http.rest_response",
      .role = ConnectorSpec::Role::kSink,
      .doc =
          "Answers queries of `io.http.rest_connector`: column `result` (or the only column) of the row with the "
          "query's key is the body, as JSON; an ERROR is answered 500.",
      .example = "!io.http.rest_response {table: $answers, queries: $queries}",
      .aliases = {"io.http.response_writer"},
      .options = {{.name = "queries",
                   .type = OptionType::kTable,
                   .doc = "the table of queries; found by itself where the answers come from one"}}};
  out.delivery = Delivery::kBestEffort;  // whoever asked has gone with the process
  out.make_served_sink = [](const plan::Output&, const Schema&, Env&,
                            const ConnectorServices&) -> Result<std::unique_ptr<Sink>> {
    return std::make_unique<web::RestSink>();
  };
  return out;
}

// ---------------------------------------------------------------- rows

BadRowPolicy::Action bad_row_action(const SettingReader& read) {
  const std::string action = read.text("on_bad_row");
  if (action == "fail") return BadRowPolicy::Action::kFail;
  if (action == "skip") return BadRowPolicy::Action::kSkip;
  return read.has("dead_letter") ? BadRowPolicy::Action::kDeadLetter : BadRowPolicy::Action::kLog;
}

std::string format_of(const SettingReader& read) { return read.text("format", "json"); }

Result<std::unique_ptr<Source>> make_input_server(const plan::Source& source, const Env& env,
                                                  const ConnectorServices& services) {
  const SettingReader read(source.args);
  web::RouteSpec route = TRY(web::route_from(source.args, services));
  const bool keyed = std::ranges::any_of(source.fields, &plan::SourceField::primary_key);
  route.methods = {"POST", "PUT"};
  if (keyed) route.methods.emplace_back("DELETE");
  route.documentation.fields = source.fields;
  web::InputServer::Options options;
  options.fields = source.fields;
  options.rng = env.rng;
  options.pending_max = static_cast<std::size_t>(read.integer("max_pending", 1024));
  const std::string format = format_of(read);
  if (format == "raw") options.format = web::InputServer::Format::kRaw;
  if (format == "plaintext") options.format = web::InputServer::Format::kPlaintext;
  route.documentation.raw_body = format != "json";
  const auto server = std::make_shared<web::InputServer>(std::move(options));
  route.handle = [server](web::Exchange exchange) { server->handle(std::move(exchange)); };
  auto held =
      TRY(services.web ? services.web->add(std::move(route)) : fail(Code::kInvalidArgument, "there is no server here"));
  return std::make_unique<web::InputSource>(source, std::move(held), server);
}

Result<std::unique_ptr<Source>> make_read(const plan::Source& source, Env& env, const ConnectorServices& services) {
  const SettingReader read(source.args);
  if (!read.has("url")) return make_input_server(source, env, services);
  web::ClientReadSettings settings;
  settings.fetch = TRY(web::fetch_from(source.args, services));
  const std::string format = format_of(read);
  if (format == "raw") settings.format = web::ClientReadSettings::Format::kRaw;
  if (format == "plaintext") settings.format = web::ClientReadSettings::Format::kPlaintext;
  settings.delimiter = read.text("delimiter", "\n");
  settings.records = read.text("records");
  settings.refresh_ns = read.integer("refresh_interval", 0);
  settings.is_static = read.text("mode") == "static";
  settings.bad_rows = bad_row_action(read);
  settings.dead_letters = read.text("dead_letter");
  return std::make_unique<web::ClientSource>(source, std::move(settings));
}

Result<void> check_read(const Setting& args) {
  const SettingReader read(args);
  const auto not_with = [&](const char* name, const char* other) {
    return fail(Code::kInvalidPipeline, "`" + std::string(name) + "` has no meaning " + other, read.span(name));
  };
  if (read.has("url")) {
    for (const char* name : {"webserver", "host", "port", "auth", "documentation", "with_cors"})
      if (read.has(name)) return not_with(name, "beside `url`: one asks, the other is asked");
    if (read.text("route", "/") != "/") return not_with("route", "beside `url`");
    if (read.text("mode") == "static" && read.has("refresh_interval"))
      return not_with("refresh_interval", "in `mode: static`");
    const std::string records = read.text("records");
    if (!records.empty() && !records.starts_with('/'))
      return fail(Code::kInvalidPipeline, "`records` is a JSON pointer: it begins with a slash", read.span("records"));
    return web::check_fetch(args);
  }
  for (const char* name : {"refresh_interval", "payload", "headers", "api_key", "delimiter", "records"})
    if (read.has(name)) return not_with(name, "without `url`");
  if (read.text("mode") == "static") return not_with("mode", "of a server: it has no end");
  return web::check_server(args);
}

std::vector<plan::SourceField> data_field(const std::string& format) {
  plan::SourceField field;
  field.name = field.external_name = "data";
  field.type = Type(format == "raw" ? Kind::kBytes : Kind::kStr);
  return {field};
}

Result<plan::SourceShape> describe_read(const Setting& args, const std::vector<plan::SourceField>& schema, Env&) {
  TRY(check_read(args));
  const SettingReader read(args);
  const std::string format = format_of(read);
  plan::SourceShape shape;
  if (format == "json" && schema.empty())
    return fail(Code::kInvalidPipeline, "rows of `format: json` need a `schema`", args.span);
  shape.fields = format == "json" || !schema.empty() ? schema : data_field(format);
  if (format != "json")
    for (const plan::SourceField& field : shape.fields)
      if (shape.fields.size() > 1 || (!field.type.is(Kind::kStr) && !field.type.is(Kind::kBytes)))
        return fail(Code::kInvalidPipeline, "`format: " + format + "` has one column, of text or bytes", args.span);
  const bool keyed = std::ranges::any_of(schema, &plan::SourceField::primary_key);
  shape.append_only = !keyed && !read.has("refresh_interval");
  return shape;
}

void add_bad_row_options(std::vector<OptionSpec>& options) {
  options.push_back({.name = "on_bad_row",
                     .type = OptionType::kEnum,
                     .doc = "`dead_letter` keeps bad records, `skip` drops them, `fail` ends the run",
                     .choices = {"dead_letter", "skip", "fail"}});
  options.push_back({.name = "dead_letter",
                     .type = OptionType::kPathOrTable,
                     .doc = "a file for bad records (JSON lines), or the name of a table of them"});
}

// `tls` of both: who has a URL is a client.
void add_client_options(std::vector<OptionSpec>& options, const std::string& method) {
  for (OptionSpec& option : web::fetch_options(method)) {
    const auto known = std::ranges::find(options, option.name, &OptionSpec::name);
    if (known == options.end()) {
      options.push_back(std::move(option));
      continue;
    }
    for (OptionSpec& field : option.fields)
      if (std::ranges::find(known->fields, field.name, &OptionSpec::name) == known->fields.end())
        known->fields.push_back(std::move(field));
    for (OptionSpec& field : known->fields) field.required = false;
  }
}

// Whether somebody answers at the URL, whatever they answer. Nothing is asked for.
Result<void> probe_url(const Setting& args, Env& /*env*/) {
  if (!SettingReader(args).has("url")) return {};
  const web::FetchOptions options = TRY(web::fetch_from(args, {}));
  net::HttpPool pool({.connect_ms_max = kProbeMs, .tls = options.tls});
  net::HttpRequest request;
  request.method = "HEAD";
  TRY(pool.request(options.url, std::move(request), kProbeMs));
  return {};
}

ConnectorDescriptor read_connector() {
  ConnectorDescriptor out;
  out.spec = {
      .name = "io.http.read",
      .role = ConnectorSpec::Role::kSource,
      .doc =
          "With `url`: rows of a long answer as they come, or, with `refresh_interval`, of a question that is "
          "asked again and again. Without: rows that others send by POST (an object, an array, or lines), "
          "answered 202 after the commit.",
      .example =
          "!io.http.read {port: 8090, route: /orders, auth: {api_keys: [$KEY]}, schema: !schema {id: {type: int, "
          "primary_key: true}, amount: float}}",
      .options = web::server_options(),
      .upsert_by_default = true};
  auto& options = out.spec.options;
  options.insert(options.begin(),
                 {.name = "url", .doc = "what is asked: http:// or https://", .example = "https://example.org/rows"});
  add_client_options(options, "GET");
  options.push_back({.name = "payload", .type = OptionType::kAny, .doc = "the body of the request"});
  options.push_back({.name = "format",
                     .type = OptionType::kEnum,
                     .fallback = "json",
                     .doc = "json: objects; plaintext: a row per line; raw: a row per body",
                     .choices = {"json", "plaintext", "raw"}});
  options.push_back({.name = "mode",
                     .type = OptionType::kEnum,
                     .doc = "`static`: one answer, then the input has ended",
                     .choices = {"streaming", "static"}});
  options.push_back({.name = "delimiter", .doc = "ends the records of a stream; a line end by default"});
  options.push_back({.name = "records", .doc = "JSON pointer to the rows of an answer", .example = "/data/items"});
  options.push_back({.name = "refresh_interval",
                     .type = OptionType::kDuration,
                     .doc = "ask again after so long; answers are whole tables",
                     .min = 0});
  options.push_back({.name = "max_pending",
                     .type = OptionType::kInt,
                     .fallback = "1024",
                     .doc = "requests that wait for their commit; more are answered 503",
                     .min = 1,
                     .max = 1e6});
  options.push_back({.name = "autocommit_duration_ms",
                     .type = OptionType::kInt,
                     .fallback = "100",
                     .doc = "how long a commit may be held open under load",
                     .min = 0});
  add_bad_row_options(options);
  out.make_served_source = make_read;
  out.probe = probe_url;
  out.describe = describe_read;
  return out;
}

Result<web::WebhookSettings> webhook_from(const Setting& args, const ConnectorServices& services) {
  const SettingReader read(args);
  web::WebhookSettings out;
  out.fetch = TRY(web::fetch_from(args, services));
  out.pipeline = services.pipeline;
  out.custom = read.text("format") == "custom";
  out.payload_template = read.text("request_payload_template");
  out.content_type = read.text("content_type", out.custom ? "" : "application/json");
  out.batch_rows = static_cast<std::size_t>(read.integer("batch_size", 1));
  const std::string on_error = read.text("on_error");
  if (on_error == "skip") out.on_error = web::WebhookSettings::OnError::kSkip;
  if (on_error == "dead_letter") out.on_error = web::WebhookSettings::OnError::kDeadLetter;
  out.dead_letters = read.text("dead_letter");
  if (out.custom == out.payload_template.empty())
    return fail(Code::kInvalidPipeline,
                out.custom ? "`format: custom` needs `request_payload_template`"
                           : "`request_payload_template` needs `format: custom`",
                read.span(out.custom ? "format" : "request_payload_template"));
  if (out.custom && out.batch_rows > 1)
    return fail(Code::kInvalidPipeline, "`batch_size` is of `format: json`", read.span("batch_size"));
  if (out.on_error != web::WebhookSettings::OnError::kDeadLetter && !out.dead_letters.empty())
    return fail(Code::kInvalidPipeline, "`dead_letter` goes with `on_error: dead_letter`", read.span("dead_letter"));
  return out;
}

ConnectorDescriptor write_connector() {
  ConnectorDescriptor out;
  out.spec = {.name = "io.http.write",
              .role = ConnectorSpec::Role::kSink,
              .doc = "A request for every change of a row: the row as JSON with `time` and `diff`, or a template.",
              .example = "!io.http.write {table: $alerts, url: https://example.org/hook, api_key: $KEY, n_retries: 5}",
              .options = {{.name = "url", .required = true, .doc = "http:// or https://"}}};
  auto& options = out.spec.options;
  add_client_options(options, "POST");
  options.push_back({.name = "format",
                     .type = OptionType::kEnum,
                     .fallback = "json",
                     .doc = "what is sent",
                     .choices = {"json", "custom"}});
  options.push_back({.name = "request_payload_template",
                     .doc = "a body with `{table.COLUMN}`, `{table.time}`, `{table.diff}`",
                     .example = "'{\"text\": \"{table.message}\"}'"});
  options.push_back({.name = "content_type", .doc = "application/json by default; escapes of a template go by it"});
  options.push_back({.name = "batch_size",
                     .type = OptionType::kInt,
                     .fallback = "1",
                     .doc = "rows per request, as a JSON array if more than one",
                     .min = 1,
                     .max = 100'000});
  options.push_back({.name = "on_error",
                     .type = OptionType::kEnum,
                     .fallback = "fail",
                     .doc = "what a refusal for good does (an answer that is neither 2xx nor of `retry_codes`)",
                     .choices = {"fail", "skip", "dead_letter"}});
  options.push_back({.name = "dead_letter",
                     .type = OptionType::kPathOrTable,
                     .doc = "a file for refused bodies (JSON lines), or the name of a table of them"});
  out.make_served_sink = [](const plan::Output& output, const Schema&, Env&,
                            const ConnectorServices& services) -> Result<std::unique_ptr<Sink>> {
    return std::make_unique<web::WebhookSink>(TRY(webhook_from(output.args, services)));
  };
  out.probe = probe_url;
  out.check = [](const Setting& args, const Schema& schema) -> Result<void> {
    const web::WebhookSettings settings = TRY(webhook_from(args, {}));
    auto templates = web::check_templates(settings, schema);
    if (!templates) return fail(std::move(templates.error()).at(SettingReader(args).span("request_payload_template")));
    return {};
  };
  return out;
}

ConnectorDescriptor write_server() {
  ConnectorDescriptor out;
  out.spec = {.name = "io.http.write_server",
              .role = ConnectorSpec::Role::kSink,
              .doc =
                  "A table on a route of its own: rows and key lookup by GET, changes as server-sent events at "
                  "`/changes`, the whole table at `/snapshot`.",
              .example = "!io.http.write_server {table: $totals, port: 8090, route: /totals}",
              .options = web::server_options()};
  out.make_served_sink = [](const plan::Output& output, const Schema&, Env&,
                            const ConnectorServices& services) -> Result<std::unique_ptr<Sink>> {
    if (!services.serve_table) return fail(Code::kInvalidArgument, "tables are not served here");
    web::RouteSpec route = TRY(web::route_from(output.args, services));
    route.methods = {"GET"};
    route.prefix = true;
    route.reads_only = true;
    route.with_schema = false;
    route.handle = [serve = services.serve_table, pipeline = services.pipeline,
                    name = output.name](web::Exchange exchange) {
      serve(pipeline, name, exchange.below, std::move(exchange.http), std::move(exchange.reply));
    };
    return std::make_unique<web::TableSink>(std::move(route), services.web);
  };
  out.check = [](const Setting& args, const Schema&) { return web::check_server(args); };
  return out;
}

}  // namespace

std::vector<ConnectorDescriptor> http_connectors() {
  std::vector<ConnectorDescriptor> out;
  out.push_back(rest_connector());
  out.push_back(rest_response());
  out.push_back(read_connector());
  out.push_back(write_connector());
  out.push_back(write_server());
  return out;
}

}  // namespace thalweg
