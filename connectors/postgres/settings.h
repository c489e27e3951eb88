// connectors/postgres/settings.h
//
// What the readers and writers of Postgres take, and how a server is reached.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "config/option_spec.h"
#include "connectors/formats/report.h"
#include "engine/base/result.h"
#include "engine/base/setting.h"
#include "engine/types/schema.h"

namespace thalweg::postgres {

// The password is asked for at every connect: files and programs may give another one each time.
struct Access {
  std::vector<std::pair<std::string, std::string>> parameters;  // libpq's, without the password
  std::string password;
  std::string password_file;
  std::vector<std::string> password_command;
  bool command_is_shell = false;
  std::string name;  // of the source or sink, for application_name

  static Result<Access> from(const Setting& args, const std::string& who);
  [[nodiscard]] std::string place() const;  // `user@host:port/dbname`, for messages
};

struct TableName {
  std::string schema;
  std::string table;
  [[nodiscard]] std::string quoted() const;
  [[nodiscard]] std::string text() const { return schema + "." + table; }
};

[[nodiscard]] std::string quoted_name(std::string_view name);     // "a""b"
[[nodiscard]] std::string quoted_literal(std::string_view text);  // 'it''s'

enum class InitMode : std::uint8_t { kDefault, kCreateIfNotExists, kReplace };

struct WriteSettings {
  Access access;
  TableName table;
  bool snapshot = false;
  InitMode init = InitMode::kDefault;
  std::vector<std::uint32_t> key;  // columns; snapshots
  std::vector<std::uint32_t> sort_by;
  std::size_t batch_rows_max = 0;  // rows of one COPY; 0: all of a commit
  bool exactly_once = false;       // asked for; else it is done where state is kept
  bool at_least_once = false;      // asked for
  BadRowPolicy::Action bad_rows = BadRowPolicy::Action::kLog;
  std::string dead_letters;

  static Result<WriteSettings> from(const Setting& args, const Schema& schema, const std::string& name, bool snapshot);
};

struct ReadSettings {
  Access access;
  TableName table;
  bool is_static = false;
  bool append_only = false;
  std::int64_t connections = 1;
  std::string publication;
  std::string slot;  // empty: our own
  bool resnapshot_on_loss = false;
  BadRowPolicy::Action bad_rows = BadRowPolicy::Action::kLog;
  std::string dead_letters;

  static Result<ReadSettings> from(const Setting& args, const std::string& name);
};

[[nodiscard]] std::vector<config::OptionSpec> read_options();
[[nodiscard]] std::vector<config::OptionSpec> write_options(bool snapshot);

}  // namespace thalweg::postgres
