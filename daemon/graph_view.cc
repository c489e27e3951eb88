#include "daemon/graph_view.h"

#include <algorithm>

#include <fmt/format.h>

#include "daemon/json_writer.h"
#include "daemon/persistence.h"
#include "daemon/rest/pipelines.h"
#include "engine/plan/rewrite/arrange.h"
#include "engine/plan/rewrite/liveness.h"
#include "engine/runtime/graph.h"
#include "engine/runtime/run.h"

namespace thalweg::daemon {
namespace {

std::string names_of(const Schema& schema, const plan::Columns& columns) {
  std::string out;
  for (std::uint32_t column : columns) {
    if (!out.empty()) out += ", ";
    out += column < schema.size() ? schema.columns[column].name : "#" + std::to_string(column);
  }
  return out;
}

std::string exchange_text(const thalweg::Route& route, const Schema& schema) {
  switch (route.by) {
    case thalweg::Route::By::kAny: return {};
    case thalweg::Route::By::kKey: return "by key";
    case thalweg::Route::By::kColumns: return "by (" + names_of(schema, route.columns) + ")";
    case thalweg::Route::By::kPointer: return "by pointer " + names_of(schema, route.columns);
    case thalweg::Route::By::kOne: return "to one worker";
    case thalweg::Route::By::kAll: return "to all workers";
  }
  return {};
}

// What an operator keeps between commits.
struct StateText {
  std::string operator()(const plan::Upsert&) const { return "the newest row of every key"; }
  std::string operator()(const plan::Keyed&) const { return "rows of both sides by key"; }
  std::string operator()(const plan::GroupBy&) const { return "one entry per group"; }
  std::string operator()(const plan::Deduplicate&) const { return "one row per instance"; }
  std::string operator()(const plan::TopK&) const { return "rows in order, per partition"; }
  std::string operator()(const plan::Arrange&) const { return "rows by these columns, once for all that read them"; }
  std::string operator()(const plan::Sort&) const { return "rows in order, per instance"; }
  std::string operator()(const plan::OrderedDiff&) const { return "rows in order, per instance"; }
  std::string operator()(const plan::Interpolate&) const { return "rows in order"; }
  std::string operator()(const plan::TimeGate& gate) const {
    return gate.kind == plan::GateKind::kFreeze ? "the clock" : "rows until the clock passes them";
  }
  std::string operator()(const plan::SlidingGroupBy& windows) const {
    return windows.cutoff.is_none() ? "one entry per pane, one row per window"
                                    : "one entry per pane, one row per window, until the cutoff";
  }
  std::string operator()(const plan::SessionAssign& sessions) const {
    return sessions.cutoff.is_none() ? "rows in order, per instance" : "rows in order, per instance, until the cutoff";
  }
  std::string operator()(const plan::IntervalJoin& join) const {
    return join.cutoff.is_none() ? "rows of both sides in order of time"
                                 : "rows of both sides in order of time, until the cutoff";
  }
  std::string operator()(const plan::AsofJoin&) const { return "rows of both sides in order of time"; }
  std::string operator()(const plan::AsofNowJoin& join) const {
    return join.remember ? "rows of both sides, and the answers given" : "rows of the right side by join key";
  }
  std::string operator()(const plan::IndexQuery& query) const {
    return query.live || query.remember ? "the index, and the answers given" : "the index";
  }
  std::string operator()(const plan::Inactivity&) const { return "one entry per instance"; }
  std::string operator()(const plan::UpdateTimestamp&) const { return "rows with their times"; }
  std::string operator()(const plan::Iterate&) const { return "the loop's tables"; }
  std::string operator()(const plan::Export&) const { return "all rows by key, and their history"; }
  template <class Other>
  std::string operator()(const Other&) const {
    return {};
  }
};

// Sides that are arranged before a join are held there.
std::string join_state(const plan::Plan& plan, const plan::Node& node) {
  const bool left = plan::is_arranged(plan, node.inputs[0]);
  const bool right = plan::is_arranged(plan, node.inputs[1]);
  if (left && right) return {};
  return fmt::format("rows of {} by {}",
                     left    ? "the right side"
                     : right ? "the left side"
                             : "both sides",
                     std::holds_alternative<plan::Ix>(node.params) ? "pointer" : "join key");
}

std::string expr_list(const std::vector<plan::ExprPtr>& exprs, const Schema& out) {
  std::string text;
  for (std::size_t i = 0; i < exprs.size(); ++i) {
    // A column that is only passed on says nothing new.
    if (exprs[i]->kind == plan::ExprKind::kColumn) continue;
    if (!text.empty()) text += ", ";
    text += (i < out.size() ? out.columns[i].name : std::to_string(i)) + " = " + plan::to_text(*exprs[i]);
  }
  return text;
}

// Fields that are not even parsed.
std::string unread_fields(const plan::Source& source) {
  std::string out;
  for (const plan::SourceField& field : source.fields)
    if (!field.used) out += (out.empty() ? "does not read " : ", ") + field.name;
  return out;
}

std::string range_text(const Schema& schema, std::uint32_t lower, std::uint32_t upper) {
  return lower == upper ? names_of(schema, {lower}) : "[" + names_of(schema, {lower, upper}) + "]";
}

std::string detail_of(const plan::Node& node, const Schema& input, const Schema& other) {
  if (const auto* source = std::get_if<plan::Source>(&node.params)) return unread_fields(*source);
  if (const auto* project = std::get_if<plan::Project>(&node.params)) return expr_list(project->exprs, node.schema);
  if (const auto* remember = std::get_if<plan::Remember>(&node.params)) {
    std::string text;
    for (const plan::ExprPtr& expr : remember->exprs) text += (text.empty() ? "" : ", ") + plan::to_text(*expr);
    return text;
  }
  if (const auto* filter = std::get_if<plan::Filter>(&node.params)) return plan::to_text(*filter->condition);
  if (const auto* rekey = std::get_if<plan::Rekey>(&node.params)) return plan::to_text(*rekey->key);
  if (const auto* exported = std::get_if<plan::Export>(&node.params)) return exported->name;
  if (const auto* group = std::get_if<plan::GroupBy>(&node.params)) {
    std::string text = "by " + (group->by.empty() ? std::string("nothing") : names_of(input, group->by));
    for (const plan::Reducer& reducer : group->reducers) text += "; " + reducer.text;
    return text;
  }
  if (const auto* join = std::get_if<plan::Join>(&node.params)) {
    static constexpr const char* kHow[] = {"inner", "left", "right", "outer"};
    return std::string(kHow[static_cast<int>(join->how)]) + "; " + names_of(input, join->left_on) + " = " +
           names_of(other, join->right_on);
  }
  if (const auto* arranged = std::get_if<plan::Arrange>(&node.params))
    return "by " + (arranged->by_key       ? std::string("row key")
                    : arranged->on.empty() ? std::string("nothing")
                                           : names_of(input, arranged->on));
  if (const auto* join = std::get_if<plan::IntervalJoin>(&node.params)) {
    std::string text = join->left_on.empty()
                           ? std::string()
                           : names_of(input, join->left_on) + " = " + names_of(other, join->right_on) + "; ";
    return text + range_text(input, join->left_lower, join->left_upper) + " meets " +
           range_text(other, join->right_lower, join->right_upper);
  }
  return {};
}

std::string node_key(const plan::Node& node, const Schema& input) {
  if (const auto* source = std::get_if<plan::Source>(&node.params)) {
    std::string out;
    for (const plan::SourceField& field : source->fields)
      if (field.primary_key) out += (out.empty() ? "" : ", ") + field.name;
    return out.empty() ? "generated" : out;
  }
  if (const auto* group = std::get_if<plan::GroupBy>(&node.params)) {
    std::string out = names_of(input, group->by);
    if (group->instance) out += (out.empty() ? "" : ", ") + names_of(input, {*group->instance});
    return out;
  }
  if (const auto* rekey = std::get_if<plan::Rekey>(&node.params)) return plan::to_text(*rekey->key);
  return {};
}

GraphNode describe(const plan::Plan& plan, const plan::Node& node) {
  static const Schema kNone;
  const Schema& input = node.inputs.empty() ? kNone : plan.node(node.inputs[0]).schema;
  const Schema& other = node.inputs.size() < 2 ? kNone : plan.node(node.inputs[1]).schema;
  GraphNode out;
  out.id = node.id.value;
  out.op = plan::operator_name(node.params);
  out.label = node.label;
  if (const auto* source = std::get_if<plan::Source>(&node.params)) out.connector = source->connector;
  if (const auto* output = std::get_if<plan::Output>(&node.params)) {
    out.connector = output->connector;
  }
  for (const ColumnSpec& column : node.schema.columns) out.schema.emplace_back(column.name, column.type.to_text());
  out.key = node_key(node, input);
  out.state = plan::holds_sides(node) ? join_state(plan, node) : std::visit(StateText{}, node.params);
  out.append_only = node.append_only;
  out.detail = detail_of(node, input, other);
  return out;
}

void add_edges(const plan::Plan& plan, GraphView& graph) {
  Result<Graph> built = build_graph(plan);
  if (!built) return;
  for (const Edge& edge : built->edges)
    graph.edges.push_back({edge.from.value, edge.to.value, edge.port,
                           edge.exchanges ? exchange_text(edge.route, plan.node(edge.from).schema) : std::string()});
}

std::string title_of(const GraphNode& node) {
  std::string out = node.op;
  if (!node.connector.empty()) out += " " + node.connector;
  if (!node.label.empty()) out += " " + node.label;
  return out;
}

std::string quoted(const std::string& text, char quote, const char* replacement) {
  std::string out;
  for (char c : text) {
    if (c == quote)
      out += replacement;
    else if (c != '\n')
      out += c;
  }
  return out;
}

}  // namespace

GraphView GraphView::of(const plan::Plan& plan, const FileTable* files, bool keeps_state) {
  GraphView graph;
  graph.pipeline = plan.name;
  plan::Plan marked = plan;
  plan::mark_liveness(marked);
  for (const plan::Node& node : marked.nodes) {
    graph.nodes.push_back(describe(marked, node));
    if (!files || !node.span.known()) continue;
    graph.nodes.back().file = files->name(node.span.file);
    graph.nodes.back().line = files->locate(node.span).line;
  }
  add_edges(plan, graph);
  std::size_t next = 0;
  std::vector<OutputGuarantee> guarantees = guarantees_of(plan, keeps_state);
  for (const plan::Node& node : plan.nodes)
    if (std::holds_alternative<plan::Output>(node.params))
      graph.nodes[node.id.value].guarantee = delivery_text(guarantees[next++].delivery);
  return graph;
}

std::string graph_text(const GraphView& graph) {
  std::string out;
  for (const GraphNode& node : graph.nodes) {
    out += "#" + std::to_string(node.id) + " " + title_of(node) + "\n";
    for (const GraphEdge& edge : graph.edges)
      if (edge.to == node.id)
        out += "     from #" + std::to_string(edge.from) +
               (edge.exchange.empty() ? "" : ", exchanged " + edge.exchange) + "\n";
    if (!node.detail.empty()) out += "     " + node.detail + "\n";
    if (!node.schema.empty()) {
      out += "     schema: ";
      for (std::size_t i = 0; i < node.schema.size(); ++i)
        out += (i == 0 ? "" : ", ") + node.schema[i].first + ": " + node.schema[i].second;
      out += "\n";
    }
    if (!node.key.empty()) out += "     key: " + node.key + "\n";
    if (node.append_only) out += "     append-only\n";
    if (!node.state.empty()) out += "     holds: " + node.state + "\n";
    if (!node.guarantee.empty()) out += "     delivers: " + node.guarantee + "\n";
  }
  return out;
}

std::string graph_json(const GraphView& graph, const std::vector<OperatorStatus>* live) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("pipeline", graph.pipeline).key("operators").begin_array();
  for (const GraphNode& node : graph.nodes) {
    json.begin_object().field("id", static_cast<std::uint64_t>(node.id)).field("operator", node.op);
    json.field("label", node.label);
    if (!node.connector.empty()) json.field("connector", node.connector);
    if (node.line > 0) json.field("file", node.file).field("line", static_cast<std::uint64_t>(node.line));
    json.key("schema").begin_array();
    for (const auto& [name, type] : node.schema)
      json.begin_object().field("name", name).field("type", type).end_object();
    json.end_array();
    if (!node.key.empty()) json.field("key", node.key);
    json.field("append_only", node.append_only);
    if (!node.state.empty()) json.field("holds", node.state);
    if (!node.guarantee.empty()) json.field("guarantee", node.guarantee);
    if (!node.detail.empty()) json.field("detail", node.detail);
    for (std::size_t i = 0; live && i < live->size(); ++i) {
      const OperatorStatus& status = (*live)[i];
      if (status.node.value != node.id) continue;
      json.key("live").begin_object().field("rows_in", status.rows_in).field("rows_out", status.rows_out);
      json.field("busy_ns", status.busy_ns).field("state_rows", status.state.rows);
      json.field("state_bytes", status.state.bytes).field("late_rows", status.state.late_rows);
      if (node.op == "iterate") {
        json.field("rounds", status.state.rounds).field("last_rounds", status.state.last_rounds);
        json.field("round_rows", status.state.round_rows);
      }
      json.end_object();
    }
    json.end_object();
  }
  json.end_array().key("edges").begin_array();
  for (const GraphEdge& edge : graph.edges) {
    json.begin_object().field("from", static_cast<std::uint64_t>(edge.from));
    json.field("to", static_cast<std::uint64_t>(edge.to)).field("port", static_cast<std::uint64_t>(edge.port));
    if (!edge.exchange.empty()) json.field("exchange", edge.exchange);
    json.end_object();
  }
  json.end_array().end_object();
  return out;
}

