// engine/state/sorted_entries.h
//
// The rows of one group in an order that the caller defines, as (prefix, id): the prefix is 64 bits of what they are
// ordered by (state/order_prefix.h), so that most comparisons need not look at the row.
//
// A group of none or one lies in the object itself (16 bytes), one of up to kChunkEntries in an array, more of them in
// chunks of that size. Insertion moves one chunk at most; a seek is logarithmic.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/base/ensure.h"
#include "engine/base/prefetch.h"

namespace thalweg {

// What is looked for. `same_order(id)` orders a row against it (<0: the row comes before); it is asked only where the
// prefixes are equal, and not at all where `exact`: equal prefixes then mean equal rows.
template <class Compare>
struct Sought {
  std::uint64_t prefix = 0;
  bool exact = false;
  Compare compare;
};

class SortedEntries {
 public:
  static constexpr std::uint32_t kNoId = 0xFFFFFFFFU;
  static constexpr std::uint32_t kChunkEntries = 512;
  struct Entry {
    std::uint64_t prefix = 0;
    std::uint32_t id = 0;
  };

  SortedEntries() = default;
  SortedEntries(const SortedEntries&) = delete;
  SortedEntries& operator=(const SortedEntries&) = delete;
  SortedEntries(SortedEntries&& other) noexcept { take(other); }
  SortedEntries& operator=(SortedEntries&& other) noexcept {
    if (this == &other) return *this;
    clear();
    take(other);
    return *this;
  }
  ~SortedEntries() { clear(); }

  [[nodiscard]] bool empty() const { return capacity_ == kEmpty; }
  [[nodiscard]] std::size_t size() const { return capacity_ <= kSingle ? capacity_ : size_; }
  [[nodiscard]] std::uint32_t first() const {
    if (capacity_ == kEmpty) return kNoId;
    if (capacity_ == kSingle) return size_;
    return capacity_ == kMany ? many()->chunks.front().front().id : few()[0].id;
  }
  [[nodiscard]] std::uint32_t last() const {
    if (capacity_ == kEmpty) return kNoId;
    if (capacity_ == kSingle) return size_;
    return capacity_ == kMany ? many()->chunks.back().back().id : few()[size_ - 1].id;
  }

  template <class Compare>
  [[nodiscard]] std::uint32_t find(const Sought<Compare>& sought) const {
    if (capacity_ == kEmpty) return kNoId;
    if (capacity_ == kSingle) return same({bits_, size_}, sought) ? size_ : kNoId;
    auto [begin, end] = range_for(sought);
    const Entry* at = lower_bound(begin, end, sought);
    return at != end && same(*at, sought) ? at->id : kNoId;
  }

  // The id of the row that compares equal and true; or what `make()` gives, put in its place, and false.
  template <class Compare, class Make>
  std::pair<std::uint32_t, bool> find_or_insert(const Sought<Compare>& sought, Make&& make) {
    if (capacity_ == kEmpty) {
      std::uint32_t id = make();
      bits_ = sought.prefix;
      size_ = id;
      capacity_ = kSingle;
      return {id, false};
    }
    if (capacity_ == kSingle) {
      if (same({bits_, size_}, sought)) return {size_, true};
      to_few();
    }
    if (capacity_ == kMany) {
      std::vector<Entry>& chunk = chunk_for(sought);
      auto at = chunk.begin() + (lower_bound(chunk.data(), chunk.data() + chunk.size(), sought) - chunk.data());
      if (at != chunk.end() && same(*at, sought)) return {at->id, true};
      std::uint32_t id = make();
      chunk.insert(at, Entry{sought.prefix, id});
      ++size_;
      if (chunk.size() > kChunkEntries) split(chunk);
      return {id, false};
    }
    Entry* begin = few();
    auto place = static_cast<std::uint32_t>(lower_bound(begin, begin + size_, sought) - begin);
    if (place < size_ && same(begin[place], sought)) return {begin[place].id, true};
    std::uint32_t id = make();
    insert_few(place, {sought.prefix, id});
    return {id, false};
  }

  // Requires: a row that compares equal is there.
  template <class Compare>
  void erase(const Sought<Compare>& sought) {
    if (capacity_ == kSingle) {
      capacity_ = kEmpty;
      return;
    }
    if (capacity_ == kMany) {
      std::vector<Entry>& chunk = chunk_for(sought);
      --size_;
      chunk.erase(chunk.begin() + (lower_bound(chunk.data(), chunk.data() + chunk.size(), sought) - chunk.data()));
      auto& chunks = many()->chunks;
      if (chunk.empty()) chunks.erase(chunks.begin() + (&chunk - chunks.data()));
      if (chunks.size() == 1 && chunks[0].size() <= kChunkEntries / 2) to_few_again();
      return;
    }
    Entry* begin = few();
    auto place = static_cast<std::uint32_t>(lower_bound(begin, begin + size_, sought) - begin);
    std::memmove(static_cast<void*>(begin + place), begin + place + 1, (size_ - place - 1) * sizeof(Entry));
    if (--size_ == 1) {
      Entry only = begin[0];
      std::free(begin);
      bits_ = only.prefix;
      size_ = only.id;
      capacity_ = kSingle;
    }
  }

