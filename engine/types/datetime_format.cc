#include "engine/types/datetime_format.h"

#include <fmt/format.h>

#include <array>

#include "engine/types/datetime.h"

namespace thalweg {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"January",   "February", "March",    "April",
                                                      "May",       "June",     "July",     "August",
                                                      "September", "October",  "November", "December"};
constexpr std::array<std::string_view, 7> kDays = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                                   "Friday", "Saturday", "Sunday"};
constexpr std::size_t kMaxFormatBytes = 1024;

// Codes that stand for others.
std::string_view expansion(char code) {
  switch (code) {
    case 'D':
    case 'x': return "%m/%d/%y";
    case 'F': return "%Y-%m-%d";
    case 'T':
    case 'X': return "%H:%M:%S";
    case 'R': return "%H:%M";
    case 'r': return "%I:%M:%S %p";
    case 'c': return "%a %b %e %H:%M:%S %Y";
    case 'v': return "%e-%b-%Y";
    case '+': return "%Y-%m-%dT%H:%M:%S%.f%:z";
    case 'h': return "%b";
    case 'n': return "\n";
    case 't': return "\t";
    default: return {};
  }
}

constexpr std::string_view kPlainCodes = "YCymbBdeaAwuUWGgVjHkIlPpMSfZzs";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool starts_with_any_case(std::string_view text, std::string_view word) {
  if (text.size() < word.size()) return false;
  for (std::size_t i = 0; i < word.size(); ++i)
    if (lower(text[i]) != lower(word[i])) return false;
  return true;
}

struct IsoWeek {
  std::int64_t year = 0;
  int week = 0;
};
IsoWeek iso_week(std::int64_t days) {
  std::int64_t thursday = days + 3 - floor_mod(days + 3, 7);  // of the same ISO week, which begins on Monday
  CivilTime civil = civil_from_ns(thursday * kNsPerDay);
  return {civil.year, (day_of_year(civil) - 1) / 7 + 1};
}

}  // namespace

Result<void> DatetimeFormat::add(std::string_view format, Use use, int depth) {
  auto literal = [this](char c) {
    if (items_.empty() || items_.back().code != 0) items_.emplace_back();
    items_.back().text += c;
  };
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      literal(format[i]);
      continue;
    }
    Item item;
    std::size_t begin = i++;
    auto peek = [&] { return i < format.size() ? format[i] : '\0'; };
    if (peek() == '-' || peek() == '_' || peek() == '0') item.padding = format[i++];
    if (peek() == '.') {
      item.dot = true;
      ++i;
    }
    if (is_digit(peek())) item.digits = format[i++] - '0';
    while (peek() == ':') {
      ++item.colons;
      ++i;
    }
    if (peek() == '#') ++i;  // chrono's permissive offset; ours always is
    char code = peek();
    auto wrong = [&](std::string_view why) {
      return fail(Code::kInvalidArgument,
                  fmt::format("datetime format: `{}` {}", format.substr(begin, i + 1 - begin), why));
    };
    if (code == '\0') return wrong("ends too early; a percent sign is `%%`");
    if (code == '%') {
      literal('%');
      continue;
    }
    bool variant_fits = (code == 'f' || (!item.dot && item.digits == 0)) && (code == 'z' || item.colons == 0);
    if (!variant_fits || item.digits > 9) return wrong("is not a code");
    if (std::string_view longer = expansion(code); !longer.empty() && depth < 2) {
      TRY(add(longer, use, depth + 1));
      continue;
    }
    if (kPlainCodes.find(code) == std::string_view::npos) return wrong("is not a code");
    if (use == Use::kRead && code == 'f' && !item.dot && item.digits == 0) {
      bool after_dot = !items_.empty() && items_.back().code == 0 && items_.back().text.ends_with('.');
      if (!after_dot) return wrong("stands only directly after a dot");
    }
    if (code == 'z') has_offset_ = true;
    item.code = code;
    items_.push_back(std::move(item));
  }
  return {};
}

Result<DatetimeFormat> DatetimeFormat::compile(std::string_view format, Use use) {
  if (format.size() > kMaxFormatBytes) return fail(Code::kTooLarge, "datetime format: longer than 1024 bytes");
  DatetimeFormat result;
  TRY(result.add(format, use, 0));
  return result;
}

// ---------------------------------------------------------------- writing

class DatetimeTextWriter {
 public:
  DatetimeTextWriter(std::int64_t ns, std::optional<std::int64_t> offset)
      : ns_(ns),
        offset_(offset),
        civil_(civil_from_ns(ns)),
        days_(floor_div(ns, kNsPerDay)),
        weekday_(weekday_from_ns(ns)) {}

