// connectors/kafka/settings.h
//
// What `io.kafka.*` and `io.debezium.read` take, as C++ values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/option_spec.h"
#include "connectors/formats/json.h"
#include "connectors/formats/report.h"
#include "connectors/kafka/client.h"
#include "connectors/kafka/schema_registry.h"
#include "engine/base/setting.h"
#include "engine/types/schema.h"

namespace thalweg::kafka {

enum class Format : std::uint8_t { kRaw, kPlainText, kJson, kAvro, kDebeziumPostgres, kDebeziumMongo };
enum class Start : std::uint8_t { kEarliest, kLatest, kCommitted, kTimestamp };

struct ReadSettings {
  Settings client;
  std::vector<std::string> topics;
  Format format = Format::kRaw;
  JsonPaths json_paths;
  std::optional<RegistrySettings> registry;  // messages have frames
  bool is_static = false;
  bool with_metadata = false;
  bool commits_group_offsets = false;  // for people that look at the group
  Start start = Start::kEarliest;
  std::int64_t start_ms = 0;  // kTimestamp
  Offsets start_offsets;      // of these partitions, whatever `start` says
  std::int64_t start_timeout_ns = 0;
  std::int64_t partition_check_ns = 0;
  std::int64_t commit_interval_ns = 0;
  std::size_t records_max = 0;  // of one transaction, nearly; 0: the interval alone decides
  BadRowPolicy::Action on_bad_row = BadRowPolicy::Action::kLog;
  std::string dead_letter;  // a path, or empty

  // `connector` is the canonical name; `has_schema` decides where no format is given.
  static Result<ReadSettings> from(std::string_view connector, const Setting& args, bool has_schema);
};

[[nodiscard]] inline bool is_debezium(Format format) {
  return format == Format::kDebeziumPostgres || format == Format::kDebeziumMongo;
}

enum class WriteFormat : std::uint8_t { kJson, kDsv, kRaw, kAvro };

struct WriteSettings {
  Settings client;
  std::string topic;                          // or
  std::optional<std::uint32_t> topic_column;  // the topic of each row
  WriteFormat format = WriteFormat::kJson;
  char delimiter = ',';
  std::optional<RegistrySettings> registry;
  std::string subject;                      // what the schema is registered under
  std::optional<std::uint32_t> key_column;  // none: the row's key
  std::vector<std::uint32_t> key_columns;   // snapshot: what a record is replaced by, if it is not the row's key
  std::uint32_t value_column = 0;           // kRaw
  std::vector<std::uint32_t> header_columns;
  std::vector<std::uint32_t> sort_by;
  bool change_headers = true;  // `pathway_time`, `pathway_diff`
  bool snapshot = false;
  std::optional<bool> exactly_once;  // nothing: if the pipeline keeps its state
  std::string transactional_id;      // empty: of the pipeline's and the sink's name
  std::string progress_topic;
  std::int64_t timeout_ns = 0;
  std::size_t message_bytes_max = 1'000'000;  // the library's `message.max.bytes`
  BadRowPolicy::Action bad_rows = BadRowPolicy::Action::kLog;
  std::string dead_letter;  // a path, or empty

  static Result<WriteSettings> from(const Setting& args, const Schema& schema);
};

// Brokers answer, and the topics that are named are there (where something is read).
[[nodiscard]] Result<void> probe(const Setting& args, Role role);

[[nodiscard]] std::vector<config::OptionSpec> read_options(bool debezium);
[[nodiscard]] std::vector<config::OptionSpec> write_options();

}  // namespace thalweg::kafka
