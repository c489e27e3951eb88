// daemon/open_listeners.h
//
// Listeners that a pipeline opens by itself and that ask nobody who they are.
#pragma once

#include <string>
#include <vector>

#include "engine/plan/node.h"

namespace thalweg::daemon {

struct OpenListener {
  SourceSpan span;
  bool reachable = false;  // by other machines
  std::string warning;     // for the log
  std::string refusal;     // where `require_pipeline_auth` is set
};

[[nodiscard]] std::vector<OpenListener> open_listeners(const plan::Plan& plan);

}  // namespace thalweg::daemon