  void write(const DatetimeFormat::Item& item) {
    int day_of_the_year = day_of_year(civil_);
    int hour12 = civil_.hour % 12 == 0 ? 12 : civil_.hour % 12;
    switch (item.code) {
      case 0: out_ += item.text; break;
      case 'Y': number(item, civil_.year, 4); break;
      case 'C': number(item, floor_div(civil_.year, 100), 2); break;
      case 'y': number(item, floor_mod(civil_.year, 100), 2); break;
      case 'm': number(item, civil_.month, 2); break;
      case 'b': out_ += kMonths[static_cast<std::size_t>(civil_.month - 1)].substr(0, 3); break;
      case 'B': out_ += kMonths[static_cast<std::size_t>(civil_.month - 1)]; break;
      case 'd': number(item, civil_.day, 2); break;
      case 'e': number(item, civil_.day, 2, '_'); break;
      case 'a': out_ += kDays[static_cast<std::size_t>(weekday_)].substr(0, 3); break;
      case 'A': out_ += kDays[static_cast<std::size_t>(weekday_)]; break;
      case 'w': number(item, (weekday_ + 1) % 7, 1); break;
      case 'u': number(item, weekday_ + 1, 1); break;
      case 'U': number(item, (day_of_the_year + 6 - (weekday_ + 1) % 7) / 7, 2); break;
      case 'W': number(item, (day_of_the_year + 6 - weekday_) / 7, 2); break;
      case 'G': number(item, iso_week(days_).year, 4); break;
      case 'g': number(item, floor_mod(iso_week(days_).year, 100), 2); break;
      case 'V': number(item, iso_week(days_).week, 2); break;
      case 'j': number(item, day_of_the_year, 3); break;
      case 'H': number(item, civil_.hour, 2); break;
      case 'k': number(item, civil_.hour, 2, '_'); break;
      case 'I': number(item, hour12, 2); break;
      case 'l': number(item, hour12, 2, '_'); break;
      case 'P': out_ += civil_.hour < 12 ? "am" : "pm"; break;
      case 'p': out_ += civil_.hour < 12 ? "AM" : "PM"; break;
      case 'M': number(item, civil_.minute, 2); break;
      case 'S': number(item, civil_.second, 2); break;
      case 'f': fraction(item); break;
      case 'Z':
        if (offset_) out_ += *offset_ == 0 ? "UTC" : offset_text(1);
        break;
      case 'z':
        if (offset_) out_ += offset_text(item.colons);
        break;
      case 's': out_ += std::to_string(floor_div(ns_, kNsPerSecond) - offset_.value_or(0)); break;
      default: break;
    }
  }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  void number(const DatetimeFormat::Item& item, std::int64_t value, int width, char padding = '0') {
    if (item.padding != 0) padding = item.padding;
    if (padding == '-')
      fmt::format_to(std::back_inserter(out_), "{}", value);
    else if (padding == '_')
      fmt::format_to(std::back_inserter(out_), "{:>{}}", value, width);
    else
      fmt::format_to(std::back_inserter(out_), "{:0{}}", value, width);
  }
  void fraction(const DatetimeFormat::Item& item) {
    std::string digits = fmt::format("{:09}", civil_.nanosecond);
    int count = item.digits > 0 ? item.digits : 9;
    if (item.dot && item.digits == 0) {  // chrono: none, or 3, 6 or 9 digits, whatever shows it all
      if (civil_.nanosecond == 0) return;
      count = civil_.nanosecond % 1'000'000 == 0 ? 3 : civil_.nanosecond % 1000 == 0 ? 6 : 9;
    }
    if (item.dot) out_ += '.';
    out_ += digits.substr(0, static_cast<std::size_t>(count));
  }
  [[nodiscard]] std::string offset_text(int colons) const {
    std::int64_t minutes = (*offset_ < 0 ? -*offset_ : *offset_) / 60;
    return fmt::format("{}{:02}{}{:02}", *offset_ < 0 ? '-' : '+', minutes / 60, colons > 0 ? ":" : "", minutes % 60);
  }

  std::int64_t ns_;
  std::optional<std::int64_t> offset_;
  CivilTime civil_;
  std::int64_t days_;
  int weekday_;
  std::string out_;
};

std::string DatetimeFormat::write(std::int64_t local_ns, std::optional<std::int64_t> offset_seconds) const {
  DatetimeTextWriter writer(local_ns, offset_seconds);
  for (const Item& item : items_) writer.write(item);
  return writer.take();
}

// ---------------------------------------------------------------- reading

class DatetimeTextReader {
 public:
  explicit DatetimeTextReader(std::string_view text) : text_(text) {}

