#include "daemon/signals.h"

#include <csignal>
#include <cstdio>
#include <pthread.h>
#include <unistd.h>

namespace thalweg::daemon {
namespace {

constexpr int kInterruptedTwice = 130;

sigset_t stop_set() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGUSR2);  // ends our own waiting
  return set;
}

}  // namespace

StopSignals::StopSignals(bool reloads) : reloads_(reloads) {
  sigset_t set = stop_set();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a reader that goes away is an error of a write, not the end of the process
  thread_ = std::thread([this] { wait(); });
}

StopSignals::~StopSignals() {
  ending_ = true;
  pthread_kill(thread_.native_handle(), SIGUSR2);
  thread_.join();
}

void StopSignals::on_stop(std::function<void()> call) {
  std::lock_guard lock(mutex_);
  call_ = std::move(call);
  if (stopped_ && call_) call_();
}

void StopSignals::on_reload(std::function<void()> call) {
  std::lock_guard lock(mutex_);
  reload_ = std::move(call);
}

void StopSignals::wait() {
  sigset_t set = stop_set();
  for (;;) {
    int signal = 0;
    if (sigwait(&set, &signal) != 0) continue;
    if (ending_) return;
    if (signal == SIGUSR2) continue;
    std::lock_guard lock(mutex_);
    if (signal == SIGHUP && reloads_) {
      if (reload_) reload_();  // before that, everything is about to be read anyway
      continue;
    }
    if (stopped_.exchange(true)) {
      static constexpr char kText[] = "thalweg: stopped at once\n";
      if (::write(STDERR_FILENO, kText, sizeof kText - 1) < 0) _exit(kInterruptedTwice);
      _exit(kInterruptedTwice);
    }
    if (call_) call_();
  }
}

}  // namespace thalweg::daemon
