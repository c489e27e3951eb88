// connectors/file/content_store.h
//
// The content of a followed file as it was read, so that its rows can be taken back when the file changes or goes.
//
// C1  Segments come back in the order in which they were added, byte for byte.
// C2  A process keeps kRawBytesMax of them as they are, the rest compressed; small ones are joined.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "connectors/formats/block.h"

namespace thalweg {

class ContentStore {
 public:
  ContentStore() = default;
  ContentStore(ContentStore&& other) noexcept;
  ContentStore& operator=(ContentStore&& other) noexcept;
  ~ContentStore();

  // `bytes` of the block are content (a whole file has no line end added).
  void add(const BlockRef& block, std::size_t bytes, std::uint64_t first_line,
           std::shared_ptr<const std::string> metadata);
  // Drops the last `bytes`, which were added last and alone.
  void drop_last(std::size_t bytes);
  struct Segment {
    std::shared_ptr<Block> block;
    std::size_t bytes = 0;
    std::uint64_t first_line = 0;
    std::shared_ptr<const std::string> metadata;
  };
  // Until the callback says false.
  void each(BlockPool& pool, const std::function<bool(Segment)>& use) const;
  [[nodiscard]] bool empty() const { return parts_.empty(); }

 private:
  struct Part {
    std::string content;  // raw or compressed
    std::size_t bytes = 0;
    bool compressed = false;
    std::uint64_t first_line = 0;
    std::shared_ptr<const std::string> metadata;
  };
  void compress_oldest();
  void forget();

  static constexpr std::size_t kJoinBytes = 256 * 1024;
  static constexpr std::size_t kRawBytesMax = 256ULL << 20;
  std::deque<Part> parts_;
  std::size_t first_raw_ = 0;  // parts before it are compressed
  std::size_t raw_bytes_ = 0;  // also in the count of the process
};

}  // namespace thalweg
