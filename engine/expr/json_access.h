// engine/expr/json_access.h
//
// Reading inside JSON cells: compact, valid text. Answers are parts of that text, so nothing is parsed into a tree
// and numbers keep their digits.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace thalweg::expr {

enum class JsonKind : std::uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };

[[nodiscard]] JsonKind json_kind(std::string_view json);
// The value of a key (the last one if a key repeats), or none; also for what is no object.
[[nodiscard]] std::optional<std::string_view> json_member(std::string_view json, std::string_view key);
// The element at `index` from 0, or none; also for what is no array.
[[nodiscard]] std::optional<std::string_view> json_element(std::string_view json, std::int64_t index);
// Each element of an array. `visit` returns false to stop.
void json_each(std::string_view array, const std::function<bool(std::string_view element)>& visit);
// Each member of an object, the key without quotes and escapes.
void json_each_member(std::string_view object,
                      const std::function<bool(std::string_view key, std::string_view value)>& visit);
[[nodiscard]] std::size_t json_size(std::string_view json);  // of an array or an object
// The text of a JSON string, escapes resolved.
[[nodiscard]] std::string json_unquoted(std::string_view json);
// Without regard to the order of keys and to escapes; numbers by value, 1 and 1.0 differ.
[[nodiscard]] bool json_equal(std::string_view a, std::string_view b);

}  // namespace thalweg::expr
