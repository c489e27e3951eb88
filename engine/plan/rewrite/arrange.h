// engine/plan/rewrite/arrange.h
//
// Tables that several joins read by the same columns, or several lookups by row key: an Arrange node before them holds
// the rows for all.
#pragma once

#include <set>
#include <vector>

#include "engine/plan/node.h"
#include "engine/types/key.h"

namespace thalweg::plan {

// R4 of rewrite.h.
std::vector<NodeId> share_arrangements(Plan& plan, const std::set<Key>& kept);

[[nodiscard]] inline bool is_arranged(const Plan& plan, NodeId node) {
  return std::holds_alternative<Arrange>(plan.node(node).params);
}

// It joins rows of two inputs, or looks them up, by what it holds of them.
[[nodiscard]] inline bool holds_sides(const Node& node) {
  return std::holds_alternative<Join>(node.params) || std::holds_alternative<Ix>(node.params);
}

// What its readers want of an arrangement, once liveness is marked.
struct Arranged {
  Columns kept;            // columns that somebody shows
  bool with_keys = false;  // row keys, too
  bool counts = false;     // how many rows a key had before a commit
};
[[nodiscard]] Arranged arranged_for(const Plan& plan, NodeId arrange);

// The first of the arrangements that are connected with this one by joins that read two of them.
[[nodiscard]] NodeId family_of(const Plan& plan, NodeId arrange);

}  // namespace thalweg::plan
