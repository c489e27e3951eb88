// connectors/net/event_loop.h
//
// One thread that waits for sockets and timers, and a few that run request handlers.
//
// L1  Nothing on the loop thread blocks: handlers, and whatever may wait for the engine, run on handler threads.
// L2  What is posted after stop() is dropped.
// Threads  post, handle and after may be called from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace thalweg::net {

class EventLoop {
 public:
  explicit EventLoop(unsigned handler_threads = 2);
  ~EventLoop();  // stops and joins
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void post(std::function<void()> task);                    // on the loop thread
  void handle(std::function<void()> task);                  // on a handler thread
  void after(std::int64_t ns, std::function<void()> task);  // on a handler thread, no earlier than in `ns`
  void stop();

  struct Impl;  // event_loop_impl.h, for the files of this folder that know Asio
  [[nodiscard]] const std::shared_ptr<Impl>& impl() const { return impl_; }

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace thalweg::net
