// engine/base/bytes.h
//
// Numbers and texts in files of our own: little-endian, and a hash over what was written.
#pragma once

#include <xxhash.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace thalweg::bytes {

template <class T>
void put_number(std::string& out, T v) {
  static_assert(std::is_integral_v<T>);
  out.append(reinterpret_cast<const char*>(&v), sizeof v);
}

inline void put_text(std::string& out, std::string_view text) {
  put_number<std::uint64_t>(out, text.size());
  out += text;
}

// False: there is no more of it. Nothing is read past the end.
template <class T>
[[nodiscard]] bool take_number(std::string_view& from, T& v) {
  if (from.size() < sizeof v) return false;
  std::memcpy(&v, from.data(), sizeof v);
  from.remove_prefix(sizeof v);
  return true;
}

[[nodiscard]] inline bool take_text(std::string_view& from, std::string& text) {
  std::uint64_t size = 0;
  if (!take_number(from, size) || size > from.size()) return false;
  text = from.substr(0, size);
  from.remove_prefix(size);
  return true;
}

[[nodiscard]] inline std::uint64_t checksum(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace thalweg::bytes
