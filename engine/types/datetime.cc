#include "engine/types/datetime.h"
#include "engine/base/int128.h"

#include <array>
#include <cstdio>

namespace thalweg {

std::int64_t days_from_civil(std::int64_t year, int month, int day) {
  // Years begin in March, so that the leap day is the last day of a year; an era is 400 years.
  year -= month <= 2 ? 1 : 0;
  std::int64_t era = floor_div(year, 400);
  std::int64_t year_of_era = year - era * 400;
  std::int64_t day_of_march_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  std::int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_march_year;
  return era * 146097 + day_of_era - 719468;
}

int days_in_month(std::int64_t year, int month) {
  static constexpr std::array<int, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 && leap ? 29 : kDays[static_cast<std::size_t>(month - 1)];
}

CivilTime civil_from_ns(std::int64_t ns) {
  std::int64_t days = floor_div(ns, kNsPerDay);
  std::int64_t of_day = ns - days * kNsPerDay;
  days += 719468;
  std::int64_t era = floor_div(days, 146097);
  std::int64_t day_of_era = days - era * 146097;
  std::int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  std::int64_t day_of_year_from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  std::int64_t shifted_month = (5 * day_of_year_from_march + 2) / 153;
  CivilTime civil;
  civil.day = static_cast<int>(day_of_year_from_march - (153 * shifted_month + 2) / 5 + 1);
  civil.month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  civil.year = year_of_era + era * 400 + (civil.month <= 2 ? 1 : 0);
  civil.hour = static_cast<int>(of_day / kNsPerHour);
  civil.minute = static_cast<int>(of_day / kNsPerMinute % 60);
  civil.second = static_cast<int>(of_day / kNsPerSecond % 60);
  civil.nanosecond = of_day % kNsPerSecond;
  return civil;
}

std::optional<std::int64_t> ns_from_seconds(std::int64_t seconds, std::int64_t ns) {
  using Wide = Int128;
  Wide total = static_cast<Wide>(seconds) * kNsPerSecond + ns;
  auto result = static_cast<std::int64_t>(total);
  if (result != total) return std::nullopt;
  return result;
}

std::optional<std::int64_t> ns_from_civil(const CivilTime& c) {
  if (c.month < 1 || c.month > 12 || c.day < 1 || c.year < -9999 || c.year > 9999) return std::nullopt;
  if (c.day > days_in_month(c.year, c.month)) return std::nullopt;
  if (c.hour < 0 || c.hour > 23 || c.minute < 0 || c.minute > 59 || c.second < 0 || c.second > 59) return std::nullopt;
  if (c.nanosecond < 0 || c.nanosecond >= kNsPerSecond) return std::nullopt;
  std::int64_t seconds = days_from_civil(c.year, c.month, c.day) * 86400 + c.hour * 3600 + c.minute * 60 + c.second;
  return ns_from_seconds(seconds, c.nanosecond);
}

int weekday_from_ns(std::int64_t ns) {
  return static_cast<int>(floor_mod(floor_div(ns, kNsPerDay) + 3, 7));  // 1970-01-01 was a Thursday
}

int day_of_year(const CivilTime& civil) {
  return static_cast<int>(days_from_civil(civil.year, civil.month, civil.day) - days_from_civil(civil.year, 1, 1)) + 1;
}

namespace {

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}
  [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
  [[nodiscard]] char peek() const { return at_end() ? '\0' : text_[at_]; }
  [[nodiscard]] std::string_view rest() const { return text_.substr(at_); }
  bool take(char c) {
    if (peek() != c || at_end()) return false;
    ++at_;
    return true;
  }
  // Exactly `count` digits.
  bool digits(int count, int& value) {
    value = 0;
    if (text_.size() - at_ < static_cast<std::size_t>(count)) return false;
    for (int i = 0; i < count; ++i) {
      char c = text_[at_ + static_cast<std::size_t>(i)];
      if (c < '0' || c > '9') return false;
      value = value * 10 + (c - '0');
    }
    at_ += static_cast<std::size_t>(count);
    return true;
  }
  // 1 to 9 digits of a fraction of a second.
  bool fraction(std::int64_t& ns) {
    ns = 0;
    int seen = 0;
    while (peek() >= '0' && peek() <= '9') {
      if (++seen > 9) return false;
      ns = ns * 10 + (text_[at_++] - '0');
    }
    if (seen == 0) return false;
    for (; seen < 9; ++seen) ns *= 10;
    return true;
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

bool scan_date(Scanner& in, CivilTime& civil) {
  int year = 0;
  if (!in.digits(4, year)) return false;
  civil.year = year;
  if (!in.take('-')) return in.digits(2, civil.month) && in.digits(2, civil.day);
  return in.digits(2, civil.month) && in.take('-') && in.digits(2, civil.day);
}

bool scan_time(Scanner& in, CivilTime& civil) {
  if (!in.digits(2, civil.hour)) return false;
  bool colons = in.take(':');
  if (!in.digits(2, civil.minute)) return false;
  bool seconds = colons ? in.take(':') : in.peek() >= '0' && in.peek() <= '9';
  if (!seconds) return true;
  if (!in.digits(2, civil.second)) return false;
  if (!in.take('.') && !in.take(',')) return true;
  return in.fraction(civil.nanosecond);
}

}  // namespace

std::optional<std::int64_t> parse_utc_offset(std::string_view text) {
  text = trimmed(text);
  if (text == "Z" || text == "z" || text == "UTC" || text == "utc" || text == "GMT") return 0;
  if (text.starts_with("UTC") || text.starts_with("GMT")) text.remove_prefix(3);
  Scanner in(text);
  bool negative = in.take('-');
  if (!negative && !in.take('+')) return std::nullopt;
  int hours = 0, minutes = 0, seconds = 0;
  if (in.rest().size() == 1 || (in.rest().size() > 1 && in.rest()[1] == ':')) {
    if (!in.digits(1, hours)) return std::nullopt;
  } else if (!in.digits(2, hours)) {
    return std::nullopt;
  }
  if (!in.at_end()) {
    bool colon = in.take(':');
    if (!in.digits(2, minutes)) return std::nullopt;
    if (!in.at_end() && ((colon && !in.take(':')) || !in.digits(2, seconds))) return std::nullopt;
  }
  if (!in.at_end() || hours > 23 || minutes > 59 || seconds > 59) return std::nullopt;
  std::int64_t total = hours * 3600 + minutes * 60 + seconds;
  return negative ? -total : total;
}

std::optional<ParsedDatetime> parse_datetime(std::string_view text) {
  Scanner in(trimmed(text));
  CivilTime civil;
  if (!scan_date(in, civil)) return std::nullopt;
  ParsedDatetime result;
  std::int64_t offset = 0;
  if (!in.at_end()) {
    if (!in.take('T') && !in.take('t') && !in.take(' ')) return std::nullopt;
    if (!scan_time(in, civil)) return std::nullopt;
    if (!in.at_end()) {
      auto parsed = parse_utc_offset(in.rest());
      if (!parsed) return std::nullopt;
      offset = *parsed;
      result.has_offset = true;
    }
  }
  auto local = ns_from_civil(civil);
  if (!local) return std::nullopt;
  if (__builtin_sub_overflow(*local, offset * kNsPerSecond, &result.ns)) return std::nullopt;
  return result;
}

std::optional<std::int64_t> parse_datetime_naive(std::string_view text) {
  auto parsed = parse_datetime(text);
  if (!parsed || parsed->has_offset) return std::nullopt;
  return parsed->ns;
}

std::optional<std::int64_t> parse_datetime_utc(std::string_view text) {
  auto parsed = parse_datetime(text);
  if (!parsed) return std::nullopt;
  return parsed->ns;
}

void append_datetime(std::int64_t ns, bool utc, std::string& out) {
  CivilTime c = civil_from_ns(ns);
  char buffer[64];
  int length = std::snprintf(buffer, sizeof buffer, "%04d-%02d-%02dT%02d:%02d:%02d.%09d", static_cast<int>(c.year),
                             c.month, c.day, c.hour, c.minute, c.second, static_cast<int>(c.nanosecond));
  out.append(buffer, static_cast<std::size_t>(length));
  if (utc) out += "+0000";
}

std::string datetime_naive_to_text(std::int64_t ns) {
  std::string out;
  append_datetime(ns, false, out);
  return out;
}

std::string datetime_utc_to_text(std::int64_t ns) {
  std::string out;
  append_datetime(ns, true, out);
  return out;
}

std::optional<std::int64_t> floor_ns(std::int64_t ns, std::int64_t step) {
  std::int64_t result = 0;
  if (__builtin_sub_overflow(ns, floor_mod(ns, step), &result)) return std::nullopt;
  return result;
}

std::optional<std::int64_t> round_ns(std::int64_t ns, std::int64_t step) {
  std::int64_t over = floor_mod(ns, step);
  std::int64_t result = 0;
  bool overflow = over >= step - over ? __builtin_add_overflow(ns, step - over, &result)
                                      : __builtin_sub_overflow(ns, over, &result);
  if (overflow) return std::nullopt;
  return result;
}

}  // namespace thalweg
