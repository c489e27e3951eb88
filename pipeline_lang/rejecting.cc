#include "pipeline_lang/rejecting.h"

#include <algorithm>

#include "config/decode.h"

namespace thalweg::lang {
namespace {

bool makes_table(const ast::Node& node, std::string_view name) {
  for (const ast::NodePtr& item : node.items)
    if (makes_table(*item, name)) return true;
  return std::ranges::any_of(node.entries, [&](const ast::Entry& entry) {
    const ast::Node& value = *entry.value;
    const bool is_it =
        !node.tag.empty() && entry.key == "dead_letter" && value.is_scalar() && value.tag.empty() && value.text == name;
    return is_it || makes_table(value, name);
  });
}

}  // namespace

Definition* find_rejecting(Scope* scope, std::string_view name) {
  if (scope == nullptr || name.empty() || config::is_path(name)) return nullptr;
  while (scope->parent() != nullptr) scope = scope->parent();
  const auto search = [&](Scope& file) -> Definition* {
    for (const auto* definitions : {&file.variables, &file.plain})
      for (const auto& [key, definition] : *definitions)
        if (definition->where.node != nullptr && makes_table(*definition->where.node, name)) return definition.get();
    return nullptr;
  };
  if (Definition* found = search(*scope)) return found;
  for (Scope* import : scope->imports)
    if (Definition* found = search(*import)) return found;
  return nullptr;
}

Schema rejected_records_schema() {
  Schema schema;
  schema.columns = {{"raw", Kind::kStr}, {"reason", Kind::kStr}, {"source", Kind::kStr}, {"position", Kind::kStr}};
  return schema;
}

}  // namespace thalweg::lang
