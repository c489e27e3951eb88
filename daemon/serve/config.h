// daemon/serve/config.h
//
// The configuration of the daemon (daemon.md 2): one YAML or JSON file, checked against a table of options.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/option_spec.h"
#include "connectors/net/address_policy.h"
#include "connectors/net/tls_server.h"
#include "daemon/log.h"
#include "daemon/rest/auth.h"
#include "engine/base/env.h"
#include "engine/base/file_table.h"
#include "llm/providers/usage.h"
#include "pipeline_lang/diagnostics.h"

namespace thalweg::daemon {

inline constexpr std::string_view kConfigPath = "/etc/thalweg/thalweg.yaml";
inline constexpr std::string_view kListenDefault = "127.0.0.1:8080";

struct ServeLimits {
  std::uint64_t body_bytes = 8ULL << 20;
  std::uint32_t header_bytes = 16 * 1024;
  std::uint32_t connections = 1024;
  std::int64_t query_ns = 10'000'000'000;
  std::uint64_t query_bytes = 256ULL << 20;
  std::uint32_t queries = 2;
  std::uint32_t pipelines = 1000;
  std::int64_t reload_ns = 600'000'000'000;  // how long a new plan may take to catch up
  std::uint64_t reload_bytes = 64ULL << 20;  // of what an output wrote, kept so that a reload can correct it
  std::int64_t stop_ns = 60'000'000'000;     // how long pipelines may take to end in order
};

struct ServeConfig {
  std::string pipelines_dir;
  std::string state_dir;
  std::string listen = std::string(kListenDefault);
  AuthConfig auth;
  bool require_pipeline_auth = false;
  net::TlsServerOptions tls;
  // Where HTTP connectors of pipelines may connect to: public addresses, and these.
  std::shared_ptr<const net::AddressPolicy> egress;
  std::uint32_t workers = 0;       // of pipelines that do not say; 0: one
  std::uint64_t memory_limit = 0;  // 0: none
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
  bool watch = true;  // follow changes of the pipelines' files
  ServeLimits limits;
  std::optional<std::vector<std::string>> secret_names;  // environment variables that pipelines may read; nothing: all
  std::string secrets_dir;                               // where `!secret.file` may read
  std::vector<std::string> allow_paths;                  // beside each pipeline's own folder
  bool allow_exec = false;
  std::map<std::string, std::string> llm;        // `llm.openai.api_key` → what it is
  std::map<std::string, llm::Price> llm_prices;  // by model
  std::string otlp_endpoint;                     // where traces go; empty: nowhere
  bool log_access = false;                       // a line per request
};

struct LoadedConfig {
  ServeConfig config;
  lang::Diagnostics diagnostics;
  std::shared_ptr<FileTable> files;
};

// Relative paths are relative to the file's folder. An empty path: the defaults.
[[nodiscard]] LoadedConfig load_config(const std::string& path, const Env& env);
// The table of options, for documentation.
[[nodiscard]] const std::vector<config::OptionSpec>& config_specs();

// The whole file, if it is no larger than that.
[[nodiscard]] Result<std::string> read_text(const std::string& path, std::uint64_t bytes_max, Disk& disk);

}  // namespace thalweg::daemon
