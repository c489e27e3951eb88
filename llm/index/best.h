// llm/index/best.h
//
// The best k of many candidates: score, then row key. What the filter says is asked only where it decides.
#pragma once

#include <algorithm>
#include <vector>

#include "engine/plan/index.h"

namespace thalweg::llm {

class Best {
 public:
  Best(std::size_t limit, const plan::IndexScope& scope) : limit_(limit), scope_(scope) {}

  // False: certainly not among the best.
  [[nodiscard]] bool may_enter(double score) const {
    return limit_ > 0 && (heap_.size() < limit_ || score >= heap_.front().score);
  }
  void offer(std::uint32_t slot, double score) {
    const plan::IndexHit hit{slot, score};
    if (limit_ == 0) return;
    if (heap_.size() == limit_ && !is_better(hit, heap_.front())) return;
    if (!scope_.admits(slot)) return;
    keep(hit);
  }
  // As offer(), of a slot that the scope admits.
  void offer_admitted(std::uint32_t slot, double score) {
    const plan::IndexHit hit{slot, score};
    if (limit_ == 0 || (heap_.size() == limit_ && !is_better(hit, heap_.front()))) return;
    keep(hit);
  }
  [[nodiscard]] std::size_t size() const { return heap_.size(); }
  [[nodiscard]] std::vector<plan::IndexHit> take() {
    std::sort(heap_.begin(), heap_.end(),
              [this](const plan::IndexHit& a, const plan::IndexHit& b) { return is_better(a, b); });
    return std::move(heap_);
  }

 private:
  void keep(const plan::IndexHit& hit) {
    const auto better = [this](const plan::IndexHit& a, const plan::IndexHit& b) { return is_better(a, b); };
    if (heap_.size() == limit_) {
      std::pop_heap(heap_.begin(), heap_.end(), better);
      heap_.pop_back();
    }
    heap_.push_back(hit);
    std::push_heap(heap_.begin(), heap_.end(), better);
  }
  [[nodiscard]] bool is_better(const plan::IndexHit& a, const plan::IndexHit& b) const {
    if (a.score != b.score) return a.score > b.score;
    return scope_.key(a.slot) < scope_.key(b.slot);
  }

  const std::size_t limit_;
  const plan::IndexScope& scope_;
  std::vector<plan::IndexHit> heap_;  // the worst in front
};

}  // namespace thalweg::llm
