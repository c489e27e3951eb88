// engine/runtime/saved_plan.h
//
// What is kept of the plan that state was made by, so that a run knows whether it may go on with it: a snapshot holds
// its nodes, and a log that has no snapshot yet has a record of its own beside it (`PLAN`).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/env.h"
#include "engine/types/key.h"

namespace thalweg {

// One node of the plan that was running.
struct SavedNode {
  Key print;  // what it computes (plan/fingerprint.h)
  Key shape;  // what its state looks like (state_fingerprint)
  std::string name;
  friend bool operator==(const SavedNode& a, const SavedNode& b) { return a.print == b.print && a.shape == b.shape; }
};

// What an output got: two equal prints under one id are the same rows.
struct OutputPrint {
  std::string id;
  Key print;
};

// The plan that ran the commits of a log.
struct LogPlan {
  std::vector<SavedNode> nodes;
  std::vector<OutputPrint> outputs;  // also those of plans before it, as long as the log has commits of them
};

[[nodiscard]] std::string encode_nodes(const std::vector<SavedNode>& nodes);
// False: there is no more of it.
[[nodiscard]] bool take_nodes(std::string_view& from, std::vector<SavedNode>& nodes);

// In the folder of the state. Durable once it returns.
[[nodiscard]] Result<void> write_log_plan(Disk& disk, const std::string& directory, const LogPlan& plan);
// Nothing: versions before this record wrote none. One that is damaged is an error.
[[nodiscard]] Result<std::optional<LogPlan>> read_log_plan(Disk& disk, const std::string& directory);

}  // namespace thalweg
