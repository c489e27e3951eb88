#include "pipeline_lang/docs.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "config/decode.h"
#include "engine/base/edit_distance.h"
#include "engine/expr/function_table.h"
#include "pipeline_lang/settings.h"

namespace thalweg::lang {
namespace {

using Json = nlohmann::ordered_json;

std::string first_sentence(std::string_view text) {
  const std::size_t end = text.find(". ");
  return std::string(end == std::string_view::npos ? text : text.substr(0, end + 1));
}

std::string table_of(const std::vector<std::pair<std::string, std::string>>& rows) {
  constexpr std::size_t kNameWidthMax = 40;
  std::size_t width = 0;
  for (const auto& [name, doc] : rows) width = std::max(width, std::min(name.size(), kNameWidthMax));
  std::string out;
  for (const auto& [name, doc] : rows) {
    out += name;
    if (!doc.empty()) out += std::string(name.size() < width ? width - name.size() + 2 : 2, ' ') + doc;
    out += "\n";
  }
  return out;
}

struct Topic {
  std::string_view name;
  std::vector<ComponentKind> kinds;
};

const std::vector<Topic>& tag_topics() {
  static const std::vector<Topic> kTopics = {
      {"tables", {ComponentKind::kTable}},
      {"connectors", {ComponentKind::kSource, ComponentKind::kSink}},
      {"sources", {ComponentKind::kSource}},
      {"sinks", {ComponentKind::kSink}},
      {"schemas", {ComponentKind::kSchema, ComponentKind::kColumn}},
      {"windows", {ComponentKind::kWindow}},
      {"behaviors", {ComponentKind::kBehavior}},
      {"reducers", {ComponentKind::kReducer}},
      {"blocks", {ComponentKind::kSettings}},
      {"constants", {ComponentKind::kConstant}},
      {"servers", {ComponentKind::kServer}},
      {"udfs", {ComponentKind::kFunction}},
      {"known", {ComponentKind::kKnown}},
  };
  return kTopics;
}

std::string list_components(const Registry& registry, const std::function<bool(const Component&)>& wanted) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Component* component : registry.all())
    if (wanted(*component)) rows.emplace_back("!" + component->name, first_sentence(component->doc));
  return table_of(rows);
}

std::string list_functions() {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const expr::FunctionDoc& function : expr::all_functions())
    rows.emplace_back(function.signature.empty() ? function.name : function.signature, first_sentence(function.doc));
  std::sort(rows.begin(), rows.end());
  return table_of(rows);
}

std::string list_settings() {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const config::OptionSpec& spec : setting_specs()) rows.emplace_back(spec.name, spec.doc);
  std::sort(rows.begin(), rows.end());
  return table_of(rows);
}

std::string argument_text(const ArgSpec& arg) {
  std::string out = "- `" + arg.name + "`: " + std::string(kind_text(arg.kind));
  if (!arg.choices.empty()) {
    out += " (";
    for (std::size_t i = 0; i < arg.choices.size(); ++i) out += (i == 0 ? "`" : ", `") + arg.choices[i] + "`";
    out += ")";
  }
  if (arg.required) out += ", required";
  if (!arg.fallback.empty()) out += ", default `" + arg.fallback + "`";
  if (arg.secret) out += ", secret";
  if (!arg.doc.empty()) out += ". " + arg.doc;
  if (!arg.aliases.empty()) {
    out += " Also spelt";
    for (std::size_t i = 0; i < arg.aliases.size(); ++i) out += (i == 0 ? " `" : ", `") + arg.aliases[i] + "`";
    out += ".";
  }
  if (!arg.example.empty()) out += " Example: `" + arg.example + "`";
  return out + "\n";
}

std::string component_docs(const Component& component) {
  std::string out =
      "# !" + component.name + "\n\nA " + std::string(kind_text(component.kind)) + ". " + component.doc + "\n";
  if (!component.aliases.empty()) {
    out += "\nAlso spelt";
    for (std::size_t i = 0; i < component.aliases.size(); ++i)
      out += (i == 0 ? " `!" : ", `!") + component.aliases[i] + "`";
    out += ".\n";
  }
  if (!component.args.empty()) out += "\n## Arguments\n\n";
  for (const ArgSpec& arg : component.args) out += argument_text(arg);
  if (component.kind == ComponentKind::kTable || component.kind == ComponentKind::kSource)
    for (const ArgSpec& arg : common_table_args()) out += argument_text(arg);
  if (component.open) out += "- any other name is taken as it is\n";
  if (!component.example.empty()) out += "\n## Example\n\n```yaml\n" + component.example + "\n```\n";
  return out;
}

