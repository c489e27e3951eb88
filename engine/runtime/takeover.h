// engine/runtime/takeover.h
//
// Which operators of a new plan go on with the state that the running plan holds.
//
//   kept      the same computation over kept inputs, reading nothing that was not kept: it moves over with its state
//   rebuilt   everything else; it is filled, in one commit, with the rows that its kept inputs hold
//
// T1  A kept node sees every row of its input exactly once: what fills rebuilt nodes does not reach it.
// T2  Nothing of the running plan is touched before all that can fail is done.
#pragma once

#include "engine/plan/node.h"
#include "engine/runtime/run.h"
#include "engine/types/key.h"

namespace thalweg {

// `old` and `next` are marked for liveness; fingerprints are those before. What is kept gets the marks of `old`.
[[nodiscard]] Takeover plan_takeover(const plan::Plan& old, const std::vector<Key>& old_prints, plan::Plan& next,
                                     const std::vector<Key>& next_prints, std::uint32_t workers);
// The export whose rows are those of `table`; nothing if it is not exported.
[[nodiscard]] std::optional<NodeId> export_of(const plan::Plan& plan, NodeId table);

}  // namespace thalweg
