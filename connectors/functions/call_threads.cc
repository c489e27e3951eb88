#include "connectors/functions/call_threads.h"

namespace thalweg::functions {

CallThreads::~CallThreads() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void CallThreads::run(std::vector<std::function<void()>> tasks) {
  std::mutex done_mutex;
  std::condition_variable all_done;
  std::size_t left = tasks.size();
  {
    const std::lock_guard lock(mutex_);
    for (std::function<void()>& task : tasks)
      waiting_.emplace_back([&, task = std::move(task)] {
        task();
        const std::lock_guard done(done_mutex);
        if (--left == 0) all_done.notify_one();
      });
    const std::size_t wanted = waiting_.size() > idle_ ? waiting_.size() - idle_ : 0;
    for (std::size_t i = 0; i < wanted && threads_.size() < capacity_; ++i) threads_.emplace_back([this] { work(); });
  }
  changed_.notify_all();
  std::unique_lock lock(done_mutex);
  all_done.wait(lock, [&] { return left == 0; });
}

void CallThreads::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    changed_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
    --idle_;
    if (stopping_) return;
    std::function<void()> task = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
  }
}

}  // namespace thalweg::functions
