#include "daemon/serve/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace thalweg::daemon {

Notify::Notify(const Env& env) : env_(env) {
  path_ = env_.variable("NOTIFY_SOCKET").value_or("");
  bool usable =
      path_.size() > 1 && path_.size() < sizeof(sockaddr_un::sun_path) && (path_[0] == '/' || path_[0] == '@');
  if (!usable) return;
  fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  std::string watchdog = env_.variable("WATCHDOG_USEC").value_or("");
  std::string for_whom = env_.variable("WATCHDOG_PID").value_or("");
  if (!for_whom.empty() && for_whom != std::to_string(::getpid())) return;
  watchdog_ns_ = std::strtoll(watchdog.c_str(), nullptr, 10) * 1000 / 2;
}

Notify::~Notify() {
  if (fd_ >= 0) ::close(fd_);
}

void Notify::reloading() { send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(env_.clock->monotonic_ns() / 1000)); }

void Notify::send(const std::string& text) const {
  if (fd_ < 0) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  if (path_[0] == '@') address.sun_path[0] = '\0';  // an abstract name
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size());
  // Nobody may be listening; that is no reason to fail.
  [[maybe_unused]] ssize_t sent =
      ::sendto(fd_, text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), size);
}

}  // namespace thalweg::daemon
