#include "connectors/net/event_loop.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

#include "connectors/net/event_loop_impl.h"

namespace thalweg::net {

EventLoop::EventLoop(unsigned handler_threads) : impl_(std::make_shared<Impl>()) {
  Impl* impl = impl_.get();
  impl->threads.emplace_back([impl] { impl->io.run(); });
  for (unsigned i = 0; i < handler_threads; ++i) impl->threads.emplace_back([impl] { impl->handlers.run(); });
}

EventLoop::~EventLoop() {
  stop();
  for (std::thread& thread : impl_->threads) thread.join();
}

void EventLoop::stop() {
  impl_->io.stop();
  impl_->handlers.stop();
}

void EventLoop::post(std::function<void()> task) { boost::asio::post(impl_->io, std::move(task)); }

void EventLoop::handle(std::function<void()> task) { boost::asio::post(impl_->handlers, std::move(task)); }

void EventLoop::after(std::int64_t ns, std::function<void()> task) {
  auto timer = std::make_shared<boost::asio::steady_timer>(impl_->handlers, std::chrono::nanoseconds(ns));
  timer->async_wait([timer, task = std::move(task)](const boost::system::error_code& error) {
    if (!error) task();
  });
}

}  // namespace thalweg::net
