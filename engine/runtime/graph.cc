#include "engine/runtime/graph.h"

#include <algorithm>

namespace thalweg {

namespace {

// Routes that the runtime's own nodes ask for.
std::vector<Route> routes_of(const plan::Node& node, const OperatorDescriptor* descriptor) {
  if (descriptor) return descriptor->routes(node);
  if (std::holds_alternative<plan::Export>(node.params)) return {Route{Route::By::kKey, {}}};
  if (const auto* output = std::get_if<plan::Output>(&node.params))
    return {Route{output->connector == "io.null.write" ? Route::By::kAny : Route::By::kOne, {}}};
  return std::vector<Route>(node.inputs.size());
}

// Where the output column `column` of a projection comes from, if it is a plain copy.
std::optional<std::uint32_t> source_column(const plan::Project& project, std::uint32_t column) {
  const plan::ExprPtr& expr = project.exprs[column];
  if (expr->kind != plan::ExprKind::kColumn) return std::nullopt;
  return expr->column;
}

// How the output of a node is spread, given how its input is.
Route output_route(const plan::Node& node, const OperatorDescriptor* descriptor, const Route& input) {
  if (std::holds_alternative<plan::Filter>(node.params)) return input;
  if (const auto* project = std::get_if<plan::Project>(&node.params)) {
    if (input.by != Route::By::kColumns && input.by != Route::By::kPointer) return input;
    Route out{input.by, {}};
    for (std::uint32_t column : input.columns) {
      bool found = false;
      for (std::uint32_t i = 0; i < project->exprs.size() && !found; ++i)
        if (source_column(*project, i) == column) {
          out.columns.push_back(i);
          found = true;
        }
      if (!found) return {};
    }
    return out;
  }
  return descriptor ? descriptor->output_route(node) : Route{};
}

}  // namespace

std::vector<bool> depends_on_error_log(const plan::Plan& plan) {
  std::vector<bool> depends(plan.nodes.size(), false);
  for (const plan::Node& node : plan.nodes) {
    bool any = std::holds_alternative<plan::ErrorLog>(node.params);
    for (NodeId input : node.inputs) any = any || depends[input.value];
    depends[node.id.value] = any;
  }
  return depends;
}

std::vector<bool> sources_with_read_rejects(const plan::Plan& plan) {
  std::vector<bool> read(plan.nodes.size(), false);
  for (const plan::Node& node : plan.nodes)
    if (const auto* log = std::get_if<plan::ErrorLog>(&node.params); log != nullptr && log->rejected_records)
      for (NodeId source : log->operators) read[source.value] = true;
  return read;
}

Result<Graph> build_graph(const plan::Plan& plan) {
  Graph graph;
  std::size_t n = plan.nodes.size();
  graph.outgoing.resize(n);
  graph.incoming.resize(n);
  graph.descriptors.resize(n, nullptr);

  std::vector<bool> late = depends_on_error_log(plan);
  for (bool pass : {false, true})
    for (const plan::Node& node : plan.nodes)
      if (late[node.id.value] == pass) graph.order.push_back(node.id);

  std::vector<Route> spread(n);
  for (const plan::Node& node : plan.nodes) {
    const OperatorDescriptor* descriptor = find_operator(plan::operator_name(node.params));
    graph.descriptors[node.id.value] = descriptor;
    std::vector<Route> routes = routes_of(node, descriptor);
    for (std::uint32_t port = 0; port < node.inputs.size(); ++port) {
      Edge edge;
      edge.id = static_cast<std::uint32_t>(graph.edges.size());
      edge.from = node.inputs[port];
      edge.to = node.id;
      edge.port = port;
      edge.route = port < routes.size() ? routes[port] : Route{};
      edge.exchanges = edge.route.by != Route::By::kAny && !(edge.route == spread[edge.from.value]);
      graph.outgoing[edge.from.value].push_back(edge.id);
      graph.incoming[node.id.value].push_back(edge.id);
      graph.edges.push_back(std::move(edge));
    }
    Route input = node.inputs.empty() ? Route{} : spread[node.inputs[0].value];
    spread[node.id.value] = output_route(node, descriptor, input);
  }
  return graph;
}

}  // namespace thalweg
