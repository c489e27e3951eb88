#include "connectors/null/descriptor.h"

#include "connectors/null/sink.h"
#include "connectors/setting_reader.h"

namespace thalweg {

std::vector<ConnectorDescriptor> null_connectors() {
  std::vector<ConnectorDescriptor> out(2);
  out[0].spec = {.name = "io.null.write",
                 .role = config::ConnectorSpec::Role::kSink,
                 .doc = "Computes the table and throws its changes away.",
                 .example = "!io.null.write {table: $counts}"};
  out[0].make_sink = [](const plan::Output&, const Schema&, Env&) -> Result<std::unique_ptr<Sink>> {
    return std::make_unique<NullSink>();
  };
  out[1].spec = {.name = "io.stdout.write",
                 .role = config::ConnectorSpec::Role::kSink,
                 .doc = "Prints changes to the standard output, as tables or JSON lines.",
                 .example = "!io.stdout.write {table: $counts, format: jsonlines}",
                 .options = {{.name = "format",
                              .type = config::OptionType::kEnum,
                              .fallback = "table",
                              .doc = "`table` prints one aligned table per commit",
                              .choices = {"table", "jsonlines", "json"}}}};
  out[1].make_sink = [](const plan::Output& output, const Schema& schema, Env&) -> Result<std::unique_ptr<Sink>> {
    bool as_table = SettingReader(output.args).text("format", "table") == "table";
    return std::make_unique<StdoutSink>(schema, as_table, write_to_stdout);
  };
  return out;
}

}  // namespace thalweg
