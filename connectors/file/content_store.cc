#include "connectors/file/content_store.h"

#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <utility>

#include "engine/base/bytes.h"
#include "engine/base/ensure.h"

namespace thalweg {

namespace {

// Of all stores: a thousand small files must not each have the whole allowance.
std::atomic<std::size_t> raw_bytes_of_process{0};

// Packs contents, and keeps what it needs for that: a context and room made anew for each cost as much as the packing.
class Packer {
 public:
  // Stays as it is until the next call. Nothing: it would not be smaller.
  std::optional<std::string_view> pack(std::string_view content) {
    constexpr int kLevel = -3;  // faster than the disk; still less than half of most texts
    const std::size_t bound = ZSTD_compressBound(content.size());
    if (room_ < bound) {
      into_ = std::make_unique_for_overwrite<char[]>(bound);
      room_ = bound;
    }
    const std::size_t n = ZSTD_compressCCtx(context_.get(), into_.get(), room_, content.data(), content.size(), kLevel);
    if (ZSTD_isError(n) || n >= content.size()) return std::nullopt;
    return std::string_view(into_.get(), n);
  }

 private:
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  const std::unique_ptr<ZSTD_CCtx, Free> context_{ZSTD_createCCtx()};
  std::unique_ptr<char[]> into_;
  std::size_t room_ = 0;
};

Packer& packer() {
  thread_local Packer own;
  return own;
}

}  // namespace

ContentStore::ContentStore(ContentStore&& other) noexcept
    : parts_(std::exchange(other.parts_, {})),
      first_raw_(std::exchange(other.first_raw_, 0)),
      raw_bytes_(std::exchange(other.raw_bytes_, 0)),
      kept_(other.kept_),
      next_number_(other.next_number_),
      first_untold_(other.first_untold_),
      gone_(std::exchange(other.gone_, {})) {}

ContentStore& ContentStore::operator=(ContentStore&& other) noexcept {
  if (this == &other) return *this;
  forget();
  parts_ = std::exchange(other.parts_, {});
  first_raw_ = std::exchange(other.first_raw_, 0);
  raw_bytes_ = std::exchange(other.raw_bytes_, 0);
  kept_ = other.kept_;
  next_number_ = other.next_number_;
  first_untold_ = other.first_untold_;
  gone_ = std::exchange(other.gone_, {});
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
  if (kept_) return add_kept({block->data(), bytes}, first_line, std::move(metadata));
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
  Part& part = parts_[first_raw_++];
  raw_bytes_ -= part.bytes;
  raw_bytes_of_process -= part.bytes;
  const auto packed = packer().pack({part.content.data(), part.bytes});
  if (!packed) return;
  part.content = std::string(*packed);
  part.compressed = true;
}

void ContentStore::drop_last(std::size_t bytes) {
  if (kept_) {
    ENSURE(!parts_.empty() && parts_.back().bytes >= bytes);
    Part last = std::move(parts_.back());
    parts_.pop_back();
    std::string content = content_of(last);
    content.resize(content.size() - bytes);
    gone(last);
    if (!content.empty()) add_kept(content, last.first_line, last.metadata);
    return;
  }
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
    if (kept_) {
      std::string content = content_of(part);
      std::memcpy(block->data(), content.data(), content.size());
    } else if (part.compressed) {
      std::size_t n = ZSTD_decompress(block->data(), part.bytes, part.content.data(), part.content.size());
      ENSURE(n == part.bytes);
    } else {
      std::memcpy(block->data(), part.content.data(), part.bytes);
    }
    block->seal(part.bytes);
    if (!use({std::move(block), part.bytes, part.first_line, part.metadata})) return;
  }
}

// ---------------------------------------------------------------- in blobs

void ContentStore::gone(const Part& part) {
  if (part.is_raw) count_raw(-static_cast<std::int64_t>(part.bytes));
  if (part.blob) gone_.push_back(part.number);
}

void ContentStore::count_raw(std::int64_t bytes) {
  raw_bytes_ += static_cast<std::size_t>(bytes);
  raw_bytes_of_process += static_cast<std::size_t>(bytes);
}

void ContentStore::add_kept(std::string_view content, std::uint64_t first_line,
                            std::shared_ptr<const std::string> metadata) {
  Part part{.bytes = content.size(), .first_line = first_line};
  part.metadata = std::move(metadata);
  std::string joined;
  // Parts grow geometrically from the end on.
  while (!parts_.empty()) {
    const Part& before = parts_.back();
    bool same =
        before.metadata == part.metadata || (before.metadata && part.metadata && *before.metadata == *part.metadata);
    if (!same || before.bytes + part.bytes > kJoinBytes || before.bytes > 2 * part.bytes) break;
    joined = content_of(before).append(content);
    content = joined;
    part.bytes += before.bytes;
    part.first_line = before.first_line;
    gone(before);
    parts_.pop_back();
  }
  part.number = next_number_++;
  // What nothing is joined with any more is packed at once, beside the decoding of what comes after it.
  if (part.bytes >= kJoinBytes)
    make_blob(part, content);
  else
    part.content = content;
  parts_.push_back(std::move(part));
}

