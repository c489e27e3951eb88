// engine/types/duration.h
//
// Durations: i64 nanoseconds. Text as people write it: `1h30m`, `2h 3min`, `-2m`, `1.5s`, `D` (a missing count is 1),
// `3 days`, `1 days 02:03:04.5`, `02:03:04`, ISO `PT5M`, `P1DT12H`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace thalweg {

[[nodiscard]] std::optional<std::int64_t> parse_duration(std::string_view text);
// Nanoseconds of one unit: `w d h m s ms us ns`, their words, pandas' letters. `M` (a month there) is none.
[[nodiscard]] std::optional<std::int64_t> duration_unit(std::string_view unit);

// `1h30m`, `-2m`, `1s500ms`, `0s`: parse_duration reads it back.
[[nodiscard]] std::string duration_to_text(std::int64_t ns);
// As to_string() prints: `1d 3h 4m 5s 123456789ns`, `-1m -30s`, `0s`; this reads back, too.
[[nodiscard]] std::string duration_to_words(std::int64_t ns);

}  // namespace thalweg
