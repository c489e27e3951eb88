#include "daemon/client/client.h"

#include <cstdio>

#include "daemon/console.h"
#include "daemon/serve/config.h"

namespace thalweg::daemon {
namespace {

using nlohmann::json;

constexpr std::size_t kTokenBytesMax = 4096;
constexpr std::int64_t kPatienceMs = 3'600'000;

std::string trimmed(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  return text;
}

std::expected<std::string, ExitCode> token_of(const ServerArgs& args, const Env& env) {
  std::string path = args.token_file;
  if (path.empty()) path = env.variable("THALWEG_TOKEN_FILE").value_or("");
  if (path.empty()) return env.variable("THALWEG_TOKEN").value_or("");
  auto file = env.disk->open_read(path);
  if (!file) {
    complain("cannot read the token: " + file.error().message);
    return std::unexpected(kExitUsage);
  }
  std::string token(kTokenBytesMax, '\0');
  auto bytes = (*file)->read_at(0, token.data(), token.size());
  if (!bytes) {
    complain("cannot read the token: " + bytes.error().message);
    return std::unexpected(kExitUsage);
  }
  token.resize(*bytes);
  return trimmed(std::move(token));
}

}  // namespace

std::expected<Client::Server, ExitCode> Client::server_of(const ServerArgs& args, const Env& env) {
  Server out;
  out.address = args.server;
  if (out.address.empty() && args.config.empty()) out.address = env.variable("THALWEG_SERVER").value_or("");
  const bool from_config =
      out.address.empty() && (!args.config.empty() || env.disk->stat(std::string(kConfigPath)).has_value());
  if (from_config) {
    LoadedConfig loaded = load_config(args.config.empty() ? std::string(kConfigPath) : args.config, env);
    if (loaded.diagnostics.has_errors()) {
      print_diagnostics(loaded.diagnostics, *loaded.files);
      return std::unexpected(kExitUsage);
    }
    out.address = loaded.config.listen;
    out.tls = loaded.config.tls.enabled();
    out.trust.ca_file = loaded.config.tls.cert;  // one that signed itself is its own authority
  }
  if (out.address.empty()) out.address = std::string(kListenDefault);
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!out.address.starts_with(scheme)) continue;
    out.address.erase(0, scheme.size());
    out.tls = scheme == "https://";
  }
  while (out.address.ends_with('/') && !out.address.starts_with("unix:")) out.address.pop_back();
  if (auto file = env.variable("THALWEG_CA_FILE")) out.trust.ca_file = *file;
  out.trust.cert_file = env.variable("THALWEG_CERT_FILE").value_or("");
  out.trust.key_file = env.variable("THALWEG_KEY_FILE").value_or("");
  return out;
}

Client::Client(net::Address address, const Server& server, std::string token, bool patient)
    : address_(std::move(address)), token_(std::move(token)) {
  net::HttpClientOptions options;
  options.tls = server.tls;
  options.tls_options = server.trust;
  if (patient) options.request_ms_max = kPatienceMs;
  http_ = std::make_unique<net::HttpClient>(address_, options);
}

std::expected<Client, ExitCode> Client::make(const ServerArgs& args, const Env& env, bool patient) {
  auto server = server_of(args, env);
  if (!server) return std::unexpected(server.error());
  auto address = net::parse_address(server->address);
  if (!address) {
    complain("`" + server->address + "` is no server: use HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix:PATH");
    return std::unexpected(kExitUsage);
  }
  auto token = token_of(args, env);
  if (!token) return std::unexpected(token.error());
  return Client(std::move(*address), *server, std::move(*token), patient);
}

net::HttpRequest Client::make_request(std::string method, std::string target) const {
  net::HttpRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  if (!token_.empty()) request.headers.add("Authorization", "Bearer " + token_);
  return request;
}

ExitCode Client::unreachable(const Error& error) const {
  complain("the server at " + address_.to_text() + " does not answer: " + error.message);
  return kExitUnreachable;
}

std::expected<net::HttpResponse, ExitCode> Client::request(std::string method, std::string target, std::string body,
                                                           std::string_view content_type) {
  net::HttpRequest request = make_request(std::move(method), std::move(target));
  if (!body.empty()) request.headers.add("Content-Type", std::string(content_type));
  request.body = std::move(body);
  auto response = http_->request(request);
  if (!response) return std::unexpected(unreachable(response.error()));
  if (response->status >= 400) return std::unexpected(print_problem(*response));
  return std::move(*response);
}

