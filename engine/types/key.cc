#include "engine/types/key.h"

#include <xxhash.h>

#include <array>
#include <cstring>

namespace thalweg {

namespace {

Key from_xxh(XXH128_hash_t hash) { return {hash.high64, hash.low64}; }

// Parts are hashed as the tuple encoding of what they are made of, written into a fixed buffer.
class FixedEncoder {
 public:
  void put_key(const Key& key) {
    bytes_[size_++] = 0x04;
    put(key.lo);
    put(key.hi);
  }
  void put_none() { bytes_[size_++] = 0x00; }
  void put_int(std::uint64_t v) {
    bytes_[size_++] = 0x02;
    put(v);
  }
  [[nodiscard]] Key hash() const { return from_xxh(XXH3_128bits(bytes_.data(), size_)); }

 private:
  void put(std::uint64_t v) {
    std::memcpy(bytes_.data() + size_, &v, sizeof v);
    size_ += sizeof v;
  }
  std::array<unsigned char, 40> bytes_{};
  std::size_t size_ = 0;
};

constexpr std::string_view kDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";  // Crockford

int digit_value(char c) {
  if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  if (c == 'O') c = '0';
  if (c == 'I' || c == 'L') c = '1';
  std::size_t at = kDigits.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

Key key_of_bytes(std::string_view encoded) { return from_xxh(XXH3_128bits(encoded.data(), encoded.size())); }

Key key_of_pair(const std::optional<Key>& left, const std::optional<Key>& right) {
  FixedEncoder encoder;
  left ? encoder.put_key(*left) : encoder.put_none();
  right ? encoder.put_key(*right) : encoder.put_none();
  return encoder.hash();
}

Key key_of_part(const Key& origin, std::uint64_t part) {
  FixedEncoder encoder;
  encoder.put_key(origin);
  encoder.put_int(part);
  return with_instance(encoder.hash(), origin);
}

std::string to_text(const Key& key) {
  unsigned char bytes[16];
  std::memcpy(bytes, &key.lo, 8);
  std::memcpy(bytes + 8, &key.hi, 8);
  std::string out = "^";
  std::uint32_t bits = 0;
  int have = 0;
  for (unsigned char byte : bytes) {
    bits = (bits << 8) | byte;
    have += 8;
    while (have >= 5) {
      out += kDigits[(bits >> (have - 5)) & 31];
      have -= 5;
    }
  }
  if (have > 0) out += kDigits[(bits << (5 - have)) & 31];
  return out;
}

std::optional<Key> key_from_text(std::string_view text) {
  if (text.size() != 27 || text[0] != '^') return std::nullopt;
  unsigned char bytes[16];
  std::size_t at = 0;
  std::uint32_t bits = 0;
  int have = 0;
  for (char c : text.substr(1)) {
    int digit = digit_value(c);
    if (digit < 0) return std::nullopt;
    bits = (bits << 5) | static_cast<std::uint32_t>(digit);
    have += 5;
    if (have >= 8 && at < 16) {
      bytes[at++] = static_cast<unsigned char>(bits >> (have - 8));
      have -= 8;
    }
  }
  Key key;
  std::memcpy(&key.lo, bytes, 8);
  std::memcpy(&key.hi, bytes + 8, 8);
  return key;
}

}  // namespace thalweg
