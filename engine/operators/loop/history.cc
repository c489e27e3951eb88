#include "engine/operators/loop/history.h"

#include <algorithm>

namespace thalweg {

namespace {

bool before(const History::Entry& a, const History::Entry& b) {
  if (a.round != b.round) return a.round < b.round;
  if (a.bits != b.bits) return a.bits < b.bits;
  return a.tag < b.tag;
}

bool same(const History::Entry& a, const History::Entry& b) {
  return a.bits == b.bits && a.round == b.round && a.tag == b.tag;
}

}  // namespace

History::~History() {
  for (List& list : lists_) list.entries.release(pool_);
}

void History::append(std::uint32_t group, RowWord word, std::uint64_t round, Diff diff) {
  // Neighbours often say the same in one round.
  constexpr std::size_t kLookBack = 4;
  if (group >= lists_.size()) lists_.resize(group + 1);
  List& list = lists_[group];
  Entry fresh;
  fresh.bits = word.bits;
  fresh.round = static_cast<std::uint32_t>(round);
  fresh.tag = static_cast<std::uint32_t>(word.tag);
  fresh.diff = diff;
  std::size_t n = list.entries.size;
  std::size_t first = std::max<std::size_t>(list.settled, n - std::min(n, kLookBack));
  for (std::size_t i = n; i-- > first;) {
    if (!same(list.entries.data[i], fresh)) continue;
    list.entries.data[i].diff += diff;
    words_.release(word);
    return;
  }
  list.entries.push_back(fresh, pool_);
  ++size_;
}

void History::settle(std::uint32_t group) {
  if (group >= lists_.size()) return;
  List& list = lists_[group];
  std::span<Entry> entries(list.entries.data, list.entries.size);
  if (list.settled == entries.size()) return;
  auto middle = entries.begin() + list.settled;
  std::sort(middle, entries.end(), before);
  std::inplace_merge(entries.begin(), middle, entries.end(), before);
  std::uint32_t kept = 0;
  for (std::size_t i = 0; i < entries.size();) {
    Entry sum = entries[i];
    std::size_t j = i + 1;
    for (; j < entries.size() && same(entries[j], sum); ++j) {
      sum.diff += entries[j].diff;
      words_.release(sum.word());
    }
    if (sum.diff != 0)
      entries[kept++] = sum;
    else
      words_.release(sum.word());
    i = j;
  }
  size_ -= entries.size() - kept;
  list.entries.size = kept;
  if (kept == 0) list.entries.release(pool_);
  list.settled = kept;
}

bool History::settle_if_worthwhile(std::uint32_t group) {
  constexpr std::size_t kFewEntries = 64;
  constexpr std::size_t kShare = 4;  // of what is settled: then settling is worth its cost
  if (group >= lists_.size()) return false;
  const List& list = lists_[group];
  std::size_t fresh = list.entries.size - list.settled;
  if (list.entries.size <= kFewEntries || fresh * kShare >= list.settled) settle(group);
  return list.entries.size > 0;
}

}  // namespace thalweg
