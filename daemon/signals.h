// daemon/signals.h
//
// SIGINT and SIGTERM as a call: the first asks to stop, the second ends the process at once.
//
// Make one before any thread begins: threads inherit the mask that leaves the signals to this one.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

namespace thalweg::daemon {

class StopSignals {
 public:
  // The call comes from the thread of the signals, at most once. `reloads`: SIGHUP asks for a reload, not for a stop.
  explicit StopSignals(bool reloads = false);
  ~StopSignals();
  void on_stop(std::function<void()> call);    // called at once if a signal came before
  void on_reload(std::function<void()> call);  // SIGHUP; must not block
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  void wait();
  const bool reloads_;
  std::atomic<bool> stopped_{false};
  std::atomic<bool> ending_{false};
  std::mutex mutex_;
  std::function<void()> call_;    // guarded by mutex_
  std::function<void()> reload_;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace thalweg::daemon
