#include "connectors/sqlite/descriptor.h"

#include <algorithm>

#include <fmt/format.h>

#include "connectors/setting_reader.h"
#include "connectors/sqlite/sink.h"
#include "connectors/sqlite/source.h"

namespace thalweg {

namespace {

using config::OptionSpec;
using config::OptionType;

std::vector<OptionSpec> common_options(const char* bad_rows) {
  return {
      {.name = "path", .type = OptionType::kPath, .required = true, .doc = "the database", .aliases = {"filename"}},
      {.name = "table_name", .required = true, .doc = "its table"},
      {.name = "on_bad_row", .type = OptionType::kEnum, .doc = bad_rows, .choices = {"dead_letter", "skip", "fail"}},
      {.name = "dead_letter",
       .type = OptionType::kPathOrTable,
       .doc = "a file for bad rows (JSON lines), or the name of a table of them"}};
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

Result<sqlite::ReadSettings> read_settings(const Setting& args) {
  const SettingReader read(args);
  sqlite::ReadSettings s;
  s.path = read.text("path");
  s.table = read.text("table_name");
  s.is_static = read.text("mode", "streaming") == "static";
  s.poll_ns = read.integer("poll_interval", 500'000'000);
  TRY(take_bad_rows(read, s.bad_rows, s.dead_letters));
  return s;
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

Result<sqlite::WriteSettings> write_settings(const Setting& args, const Schema& schema, const std::string& name) {
  const SettingReader read(args);
  sqlite::WriteSettings s;
  s.path = read.text("path");
  s.table = read.text("table_name");
  s.name = name;
  s.snapshot = read.flag("upsert", false) || read.text("output_table_type") == "snapshot";
  const std::string init = read.text("init_mode");
  s.init = init == "replace"                ? sqlite::InitMode::kReplace
           : init == "create_if_not_exists" ? sqlite::InitMode::kCreateIfNotExists
                                            : sqlite::InitMode::kDefault;
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
    return fail(Code::kInvalidPipeline, "`primary_key` goes with `output_table_type: snapshot`",
                read.span("primary_key"));
  for (const char* added : {"time", "diff"})
    if (!s.snapshot && schema.find(added))
      return fail(
          Error{Code::kInvalidPipeline,
                fmt::format("the table has a column `{}`, and a stream of changes adds one of that name", added),
                args.span,
                {{"rename the column, or write `output_table_type: snapshot`", {}}}});
  return s;
}

Result<plan::SourceShape> describe_sqlite_table(const Setting& args, const std::vector<plan::SourceField>& schema,
                                                Env&) {
  const sqlite::ReadSettings settings = TRY(read_settings(args));
  plan::SourceShape shape;
  shape.fields = schema;
  shape.append_only = settings.is_static;
  if (settings.is_static) shape.upsert = false;
  if (!schema.empty()) return shape;
  shape.inferred = true;
  auto database = sqlite::Database::open(settings.path, sqlite::Database::Mode::kRead);
  const auto table = database ? sqlite::describe_table(*database, settings.table)
                              : Result<std::optional<sqlite::TableInfo>>(fail(database.error()));
  if (!table || !*table) {
    shape.warnings.push_back(!table ? table.error().message
                                    : fmt::format("the database has no table `{}`", settings.table));
    return shape;
  }
  for (const sqlite::TableColumn& column : (*table)->columns) {
    const Type type = sqlite::type_of_declaration(column.declared);
    shape.fields.push_back({.name = column.name,
                            .external_name = column.name,
                            .type = column.not_null || column.key_part > 0 ? type : type.as_optional(),
                            .primary_key = column.key_part > 0});
  }
  return shape;
}

ConnectorDescriptor sqlite_reader() {
  ConnectorDescriptor out;
  out.spec = {.name = "io.sqlite.read",
              .role = config::ConnectorSpec::Role::kSource,
              .doc = "A table of SQLite: once, or compared again whenever somebody has written to the database.",
              .example = "!io.sqlite.read {path: ./app.db, table_name: users, schema: $schema}",
              .options = common_options("`dead_letter` keeps rows with values that do not fit, `skip` drops them from "
                                        "the error log, `fail` ends the run"),
              .upsert_by_default = true};
  auto& options = out.spec.options;
  options.push_back({.name = "mode",
                     .type = OptionType::kEnum,
                     .fallback = "streaming",
                     .doc = "`static` reads the table once",
                     .choices = {"streaming", "static"}});
  options.push_back({.name = "poll_interval",
                     .type = OptionType::kDuration,
                     .fallback = "500ms",
                     .doc = "how often it is looked whether somebody has written",
                     .min = 0.001});
  options.push_back({.name = "autocommit_duration_ms",
                     .type = OptionType::kInt,
                     .doc = "accepted for compatibility; a reading of the table is one transaction"});
  options.push_back({.name = "max_backlog_size",
                     .type = OptionType::kInt,
                     .doc = "at most so many records are read and not yet visible: the reader waits (but a "
                            "transaction is never split)",
                     .min = 1});
  options.push_back({.name = "debug_data", .type = OptionType::kAny, .doc = "accepted for compatibility; not used"});
  out.delivery = Delivery::kExactlyOnce;
  out.make_source = [](const plan::Source& source, Env&) -> Result<std::unique_ptr<Source>> {
    return std::make_unique<sqlite::SqliteSource>(source, TRY(read_settings(source.args)));
  };
  out.describe = describe_sqlite_table;
  out.probe = [](const Setting& args, Env&) -> Result<void> {
    const sqlite::ReadSettings settings = TRY(read_settings(args));
    const auto database = TRY(sqlite::Database::open(settings.path, sqlite::Database::Mode::kRead));
    if (!TRY(sqlite::describe_table(database, settings.table)))
      return fail(Code::kNotFound, fmt::format("the database '{}' has no table `{}`", settings.path, settings.table));
    return {};
  };
  return out;
}

ConnectorDescriptor sqlite_writer() {
  ConnectorDescriptor out;
  out.spec = {.name = "io.sqlite.write",
              .role = config::ConnectorSpec::Role::kSink,
              .doc = "Changes, or the table as it is now, in a table of SQLite. A commit is one transaction.",
              .example =
                  "!io.sqlite.write {table: $counts, path: ./out.db, table_name: counts, init_mode: "
                  "create_if_not_exists}",
              .options = common_options("rows that do not fit the table: `dead_letter` keeps them, `skip` drops them, "
                                        "`fail` ends the run")};
  auto& options = out.spec.options;
  options.push_back({.name = "output_table_type",
                     .type = OptionType::kEnum,
                     .fallback = "stream_of_changes",
                     .doc =
                         "`stream_of_changes` appends every change with `time` and `diff`; `snapshot` keeps the table "
                         "as it is now",
                     .choices = {"stream_of_changes", "snapshot"}});
  options.push_back(
      {.name = "upsert", .type = OptionType::kBool, .fallback = "false", .doc = "the same as a snapshot"});
  options.push_back({.name = "primary_key",
                     .type = OptionType::kTextList,
                     .doc = "columns that tell rows apart in a snapshot; a unique index covers them. Default: the "
                            "table's primary key",
                     .aliases = {"key_columns"}});
  options.push_back({.name = "init_mode",
                     .type = OptionType::kEnum,
                     .fallback = "default",
                     .doc =
                         "`default` needs the table to be there, `create_if_not_exists` makes it, `replace` makes it "
                         "anew",
                     .choices = {"default", "create_if_not_exists", "replace"}});
  options.push_back({.name = "max_batch_size",
                     .type = OptionType::kInt,
                     .doc = "accepted for compatibility; a commit is one transaction",
                     .min = 1});
  options.push_back({.name = "delivery",
                     .type = OptionType::kEnum,
                     .doc = "`exactly_once` keeps the last commit in the table `thalweg_commits`, in the transaction "
                            "that writes its rows; so it is where the pipeline keeps state, unless this says "
                            "`at_least_once`",
                     .choices = {"at_least_once", "exactly_once"}});
  out.delivery = Delivery::kExactlyOnce;
  out.make_sink = [](const plan::Output& output, const Schema& schema, Env&) -> Result<std::unique_ptr<Sink>> {
    return std::make_unique<sqlite::SqliteSink>(TRY(write_settings(output.args, schema, output.name)), schema);
  };
  out.check = [](const Setting& args, const Schema& schema) -> Result<void> {
    TRY(write_settings(args, schema, ""));
    return {};
  };
  return out;
}

}  // namespace

std::vector<ConnectorDescriptor> sqlite_connectors() {
  std::vector<ConnectorDescriptor> out;
  out.push_back(sqlite_reader());
  out.push_back(sqlite_writer());
  return out;
}

}  // namespace thalweg
