// engine/operators/temporal/staged_input.h
//
// What arrived at a port within a commit, in a form that does not depend on how it was cut into chunks: net changes,
// deletions before insertions.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/types/batch.h"

namespace thalweg::operators {

class StagedInput {
 public:
  void push(Batch batch) {
    if (batch.empty()) return;
    batch.materialise_keys();
    retracts_ = retracts_ || batch.diffs != nullptr;
    parts_.push_back(std::move(batch));
  }
  [[nodiscard]] bool empty() const { return parts_.empty(); }

  // One consolidated batch if anything was deleted, else what came as it came.
  [[nodiscard]] std::vector<Batch> take() {
    std::vector<Batch> parts = std::exchange(parts_, {});
    if (!std::exchange(retracts_, false)) return parts;
    Batch net = consolidate(Batch::concat(std::move(parts)));
    std::vector<Batch> result;
    if (!net.empty()) result.push_back(std::move(net));
    return result;
  }

 private:
  std::vector<Batch> parts_;
  bool retracts_ = false;
};

}  // namespace thalweg::operators