std::string function_docs(const expr::FunctionDoc& function) {
  std::string out = "# " + function.name + "\n\n`" + function.signature + "`\n\n" + function.doc + "\n";
  if (!function.aliases.empty()) {
    out += "\nAlso spelt";
    for (std::size_t i = 0; i < function.aliases.size(); ++i)
      out += (i == 0 ? " `" : ", `") + function.aliases[i] + "`";
    out += ".\n";
  }
  if (!function.example.empty())
    out += "\nExample: `" + function.example + "`" +
           (function.example_result.empty() ? "" : " gives `" + function.example_result + "`") + "\n";
  return out;
}

const expr::FunctionDoc* find_function(std::string_view name) {
  for (const expr::FunctionDoc& function : expr::all_functions()) {
    if (function.name == name) return &function;
    if (std::find(function.aliases.begin(), function.aliases.end(), name) != function.aliases.end()) return &function;
  }
  return nullptr;
}

// ---------------------------------------------------------------- JSON Schema

Json type_schema(const ArgSpec& arg) {
  // Any argument may be a `$reference`.
  Json out;
  const auto or_text = [](std::initializer_list<const char*> types) {
    Json list = Json::array();
    for (const char* type : types) list.push_back(type);
    list.push_back("string");
    return list;
  };
  switch (arg.kind) {
    case ArgKind::kInt: out["type"] = or_text({"integer"}); break;
    case ArgKind::kFloat:
    case ArgKind::kNumber:
    case ArgKind::kDuration:
    case ArgKind::kDurationOrNumber: out["type"] = or_text({"number"}); break;
    case ArgKind::kBool: out["type"] = or_text({"boolean"}); break;
    case ArgKind::kEnum: {
      Json values = Json::array();
      for (const std::string& choice : arg.choices) values.push_back(choice);
      out["anyOf"] = Json::array({Json{{"enum", values}}, Json{{"type", "string"}}});
      break;
    }
    case ArgKind::kNames:
    case ArgKind::kTables:
    case ArgKind::kReducers: out["type"] = or_text({"array", "object"}); break;
    case ArgKind::kExprMap:
    case ArgKind::kTableMap:
    case ArgKind::kTypeMap:
    case ArgKind::kRename:
    case ArgKind::kScope: out["type"] = or_text({"object"}); break;
    case ArgKind::kExprList: out["type"] = or_text({"array", "object"}); break;
    case ArgKind::kTable:
    case ArgKind::kExpr:
    case ArgKind::kText:
    case ArgKind::kType:
    case ArgKind::kSchema:
    case ArgKind::kComponent:
    case ArgKind::kPath:
    case ArgKind::kLiteral:
    case ArgKind::kAny: break;
  }
  if (!arg.doc.empty()) out["description"] = arg.doc;
  if (!arg.fallback.empty()) out["default"] = arg.fallback;
  if (out.is_null()) out = Json::object();
  return out;
}

Json component_schema(const Component& component) {
  Json out;
  out["title"] = "!" + component.name;
  out["description"] = component.doc;
  out["type"] = "object";
  Json properties = Json::object();
  Json required = Json::array();
  const auto put = [&](const ArgSpec& arg) {
    properties[arg.name] = type_schema(arg);
    for (const std::string& alias : arg.aliases) properties[alias] = type_schema(arg);
    if (arg.required && arg.aliases.empty()) required.push_back(arg.name);
  };
  for (const ArgSpec& arg : component.args) put(arg);
  if (component.kind == ComponentKind::kTable || component.kind == ComponentKind::kSource)
    for (const ArgSpec& arg : common_table_args()) put(arg);
  out["properties"] = std::move(properties);
  if (!required.empty()) out["required"] = std::move(required);
  out["patternProperties"] = {{"^\\$", Json::object()}};
  out["additionalProperties"] = component.open;
  return out;
}

