// connectors/state_backends.h
//
// Where a pipeline keeps its state, if that is no folder of the machine: `!persistence.Backend.s3`, `.azure`.
#pragma once

#include <memory>
#include <string>

#include "engine/base/env.h"
#include "engine/base/setting.h"

namespace thalweg {

struct StateBackend {
  std::shared_ptr<Disk> disk;
  std::string directory;  // of it: `s3://bucket/root/…`
};

// Connects nowhere. `folder`: of the pipeline, below `root_path`. Errors have spans.
[[nodiscard]] Result<StateBackend> s3_state(const Setting& backend, const std::string& folder, const Env& env);
[[nodiscard]] Result<StateBackend> azure_state(const Setting& backend, const std::string& folder, const Env& env);

}  // namespace thalweg
