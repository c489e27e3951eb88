// engine/plan/panes.h
//
// When sliding windows may share panes.
#pragma once

#include "engine/plan/node.h"

namespace thalweg::plan {

// Whether the result over a group follows from what the reducer keeps of the group's parts.
[[nodiscard]] bool merges(const Reducer& reducer, const Schema& input);

// Whether panes give what WindowAssign, gates and GroupBy give: every row is in two windows or more, the bounds of
// windows tile the time exactly, all reducers merge, and the behavior needs no rows once they are in their pane.
[[nodiscard]] bool merges_panes(const SlidingGroupBy& params, const Schema& input);

}  // namespace thalweg::plan
