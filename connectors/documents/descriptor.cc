#include "connectors/documents/descriptor.h"

#include <atomic>

#include "connectors/documents/document_source.h"
#include "connectors/documents/google_drive.h"
#include "connectors/documents/sharepoint.h"
#include "connectors/setting_reader.h"

namespace thalweg {

namespace {

using config::ConnectorSpec;
using config::OptionSpec;
using config::OptionType;
using documents::DocumentSettings;
using documents::DocumentTree;

constexpr std::uint64_t kKeyFileBytesMax = 1U << 20;
constexpr std::int64_t kAttemptsOfRuns = 5, kAttemptsOfProbes = 2;

// Whether the run is stopping, for requests that wait.
using DocumentStop = std::shared_ptr<std::atomic<const SourceContext*>>;

std::shared_ptr<objects::Requester> document_requester(const Env& env, std::shared_ptr<const net::AddressPolicy> egress,
                                                       std::int64_t attempts, const DocumentStop& stop) {
  objects::RequesterOptions options;
  options.clock = env.clock;
  options.rng = env.rng;
  options.policy = std::move(egress);
  options.attempts_max = static_cast<int>(attempts);
  options.request_ms_max = 300'000;  // an export takes its time
  if (env.variable) options.tls.ca_file = env.variable("SSL_CERT_FILE").value_or("");
  if (stop)
    options.cancelled = [stop] {
      const SourceContext* context = stop->load();
      return context != nullptr && context->stopping();
    };
  return std::make_shared<objects::Requester>(std::move(options));
}

// What a file with a key says; the error names the argument, never the content.
Result<std::string> key_file_content(const SettingReader& read, const char* option, Env& env) {
  auto content = read_all(*env.disk, read.text(option), kKeyFileBytesMax);
  if (content) return content;
  return fail(Error{content.error().code,
                    "`" + std::string(option) + "`: " + content.error().message,
                    read.span(option),
                    {{"the file with the credentials is read when the pipeline starts", {}}}});
}

Result<std::unique_ptr<DocumentTree>> open_drive(const Setting& args, Env& env,
                                                 const std::shared_ptr<objects::Requester>& requester) {
  const SettingReader read(args);
  documents::DriveSettings settings;
  settings.object_id = read.text("object_id");
  settings.endpoint = read.text("endpoint");
  settings.credentials = TRY(key_file_content(read, "service_user_credentials_file", env));
  auto made = documents::GoogleDrive::make(std::move(settings), requester);
  if (!made) return fail(std::move(made.error()).at(read.span("service_user_credentials_file")));
  return std::unique_ptr<DocumentTree>(std::move(*made));
}

Result<std::unique_ptr<DocumentTree>> open_sharepoint(const Setting& args, Env& env,
                                                      const std::shared_ptr<objects::Requester>& requester) {
  const SettingReader read(args);
  documents::SharePointSettings settings;
  settings.url = read.text("url");
  settings.tenant = read.text("tenant");
  settings.client_id = read.text("client_id");
  settings.thumbprint = read.text("thumbprint");
  settings.secret = read.text("client_secret");
  settings.root_path = read.text("root_path");
  settings.recursive = read.flag("recursive", true);
  settings.login_url = read.text("login_url");
  if (settings.secret.empty()) settings.private_key = TRY(key_file_content(read, "cert_path", env));
  auto made = documents::SharePoint::make(std::move(settings), requester);
  if (!made) return fail(std::move(made.error()).at(read.span("url")));
  return std::unique_ptr<DocumentTree>(std::move(*made));
}

using OpenTree = Result<std::unique_ptr<DocumentTree>> (*)(const Setting&, Env&,
                                                           const std::shared_ptr<objects::Requester>&);

DocumentSettings document_settings(const Setting& args) {
  const SettingReader read(args);
  DocumentSettings out;
  out.is_static = read.text("mode") == "static";
  out.only_metadata = read.text("format") == "only_metadata";
  out.refresh_ns = read.integer("refresh_interval", out.refresh_ns);
  if (read.has("object_size_limit")) out.size_limit = static_cast<std::uint64_t>(read.integer("object_size_limit", 0));
  out.name_patterns = read.texts("file_name_pattern");
  out.failures_in_row_max = static_cast<int>(read.integer("max_failed_attempts_in_row", 0));
  return out;
}

plan::SourceField document_field(std::string name, Kind kind, plan::SourceField::From from) {
  return {.name = name, .external_name = name, .type = Type(kind), .from = from};
}

Result<plan::SourceShape> document_shape(const Setting& args) {
  const SettingReader read(args);
  plan::SourceShape shape;
  const bool only_metadata = read.text("format") == "only_metadata";
  const plan::SourceField metadata = document_field("_metadata", Kind::kJson, plan::SourceField::From::kMetadata);
  if (!only_metadata) shape.fields.push_back(document_field("data", Kind::kBytes, plan::SourceField::From::kPayload));
  if (only_metadata)
    shape.fields.push_back(metadata);
  else if (read.flag("with_metadata", false))
    shape.extra.push_back(metadata);
  shape.append_only = read.text("mode") == "static";
  return shape;
}

std::vector<OptionSpec> document_options() {
  return {
      {.name = "mode",
       .type = OptionType::kEnum,
       .fallback = "streaming",
       .doc = "`static`: one list, then the input has ended",
       .choices = {"streaming", "static"}},
      {.name = "format",
       .type = OptionType::kEnum,
       .fallback = "binary",
       .doc = "`binary`: column `data`; `only_metadata`: nothing is fetched",
       .choices = {"binary", "only_metadata"}},
      {.name = "object_size_limit",
       .type = OptionType::kInt,
       .doc = "bytes; a larger document is a row without data, with the status `size_limit_exceeded`",
       .min = 0},
      {.name = "refresh_interval",
       .type = OptionType::kDuration,
       .fallback = "30s",
       .doc = "how often documents are listed",
       .min = 0.01},
      {.name = "with_metadata",
       .type = OptionType::kBool,
       .fallback = "false",
       .doc = "adds the json column `_metadata`"},
      {.name = "file_name_pattern",
       .type = OptionType::kTextList,
       .doc = "only documents whose names match one of these: `*`, `?`, `[a-z]`",
       .aliases = {"name_pattern"},
       .example = "['*.pdf', '*.docx']"},
      {.name = "max_backlog_size", .type = OptionType::kInt, .doc = "accepted", .min = 1},
  };
}

ConnectorDescriptor document_reader(ConnectorSpec spec, OpenTree open) {
  ConnectorDescriptor out;
  out.spec = std::move(spec);
  out.spec.role = ConnectorSpec::Role::kSource;
  out.spec.takes_schema = false;
  for (OptionSpec& option : document_options()) out.spec.options.push_back(std::move(option));
  out.delivery = Delivery::kExactlyOnce;
  out.make_served_source = [open](const plan::Source& source, Env& env,
                                  const ConnectorServices& services) -> Result<std::unique_ptr<Source>> {
    const DocumentStop stop = std::make_shared<std::atomic<const SourceContext*>>(nullptr);
    auto tree = TRY(open(source.args, env, document_requester(env, services.egress, kAttemptsOfRuns, stop)));
    return std::make_unique<documents::DocumentSource>(source, document_settings(source.args), std::move(tree),
                                                       [stop](const SourceContext* context) { *stop = context; });
  };
  out.describe = [](const Setting& args, const std::vector<plan::SourceField>&, Env&) { return document_shape(args); };
  out.probe = [open](const Setting& args, Env& env) -> Result<void> {
    const auto tree = TRY(open(args, env, document_requester(env, nullptr, kAttemptsOfProbes, nullptr)));
    TRY(tree->list());
    return {};
  };
  return out;
}

ConnectorDescriptor drive_connector() {
  ConnectorSpec spec;
  spec.name = "io.gdrive.read";
  spec.doc =
      "A file of Google Drive, or all files below a folder, as they change. Documents of Google's own kinds come as "
      "DOCX, XLSX and PPTX.";
  spec.example =
      "!io.gdrive.read {object_id: 1AbC, service_user_credentials_file: credentials.json, with_metadata: true}";
  spec.options = {
      {.name = "object_id", .required = true, .doc = "of the file or folder: the last part of its address"},
      {.name = "service_user_credentials_file",
       .type = OptionType::kPath,
       .required = true,
       .doc = "the JSON file of a service account, with which the folder is shared"},
      {.name = "endpoint", .doc = "another server that speaks the API"},
  };
  return document_reader(std::move(spec), open_drive);
}

ConnectorDescriptor sharepoint_connector() {
  ConnectorSpec spec;
  spec.name = "xpacks.connectors.sharepoint.read";
  spec.doc = "The files below a folder of a SharePoint site, as they change.";
  spec.example =
      "!xpacks.connectors.sharepoint.read {url: https://company.sharepoint.com/sites/team, tenant: ID, client_id: ID, "
      "cert_path: cert.pem, thumbprint: 00FF, root_path: Shared Documents}";
  spec.options = {
      {.name = "url", .required = true, .doc = "of the site", .example = "https://company.sharepoint.com/sites/team"},
      {.name = "tenant", .required = true, .doc = "the directory's id"},
      {.name = "client_id", .required = true, .doc = "the application's id"},
      {.name = "cert_path", .type = OptionType::kPath, .doc = "the application's private key, PEM"},
      {.name = "thumbprint", .doc = "of the certificate: 40 hexadecimal digits"},
      {.name = "client_secret", .doc = "instead of a certificate", .secret = true},
      {.name = "root_path", .required = true, .doc = "the folder, below the site or from the server's root"},
      {.name = "recursive", .type = OptionType::kBool, .fallback = "true", .doc = "and all folders below it"},
      {.name = "max_failed_attempts_in_row",
       .type = OptionType::kInt,
       .fallback = "8",
       .doc = "as many lists that fail one after the other end the source; 0: none do",
       .min = 0,
       .max = 1e6},
      {.name = "login_url", .doc = "where tokens are given: default https://login.microsoftonline.com"},
  };
  ConnectorDescriptor out = document_reader(std::move(spec), open_sharepoint);
  const auto shape = out.describe;
  out.describe = [shape](const Setting& args, const std::vector<plan::SourceField>& schema,
                         Env& env) -> Result<plan::SourceShape> {
    const SettingReader read(args);
    const bool certificate = read.has("cert_path") && read.has("thumbprint");
    if (certificate == read.has("client_secret"))
      return fail(Code::kInvalidPipeline, "give `cert_path` and `thumbprint`, or `client_secret`", args.span);
    return shape(args, schema, env);
  };
  return out;
}

}  // namespace

std::vector<ConnectorDescriptor> document_connectors() {
  std::vector<ConnectorDescriptor> out;
  out.push_back(drive_connector());
  out.push_back(sharepoint_connector());
  return out;
}

}  // namespace thalweg
