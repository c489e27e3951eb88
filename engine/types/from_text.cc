#include "engine/types/from_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace thalweg {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kMinute = 60 * kSecond;
constexpr std::int64_t kHour = 60 * kMinute;
constexpr std::int64_t kDay = 24 * kHour;

struct Unit {
  std::string_view name;
  std::int64_t ns;
};
// Looked up as written first (pandas' capitals), then in lower case.
constexpr std::array kUnits = {
    Unit{"W", 7 * kDay},         Unit{"D", kDay},           Unit{"H", kHour},         Unit{"T", kMinute},
    Unit{"S", kSecond},          Unit{"L", 1'000'000},      Unit{"U", 1'000},         Unit{"N", 1},
    Unit{"w", 7 * kDay},         Unit{"week", 7 * kDay},    Unit{"weeks", 7 * kDay},  Unit{"d", kDay},
    Unit{"day", kDay},           Unit{"days", kDay},        Unit{"h", kHour},         Unit{"hr", kHour},
    Unit{"hrs", kHour},          Unit{"hour", kHour},       Unit{"hours", kHour},     Unit{"m", kMinute},
    Unit{"min", kMinute},        Unit{"mins", kMinute},     Unit{"minute", kMinute},  Unit{"minutes", kMinute},
    Unit{"t", kMinute},          Unit{"s", kSecond},        Unit{"sec", kSecond},     Unit{"secs", kSecond},
    Unit{"second", kSecond},     Unit{"seconds", kSecond},  Unit{"ms", 1'000'000},    Unit{"milli", 1'000'000},
    Unit{"millis", 1'000'000},   Unit{"millisecond", 1'000'000}, Unit{"milliseconds", 1'000'000},
    Unit{"l", 1'000'000},        Unit{"us", 1'000},         Unit{"micro", 1'000},     Unit{"micros", 1'000},
    Unit{"microsecond", 1'000},  Unit{"microseconds", 1'000}, Unit{"u", 1'000},       Unit{"ns", 1},
    Unit{"nano", 1},             Unit{"nanos", 1},          Unit{"nanosecond", 1},    Unit{"nanoseconds", 1},
    Unit{"n", 1},
};

std::optional<std::int64_t> unit_ns(std::string_view name) {
  for (const Unit& unit : kUnits)
    if (unit.name == name) return unit.ns;
  if (name == "M") return std::nullopt;  // a month to pandas; not a length
  const std::string low = lowered(name);
  for (const Unit& unit : kUnits)
    if (unit.name == low) return unit.ns;
  return std::nullopt;
}

// A count of a unit, exactly where it is whole.
std::optional<std::int64_t> times(std::string_view count, std::int64_t unit) {
  const std::size_t dot = count.find('.');
  const std::string_view whole = count.substr(0, dot);
  std::int64_t ns = 0;
  if (!whole.empty()) {
    const auto n = int_from_text(whole);
    if (!n || __builtin_mul_overflow(*n, unit, &ns)) return std::nullopt;
  }
  if (dot == std::string_view::npos) return whole.empty() ? std::nullopt : std::optional(ns);
  const std::string_view digits = count.substr(dot + 1);
  if (digits.empty() && whole.empty()) return std::nullopt;
  // The fraction in 128 bits: nineteen digits are more than any unit needs.
  __int128 part = 0, scale = 1;
  for (char c : digits.substr(0, 19)) {
    part = part * 10 + (c - '0');
    scale *= 10;
  }
  const auto fraction = static_cast<std::int64_t>(part * unit / scale);
  if (__builtin_add_overflow(ns, fraction, &ns)) return std::nullopt;
  return ns;
}

std::size_t count_length(std::string_view text) {
  std::size_t n = 0;
  bool dot = false;
  while (n < text.size() && (is_digit(text[n]) || (text[n] == '.' && !dot))) dot |= text[n++] == '.';
  return n;
}

// `P1DT2H3M4.5S`, `P2W`.
std::optional<std::int64_t> iso_duration(std::string_view text) {
  text.remove_prefix(1);
  bool in_time = false, any = false;
  std::int64_t total = 0;
  while (!text.empty()) {
    if (text.front() == 'T' || text.front() == 't') {
      if (in_time) return std::nullopt;
      in_time = true;
      text.remove_prefix(1);
      continue;
    }
    bool negative = false;
    if (text.front() == '-') {
      negative = true;
      text.remove_prefix(1);
    }
    const std::size_t n = count_length(text);
    if (n == 0 || n >= text.size()) return std::nullopt;
    const char letter = lower(text[n]);
    std::int64_t unit = 0;
    if (in_time) unit = letter == 'h' ? kHour : letter == 'm' ? kMinute : letter == 's' ? kSecond : 0;
    else unit = letter == 'w' ? 7 * kDay : letter == 'd' ? kDay : 0;
    if (unit == 0) return std::nullopt;
    auto ns = times(text.substr(0, n), unit);
    if (!ns) return std::nullopt;
    if (__builtin_add_overflow(total, negative ? -*ns : *ns, &total)) return std::nullopt;
    text.remove_prefix(n + 1);
    any = true;
  }
  return any ? std::optional(total) : std::nullopt;
}

std::optional<int> digits(std::string_view& text, std::size_t count) {
  if (text.size() < count) return std::nullopt;
  int value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (!is_digit(text[i])) return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(count);
  return value;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

// Up to nine digits after a dot, as nanoseconds.
std::optional<std::int64_t> fraction(std::string_view& text) {
  if (!take(text, '.') && !take(text, ',')) return 0;
  std::int64_t ns = 0, scale = 100'000'000;
  std::size_t n = 0;
  while (n < text.size() && is_digit(text[n])) {
    if (n >= 9) return std::nullopt;
    ns += (text[n++] - '0') * scale;
    scale /= 10;
  }
  if (n == 0) return std::nullopt;
  text.remove_prefix(n);
  return ns;
}

// `HH:MM[:SS[.f]]`; hours are bounded only if `day`.
std::optional<std::int64_t> clock_time(std::string_view& text, bool day) {
  const auto hour = digits(text, 2);
  if (!hour || (day && *hour > 23) || !take(text, ':')) return std::nullopt;
  const auto minute = digits(text, 2);
  if (!minute || *minute > 59) return std::nullopt;
  std::int64_t ns = *hour * kHour + *minute * kMinute;
  if (!take(text, ':')) return ns;
  const auto second = digits(text, 2);
  if (!second || *second > 59) return std::nullopt;
  const auto part = fraction(text);
  if (!part) return std::nullopt;
  return ns + *second * kSecond + *part;
}

// Days since the epoch of a proleptic Gregorian date (the usual era arithmetic over 400-year cycles).
std::int64_t days_of(std::int64_t year, int month, int day) {
  year -= month <= 2 ? 1 : 0;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t year_of_era = year - era * 400;
  const std::int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const std::int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

int days_in_month(int year, int month) {
  constexpr std::array kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : kDays[static_cast<std::size_t>(month - 1)];
}

std::optional<std::int64_t> utc_offset(std::string_view& text) {
  if (take(text, 'Z') || take(text, 'z')) return 0;
  bool negative = false;
  if (take(text, '-')) negative = true;
  else if (!take(text, '+')) return std::nullopt;
  const auto hour = digits(text, 2);
  if (!hour || *hour > 23) return std::nullopt;
  int minute = 0;
  if (!text.empty()) {
    (void)take(text, ':');
    const auto m = digits(text, 2);
    if (!m || *m > 59) return std::nullopt;
    minute = *m;
  }
  const std::int64_t ns = *hour * kHour + minute * kMinute;
  return negative ? -ns : ns;
}

}  // namespace

std::optional<std::int64_t> int_from_text(std::string_view text) {
  if (!text.empty() && text.front() == '+') {
    text.remove_prefix(1);
    if (!text.empty() && text.front() == '-') return std::nullopt;
  }
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> float_from_text(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text.front() == '+' || text.front() == '-')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  if (text.empty()) return std::nullopt;
  if (is_letter(text.front())) {
    const std::string low = lowered(text);
    if (low == "nan") return std::numeric_limits<double>::quiet_NaN();
    if (low != "inf" && low != "infinity") return std::nullopt;
    return negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  }
  if (!is_digit(text.front()) && text.front() != '.') return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) {
    // Too large is infinite, too small is zero: the exponent's sign tells.
    const std::size_t e = text.find_first_of("eE");
    value = e != std::string_view::npos && e + 1 < text.size() && text[e + 1] == '-'
                ? 0.0 : std::numeric_limits<double>::infinity();
  } else if (error != std::errc{}) {
    return std::nullopt;
  }
  return negative ? -value : value;
}

std::optional<bool> bool_from_text(std::string_view text) {
  const std::string low = lowered(text);
  if (low == "true") return true;
  if (low == "false") return false;
  return std::nullopt;
}

std::optional<std::int64_t> duration_from_text(std::string_view text) {
  text = trimmed(text);
  bool negative = false;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    negative = text.front() == '-';
    text = trimmed(text.substr(1));
  }
  if (text.empty()) return std::nullopt;
  std::int64_t total = 0;
  if (text.front() == 'P' || text.front() == 'p') {
    const auto iso = iso_duration(text);
    if (!iso) return std::nullopt;
    return negative ? -*iso : *iso;
  }
  while (!(text = trimmed(text)).empty()) {
    if (text.front() == ',') {
      text.remove_prefix(1);
      continue;
    }
    if (text.size() >= 5 && text[2] == ':') {  // the clock part of `1 days 02:00:00`
      const auto clock = clock_time(text, false);
      if (!clock || !text.empty() || __builtin_add_overflow(total, *clock, &total)) return std::nullopt;
      break;
    }
    const std::size_t n = count_length(text);
    const std::string_view count = n == 0 ? "1" : text.substr(0, n);
    text = trimmed(text.substr(n));
    std::size_t letters = 0;
    while (letters < text.size() && is_letter(text[letters])) ++letters;
    if (letters == 0) return std::nullopt;
    const auto unit = unit_ns(text.substr(0, letters));
    if (!unit) return std::nullopt;
    const auto ns = times(count, *unit);
    if (!ns || __builtin_add_overflow(total, *ns, &total)) return std::nullopt;
    text.remove_prefix(letters);
  }
  return negative ? -total : total;
}

std::optional<ParsedDateTime> datetime_from_text(std::string_view text) {
  text = trimmed(text);
  const auto year = digits(text, 4);
  if (!year || !take(text, '-')) return std::nullopt;
  const auto month = digits(text, 2);
  if (!month || *month < 1 || *month > 12 || !take(text, '-')) return std::nullopt;
  const auto day = digits(text, 2);
  if (!day || *day < 1 || *day > days_in_month(*year, *month)) return std::nullopt;
  ParsedDateTime out;
  std::int64_t of_day = 0;
  if (!text.empty()) {
    if (!take(text, 'T') && !take(text, 't') && !take(text, ' ')) return std::nullopt;
    const auto clock = clock_time(text, true);
    if (!clock) return std::nullopt;
    of_day = *clock;
    text = trimmed(text);
    if (!text.empty()) {
      const auto offset = utc_offset(text);
      if (!offset || !text.empty()) return std::nullopt;
      of_day -= *offset;
      out.has_offset = true;
    }
  }
  if (__builtin_mul_overflow(days_of(*year, *month, *day), kDay, &out.ns) ||
      __builtin_add_overflow(out.ns, of_day, &out.ns))
    return std::nullopt;
  return out;
}

std::optional<Key> uuid_from_text(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  Key key;
  int nibbles = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text[i] != '-') return std::nullopt;
      continue;
    }
    const char c = lower(text[i]);
    const int value = is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (value < 0) return std::nullopt;
    std::uint64_t& word = nibbles < 16 ? key.hi : key.lo;
    word = word << 4 | static_cast<std::uint64_t>(value);
    ++nibbles;
  }
  return key;
}

}  // namespace thalweg
