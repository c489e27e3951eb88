#include "daemon/run_set.h"

#include <algorithm>

namespace thalweg::daemon {

void RunSet::add(std::shared_ptr<ServedPipeline> pipeline) {
  std::lock_guard lock(mutex_);
  auto at = std::lower_bound(pipelines_.begin(), pipelines_.end(), pipeline,
                             [](const auto& a, const auto& b) { return a->name < b->name; });
  pipelines_.insert(at, std::move(pipeline));
}

void RunSet::all_started() {
  std::lock_guard lock(mutex_);
  started_ = true;
}

bool RunSet::starting() const {
  std::lock_guard lock(mutex_);
  return !started_;
}

std::vector<std::shared_ptr<ServedPipeline>> RunSet::all() const {
  std::lock_guard lock(mutex_);
  return pipelines_;
}

std::shared_ptr<ServedPipeline> RunSet::find(const std::string& name) const {
  std::lock_guard lock(mutex_);
  for (const auto& pipeline : pipelines_)
    if (pipeline->name == name) return pipeline;
  return nullptr;
}

}  // namespace thalweg::daemon
