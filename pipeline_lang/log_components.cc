// `!error_history`: what went wrong in the operators of one table.
#include <set>

#include "pipeline_lang/evaluate.h"

namespace thalweg::lang {
namespace {

// The nodes that one tag made: the table's own and those before it that stand at the same place.
std::vector<NodeId> nodes_of_tag(Builder& b, const Table& table) {
  std::vector<NodeId> out;
  std::set<NodeId> seen;
  std::vector<NodeId> next = {table.node};
  const SourceSpan tag = b.node_of(table).span;
  Table at = table;
  while (!next.empty()) {
    const NodeId id = next.back();
    next.pop_back();
    at.node = id;
    const plan::Node& node = b.node_of(at);
    if (!(node.span == tag) || !seen.insert(id).second) continue;
    out.push_back(id);
    next.insert(next.end(), node.inputs.begin(), node.inputs.end());
  }
  return out;
}

ObjectPtr build_error_history(Builder& b, const Call& call) {
  const auto table = call.table("table");
  if (!table) return error_object();
  if (b.in_loop() || table->frame != 0) {
    b.error(call.span(), "the error log cannot be used inside a loop");
    return error_object();
  }
  plan::ErrorLog log;
  log.operators = nodes_of_tag(b, *table);
  log.all = false;
  return table_object(
      b.add(std::move(log), {}, error_log_schema(),
            {.span = call.span(), .label = call.label(), .append_only = true, .universe = std::nullopt}));
}

}  // namespace

void add_log_components(Components& out) {
  out.push_back({.name = "error_history",
                 .kind = ComponentKind::kTable,
                 .args = {{.name = "table", .kind = ArgKind::kTable, .required = true, .doc = "Whose operators."}},
                 .doc = "The error log of the operators that made a table, as an append-only table.",
                 .example = "$bad: !error_history {table: $orders}",
                 .build = build_error_history});
}

}  // namespace thalweg::lang
