// `json-schema`: what a YAML language server needs to help with pipeline files. JSON schema cannot say which tag a
// value has, so each tag's arguments are a definition, `x-thalweg-tags` maps tags to them, and `yamlCustomTags` is
// what VS Code's `yaml.customTags` takes.
#include <cstdio>

#include "config/option_spec.h"
#include "daemon/commands/commands.h"
#include "daemon/json_writer.h"
#include "daemon/load.h"
#include "pipeline_lang/registry.h"
#include "pipeline_lang/settings.h"

namespace thalweg::daemon {
namespace {

using config::OptionSpec;
using config::OptionType;
using lang::ArgKind;

// The JSON types an argument may have; `$name` is text, so text is always possible.
std::vector<std::string_view> json_types(ArgKind kind) {
  switch (kind) {
    case ArgKind::kInt: return {"integer", "string"};
    case ArgKind::kFloat:
    case ArgKind::kNumber: return {"number", "string"};
    case ArgKind::kBool: return {"boolean", "string"};
    case ArgKind::kDuration:
    case ArgKind::kDurationOrNumber: return {"string", "number"};
    case ArgKind::kText:
    case ArgKind::kPath:
    case ArgKind::kEnum:
    case ArgKind::kType: return {"string"};
    case ArgKind::kNames:
    case ArgKind::kTables: return {"array", "string"};
    case ArgKind::kExprList: return {"array", "object", "string"};
    case ArgKind::kExprMap:
    case ArgKind::kRename:
    case ArgKind::kTypeMap:
    case ArgKind::kTableMap:
    case ArgKind::kScope: return {"object", "string"};
    case ArgKind::kReducers: return {"array", "object", "string"};
    case ArgKind::kTable:
    case ArgKind::kExpr:
    case ArgKind::kSchema:
    case ArgKind::kComponent:
    case ArgKind::kLiteral:
    case ArgKind::kAny: return {};
  }
  return {};
}

std::vector<std::string_view> json_types(OptionType type) {
  switch (type) {
    case OptionType::kInt: return {"integer", "string"};
    case OptionType::kFloat: return {"number", "string"};
    case OptionType::kBool: return {"boolean", "string"};
    case OptionType::kDuration: return {"string", "number"};
    case OptionType::kText:
    case OptionType::kPath:
    case OptionType::kPathOrTable:
    case OptionType::kEnum: return {"string"};
    case OptionType::kTextList:
    case OptionType::kList: return {"array", "string"};
    case OptionType::kMap:
    case OptionType::kTextMap: return {"object", "string"};
    case OptionType::kAny:
    case OptionType::kTable: return {};
  }
  return {};
}

void append_types(const std::vector<std::string_view>& types, JsonWriter& json) {
  if (types.empty()) return;
  json.key("type").begin_array();
  for (std::string_view type : types) json.text(type);
  json.end_array();
}

void append_component(const lang::Component& component, JsonWriter& json) {
  json.key(component.name).begin_object().field("description", component.doc);
  json.key("properties").begin_object();
  for (const lang::ArgSpec& arg : component.args) {
    json.key(arg.name).begin_object().field("description", arg.doc);
    append_types(json_types(arg.kind), json);
    if (!arg.fallback.empty()) json.field("default", arg.fallback);
    if (!arg.choices.empty()) {
      json.key("examples").begin_array();
      for (const std::string& choice : arg.choices) json.text(choice);
      json.end_array();
    }
    json.end_object();
  }
  json.end_object().key("required").begin_array();
  for (const lang::ArgSpec& arg : component.args)
    if (arg.required) json.text(arg.name);
  json.end_array().field("additionalProperties", component.open).end_object();
}

void append_settings(JsonWriter& json) {
  json.key("properties").begin_object();
  for (const OptionSpec& spec : lang::setting_specs()) {
    json.key(spec.name).begin_object().field("description", spec.doc);
    append_types(json_types(spec.type), json);
    json.end_object();
  }
  json.end_object();
}

// A tag without arguments is a scalar, one with is a mapping; most are both.
void append_custom_tags(const lang::Registry& registry, JsonWriter& json) {
  json.key("yamlCustomTags").begin_array();
  for (const lang::Component* component : registry.all())
    for (std::string_view prefix : {"!", "!pw."}) {
      std::string tag = std::string(prefix) + component->name;
      if (!component->args.empty() || component->open) json.text(tag + " mapping");
      json.text(tag + " scalar");
    }
  json.end_array();
}

}  // namespace

int run_command(const JsonSchemaArgs&) {
  Env env = real_env();
  ConnectorCatalog catalog(env);
  lang::Registry registry(&catalog);
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("$schema", "https://json-schema.org/draft/2020-12/schema");
  json.field("title", "Thalweg pipeline").field("type", "object");
  append_settings(json);
  json.key("$defs").begin_object();
  for (const lang::Component* component : registry.all()) append_component(*component, json);
  json.end_object().key("x-thalweg-tags").begin_object();
  for (const lang::Component* component : registry.all())
    json.field("!" + component->name, "#/$defs/" + component->name);
  json.end_object();
  append_custom_tags(registry, json);
  json.end_object();
  std::printf("%s\n", out.c_str());
  return kExitOk;
}

}  // namespace thalweg::daemon
