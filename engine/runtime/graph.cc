#include "engine/runtime/graph.h"

#include <algorithm>
#include <span>
#include <type_traits>

#include "engine/plan/rewrite/arrange.h"

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

Route through_project(const plan::Project& project, const Route& input) {
  if (input.by != Route::By::kColumns && input.by != Route::By::kPointer) return input;
  Route out{input.by, {}};
  for (std::uint32_t column : input.columns) {
    bool found = false;
    for (std::uint32_t i = 0; i < project.exprs.size() && !found; ++i)
      if (source_column(project, i) == column) {
        out.columns.push_back(i);
        found = true;
      }
    if (!found) return {};
  }
  return out;
}

// Rows of tables that are spread alike stay so side by side.
Route through_concat(const plan::Concat& concat, std::span<const Route> inputs) {
  bool alike = std::ranges::all_of(inputs, [&](const Route& route) { return route == inputs[0]; });
  bool by_old_key = concat.reindex && (inputs[0].by == Route::By::kKey || inputs[0].by == Route::By::kPointer);
  return alike && !by_old_key ? inputs[0] : Route{};
}

// How the output of a node is spread, given how its inputs are.
Route output_route(const plan::Node& node, const OperatorDescriptor* descriptor, std::span<const Route> inputs) {
  auto is = [&]<class Kind>(std::type_identity<Kind>) { return std::holds_alternative<Kind>(node.params); };
  if (is(std::type_identity<plan::Filter>()) || is(std::type_identity<plan::RemoveErrors>()) ||
      is(std::type_identity<plan::AssertAppendOnly>()) || is(std::type_identity<plan::FilterForgetting>()))
    return inputs[0];
  if (const auto* project = std::get_if<plan::Project>(&node.params)) return through_project(*project, inputs[0]);
  if (const auto* concat = std::get_if<plan::Concat>(&node.params)) return through_concat(*concat, inputs);
  if (is(std::type_identity<plan::Rekey>())) return inputs[0].by == Route::By::kKey ? Route{} : inputs[0];
  if (const auto* flatten = std::get_if<plan::Flatten>(&node.params)) {
    bool changed = inputs[0].by == Route::By::kKey ||
                   std::ranges::find(inputs[0].columns, flatten->column) != inputs[0].columns.end();
    return changed ? Route{} : inputs[0];
  }
  return descriptor ? descriptor->output_route(node) : Route{};
}

// G3
Result<void> order_readers(const plan::Plan& plan, const plan::Node& node, Graph& graph) {
  std::vector<std::uint32_t>& outgoing = graph.outgoing[node.id.value];
  for (std::uint32_t e : outgoing)
    if (graph.edges[e].exchanges || !plan::holds_sides(plan.node(graph.edges[e].to)))
      return fail(Code::kInternal, "an arrangement is read by what does not join by its columns", node.span);
  std::ranges::reverse(outgoing);
  std::ranges::stable_partition(outgoing, [&](std::uint32_t e) {
    const Edge& edge = graph.edges[e];
    return edge.port == 0 && plan.node(edge.to).inputs[0] == plan.node(edge.to).inputs[1];
  });
  return {};
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

std::vector<bool> nodes_with_read_rejects(const plan::Plan& plan) {
  std::vector<bool> read(plan.nodes.size(), false);
  for (const plan::Node& node : plan.nodes)
    if (const auto* log = std::get_if<plan::ErrorLog>(&node.params); log != nullptr && log->rejected_records)
      for (NodeId of : log->operators) read[of.value] = true;
  return read;
}

std::vector<bool> outputs_with_read_refusals(const plan::Plan& plan) {
  const std::vector<bool> late = depends_on_error_log(plan);
  std::vector<bool> read(plan.nodes.size(), false);
  for (const plan::Node& node : plan.nodes) {
    const auto* log = std::get_if<plan::ErrorLog>(&node.params);
    if (log == nullptr) continue;
    for (const plan::Node& output : plan.nodes) {
      // What comes of the error log is not reported into it.
      if (!std::holds_alternative<plan::Output>(output.params) || late[output.id.value]) continue;
      if (log->all || std::ranges::find(log->operators, output.id) != log->operators.end())
        read[output.id.value] = true;
    }
  }
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
    std::vector<Route> inputs;
    for (NodeId input : node.inputs) inputs.push_back(spread[input.value]);
    spread[node.id.value] = output_route(node, descriptor, inputs);
  }
  for (const plan::Node& node : plan.nodes)
    if (std::holds_alternative<plan::Arrange>(node.params)) TRY(order_readers(plan, node, graph));
  return graph;
}

}  // namespace thalweg
