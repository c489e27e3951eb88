#include "connectors/postgres/settings.h"

#include <algorithm>

#include <fmt/format.h>

#include "connectors/setting_reader.h"

namespace thalweg::postgres {

namespace {

using config::OptionSpec;
using config::OptionType;

std::string scalar_text(const Setting& value) {
  if (const std::string* text = value.as_text()) return *text;
  if (const std::int64_t* number = value.as_int()) return std::to_string(*number);
  if (const bool* flag = value.as_bool()) return *flag ? "true" : "false";
  return value.spelling;
}

// What belongs to a connection, flat or in `postgres_settings`.
std::vector<OptionSpec> access_fields() {
  return {
      {.name = "host", .doc = "name, address, or the folder of a Unix socket", .aliases = {"hostname"}},
      {.name = "port", .type = OptionType::kInt, .doc = "5432", .min = 1, .max = 65535},
      {.name = "dbname", .doc = "the database", .aliases = {"database"}},
      {.name = "user", .doc = "the role", .aliases = {"username"}},
      {.name = "password", .doc = "its password", .secret = true, .example = "!secret.env DB_PASSWORD"},
      {.name = "password_file", .type = OptionType::kPath, .doc = "a file with the password, read at every connect"},
      {.name = "password_command",
       .type = OptionType::kAny,
       .doc = "a program that prints the password, asked at every connect; a list, or a line for the shell",
       .example = "[vault, read, -field=password, db/app]"},
      {.name = "sslmode",
       .type = OptionType::kEnum,
       .doc = "as libpq has it",
       .choices = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}},
      {.name = "sslrootcert", .type = OptionType::kPath, .doc = "certificates that are trusted"}};
}

constexpr std::string_view kPasswordFields[] = {"password", "password_file", "password_command"};

void add_parameter(Access& access, std::string_view name, const Setting& value) {
  std::erase_if(access.parameters, [&](const auto& have) { return have.first == name; });
  access.parameters.emplace_back(name, scalar_text(value));
}

Result<void> take_password(const Setting& from, Access& access) {
  const SettingReader read(from);
  if (read.has("password")) access.password = scalar_text(*from.find("password"));
  if (read.has("password_file")) access.password_file = read.text("password_file");
  const Setting* command = from.find("password_command");
  if (command != nullptr && !command->is_null()) {
    access.command_is_shell = command->as_text() != nullptr;
    access.password_command =
        access.command_is_shell ? std::vector{*command->as_text()} : read.texts("password_command");
    if (access.password_command.empty())
      return fail(Code::kInvalidPipeline, "`password_command` is a program with its arguments, or a line for the shell",
                  command->span);
  }
  return {};
}

void take_parameters(const Setting& from, Access& access) {
  const Setting::Map* map = from.as_map();
  if (map == nullptr) return;
  for (const auto& [name, value] : *map) {
    const bool secret = std::ranges::find(kPasswordFields, std::string_view(name)) != std::end(kPasswordFields);
    if (!secret && !value.is_null()) add_parameter(access, name, value);
  }
}

const std::string* parameter(const Access& access, std::string_view name) {
  for (const auto& [key, value] : access.parameters)
    if (key == name) return &value;
  return nullptr;
}

Result<std::vector<std::uint32_t>> columns_of(const SettingReader& read, const char* argument, const Schema& schema) {
  std::vector<std::uint32_t> columns;
  for (std::string name : read.texts(argument)) {
    if (auto dot = name.rfind('.'); dot != std::string::npos && !schema.find(name)) name = name.substr(dot + 1);
    const auto column = schema.find(name);
    if (!column)
      return fail(Code::kInvalidPipeline,
                  fmt::format("`{}` names column `{}`, which the table does not have", argument, name),
                  read.span(argument));
    columns.push_back(static_cast<std::uint32_t>(*column));
  }
  return columns;
}

Result<void> take_bad_rows(const SettingReader& read, BadRowPolicy::Action& action, std::string& path) {
  const std::string choice = read.text("on_bad_row");
  path = read.text("dead_letter");
  if (choice == "fail")
    action = BadRowPolicy::Action::kFail;
  else if (choice == "skip")
    action = BadRowPolicy::Action::kSkip;
  else
    action = path.empty() ? BadRowPolicy::Action::kLog : BadRowPolicy::Action::kDeadLetter;
  return {};
}

Result<void> need_table(const SettingReader& read, TableName& out) {
  out.schema = read.text("schema_name", "public");
  out.table = read.text("table_name");
  if (out.table.empty()) return fail(Code::kInvalidPipeline, "`table_name` is empty", read.span("table_name"));
  return {};
}

void add_access(std::vector<OptionSpec>& out) {
  out.push_back(
      {.name = "postgres_settings",
       .type = OptionType::kMap,
       .doc = "how the server is reached; libpq's other parameters too",
       .aliases = {"connection", "postgres_setting"},
       .fields = access_fields(),
       .open = true,
       .example = "{host: localhost, port: 5432, dbname: app, user: app, password: !secret.env DB_PASSWORD}"});
  for (OptionSpec& option : access_fields()) out.push_back(std::move(option));
  out.push_back({.name = "table_name", .required = true, .doc = "the table of the database"});
  out.push_back({.name = "schema_name", .fallback = "public", .doc = "its schema"});
}

void add_bad_rows(std::vector<OptionSpec>& out, const char* what) {
  out.push_back(
      {.name = "on_bad_row", .type = OptionType::kEnum, .doc = what, .choices = {"dead_letter", "skip", "fail"}});
  out.push_back({.name = "dead_letter",
                 .type = OptionType::kPathOrTable,
                 .doc = "a file for bad rows (JSON lines), or the name of a table of them"});
}

}  // namespace

