// engine/state/sorted_ids.h
//
// Row numbers of one group in an order that the caller defines. One row costs 16 bytes; many lie in chunks of up to
// kChunkIds, so that insertion moves little and position is found in logarithmic time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

namespace thalweg {

class SortedIds {
 public:
  static constexpr std::uint32_t kNoId = 0xFFFFFFFFU;
  static constexpr std::size_t kChunkIds = 512;

  [[nodiscard]] bool empty() const { return single_ == kNoId && !many_; }
  [[nodiscard]] std::uint32_t first() const { return many_ ? many_->chunks.front().front() : single_; }
  [[nodiscard]] std::uint32_t last() const { return many_ ? many_->chunks.back().back() : single_; }
  [[nodiscard]] bool only_one() const { return single_ != kNoId; }

  // `compare(id)` orders an id against what is looked for (<0: the id comes before). The id that compares equal, or
  // kNoId.
  template <class Compare>
  [[nodiscard]] std::uint32_t find(Compare&& compare) const {
    if (!many_) return single_ != kNoId && compare(single_) == 0 ? single_ : kNoId;
    const auto& chunk = chunk_for(compare);
    auto at = std::partition_point(chunk.begin(), chunk.end(), [&](std::uint32_t id) { return compare(id) < 0; });
    return at != chunk.end() && compare(*at) == 0 ? *at : kNoId;
  }

  // Requires: no id that compares equal is there.
  template <class Compare>
  void insert(std::uint32_t fresh, Compare&& compare) {
    if (empty()) {
      single_ = fresh;
      return;
    }
    if (!many_) {
      many_ = std::make_unique<Many>();
      many_->chunks.push_back({single_});
      single_ = kNoId;
    }
    auto& chunk = const_cast<std::vector<std::uint32_t>&>(chunk_for(compare));
    auto at = std::partition_point(chunk.begin(), chunk.end(), [&](std::uint32_t id) { return compare(id) < 0; });
    chunk.insert(at, fresh);
    if (chunk.size() > kChunkIds) split(chunk);
  }

  // Requires: an id that compares equal is there.
  template <class Compare>
  void erase(Compare&& compare) {
    if (!many_) {
      single_ = kNoId;
      return;
    }
    auto& chunk = const_cast<std::vector<std::uint32_t>&>(chunk_for(compare));
    auto at = std::partition_point(chunk.begin(), chunk.end(), [&](std::uint32_t id) { return compare(id) < 0; });
    chunk.erase(at);
    if (chunk.empty()) many_->chunks.erase(many_->chunks.begin() + (&chunk - many_->chunks.data()));
    if (many_->chunks.empty()) {
      many_.reset();
    } else if (many_->chunks.size() == 1 && many_->chunks[0].size() == 1) {
      single_ = many_->chunks[0][0];
      many_.reset();
    }
  }

  // In order, until `visit(id)` says false.
  template <class Visit>
  void for_each(Visit&& visit) const {
    if (single_ != kNoId) {
      visit(single_);
      return;
    }
    if (!many_) return;
    for (const auto& chunk : many_->chunks)
      for (std::uint32_t id : chunk)
        if (!visit(id)) return;
  }
  void clear() {
    single_ = kNoId;
    many_.reset();
  }

 private:
  struct Many {
    std::vector<std::vector<std::uint32_t>> chunks;  // none is empty
  };

  // The last chunk whose first id is not after what is looked for (the first chunk if all are).
  template <class Compare>
  [[nodiscard]] const std::vector<std::uint32_t>& chunk_for(Compare&& compare) const {
    const auto& chunks = many_->chunks;
    auto after = std::partition_point(chunks.begin(), chunks.end(),
                                      [&](const auto& chunk) { return compare(chunk.front()) <= 0; });
    return after == chunks.begin() ? *after : *(after - 1);
  }
  void split(std::vector<std::uint32_t>& chunk) {
    auto index = &chunk - many_->chunks.data();
    std::vector<std::uint32_t> upper(chunk.begin() + static_cast<std::ptrdiff_t>(chunk.size() / 2), chunk.end());
    chunk.resize(chunk.size() / 2);
    many_->chunks.insert(many_->chunks.begin() + index + 1, std::move(upper));
  }

  std::uint32_t single_ = kNoId;
  std::unique_ptr<Many> many_;
};

}  // namespace thalweg