std::string graph_dot(const GraphView& graph) {
  std::string out = "digraph pipeline {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n";
  for (const GraphNode& node : graph.nodes)
    out += "  n" + std::to_string(node.id) + " [label=\"" + quoted(title_of(node), '"', "\\\"") + "\"" +
           (node.state.empty() ? "" : ", style=bold") + "];\n";
  for (const GraphEdge& edge : graph.edges) {
    out += "  n" + std::to_string(edge.from) + " -> n" + std::to_string(edge.to);
    if (!edge.exchange.empty()) out += " [label=\"" + quoted(edge.exchange, '"', "\\\"") + "\", style=dashed]";
    out += ";\n";
  }
  return out + "}\n";
}

std::string graph_mermaid(const GraphView& graph) {
  std::string out = "flowchart LR\n";
  for (const GraphNode& node : graph.nodes)
    out += "  n" + std::to_string(node.id) + "[\"" + quoted(title_of(node), '"', "#quot;") + "\"]\n";
  for (const GraphEdge& edge : graph.edges) {
    out += "  n" + std::to_string(edge.from) +
           (edge.exchange.empty() ? " --> " : " -. \"" + quoted(edge.exchange, '"', "#quot;") + "\" .-> ") + "n" +
           std::to_string(edge.to) + "\n";
  }
  return out;
}

}  // namespace thalweg::daemon
