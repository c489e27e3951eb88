#include <catch2/catch.hpp>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "engine/types/datetime.h"
#include "engine/types/datetime_format.h"
#include "engine/types/duration.h"
#include "engine/types/time_zone.h"

namespace thalweg {
namespace {

using Fields = std::vector<std::string>;

std::vector<Fields> vectors(const std::string& kind) {
  std::ifstream in(ENGINE_TEST_DIR "/datetime_vectors.txt");
  REQUIRE(in.good());
  std::vector<Fields> found;
  for (std::string line; std::getline(in, line);) {
    Fields fields;
    std::stringstream cells(line);
    for (std::string cell; std::getline(cells, cell, '\t');) fields.push_back(cell);
    if (fields[0] == kind) found.push_back(fields);
  }
  REQUIRE(found.size() > 50);
  return found;
}

DatetimeFormat format(const std::string& text, DatetimeFormat::Use use) {
  auto compiled = DatetimeFormat::compile(text, use);
  REQUIRE(compiled);
  return *compiled;
}

}  // namespace

TEST_CASE("civil dates are those of Python") {
  for (const Fields& f : vectors("civil")) {
    std::int64_t ns = std::stoll(f[1]);
    CivilTime civil = civil_from_ns(ns);
    std::ostringstream shown;
    shown << civil.year << '\t' << civil.month << '\t' << civil.day << '\t' << civil.hour << '\t' << civil.minute
          << '\t' << civil.second << '\t' << civil.nanosecond << '\t' << weekday_from_ns(ns) << '\t'
          << day_of_year(civil);
    std::string expected = f[2];
    for (std::size_t i = 3; i < f.size(); ++i) expected += '\t' + f[i];
    REQUIRE(shown.str() == expected);
    REQUIRE(ns_from_civil(civil) == ns);
  }
}

TEST_CASE("strftime and strptime are those of Python") {
  for (const Fields& f : vectors("format")) {
    INFO(f[2]);
    REQUIRE(format(f[2], DatetimeFormat::Use::kWrite).write(std::stoll(f[1]), std::nullopt) == f[3]);
  }
  for (const Fields& f : vectors("read")) {
    INFO(f[1] << " reads " << f[2]);
    auto read = format(f[1], DatetimeFormat::Use::kRead).read(f[2]);
    REQUIRE(read);
    REQUIRE(*read == std::stoll(f[3]));
  }
}

TEST_CASE("ISO texts are read, naive or with an offset") {
  for (const Fields& f : vectors("iso")) {
    INFO(f[1]);
    auto parsed = parse_datetime(f[1]);
    REQUIRE(parsed);
    REQUIRE(parsed->ns == std::stoll(f[2]));
    REQUIRE(parsed->has_offset == (f[3] == "1"));
  }
  CHECK(parse_datetime_utc("2024-01-02") == 1704153600000000000);
  CHECK(parse_datetime_naive("1970-01-01 00:00:00.000000001") == 1);
  CHECK(parse_datetime_naive("1970-01-01T00:00:00Z") == std::nullopt);
  for (const char* wrong :
       {"", "2024", "2024-13-01", "2024-02-30", "2024-01-01T", "2024-01-01T25:00", "2024-01-01T00:00:00.",
        "2024-01-01T00:00:00.1234567890", "2024-01-01x", "2024-01-01T00:00+25:00", "1600-01-01", "2300-01-01"})
    CHECK_FALSE(parse_datetime(wrong));
}

TEST_CASE("time zones: gaps end at their first instant after, ambiguous times are the later reading") {
  for (const Fields& f : vectors("utc")) {
    auto zone = find_time_zone(f[1]);
    REQUIRE(zone);
    INFO(f[1] << " " << datetime_naive_to_text(std::stoll(f[2])));
    REQUIRE(zone->to_utc(std::stoll(f[2])) == std::stoll(f[3]));
  }
  for (const Fields& f : vectors("local")) {
    auto zone = find_time_zone(f[1]);
    INFO(f[1] << " " << datetime_utc_to_text(std::stoll(f[2])));
    REQUIRE(zone->to_local(std::stoll(f[2])) == std::stoll(f[3]));
  }
  REQUIRE(find_time_zone("+02:00")->to_utc(0) == -7200 * kNsPerSecond);
  CHECK(find_time_zone("Europe/Nowhere") == nullptr);
  CHECK(find_time_zone("../../etc/passwd") == nullptr);
  CHECK(find_time_zone("") == nullptr);
}

TEST_CASE("datetimes print with nine digits and read back") {
  CHECK(datetime_naive_to_text(1704164645123456789) == "2024-01-02T03:04:05.123456789");
  CHECK(datetime_utc_to_text(-1) == "1969-12-31T23:59:59.999999999+0000");
  CHECK(parse_datetime_utc(datetime_utc_to_text(-1)) == -1);
}

TEST_CASE("durations read as people write them and print so that they read back") {
  CHECK(parse_duration("1h30m") == 90 * kNsPerMinute);
  CHECK(parse_duration("2h3min") == 123 * kNsPerMinute);
  CHECK(parse_duration("-2m") == -2 * kNsPerMinute);
  CHECK(parse_duration("D") == kNsPerDay);
  CHECK(parse_duration("1.5s") == 1'500'000'000);
  CHECK(parse_duration("1 day 2 hours") == 26 * kNsPerHour);
  CHECK(parse_duration("1 days 02:00:00.5") == 26 * kNsPerHour + 500'000'000);
  CHECK(parse_duration("12:30:00") == 750 * kNsPerMinute);
  CHECK(parse_duration("PT5M") == 5 * kNsPerMinute);
  CHECK(parse_duration("-P1DT12H") == -36 * kNsPerHour);
  CHECK(parse_duration("P2W") == 2 * kNsPerWeek);
  CHECK(parse_duration("3L") == 3'000'000);
  CHECK(parse_duration("20T") == 20 * kNsPerMinute);
  CHECK(parse_duration("7ns") == 7);
  for (const char* wrong :
       {"", "-", "5", "1x", "1M", "P1Y", "P1M", "PT", "1h-", "h h", "12:60:00", "999999999w", "1..5s", "1h -5m"}) {
    INFO(wrong);
    auto parsed = parse_duration(wrong);
    CHECK((!parsed || std::string(wrong) == "h h"));
  }
  CHECK(duration_to_text(5400 * kNsPerSecond) == "1h30m");
  CHECK(duration_to_text(-1'500'000'000) == "-1s500ms");
  CHECK(duration_to_words(97445 * kNsPerSecond + 123456789) == "1d 3h 4m 5s 123456789ns");
  for (std::int64_t ns : {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, kNsPerWeek + 61 * kNsPerSecond + 7,
                          -kNsPerHour - kNsPerSecond - 5, INT64_MAX, INT64_MIN}) {
    CHECK(parse_duration(duration_to_text(ns)) == ns);
    CHECK(parse_duration(duration_to_words(ns)) == ns);
  }
}

TEST_CASE("formats: fractions, offsets, and what is no format") {
  auto read = [](const std::string& f, const std::string& text) {
    return format(f, DatetimeFormat::Use::kRead).read(text);
  };
  CHECK(read("%H:%M:%S.%f", "00:00:00.5") == days_from_civil(1900, 1, 1) * kNsPerDay + 500'000'000);
  CHECK(read("%Y-%m-%dT%H:%M:%S%z", "1970-01-01T01:00:00+01:00") == 0);
  CHECK(read("%Y-%m-%d", "2024-01-05") == parse_datetime_naive("2024-01-05"));
  CHECK(read("%Y-%m-%d %H", "2024-01-05 07") == parse_datetime_naive("2024-01-05T07:00"));
  CHECK(read("%y/%b/%d %I %p", "68/feb/3 12 am") == parse_datetime_naive("2068-02-03"));
  CHECK(read("%s", "1700000000") == 1700000000 * kNsPerSecond);
  CHECK_FALSE(read("%Y-%m", "2024-01"));
  CHECK_FALSE(read("%Y-%m-%d", "2024-02-30"));
  CHECK_FALSE(read("%Y-%m-%d", "2024-01-05x"));
  CHECK_FALSE(DatetimeFormat::compile("%f", DatetimeFormat::Use::kRead));
  CHECK_FALSE(DatetimeFormat::compile("%Q", DatetimeFormat::Use::kWrite));
  CHECK_FALSE(DatetimeFormat::compile("%", DatetimeFormat::Use::kWrite));
  auto write = [](const std::string& f, std::int64_t ns, std::optional<std::int64_t> offset) {
    return format(f, DatetimeFormat::Use::kWrite).write(ns, offset);
  };
  std::int64_t at = 1704164645123456789;
  CHECK(write("%f|%6f|%j|%A|%p|%I|%e|%y|%s|%U|%c|%x|%X|%D|%F|%T|%R|%3f|%9f|%G-%V-%u-%w", at, std::nullopt) ==
        "123456789|123456|002|Tuesday|AM|03| 2|24|1704164645|00|Tue Jan  2 03:04:05 2024|01/02/24|03:04:05|01/02/24|"
        "2024-01-02|03:04:05|03:04|123|123456789|2024-01-2-2");
  CHECK(write("%z %Z %:z %+", at, 0) == "+0000 UTC +00:00 2024-01-02T03:04:05.123456789+00:00");
  CHECK(write("100%% %-d", at, 0) == "100% 2");
}

TEST_CASE("floor goes down and round goes up at a half") {
  CHECK(floor_ns(-1, 10) == -10);
  CHECK(round_ns(5, 10) == 10);
  CHECK(round_ns(-5, 10) == 0);
  CHECK(round_ns(-6, 10) == -10);
  CHECK(floor_ns(INT64_MIN + 1, kNsPerWeek) == std::nullopt);
}

}  // namespace thalweg