  // In order, until `visit(id)` says false.
  template <class Visit>
  void for_each(Visit&& visit) const {
    if (capacity_ == kSingle) {
      visit(size_);
    } else if (capacity_ == kMany) {
      for (const auto& chunk : many()->chunks)
        for (const Entry& entry : chunk)
          if (!visit(entry.id)) return;
    } else if (capacity_ != kEmpty) {
      for (std::uint32_t i = 0; i < size_; ++i)
        if (!visit(few()[i].id)) return;
    }
  }
  template <class Visit>
  void for_each_entry(Visit&& visit) const {
    if (capacity_ == kSingle) {
      visit(Entry{bits_, size_});
    } else if (capacity_ == kMany) {
      for (const auto& chunk : many()->chunks)
        for (const Entry& entry : chunk) visit(entry);
    } else if (capacity_ != kEmpty) {
      for (std::uint32_t i = 0; i < size_; ++i) visit(few()[i]);
    }
  }

  // These instead of what is there. Requires: in order, none equal to another.
  void assign(const std::vector<Entry>& entries) {
    auto n = static_cast<std::uint32_t>(entries.size());
    bool fits = capacity_ > kSingle && capacity_ != kMany && n > 1 && n <= capacity_ && n * 4 > capacity_;
    if (!fits) clear();
    if (n == 0) return;
    if (n == 1) {
      bits_ = entries[0].prefix;
      size_ = entries[0].id;
      capacity_ = kSingle;
    } else if (n <= kChunkEntries) {
      if (!fits) {
        point_to(allocate(n));
        capacity_ = n;
      }
      std::memcpy(static_cast<void*>(few()), entries.data(), n * sizeof(Entry));
      size_ = n;
    } else {
      constexpr std::uint32_t kFill = kChunkEntries * 3 / 4;
      auto* fresh = new Many;
      for (std::uint32_t begin = 0; begin < n; begin += kFill)
        fresh->chunks.emplace_back(entries.begin() + begin, entries.begin() + std::min(begin + kFill, n));
      point_to(fresh);
      capacity_ = kMany;
      size_ = n;
    }
  }

  void clear() {
    if (capacity_ == kMany)
      delete many();
    else if (capacity_ > kSingle)
      std::free(few());
    capacity_ = kEmpty;
  }

  // What a seek will look at, once the object itself is in the cache.
  THALWEG_PREFETCHES void prefetch() const {
    if (capacity_ <= kSingle) return;
    constexpr std::size_t kLine = 64;
    constexpr std::size_t kLinesMax = 4;
    const char* at = static_cast<const char*>(pointer());
    __builtin_prefetch(at);
    if (capacity_ == kMany) return;
    std::size_t bytes = size_ * sizeof(Entry);
    std::size_t step = bytes <= kLinesMax * kLine ? kLine : bytes / 4;
    for (std::size_t offset = step; offset < bytes; offset += step) __builtin_prefetch(at + offset);
  }
  [[nodiscard]] std::size_t heap_bytes() const {
    if (capacity_ <= kSingle) return 0;
    if (capacity_ != kMany) return capacity_ * sizeof(Entry);
    std::size_t bytes = sizeof(Many);
    for (const auto& chunk : many()->chunks) bytes += sizeof(std::vector<Entry>) + chunk.capacity() * sizeof(Entry);
    return bytes;
  }

 private:
  struct Many {
    std::vector<std::vector<Entry>> chunks;  // none is empty
  };
  // capacity_: nothing; one entry, in bits_ and size_; room of the array that bits_ points to; a Many at bits_.
  static constexpr std::uint32_t kEmpty = 0;
  static constexpr std::uint32_t kSingle = 1;
  static constexpr std::uint32_t kFewFirst = 4;
  static constexpr std::uint32_t kMany = 0xFFFFFFFFU;

  // NOLINTNEXTLINE(performance-no-int-to-ptr): the word holds an entry or a pointer, as capacity_ says.
  [[nodiscard]] void* pointer() const { return reinterpret_cast<void*>(bits_); }
  [[nodiscard]] Entry* few() const { return static_cast<Entry*>(pointer()); }
  [[nodiscard]] Many* many() const { return static_cast<Many*>(pointer()); }
  void point_to(void* pointer) { bits_ = reinterpret_cast<std::uint64_t>(pointer); }

