// daemon/serve/managed.h
//
// One pipeline of the daemon with its state.
//
//   starting → running ⇄ paused        stopped: asked for; failed: tried again with growing pauses; ended: static input
//
// Threads  `operation` is held through a change; everything below it is guarded by `mutex` and read by anybody.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "daemon/serve/coalesce.h"
#include "daemon/serve/instance.h"

namespace thalweg::daemon {

struct Managed {
  enum class Wanted : std::uint8_t { kRunning, kPaused, kStopped };
  enum class State : std::uint8_t { kStarting, kRunning, kPaused, kStopped, kEnded, kFailed };
  static constexpr std::size_t kHistoryMax = 10;

  std::mutex operation;
  Coalescer<Outcome> reloads;

  mutable std::mutex mutex;
  Definition definition;  // what was last accepted, or last refused where nothing was accepted
  std::string name;       // as shown
  Wanted wanted = Wanted::kRunning;
  State state = State::kStarting;
  std::string failure;
  std::uint64_t restarts = 0;
  std::uint32_t attempts = 0;    // failures in a row
  std::int64_t retry_at_ns = 0;  // monotonic; 0: nothing is tried
  std::int64_t running_since_ns = 0;
  std::shared_ptr<Instance> instance;  // null: nothing runs
  std::vector<std::string> history;    // earlier definitions, newest last
  bool removed = false;
};

[[nodiscard]] std::string_view managed_state_text(Managed::State state);

}  // namespace thalweg::daemon
