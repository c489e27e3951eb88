// connectors/functions/call_threads.h
//
// A few threads on which calls to the outside wait for their answers. As many calls are under way as there are
// threads, whoever asks; that is the capacity of a function.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace thalweg::functions {

class CallThreads {
 public:
  explicit CallThreads(std::size_t capacity) : capacity_(capacity) {}
  ~CallThreads();
  CallThreads(const CallThreads&) = delete;
  CallThreads& operator=(const CallThreads&) = delete;

  // Runs every task and returns when all have ended. Threads begin with the first tasks.
  void run(std::vector<std::function<void()>> tasks);

 private:
  void work();
  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  std::size_t idle_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace thalweg::functions
