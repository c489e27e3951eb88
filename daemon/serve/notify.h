// daemon/serve/notify.h
//
// What systemd is told (sd_notify(3)): datagrams to NOTIFY_SOCKET; nothing where there is none.
// Threads  any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/env.h"

namespace thalweg::daemon {

class Notify {
 public:
  explicit Notify(const Env& env);
  ~Notify();
  Notify(const Notify&) = delete;
  Notify& operator=(const Notify&) = delete;

  void ready(std::string_view status) { send("READY=1\nSTATUS=" + std::string(status)); }
  void status(std::string_view text) { send("STATUS=" + std::string(text)); }
  void reloading();  // with the monotonic time; ready() must follow, whatever came of it
  void stopping() { send("STOPPING=1"); }
  void alive() { send("WATCHDOG=1"); }
  void extend_timeout(std::int64_t us) { send("EXTEND_TIMEOUT_USEC=" + std::to_string(us)); }
  // How often alive() is wanted; 0: never.
  [[nodiscard]] std::int64_t watchdog_ns() const { return watchdog_ns_; }

 private:
  void send(const std::string& text) const;
  Env env_;
  std::string path_;
  int fd_ = -1;
  std::int64_t watchdog_ns_ = 0;
};

}  // namespace thalweg::daemon
