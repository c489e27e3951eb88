#include <cstdio>

#include "daemon/commands/commands.h"
#include "daemon/console.h"
#include "daemon/graph_view.h"
#include "daemon/load.h"

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

}  // namespace

int run_command(const ExplainArgs& args) {
  Env env = real_env();
  Loader loader(env);
  lang::CompileResult compiled = loader.load(args.file, args.overrides);
  print_diagnostics(compiled.diagnostics, *compiled.files);
  if (!compiled.ok()) return kExitInvalid;
  compiled.plan.name = pipeline_name(compiled, args.file);
  std::fputs(rendered(GraphView::of(compiled.plan), args.format).c_str(), stdout);
  return kExitOk;
}

}  // namespace thalweg::daemon
