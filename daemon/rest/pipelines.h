// daemon/rest/pipelines.h
//
// The running pipelines as the REST surface sees them: `thalweg run --listen` has one, the daemon many.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/file_table.h"
#include "engine/plan/node.h"
#include "engine/runtime/run.h"

namespace thalweg::daemon {

struct ServedPipeline {
  std::string name;
  std::shared_ptr<const plan::Plan> plan;
  std::shared_ptr<const FileTable> files;  // what the spans of errors point into
  std::shared_ptr<Run> run;
  std::int64_t started_wall_ns = 0;
  std::uint32_t workers = 1;
};

// Threads  any.
class PipelineSet {
 public:
  virtual ~PipelineSet() = default;
  [[nodiscard]] virtual std::vector<std::shared_ptr<ServedPipeline>> all() const = 0;  // by name
  [[nodiscard]] virtual std::shared_ptr<ServedPipeline> find(const std::string& name) const = 0;
  // Pipelines that were asked for are not all there yet: nothing is ready.
  [[nodiscard]] virtual bool starting() const { return false; }
};

[[nodiscard]] std::string_view state_text(RunState state);
// Columns of an exported table that make its row keys, in the order they are hashed; empty if nobody can know.
[[nodiscard]] std::vector<std::uint32_t> key_columns(const plan::Plan& plan, std::string_view export_name);

}  // namespace thalweg::daemon
