// daemon/client/client.h
//
// How client commands reach a running daemon: where it is, who asks, and what an answer means for the exit code.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "connectors/net/http_client.h"
#include "daemon/args.h"
#include "engine/base/env.h"

namespace thalweg::daemon {

// What went wrong, printed already; the command ends with it.
using ExitCode = int;

class Client {
 public:
  // `--server`, THALWEG_SERVER, `listen` of `--config`, else 127.0.0.1:8080; `https://` where the server speaks TLS,
  // with THALWEG_CA_FILE beside the system's authorities, THALWEG_CERT_FILE and THALWEG_KEY_FILE as ours. The token
  // from `--token-file`, THALWEG_TOKEN_FILE or THALWEG_TOKEN. Prints what is wrong. `patient`: for requests whose
  // answer may take as long as a reload.
  [[nodiscard]] static std::expected<Client, ExitCode> make(const ServerArgs& args, const Env& env,
                                                            bool patient = false);

  // The body of a good answer. Problems and failures to connect are printed to stderr.
  [[nodiscard]] std::expected<net::HttpResponse, ExitCode> request(std::string method, std::string target,
                                                                   std::string body = {},
                                                                   std::string_view content_type = "application/json");
  [[nodiscard]] std::expected<nlohmann::json, ExitCode> get_json(std::string target);
  // All pages of a list: the array that stands under `member`.
  [[nodiscard]] std::expected<nlohmann::json, ExitCode> get_list(const std::string& target, const std::string& member);
  [[nodiscard]] std::expected<nlohmann::json, ExitCode> json_of(const net::HttpResponse& response) const;
  // The body as it comes, until it ends or `on_bytes` returns false. The status; nothing printed for a broken stream.
  [[nodiscard]] std::expected<net::HttpResponse, ExitCode> stream(
      const std::string& target, const std::string& last_event_id,
      const std::function<bool(std::string_view)>& on_bytes);

  // The pipeline that exports `table`: the one asked for, the one before the slash, or the only one that has it.
  struct TableName {
    std::string pipeline;
    std::string table;
  };
  [[nodiscard]] std::expected<TableName, ExitCode> find_table(const std::string& table, const std::string& pipeline);
  [[nodiscard]] static std::string pipeline_path(const std::string& pipeline);
  [[nodiscard]] static std::string table_path(const TableName& name);

 private:
  struct Server {
    std::string address;  // HOST:PORT or unix:PATH
    bool tls = false;     // `https://` before it
    net::TlsOptions trust;
  };
  [[nodiscard]] static std::expected<Server, ExitCode> server_of(const ServerArgs& args, const Env& env);
  Client(net::Address address, const Server& server, std::string token, bool patient);
  [[nodiscard]] net::HttpRequest make_request(std::string method, std::string target) const;
  [[nodiscard]] ExitCode unreachable(const Error& error) const;
  net::Address address_;
  std::string token_;
  std::unique_ptr<net::HttpClient> http_;
};

// Prints a problem document as people read it; the exit code that goes with it.
[[nodiscard]] ExitCode print_problem(const net::HttpResponse& response);

// Columns of texts, aligned; numbers to the right.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> head) { rows_.push_back(std::move(head)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// A JSON value as a cell: texts as they are, the rest as JSON, null as nothing.
[[nodiscard]] std::string cell_text(const nlohmann::ordered_json& value);

}  // namespace thalweg::daemon
