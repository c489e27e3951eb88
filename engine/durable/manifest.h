// engine/durable/manifest.h
//
// What a snapshot consists of: packs of chunks, and parts made of chunks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/env.h"
#include "engine/durable/chunks.h"
#include "engine/durable/snapshot_info.h"

namespace thalweg::durable {

struct PackFile {
  std::string name;  // below seg/
  std::uint64_t bytes = 0;
};

struct PackedChunk {
  std::uint32_t pack = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  ChunkHash hash;
};

struct PackedPart {
  std::string name;
  std::uint64_t bytes = 0;
  std::vector<PackedChunk> chunks;
};

struct Manifest {
  static constexpr std::uint32_t kFormat = 2;
  SnapshotInfo info;
  std::uint32_t format = kFormat;
  std::uint64_t log_hash = 0;
  std::vector<PackFile> packs;
  std::vector<PackedPart> parts;

  [[nodiscard]] std::string encode() const;
  [[nodiscard]] static Result<Manifest> decode(std::string_view bytes);
  // The bytes are those that were written. In format 1 a chunk is a whole part under a hash of 64 bits.
  [[nodiscard]] bool is_chunk(const PackedChunk& chunk, std::string_view bytes) const;
};

// All chunks of a snapshot are there and are what was written: read by all cores, in the order of the files.
[[nodiscard]] Result<void> verify_chunks(Disk& disk, const std::string& folder, const Manifest& manifest);

// The bytes of one part, in windows of some MiB that are verified as they are read. May outlive the store.
class PartReader {
 public:
  static constexpr std::uint64_t kWindowBytes = 2U << 20;
  PartReader(std::shared_ptr<Disk> disk, std::string folder, std::shared_ptr<const Manifest> manifest,
             std::size_t part);
  // Stays as it is until the next call. Empty: the end.
  Result<std::string_view> next();

 private:
  const std::shared_ptr<Disk> disk_;
  const std::string folder_;
  const std::shared_ptr<const Manifest> manifest_;
  const PackedPart& part_;
  std::size_t next_ = 0;
  std::unique_ptr<ReadFile> file_;
  std::uint32_t pack_ = 0;  // that file_ is
  std::string window_;
};

}  // namespace thalweg::durable
