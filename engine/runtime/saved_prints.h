// engine/runtime/saved_prints.h
//
// What the run before this one was planned as, for planning a pipeline so that its state goes on.
#pragma once

#include <memory>
#include <set>

#include "engine/runtime/run.h"
#include "engine/types/key.h"

namespace thalweg {

// Fingerprints (without secrets) of the nodes whose state the newest snapshot holds, or that ran the log where there is
// no snapshot yet; none if neither is there.
// Takes the folder for a moment: no run may have it.
[[nodiscard]] Result<std::set<Key>> saved_fingerprints(const DurabilityOptions& options, const Env& env);

}  // namespace thalweg
