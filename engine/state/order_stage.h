// engine/state/order_stage.h
//
// Rows on their way into the sorted entries of their groups. They are put there all at once, group by group, so that a
// group is visited once for all that came, not once per row in the order of arrival.
//
// The rows lie in a store already, each with a count that may be negative. Rows that compare equal become one: `order`
// says how.
//
//   order.compare(a, b)    of two rows with equal prefixes
//   order.decides(prefix)  rows with this prefix are equal
//   order.absorb(to, from) adds the count of `from` to that of `to`
//   order.is_nothing(id)   the count is 0
//   order.forget(id)       the row was absorbed, and never was in its group
//   order.leave(id)        the row is no longer in its group
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "engine/state/sorted_entries.h"

namespace thalweg {

class OrderStage {
 public:
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  [[nodiscard]] std::size_t size() const { return rows_.size(); }
  [[nodiscard]] std::size_t bytes() const { return rows_.capacity() * sizeof(Row); }
  void add(std::uint32_t group, std::uint64_t prefix, std::uint32_t id) { rows_.push_back({prefix, group, id}); }

  // `groups[g]` are the sorted entries of group g.
  template <class Groups, class Order>
  void settle(Groups&& groups, Order&& order) {
    sort_by_group();
    for (std::size_t begin = 0; begin < rows_.size();) {
      std::size_t end = begin + 1;
      while (end < rows_.size() && rows_[end].group == rows_[begin].group) ++end;
      settle_group(groups(rows_[begin].group), begin, end, order);
      begin = end;
    }
    rows_.clear();
    if (rows_.capacity() > kKeptRows) {
      rows_ = {};
      scratch_ = {};
    }
  }

 private:
  struct Row {
    std::uint64_t prefix = 0;
    std::uint32_t group = 0;
    std::uint32_t id = 0;
  };
  static constexpr std::size_t kKeptRows = 64 * 1024;
  static constexpr std::size_t kRadixFrom = 4096;
  static constexpr unsigned kRadixBits = 11;

  void sort_by_group() {
    auto by_group = [](const Row& a, const Row& b) { return a.group < b.group; };
    if (rows_.size() < kRadixFrom) {
      std::ranges::sort(rows_, by_group);
      return;
    }
    std::uint32_t largest = std::ranges::max_element(rows_, by_group)->group;
    scratch_.resize(rows_.size());
    for (unsigned shift = 0; shift < 32 && (largest >> shift) != 0; shift += kRadixBits) {
      constexpr std::uint32_t kMask = (1U << kRadixBits) - 1;
      std::vector<std::size_t> start(kMask + 2, 0);
      for (const Row& row : rows_) ++start[((row.group >> shift) & kMask) + 1];
      for (std::size_t i = 1; i < start.size(); ++i) start[i] += start[i - 1];
      for (const Row& row : rows_) scratch_[start[(row.group >> shift) & kMask]++] = row;
      std::swap(rows_, scratch_);
    }
  }

  template <class Order>
  void settle_group(SortedEntries& group, std::size_t begin, std::size_t end, Order& order) {
    constexpr std::size_t kFewRows = 4;       // of a group that is larger: one by one
    constexpr std::size_t kRebuildShare = 8;  // more than so much of a group: it is built anew
    std::size_t fresh = end - begin;
    std::size_t there = group.size();
    if (there > 0 && (fresh < kFewRows || fresh * kRebuildShare < there)) {
      for (std::size_t i = begin; i < end; ++i) settle_row(group, rows_[i], order);
      return;
    }
    auto less = [&](const Row& a, const Row& b) {
      if (a.prefix != b.prefix) return a.prefix < b.prefix;
      return !order.decides(a.prefix) && order.compare(a.id, b.id) < 0;
    };
    std::sort(rows_.begin() + static_cast<std::ptrdiff_t>(begin), rows_.begin() + static_cast<std::ptrdiff_t>(end),
              less);
    merged_.clear();
    auto add = [&](SortedEntries::Entry entry) {
      if (!merged_.empty() && merged_.back().prefix == entry.prefix &&
          (order.decides(entry.prefix) || order.compare(merged_.back().id, entry.id) == 0)) {
        order.absorb(merged_.back().id, entry.id);
        order.forget(entry.id);
      } else {
        merged_.push_back(entry);
      }
    };
    std::size_t next = begin;
    group.for_each_entry([&](const SortedEntries::Entry& old) {
      while (next < end && less(rows_[next], {old.prefix, 0, old.id}))
        add({rows_[next].prefix, rows_[next].id}), ++next;
      add(old);
    });
    for (; next < end; ++next) add({rows_[next].prefix, rows_[next].id});
    std::erase_if(merged_, [&](const SortedEntries::Entry& entry) {
      if (!order.is_nothing(entry.id)) return false;
      order.leave(entry.id);
      return true;
    });
    group.assign(merged_);
  }

  template <class Order>
  void settle_row(SortedEntries& group, const Row& row, Order& order) {
    auto compare = [&](std::uint32_t id) { return order.compare(id, row.id); };
    Sought<decltype(compare)> sought{row.prefix, order.decides(row.prefix), compare};
    auto [id, found] = group.find_or_insert(sought, [&] { return row.id; });
    if (!found) return;
    order.absorb(id, row.id);
    if (order.is_nothing(id)) {
      group.erase(sought);
      order.leave(id);
    }
    order.forget(row.id);
  }

  std::vector<Row> rows_;
  std::vector<Row> scratch_;
  std::vector<SortedEntries::Entry> merged_;
};

}  // namespace thalweg
