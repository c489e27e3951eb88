#include "engine/types/duration.h"

#include <array>
#include <limits>
#include <utility>

#include "engine/base/int128.h"
#include "engine/types/datetime.h"

namespace thalweg {
namespace {

using Wide = Int128;
constexpr Wide kLimit = Wide{1} << 64;

struct Unit {
  std::string_view name;
  std::int64_t ns;
};
constexpr std::int64_t kMs = 1'000'000, kUs = 1'000;
// Lower case; single letters of pandas included.
constexpr std::array kUnits = {
    Unit{"w", kNsPerWeek},
    Unit{"week", kNsPerWeek},
    Unit{"weeks", kNsPerWeek},
    Unit{"d", kNsPerDay},
    Unit{"day", kNsPerDay},
    Unit{"days", kNsPerDay},
    Unit{"h", kNsPerHour},
    Unit{"hr", kNsPerHour},
    Unit{"hrs", kNsPerHour},
    Unit{"hour", kNsPerHour},
    Unit{"hours", kNsPerHour},
    Unit{"m", kNsPerMinute},
    Unit{"t", kNsPerMinute},
    Unit{"min", kNsPerMinute},
    Unit{"mins", kNsPerMinute},
    Unit{"minute", kNsPerMinute},
    Unit{"minutes", kNsPerMinute},
    Unit{"s", kNsPerSecond},
    Unit{"sec", kNsPerSecond},
    Unit{"secs", kNsPerSecond},
    Unit{"second", kNsPerSecond},
    Unit{"seconds", kNsPerSecond},
    Unit{"ms", kMs},
    Unit{"l", kMs},
    Unit{"milli", kMs},
    Unit{"millis", kMs},
    Unit{"millisecond", kMs},
    Unit{"milliseconds", kMs},
    Unit{"us", kUs},
    Unit{"u", kUs},
    Unit{"\u00b5s", kUs},
    Unit{"\u03bcs", kUs},
    Unit{"micro", kUs},
    Unit{"micros", kUs},
    Unit{"microsecond", kUs},
    Unit{"microseconds", kUs},
    Unit{"ns", 1},
    Unit{"n", 1},
    Unit{"nano", 1},
    Unit{"nanos", 1},
    Unit{"nanosecond", 1},
    Unit{"nanoseconds", 1},
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_blank(char c) { return c == ' ' || c == '\t'; }

// A decimal count: whole part and up to 18 digits behind the point.
struct Count {
  Wide whole = 1;
  Wide fraction = 0;
  Wide scale = 1;
  bool present = false;
  [[nodiscard]] Wide times(std::int64_t unit) const { return whole * unit + fraction * unit / scale; }
};

class DurationReader {
 public:
  explicit DurationReader(std::string_view text) : text_(text) {}

  std::optional<std::int64_t> read() {
    skip_blanks();
    bool negative = false;
    if (peek() == '-' || peek() == '+') {
      negative = peek() == '-';
      ++at_;
      skip_blanks();
    }
    std::optional<Wide> total = peek() == 'P' || peek() == 'p' ? iso() : units(negative);
    skip_blanks();
    if (!total || at_ != text_.size()) return std::nullopt;
    Wide signed_total = negative ? -*total : *total;
    if (signed_total < std::numeric_limits<std::int64_t>::min() ||
        signed_total > std::numeric_limits<std::int64_t>::max())
      return std::nullopt;
    return static_cast<std::int64_t>(signed_total);
  }

 private:
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_blanks() {
    while (is_blank(peek())) ++at_;
  }

  // False for a count that is too large or malformed.
  bool count(Count& out) {
    std::size_t begin = at_;
    Wide whole = 0;
    for (; is_digit(peek()); ++at_) {
      whole = whole * 10 + (peek() - '0');
      if (whole > kLimit) return false;
    }
    bool digits = at_ > begin;
    if (peek() == '.' || (peek() == ',' && digits)) {
      ++at_;
      std::size_t fraction_begin = at_;
      for (; is_digit(peek()); ++at_) {
        if (at_ - fraction_begin >= 18) continue;
        out.fraction = out.fraction * 10 + (peek() - '0');
        out.scale *= 10;
      }
      if (at_ == fraction_begin) return false;
      digits = true;
    }
    out.present = digits;
    if (digits) out.whole = whole;
    return true;
  }

  std::string_view word() {
    std::size_t begin = at_;
    while (at_ < text_.size() && !is_digit(peek()) && !is_blank(peek()) && peek() != '.' && peek() != '-' &&
           peek() != '+')
      ++at_;
    return text_.substr(begin, at_ - begin);
  }

  std::optional<Wide> units(bool negative) {
    Wide total = 0;
    bool any = false;
    while (at_ < text_.size()) {
      if (any && negative && peek() == '-') ++at_;  // `-1h -30m`: every part shows the sign of the whole
      Count c;
      if (!count(c)) return std::nullopt;
      if (peek() == ':') {  // a time of day ends the text
        auto clock = clock_after(c);
        if (!clock) return std::nullopt;
        return total + *clock;
      }
      skip_blanks();
      auto unit = duration_unit(word());
      if (!unit) return std::nullopt;
      total += c.times(*unit);
      if (total > kLimit) return std::nullopt;
      any = true;
      skip_blanks();
    }
    if (!any) return std::nullopt;
    return total;
  }

  std::optional<Wide> clock_after(const Count& hours) {
    if (!hours.present || hours.scale != 1) return std::nullopt;
    Wide total = hours.whole * kNsPerHour;
    for (std::int64_t unit : {kNsPerMinute, kNsPerSecond}) {
      if (peek() != ':') break;
      ++at_;
      Count c;
      if (!count(c) || !c.present || c.whole > 59 || (unit == kNsPerMinute && c.scale != 1)) return std::nullopt;
      total += c.times(unit);
    }
    return total;
  }

  std::optional<Wide> iso() {
    ++at_;
    Wide total = 0;
    bool in_time = false, any = false;
    while (at_ < text_.size()) {
      if (peek() == 'T' || peek() == 't') {
        if (in_time) return std::nullopt;
        in_time = true;
        ++at_;
        continue;
      }
      Count c;
      if (!count(c) || !c.present) return std::nullopt;
      std::int64_t unit = 0;
      switch (peek()) {
        case 'W':
        case 'w': unit = in_time ? 0 : kNsPerWeek; break;
        case 'D':
        case 'd': unit = in_time ? 0 : kNsPerDay; break;
        case 'H':
        case 'h': unit = in_time ? kNsPerHour : 0; break;
        case 'M':
        case 'm': unit = in_time ? kNsPerMinute : 0; break;
        case 'S':
        case 's': unit = in_time ? kNsPerSecond : 0; break;
        default: return std::nullopt;
      }
      if (unit == 0) return std::nullopt;  // months and years have no fixed length
      ++at_;
      total += c.times(unit);
      if (total > kLimit) return std::nullopt;
      any = true;
    }
    if (!any) return std::nullopt;
    return total;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::optional<std::int64_t> duration_unit(std::string_view unit) {
  if (unit == "M" || unit.empty() || unit.size() > 16) return std::nullopt;
  std::string lower(unit);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  for (const Unit& known : kUnits)
    if (known.name == lower) return known.ns;
  return std::nullopt;
}

std::optional<std::int64_t> parse_duration(std::string_view text) { return DurationReader(text).read(); }

std::string duration_to_text(std::int64_t ns) {
  if (ns == 0) return "0s";
  std::string out = ns < 0 ? "-" : "";
  std::uint64_t left = ns < 0 ? 0 - static_cast<std::uint64_t>(ns) : static_cast<std::uint64_t>(ns);
  static constexpr std::array<std::pair<std::int64_t, std::string_view>, 7> kParts = {{{kNsPerDay, "d"},
                                                                                       {kNsPerHour, "h"},
                                                                                       {kNsPerMinute, "m"},
                                                                                       {kNsPerSecond, "s"},
                                                                                       {kMs, "ms"},
                                                                                       {kUs, "us"},
                                                                                       {1, "ns"}}};
  for (const auto& [unit, name] : kParts) {
    std::uint64_t count = left / static_cast<std::uint64_t>(unit);
    if (count == 0) continue;
    left -= count * static_cast<std::uint64_t>(unit);
    out += std::to_string(count);
    out += name;
  }
  return out;
}

std::string duration_to_words(std::int64_t ns) {
  if (ns == 0) return "0s";
  std::string out;
  static constexpr std::array<std::pair<std::int64_t, std::string_view>, 5> kParts = {
      {{kNsPerDay, "d"}, {kNsPerHour, "h"}, {kNsPerMinute, "m"}, {kNsPerSecond, "s"}, {1, "ns"}}};
  for (const auto& [unit, name] : kParts) {
    std::int64_t count = ns / unit;
    if (count == 0) continue;
    ns -= count * unit;
    if (!out.empty()) out += ' ';
    out += std::to_string(count);
    out += name;
  }
  return out;
}

}  // namespace thalweg
