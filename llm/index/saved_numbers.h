// llm/index/saved_numbers.h
//
// Numbers in the bytes that an index saves of a row.
#pragma once

#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace thalweg::llm {

template <class T>
void append_number(T number, std::string& out) {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  out.append(bytes, sizeof number);
}
// Nothing if the bytes are too few.
template <class T>
[[nodiscard]] std::optional<T> take_number(std::string_view& bytes) {
  T number{};
  if (bytes.size() < sizeof number) return std::nullopt;
  std::memcpy(&number, bytes.data(), sizeof number);
  bytes.remove_prefix(sizeof number);
  return number;
}

}  // namespace thalweg::llm
