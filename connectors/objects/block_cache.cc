#include "connectors/objects/block_cache.h"

#include <fmt/format.h>

#include <thread>

namespace thalweg::objects {

std::string BlockCache::name_of(const Extent& extent) {
  return fmt::format("{} {} {}", extent.etag, extent.object_offset, extent.key);
}

Result<BlockCache::Block> BlockCache::fetch(const Extent& extent) const {
  std::string content = TRY(store_->get(extent.key, extent.object_offset, extent.bytes, extent.etag));
  if (content.size() != extent.bytes)
    return fail(Code::kUnavailable, fmt::format("{}/{}: {} bytes came instead of {}", store_->name(), extent.key,
                                                content.size(), extent.bytes));
  return std::make_shared<const std::string>(std::move(content));
}

void BlockCache::keep(const std::string& name, Block block) {
  const std::size_t bytes = block->size();
  if (!blocks_.emplace(name, std::move(block)).second) return;
  kept_bytes_ += bytes;
  oldest_.push_back(name);
  while (kept_bytes_ > kKeptBytesMax && oldest_.size() > 1) {
    const auto it = blocks_.find(oldest_.front());
    kept_bytes_ -= it->second->size();
    blocks_.erase(it);
    oldest_.pop_front();
  }
}

Result<BlockCache::Block> BlockCache::get(const std::vector<Extent>& extents, std::size_t at) {
  std::vector<std::size_t> missing;
  {
    const std::lock_guard lock(mutex_);
    const auto it = blocks_.find(name_of(extents[at]));
    if (it != blocks_.end()) return it->second;
    std::uint64_t bytes = 0;
    for (std::size_t i = at; i < extents.size() && missing.size() < kTogetherMax; ++i) {
      bytes += extents[i].bytes;
      if (i > at && bytes > kTogetherBytesMax) break;
      if (!blocks_.contains(name_of(extents[i]))) missing.push_back(i);
    }
  }
  std::vector<Result<Block>> got(missing.size());
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < missing.size(); ++i)
      others.emplace_back([this, &got, &extents, &missing, i] { got[i] = fetch(extents[missing[i]]); });
    got[0] = fetch(extents[at]);
  }
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < missing.size(); ++i)
    if (got[i]) keep(name_of(extents[missing[i]]), *got[i]);
  return std::move(got[0]);
}

}  // namespace thalweg::objects