  template <class Compare>
  static bool before(const Entry& entry, const Sought<Compare>& sought) {
    if (entry.prefix != sought.prefix) return entry.prefix < sought.prefix;
    return !sought.exact && sought.compare(entry.id) < 0;
  }
  template <class Compare>
  static bool same(const Entry& entry, const Sought<Compare>& sought) {
    return entry.prefix == sought.prefix && (sought.exact || sought.compare(entry.id) == 0);
  }
  template <class Compare>
  static const Entry* lower_bound(const Entry* begin, const Entry* end, const Sought<Compare>& sought) {
    // By prefix without branches that the processor would guess wrong; among equal prefixes by comparing rows.
    const Entry* at = begin;
    for (auto n = static_cast<std::size_t>(end - begin); n > 0;) {
      std::size_t half = (n + 1) / 2;
      at += at[half - 1].prefix < sought.prefix ? half : 0;
      n -= half;
    }
    if (sought.exact || at == end || at->prefix != sought.prefix || sought.compare(at->id) >= 0) return at;
    return std::partition_point(at + 1, end, [&](const Entry& entry) { return before(entry, sought); });
  }
  // The last chunk whose first entry is not after what is looked for (the first chunk if all are).
  template <class Compare>
  std::vector<Entry>& chunk_for(const Sought<Compare>& sought) const {
    auto& chunks = many()->chunks;
    auto after = std::partition_point(chunks.begin(), chunks.end(), [&](const auto& chunk) {
      return before(chunk.front(), sought) || same(chunk.front(), sought);
    });
    return after == chunks.begin() ? *after : *(after - 1);
  }
  template <class Compare>
  std::pair<const Entry*, const Entry*> range_for(const Sought<Compare>& sought) const {
    if (capacity_ != kMany) return {few(), few() + size_};
    const std::vector<Entry>& chunk = chunk_for(sought);
    return {chunk.data(), chunk.data() + chunk.size()};
  }

  void take(SortedEntries& other) {
    bits_ = other.bits_;
    size_ = other.size_;
    capacity_ = std::exchange(other.capacity_, kEmpty);
  }
  static Entry* allocate(std::uint32_t entries) {
    auto* room = static_cast<Entry*>(std::malloc(entries * sizeof(Entry)));
    ENSURE(room != nullptr);
    return room;
  }
  void to_few() {
    Entry only{bits_, size_};
    Entry* room = allocate(kFewFirst);
    room[0] = only;
    point_to(room);
    size_ = 1;
    capacity_ = kFewFirst;
  }
  void insert_few(std::uint32_t place, Entry entry) {
    if (size_ == kChunkEntries) {
      auto* grown = new Many;
      grown->chunks.emplace_back(few(), few() + size_);
      std::free(few());
      point_to(grown);
      capacity_ = kMany;
      ++size_;
      std::vector<Entry>& chunk = grown->chunks[0];
      chunk.insert(chunk.begin() + place, entry);
      split(chunk);
      return;
    }
    if (size_ == capacity_) {
      auto* room = static_cast<Entry*>(std::realloc(pointer(), capacity_ * 2 * sizeof(Entry)));
      ENSURE(room != nullptr);
      point_to(room);
      capacity_ *= 2;
    }
    Entry* begin = few();
    std::memmove(static_cast<void*>(begin + place + 1), begin + place, (size_ - place) * sizeof(Entry));
    begin[place] = entry;
    ++size_;
  }
  void to_few_again() {
    Many* old = many();
    const std::vector<Entry>& chunk = old->chunks[0];
    Entry* room = allocate(kChunkEntries);
    std::memcpy(static_cast<void*>(room), chunk.data(), chunk.size() * sizeof(Entry));
    size_ = static_cast<std::uint32_t>(chunk.size());
    delete old;
    point_to(room);
    capacity_ = kChunkEntries;
  }
  void split(std::vector<Entry>& chunk) {
    auto& chunks = many()->chunks;
    auto index = &chunk - chunks.data();
    std::vector<Entry> upper(chunk.begin() + static_cast<std::ptrdiff_t>(chunk.size() / 2), chunk.end());
    chunk.resize(chunk.size() / 2);
    chunks.insert(chunks.begin() + index + 1, std::move(upper));
  }

  std::uint64_t bits_ = 0;
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = kEmpty;
};
static_assert(sizeof(SortedEntries) == 16);

}  // namespace thalweg
