// engine/types/from_text.h
//
// Text read as a value of a type: what cells of text tables, records of connectors, literals and casts agree on.
// Durations and datetimes: duration.h, datetime.h. Nothing here reports errors: an empty optional is "does not read as
// that".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/types/datetime.h"
#include "engine/types/duration.h"
#include "engine/types/key.h"

namespace thalweg {

// Decimal, optional sign, no blanks; out of range is none.
[[nodiscard]] std::optional<std::int64_t> int_from_text(std::string_view text);
// As int, or with a dot, an exponent, `nan`, `inf`, `-inf`, `infinity` (any case).
[[nodiscard]] std::optional<double> float_from_text(std::string_view text);
// `true`, `false` in any case.
[[nodiscard]] std::optional<bool> bool_from_text(std::string_view text);

[[nodiscard]] inline std::optional<std::int64_t> duration_from_text(std::string_view text) {
  return parse_duration(text);
}
[[nodiscard]] inline std::optional<ParsedDatetime> datetime_from_text(std::string_view text) {
  return parse_datetime(text);
}

// 8-4-4-4-12 hexadecimal digits; `hi` holds the first eight bytes, big-endian.
[[nodiscard]] std::optional<Key> uuid_from_text(std::string_view text);

// The text without blanks between tokens, if it is one JSON value.
[[nodiscard]] std::optional<std::string> compact_json(std::string_view text);
// A JSON string with its quotes.
[[nodiscard]] std::string json_quoted(std::string_view text);

}  // namespace thalweg
