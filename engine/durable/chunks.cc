#include "engine/durable/chunks.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/base/bytes.h"

namespace thalweg::durable {

namespace {

constexpr std::size_t kWindow = 64;  // a shift a byte: the sum forgets what is longer ago

constexpr std::array<std::uint64_t, 256> make_gear() {
  std::array<std::uint64_t, 256> out{};
  std::uint64_t state = 0x746861'6C77656737;
  for (std::uint64_t& value : out) {
    state += 0x9E3779B97F4A7C15;
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    value = z ^ (z >> 31);
  }
  return out;
}

constexpr std::array<std::uint64_t, 256> kGear = make_gear();
constexpr std::uint64_t kMask = 0xFFFE'0000'0000'0000;  // 15 bits: a cut every 32 KiB behind the smallest chunk

// Bytes of the first chunk; 0: it goes on behind these bytes.
std::size_t cut_of(std::string_view bytes) {
  if (bytes.size() < ChunkCutter::kBytesMin) return 0;
  const std::size_t end = std::min(bytes.size(), ChunkCutter::kBytesMax);
  std::uint64_t sum = 0;
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  for (std::size_t at = ChunkCutter::kBytesMin - kWindow; at < ChunkCutter::kBytesMin; ++at)
    sum = (sum << 1) + kGear[data[at]];
  for (std::size_t at = ChunkCutter::kBytesMin; at < end; ++at) {
    sum = (sum << 1) + kGear[data[at]];
    if ((sum & kMask) == 0) return at + 1;
  }
  return end == ChunkCutter::kBytesMax ? end : 0;
}

}  // namespace

ChunkHash chunk_hash(std::string_view bytes) {
  XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

void ChunkCutter::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (carry_.empty()) {
      std::size_t n = cut_of(bytes);
      if (n == 0) {
        carry_ = bytes;
        return;
      }
      use_(bytes.substr(0, n));
      bytes.remove_prefix(n);
      continue;
    }
    const std::size_t before = carry_.size();
    carry_ += bytes.substr(0, kBytesMax - before);
    std::size_t n = cut_of(carry_);
    if (n == 0) return;
    use_(std::string_view(carry_).substr(0, n));
    bytes.remove_prefix(n - before);
    carry_.clear();
  }
}

void ChunkCutter::finish() {
  if (!carry_.empty()) use_(carry_);
  carry_.clear();
}

}  // namespace thalweg::durable
