#include "connectors/postgres/descriptor.h"

#include <algorithm>

#include "connectors/postgres/catalog.h"
#include "connectors/postgres/cdc_source.h"
#include "connectors/postgres/settings.h"
#include "connectors/postgres/sink.h"
#include "connectors/postgres/source.h"

namespace thalweg {

namespace {

using postgres::ReadSettings;
using postgres::WriteSettings;

Result<std::unique_ptr<Source>> make_postgres_source(const plan::Source& source, Env&) {
  auto settings = TRY(ReadSettings::from(source.args, source.name));
  if (settings.is_static) return std::make_unique<postgres::StaticSource>(source, std::move(settings));
  return std::make_unique<postgres::CdcSource>(source, std::move(settings));
}

// The columns as the server has them, asked for once.
Result<std::vector<plan::SourceField>> fields_from_catalogue(const ReadSettings& settings, Env& env) {
  // A check must not wait for long.
  postgres::Access access = settings.access;
  if (std::ranges::none_of(access.parameters, [](const auto& p) { return p.first == "connect_timeout"; }))
    access.parameters.emplace_back("connect_timeout", "3");
  auto connection = TRY(postgres::Connection::open(access, env));
  const postgres::TableInfo table = TRY(postgres::find_table(*connection, settings.table));
  std::vector<plan::SourceField> out;
  for (const postgres::TableColumn& column : table.columns) {
    const Type type = postgres::natural_type(column.type).value_or(Type(Kind::kStr));
    const bool in_key = std::ranges::find(table.primary_key, column.name) != table.primary_key.end();
    out.push_back({.name = column.name,
                   .external_name = column.name,
                   .type = column.not_null ? type : type.as_optional(),
                   .primary_key = in_key});
  }
  return out;
}

Result<plan::SourceShape> describe_postgres_table(const Setting& args, const std::vector<plan::SourceField>& schema,
                                                  Env& env) {
  const ReadSettings settings = TRY(ReadSettings::from(args, ""));
  plan::SourceShape shape;
  shape.fields = schema;
  shape.append_only = settings.is_static || settings.append_only;
  if (settings.is_static || settings.append_only) shape.upsert = false;
  if (!schema.empty()) return shape;
  shape.inferred = true;
  auto found = fields_from_catalogue(settings, env);
  if (found)
    shape.fields = std::move(*found);
  else
    shape.warnings.push_back("the columns are not known without the database: " + found.error().message);
  return shape;
}

ConnectorDescriptor postgres_reader() {
  ConnectorDescriptor out;
  out.spec = {.name = "io.postgres.read",
              .role = config::ConnectorSpec::Role::kSource,
              .doc =
                  "A table of Postgres: once, or with its changes as the database commits them. Without a schema the "
                  "columns are those of the database.",
              .example = "!io.postgres.read {postgres_settings: $db, table_name: orders, schema: $schema}",
              .options = postgres::read_options(),
              .upsert_by_default = true};
  out.make_source = make_postgres_source;
  out.delivery = Delivery::kExactlyOnce;
  out.probe = [](const Setting& args, Env& env) -> Result<void> {
    const ReadSettings settings = TRY(ReadSettings::from(args, ""));
    auto connection = TRY(postgres::Connection::open(settings.access, env));
    TRY(postgres::find_table(*connection, settings.table));
    return {};
  };
  out.describe = describe_postgres_table;
  return out;
}

ConnectorDescriptor postgres_writer(std::string name, std::string doc, std::string example, bool snapshot) {
  ConnectorDescriptor out;
  out.spec = {.name = std::move(name),
              .role = config::ConnectorSpec::Role::kSink,
              .doc = std::move(doc),
              .example = std::move(example),
              .options = postgres::write_options(snapshot)};
  out.delivery = Delivery::kExactlyOnce;
  out.make_sink = [snapshot](const plan::Output& output, const Schema& schema, Env&) -> Result<std::unique_ptr<Sink>> {
    auto settings = TRY(WriteSettings::from(output.args, schema, output.name, snapshot));
    return std::make_unique<postgres::PostgresSink>(std::move(settings), schema);
  };
  out.probe = [](const Setting& args, Env& env) -> Result<void> {
    const postgres::Access access = TRY(postgres::Access::from(args, ""));
    auto connection = TRY(postgres::Connection::open(access, env));
    TRY(connection->run("SELECT 1"));
    return {};
  };
  out.check = [snapshot](const Setting& args, const Schema& schema) -> Result<void> {
    TRY(WriteSettings::from(args, schema, "", snapshot));
    return {};
  };
  return out;
}

}  // namespace

std::vector<ConnectorDescriptor> postgres_connectors() {
  std::vector<ConnectorDescriptor> out;
  out.push_back(postgres_reader());
  out.push_back(postgres_writer(
      "io.postgres.write", "Changes, or the table as it is now, in a table of Postgres. A commit is one transaction.",
      "!io.postgres.write {table: $counts, postgres_settings: $db, table_name: counts}", false));
  out.push_back(
      postgres_writer("io.postgres.write_snapshot", "The table as it is now in a table of Postgres.",
                      "!io.postgres.write_snapshot {table: $counts, postgres_settings: $db, table_name: counts, "
                      "primary_key: [word]}",
                      true));
  return out;
}

}  // namespace thalweg