Json setting_schema(const config::OptionSpec& spec) {
  Json out = Json::object();
  out["description"] = spec.doc;
  using config::OptionType;
  switch (spec.type) {
    case OptionType::kInt: out["type"] = Json::array({"integer", "string"}); break;
    case OptionType::kFloat: out["type"] = Json::array({"number", "string"}); break;
    case OptionType::kBool: out["type"] = Json::array({"boolean", "string"}); break;
    case OptionType::kEnum: {
      Json values = Json::array();
      for (const std::string& choice : spec.choices) values.push_back(choice);
      out["anyOf"] = Json::array({Json{{"enum", values}}, Json{{"type", "string"}}});
      break;
    }
    case OptionType::kText:
    case OptionType::kPath:
    case OptionType::kPathOrTable:
    case OptionType::kDuration:
    case OptionType::kTextList:
    case OptionType::kMap:
    case OptionType::kTextMap:
    case OptionType::kList:
    case OptionType::kAny:
    case OptionType::kTable: break;
  }
  return out;
}

}  // namespace

std::vector<std::string> list_topics() {
  std::vector<std::string> out = {"tags", "functions", "settings"};
  for (const Topic& topic : tag_topics()) out.emplace_back(topic.name);
  return out;
}

Result<std::string> list_text(const Registry& registry, std::string_view topic) {
  if (topic.empty() || topic == "tags")
    return list_components(registry, [](const Component& c) {
      return c.kind != ComponentKind::kKnown && c.kind != ComponentKind::kConstant;
    });
  if (topic == "functions") return list_functions();
  if (topic == "settings") return list_settings();
  for (const Topic& one : tag_topics())
    if (one.name == topic || (one.name.size() == topic.size() + 1 && one.name.starts_with(topic)))
      return list_components(registry, [&](const Component& c) {
        return std::find(one.kinds.begin(), one.kinds.end(), c.kind) != one.kinds.end();
      });
  const std::vector<std::string> topics = list_topics();
  Error error{Code::kInvalidArgument, "there is no list of `" + std::string(topic) + "`", {}, {}};
  if (const auto near = nearest_name(topic, topics))
    return fail(std::move(error).with_note("did you mean `" + *near + "`?"));
  std::string all;
  for (const std::string& name : topics) all += (all.empty() ? "`" : ", `") + name + "`";
  return fail(std::move(error).with_note("there are " + all));
}

Result<std::string> docs_text(const Registry& registry, std::string_view name) {
  if (name.starts_with('!')) name.remove_prefix(1);
  if (const Component* component = registry.find(name)) return component_docs(*component);
  std::string_view function_name = name;
  for (std::string_view prefix : {"pw.", "."})
    if (function_name.starts_with(prefix)) function_name.remove_prefix(prefix.size());
  if (function_name.ends_with("()")) function_name.remove_suffix(2);
  if (const expr::FunctionDoc* function = find_function(function_name)) return function_docs(*function);
  for (const config::OptionSpec& spec : setting_specs())
    if (spec.name == name)
      return "# " + spec.name + "\n\nA setting of the pipeline: " + std::string(config::type_text(spec.type)) + ". " +
             spec.doc + "\n";
  std::vector<std::string> names = registry.names();
  for (const expr::FunctionDoc& function : expr::all_functions()) names.push_back(function.name);
  Error error{Code::kNotFound, "nothing is called `" + std::string(name) + "`", {}, {}};
  if (const auto near = nearest_name(name, names))
    return fail(std::move(error).with_note("did you mean `" + *near + "`?"));
  return fail(std::move(error).with_note("`thalweg list` shows all names"));
}

std::string json_schema(const Registry& registry) {
  Json out;
  out["$schema"] = "http://json-schema.org/draft-07/schema#";
  out["title"] = "Thalweg pipeline";
  out["type"] = "object";
  Json properties = Json::object();
  for (const config::OptionSpec& spec : setting_specs()) properties[spec.name] = setting_schema(spec);
  out["properties"] = std::move(properties);
  out["additionalProperties"] = true;
  Json definitions = Json::object();
  Json tags = Json::array();
  for (const Component* component : registry.all()) {
    if (component->kind == ComponentKind::kKnown) continue;
    definitions[component->name] = component_schema(*component);
    tags.push_back("!" + component->name + " mapping");
    if (component->kind == ComponentKind::kConstant || !component->text_arg.empty())
      tags.push_back("!" + component->name + " scalar");
  }
  out["definitions"] = std::move(definitions);
  out["x-yaml-custom-tags"] = std::move(tags);  // for the `yaml.customTags` of YAML language servers
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace thalweg::lang