std::string quoted_name(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string quoted_literal(std::string_view text) {
  std::string out;
  bool escapes = false;
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += c;
    escapes = escapes || c == '\\';
    out += c;
  }
  return (escapes ? "E'" : "'") + out + '\'';
}

std::string TableName::quoted() const { return quoted_name(schema) + '.' + quoted_name(table); }

std::string Access::place() const {
  const auto get = [&](std::string_view key, const char* fallback) {
    const std::string* value = parameter(*this, key);
    return value != nullptr ? *value : std::string(fallback);
  };
  return fmt::format("{}@{}:{}/{}", get("user", "?"), get("host", "localhost"), get("port", "5432"),
                     get("dbname", "?"));
}

Result<Access> Access::from(const Setting& args, const std::string& who) {
  Access out;
  out.name = who;
  if (const Setting* block = args.find("postgres_settings"); block != nullptr && !block->is_null()) {
    take_parameters(*block, out);
    TRY(take_password(*block, out));
  }
  for (const OptionSpec& field : access_fields()) {
    const Setting* value = args.find(field.name);
    const bool secret = std::ranges::find(kPasswordFields, std::string_view(field.name)) != std::end(kPasswordFields);
    if (value != nullptr && !value->is_null() && !secret) add_parameter(out, field.name, *value);
  }
  TRY(take_password(args, out));
  const int ways =
      (out.password.empty() ? 0 : 1) + (out.password_file.empty() ? 0 : 1) + (out.password_command.empty() ? 0 : 1);
  if (ways > 1)
    return fail(Code::kInvalidPipeline, "one of `password`, `password_file`, `password_command` is enough", args.span);
  if (parameter(out, "host") == nullptr && parameter(out, "hostaddr") == nullptr &&
      parameter(out, "service") == nullptr)
    return fail(Error{Code::kInvalidPipeline,
                      "no server is named",
                      args.span,
                      {{"give `postgres_settings: {host, port, dbname, user, password}`, or these arguments", {}}}});
  return out;
}

Result<WriteSettings> WriteSettings::from(const Setting& args, const Schema& schema, const std::string& name,
                                          bool snapshot) {
  const SettingReader read(args);
  WriteSettings s;
  s.access = TRY(Access::from(args, name));
  TRY(need_table(read, s.table));
  s.snapshot = snapshot || read.flag("upsert", false) || read.text("output_table_type") == "snapshot";
  const std::string init = read.text("init_mode");
  s.init = init == "replace"                ? InitMode::kReplace
           : init == "create_if_not_exists" ? InitMode::kCreateIfNotExists
                                            : InitMode::kDefault;
  s.batch_rows_max = static_cast<std::size_t>(read.integer("max_batch_size", 0));
  s.exactly_once = read.text("delivery") == "exactly_once";
  s.at_least_once = read.text("delivery") == "at_least_once";
  s.sort_by = TRY(columns_of(read, "sort_by", schema));
  TRY(take_bad_rows(read, s.bad_rows, s.dead_letters));
  s.key = TRY(columns_of(read, read.has("primary_key") ? "primary_key" : "table_key", schema));
  if (s.snapshot && s.key.empty())
    return fail(Error{Code::kInvalidPipeline,
                      "a snapshot is kept by key, and the table has no primary key of its own",
                      args.span,
                      {{"give `primary_key:`, columns that a unique index of the database covers", {}}}});
  if (!s.snapshot && read.has("primary_key"))
    return fail(Error{Code::kInvalidPipeline,
                      "`primary_key` goes with `output_table_type: snapshot`",
                      read.span("primary_key"),
                      {{"a stream of changes keeps every change", {}}}});
  if (!s.snapshot)
    for (const char* added : {"time", "diff"})
      if (schema.find(added))
        return fail(
            Error{Code::kInvalidPipeline,
                  fmt::format("the table has a column `{}`, and a stream of changes adds one of that name", added),
                  args.span,
                  {{"rename the column, or write `output_table_type: snapshot`", {}}}});
  return s;
}

