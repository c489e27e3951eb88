// connectors/formats/text_value.h
//
// Text as a value of a type, for fields that are text: CSV tokens, JSON strings, settings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/types/value.h"

namespace thalweg {

// true yes on 1 t y, false no off 0 f n; any case.
[[nodiscard]] std::optional<bool> loose_bool_from_text(std::string_view text);
// Decimal with an optional sign, blanks around it allowed.
[[nodiscard]] std::optional<std::int64_t> int_from_token(std::string_view text);
[[nodiscard]] std::optional<double> float_from_token(std::string_view text);
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);
void append_base64(std::string_view bytes, std::string& out);
// Empty, `null`, `none` in any case.
[[nodiscard]] bool is_none_token(std::string_view text);

// A CSV token as a value of `type`, None words aside. None if it does not fit.
[[nodiscard]] std::optional<Value> token_to_value(const Type& type, std::string_view token);
// Types that JSON writes as strings: datetimes, durations as text, bytes, uuid, pointer.
[[nodiscard]] std::optional<Value> string_to_value(Kind kind, std::string_view text);

}  // namespace thalweg
