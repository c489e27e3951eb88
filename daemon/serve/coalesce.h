// daemon/serve/coalesce.h
//
// A queue of one: while a call runs, one more may wait; whoever comes then shares the answer of the one that waits,
// because that one has not begun and will see everything that they have seen.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace thalweg::daemon {

template <class T>
class Coalescer {
 public:
  T run(const std::function<T()>& call) {
    std::unique_lock lock(mutex_);
    if (!running_) {
      running_ = true;
      return finish(lock, call, nullptr);
    }
    if (waiting_) {
      std::shared_ptr<Slot> slot = waiting_;
      changed_.wait(lock, [&] { return slot->done; });
      return slot->answer;
    }
    auto slot = std::make_shared<Slot>();
    waiting_ = slot;
    changed_.wait(lock, [&] { return !running_; });
    running_ = true;
    waiting_ = nullptr;
    return finish(lock, call, slot);
  }

 private:
  struct Slot {
    bool done = false;
    T answer;
  };
  T finish(std::unique_lock<std::mutex>& lock, const std::function<T()>& call, const std::shared_ptr<Slot>& slot) {
    lock.unlock();
    T answer = call();
    lock.lock();
    running_ = false;
    if (slot) {
      slot->answer = answer;
      slot->done = true;
    }
    changed_.notify_all();
    return answer;
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  bool running_ = false;  // guarded by mutex_, as is all below
  std::shared_ptr<Slot> waiting_;
};

}  // namespace thalweg::daemon
