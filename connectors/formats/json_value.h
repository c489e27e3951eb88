// connectors/formats/json_value.h
//
// A JSON text as a value of a type: the path for composites, defaults and samples; flat fields have their own in
// json.cc.
#pragma once

#include <optional>
#include <string_view>

#include "engine/types/value.h"

namespace thalweg::json {

// `p` is the start of a value that skip_value accepts. None if it does not fit the type.
[[nodiscard]] std::optional<Value> to_value(const Type& type, const char* p);
// Of a whole text, which need not be sealed.
[[nodiscard]] std::optional<Value> text_to_value(const Type& type, std::string_view text);
// The bytes of a value without blanks between tokens.
[[nodiscard]] std::string without_blanks(std::string_view value);

}  // namespace thalweg::json
