// `schema infer PATH`: the schema that a reader would infer, as YAML to paste.
#include <cstdio>

#include "config/decode.h"
#include "connectors/registry.h"
#include "daemon/commands/commands.h"
#include "daemon/console.h"
#include "daemon/json_writer.h"

namespace thalweg::daemon {
namespace {

// The connector that reads a file of that name.
std::string connector_for(const SchemaInferArgs& args) {
  if (args.format == "csv") return "io.csv.read";
  if (args.format == "jsonlines") return "io.jsonlines.read";
  for (std::string_view mark : {".json", ".ndjson"})
    if (args.path.find(mark) != std::string::npos) return "io.jsonlines.read";
  // `json` says how to print; where the name says nothing, it says how to read, too.
  const std::string_view file = std::string_view(args.path).substr(args.path.rfind('/') + 1);
  return args.format == "json" && file.find('.') == std::string_view::npos ? "io.jsonlines.read" : "io.csv.read";
}

bool is_plain_key(std::string_view name) {
  if (name.empty() || name.front() == '$' || name.front() == '_') return false;
  for (char c : name)
    if (!(std::isalnum(static_cast<unsigned char>(c)) || c == '_')) return false;
  return !std::isdigit(static_cast<unsigned char>(name.front()));
}

std::string yaml_key(const std::string& name) {
  if (is_plain_key(name)) return name;
  std::string out = "'";
  for (char c : name) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

const std::string& name_of(const plan::SourceField& field) {
  return field.external_name.empty() ? field.name : field.external_name;
}

void print_json(const std::vector<plan::SourceField>& fields) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("schema").begin_array();
  for (const plan::SourceField& field : fields)
    json.begin_object().field("name", name_of(field)).field("type", field.type.to_text()).end_object();
  json.end_array().end_object();
  std::printf("%s\n", out.c_str());
}

}  // namespace

int run_command(const SchemaInferArgs& args) {
  Env env = real_env();
  std::string name = connector_for(args);
  const ConnectorDescriptor* connector = find_connector(name);
  if (connector == nullptr || !connector->describe) {
    complain("this build cannot read " + args.path);
    return kExitUsage;
  }
  Setting given(Setting::Map{{"path", Setting(args.path)}, {"mode", Setting(std::string("static"))}});
  std::vector<Error> errors;
  Setting decoded =
      config::decode(given, connector->spec.options, {.what = "`" + name + "`", .resolve_path = {}}, errors);
  if (!errors.empty()) {
    for (const Error& error : errors) complain(error.message);
    return kExitUsage;
  }
  auto shape = connector->describe(decoded, {}, env);
  if (!shape) {
    complain(shape.error().message);
    return kExitFailed;
  }
  for (const std::string& warning : shape->warnings) complain(warning);
  if (shape->fields.empty() || !shape->inferred) {
    complain("nothing could be inferred from " + args.path);
    return kExitFailed;
  }
  if (args.format == "json") {
    print_json(shape->fields);
    return kExitOk;
  }
  std::printf("schema: !schema_from_types\n");
  for (const plan::SourceField& field : shape->fields)
    std::printf("  %s: %s\n", yaml_key(name_of(field)).c_str(), field.type.to_text().c_str());
  return kExitOk;
}

}  // namespace thalweg::daemon