// Packing costs more than writing: as much stays as it is as a process keeps in any case.
void ContentStore::make_blob(Part& part, std::string_view content) {
  constexpr std::size_t kCompressFrom = 512;
  const bool packs = content.size() >= kCompressFrom && raw_bytes_of_process + content.size() > kRawBytesMax;
  const auto packed = packs ? packer().pack(content) : std::nullopt;
  if (!packed) {
    part.is_raw = true;
    count_raw(static_cast<std::int64_t>(part.bytes));
  }
  std::string out;
  out.reserve(64 + (part.metadata ? part.metadata->size() : 0) + packed.value_or(content).size());
  bytes::put_number<std::uint64_t>(out, part.bytes);
  bytes::put_number(out, part.first_line);
  bytes::put_number<std::uint8_t>(out, packed ? 1 : 0);
  bytes::put_number<std::uint8_t>(out, part.metadata ? 1 : 0);
  if (part.metadata) bytes::put_text(out, *part.metadata);
  out += packed.value_or(content);
  part.blob = std::make_shared<const std::string>(std::move(out));
}

namespace {

struct BlobHead {
  std::uint64_t bytes = 0;
  std::uint64_t first_line = 0;
  bool compressed = false;
  std::shared_ptr<const std::string> metadata;
  std::string_view content;
};

std::optional<BlobHead> head_of(const std::string& blob) {
  std::string_view left = blob;
  BlobHead head;
  std::uint8_t compressed = 0;
  std::uint8_t has_metadata = 0;
  std::string metadata;
  bool read = bytes::take_number(left, head.bytes) && bytes::take_number(left, head.first_line) &&
              bytes::take_number(left, compressed) && bytes::take_number(left, has_metadata) &&
              (has_metadata == 0 || bytes::take_text(left, metadata));
  if (!read) return std::nullopt;
  head.compressed = compressed != 0;
  if (has_metadata != 0) head.metadata = std::make_shared<const std::string>(std::move(metadata));
  head.content = left;
  if (!head.compressed && left.size() != head.bytes) return std::nullopt;
  if (head.compressed && ZSTD_getFrameContentSize(left.data(), left.size()) != head.bytes) return std::nullopt;
  return head;
}

}  // namespace

std::optional<std::string> ContentStore::content_of_blob(const std::string& blob) {
  std::optional<BlobHead> head = head_of(blob);
  if (!head) return std::nullopt;
  if (!head->compressed) return std::string(head->content);
  std::string out(head->bytes, '\0');
  std::size_t n = ZSTD_decompress(out.data(), out.size(), head->content.data(), head->content.size());
  if (n != head->bytes) return std::nullopt;
  return out;
}

std::string ContentStore::content_of(const Part& part) {
  if (!part.blob) return part.content;
  std::optional<std::string> out = content_of_blob(*part.blob);
  ENSURE(out && out->size() == part.bytes);
  return std::move(*out);
}

std::vector<std::pair<std::uint64_t, Blob>> ContentStore::take_changes() {
  std::vector<std::pair<std::uint64_t, Blob>> out;
  for (std::uint64_t number : std::exchange(gone_, {})) out.emplace_back(number, nullptr);
  // Numbers rise with the parts; what is new stands behind what was told.
  const std::uint64_t first = std::exchange(first_untold_, next_number_);
  for (auto part = parts_.rbegin(); part != parts_.rend() && part->number >= first; ++part) {
    if (!part->blob) make_blob(*part, part->content);
    part->content = {};
    out.emplace_back(part->number, part->blob);
  }
  return out;
}

std::vector<std::pair<std::uint64_t, Blob>> ContentStore::take_all_away() {
  std::vector<std::pair<std::uint64_t, Blob>> out;
  for (std::uint64_t number : std::exchange(gone_, {})) out.emplace_back(number, nullptr);
  for (const Part& part : parts_)
    if (part.blob) out.emplace_back(part.number, nullptr);
  return out;
}

bool ContentStore::restore(std::uint64_t number, const Blob& blob) {
  std::optional<BlobHead> head = head_of(*blob);
  if (!head) return false;
  if (head->compressed) {
    // What cannot be unpacked must show now, not when rows are to be taken back.
    std::string out(head->bytes, '\0');
    std::size_t n = ZSTD_decompress(out.data(), out.size(), head->content.data(), head->content.size());
    if (n != head->bytes) return false;
  }
  Part part{.bytes = head->bytes, .first_line = head->first_line};
  part.metadata = head->metadata;
  part.number = number;
  part.blob = blob;
  part.is_raw = !head->compressed;
  if (part.is_raw) count_raw(static_cast<std::int64_t>(part.bytes));
  parts_.push_back(std::move(part));
  next_number_ = std::max(next_number_, number + 1);
  first_untold_ = next_number_;
  return true;
}

}  // namespace thalweg
