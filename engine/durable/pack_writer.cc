#include "engine/durable/pack_writer.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/base/failpoint.h"

namespace thalweg::durable {

std::uint64_t Part::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& piece : pieces) sum += piece->size();
  return sum;
}

PackWriter::PackWriter(Disk& disk, std::string folder, std::string name, std::shared_ptr<const Manifest> before)
    : disk_(disk), folder_(std::move(folder)), name_(std::move(name)), before_(std::move(before)) {
  if (before_ && before_->format > 1) learn(*before_);
}

std::vector<bool> PackWriter::worn_out(const Manifest& before) {
  std::vector<std::uint64_t> used(before.packs.size());
  std::unordered_map<ChunkHash, bool, HashOfHash> counted;
  for (const PackedPart& part : before.parts)
    for (const PackedChunk& chunk : part.chunks)
      if (std::exchange(counted[chunk.hash], true) == false) used[chunk.pack] += chunk.bytes;
  std::vector<bool> out(before.packs.size());
  std::vector<std::size_t> left;
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = used[i] * 2 < before.packs[i].bytes;
    if (!out[i]) left.push_back(i);
  }
  if (left.size() < kPacksMax) return out;
  std::ranges::sort(left, {}, [&](std::size_t i) { return before.packs[i].bytes; });
  for (std::size_t i = 0; i < left.size() / 2; ++i) out[left[i]] = true;
  return out;
}

void PackWriter::learn(const Manifest& before) {
  leaves_ = worn_out(before);
  indexes_.resize(before.packs.size());
  for (std::size_t i = 0; i < before.parts.size(); ++i) {
    places_.emplace(before.parts[i].name, i);
    for (const PackedChunk& chunk : before.parts[i].chunks)
      if (!leaves_[chunk.pack]) known_[chunk.hash] = {chunk.pack, chunk.offset, chunk.bytes};
  }
}

bool PackWriter::take_over(const Part& part) {
  auto found = places_.find(part.name);
  if (found == places_.end()) return false;
  PackedPart out = before_->parts[found->second];
  if (out.bytes != part.bytes()) return false;
  if (std::ranges::any_of(out.chunks, [&](const PackedChunk& chunk) { return leaves_[chunk.pack]; })) return false;
  for (PackedChunk& chunk : out.chunks) chunk.pack = index_of(chunk.pack);
  parts_.push_back(std::move(out));
  return true;
}

Result<void> PackWriter::add(const Part& part) {
  if (part.unchanged && take_over(part)) return {};
  PackedPart out{.name = part.name, .bytes = part.bytes(), .chunks = {}};
  if (part.is_blob) {
    TRY(place_blob(part, out));
    parts_.push_back(std::move(out));
    return {};
  }
  Result<void> done;
  ChunkCutter cutter([&](std::string_view chunk) {
    if (done) done = place(chunk, out);
  });
  for (const auto& piece : part.pieces) cutter.feed(*piece);
  cutter.finish();
  parts_.push_back(std::move(out));
  return done;
}

Result<void> PackWriter::place_blob(const Part& part, PackedPart& out) {
  constexpr std::size_t kChunkBytes = 1U << 20;
  for (const auto& piece : part.pieces)
    for (std::size_t at = 0; at < piece->size(); at += kChunkBytes)
      TRY(place(std::string_view(*piece).substr(at, kChunkBytes), out));
  return {};
}

std::uint32_t PackWriter::index_of(std::uint32_t pack) {
  std::optional<std::uint32_t>& index = pack == kNew ? new_index_ : indexes_[pack];
  if (!index) {
    index = static_cast<std::uint32_t>(packs_.size());
    packs_.push_back(pack == kNew ? PackFile{name_, 0} : before_->packs[pack]);
  }
  return *index;
}

Result<void> PackWriter::place(std::string_view chunk, PackedPart& part) {
  ChunkHash hash = chunk_hash(chunk);
  auto [at, is_new] = known_.try_emplace(hash, Place{kNew, bytes_, chunk.size()});
  if (is_new) TRY(write(chunk));
  const Place& found = at->second;
  part.chunks.push_back({index_of(found.pack), found.offset, found.bytes, hash});
  return {};
}

Result<void> PackWriter::write(std::string_view chunk) {
  constexpr std::size_t kWriteBytes = 1U << 20;
  if (!file_) file_ = TRY(disk_.open_write(folder_ + name_ + ".tmp", Disk::WriteMode::kTruncate));
  bytes_ += chunk.size();
  if (chunk.size() >= kWriteBytes / 4) {  // by itself: it need not be copied first
    TRY(flush());
    return file_->append(chunk);
  }
  joined_ += chunk;
  return joined_.size() < kWriteBytes ? Result<void>() : flush();
}

Result<void> PackWriter::flush() {
  if (!joined_.empty()) TRY(file_->append(joined_));
  joined_.clear();
  return {};
}

Result<void> PackWriter::finish() {
  if (!file_) return {};
  TRY(flush());
  if (!makes_mistake("store.names_parts_before_sync")) TRY(file_->sync());
  file_.reset();
  packs_[index_of(kNew)].bytes = bytes_;
  return disk_.rename(folder_ + name_ + ".tmp", folder_ + name_);
}

void PackWriter::move_into(Manifest& manifest) {
  manifest.packs = std::move(packs_);
  manifest.parts = std::move(parts_);
  manifest.info.written_bytes = bytes_;
  manifest.info.bytes = 0;
  for (const PackedPart& part : manifest.parts) manifest.info.bytes += part.bytes;
}

}  // namespace thalweg::durable
