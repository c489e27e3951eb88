// daemon/run_set.h
//
// The pipelines of a process that are running, for whoever looks at them.
// Threads  any.
#pragma once

#include <mutex>

#include "daemon/rest/pipelines.h"

namespace thalweg::daemon {

class RunSet : public PipelineSet {
 public:
  void add(std::shared_ptr<ServedPipeline> pipeline);
  void all_started();  // what comes later is no longer waited for
  [[nodiscard]] std::vector<std::shared_ptr<ServedPipeline>> all() const override;
  [[nodiscard]] std::shared_ptr<ServedPipeline> find(const std::string& name) const override;
  [[nodiscard]] bool starting() const override;

 private:
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<ServedPipeline>> pipelines_;  // guarded by mutex_; by name
  bool started_ = false;                                    // guarded by mutex_
};

}  // namespace thalweg::daemon
