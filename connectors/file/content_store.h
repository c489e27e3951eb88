// connectors/file/content_store.h
//
// The content of a followed file as it was read, so that its rows can be taken back when the file changes or goes.
//
// C1  Segments come back in the order in which they were added, byte for byte.
// C2  A process keeps kRawBytesMax of them as they are, the rest compressed; small ones are joined.
// C3  Where state is kept, content lies in blobs that the pipeline's state shares: take_changes() says which are new
//     and which are gone. Small ones are joined so that each byte is written again a few times at most. C2 holds for
//     blobs, too: what is more than kRawBytesMax when it comes is compressed.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connectors/formats/block.h"
#include "engine/io/source.h"

namespace thalweg {

class ContentStore {
 public:
  static constexpr std::size_t kJoinBytes = 256 * 1024;  // from here on what is added is a part by itself

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

  // ---- where state is kept
  // Before anything is added.
  void keep_in_blobs() { kept_ = true; }
  // By number: a new blob, or null where one is gone.
  [[nodiscard]] std::vector<std::pair<std::uint64_t, Blob>> take_changes();
  // All of it, as gone.
  [[nodiscard]] std::vector<std::pair<std::uint64_t, Blob>> take_all_away();
  // A blob that take_changes() gave; in order of their numbers. False: it cannot be read.
  [[nodiscard]] bool restore(std::uint64_t number, const Blob& blob);
  // What a blob holds; nothing: it cannot be read.
  [[nodiscard]] static std::optional<std::string> content_of_blob(const std::string& blob);
  // A store that follows this one in the same place must not give its numbers again.
  [[nodiscard]] std::uint64_t next_number() const { return next_number_; }
  void begin_numbers_at(std::uint64_t number) { next_number_ = first_untold_ = number; }

 private:
  struct Part {
    std::string content;  // raw or compressed; empty if it is in the blob
    std::size_t bytes = 0;
    bool compressed = false;
    std::uint64_t first_line = 0;
    std::shared_ptr<const std::string> metadata;
    std::uint64_t number = 0;
    Blob blob;
    bool is_raw = false;  // the blob is, and is counted
  };
  void compress_oldest();
  void forget();
  void add_kept(std::string_view content, std::uint64_t first_line, std::shared_ptr<const std::string> metadata);
  void make_blob(Part& part, std::string_view content);
  void count_raw(std::int64_t bytes);
  // The bytes as they were added.
  [[nodiscard]] static std::string content_of(const Part& part);
  void gone(const Part& part);

  static constexpr std::size_t kRawBytesMax = 256ULL << 20;
  std::deque<Part> parts_;
  std::size_t first_raw_ = 0;  // parts before it are compressed
  std::size_t raw_bytes_ = 0;  // also in the count of the process
  bool kept_ = false;
  std::uint64_t next_number_ = 1;
  std::uint64_t first_untold_ = 1;   // parts from this number on are new since take_changes()
  std::vector<std::uint64_t> gone_;  // numbers whose blobs were told
};

}  // namespace thalweg
