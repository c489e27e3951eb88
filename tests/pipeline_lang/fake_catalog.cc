#include "tests/pipeline_lang/fake_catalog.h"

namespace thalweg::lang {
namespace {

using config::ConnectorSpec;
using config::OptionSpec;
using config::OptionType;

OptionSpec option(std::string name, OptionType type, bool required = false) {
  OptionSpec out;
  out.name = std::move(name);
  out.type = type;
  out.required = required;
  return out;
}

}  // namespace

FakeCatalog::FakeCatalog() {
  ConnectorSpec csv_read;
  csv_read.name = "io.csv.read";
  csv_read.doc = "Reads CSV files.";
  csv_read.options = {option("path", OptionType::kPath, true), option("with_metadata", OptionType::kBool)};
  csv_read.options.push_back(option("mode", OptionType::kEnum));
  csv_read.options.back().choices = {"static", "streaming"};
  csv_read.options.back().fallback = "streaming";
  specs_.push_back(csv_read);

  ConnectorSpec kafka_read;
  kafka_read.name = "io.kafka.read";
  kafka_read.upsert_by_default = true;
  kafka_read.options = {option("rdkafka_settings", OptionType::kTextMap, true), option("topic", OptionType::kText),
                        option("format", OptionType::kText), option("autocommit_duration_ms", OptionType::kInt)};
  specs_.push_back(kafka_read);

  ConnectorSpec csv_write;
  csv_write.name = "io.csv.write";
  csv_write.role = ConnectorSpec::Role::kSink;
  csv_write.options = {option("path", OptionType::kPath, true)};
  csv_write.options.back().aliases = {"filename"};
  specs_.push_back(csv_write);

  ConnectorSpec postgres_write;
  postgres_write.name = "io.postgres.write";
  postgres_write.role = ConnectorSpec::Role::kSink;
  postgres_write.options = {option("postgres_settings", OptionType::kMap, true),
                            option("table_name", OptionType::kText, true)};
  postgres_write.options[0].fields = {option("host", OptionType::kText), option("port", OptionType::kInt),
                                      option("dbname", OptionType::kText), option("user", OptionType::kText),
                                      option("password", OptionType::kText)};
  postgres_write.options[0].fields[4].secret = true;
  specs_.push_back(postgres_write);
}

std::vector<const ConnectorSpec*> FakeCatalog::connectors() const {
  std::vector<const ConnectorSpec*> out;
  for (const ConnectorSpec& spec : specs_) out.push_back(&spec);
  return out;
}

Result<plan::SourceShape> FakeCatalog::describe_source(const ConnectorSpec&, const Setting& args,
                                                       const std::vector<plan::SourceField>&) const {
  plan::SourceShape out;
  plan::SourceField data;
  data.name = data.external_name = "data";
  data.type = Kind::kStr;
  out.fields.push_back(data);
  if (const Setting* mode = args.find("mode"); mode != nullptr && mode->as_text() != nullptr)
    out.append_only = *mode->as_text() == "static";
  return out;
}

}  // namespace thalweg::lang
