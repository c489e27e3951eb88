// Blocks of settings, secrets, enum members and other constants.
#include <algorithm>

#include "pipeline_lang/evaluate.h"
#include "pipeline_lang/scalar.h"
#include "pipeline_lang/tag_call.h"

namespace thalweg::lang {
namespace {

// Members are the same in any case, with or without the enum's name.
struct EnumRow {
  std::string_view name;
  std::initializer_list<std::string_view> members;
};
const EnumRow kEnums[] = {
    {"PersistenceMode",
     {"PERSISTING", "OPERATOR_PERSISTING", "SELECTIVE_PERSISTING", "UDF_CACHING", "BATCH", "SPEEDRUN_REPLAY",
      "REALTIME_REPLAY", "ON_STARTUP", "MANUAL", "PERIODIC", "SNAPSHOT"}},
    {"SnapshotAccess", {"FULL", "RECORD", "REPLAY", "OFFSETS_ONLY"}},
    {"MonitoringLevel", {"OFF", "ERROR", "WARN", "INFO", "DEBUG", "NONE", "IN_OUT", "ALL", "AUTO", "AUTO_ALL"}},
    {"ConnectorMode", {"STATIC", "STREAMING"}},
    {"SocketWriterMode", {"STATIC", "STREAMING"}},
    {"SessionType", {"NATIVE", "UPSERT"}},
    {"JoinMode", {"INNER", "LEFT", "RIGHT", "OUTER", "CROSS"}},
    {"Direction", {"BACKWARD", "FORWARD", "NEAREST"}},
    {"temporal.Direction", {"BACKWARD", "FORWARD", "NEAREST"}},
    {"indexing.BruteForceKnnMetricKind", {"COS", "L2SQ"}},
    {"indexing.nearest_neighbors.BruteForceKnnMetricKind", {"COS", "L2SQ"}},
    {"BruteForceKnnMetricKind", {"COS", "L2SQ"}},
    {"indexing.USearchMetricKind",
     {"IP", "L2SQ", "COS", "PEARSON", "HAVERSINE", "DIVERGENCE", "HAMMING", "TANIMOTO", "SORENSEN"}},
    {"indexing.nearest_neighbors.USearchMetricKind",
     {"IP", "L2SQ", "COS", "PEARSON", "HAVERSINE", "DIVERGENCE", "HAMMING", "TANIMOTO", "SORENSEN"}},
    {"USearchMetricKind",
     {"IP", "L2SQ", "COS", "PEARSON", "HAVERSINE", "DIVERGENCE", "HAMMING", "TANIMOTO", "SORENSEN"}},
    {"ASOF_join_behavior", {"EMIT_PER_LEFT", "EMIT_PER_RIGHT", "EMIT_ALL", "ALL"}},
};

ObjectPtr secret_object(std::string text, SourceSpan span) {
  Scalar scalar = text_scalar(std::move(text));
  scalar.secret = true;
  return make_object({std::move(scalar), span});
}

ObjectPtr build_secret_env(Builder& b, const Call& call) {
  auto& e = static_cast<Evaluator&>(b);
  const auto name = call.text("name");
  if (!name) return error_object();
  const auto value = e.options().environment ? e.options().environment(*name) : std::nullopt;
  if (value) return secret_object(*value, call.span());
  b.error(call.span_of("name"), "the secret `" + *name + "` is not set in the environment");
  return error_object();
}

ObjectPtr build_secret_file(Builder& b, const Call& call) {
  auto& e = static_cast<Evaluator&>(b);
  const auto path = call.text("path");
  if (!path) return error_object();
  const std::string file = e.resolve_path(*path, call.span_of("path"));
  auto text = e.read_file(file);
  if (!text) {
    b.error(call.span_of("path"), "cannot read the secret `" + file + "`: " + text.error().message);
    return error_object();
  }
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  return secret_object(std::move(*text), call.span());
}

struct TimeUnit {
  const char* name;
  double ns;
};
constexpr TimeUnit kUnits[] = {{"weeks", 6048e11}, {"days", 864e11},      {"hours", 36e11},      {"minutes", 6e10},
                               {"seconds", 1e9},   {"milliseconds", 1e6}, {"microseconds", 1e3}, {"nanoseconds", 1}};

ObjectPtr build_timedelta(Builder& b, const Call& call) {
  double sum = 0;
  for (const TimeUnit& unit : kUnits)
    if (const auto count = call.number(unit.name)) sum += *count * unit.ns;
  if (!(sum > -9.2e18 && sum < 9.2e18)) {
    b.error(call.span(), "this duration does not fit 64 bits of nanoseconds");
    return error_object();
  }
  Scalar scalar;
  scalar.value = Value::duration(static_cast<std::int64_t>(sum));
  scalar.spelling = std::to_string(scalar.value.as_int()) + "ns";
  return make_object({std::move(scalar), call.span()});
}

void add_secrets(Components& out) {
  out.push_back({.name = "secret.env",
                 .aliases = {"io.postgres.PasswordSecret", "io.http.ApiKeySecret", "io.s3.AwsAccessKeySecret",
                             "io.s3.AwsSecretKeySecret", "io.kafka.PasswordSecret", "secrets.env", "Secret"},
                 .kind = ComponentKind::kSettings,
                 .args = {{.name = "name",
                           .kind = ArgKind::kText,
                           .required = true,
                           .doc = "The environment variable that holds the secret."}},
                 .doc = "A secret from the environment. It prints as *** everywhere.",
                 .example = "password: !secret.env DB_PASSWORD",
                 .build = build_secret_env,
                 .text_arg = "name"});
  out.push_back(
      {.name = "secret.file",
       .aliases = {"secrets.file"},
       .kind = ComponentKind::kSettings,
       .args =
           {{.name = "path", .kind = ArgKind::kPath, .required = true, .doc = "The file; a last line end is dropped."}},
       .doc = "A secret from a file. It prints as *** everywhere.",
       .example = "password: !secret.file /run/credentials/db",
       .build = build_secret_file,
       .text_arg = "path"});
}

void add_persistence(Components& out) {
  const auto text = [](std::string name, std::string doc) {
    return ArgSpec{.name = std::move(name), .kind = ArgKind::kText, .doc = std::move(doc)};
  };
  out.push_back(
      {.name = "persistence.Config",
       .aliases = {"PersistenceConfig", "persistence.PersistenceConfig", "persistence.Config.simple_config"},
       .kind = ComponentKind::kSettings,
       .args = {{.name = "backend",
                 .kind = ArgKind::kComponent,
                 .doc = "Where state is kept.",
                 .aliases = {"persistence_backend", "data_storage", "metadata_storage"}},
                {.name = "snapshot_interval_ms", .kind = ArgKind::kInt, .doc = "Time between snapshots."},
                {.name = "snapshot_interval", .kind = ArgKind::kDuration, .doc = "The same as a duration."},
                {.name = "snapshot_path", .kind = ArgKind::kPath, .doc = "A folder; the filesystem backend."},
                {.name = "persistence_mode",
                 .kind = ArgKind::kEnum,
                 .fallback = "PERSISTING",
                 .doc = "What is kept, and when.",
                 .aliases = {"mode"},
                 .choices = {"PERSISTING", "OPERATOR_PERSISTING", "SELECTIVE_PERSISTING", "UDF_CACHING", "BATCH",
                             "SPEEDRUN_REPLAY", "REALTIME_REPLAY", "ON_STARTUP", "MANUAL", "PERIODIC", "SNAPSHOT"}},
                {.name = "snapshot_access",
                 .kind = ArgKind::kEnum,
                 .fallback = "FULL",
                 .choices = {"FULL", "RECORD", "REPLAY", "OFFSETS_ONLY"}},
                {.name = "continue_after_replay", .kind = ArgKind::kBool, .fallback = "true"},
                {.name = "worker_scaling_enabled", .kind = ArgKind::kBool, .fallback = "false"},
                {.name = "workload_tracking_window_ms", .kind = ArgKind::kInt}},
       .doc = "Where and how the state of a pipeline is kept.",
       .example =
           "persistence_config: !persistence.Config\n  backend: !persistence.Backend.filesystem {path: ./state}"});
  out.push_back({.name = "persistence.Backend.filesystem",
                 .kind = ComponentKind::kSettings,
                 .args = {{.name = "path", .kind = ArgKind::kPath, .required = true, .doc = "A folder."}},
                 .doc = "State in files.",
                 .example = "!persistence.Backend.filesystem {path: ./state}"});
  out.push_back({.name = "persistence.Backend.s3",
                 .kind = ComponentKind::kSettings,
                 .args = {text("root_path", "The key prefix."),
                          {.name = "bucket_settings",
                           .kind = ArgKind::kComponent,
                           .doc = "`!io.s3.AwsS3Settings`, `!io.minio.MinIOSettings` …"}},
                 .doc = "State in S3.",
                 .example = "!persistence.Backend.s3 {root_path: state/, bucket_settings: $s3}"});
  out.push_back(
      {.name = "persistence.Backend.azure",
       .kind = ComponentKind::kSettings,
       .args = {text("root_path", "The prefix."),
                text("account", "The storage account."),
                {.name = "password", .kind = ArgKind::kText, .doc = "Its key.", .secret = true},
                text("container", "The container."),
                text("endpoint", "Of another server than Azure's: `http://127.0.0.1:10000/account`.")},
       .doc = "State in Azure Blob Storage.",
       .example = "!persistence.Backend.azure {root_path: state/, account: a, password: $KEY, container: c}"});
  out.push_back({.name = "persistence.Backend.mock",
                 .kind = ComponentKind::kSettings,
                 .args = {{.name = "events", .kind = ArgKind::kAny}},
                 .doc = "State in memory, for tests.",
                 .example = "!persistence.Backend.mock {}",
                 .open = true});
}

// Blocks that connectors read as tagged maps; the connector knows what may stand in them.
void add_open_block(Components& out, std::string name, std::vector<std::string> aliases, std::vector<ArgSpec> args,
                    std::string doc) {
  Component block;
  block.name = std::move(name);
  block.aliases = std::move(aliases);
  block.kind = ComponentKind::kSettings;
  block.args = std::move(args);
  block.doc = std::move(doc);
  block.example = "!" + block.name + " {}";
  block.open = true;
  out.push_back(std::move(block));
}

void add_connector_blocks(Components& out) {
  const auto text = [](std::string name) { return ArgSpec{.name = std::move(name), .kind = ArgKind::kText}; };
  const auto secret = [](std::string name) {
    return ArgSpec{.name = std::move(name), .kind = ArgKind::kText, .secret = true};
  };
  const std::vector<ArgSpec> bucket = {
      text("bucket_name"), secret("access_key"),   secret("secret_access_key"),
      text("region"),      text("endpoint"),       {.name = "with_path_style", .kind = ArgKind::kBool},
      text("profile"),     secret("session_token")};
  add_open_block(out, "io.s3.AwsS3Settings", {"AwsS3Settings", "io.s3_csv.AwsS3Settings"}, bucket, "Access to S3.");
  add_open_block(out, "io.minio.MinIOSettings", {"MinIOSettings"}, bucket, "Access to MinIO.");
  add_open_block(out, "io.s3.DigitalOceanS3Settings", {"DigitalOceanS3Settings"}, bucket,
                 "Access to DigitalOcean's Spaces.");
  add_open_block(out, "io.s3.WasabiS3Settings", {"WasabiS3Settings"}, bucket, "Access to Wasabi.");
  add_open_block(out, "io.csv.CsvParserSettings", {"io.CsvParserSettings", "CsvParserSettings"},
                 {text("delimiter"),
                  text("quote"),
                  text("escape"),
                  {.name = "enable_double_quote_escapes", .kind = ArgKind::kBool},
                  {.name = "enable_quoting", .kind = ArgKind::kBool},
                  text("comment_character")},
                 "How CSV is written.");
  add_open_block(out, "io.kafka.KafkaReadSettings", {"KafkaReadSettings"}, {text("consumer_group"), text("offset")},
                 "How a Kafka topic is read.");
  add_open_block(out, "io.kafka.KafkaWriteSettings", {"KafkaWriteSettings"}, {}, "How a Kafka topic is written.");
  add_open_block(
      out, "io.kafka.SchemaRegistrySettings", {"SchemaRegistrySettings"},
      {{.name = "urls", .kind = ArgKind::kNames}, secret("token_authorization"), text("username"), secret("password")},
      "Access to a schema registry.");
  add_open_block(out, "io.postgres.PsqlReplicationSettings", {"PsqlReplicationSettings"},
                 {text("publication_name"), text("replication_slot_name")}, "Logical replication of Postgres.");
  add_open_block(out, "io.postgres.TLSSettings", {"TLSSettings", "io.TLSSettings"}, {},
                 "Certificates of a connection.");
  add_open_block(out, "io.http.RetryPolicy", {"RetryPolicy"}, {}, "How failed requests are repeated.");
  add_open_block(out, "io.http.PathwayWebserver", {"PathwayWebserver", "io.http.Webserver"},
                 {text("host"), {.name = "port", .kind = ArgKind::kInt}}, "A listener that several routes share.");
  add_open_block(out, "io.http.EndpointDocumentation", {"EndpointDocumentation"}, {}, "What OpenAPI says of a route.");
}

void add_enums(Components& out) {
  for (const EnumRow& row : kEnums)
    for (std::string_view member : row.members) {
      Component constant;
      constant.name = std::string(row.name) + "." + std::string(member);
      std::string lower(member);
      std::transform(lower.begin(), lower.end(), lower.begin(),
                     [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
      constant.aliases = {std::string(row.name) + "." + lower, "persistence." + constant.name};
      constant.kind = ComponentKind::kConstant;
      constant.doc = "A member of " + std::string(row.name) + ".";
      constant.build = [text = std::string(member)](Builder&, const Call& call) {
        return make_object({text_scalar(text), call.span()});
      };
      out.push_back(std::move(constant));
    }
}

}  // namespace

void add_settings_components(Components& out) {
  add_secrets(out);
  add_persistence(out);
  add_connector_blocks(out);
  add_enums(out);
  Component timedelta;
  timedelta.name = "timedelta";
  timedelta.aliases = {"datetime.timedelta", "Duration", "pandas.Timedelta"};
  timedelta.kind = ComponentKind::kConstant;
  timedelta.doc = "A duration.";
  timedelta.example = "duration: !timedelta {hours: 1}";
  for (const TimeUnit& unit : kUnits) timedelta.args.push_back({.name = unit.name, .kind = ArgKind::kNumber});
  timedelta.build = build_timedelta;
  out.push_back(std::move(timedelta));
}

}  // namespace thalweg::lang
