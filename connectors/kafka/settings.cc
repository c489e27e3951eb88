#include "connectors/kafka/settings.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "config/decode.h"
#include "connectors/setting_reader.h"
#include "engine/types/from_text.h"

namespace thalweg::kafka {

namespace {

using config::OptionSpec;
using config::OptionType;

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : ",") + part;
  return out;
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

// What the pipeline gives the library, `brokers` and the consumer group included.
struct Given {
  Settings client;
  std::optional<Start> start;  // from `auto.offset.reset`
  bool has_group = false;
};

Result<std::optional<Start>> start_of(const std::string& name, SourceSpan at) {
  const std::string text = lower(name);
  if (text == "earliest" || text == "smallest" || text == "beginning") return Start::kEarliest;
  if (text == "latest" || text == "largest" || text == "end") return Start::kLatest;
  if (text == "committed" || text == "group") return Start::kCommitted;
  if (text == "error" || text == "none") return std::optional<Start>{};
  return fail(Code::kInvalidPipeline,
              fmt::format("`{}` is no place to start at; there are earliest, latest and committed", name), at);
}

Result<Given> client_settings(const SettingReader& read) {
  Given out;
  if (const Setting* map = read.map("rdkafka_settings")) {
    for (const auto& [name, value] : *map->as_map()) {
      const std::string text = config::as_text(value).value_or("");
      if (name == "auto.offset.reset") {
        out.start = TRY(start_of(text, value.span));
        continue;
      }
      if (name == "enable.auto.commit" || name == "enable.auto.offset.store" || name == "auto.commit.interval.ms")
        continue;  // positions are kept by the pipeline; offsets of the group are information
      out.has_group = out.has_group || name == "group.id";
      if (auto known = check_setting(name, text); !known) return fail(std::move(known).error().at(value.span));
      out.client.emplace_back(name, text);
    }
  }
  const bool has_brokers =
      std::ranges::any_of(out.client, [](const auto& entry) { return entry.first == "bootstrap.servers"; });
  if (const auto brokers = read.texts("brokers"); !brokers.empty()) {
    if (has_brokers)
      return fail(Code::kInvalidPipeline, "`brokers` and `bootstrap.servers` say the same; leave one out",
                  read.span("brokers"));
    out.client.emplace_back("bootstrap.servers", joined(brokers));
  } else if (!has_brokers) {
    return fail(Code::kInvalidPipeline,
                "it is not said where Kafka is: give `brokers: [host:port]` or "
                "`rdkafka_settings: {bootstrap.servers: …}`",
                read.span("rdkafka_settings"));
  }
  return out;
}

// `2026-01-31T12:00:00Z`, or milliseconds since 1970.
Result<std::int64_t> unix_ms(const std::string& text, SourceSpan at) {
  if (const auto number = int_from_text(text)) return *number;
  if (const auto time = datetime_from_text(text)) return time->ns / kNsPerMs;
  return fail(Code::kInvalidPipeline, fmt::format("`{}` is no time: give milliseconds since 1970 or a datetime", text),
              at);
}

Result<void> read_partition_offsets(const std::string& topic, const Setting& map, Offsets& out) {
  for (const auto& [name, value] : *map.as_map()) {
    const auto partition = int_from_text(name);
    const auto offset = config::as_int(value);
    if (!partition || *partition < 0 || *partition > INT32_MAX || !offset || *offset < 0)
      return fail(Code::kInvalidPipeline,
                  "`start_offsets` maps partitions to offsets, both whole numbers: `{0: 42, 1: 17}`", value.span);
    out[{topic, static_cast<std::int32_t>(*partition)}] = *offset;
  }
  return {};
}

// `{0: 42}` with one topic, `{orders: {0: 42}}` with several.
Result<Offsets> start_offsets(const SettingReader& read, const std::vector<std::string>& topics) {
  Offsets out;
  const Setting* given = read.map("start_offsets");
  if (given == nullptr) {
    if (read.has("start_offsets"))
      return fail(Code::kInvalidPipeline, "`start_offsets` maps partitions to offsets: `{0: 42, 1: 17}`",
                  read.span("start_offsets"));
    return out;
  }
  const bool by_topic =
      std::ranges::any_of(*given->as_map(), [](const auto& entry) { return entry.second.as_map() != nullptr; });
  if (!by_topic) {
    if (topics.size() != 1)
      return fail(Code::kInvalidPipeline, "with several topics `start_offsets` goes by topic: `{orders: {0: 42}}`",
                  given->span);
    TRY(read_partition_offsets(topics[0], *given, out));
    return out;
  }
  for (const auto& [topic, offsets] : *given->as_map()) {
    if (offsets.as_map() == nullptr || std::ranges::find(topics, topic) == topics.end())
      return fail(Code::kInvalidPipeline, fmt::format("`start_offsets`: `{}` is none of the topics read", topic),
                  offsets.span);
    TRY(read_partition_offsets(topic, offsets, out));
  }
  return out;
}

Result<void> read_start(const SettingReader& read, std::optional<Start> from_library, ReadSettings& s) {
  s.start = from_library.value_or(Start::kEarliest);
  if (const Setting* nested = read.map("kafka_settings"))
    if (const SettingReader inner(*nested); inner.has("offset"))
      s.start = TRY(start_of(inner.text("offset"), inner.span("offset"))).value_or(Start::kEarliest);
  if (read.has("offset")) s.start = TRY(start_of(read.text("offset"), read.span("offset"))).value_or(Start::kEarliest);
  if (read.flag("read_only_new", false)) s.start = Start::kLatest;
  if (read.has("start_from_timestamp_ms")) {
    s.start = Start::kTimestamp;
    s.start_ms = TRY(unix_ms(read.text("start_from_timestamp_ms"), read.span("start_from_timestamp_ms")));
  }
  s.start_offsets = TRY(start_offsets(read, s.topics));
  if (s.is_static && s.start == Start::kLatest)
    return fail(Code::kInvalidPipeline,
                "`mode: static` reads up to the end as it is at the start: from `latest` on "
                "there is nothing to read",
                read.span("offset"));
  return {};
}

Result<Format> format_of(std::string_view connector, const SettingReader& read, bool has_schema) {
  if (connector == "io.debezium.read")
    return read.text("db_type") == "mongodb" ? Format::kDebeziumMongo : Format::kDebeziumPostgres;
  const std::string name = read.text("format", has_schema ? "json" : "raw");
  if (name == "raw" || name == "binary") return Format::kRaw;
  if (name == "plaintext") return Format::kPlainText;
  if (name == "json") return Format::kJson;
  if (name == "avro") return Format::kAvro;
  return fail(Code::kInvalidPipeline, fmt::format("`{}` is no format that Kafka is read in", name),
              read.span("format"));
}

Result<void> read_bad_rows(const SettingReader& read, ReadSettings& s) {
  const std::string action = read.text("on_bad_row");
  s.dead_letter = read.text("dead_letter");
  if (action == "skip")
    s.on_bad_row = BadRowPolicy::Action::kSkip;
  else if (action == "fail")
    s.on_bad_row = BadRowPolicy::Action::kFail;
  else if (action == "dead_letter" || !s.dead_letter.empty())
    s.on_bad_row = BadRowPolicy::Action::kDeadLetter;
  if (!s.dead_letter.empty() && (action == "skip" || action == "fail"))
    return fail(Code::kInvalidPipeline, fmt::format("`dead_letter` does not go with `on_bad_row: {}`", action),
                read.span("dead_letter"));
  if (!config::is_path(s.dead_letter)) s.dead_letter.clear();  // a table: the engine feeds it
  return {};
}

}  // namespace

