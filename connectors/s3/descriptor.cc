#include "connectors/s3/descriptor.h"

#include <atomic>

#include "connectors/file/follow.h"
#include "connectors/file/infer.h"
#include "connectors/file/source.h"
#include "connectors/s3/settings.h"

namespace thalweg {

namespace {

using config::ConnectorSpec;

// Whether the run is stopping, for requests that wait.
struct StopFlag {
  std::atomic<SourceContext*> context{nullptr};
  [[nodiscard]] bool raised() const {
    const SourceContext* now = context.load();
    return now != nullptr && now->stopping();
  }
};

struct Bucket {
  std::shared_ptr<objects::ObjectFiles> files;
  s3::ReadSettings settings;
};

Result<Bucket> open_bucket(const std::string& connector, const Setting& args, Env& env,
                           std::shared_ptr<const net::AddressPolicy> policy, std::shared_ptr<StopFlag> stop,
                           int attempts_max) {
  Bucket out;
  out.settings = TRY(s3::ReadSettings::from(connector, args, env));
  objects::RequesterOptions options;
  options.clock = env.clock;
  options.rng = env.rng;
  options.policy = std::move(policy);
  options.attempts_max = attempts_max;
  if (stop) options.cancelled = [stop = std::move(stop)] { return stop->raised(); };
  std::shared_ptr<objects::ObjectStore> store = TRY(s3::S3Store::make(out.settings.bucket, env, std::move(options)));
  out.files = std::make_shared<objects::ObjectFiles>(std::move(store), out.settings.selection, out.settings.threads);
  out.settings.files.selection.find = [files = out.files] { return files->find(); };
  return out;
}

// The file source over objects; it only tells the requests when the run stops.
class ObjectSource final : public Source {
 public:
  ObjectSource(std::unique_ptr<Source> source, std::shared_ptr<StopFlag> stop)
      : source_(std::move(source)), stop_(std::move(stop)) {}
  Result<void> run(SourceContext& context) override {
    stop_->context = &context;
    Result<void> done = source_->run(context);
    stop_->context = nullptr;
    if (!done && done.error().code == Code::kCancelled && context.stopping()) return {};
    return done;
  }
  [[nodiscard]] bool is_static() const override { return source_->is_static(); }

 private:
  const std::unique_ptr<Source> source_;
  const std::shared_ptr<StopFlag> stop_;
};

Result<std::unique_ptr<Source>> make_s3_source(const plan::Source& source, Env& env,
                                               const ConnectorServices& services) {
  constexpr int kAttempts = 8;
  auto stop = std::make_shared<StopFlag>();
  Bucket bucket = TRY(open_bucket(source.connector, source.args, env, services.egress, stop, kAttempts));
  auto shared = TRY(share_file_source(source, std::move(bucket.settings.files)));
  shared->files = bucket.files;
  shared->whole = true;
  shared->owner = [files = bucket.files](const std::string& path) { return files->owner(path); };
  std::unique_ptr<Source> inner;
  if (shared->settings.is_static)
    inner = std::make_unique<StaticFileSource>(std::move(shared));
  else
    inner = std::make_unique<FollowFileSource>(std::move(shared));
  return std::make_unique<ObjectSource>(std::move(inner), std::move(stop));
}

plan::SourceField object_field(std::string name, Kind kind,
                               plan::SourceField::From from = plan::SourceField::From::kPayload) {
  return {.name = name, .external_name = name, .type = Type(kind), .from = from};
}

Result<plan::SourceShape> describe(const std::string& connector, const Setting& args,
                                   const std::vector<plan::SourceField>& schema, Env& env) {
  constexpr int kAttempts = 2;
  const auto settings = TRY(s3::ReadSettings::from(connector, args, env));
  const FileReadSettings& files = settings.files;
  plan::SourceShape shape;
  shape.append_only = files.is_static;
  if (files.with_metadata)
    shape.extra.push_back(object_field("_metadata", Kind::kJson, plan::SourceField::From::kMetadata));
  if (files.format == FileFormat::kOnlyMetadata) return shape;
  if (!takes_schema(files.format)) {
    shape.fields.push_back(object_field("data", files.format == FileFormat::kBinary ? Kind::kBytes : Kind::kStr));
    return shape;
  }
  if (!schema.empty()) return shape;
  const Bucket bucket = TRY(open_bucket(connector, args, env, nullptr, nullptr, kAttempts));
  auto inferred = TRY(infer_fields(bucket.settings.files, *bucket.files));
  shape.inferred = true;
  shape.fields = std::move(inferred.fields);
  shape.warnings = std::move(inferred.warnings);
  return shape;
}

// The bucket can be listed, and what is found can be read.
Result<void> probe(const std::string& connector, const Setting& args, Env& env) {
  constexpr int kAttempts = 2;
  const Bucket bucket = TRY(open_bucket(connector, args, env, nullptr, nullptr, kAttempts));
  const ScanResult found = TRY(bucket.files->find());
  if (found.files.empty()) {
    if (!bucket.settings.files.is_static) return {};
    return fail(Code::kNotFound,
                "there is no object at " + bucket.files->store().name() + "/" + bucket.settings.selection.path);
  }
  TRY(bucket.files->store().get(found.files.front().path, 0, 1, ""));
  return {};
}

ConnectorDescriptor s3_reader(std::string name, std::string doc, std::string example,
                              std::vector<std::string> aliases = {}) {
  ConnectorDescriptor out;
  out.spec = {.name = name,
              .role = ConnectorSpec::Role::kSource,
              .doc = std::move(doc),
              .example = std::move(example),
              .aliases = std::move(aliases),
              .options = s3::read_options(name)};
  out.make_served_source = make_s3_source;
  out.delivery = Delivery::kExactlyOnce;
  out.describe = [name](const Setting& args, const std::vector<plan::SourceField>& schema, Env& env) {
    return describe(name, args, schema, env);
  };
  out.probe = [name](const Setting& args, Env& env) { return probe(name, args, env); };
  return out;
}

}  // namespace

std::vector<ConnectorDescriptor> s3_connectors() {
  std::vector<ConnectorDescriptor> out;
  out.push_back(s3_reader("io.s3.read", "Objects of a bucket in any of the formats, once or as they change.",
                          "!io.s3.read {path: orders/, format: json, schema: $schema, aws_s3_settings: $bucket}"));
  out.push_back(s3_reader("io.s3_csv.read", "`io.s3.read` of delimited text.",
                          "!io.s3_csv.read {path: orders/, schema: $schema, aws_s3_settings: $bucket}"));
  out.push_back(s3_reader("io.minio.read", "Objects of a MinIO server, as `io.s3.read`.",
                          "!io.minio.read {path: orders/, format: json, schema: $schema, minio_settings: $bucket}"));
  out.push_back(s3_reader(
      "io.s3.read_from_digital_ocean", "Objects of DigitalOcean's Spaces, as `io.s3.read`.",
      "!io.s3.read_from_digital_ocean {path: orders/, format: json, schema: $schema, do_s3_settings: $bucket}"));
  out.push_back(
      s3_reader("io.s3.read_from_wasabi", "Objects of Wasabi, as `io.s3.read`.",
                "!io.s3.read_from_wasabi {path: orders/, format: json, schema: $schema, wasabi_s3_settings: $bucket}"));
  return out;
}

}  // namespace thalweg
