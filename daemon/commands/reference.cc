// `list` and `docs`: the reference of every tag and function, from the tables that checking uses.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "config/option_spec.h"
#include "connectors/registry.h"
#include "daemon/commands/commands.h"
#include "daemon/console.h"
#include "daemon/json_writer.h"
#include "daemon/load.h"
#include "engine/base/edit_distance.h"
#include "engine/expr/function_table.h"
#include "pipeline_lang/registry.h"
#include "pipeline_lang/settings.h"

namespace thalweg::daemon {
namespace {

using lang::ArgSpec;
using lang::Component;
using lang::ComponentKind;

// What `list WHAT` may ask for, in the order of printing.
struct Section {
  std::string_view name;
  std::vector<ComponentKind> kinds;  // empty: functions
};

const std::vector<Section>& sections() {
  static const std::vector<Section> kSections = {
      {"sources", {ComponentKind::kSource}},
      {"sinks", {ComponentKind::kSink}},
      {"operators", {ComponentKind::kTable}},
      {"schemas", {ComponentKind::kSchema, ComponentKind::kType, ComponentKind::kColumn}},
      {"windows", {ComponentKind::kWindow, ComponentKind::kBehavior}},
      {"reducers", {ComponentKind::kReducer}},
      {"udfs", {ComponentKind::kFunction}},
      {"settings", {ComponentKind::kSettings}},
      {"constants", {ComponentKind::kConstant}},
      {"servers", {ComponentKind::kServer}},
      {"functions", {}},
  };
  return kSections;
}

bool is_in(const Section& section, ComponentKind kind) {
  return std::find(section.kinds.begin(), section.kinds.end(), kind) != section.kinds.end();
}

std::string first_sentence(std::string_view doc) {
  std::size_t end = doc.find_first_of("\n");
  std::string out(doc.substr(0, end));
  if (std::size_t stop = out.find(". "); stop != std::string::npos) out.resize(stop);
  return out;
}

struct Line {
  std::string name;
  std::string doc;
};

std::vector<Line> lines_of(const Section& section, const lang::Registry& registry) {
  std::vector<Line> out;
  if (section.kinds.empty()) {
    for (const expr::FunctionDoc& function : expr::all_functions()) out.push_back({function.signature, function.doc});
    return out;
  }
  for (const Component* component : registry.all())
    if (is_in(section, component->kind)) out.push_back({component->name, component->doc});
  return out;
}

void print_section(const Section& section, const lang::Registry& registry) {
  std::vector<Line> lines = lines_of(section, registry);
  if (lines.empty()) return;
  std::printf("%s\n", std::string(section.name).c_str());
  for (const Line& line : lines) std::printf("  %-34s %s\n", line.name.c_str(), first_sentence(line.doc).c_str());
}

void append_section(const Section& section, const lang::Registry& registry, JsonWriter& json) {
  json.key(section.name).begin_array();
  for (const Line& line : lines_of(section, registry))
    json.begin_object().field("name", line.name).field("doc", line.doc).end_object();
  json.end_array();
}

// `connectors` is both directions.
std::vector<const Section*> chosen(const std::string& what) {
  std::vector<const Section*> out;
  for (const Section& section : sections())
    if (what.empty() || section.name == what ||
        (what == "connectors" && (section.name == "sources" || section.name == "sinks")))
      out.push_back(&section);
  return out;
}

std::string joined(const std::vector<std::string>& words, std::string_view separator) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : std::string(separator)) + word;
  return out;
}

// ---------------------------------------------------------------- docs of one component

void print_indented(std::string_view text, int columns) {
  while (!text.empty()) {
    std::size_t end = std::min(text.find('\n'), text.size());
    std::printf("%*s%s\n", columns, "", std::string(text.substr(0, end)).c_str());
    text.remove_prefix(end == text.size() ? end : end + 1);
  }
}

void print_arg(const ArgSpec& arg) {
  std::string head = fmt::format("  {}: {}", arg.name, lang::kind_text(arg.kind));
  if (!arg.choices.empty()) head += " (" + joined(arg.choices, ", ") + ")";
  if (arg.required) head += ", required";
  if (!arg.fallback.empty()) head += ", default " + arg.fallback;
  if (arg.secret) head += ", secret";
  std::printf("%s\n", head.c_str());
  if (!arg.aliases.empty()) std::printf("      also: %s\n", joined(arg.aliases, ", ").c_str());
  if (!arg.doc.empty()) print_indented(arg.doc, 6);
}

void print_component(const Component& component) {
  std::printf("!%s (%s)\n", component.name.c_str(), std::string(lang::kind_text(component.kind)).c_str());
  if (!component.aliases.empty()) std::printf("also: %s\n", joined(component.aliases, ", ").c_str());
  if (!component.doc.empty()) std::printf("\n%s\n", component.doc.c_str());
  if (!component.args.empty()) std::printf("\narguments\n");
  for (const ArgSpec& arg : component.args) print_arg(arg);
  if (!component.example.empty()) {
    std::printf("\nexample\n");
    print_indented(component.example, 2);
  }
}