  bool read(const DatetimeFormat::Item& item) {
    switch (item.code) {
      case 0: return literal(item.text);
      case 'Y': return year(year_);
      case 'G': return year(iso_year_);
      case 'C': return number(2, century_);
      case 'y':
      case 'g': return number(2, item.code == 'y' ? year_of_century_ : iso_year_of_century_);
      case 'm': return number(2, month_);
      case 'b':
      case 'B': return month_name();
      case 'd':
      case 'e': return number(2, day_);
      case 'a':
      case 'A': return day_name();
      case 'w': {
        std::optional<std::int64_t> from_sunday;
        if (!number(1, from_sunday) || *from_sunday > 6) return false;
        weekday_ = (*from_sunday + 6) % 7;
        return true;
      }
      case 'u': {
        std::optional<std::int64_t> from_one;
        if (!number(1, from_one) || *from_one < 1 || *from_one > 7) return false;
        weekday_ = *from_one - 1;
        return true;
      }
      case 'U': return number(2, week_from_sunday_);
      case 'W': return number(2, week_from_monday_);
      case 'V': return number(2, iso_week_);
      case 'j': return number(3, day_of_year_);
      case 'H':
      case 'k': return number(2, hour_);
      case 'I':
      case 'l': return number(2, hour12_) && *hour12_ >= 1 && *hour12_ <= 12;
      case 'P':
      case 'p': return half_of_day();
      case 'M': return number(2, minute_);
      case 'S': return number(2, second_);
      case 'f': return fraction(item);
      case 'Z': return zone_name();
      case 'z': return offset();
      case 's': return epoch();
      default: return false;
    }
  }

  [[nodiscard]] std::optional<std::int64_t> result() const {
    if (at_ != text_.size()) return std::nullopt;
    if (epoch_) return ns_from_seconds(*epoch_, nanosecond_);
    auto days = date();
    auto of_day = time_of_day();
    if (!days || !of_day) return std::nullopt;
    return ns_from_seconds(*days * 86400 + *of_day - offset_seconds_, nanosecond_);
  }

 private:
  using Field = std::optional<std::int64_t>;