std::expected<json, ExitCode> Client::json_of(const net::HttpResponse& response) const {
  json parsed = json::parse(response.body, nullptr, false);
  if (!parsed.is_discarded()) return parsed;
  complain("the server at " + address_.to_text() + " answered something else than JSON; is it a thalweg server?");
  return std::unexpected(kExitUnreachable);
}

std::expected<json, ExitCode> Client::get_json(std::string target) {
  auto response = request("GET", std::move(target));
  if (!response) return std::unexpected(response.error());
  return json_of(*response);
}

std::expected<json, ExitCode> Client::get_list(const std::string& target, const std::string& member) {
  json out = json::array();
  std::string cursor;
  do {
    auto page = get_json(cursor.empty() ? target : target + "?cursor=" + net::percent_encode(cursor));
    if (!page) return std::unexpected(page.error());
    for (json& one : (*page)[member]) out.push_back(std::move(one));
    cursor = page->value("next_cursor", "");
  } while (!cursor.empty());
  return out;
}

std::expected<net::HttpResponse, ExitCode> Client::stream(const std::string& target, const std::string& last_event_id,
                                                          const std::function<bool(std::string_view)>& on_bytes) {
  net::HttpRequest request = make_request("GET", target);
  if (!last_event_id.empty()) request.headers.add("Last-Event-ID", last_event_id);
  auto response = http_->stream(request, on_bytes);
  if (!response) return std::unexpected(unreachable(response.error()));
  return std::move(*response);
}

std::string Client::pipeline_path(const std::string& pipeline) {
  return "/api/v1/pipelines/" + net::percent_encode(pipeline);
}

std::string Client::table_path(const TableName& name) {
  return pipeline_path(name.pipeline) + "/tables/" + net::percent_encode(name.table);
}

std::expected<Client::TableName, ExitCode> Client::find_table(const std::string& table, const std::string& pipeline) {
  if (!pipeline.empty()) return TableName{pipeline, table};
  std::size_t slash = table.find('/');
  if (slash != std::string::npos) return TableName{table.substr(0, slash), table.substr(slash + 1)};
  auto all = get_list("/api/v1/pipelines", "pipelines");
  if (!all) return std::unexpected(all.error());
  std::vector<std::string> names;
  for (const json& one : *all)
    if (one.contains("frontier")) names.push_back(one["name"]);
  if (names.size() == 1) return TableName{names.front(), table};
  std::vector<std::string> found;
  for (const std::string& name : names) {
    auto tables = get_list(pipeline_path(name) + "/tables", "tables");
    if (!tables) return std::unexpected(tables.error());
    for (const json& one : *tables)
      if (one["name"] == table) found.push_back(name);
  }
  if (found.size() == 1) return TableName{found.front(), table};
  complain(found.empty() ? "no pipeline exports a table `" + table + "`"
                         : "several pipelines export `" + table + "`; say which: --pipeline " + found.front());
  return std::unexpected(found.empty() ? kExitFailed : kExitUsage);
}

ExitCode print_problem(const net::HttpResponse& response) {
  json problem = json::parse(response.body, nullptr, false);
  if (!problem.is_object() || !problem.contains("detail") || !problem["detail"].is_string()) {
    complain("the server answered " + std::to_string(response.status));
    return kExitFailed;
  }
  std::string where;
  if (problem.contains("line") && problem["line"].is_number())
    where = "line " + problem["line"].dump() + ", column " + problem.value("column", json(1)).dump() + ": ";
  complain(where + problem["detail"].get<std::string>());
  if (problem.contains("hint") && problem["hint"].is_string())
    std::fprintf(stderr, "  %s\n", problem["hint"].get<std::string>().c_str());
  if (problem.contains("diagnostics") && problem["diagnostics"].is_string())
    std::fputs(problem["diagnostics"].get<std::string>().c_str(), stderr);
  return problem.value("code", "") == "invalid_pipeline" ? kExitInvalid : kExitFailed;
}

namespace {

// Code points; wide characters count as one.
std::size_t width_of(std::string_view text) {
  std::size_t width = 0;
  for (char c : text) width += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return width;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789.-+eE") == std::string_view::npos;
}

// One line, whatever the cell holds.
std::string flat(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      out += '?';
    else
      out += c;
  }
  return out;
}

}  // namespace

std::string TextTable::text() const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(flat(row[i])));
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      std::string cell = flat(row[i]);
      std::string blanks(widths[i] - width_of(cell), ' ');
      line += i > 0 ? "  " : "";
      line += is_number(cell) ? blanks + cell : cell + blanks;
    }
    while (line.ends_with(' ')) line.pop_back();
    out += line + "\n";
  }
  return out;
}

std::string cell_text(const nlohmann::ordered_json& value) {
  if (value.is_null()) return {};
  return value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace thalweg::daemon