void append_entry(const Component& component, JsonWriter& json) {
  json.begin_object().field("name", component.name).field("kind", lang::kind_text(component.kind));
  json.field("doc", component.doc).field("example", component.example).key("aliases").begin_array();
  for (const std::string& alias : component.aliases) json.text(alias);
  json.end_array().key("arguments").begin_array();
  for (const ArgSpec& arg : component.args) {
    json.begin_object().field("name", arg.name).field("kind", lang::kind_text(arg.kind));
    json.field("required", arg.required).field("default", arg.fallback).field("doc", arg.doc).end_object();
  }
  json.end_array().end_object();
}

const expr::FunctionDoc* find_function(std::string_view name) {
  if (name.ends_with("()")) name.remove_suffix(2);
  if (name.starts_with('.')) name.remove_prefix(1);
  for (const expr::FunctionDoc& function : expr::all_functions())
    if (function.name == name ||
        std::find(function.aliases.begin(), function.aliases.end(), name) != function.aliases.end())
      return &function;
  return nullptr;
}

void print_function(const expr::FunctionDoc& function) {
  std::printf("%s\n", function.signature.c_str());
  if (!function.aliases.empty()) std::printf("also: %s\n", joined(function.aliases, ", ").c_str());
  if (!function.doc.empty()) std::printf("\n%s\n", function.doc.c_str());
  if (!function.example.empty())
    std::printf("\nexample\n  %s  gives  %s\n", function.example.c_str(), function.example_result.c_str());
}

void append_function(const expr::FunctionDoc& function, JsonWriter& json) {
  json.begin_object().field("name", function.name).field("kind", "function").field("signature", function.signature);
  json.field("doc", function.doc).field("example", function.example).field("result", function.example_result);
  json.key("aliases").begin_array();
  for (const std::string& alias : function.aliases) json.text(alias);
  json.end_array().end_object();
}

// Names that are neither tags nor functions: plain top-level keys, and the one reducer that is only an expression.
std::string doc_of_word(std::string_view word) {
  if (word == "fold")
    return "fold(init, expr): a reducer in `reduce:`, for tables that only grow. `acc` is the state, `row.c` a column; "
           "rows in "
           "the order of their batches, within one by `sort_by`, then by key.\n\nexample\n  fold(0, acc + row.amount)";
  for (const config::OptionSpec& setting : lang::setting_specs())
    if (setting.name == word) return setting.name + ": a setting, a plain key of the file\n\n" + setting.doc;
  return {};
}

int unknown(const std::string& tag, const lang::Registry& registry) {
  std::vector<std::string> known = registry.names();
  for (const config::OptionSpec& setting : lang::setting_specs()) known.push_back(setting.name);
  for (const expr::FunctionDoc& function : expr::all_functions()) known.push_back(function.name);
  std::string message = "there is no tag or function `" + tag + "`";
  if (auto nearest = nearest_name(tag, known)) message += "; did you mean `" + *nearest + "`?";
  complain(message);
  return kExitUsage;
}

}  // namespace

int run_command(const ListArgs& args) {
  Env env = real_env();
  ConnectorCatalog catalog(env);
  lang::Registry registry(&catalog);
  std::vector<const Section*> wanted = chosen(args.what);
  if (wanted.empty()) {
    std::vector<std::string> names = {"connectors"};
    for (const Section& section : sections()) names.emplace_back(section.name);
    complain("nothing to list by the name `" + args.what + "`; there are " + joined(names, ", "));
    return kExitUsage;
  }
  if (!args.json) {
    for (const Section* section : wanted) print_section(*section, registry);
    return kExitOk;
  }
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  for (const Section* section : wanted) append_section(*section, registry, json);
  json.end_object();
  std::printf("%s\n", out.c_str());
  return kExitOk;
}

int run_command(const DocsArgs& args) {
  Env env = real_env();
  ConnectorCatalog catalog(env);
  lang::Registry registry(&catalog);
  std::string tag = args.tag.starts_with('!') ? args.tag.substr(1) : args.tag;
  const Component* component = registry.find(tag);
  const expr::FunctionDoc* function = find_function(tag);
  if (component == nullptr) component = registry.find("reducers." + tag);
  if (component == nullptr && function == nullptr) {
    const std::string word = doc_of_word(tag);
    if (word.empty()) return unknown(tag, registry);
    if (args.json) {
      std::string out;
      JsonWriter(out).begin_array().begin_object().field("name", tag).field("doc", word).end_object().end_array();
      std::printf("%s\n", out.c_str());
    } else {
      std::printf("%s\n", word.c_str());
    }
    return kExitOk;
  }
  if (args.json) {
    std::string out;
    JsonWriter json(out);
    json.begin_array();
    if (component != nullptr) append_entry(*component, json);
    if (function != nullptr) append_function(*function, json);
    json.end_array();
    std::printf("%s\n", out.c_str());
    return kExitOk;
  }
  if (component != nullptr) print_component(*component);
  if (component != nullptr && function != nullptr) std::printf("\n");
  if (function != nullptr) print_function(*function);
  return kExitOk;
}

}  // namespace thalweg::daemon
