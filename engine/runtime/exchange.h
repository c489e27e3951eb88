// engine/runtime/exchange.h
//
// How chunks move between workers: one single-producer single-consumer queue per pair, unbounded, because memory is
// bounded where rows enter (a worker empties its inboxes before it takes another piece of input).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/operators/operator.h"
#include "engine/runtime/wake.h"
#include "engine/types/batch.h"

namespace thalweg {

struct Message {
  enum class What : std::uint8_t { kRows, kEdgeClosed, kAllToAll };
  What what = What::kRows;
  std::uint32_t edge = 0;
  Batch batch;
  std::string text;  // kAllToAll
};

class SpscQueue {
 public:
  SpscQueue() : head_(new Link), tail_(head_) {}
  SpscQueue(const SpscQueue&) = delete;
  SpscQueue& operator=(const SpscQueue&) = delete;
  ~SpscQueue() {
    while (head_) delete std::exchange(head_, head_->next.load(std::memory_order_relaxed));
  }
  void push(Message message) {  // producer
    auto* link = new Link;
    link->message = std::move(message);
    tail_->next.store(link, std::memory_order_release);
    tail_ = link;
  }
  bool pop(Message& out) {  // consumer
    Link* next = head_->next.load(std::memory_order_acquire);
    if (!next) return false;
    out = std::move(next->message);
    delete std::exchange(head_, next);
    return true;
  }

 private:
  struct Link {
    std::atomic<Link*> next{nullptr};
    Message message;
  };
  Link* head_;  // consumer
  Link* tail_;  // producer
};

// All queues between `n` workers.
class Exchange {
 public:
  explicit Exchange(std::uint32_t workers) : workers_(workers), queues_(workers * workers), wakes_(workers) {}
  void send(std::uint32_t from, std::uint32_t to, Message message) {
    queues_[from * workers_ + to].push(std::move(message));
    wakes_[to].wake();
  }
  bool receive(std::uint32_t to, std::uint32_t from, Message& out) { return queues_[from * workers_ + to].pop(out); }
  [[nodiscard]] WakeFlag& wake(std::uint32_t worker) { return wakes_[worker]; }
  void wake_all() {
    for (WakeFlag& flag : wakes_) flag.wake();
  }
  [[nodiscard]] std::uint32_t workers() const { return workers_; }

 private:
  std::uint32_t workers_;
  std::vector<SpscQueue> queues_;
  std::vector<WakeFlag> wakes_;
};

}  // namespace thalweg
