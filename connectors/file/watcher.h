// connectors/file/watcher.h
//
// Wakes a follower when something in its directories changes (inotify). Where the system cannot tell (no inotify, no
// watches left, network file systems) nothing wakes, and polling has to find it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace thalweg {

class Watcher {
 public:
  Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  ~Watcher();

  // Watches exactly these directories from now on.
  void set_directories(const std::vector<std::string>& directories);
  // To sleep on; -1 if there is none.
  [[nodiscard]] int fd() const { return fd_; }
  struct Changes {
    std::set<std::string> written;  // paths of files whose content changed
    bool rescan = false;            // names came or went, or events were lost
  };
  // What has happened since the last call; does not wait.
  [[nodiscard]] Changes take();

 private:
  int fd_ = -1;
  std::map<int, std::string> directories_;  // by watch
  std::map<std::string, int> watches_;
};

}  // namespace thalweg
