// engine/types/datetime.h
//
// Points in time as i64 nanoseconds since 1970-01-01T00:00 (of UTC, or of the wall for naive ones): civil fields,
// ISO 8601 text, rounding. The range is what fits: 1677-09-21 to 2262-04-11; outside of it is no datetime.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace thalweg {

inline constexpr std::int64_t kNsPerSecond = 1'000'000'000;
inline constexpr std::int64_t kNsPerMinute = 60 * kNsPerSecond;
inline constexpr std::int64_t kNsPerHour = 60 * kNsPerMinute;
inline constexpr std::int64_t kNsPerDay = 24 * kNsPerHour;
inline constexpr std::int64_t kNsPerWeek = 7 * kNsPerDay;

struct CivilTime {
  std::int64_t year = 1970;
  int month = 1;  // 1 to 12
  int day = 1;    // 1 to 31
  int hour = 0;
  int minute = 0;
  int second = 0;
  std::int64_t nanosecond = 0;  // within the second
};

// Days since 1970-01-01 in the proleptic Gregorian calendar. Requires: month 1 to 12.
[[nodiscard]] std::int64_t days_from_civil(std::int64_t year, int month, int day);
[[nodiscard]] int days_in_month(std::int64_t year, int month);
[[nodiscard]] CivilTime civil_from_ns(std::int64_t ns);
// None for what is no date or time of day, and outside of the range.
[[nodiscard]] std::optional<std::int64_t> ns_from_civil(const CivilTime& civil);
[[nodiscard]] int weekday_from_ns(std::int64_t ns);     // Monday is 0
[[nodiscard]] int day_of_year(const CivilTime& civil);  // 1 to 366

// seconds · 10^9 + ns, if it fits.
[[nodiscard]] std::optional<std::int64_t> ns_from_seconds(std::int64_t seconds, std::int64_t ns);

// `2024-01-02`, `2024-01-02T03:04`, seconds with 1 to 9 fraction digits; `T`, `t` or a blank between; `20240102` too.
// A naive datetime has no offset; one of UTC may have (`Z`, `+01:00`, `+0100`, `+01`), else it is UTC as written.
[[nodiscard]] std::optional<std::int64_t> parse_datetime_naive(std::string_view text);
[[nodiscard]] std::optional<std::int64_t> parse_datetime_utc(std::string_view text);
struct ParsedDatetime {
  std::int64_t ns = 0;  // UTC if has_offset
  bool has_offset = false;
};
[[nodiscard]] std::optional<ParsedDatetime> parse_datetime(std::string_view text);
// Reads `Z`, `UTC`, `+01:00`, `-0130`, `+1`; seconds east of UTC.
[[nodiscard]] std::optional<std::int64_t> parse_utc_offset(std::string_view text);

// `2024-01-02T03:04:05.000000000`, and with `+0000` for UTC.
[[nodiscard]] std::string datetime_naive_to_text(std::int64_t ns);
[[nodiscard]] std::string datetime_utc_to_text(std::int64_t ns);
void append_datetime(std::int64_t ns, bool utc, std::string& out);

// The greatest multiple of `step` since 1970 that is not above, and the nearest one (a half goes up).
// Requires: step > 0. None if the result does not fit.
[[nodiscard]] std::optional<std::int64_t> floor_ns(std::int64_t ns, std::int64_t step);
[[nodiscard]] std::optional<std::int64_t> round_ns(std::int64_t ns, std::int64_t step);

[[nodiscard]] inline std::int64_t floor_div(std::int64_t a, std::int64_t b) {  // b > 0
  std::int64_t q = a / b;
  return q - (a % b < 0 ? 1 : 0);
}
[[nodiscard]] inline std::int64_t floor_mod(std::int64_t a, std::int64_t b) {
  std::int64_t r = a % b;
  return r < 0 ? r + b : r;
}

}  // namespace thalweg
