// connectors/objects/block_cache.h
//
// Content of objects that do not change, fetched several extents at a time and kept while it is likely to be asked for.
// Threads  any.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "connectors/objects/object_store.h"

namespace thalweg::objects {

// A part of a file: `bytes` at `object_offset` of an object are those at `offset` of the file.
struct Extent {
  std::string key;
  std::string etag;
  std::uint64_t object_offset = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  static constexpr std::uint64_t kBytesMax = 8U << 20;
};

class BlockCache {
 public:
  explicit BlockCache(std::shared_ptr<ObjectStore> store) : store_(std::move(store)) {}
  // The content of extents[at]; some that follow are fetched beside it.
  Result<std::shared_ptr<const std::string>> get(const std::vector<Extent>& extents, std::size_t at);

 private:
  using Block = std::shared_ptr<const std::string>;
  [[nodiscard]] static std::string name_of(const Extent& extent);
  [[nodiscard]] Result<Block> fetch(const Extent& extent) const;
  void keep(const std::string& name, Block block);  // requires: mutex_ is held

  static constexpr std::size_t kKeptBytesMax = 256ULL << 20;
  static constexpr std::size_t kTogetherMax = 16;
  static constexpr std::uint64_t kTogetherBytesMax = 64ULL << 20;
  const std::shared_ptr<ObjectStore> store_;
  std::mutex mutex_;
  std::map<std::string, Block> blocks_;  // guarded by mutex_, as is all below
  std::deque<std::string> oldest_;
  std::size_t kept_bytes_ = 0;
};

}  // namespace thalweg::objects
