#include "pipeline_lang/registry.h"

#include <algorithm>

#include "config/option_spec.h"

namespace thalweg::lang {
namespace {

// Whole families with another spelling: a name under the left is the name under the right.
struct PrefixAlias {
  std::string_view written;
  std::string_view means;
};
constexpr PrefixAlias kPrefixAliases[] = {
    {"io.filesystem.", "io.fs."},
    {"io.json_lines.", "io.jsonlines."},
    {"io.rdkafka.", "io.kafka."},
    {"io.sharepoint.", "xpacks.connectors.sharepoint."},
    {"io.postgresql.", "io.postgres."},
    {"io.text.", "io.plaintext."},
    {"persistence.Backends.", "persistence.Backend."},
    {"temporal.temporal_behavior.", "temporal."},
    {"window.", "temporal."},
    {"windows.", "temporal."},
    {"internals.reducers.", "reducers."},
    {"tools.aggregate.", "reducers."},
    {"engine.", ""},
    {"debug.", ""},
    {"internals.", ""},
    {"schema.", ""},
    {"Table.", ""},
    {"Transformations.", ""},
    {"transformations.", ""},
    {"table.", ""},
    {"utils.col.", ""},
    {"ordered.", ""},
    {"statistical.", ""},
    {"stateful.", ""},
};

}  // namespace

std::string short_tag(std::string_view tag) {
  std::string out(tag);
  std::replace(out.begin(), out.end(), ':', '.');
  bool changed = true;
  const auto strip = [&](std::string_view prefix) {
    if (!out.starts_with(prefix)) return;
    out.erase(0, prefix.size());
    changed = true;
  };
  while (changed) {
    changed = false;
    strip("pw.");
    strip("pathway.");
    strip("stdlib.");
  }
  return out;
}

Registry::Registry(const Catalog* catalog) : catalog_(catalog) {
  Components rows;
  add_schema_components(rows);
  add_settings_components(rows);
  add_function_components(rows);
  add_log_components(rows);
  add_table_components(rows);
  add_temporal_components(rows);
  add_reducer_components(rows);
  add_sql_components(rows);
  add_index_components(rows);
  add_model_components(rows);
  add_store_components(rows);
  add_rag_components(rows);
  for (Component& row : rows) add(std::move(row));
  add_connectors();
  add_known();
  for (const auto& [name, component] : by_name_) names_.push_back(name);
}

void Registry::add(Component component) {
  components_.push_back(std::move(component));
  const Component* stored = &components_.back();
  by_name_.emplace(stored->name, stored);
  for (const std::string& alias : stored->aliases) by_name_.emplace(alias, stored);
}

void Registry::add_connectors() {
  if (catalog_ == nullptr) return;
  for (const config::ConnectorSpec* connector : catalog_->connectors()) add(connector_component(*connector));
  for (const Component* component : catalog_->components()) add(*component);
}

void Registry::add_known() {
  Components known;
  add_known_components(known);
  for (Component& component : known)
    if (!by_name_.contains(component.name)) add(std::move(component));
}

const Component* Registry::find(std::string_view tag) const {
  std::string name = short_tag(tag);
  // A family alias may uncover another one (`engine.Table.select`).
  for (int depth = 0; depth < 4; ++depth) {
    if (const auto found = by_name_.find(name); found != by_name_.end()) return found->second;
    const auto* alias = std::find_if(std::begin(kPrefixAliases), std::end(kPrefixAliases),
                                     [&](const PrefixAlias& a) { return name.starts_with(a.written); });
    if (alias == std::end(kPrefixAliases)) break;
    name = std::string(alias->means) + name.substr(alias->written.size());
  }
  // `interval_join` and `temporal.interval_join` are one.
  constexpr std::string_view kTemporal = "temporal.";
  if (name.starts_with(kTemporal))
    name.erase(0, kTemporal.size());
  else
    name.insert(0, kTemporal);
  if (const auto found = by_name_.find(name); found != by_name_.end()) return found->second;
  return nullptr;
}

std::vector<const Component*> Registry::all() const {
  std::vector<const Component*> out;
  for (const Component& component : components_) out.push_back(&component);
  std::stable_sort(out.begin(), out.end(), [](const Component* a, const Component* b) {
    return std::pair(a->kind, std::string_view(a->name)) < std::pair(b->kind, std::string_view(b->name));
  });
  return out;
}

const std::vector<ArgSpec>& common_table_args() {
  static const std::vector<ArgSpec> kArgs = {
      {.name = "export",
       .kind = ArgKind::kBool,
       .fallback = "true",
       .doc = "Whether a plain top-level key exports this table."},
      {.name = "index", .kind = ArgKind::kNames, .doc = "Columns that the exported table is looked up by."},
      {.name = "retain",
       .kind = ArgKind::kDuration,
       .doc = "How far back snapshots and diffs of the exported table go."},
  };
  return kArgs;
}

std::string_view kind_text(ComponentKind kind) {
  switch (kind) {
    case ComponentKind::kTable: return "table";
    case ComponentKind::kSource: return "source";
    case ComponentKind::kSink: return "sink";
    case ComponentKind::kSchema: return "schema";
    case ComponentKind::kType: return "type";
    case ComponentKind::kWindow: return "window";
    case ComponentKind::kBehavior: return "behavior";
    case ComponentKind::kReducer: return "reducer";
    case ComponentKind::kColumn: return "column definition";
    case ComponentKind::kFunction: return "function";
    case ComponentKind::kSettings: return "block of settings";
    case ComponentKind::kConstant: return "constant";
    case ComponentKind::kServer: return "server";
    case ComponentKind::kKnown: return "component that is not built in";
  }
  return "";
}

std::string_view kind_text(ArgKind kind) {
  switch (kind) {
    case ArgKind::kTable: return "a table";
    case ArgKind::kTables: return "a list of tables";
    case ArgKind::kTableMap: return "a mapping of tables";
    case ArgKind::kExpr: return "an expression";
    case ArgKind::kExprMap: return "a mapping of names to expressions";
    case ArgKind::kExprList: return "a list of names and {name: expression}";
    case ArgKind::kNames: return "a list of column names";
    case ArgKind::kRename: return "a mapping of new to old names";
    case ArgKind::kText: return "a text";
    case ArgKind::kInt: return "an int";
    case ArgKind::kFloat: return "a float";
    case ArgKind::kNumber: return "a number";
    case ArgKind::kBool: return "true or false";
    case ArgKind::kDuration: return "a duration such as `5m`";
    case ArgKind::kDurationOrNumber: return "a duration such as `5m` or a number";
    case ArgKind::kType: return "a type";
    case ArgKind::kTypeMap: return "a mapping of columns to types";
    case ArgKind::kSchema: return "a schema";
    case ArgKind::kComponent: return "a component";
    case ArgKind::kReducers: return "a list of reducers";
    case ArgKind::kEnum: return "one of the values listed";
    case ArgKind::kPath: return "a path";
    case ArgKind::kLiteral: return "data";
    case ArgKind::kScope: return "a mapping";
    case ArgKind::kAny: return "a value";
  }
  return "";
}

}  // namespace thalweg::lang
