// daemon/rest/pipelines.h
//
// The running pipelines as the REST surface sees them: `thalweg run --listen` has one, the daemon many.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/file_table.h"
#include "engine/plan/node.h"
#include "engine/runtime/run.h"

namespace thalweg::daemon {

struct ServedPipeline;

// Where the readers of a pipeline go on when another run has taken its place. Threads  any.
class Succession {
 public:
  void set(std::shared_ptr<ServedPipeline> next);  // and wakes who waits
  [[nodiscard]] std::shared_ptr<ServedPipeline> next() const;
  std::uint64_t subscribe(std::function<void()> on_change);  // be quick
  void unsubscribe(std::uint64_t id);

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<ServedPipeline> next_;  // guarded by mutex_, as is all below
  std::map<std::uint64_t, std::function<void()>> waiting_;
  std::uint64_t next_id_ = 1;
};

struct ServedPipeline {
  std::string name;
  std::shared_ptr<const plan::Plan> plan;
  std::shared_ptr<const FileTable> files;  // what the spans of errors point into
  std::shared_ptr<Run> run;
  std::int64_t started_wall_ns = 0;
  std::uint32_t workers = 1;
  std::shared_ptr<Succession> succession = std::make_shared<Succession>();
};

// What is known of a pipeline, whether it runs or not.
struct PipelineStatus {
  std::string name;
  std::string state;    // starting, running, paused, stopped, ended, failed
  std::string failure;  // why it is failed, or was last
  std::string file;     // where it is defined; empty: unknown
  std::uint64_t restarts = 0;
  bool ready = false;
  std::shared_ptr<ServedPipeline> served;  // null: nothing runs
};

// Threads  any.
class PipelineSet {
 public:
  virtual ~PipelineSet() = default;
  [[nodiscard]] virtual std::vector<std::shared_ptr<ServedPipeline>> all() const = 0;  // by name
  [[nodiscard]] virtual std::shared_ptr<ServedPipeline> find(const std::string& name) const = 0;
  // By name; also those that do not run.
  [[nodiscard]] virtual std::vector<PipelineStatus> statuses() const;
  [[nodiscard]] virtual std::optional<PipelineStatus> status(const std::string& name) const;
  // Pipelines that were asked for are not all there yet: nothing is ready.
  [[nodiscard]] virtual bool starting() const { return false; }
};

[[nodiscard]] PipelineStatus status_of(const std::shared_ptr<ServedPipeline>& pipeline);
[[nodiscard]] std::string_view state_text(RunState state);
// Columns of an exported table that make its row keys, in the order they are hashed; empty if nobody can know.
[[nodiscard]] std::vector<std::uint32_t> key_columns(const plan::Plan& plan, std::string_view export_name);

}  // namespace thalweg::daemon
