// daemon/graph_view.h
//
// The operator graph of a plan, for `explain` and the REST surface: what each node is, what it keeps, where rows are
// exchanged between workers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/file_table.h"
#include "engine/operators/operator.h"
#include "engine/plan/node.h"

namespace thalweg {
struct OperatorStatus;
}

namespace thalweg::daemon {

struct GraphNode {
  std::uint32_t id = 0;
  std::string op;                                           // `join`
  std::string label;                                        // `$orders`, `!join`
  std::string connector;                                    // of sources and sinks
  std::vector<std::pair<std::string, std::string>> schema;  // column, type
  std::string key;                                          // what row keys are made of, where that is known
  std::string state;                                        // what is held, in words; empty: nothing
  std::string guarantee;                                    // of outputs
  bool append_only = false;
  std::string file;  // where the tag that made it stands; line 0: not known
  std::uint32_t line = 0;
  std::string detail;  // `left_on: a; right_on: b`
};

struct GraphEdge {
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  std::uint32_t port = 0;
  std::string exchange;  // `by key`, `by (a, b)`, `to one worker`; empty: rows stay where they are
};

struct GraphView {
  std::string pipeline;
  std::vector<GraphNode> nodes;
  std::vector<GraphEdge> edges;
  // `files`: what the plan's spans point into; null: operators have no lines.
  [[nodiscard]] static GraphView of(const plan::Plan& plan, const FileTable* files = nullptr, bool keeps_state = false);
};

[[nodiscard]] std::string graph_text(const GraphView& graph);
[[nodiscard]] std::string graph_json(const GraphView& graph, const std::vector<OperatorStatus>* live);
[[nodiscard]] std::string graph_dot(const GraphView& graph);
[[nodiscard]] std::string graph_mermaid(const GraphView& graph);

}  // namespace thalweg::daemon