Result<ReadSettings> ReadSettings::from(const Setting& args, const std::string& name) {
  const SettingReader read(args);
  ReadSettings s;
  s.access = TRY(Access::from(args, name));
  TRY(need_table(read, s.table));
  s.is_static = read.text("mode", "streaming") == "static";
  s.append_only = read.flag("is_append_only", false);
  s.connections = read.integer("connections", 1);
  s.publication = read.text("publication_name");
  s.slot = read.text("replication_slot_name");
  if (const Setting* block = read.map("replication_settings")) {
    const SettingReader inner(*block);
    if (s.publication.empty()) s.publication = inner.text("publication_name");
    if (s.slot.empty()) s.slot = inner.text("replication_slot_name");
  }
  s.resnapshot_on_loss = read.text("on_loss") == "resnapshot";
  TRY(take_bad_rows(read, s.bad_rows, s.dead_letters));
  return s;
}

std::vector<OptionSpec> read_options() {
  std::vector<OptionSpec> out;
  add_access(out);
  out.push_back({.name = "mode",
                 .type = OptionType::kEnum,
                 .fallback = "streaming",
                 .doc = "`static` reads the table once; `streaming` reads it, then follows its changes",
                 .choices = {"streaming", "static"}});
  out.push_back({.name = "is_append_only",
                 .type = OptionType::kBool,
                 .fallback = "false",
                 .doc = "rows of the table are neither changed nor deleted; an update or a deletion ends the run",
                 .aliases = {"append_only"}});
  out.push_back({.name = "connections",
                 .type = OptionType::kInt,
                 .fallback = "1",
                 .doc = "how many connections read the table at once, all as of one moment",
                 .aliases = {"num_connections"},
                 .min = 1,
                 .max = 64});
  out.push_back({.name = "publication_name",
                 .doc = "a publication that has the table; one of our own is made where none is given",
                 .aliases = {"publication"}});
  out.push_back({.name = "replication_slot_name",
                 .doc = "a slot for this source alone; made where it is not there. Without one: a slot of our own, "
                        "temporary unless positions are kept",
                 .aliases = {"slot_name", "replication_slot"}});
  out.push_back({.name = "replication_settings",
                 .type = OptionType::kMap,
                 .doc = "`!io.postgres.PsqlReplicationSettings`: the two names together",
                 .aliases = {"replication", "psql_replication_settings", "replication_setting"},
                 .fields = {{.name = "publication_name"}, {.name = "replication_slot_name"}}});
  out.push_back({.name = "on_loss",
                 .type = OptionType::kEnum,
                 .fallback = "fail",
                 .doc = "the slot is gone or ahead of what is known here: end the run, or read the whole table again",
                 .choices = {"fail", "resnapshot"}});
  add_bad_rows(out, "`dead_letter` keeps rows with values that do not fit, `skip` only logs them, `fail` ends the run");
  out.push_back({.name = "autocommit_duration_ms",
                 .type = OptionType::kInt,
                 .doc = "accepted for compatibility; a transaction of the database is one of ours"});
  out.push_back(
      {.name = "max_backlog_size",
       .type = OptionType::kInt,
       .doc =
           "at most so many records are read and not yet visible: the reader waits (but a transaction is never split)",
       .min = 1});
  out.push_back({.name = "debug_data", .type = OptionType::kAny, .doc = "accepted for compatibility; not used"});
  return out;
}

std::vector<OptionSpec> write_options(bool snapshot) {
  std::vector<OptionSpec> out;
  add_access(out);
  if (!snapshot) {
    out.push_back({.name = "output_table_type",
                   .type = OptionType::kEnum,
                   .fallback = "stream_of_changes",
                   .doc = "`stream_of_changes` appends every change with `time` and `diff`; `snapshot` keeps the table "
                          "as it is now",
                   .choices = {"stream_of_changes", "snapshot"}});
    out.push_back({.name = "upsert", .type = OptionType::kBool, .fallback = "false", .doc = "the same as a snapshot"});
  }
  out.push_back({.name = "primary_key",
                 .type = OptionType::kTextList,
                 .doc = "columns that tell rows apart in a snapshot; a unique index covers them. Default: the table's "
                        "primary key",
                 .aliases = {"key_columns"}});
  out.push_back(
      {.name = "init_mode",
       .type = OptionType::kEnum,
       .fallback = "default",
       .doc = "`default` needs the table to be there, `create_if_not_exists` makes it, `replace` makes it anew",
       .choices = {"default", "create_if_not_exists", "replace"}});
  out.push_back({.name = "max_batch_size",
                 .type = OptionType::kInt,
                 .doc = "rows of one COPY; a commit is one transaction whatever it takes",
                 .min = 1});
  out.push_back({.name = "delivery",
                 .type = OptionType::kEnum,
                 .doc = "`exactly_once` keeps the last commit in the table `thalweg_commits`, in the transaction that "
                        "writes its rows; so it is where the pipeline keeps state, unless this says `at_least_once`",
                 .choices = {"at_least_once", "exactly_once"}});
  add_bad_rows(out, "rows that do not fit the table: `dead_letter` keeps them, `skip` drops them, `fail` ends the run");
  return out;
}

}  // namespace thalweg::postgres
