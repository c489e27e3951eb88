#include "connectors/file/descriptor.h"

#include "connectors/file/follow.h"
#include "connectors/file/infer.h"
#include "connectors/file/sink.h"
#include "connectors/file/source.h"

namespace thalweg {

namespace {

using config::ConnectorSpec;

Result<std::unique_ptr<Source>> make_file_source(const plan::Source& source, Env& env) {
  auto settings = TRY(FileReadSettings::from(source.connector, source.args, *env.disk));
  auto shared = TRY(share_file_source(source, std::move(settings)));
  if (shared->settings.is_static) return std::make_unique<StaticFileSource>(std::move(shared));
  return std::make_unique<FollowFileSource>(std::move(shared));
}

plan::SourceField fixed_field(std::string name, Kind kind,
                              plan::SourceField::From from = plan::SourceField::From::kPayload) {
  return {.name = name, .external_name = name, .type = Type(kind), .from = from};
}

Result<plan::SourceShape> describe_files(const std::string& connector, const Setting& args,
                                         const std::vector<plan::SourceField>& schema, Env& env) {
  auto settings = TRY(FileReadSettings::from(connector, args, *env.disk));
  plan::SourceShape shape;
  shape.append_only = settings.is_static;
  if (settings.with_metadata)
    shape.extra.push_back(fixed_field("_metadata", Kind::kJson, plan::SourceField::From::kMetadata));
  if (settings.format == FileFormat::kOnlyMetadata) return shape;
  if (!takes_schema(settings.format)) {
    shape.fields.push_back(fixed_field("data", settings.format == FileFormat::kBinary ? Kind::kBytes : Kind::kStr));
    return shape;
  }
  if (!schema.empty()) return shape;
  auto inferred = TRY(infer_fields(settings, *env.disk));
  shape.inferred = true;
  shape.fields = std::move(inferred.fields);
  shape.warnings = std::move(inferred.warnings);
  return shape;
}

// A source: something is there and can be read. A sink: its folder is there, or can be made.
Result<void> probe_source(const std::string& connector, const Setting& args, Env& env) {
  auto settings = TRY(FileReadSettings::from(connector, args, *env.disk));
  ScanResult found = TRY(scan_files(*env.disk, settings.selection));
  if (found.root_missing || (found.files.empty() && settings.is_static))
    return fail(Code::kNotFound, "there is no file at " + settings.selection.path);
  for (const FoundFile& file : found.files) TRY(env.disk->open_read(file.path));
  return {};
}

Result<void> probe_sink(const Setting& args, Env& env) {
  const Setting* path = args.find("path");
  if (path == nullptr || path->as_text() == nullptr) return {};
  std::string folder = parent_directory(local_path(*path->as_text()));
  auto stat = env.disk->stat(folder);
  if (!stat) return {};  // the sink makes it
  if (!stat->is_directory) return fail(Code::kIo, folder + " is no folder");
  return {};
}

ConnectorDescriptor file_reader(std::string name, std::string doc, std::string example,
                                std::vector<std::string> aliases) {
  ConnectorDescriptor out;
  out.spec = {.name = name,
              .role = ConnectorSpec::Role::kSource,
              .doc = std::move(doc),
              .example = std::move(example),
              .aliases = std::move(aliases),
              .options = file_read_options(name),
              .takes_schema = name != "io.plaintext.read"};
  out.make_source = make_file_source;
  out.delivery = Delivery::kExactlyOnce;
  out.describe = [name](const Setting& args, const std::vector<plan::SourceField>& schema, Env& env) {
    return describe_files(name, args, schema, env);
  };
  out.probe = [name](const Setting& args, Env& env) { return probe_source(name, args, env); };
  return out;
}

ConnectorDescriptor file_writer(std::string name, std::string doc, std::string example,
                                std::vector<std::string> aliases) {
  ConnectorDescriptor out;
  out.spec = {.name = name,
              .role = ConnectorSpec::Role::kSink,
              .doc = std::move(doc),
              .example = std::move(example),
              .aliases = std::move(aliases),
              .options = file_write_options(name)};
  out.delivery = Delivery::kExactlyOnce;
  out.make_sink = [](const plan::Output& output, const Schema& schema, Env&) -> Result<std::unique_ptr<Sink>> {
    auto settings = TRY(FileWriteSettings::from(output.connector, output.args, schema));
    if (settings.snapshot) return std::make_unique<SnapshotFileSink>(std::move(settings), schema);
    return std::make_unique<ChangesFileSink>(std::move(settings), schema);
  };
  out.probe = probe_sink;
  out.check = [name](const Setting& args, const Schema& schema) -> Result<void> {
    TRY(FileWriteSettings::from(name, args, schema));
    return {};
  };
  return out;
}

}  // namespace

std::vector<ConnectorDescriptor> file_connectors() {
  std::vector<ConnectorDescriptor> out;
  out.push_back(file_reader("io.fs.read", "Files in any of the formats, once or as they change.",
                            "!io.fs.read {path: ./logs/, format: json, schema: $schema}", {"io.filesystem.read"}));
  out.push_back(file_reader("io.csv.read", "Delimited text with a header.", "!io.csv.read {path: ./orders.csv}", {}));
  out.push_back(file_reader("io.jsonlines.read", "A JSON object per line.", "!io.jsonlines.read {path: ./events.jsonl}",
                            {"io.json_lines.read"}));
  out.push_back(file_reader("io.plaintext.read", "A row per line, in the column `data`.",
                            "!io.plaintext.read {path: ./log.txt}", {}));
  out.push_back(file_writer("io.fs.write", "Changes or a snapshot as csv or JSON lines.",
                            "!io.fs.write {table: $counts, path: ./counts.jsonl}", {"io.filesystem.write"}));
  out.push_back(file_writer("io.csv.write", "Changes or a snapshot as csv.",
                            "!io.csv.write {table: $counts, path: ./counts.csv}", {}));
  out.push_back(file_writer("io.jsonlines.write", "Changes or a snapshot as JSON lines.",
                            "!io.jsonlines.write {table: $counts, path: ./counts.jsonl}", {"io.json_lines.write"}));
  return out;
}

}  // namespace thalweg
