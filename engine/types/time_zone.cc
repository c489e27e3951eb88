#include "engine/types/time_zone.h"

#include <date/tz.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "engine/types/datetime.h"

namespace thalweg {
namespace {

std::optional<std::int64_t> shifted(std::int64_t ns, std::int64_t seconds) {
  std::int64_t result = 0;
  if (__builtin_add_overflow(ns, seconds * kNsPerSecond, &result)) return std::nullopt;
  return result;
}

class FixedZone final : public TimeZone {
 public:
  explicit FixedZone(std::int64_t seconds_east) : seconds_east_(seconds_east) {}
  [[nodiscard]] std::optional<std::int64_t> to_utc(std::int64_t local_ns) const override {
    return shifted(local_ns, -seconds_east_);
  }
  [[nodiscard]] std::optional<std::int64_t> to_local(std::int64_t utc_ns) const override {
    return shifted(utc_ns, seconds_east_);
  }

 private:
  std::int64_t seconds_east_;
};

// ---------------------------------------------------------------- the rule of all further years

// A day of each year and a time of it: `M3.5.0/2`, `J60`, `59/-1`.
struct YearlyMoment {
  enum class Kind : std::uint8_t { kWeekday, kJulian, kDay } kind = Kind::kWeekday;
  int month = 0, week = 0, day = 0;
  std::int64_t seconds = 7200;

  // Seconds since 1970 as if the clock showed UTC.
  [[nodiscard]] std::int64_t in(int year) const {
    const date::year y{year};
    date::sys_days at = y / 1 / 1;
    if (kind == Kind::kWeekday) {
      const date::month m{static_cast<unsigned>(month)};
      const date::weekday w{static_cast<unsigned>(day)};
      at = week == 5 ? date::sys_days(y / m / w[date::last]) : date::sys_days(y / m / w[static_cast<unsigned>(week)]);
    } else if (kind == Kind::kJulian) {  // 1 to 365, the 29th of February is never counted
      at += date::days(day - 1 + (y.is_leap() && day >= 60 ? 1 : 0));
    } else {
      at += date::days(day);
    }
    return at.time_since_epoch().count() * std::int64_t{86400} + seconds;
  }
};

// The last line of a file of the database, which says what holds after its last transition:
// `CET-1CEST,M3.5.0,M10.5.0/3`.
struct YearlyRule {
  std::int64_t standard = 0;  // seconds east
  std::int64_t summer = 0;
  YearlyMoment begin, end;  // of summer

  struct Year {
    std::int64_t begin, end;  // UTC
  };
  [[nodiscard]] Year year_of(std::int64_t utc) const {
    const date::sys_seconds at{std::chrono::seconds(utc + standard)};
    const int year = static_cast<int>(date::year_month_day(date::floor<date::days>(at)).year());
    return {begin.in(year)-standard, end.in(year)-summer};
  }
  [[nodiscard]] std::int64_t offset(std::int64_t utc) const {
    const Year year = year_of(utc);
    const bool is_summer =
        year.begin < year.end ? utc >= year.begin && utc < year.end : utc < year.end || utc >= year.begin;
    return is_summer ? summer : standard;
  }
};

class RuleReader {
 public:
  explicit RuleReader(std::string_view text) : rest_(text) {}

  // None if the text is no rule, or of a zone that has no summer time.
  std::optional<YearlyRule> read() {
    YearlyRule rule;
    if (!name() || !time(rule.standard) || !name()) return std::nullopt;
    rule.standard = -rule.standard;  // POSIX counts to the west
    rule.summer = rule.standard + 3600;
    if (!rest_.starts_with(',')) {
      if (!time(rule.summer)) return std::nullopt;
      rule.summer = -rule.summer;
    }
    if (!moment(rule.begin) || !moment(rule.end) || !rest_.empty()) return std::nullopt;
    return rule;
  }

 private:
  bool eat(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool name() {
    const bool quoted = eat('<');
    const std::size_t end = quoted ? rest_.find('>') : rest_.find_first_of("0123456789+-,");
    if (end == std::string_view::npos || end < 3) return false;
    rest_.remove_prefix(end + (quoted ? 1 : 0));
    return true;
  }
  bool number(int& out, int least, int most) {
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), out);
    if (error != std::errc{} || out < least || out > most) return false;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return true;
  }
  bool time(std::int64_t& seconds) {
    const bool negative = eat('-');
    if (!negative) eat('+');
    int hours = 0, minutes = 0, rest = 0;
    if (!number(hours, 0, 167)) return false;
    if (eat(':') && !number(minutes, 0, 59)) return false;
    if (eat(':') && !number(rest, 0, 59)) return false;
    seconds = (hours * std::int64_t{60} + minutes) * 60 + rest;
    if (negative) seconds = -seconds;
    return true;
  }
  bool moment(YearlyMoment& out) {
    if (!eat(',')) return false;
    if (eat('M')) {
      if (!number(out.month, 1, 12) || !eat('.') || !number(out.week, 1, 5) || !eat('.') || !number(out.day, 0, 6))
        return false;
    } else if (eat('J')) {
      out.kind = YearlyMoment::Kind::kJulian;
      if (!number(out.day, 1, 365)) return false;
    } else {
      out.kind = YearlyMoment::Kind::kDay;
      if (!number(out.day, 0, 365)) return false;
    }
    return !eat('/') || time(out.seconds);
  }

