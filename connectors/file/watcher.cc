#include "connectors/file/watcher.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cstring>

namespace thalweg {

namespace {

constexpr std::uint32_t kNames = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF;
constexpr std::uint32_t kContent = IN_MODIFY;

std::string path_in(const std::string& directory, const char* name) {
  if (directory == ".") return name;
  return directory.ends_with('/') ? directory + name : directory + "/" + name;
}

}  // namespace

Watcher::Watcher() : fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {}

Watcher::~Watcher() {
  if (fd_ >= 0) ::close(fd_);
}

void Watcher::set_directories(const std::vector<std::string>& directories) {
  if (fd_ < 0) return;
  std::set<std::string> wanted(directories.begin(), directories.end());
  for (auto it = watches_.begin(); it != watches_.end();) {
    if (wanted.contains(it->first)) {
      ++it;
      continue;
    }
    inotify_rm_watch(fd_, it->second);
    directories_.erase(it->second);
    it = watches_.erase(it);
  }
  for (const std::string& directory : wanted) {
    if (watches_.contains(directory)) continue;
    int watch = inotify_add_watch(fd_, directory.c_str(), kNames | kContent | IN_ONLYDIR);
    if (watch < 0) continue;  // polling finds its changes
    directories_[watch] = directory;
    watches_[directory] = watch;
  }
}

Watcher::Changes Watcher::take() {
  Changes changes;
  if (fd_ < 0) return changes;
  alignas(inotify_event) char buffer[16 * 1024];
  for (ssize_t n; (n = ::read(fd_, buffer, sizeof buffer)) > 0;) {
    for (char* p = buffer; p < buffer + n;) {
      inotify_event event;
      std::memcpy(&event, p, sizeof event);
      auto directory = directories_.find(event.wd);
      if ((event.mask & IN_IGNORED) && directory != directories_.end()) {
        watches_.erase(directory->second);
        directories_.erase(directory);
        changes.rescan = true;
      } else if ((event.mask & (kNames | IN_Q_OVERFLOW)) || directory == directories_.end()) {
        changes.rescan = true;
      } else if (event.len > 0) {
        changes.written.insert(path_in(directory->second, p + sizeof event));
      }
      p += sizeof event + event.len;
    }
  }
  return changes;
}

}  // namespace thalweg
