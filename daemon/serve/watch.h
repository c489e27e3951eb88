// daemon/serve/watch.h
//
// Tells when something in a folder has changed: files written, replaced by a rename, removed, and links of a ConfigMap
// swapped. Changes that come together are told once. Where the system gives no events (network file systems), a look at
// the clock every few seconds stands in.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

namespace thalweg::daemon {

class FolderWatch {
 public:
  // `on_change` is called on a thread of its own; it may take its time.
  FolderWatch(const std::string& folder, std::function<void()> on_change);
  ~FolderWatch();

 private:
  void loop();
  void drain() const;
  const std::function<void()> on_change_;
  int events_fd_ = -1;
  int stop_fd_ = -1;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace thalweg::daemon