  void skip_blanks() {
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
  }
  bool literal(std::string_view expected) {
    for (char c : expected) {
      if (is_blank(c)) {
        skip_blanks();
        continue;
      }
      if (at_ >= text_.size() || text_[at_] != c) return false;
      ++at_;
    }
    return true;
  }
  bool number(int max_digits, Field& field) {
    skip_blanks();  // fields padded with blanks
    std::int64_t value = 0;
    int seen = 0;
    for (; seen < max_digits && at_ < text_.size() && is_digit(text_[at_]); ++seen)
      value = value * 10 + (text_[at_++] - '0');
    if (seen == 0) return false;
    field = value;
    return true;
  }
  bool year(Field& field) {
    skip_blanks();
    bool negative = at_ < text_.size() && text_[at_] == '-';
    if (at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+')) ++at_;
    if (!number(4, field)) return false;
    if (negative) field = -*field;
    return true;
  }
  bool month_name() {
    for (std::size_t i = 0; i < kMonths.size(); ++i) {
      std::string_view rest = text_.substr(at_);
      std::string_view name = kMonths[i];
      if (!starts_with_any_case(rest, name.substr(0, 3))) continue;
      at_ += starts_with_any_case(rest, name) ? name.size() : 3;
      month_ = static_cast<std::int64_t>(i) + 1;
      return true;
    }
    return false;
  }
  bool day_name() {
    for (std::size_t i = 0; i < kDays.size(); ++i) {
      std::string_view rest = text_.substr(at_);
      std::string_view name = kDays[i];
      if (!starts_with_any_case(rest, name.substr(0, 3))) continue;
      at_ += starts_with_any_case(rest, name) ? name.size() : 3;
      weekday_ = static_cast<std::int64_t>(i);
      return true;
    }
    return false;
  }
  bool half_of_day() {
    std::string_view rest = text_.substr(at_);
    if (!starts_with_any_case(rest, "am") && !starts_with_any_case(rest, "pm")) return false;
    afternoon_ = lower(rest[0]) == 'p';
    at_ += 2;
    return true;
  }
  bool fraction(const DatetimeFormat::Item& item) {
    if (item.dot) {
      if (at_ >= text_.size() || text_[at_] != '.') return item.digits == 0;  // chrono: may be left out
      ++at_;
    }
    int max_digits = item.digits > 0 ? item.digits : 9;
    int seen = 0;
    std::int64_t value = 0;
    for (; seen < max_digits && at_ < text_.size() && is_digit(text_[at_]); ++seen)
      value = value * 10 + (text_[at_++] - '0');
    if (seen == 0 || (item.digits > 0 && seen != item.digits)) return false;
    for (; seen < 9; ++seen) value *= 10;
    nanosecond_ = value;
    return true;
  }
  bool zone_name() {  // the name says nothing that can be relied on: it is skipped, as chrono does
    std::size_t begin = at_;
    while (at_ < text_.size() && !is_blank(text_[at_])) ++at_;
    return at_ > begin;
  }
  bool offset() {
    skip_blanks();
    std::size_t end = at_;
    if (end < text_.size() && (text_[end] == '+' || text_[end] == '-')) {
      ++end;
      int digits = 0;
      while (end < text_.size() && digits < 4 && (is_digit(text_[end]) || (text_[end] == ':' && digits > 0))) {
        digits += is_digit(text_[end]) ? 1 : 0;
        ++end;
      }
    } else {
      while (end < text_.size() && lower(text_[end]) >= 'a' && lower(text_[end]) <= 'z') ++end;
    }
    auto seconds = parse_utc_offset(text_.substr(at_, end - at_));
    if (!seconds) return false;
    offset_seconds_ = *seconds;
    at_ = end;
    return true;
  }
  bool epoch() {
    bool negative = at_ < text_.size() && text_[at_] == '-';
    if (negative) ++at_;
    Field value;
    if (!number(18, value)) return false;
    epoch_ = negative ? -*value : *value;
    return true;
  }

  [[nodiscard]] Field full_year(const Field& year, const Field& of_century) const {
    if (year) return year;
    if (!of_century) return std::nullopt;
    if (century_) return *century_ * 100 + *of_century;
    return *of_century + (*of_century < 70 ? 2000 : 1900);
  }
  [[nodiscard]] Field date() const {
    Field year = full_year(year_, year_of_century_);
    if (year && month_ && day_) return checked_date(*year, *month_, *day_);
    if (year && day_of_year_) {
      if (*day_of_year_ < 1) return std::nullopt;
      std::int64_t days = days_from_civil(*year, 1, 1) + *day_of_year_ - 1;
      if (days >= days_from_civil(*year + 1, 1, 1)) return std::nullopt;
      return days;
    }
    Field iso_year = full_year(iso_year_, iso_year_of_century_);
    if (iso_year && iso_week_ && weekday_) {
      if (*iso_week_ < 1 || *iso_week_ > 53) return std::nullopt;
      std::int64_t fourth = days_from_civil(*iso_year, 1, 4);  // always in week 1
      return fourth - floor_mod(fourth + 3, 7) + (*iso_week_ - 1) * 7 + *weekday_;
    }
    if (year && weekday_ && (week_from_monday_ || week_from_sunday_)) {
      std::int64_t first = days_from_civil(*year, 1, 1);
      if (week_from_monday_)
        return first + floor_mod(7 - floor_mod(first + 3, 7), 7) + (*week_from_monday_ - 1) * 7 + *weekday_;
      return first + floor_mod(7 - floor_mod(first + 4, 7), 7) + (*week_from_sunday_ - 1) * 7 + (*weekday_ + 1) % 7;
    }
    bool any_date = year || iso_year || month_ || day_ || day_of_year_ || weekday_;
    if (!any_date && (hour_ || hour12_)) return days_from_civil(1900, 1, 1);
    return std::nullopt;
  }
  [[nodiscard]] static Field checked_date(std::int64_t year, std::int64_t month, std::int64_t day) {
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, static_cast<int>(month))) return std::nullopt;
    return days_from_civil(year, static_cast<int>(month), static_cast<int>(day));
  }
  [[nodiscard]] Field time_of_day() const {
    std::int64_t hour = hour_.value_or(0);
    if (!hour_ && hour12_) hour = *hour12_ % 12 + (afternoon_ ? 12 : 0);
    std::int64_t minute = minute_.value_or(0), second = second_.value_or(0);
    if (hour > 23 || minute > 59 || second > 59) return std::nullopt;
    return hour * 3600 + minute * 60 + second;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  Field year_, iso_year_, century_, year_of_century_, iso_year_of_century_, month_, day_, weekday_;
  Field week_from_sunday_, week_from_monday_, iso_week_, day_of_year_, hour_, hour12_, minute_, second_, epoch_;
  bool afternoon_ = false;
  std::int64_t nanosecond_ = 0;
  std::int64_t offset_seconds_ = 0;
};

std::optional<std::int64_t> DatetimeFormat::read(std::string_view text) const {
  DatetimeTextReader reader(text);
  for (const Item& item : items_)
    if (!reader.read(item)) return std::nullopt;
  return reader.result();
}

}  // namespace thalweg
