// engine/plan/rewrite/rewrite.h
//
// Makes a plan cheaper without changing what its outputs, exported tables and error log say:
//
// R1  Filters move below joins. A condition that looks at one side of a join only drops that side's rows before they
//     are stored and matched. The filter itself stays: what is dropped early is what its condition refuses for sure
//     (ERROR passes, and is told of where it always was), so that only conditions that raise nothing move.
// R2  Equal nodes over equal inputs are one: the same projection, filter, join or groupby is built once.
// R3  A filter over an inner join that bounds a value of one side by values of the other (a band, SQL's BETWEEN) makes
// it
//     an interval join: pairs that the bounds refuse for sure are never made. The filter stays and is asked about the
//     others. Where a bound is ERROR or None, all pairs are made, so that it is told of where it always was.
//
// R1 and R3 change what a join holds, so they must not be applied to a join whose state is kept: `kept` are the
// fingerprints of a running plan. A join that runs as it is written stays so, though a filter comes above it.
#pragma once

#include <set>
#include <vector>

#include "engine/plan/node.h"

namespace thalweg::plan {

// Where each node of the plan has gone.
std::vector<NodeId> rewrite(Plan& plan, const std::set<Key>& kept = {});

// The steps of it.
std::vector<NodeId> merge_equal_nodes(Plan& plan);
std::vector<NodeId> move_filters(Plan& plan, const std::set<Key>& kept);
std::vector<NodeId> join_by_bands(Plan& plan, const std::set<Key>& kept);

// Nodes that read each node, with repetition where one reads it twice.
[[nodiscard]] std::vector<std::vector<NodeId>> readers_of(const Plan& plan);
// Inputs, and the lists of operators of error logs, by new numbers.
void renumber(Node& node, const std::vector<NodeId>& now);

}  // namespace thalweg::plan
