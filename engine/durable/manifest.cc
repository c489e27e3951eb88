#include "engine/durable/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "engine/base/bytes.h"

namespace thalweg::durable {

using bytes::checksum;
using bytes::put_number;
using bytes::put_text;
using bytes::take_number;
using bytes::take_text;

namespace {

constexpr std::uint32_t kMagic = 0x464D5754;  // TWMF

struct Body {
  std::string_view left;
  bool good = true;
  template <class T>
  void take(T& number) {
    good = good && take_number(left, number);
  }
  void take(std::string& text) { good = good && take_text(left, text); }
  // No more than there can be, at so many bytes each.
  std::uint64_t count(std::size_t bytes_each) {
    std::uint64_t n = 0;
    take(n);
    good = good && n <= left.size() / bytes_each;
    return good ? n : 0;
  }
};

// Format 1: a part is a range of a file.
void take_old_parts(Body& body, Manifest& out) {
  std::uint64_t parts = body.count(5 * sizeof(std::uint64_t));
  for (std::uint64_t i = 0; body.good && i < parts; ++i) {
    PackedPart part;
    PackFile pack;
    PackedChunk chunk;
    body.take(part.name);
    body.take(pack.name);
    body.take(chunk.offset);
    body.take(chunk.bytes);
    body.take(chunk.hash.lo);
    auto known = std::ranges::find(out.packs, pack.name, &PackFile::name);
    chunk.pack = static_cast<std::uint32_t>(known - out.packs.begin());
    if (known == out.packs.end()) out.packs.push_back(pack);
    part.bytes = chunk.bytes;
    part.chunks.push_back(chunk);
    out.parts.push_back(std::move(part));
  }
}

void take_parts(Body& body, Manifest& out) {
  std::uint64_t packs = body.count(2 * sizeof(std::uint64_t));
  for (std::uint64_t i = 0; body.good && i < packs; ++i) {
    PackFile pack;
    body.take(pack.name);
    body.take(pack.bytes);
    out.packs.push_back(std::move(pack));
  }
  std::uint64_t parts = body.count(2 * sizeof(std::uint64_t));
  for (std::uint64_t i = 0; body.good && i < parts; ++i) {
    PackedPart part;
    body.take(part.name);
    std::uint64_t chunks = body.count(32);
    part.chunks.reserve(chunks);
    for (std::uint64_t c = 0; body.good && c < chunks; ++c) {
      PackedChunk chunk;
      std::uint32_t bytes = 0;
      body.take(chunk.pack);
      body.take(bytes);
      body.take(chunk.offset);
      body.take(chunk.hash.hi);
      body.take(chunk.hash.lo);
      chunk.bytes = bytes;
      body.good = body.good && chunk.pack < out.packs.size();
      part.bytes += bytes;
      part.chunks.push_back(chunk);
    }
    out.parts.push_back(std::move(part));
  }
}

Result<void> read_range(ReadFile& file, const std::string& name, std::uint64_t offset, std::string& into) {
  std::size_t have = 0;
  while (have < into.size()) {
    std::size_t n = TRY(file.read_at(offset + have, into.data() + have, into.size() - have));
    if (n == 0) return fail(Code::kBadData, fmt::format("seg/{} ends too early", name));
    have += n;
  }
  return {};
}

std::unexpected<Error> damaged(const PackFile& pack, std::uint64_t offset) {
  return fail(Code::kBadData, fmt::format("seg/{} is damaged (at byte {})", pack.name, offset));
}

// Chunks that follow one another in a file and are read at once.
struct Window {
  std::uint32_t pack = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::size_t first = 0;
  std::size_t chunks = 0;
};

std::vector<Window> windows_of(const std::vector<PackedChunk>& chunks) {
  std::vector<Window> out;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const PackedChunk& chunk = chunks[i];
    bool goes_on = !out.empty() && out.back().pack == chunk.pack &&
                   out.back().offset + out.back().bytes == chunk.offset &&
                   out.back().bytes + chunk.bytes <= PartReader::kWindowBytes;
    if (!goes_on) out.push_back({chunk.pack, chunk.offset, 0, i, 0});
    out.back().bytes += chunk.bytes;
    ++out.back().chunks;
  }
  return out;
}

}  // namespace

std::string Manifest::encode() const {
  std::string out;
  put_number(out, kMagic);
  put_number(out, kFormat);
  put_number(out, info.number);
  put_number(out, info.epoch);
  put_number(out, info.generation);
  put_number(out, info.wall_ns);
  put_number(out, info.duration_ns);
  put_number(out, info.written_bytes);
  put_number(out, log_hash);
  put_number<std::uint64_t>(out, packs.size());
  for (const PackFile& pack : packs) {
    put_text(out, pack.name);
    put_number(out, pack.bytes);
  }
  put_number<std::uint64_t>(out, parts.size());
  for (const PackedPart& part : parts) {
    put_text(out, part.name);
    put_number<std::uint64_t>(out, part.chunks.size());
    for (const PackedChunk& chunk : part.chunks) {
      put_number(out, chunk.pack);
      put_number(out, static_cast<std::uint32_t>(chunk.bytes));
      put_number(out, chunk.offset);
      put_number(out, chunk.hash.hi);
      put_number(out, chunk.hash.lo);
    }
  }
  put_number(out, checksum(out));
  return out;
}

