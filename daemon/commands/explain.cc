#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "daemon/client/client.h"
#include "daemon/commands/commands.h"
#include "daemon/console.h"
#include "daemon/environment.h"
#include "daemon/graph_view.h"
#include "daemon/load.h"
#include "daemon/persistence.h"

namespace thalweg::daemon {
namespace {

std::string rendered(const GraphView& graph, ExplainFormat format) {
  switch (format) {
    case ExplainFormat::kText: return graph_text(graph);
    case ExplainFormat::kJson: return graph_json(graph, nullptr) + "\n";
    case ExplainFormat::kDot: return graph_dot(graph);
    case ExplainFormat::kMermaid: return graph_mermaid(graph);
  }
  return {};
}

std::string explained(const nlohmann::json& object, const char* name) { return object.value(name, std::string()); }

// The answer of a server as the graph it was made from; what an operator has done stands in its label.
GraphView graph_of(const nlohmann::json& answer) {
  GraphView out;
  out.pipeline = explained(answer, "pipeline");
  for (const nlohmann::json& node : answer["operators"]) {
    GraphNode& one = out.nodes.emplace_back();
    one.id = node.value("id", 0U);
    one.op = explained(node, "operator");
    one.label = explained(node, "label");
    one.connector = explained(node, "connector");
    one.state = explained(node, "holds");
    const nlohmann::json live = node.value("live", nlohmann::json::object());
    auto number = [&](const char* name) { return live.value(name, std::uint64_t{0}); };
    one.label += " (" + std::to_string(number("rows_in")) + " in, " + std::to_string(number("rows_out")) + " out, " +
                 short_bytes(static_cast<double>(number("state_bytes"))) + ", " +
                 short_seconds(static_cast<double>(number("busy_ns")) / 1e9) + ")";
  }
  for (const nlohmann::json& edge : answer["edges"])
    out.edges.push_back(
        {edge.value("from", 0U), edge.value("to", 0U), edge.value("port", 0U), explained(edge, "exchange")});
  return out;
}

// The operators of a running pipeline with what they have done and hold.
int explain_running(const ExplainArgs& args, const Env& env) {
  using nlohmann::json;
  auto client = Client::make(args.server, env);
  if (!client) return client.error();
  auto graph = client->get_json(Client::pipeline_path(args.pipeline) + "/graph");
  if (!graph) return graph.error();
  if (args.format == ExplainFormat::kJson) {
    std::printf("%s\n", graph->dump(2).c_str());
    return kExitOk;
  }
  if (args.format != ExplainFormat::kText) {
    std::fputs(rendered(graph_of(*graph), args.format).c_str(), stdout);
    return kExitOk;
  }
  std::map<std::uint64_t, std::string> inputs;
  for (const json& edge : (*graph)["edges"]) {
    std::string& text = inputs[edge["to"].get<std::uint64_t>()];
    text += (text.empty() ? "" : ", ") + edge["from"].dump();
  }
  auto live_of = [](const json& node) { return node.value("live", json::object()); };
  const json& operators = (*graph)["operators"];
  bool any_loop = std::ranges::any_of(operators, [&](const json& node) { return live_of(node).contains("rounds"); });
  std::vector<std::string> heads{"ID",       "OPERATOR",   "NAME",  "INPUTS", "ROWS IN",
                                 "ROWS OUT", "STATE ROWS", "STATE", "TIME"};
  if (any_loop) heads.insert(heads.end(), {"ROUNDS", "LAST ROUNDS", "ROUND ROWS"});
  TextTable table(heads);
  for (const json& node : operators) {
    json live = live_of(node);
    auto number = [&](const char* name) { return live.value(name, std::uint64_t{0}); };
    std::vector<std::string> line{node["id"].dump(),
                                  node.value("operator", ""),
                                  node.value("label", ""),
                                  inputs[node["id"].get<std::uint64_t>()],
                                  std::to_string(number("rows_in")),
                                  std::to_string(number("rows_out")),
                                  std::to_string(number("state_rows")),
                                  short_bytes(static_cast<double>(number("state_bytes"))),
                                  short_seconds(static_cast<double>(number("busy_ns")) / 1e9)};
    if (any_loop)
      for (const char* name : {"rounds", "last_rounds", "round_rows"})
        line.push_back(live.contains(name) ? std::to_string(number(name)) : "");
    table.add(std::move(line));
  }
  std::fputs(table.text().c_str(), stdout);
  return kExitOk;
}

}  // namespace

int run_command(const ExplainArgs& args) {
  if (!args.pipeline.empty()) return explain_running(args, real_env());
  Env env = real_env();
  if (auto added = add_env_file(args.env_file, env); !added) {
    complain(added.error().message);
    return kExitUsage;
  }
  Loader loader(env);
  lang::CompileResult compiled = loader.load(args.file, args.overrides);
  const std::string name = pipeline_name(compiled, args.file);
  const bool keeps_state = check_persistence(compiled, {.pipeline = name, .state_dir = ".", .env = &env}).has_value();
  print_diagnostics(compiled.diagnostics, *compiled.files);
  if (!compiled.ok()) return kExitInvalid;
  compiled.plan.name = name;
  std::fputs(rendered(GraphView::of(compiled.plan, compiled.files.get(), keeps_state), args.format).c_str(), stdout);
  return kExitOk;
}

}  // namespace thalweg::daemon
