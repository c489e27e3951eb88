// engine/expr/encoded.h
//
// Between cells and the typed encoding (engine/types/encoding.h), without values: how kernels take tuples, lists and
// `any` apart and put them together.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/types/column.h"
#include "engine/types/encoding.h"

namespace thalweg::expr {

// The bytes of one value; advances `bytes` past it.
[[nodiscard]] std::string_view take_encoded(std::string_view& bytes);
[[nodiscard]] std::uint64_t tuple_size(std::string_view tuple);
// Requires: index < tuple_size(tuple).
[[nodiscard]] std::string_view tuple_element(std::string_view tuple, std::uint64_t index);
[[nodiscard]] std::vector<std::string_view> tuple_elements(std::string_view tuple);
// Begins a tuple of `count` values; append their encodings.
void begin_tuple(std::uint64_t count, std::string& out);
// Pushes an encoded value as a cell of `type` (an int where a float is expected becomes one). False, and nothing
// pushed, if it is of another kind.
[[nodiscard]] bool push_encoded(const Type& type, std::string_view value, ColumnBuilder& out);

}  // namespace thalweg::expr