  std::string_view rest_;
};

// The library reads the transitions of a file (up to 2037), but not its last line.
std::optional<YearlyRule> rule_of(const std::string& name) {
  std::ifstream file("/usr/share/zoneinfo/" + name, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!text.ends_with('\n')) return std::nullopt;
  const std::string_view body = std::string_view(text).substr(0, text.size() - 1);
  const std::size_t line = body.rfind('\n');
  if (line == std::string_view::npos) return std::nullopt;
  return RuleReader(body.substr(line + 1)).read();
}

class NamedZone final : public TimeZone {
 public:
  NamedZone(const date::time_zone* zone, std::optional<YearlyRule> rule) : zone_(zone), rule_(rule) {}

  [[nodiscard]] std::optional<std::int64_t> to_utc(std::int64_t local_ns) const override {
    date::local_seconds local{std::chrono::seconds(floor_div(local_ns, kNsPerSecond))};
    date::local_info info = zone_->get_info(local);
    if (rule_ && is_last(info.result == date::local_info::unique ? info.first : info.second))
      return by_rule(local_ns, local.time_since_epoch().count());
    if (info.result == date::local_info::nonexistent)
      return ns_from_seconds(info.first.end.time_since_epoch().count(), 0);
    const date::sys_info& reading = info.result == date::local_info::ambiguous ? info.second : info.first;
    return shifted(local_ns, -reading.offset.count());
  }

  [[nodiscard]] std::optional<std::int64_t> to_local(std::int64_t utc_ns) const override {
    date::sys_seconds utc{std::chrono::seconds(floor_div(utc_ns, kNsPerSecond))};
    return shifted(utc_ns, offset(utc.time_since_epoch().count()));
  }

 private:
  // Whether the library knows no transition behind it.
  [[nodiscard]] static bool is_last(const date::sys_info& info) {
    return info.end > date::sys_days(date::year{3000} / 1 / 1);
  }
  [[nodiscard]] std::int64_t offset(std::int64_t utc) const {
    const date::sys_info info = zone_->get_info(date::sys_seconds{std::chrono::seconds(utc)});
    return rule_ && is_last(info) ? rule_->offset(utc) : info.offset.count();
  }
  [[nodiscard]] std::optional<std::int64_t> by_rule(std::int64_t local_ns, std::int64_t local) const {
    const std::int64_t least = std::min(rule_->standard, rule_->summer);
    const std::int64_t most = std::max(rule_->standard, rule_->summer);
    for (const std::int64_t east : {least, most})  // the smaller one is the later reading
      if (offset(local - east) == east) return shifted(local_ns, -east);
    // In a gap, which begins at one of the year's transitions.
    const YearlyRule::Year year = rule_->year_of(local - least);
    return ns_from_seconds(rule_->summer > rule_->standard ? year.begin : year.end, 0);
  }

  const date::time_zone* zone_;  // of the library's database, which lives for ever
  std::optional<YearlyRule> rule_;
};

std::shared_ptr<const TimeZone> locate(const std::string& name) {
  if (name.find("..") != std::string::npos || name.starts_with("/")) return nullptr;  // names are file names there
  try {
    return std::make_shared<NamedZone>(date::locate_zone(name), rule_of(name));
  } catch (const std::exception&) {  // the library's only way to say that it knows no such zone
    return nullptr;
  }
}

}  // namespace

std::shared_ptr<const TimeZone> find_time_zone(std::string_view name) {
  if (auto offset = parse_utc_offset(name)) return std::make_shared<FixedZone>(*offset);
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<const TimeZone>, std::less<>> zones;  // known ones only: bounded
  std::lock_guard lock(mutex);
  auto found = zones.find(name);
  if (found != zones.end()) return found->second;
  auto zone = locate(std::string(name));
  if (zone) zones.emplace(std::string(name), zone);
  return zone;
}

}  // namespace thalweg
