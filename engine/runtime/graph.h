// engine/runtime/graph.h
//
// What all workers share of a plan that is about to run: the order in which nodes close, the edges, and where rows
// must be exchanged.
//
// G1  Nodes close in `order`: inputs before their readers, and the error log after all that report into it.
// G2  An edge exchanges only where the rows are not already spread as the reader asks.
// G3  An arrangement gives its rows to the left of joins of it with itself first, then to readers that come later in
// the
//     plan before earlier ones: what one of them makes of a chunk reaches others only when they have seen it.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/operators/operator.h"
#include "engine/plan/node.h"

namespace thalweg {

struct Edge {
  std::uint32_t id = 0;
  NodeId from;
  NodeId to;
  std::uint32_t port = 0;
  Route route;             // as the reader asks
  bool exchanges = false;  // with more than one worker
};

struct Graph {
  std::vector<NodeId> order;
  std::vector<Edge> edges;
  std::vector<std::vector<std::uint32_t>> outgoing;  // by node: edges that leave it
  std::vector<std::vector<std::uint32_t>> incoming;
  std::vector<const OperatorDescriptor*> descriptors;  // by node; null for what the runtime runs itself
};

[[nodiscard]] Result<Graph> build_graph(const plan::Plan& plan);
// Nodes whose rows depend on the error log: what they report goes to the log of the run only.
[[nodiscard]] std::vector<bool> depends_on_error_log(const plan::Plan& plan);
// By node: it is a source or an output whose rejected records an ErrorLog gives.
[[nodiscard]] std::vector<bool> nodes_with_read_rejects(const plan::Plan& plan);
// By node: it is an output, and rows that it refuses are rows of some ErrorLog.
[[nodiscard]] std::vector<bool> outputs_with_read_refusals(const plan::Plan& plan);

}  // namespace thalweg
