#include "connectors/kafka/descriptor.h"

#include <algorithm>

#include "connectors/kafka/sink.h"
#include "connectors/kafka/source.h"

namespace thalweg {

namespace {

using config::ConnectorSpec;
using From = plan::SourceField::From;

plan::SourceField kafka_field(std::string name, Type type, From from) {
  return {.name = name, .external_name = name, .type = std::move(type), .from = from};
}

Result<std::unique_ptr<Source>> make_kafka_source(const plan::Source& source, Env&) {
  // A source without a column from a schema is raw; where the format is given, this does not matter.
  const bool has_schema = std::ranges::any_of(
      source.fields, [](const auto& field) { return field.from == From::kPayload && field.name != "data"; });
  auto settings = TRY(kafka::ReadSettings::from(source.connector, source.args, has_schema));
  return std::make_unique<kafka::KafkaSource>(TRY(kafka::SourceShared::of(source, std::move(settings))));
}

Result<plan::SourceShape> describe_topic(const std::string& connector, const Setting& args,
                                         const std::vector<plan::SourceField>& schema) {
  const auto settings = TRY(kafka::ReadSettings::from(connector, args, !schema.empty()));
  plan::SourceShape shape;
  const bool keyed = std::ranges::any_of(schema, [](const plan::SourceField& field) { return field.primary_key; });
  shape.append_only = !keyed && !kafka::is_debezium(settings.format);
  if (settings.with_metadata) shape.extra.push_back(kafka_field("_metadata", Kind::kJson, From::kMetadata));
  const bool raw = settings.format == kafka::Format::kRaw || settings.format == kafka::Format::kPlainText;
  if (!raw && schema.empty())
    return fail(Code::kInvalidPipeline, "this format of `!" + connector + "` needs the argument `schema`");
  if (!raw || !schema.empty()) return shape;
  const Kind kind = settings.format == kafka::Format::kRaw ? Kind::kBytes : Kind::kStr;
  shape.fields.push_back(kafka_field("key", Type(kind).as_optional(), From::kKey));
  shape.fields.push_back(kafka_field("data", kind, From::kPayload));
  return shape;
}

ConnectorDescriptor kafka_reader(std::string name, std::string doc, std::string example,
                                 std::vector<std::string> aliases) {
  ConnectorDescriptor out;
  const bool debezium = name == "io.debezium.read";
  out.spec = {.name = name,
              .role = ConnectorSpec::Role::kSource,
              .doc = std::move(doc),
              .example = std::move(example),
              .aliases = std::move(aliases),
              .options = kafka::read_options(debezium),
              .needs_schema = debezium,
              .upsert_by_default = true};
  out.make_source = make_kafka_source;
  out.delivery = Delivery::kExactlyOnce;
  out.probe = [](const Setting& args, Env&) { return kafka::probe(args, kafka::Role::kConsumer); };
  out.describe = [name](const Setting& args, const std::vector<plan::SourceField>& schema, Env&) {
    return describe_topic(name, args, schema);
  };
  return out;
}

ConnectorDescriptor kafka_writer() {
  ConnectorDescriptor out;
  out.spec = {.name = "io.kafka.write",
              .role = ConnectorSpec::Role::kSink,
              .doc = "A message per change, or per row of a snapshot.",
              .example = "!io.kafka.write {table: $counts, brokers: [localhost:9092], topic: counts, key: word}",
              .aliases = {"io.redpanda.write", "io.rdkafka.write"},
              .options = kafka::write_options()};
  out.delivery = Delivery::kExactlyOnce;
  out.make_sink = [](const plan::Output& output, const Schema& schema, Env&) -> Result<std::unique_ptr<Sink>> {
    return std::make_unique<kafka::KafkaSink>(TRY(kafka::WriteSettings::from(output.args, schema)), schema);
  };
  out.probe = [](const Setting& args, Env&) { return kafka::probe(args, kafka::Role::kProducer); };
  out.check = [](const Setting& args, const Schema& schema) -> Result<void> {
    TRY(kafka::WriteSettings::from(args, schema));
    return {};
  };
  return out;
}

}  // namespace

std::vector<ConnectorDescriptor> kafka_connectors() {
  std::vector<ConnectorDescriptor> out;
  out.push_back(kafka_reader("io.kafka.read",
                             "Messages of Kafka topics (Redpanda, and whatever else speaks the protocol).",
                             "!io.kafka.read {brokers: [localhost:9092], topic: orders, format: json, schema: $schema}",
                             {"io.redpanda.read", "io.rdkafka.read", "io.kafka.simple_read"}));
  out.push_back(
      kafka_reader("io.debezium.read", "Changes of a database's table that Debezium writes to Kafka.",
                   "!io.debezium.read {brokers: [localhost:9092], topic: shop.public.orders, schema: !schema {id: "
                   "{type: int, primary_key: true}, total: float}}",
                   {}));
  out.push_back(kafka_writer());
  return out;
}

}  // namespace thalweg