Result<Manifest> Manifest::decode(std::string_view bytes) {
  auto is_damaged = [] { return fail(Code::kBadData, "a manifest is damaged"); };
  if (bytes.size() < 16) return is_damaged();
  std::string_view tail = bytes.substr(bytes.size() - 8);
  Body body{bytes.substr(0, bytes.size() - 8)};
  std::uint64_t sum = 0;
  if (!take_number(tail, sum) || sum != checksum(body.left)) return is_damaged();
  std::uint32_t magic = 0;
  Manifest out;
  body.take(magic);
  body.take(out.format);
  if (!body.good || magic != kMagic || out.format == 0) return is_damaged();
  if (out.format > kFormat)
    return fail(Code::kBadData, fmt::format("it was written by a newer version (format {}, this one reads up to {})",
                                            out.format, kFormat));
  body.take(out.info.number);
  body.take(out.info.epoch);
  body.take(out.info.generation);
  body.take(out.info.wall_ns);
  body.take(out.info.duration_ns);
  body.take(out.info.written_bytes);
  body.take(out.log_hash);
  if (out.format == 1)
    take_old_parts(body, out);
  else
    take_parts(body, out);
  if (!body.good) return is_damaged();
  for (const PackedPart& part : out.parts) out.info.bytes += part.bytes;
  return out;
}

bool Manifest::is_chunk(const PackedChunk& chunk, std::string_view bytes) const {
  return format == 1 ? checksum(bytes) == chunk.hash.lo : chunk_hash(bytes) == chunk.hash;
}

Result<void> verify_chunks(Disk& disk, const std::string& folder, const Manifest& manifest) {
  std::vector<PackedChunk> chunks;
  std::uint64_t bytes = 0;
  for (const PackedPart& part : manifest.parts) {
    chunks.insert(chunks.end(), part.chunks.begin(), part.chunks.end());
    bytes += part.bytes;
  }
  auto place = [](const PackedChunk& chunk) { return std::pair(chunk.pack, chunk.offset); };
  std::ranges::sort(chunks, {}, place);
  auto same = [&](const PackedChunk& a, const PackedChunk& b) { return place(a) == place(b) && a.bytes == b.bytes; };
  if (manifest.format > 1) chunks.erase(std::ranges::unique(chunks, same).begin(), chunks.end());
  std::vector<Window> windows = windows_of(chunks);
  std::vector<std::unique_ptr<ReadFile>> files(manifest.packs.size());
  for (const Window& window : windows)
    if (!files[window.pack]) files[window.pack] = TRY(disk.open_read(folder + manifest.packs[window.pack].name));
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::optional<Error> failed;
  auto check = [&](const Window& window, std::string& buffer) -> Result<void> {
    const PackFile& pack = manifest.packs[window.pack];
    buffer.resize(window.bytes);
    TRY(read_range(*files[window.pack], pack.name, window.offset, buffer));
    for (std::size_t i = window.first; i < window.first + window.chunks; ++i)
      if (!manifest.is_chunk(chunks[i],
                             std::string_view(buffer).substr(chunks[i].offset - window.offset, chunks[i].bytes)))
        return damaged(pack, chunks[i].offset);
    return {};
  };
  auto work = [&] {
    std::string buffer;
    for (std::size_t at = next++; at < windows.size(); at = next++) {
      Result<void> good = check(windows[at], buffer);
      if (good) continue;
      std::lock_guard lock(mutex);
      if (!failed) failed = std::move(good).error();
      next = windows.size();
    }
  };
  constexpr std::uint64_t kBytesForThread = 16U << 20;
  std::size_t most = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, 8);
  std::size_t wanted = std::min<std::size_t>(most, 1 + bytes / kBytesForThread);
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < wanted; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (failed) return fail(std::move(*failed));
  return {};
}

PartReader::PartReader(std::shared_ptr<Disk> disk, std::string folder, std::shared_ptr<const Manifest> manifest,
                       std::size_t part)
    : disk_(std::move(disk)),
      folder_(std::move(folder)),
      manifest_(std::move(manifest)),
      part_(manifest_->parts[part]) {}

Result<std::string_view> PartReader::next() {
  while (next_ < part_.chunks.size() && part_.chunks[next_].bytes == 0) ++next_;
  if (next_ == part_.chunks.size()) return std::string_view();
  const std::size_t first = next_;
  const PackedChunk& begin = part_.chunks[first];
  std::uint64_t bytes = 0;
  while (next_ < part_.chunks.size()) {
    const PackedChunk& chunk = part_.chunks[next_];
    bool goes_on = chunk.pack == begin.pack && chunk.offset == begin.offset + bytes;
    if (next_ > first && (!goes_on || bytes + chunk.bytes > kWindowBytes)) break;
    bytes += chunk.bytes;
    ++next_;
  }
  const PackFile& pack = manifest_->packs[begin.pack];
  if (!file_ || pack_ != begin.pack) file_ = TRY(disk_->open_read(folder_ + pack.name));
  pack_ = begin.pack;
  window_.resize(bytes);
  TRY(read_range(*file_, pack.name, begin.offset, window_));
  std::uint64_t at = 0;
  for (std::size_t i = first; i < next_; ++i) {
    const PackedChunk& chunk = part_.chunks[i];
    if (!manifest_->is_chunk(chunk, std::string_view(window_).substr(at, chunk.bytes)))
      return damaged(pack, chunk.offset);
    at += chunk.bytes;
  }
  return std::string_view(window_);
}

}  // namespace thalweg::durable
