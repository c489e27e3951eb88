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
  // The call comes from the thread of the signals, at most once.
  StopSignals();
  ~StopSignals();
  void on_stop(std::function<void()> call);  // called at once if a signal came before
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  void wait();
  std::atomic<bool> stopped_{false};
  std::atomic<bool> ending_{false};
  std::mutex mutex_;
  std::function<void()> call_;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace thalweg::daemon
