#include "connectors/registry.h"

#include <algorithm>

#include "connectors/documents/descriptor.h"
#include "connectors/exec/descriptor.h"
#include "connectors/file/descriptor.h"
#include "connectors/generator/descriptor.h"
#include "connectors/http/descriptor.h"
#include "connectors/kafka/descriptor.h"
#include "connectors/null/descriptor.h"
#include "connectors/postgres/descriptor.h"
#include "connectors/s3/descriptor.h"
#include "connectors/sqlite/descriptor.h"

namespace thalweg {

namespace {

std::vector<ConnectorDescriptor> build_table() {
  std::vector<ConnectorDescriptor> table;
  for (auto make : {document_connectors, exec_connectors, file_connectors, generator_connectors, http_connectors,
                    kafka_connectors, null_connectors, postgres_connectors, s3_connectors, sqlite_connectors})
    for (ConnectorDescriptor& connector : make()) table.push_back(std::move(connector));
  return table;
}

class RegistryFactory final : public ConnectorFactory {
 public:
  explicit RegistryFactory(ConnectorServices services) : services_(std::move(services)) {}
  Result<std::unique_ptr<Source>> make_source(const plan::Source& source, Env& env) override {
    const ConnectorDescriptor* connector = find_connector(source.connector);
    if (connector && connector->make_served_source) return connector->make_served_source(source, env, services_);
    if (!connector || !connector->make_source)
      return fail(Code::kInvalidPipeline, "`" + source.connector + "` is not a source of this version");
    return connector->make_source(source, env);
  }
  Result<std::unique_ptr<Sink>> make_sink(const plan::Output& output, const Schema& schema, Env& env) override {
    const ConnectorDescriptor* connector = find_connector(output.connector);
    if (connector && connector->make_served_sink) return connector->make_served_sink(output, schema, env, services_);
    if (!connector || !connector->make_sink)
      return fail(Code::kInvalidPipeline, "`" + output.connector + "` is not a sink of this version");
    return connector->make_sink(output, schema, env);
  }

 private:
  const ConnectorServices services_;
};

}  // namespace

const std::vector<ConnectorDescriptor>& all_connectors() {
  static const std::vector<ConnectorDescriptor> table = build_table();
  return table;
}

const ConnectorDescriptor* find_connector(std::string_view name) {
  for (const ConnectorDescriptor& connector : all_connectors()) {
    const auto& aliases = connector.spec.aliases;
    if (connector.spec.name == name || std::find(aliases.begin(), aliases.end(), name) != aliases.end())
      return &connector;
  }
  return nullptr;
}

const std::vector<std::string>& known_but_not_built() {
  static const std::vector<std::string> names = {
      "io.airbyte.read",       "io.amqp.read",           "io.amqp.write",       "io.azure_blob.read",
      "io.azure_blob.write",   "io.bigquery.write",      "io.chroma.write",     "io.clickhouse.write",
      "io.deltalake.read",     "io.deltalake.write",     "io.duckdb.write",     "io.dynamodb.write",
      "io.elasticsearch.read", "io.elasticsearch.write", "io.gcp_storage.read", "io.gcp_storage.write",
      "io.iceberg.read",       "io.iceberg.write",       "io.kinesis.read",     "io.kinesis.write",
      "io.logstash.write",     "io.milvus.write",        "io.mongodb.read",     "io.mongodb.write",
      "io.mqtt.read",          "io.mqtt.write",          "io.mssql.read",       "io.mssql.write",
      "io.mysql.read",         "io.mysql.write",         "io.nats.read",        "io.nats.write",
      "io.pinecone.write",     "io.pubsub.write",        "io.pulsar.read",      "io.pulsar.write",
      "io.pyfilesystem.read",  "io.qdrant.write",        "io.questdb.write",    "io.rabbitmq.read",
      "io.rabbitmq.write",     "io.slack.send_alerts",   "io.weaviate.write"};
  return names;
}

std::unique_ptr<ConnectorFactory> make_connector_factory(ConnectorServices services) {
  return std::make_unique<RegistryFactory>(std::move(services));
}

}  // namespace thalweg
