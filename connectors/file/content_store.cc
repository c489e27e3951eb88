#include "connectors/file/content_store.h"

#include <zstd.h>

#include <atomic>
#include <cstring>
#include <utility>

#include "engine/base/ensure.h"

namespace thalweg {

namespace {

// Of all stores: a thousand small files must not each have the whole allowance.
std::atomic<std::size_t> raw_bytes_of_process{0};

}  // namespace

ContentStore::ContentStore(ContentStore&& other) noexcept
    : parts_(std::exchange(other.parts_, {})),
      first_raw_(std::exchange(other.first_raw_, 0)),
      raw_bytes_(std::exchange(other.raw_bytes_, 0)) {}

ContentStore& ContentStore::operator=(ContentStore&& other) noexcept {
  if (this == &other) return *this;
  forget();
  parts_ = std::exchange(other.parts_, {});
  first_raw_ = std::exchange(other.first_raw_, 0);
  raw_bytes_ = std::exchange(other.raw_bytes_, 0);
  return *this;
}

ContentStore::~ContentStore() { forget(); }

void ContentStore::forget() {
  raw_bytes_of_process -= raw_bytes_;
  raw_bytes_ = 0;
  first_raw_ = 0;
  parts_.clear();
}

void ContentStore::add(const BlockRef& block, std::size_t bytes, std::uint64_t first_line,
                       std::shared_ptr<const std::string> metadata) {
  bool join = !parts_.empty() && !parts_.back().compressed && parts_.back().metadata == metadata &&
              parts_.back().bytes + bytes <= kJoinBytes;
  if (!join) {
    parts_.push_back({.first_line = first_line, .metadata = std::move(metadata)});
    if (bytes > kJoinBytes) parts_.back().content.reserve(bytes);
  }
  Part& part = parts_.back();
  part.content.append(block->data(), bytes);
  part.bytes += bytes;
  raw_bytes_ += bytes;
  raw_bytes_of_process += bytes;
  while (raw_bytes_of_process > kRawBytesMax && first_raw_ + 1 < parts_.size()) compress_oldest();
}

void ContentStore::compress_oldest() {
  constexpr int kLevel = -3;  // faster than the disk; still less than half of most texts
  Part& part = parts_[first_raw_++];
  std::string out(ZSTD_compressBound(part.bytes), '\0');
  std::size_t n = ZSTD_compress(out.data(), out.size(), part.content.data(), part.bytes, kLevel);
  raw_bytes_ -= part.bytes;
  raw_bytes_of_process -= part.bytes;
  if (ZSTD_isError(n) || n >= part.bytes) return;
  out.resize(n);
  out.shrink_to_fit();
  part.content = std::move(out);
  part.compressed = true;
}

void ContentStore::drop_last(std::size_t bytes) {
  ENSURE(!parts_.empty() && !parts_.back().compressed && parts_.back().bytes >= bytes);
  Part& part = parts_.back();
  part.bytes -= bytes;
  part.content.resize(part.bytes);
  if (first_raw_ < parts_.size()) {
    raw_bytes_ -= bytes;
    raw_bytes_of_process -= bytes;
  }
  if (part.bytes == 0) parts_.pop_back();
  first_raw_ = std::min(first_raw_, parts_.size());
}

void ContentStore::each(BlockPool& pool, const std::function<bool(Segment)>& use) const {
  for (const Part& part : parts_) {
    auto block = pool.take(part.bytes);
    if (part.compressed) {
      std::size_t n = ZSTD_decompress(block->data(), part.bytes, part.content.data(), part.content.size());
      ENSURE(n == part.bytes);
    } else {
      std::memcpy(block->data(), part.content.data(), part.bytes);
    }
    block->seal(part.bytes);
    if (!use({std::move(block), part.bytes, part.first_line, part.metadata})) return;
  }
}

}  // namespace thalweg
