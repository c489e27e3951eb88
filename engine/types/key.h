// engine/types/key.h
//
// Row keys: XXH3-128, seed 0, over the typed encoding of values (encoding.h). Frozen: keys are visible to users and
// stored in snapshots, so a change of hash or encoding is a new kKeyHashVersion and a migration.
//
// With an instance, the key covers all values and the instance, and its low 16 bits are those of the instance's own
// hash: one instance is one shard.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace thalweg {

inline constexpr std::uint32_t kKeyHashVersion = 1;
inline constexpr std::uint32_t kVirtualShards = 256;

struct Key {
  std::uint64_t hi = 0;
  std::uint64_t lo = 0;
  friend auto operator<=>(const Key&, const Key&) = default;
};

// Hash of encoded bytes.
[[nodiscard]] Key key_of_bytes(std::string_view encoded);
// A key made of two (join results): None for a padded side.
[[nodiscard]] Key key_of_pair(const std::optional<Key>& left, const std::optional<Key>& right);
// Key of the n-th part of a row (flatten, sliding windows, concat with reindex); keeps the shard of `origin`.
[[nodiscard]] Key key_of_part(const Key& origin, std::uint64_t part);
[[nodiscard]] inline Key with_instance(Key key, const Key& instance) {
  key.lo = (key.lo & ~std::uint64_t{0xFFFF}) | (instance.lo & 0xFFFF);
  return key;
}
// A 64-bit hash for tables; not the shard.
[[nodiscard]] inline std::uint64_t hash_of_key(const Key& key) {
  std::uint64_t x = key.hi ^ (key.lo * 0x9E3779B97F4A7C15ULL);
  x ^= x >> 32;
  return x * 0xD6E8FEB86659FD93ULL;
}
[[nodiscard]] inline std::uint32_t shard_of_key(const Key& key) {
  return static_cast<std::uint32_t>(key.lo & (kVirtualShards - 1));
}

// `^` and 26 digits of Crockford's base 32, little-endian bytes: how pointers print.
[[nodiscard]] std::string to_text(const Key& key);
[[nodiscard]] std::optional<Key> key_from_text(std::string_view text);

}  // namespace thalweg

template <>
struct std::hash<thalweg::Key> {
  std::size_t operator()(const thalweg::Key& key) const noexcept { return thalweg::hash_of_key(key); }
};
