// connectors/net/event_loop_impl.h
//
// The loop as Asio sees it. Only files of this folder include it.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>
#include <vector>

#include "connectors/net/event_loop.h"

namespace thalweg::net {

struct EventLoop::Impl {
  using Guard = boost::asio::executor_work_guard<boost::asio::io_context::executor_type>;
  boost::asio::io_context io{1};
  boost::asio::io_context handlers;
  Guard io_guard{io.get_executor()};
  Guard handlers_guard{handlers.get_executor()};
  std::vector<std::thread> threads;
};

}  // namespace thalweg::net
