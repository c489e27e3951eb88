// tests/property/random_plan.h
//
// Random plans over functional operators, and random streams of insertions, edits and deletions for their inputs.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/plan/node.h"
#include "tests/support/random.h"

namespace thalweg::testing {

struct RandomPlanOptions {
  std::size_t inputs_max = 3;
  std::size_t nodes_max = 8;  // operators beside the inputs
  std::size_t commits_max = 6;
  std::size_t updates_max = 8;   // per input and commit
  std::int64_t labels = 12;      // row keys come from these many labels, in all inputs
  std::int64_t rows_max = 1500;  // operators that would grow beyond this are left out
  bool colliding_keys = false;   // concat without reindex, rekeying to equal keys, `id: left.id`
  bool export_all = true;        // every node, else only what nobody reads
  std::size_t loops_deep = 0;    // iterate: how deep they may nest
};

// The plan ends with its Export nodes; export `n7` is node 7.
[[nodiscard]] plan::Plan random_plan(Random& random, const RandomPlanOptions& options);

// The same updates cut into other commits: neighbours merged, or each split in two.
[[nodiscard]] plan::Plan with_merged_commits(const plan::Plan& plan, Random& random);
[[nodiscard]] plan::Plan with_split_commits(const plan::Plan& plan, Random& random);

// Times at which any input changes, rising.
[[nodiscard]] std::vector<std::uint64_t> commit_times(const plan::Plan& plan);

}  // namespace thalweg::testing
