// engine/durable/chunks.h
//
// Bytes cut where their content says so, so that two versions of a large thing share what they have in common.
//
// C1  A cut depends on the 64 bytes before it and the place of the cut before: after an insertion or a deletion the
// same
//     cuts are found again within a few chunks.
// C2  Where the cuts are is no part of any format: a manifest lists the chunks.
// Cost  about 0.5 ns a byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace thalweg::durable {

struct ChunkHash {
  std::uint64_t hi = 0;
  std::uint64_t lo = 0;
  friend bool operator==(const ChunkHash&, const ChunkHash&) = default;
};
[[nodiscard]] ChunkHash chunk_hash(std::string_view bytes);

class ChunkCutter {
 public:
  static constexpr std::size_t kBytesMin = 16 * 1024;
  static constexpr std::size_t kBytesMax = 192 * 1024;
  using Use = std::function<void(std::string_view)>;  // a chunk; for the time of the call

  explicit ChunkCutter(Use use) : use_(std::move(use)) {}
  void feed(std::string_view bytes);
  void finish();

 private:
  const Use use_;
  std::string carry_;  // of a chunk that has begun
};

}  // namespace thalweg::durable
