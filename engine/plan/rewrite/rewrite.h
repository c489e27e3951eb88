// engine/plan/rewrite/rewrite.h
//
// Makes a plan cheaper without changing what its outputs, exported tables and error log say, after one step without
// which it would not be right on several workers:
//
// R0  The results of a join that have the key of one side are put together by that key. The join does so itself where
//     rows of one key are sure to lie on one worker; else a Keyed node of one input behind it does: its rows, those of
//     one key put together.
// R1  Filters move below joins. A condition that looks at one side of a join only drops that side's rows before they
//     are stored and matched. The filter itself stays: what is dropped early is what its condition refuses for sure
//     (ERROR passes, and is told of where it always was), so that only conditions that raise nothing move. Where
//     several filters read a join, and nobody else, what all of them refuse is dropped.
// R2  Equal nodes over equal inputs are one: the same projection, filter, join or groupby is built once.
// R3  A filter over an inner join that bounds a value of one side by values of the other (a band, SQL's BETWEEN) makes
// it
//     an interval join: pairs that the bounds refuse for sure are never made. The filter stays and is asked about the
//     others. Where a bound is ERROR or None, all pairs are made, so that it is told of where it always was.
//
// R4  Where several joins read a table by the same columns, or several lookups (ix) by its row keys, an Arrange node
// before them holds its rows for all (arrange.h).
//
// R1, R3 and R4 change what a join holds, so they must not be applied to a join whose state is kept: `kept` are the
// fingerprints of a running plan, or of one whose state was saved (without secrets). A join that runs as it is written
// stays so, though a filter comes above it or another join beside it; what is new shares with what is new.
#pragma once

#include <set>
#include <vector>

#include "engine/plan/node.h"

namespace thalweg::plan {

// Where each node of the plan has gone.
std::vector<NodeId> rewrite(Plan& plan, const std::set<Key>& kept = {});

// The steps of it.
std::vector<NodeId> settle_keys(Plan& plan);
std::vector<NodeId> merge_equal_nodes(Plan& plan);
std::vector<NodeId> move_filters(Plan& plan, const std::set<Key>& kept);
std::vector<NodeId> join_by_bands(Plan& plan, const std::set<Key>& kept);

// By node: more than one of its rows may have the same key.
[[nodiscard]] std::vector<bool> keys_repeat(const Plan& plan);
// R0: a Keyed node puts the results of this join together.
[[nodiscard]] bool settles_behind(const Plan& plan, NodeId join);
// By node: `kept` has its fingerprint, with secrets or without.
[[nodiscard]] std::vector<bool> nodes_kept(const Plan& plan, const std::set<Key>& kept);
// Nodes that read each node, with repetition where one reads it twice.
[[nodiscard]] std::vector<std::vector<NodeId>> readers_of(const Plan& plan);
// Inputs, and the lists of operators of error logs, by new numbers.
void renumber(Node& node, const std::vector<NodeId>& now);

}  // namespace thalweg::plan
