#include "daemon/serve/watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

namespace thalweg::daemon {
namespace {

constexpr int kQuietMs = 200;   // an editor's steps are over
constexpr int kLookMs = 5'000;  // without any event
constexpr std::uint32_t kEvents =
    IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_ONLYDIR;

}  // namespace

FolderWatch::FolderWatch(const std::string& folder, std::function<void()> on_change)
    : on_change_(std::move(on_change)),
      events_fd_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)),
      stop_fd_(::eventfd(0, EFD_CLOEXEC)) {
  if (events_fd_ >= 0 && ::inotify_add_watch(events_fd_, folder.c_str(), kEvents) < 0) {
    ::close(events_fd_);
    events_fd_ = -1;
  }
  thread_ = std::thread([this] { loop(); });
}

FolderWatch::~FolderWatch() {
  stopping_ = true;
  std::uint64_t one = 1;
  [[maybe_unused]] ssize_t written = ::write(stop_fd_, &one, sizeof one);
  thread_.join();
  if (events_fd_ >= 0) ::close(events_fd_);
  ::close(stop_fd_);
}

void FolderWatch::drain() const {
  alignas(inotify_event) char buffer[4096];
  while (::read(events_fd_, buffer, sizeof buffer) > 0) {
  }
}

void FolderWatch::loop() {
  while (!stopping_) {
    pollfd fds[2] = {{stop_fd_, POLLIN, 0}, {events_fd_, POLLIN, 0}};
    nfds_t count = events_fd_ >= 0 ? 2 : 1;
    int ready = ::poll(fds, count, kLookMs);
    if (stopping_) return;
    // Until it has been quiet for a while.
    while (ready > 0 && count == 2 && (fds[1].revents & POLLIN) != 0) {
      drain();
      ready = ::poll(fds, count, kQuietMs);
      if (stopping_) return;
    }
    on_change_();
  }
}

}  // namespace thalweg::daemon