Result<ReadSettings> ReadSettings::from(std::string_view connector, const Setting& args, bool has_schema) {
  const SettingReader read(args);
  ReadSettings s;
  Given given = TRY(client_settings(read));
  s.topics = read.texts("topics");
  std::ranges::sort(s.topics);
  s.topics.erase(std::ranges::unique(s.topics).begin(), s.topics.end());
  if (s.topics.empty() || s.topics.front().empty())
    return fail(Code::kInvalidPipeline, "`topic` is empty", read.span("topics"));
  s.is_static = read.text("mode", "streaming") == "static";
  s.format = TRY(format_of(connector, read, has_schema));
  s.registry = TRY(RegistrySettings::from(read));
  if (s.format == Format::kAvro && !s.registry)
    return fail(Code::kInvalidPipeline, "`format: avro` needs `schema_registry_settings`: schemas come from there",
                read.span("format"));
  if (s.registry && s.format != Format::kAvro && s.format != Format::kJson)
    return fail(Code::kInvalidPipeline, "`schema_registry_settings` goes with the formats `json` and `avro`",
                read.span("schema_registry_settings"));
  s.with_metadata = read.flag("with_metadata", false);
  if (const Setting* map = read.map("json_field_paths"))
    for (const auto& [column, path] : *map->as_map()) s.json_paths[column] = config::as_text(path).value_or("");
  TRY(read_start(read, given.start, s));
  TRY(read_bad_rows(read, s));
  s.start_timeout_ns = read.integer("start_timeout", 30'000 * kNsPerMs);
  s.commit_interval_ns = read.integer("commit_interval", 20 * kNsPerMs);
  s.records_max = static_cast<std::size_t>(read.integer("max_backlog_size", 0));
  s.partition_check_ns = read.integer("partition_check_interval", 30'000 * kNsPerMs);
  if (const Setting* nested = read.map("kafka_settings")) {
    if (const std::string group = SettingReader(*nested).text("consumer_group"); !group.empty()) {
      given.client.emplace_back("group.id", group);
      given.has_group = true;
    }
  }
  s.commits_group_offsets = given.has_group && read.flag("commit_offsets", true);
  // What waits in the library on top of what waits in the engine.
  s.client = {{"queued.max.messages.kbytes", "16384"}, {"client.id", "thalweg"}};
  if (!given.has_group) s.client.emplace_back("group.id", "thalweg");
  for (auto& entry : given.client) s.client.push_back(std::move(entry));
  if (s.is_static) s.client.emplace_back("enable.partition.eof", "true");
  TRY(check_settings(Role::kConsumer, s.client));
  return s;
}

namespace {

OptionSpec brokers_option() {
  return {.name = "brokers",
          .type = OptionType::kTextList,
          .doc = "where Kafka is; the same as `bootstrap.servers` among the settings",
          .aliases = {"bootstrap_servers", "server", "servers"},
          .example = "[localhost:9092]"};
}

OptionSpec library_option() {
  return {.name = "rdkafka_settings",
          .type = OptionType::kTextMap,
          .doc = "settings of librdkafka: servers, consumer group, SASL, TLS, sizes",
          .aliases = {"rdkafka_setting"},
          .secret = true,  // passwords are among them
          .example = "{bootstrap.servers: \"localhost:9092\", group.id: counts}"};
}

OptionSpec int_option(std::string name, std::string doc) {
  return {.name = std::move(name), .type = OptionType::kInt, .doc = std::move(doc), .min = 0};
}

void add_start_options(std::vector<OptionSpec>& options) {
  options.push_back({.name = "offset",
                     .doc = "where a first start begins: `earliest` (the default), `latest`, or `committed`, where the "
                            "consumer group stands; the same as `auto.offset.reset` among the settings",
                     .aliases = {"auto_offset_reset"}});
  options.push_back({.name = "start_from_timestamp_ms",
                     .doc = "a first start begins at this time: milliseconds since 1970, or a datetime",
                     .aliases = {"start_at_timestamp", "start_from_timestamp"}});
  options.push_back({.name = "start_offsets",
                     .type = OptionType::kAny,
                     .doc = "a first start begins at these offsets: `{0: 42, 1: 17}`, with several topics "
                            "`{orders: {0: 42}}`"});
  options.push_back(
      {.name = "read_only_new", .type = OptionType::kBool, .fallback = "false", .doc = "the same as `offset: latest`"});
  options.push_back({.name = "start_timeout",
                     .type = OptionType::kDuration,
                     .fallback = "30s",
                     .doc = "how long brokers and topics may take to be there at the start",
                     .min = 0.1});
  options.push_back({.name = "partition_check_interval",
                     .type = OptionType::kDuration,
                     .fallback = "30s",
                     .doc = "how often it is looked for new partitions, which are then read from their beginning",
                     .min = 0.1});
}

}  // namespace

std::vector<OptionSpec> read_options(bool debezium) {
  std::vector<OptionSpec> options = {
      brokers_option(),
      library_option(),
      {.name = "topics",
       .type = OptionType::kTextList,
       .required = true,
       .doc = "the topic, or several",
       .aliases = {"topic", "topic_name", "topic_names"},
       .example = "orders"},
      {.name = "kafka_settings",
       .type = OptionType::kMap,
       .doc = "the consumer group, and where a first start begins",
       .fields = {{.name = "consumer_group",
                   .doc = "positions are committed to it as information",
                   .aliases = {"group_id", "group.id", "group"}},
                  {.name = "offset", .doc = "earliest, latest or committed"}}},
      {.name = "mode",
       .type = OptionType::kEnum,
       .fallback = "streaming",
       .doc = "`static` reads up to the ends of the partitions at the start; `streaming` goes on",
       .choices = {"streaming", "static"}},
      {.name = "with_metadata",
       .type = OptionType::kBool,
       .fallback = "false",
       .doc = "adds the json column `_metadata`: topic, partition, offset, timestamp_millis, headers"},
      {.name = "commit_offsets",
       .type = OptionType::kBool,
       .fallback = "true",
       .doc = "commit positions to the consumer group, if one is given, for tools that look there"},
      {.name = "commit_interval",
       .type = OptionType::kDuration,
       .fallback = "20ms",
       .doc = "in steady traffic, messages of this long are one commit; one that comes after a quiet time is committed "
              "at once",
       .min = 0},
      {.name = "on_bad_row",
       .type = OptionType::kEnum,
       .doc = "`dead_letter` keeps bad messages, `skip` only logs them, `fail` ends the run",
       .choices = {"dead_letter", "skip", "fail"}},
      {.name = "dead_letter",
       .type = OptionType::kPathOrTable,
       .doc = "a file for bad messages (JSON lines), or the name of a table of them"},
      int_option("parallel_readers", "accepted for compatibility; one thread reads, all workers parse"),
      int_option("autocommit_duration_ms", "a loaded pipeline closes a commit this often"),
      {.name = "max_backlog_size",
       .type = OptionType::kInt,
       .doc = "at most so many records are read and not yet visible: the reader waits (but a transaction is never "
              "split); beside "
              "it, 16 MiB of each source, and as much again in the library",
       .min = 1},
      {.name = "debug_data", .type = OptionType::kAny, .doc = "accepted for compatibility; not used"},
  };
  add_start_options(options);
  if (debezium) {
    options.push_back({.name = "db_type",
                       .type = OptionType::kEnum,
                       .fallback = "postgres",
                       .doc = "the database that Debezium reads: what its messages look like",
                       .choices = {"postgres", "mongodb"}});
    return options;
  }
  options.push_back({.name = "format",
                     .type = OptionType::kEnum,
                     .doc =
                         "what a message holds: `raw` (bytes, columns `key` and `data`), `plaintext` (text), `json`, "
                         "`avro` (with a schema registry); default: json with a schema, else raw",
                     .choices = {"raw", "plaintext", "json", "avro", "binary"}});
  options.push_back(registry_option());
  options.push_back({.name = "json_field_paths",
                     .type = OptionType::kTextMap,
                     .doc = "column → JSON pointer of its value (`/a/b/0`)"});
  options.push_back({.name = "autogenerate_key",
                     .type = OptionType::kBool,
                     .fallback = "false",
                     .doc = "accepted for compatibility: row keys are made of topic, partition and offset, unless "
                            "columns are named by `id_column` or the schema; `id_column: key` keeps the last message "
                            "of each key"});
  return options;
}

// ---------------------------------------------------------------- writing

namespace {

// A column by its name; `$table.name` and `this.name` come as `name`, too.
Result<std::uint32_t> column_of(const SettingReader& read, std::string_view option, std::string name,
                                const Schema& schema) {
  if (const std::size_t dot = name.rfind('.'); dot != std::string::npos && !schema.find(name)) name.erase(0, dot + 1);
  if (const auto index = schema.find(name)) return static_cast<std::uint32_t>(*index);
  return fail(Code::kInvalidPipeline, fmt::format("`{}`: the table has no column `{}`", option, name),
              read.span(option));
}

Result<void> is_text(const SettingReader& read, std::string_view option, const ColumnSpec& column) {
  if (column.type.is(Kind::kStr) || column.type.is(Kind::kBytes)) return {};
  return fail(
      Code::kInvalidPipeline,
      fmt::format("`{}`: column `{}` is {}, and must be str or bytes", option, column.name, column.type.to_text()),
      read.span(option));
}

Result<void> read_format(const SettingReader& read, const Schema& schema, WriteSettings& s) {
  const std::string format = read.text("format", "json");
  if (format == "dsv" || format == "csv") s.format = WriteFormat::kDsv;
  if (format == "raw" || format == "plaintext") s.format = WriteFormat::kRaw;
  if (format == "avro") s.format = WriteFormat::kAvro;
  s.registry = TRY(RegistrySettings::from(read));
  s.subject = read.text("subject", s.topic.empty() ? "" : s.topic + "-value");
  if (s.format == WriteFormat::kAvro && !s.registry)
    return fail(Code::kInvalidPipeline,
                "`format: avro` needs `schema_registry_settings`: the schema is registered there", read.span("format"));
  if (s.registry && s.format != WriteFormat::kAvro && s.format != WriteFormat::kJson)
    return fail(Code::kInvalidPipeline, "`schema_registry_settings` goes with the formats `json` and `avro`",
                read.span("schema_registry_settings"));
  if (s.registry && s.subject.empty())
    return fail(Code::kInvalidPipeline,
                "with topics from a column, `subject` must say what the schema is registered as",
                read.span("schema_registry_settings"));
  const std::string delimiter = read.text("delimiter", ",");
  if (delimiter.size() != 1 && delimiter != "tab" && delimiter != "\\t")
    return fail(Code::kInvalidPipeline, "`delimiter` must be a single byte", read.span("delimiter"));
  s.delimiter = delimiter.size() == 1 ? delimiter[0] : '\t';
  if (s.format != WriteFormat::kRaw) {
    for (const auto& column : schema.columns)
      if (!s.snapshot && (column.name == "time" || column.name == "diff"))
        return fail(Code::kInvalidPipeline,
                    fmt::format("the table has a column `{}`, which the messages have of their own; rename it with "
                                "`!select`",
                                column.name),
                    read.span("table"));
    return {};
  }
  if (read.has("value")) {
    s.value_column = TRY(column_of(read, "value", read.text("value"), schema));
  } else {
    std::vector<std::uint32_t> left;
    for (std::uint32_t i = 0; i < schema.size(); ++i)
      if (s.key_column != i && s.topic_column != i && std::ranges::find(s.header_columns, i) == s.header_columns.end())
        left.push_back(i);
    if (left.size() != 1)
      return fail(Code::kInvalidPipeline, fmt::format("`format: {}` writes one column; say which by `value`", format),
                  read.span("format"));
    s.value_column = left[0];
  }
  return is_text(read, "value", schema.columns[s.value_column]);
}

Result<void> read_columns(const SettingReader& read, const Schema& schema, WriteSettings& s) {
  if (read.has("topic_column")) {
    s.topic_column = TRY(column_of(read, "topic_column", read.text("topic_column"), schema));
    if (!schema.columns[*s.topic_column].type.is(Kind::kStr))
      return fail(Code::kInvalidPipeline, "`topic_column` must be a column of type str", read.span("topic_column"));
  }
  s.topic = read.text("topic");
  if (s.topic.empty() == !s.topic_column.has_value())
    return fail(Code::kInvalidPipeline, "the messages need `topic`, or `topic_column`, but not both",
                read.span("topic"));
  if (read.has("key")) {
    s.key_column = TRY(column_of(read, "key", read.text("key"), schema));
    const Type& type = schema.columns[*s.key_column].type;
    if (!type.is(Kind::kStr) && !type.is(Kind::kBytes) && !type.is(Kind::kInt) && !type.is(Kind::kUuid) &&
        !type.is(Kind::kPointer))
      return fail(Code::kInvalidPipeline,
                  fmt::format("`key`: column `{}` is {}, and must be str, bytes, int, uuid or a pointer",
                              schema.columns[*s.key_column].name, type.to_text()),
                  read.span("key"));
  }
  for (const std::string& name : read.texts("headers"))
    s.header_columns.push_back(TRY(column_of(read, "headers", name, schema)));
  for (const std::string& name : read.texts("sort_by"))
    s.sort_by.push_back(TRY(column_of(read, "sort_by", name, schema)));
  for (const std::string& name : read.texts("primary_key"))
    s.key_columns.push_back(TRY(column_of(read, "primary_key", name, schema)));
  return {};
}

}  // namespace

Result<WriteSettings> WriteSettings::from(const Setting& args, const Schema& schema) {
  const SettingReader read(args);
  WriteSettings s;
  Given given = TRY(client_settings(read));
  s.snapshot = read.text("output_table_type") == "snapshot";
  TRY(read_columns(read, schema, s));
  if (!s.key_columns.empty() && !s.snapshot)
    return fail(Code::kInvalidPipeline, "`primary_key` goes with `output_table_type: snapshot`",
                read.span("primary_key"));
  if (!s.key_columns.empty() && s.key_column)
    return fail(Code::kInvalidPipeline, "`key` and `primary_key` say the same; leave one out", read.span("key"));
  if (s.snapshot && !s.key_column && s.key_columns.empty())
    for (const std::string& name : read.texts("table_key"))
      s.key_columns.push_back(TRY(column_of(read, "table_key", name, schema)));
  TRY(read_format(read, schema, s));
  s.change_headers = read.flag("change_headers", true);
  if (read.has("delivery")) s.exactly_once = read.text("delivery") == "exactly_once";
  s.transactional_id = read.text("transactional_id");
  s.progress_topic = read.text("progress_topic", "thalweg-progress");
  s.timeout_ns = read.integer("timeout", 120'000 * kNsPerMs);
  const std::string timeout_ms = std::to_string(std::max<std::int64_t>(s.timeout_ns / kNsPerMs, 1000));
  s.client = {{"client.id", "thalweg"},
              {"enable.idempotence", "true"},
              {"message.timeout.ms", timeout_ms},
              {"queue.buffering.max.kbytes", "65536"},
              {"queue.buffering.max.messages", "500000"},
              {"linger.ms", "5"}};
  for (auto& [name, value] : given.client) {
    if (name == "transactional.id" && s.transactional_id.empty()) s.transactional_id = value;
    if (name != "transactional.id" && name != "group.id") s.client.emplace_back(name, std::move(value));
  }
  for (const auto& [name, value] : s.client)
    if (name == "message.max.bytes") s.message_bytes_max = std::strtoull(value.c_str(), nullptr, 10);
  const std::string bad_rows = read.text("on_bad_row");
  s.dead_letter = read.text("dead_letter");
  if (bad_rows == "skip") s.bad_rows = BadRowPolicy::Action::kSkip;
  if (bad_rows == "fail") s.bad_rows = BadRowPolicy::Action::kFail;
  if (!s.dead_letter.empty() && (bad_rows == "skip" || bad_rows == "fail"))
    return fail(Code::kInvalidPipeline, fmt::format("`dead_letter` does not go with `on_bad_row: {}`", bad_rows),
                read.span("dead_letter"));
  TRY(check_settings(Role::kProducer, s.client));
  return s;
}

Result<void> probe(const Setting& args, Role role) {
  constexpr int kTimeoutMs = 3000;
  const SettingReader read(args);
  Given given = TRY(client_settings(read));
  auto client = TRY(Client::make(role, given.client));
  const std::vector<std::string> topics =
      role == Role::kConsumer ? read.texts("topics") : std::vector{read.text("topic")};
  for (const std::string& topic : topics) {
    if (topic.empty()) continue;
    auto found = client->partitions(topic, kTimeoutMs);
    const bool may_be_made = !found && found.error().code == Code::kNotFound && role == Role::kProducer;
    if (!found && !may_be_made) return fail(std::move(found).error());
  }
  return {};
}

std::vector<OptionSpec> write_options() {
  return {
      brokers_option(),
      library_option(),
      {.name = "topic", .doc = "the topic", .aliases = {"topic_name", "topics"}, .example = "counts"},
      {.name = "topic_column", .doc = "the column that holds the topic of each row"},
      {.name = "on_bad_row",
       .type = OptionType::kEnum,
       .doc = "rows that make a message of more than `message.max.bytes`: `dead_letter` keeps them, `skip` only logs "
              "them, `fail` ends the run",
       .choices = {"dead_letter", "skip", "fail"}},
      {.name = "dead_letter",
       .type = OptionType::kPathOrTable,
       .doc = "a file for such rows (JSON lines), or the name of a table of them"},
      {.name = "kafka_settings", .type = OptionType::kMap, .doc = "accepted for compatibility", .open = true},
      {.name = "format",
       .type = OptionType::kEnum,
       .fallback = "json",
       .doc = "`json`, `avro` and `dsv` (`csv`) write all columns, then `diff` and `time`; `raw` and `plaintext` the "
              "bytes of "
              "one column",
       .choices = {"json", "dsv", "csv", "avro", "raw", "plaintext"}},
      registry_option(),
      {.name = "subject", .doc = "what the schema is registered as; `TOPIC-value` if nothing is said"},
      {.name = "delimiter", .fallback = ",", .doc = "dsv: the byte between fields"},
      {.name = "key",
       .doc = "the column that is the messages' key; else it is the row's key, 16 bytes",
       .aliases = {"key_column"}},
      {.name = "value", .doc = "raw, plaintext: the column that is written", .aliases = {"value_column"}},
      {.name = "headers",
       .type = OptionType::kTextList,
       .doc = "columns that become headers, beside `pathway_time` and `pathway_diff`"},
      {.name = "change_headers",
       .type = OptionType::kBool,
       .fallback = "true",
       .doc = "the headers `pathway_time` and `pathway_diff`"},
      {.name = "output_table_type",
       .type = OptionType::kEnum,
       .fallback = "stream_of_changes",
       .doc = "`snapshot`: the last message of a key is its row, and one without content (a tombstone) says that there "
              "is none",
       .choices = {"stream_of_changes", "snapshot"}},
      {.name = "primary_key",
       .type = OptionType::kTextList,
       .doc =
           "snapshot: the columns that make the key, written as a JSON object; else `key`, else those of the table's "
           "key, else the row's key"},
      {.name = "delivery",
       .type = OptionType::kEnum,
       .doc = "`exactly_once`: each commit is a transaction that also records how far the sink is; the default where "
              "the pipeline keeps its state (`persistence_config`), else `at_least_once`",
       .choices = {"at_least_once", "exactly_once"}},
      {.name = "transactional_id",
       .doc = "exactly once: the name of this writer, stable over restarts and used by no other"},
      {.name = "progress_topic",
       .fallback = "thalweg-progress",
       .doc = "exactly once: the compacted topic that records how far sinks are; made if it is missing"},
      {.name = "sort_by", .type = OptionType::kTextList, .doc = "columns that order the rows of one commit"},
      {.name = "timeout",
       .type = OptionType::kDuration,
       .fallback = "2m",
       .doc = "how long brokers may take to accept what is written",
       .min = 1},
  };
}

}  // namespace thalweg::kafka
