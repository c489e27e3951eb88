// connectors/formats/fast_number.h
//
// The common spellings of numbers and times, read without a detour. What these functions refuse may still be right:
// the caller then takes the general way.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/types/datetime.h"

namespace thalweg {

inline bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

// Optional minus and up to 18 digits.
inline bool fast_int(const char* p, std::size_t length, std::int64_t& out) {
  bool negative = length && *p == '-';
  const char* end = p + length;
  p += negative;
  if (p == end || end - p > 18) return false;
  std::uint64_t v = 0;
  for (; p < end; ++p) {
    auto digit = static_cast<unsigned char>(*p - '0');
    if (digit > 9) return false;
    v = v * 10 + digit;
  }
  out = negative ? -static_cast<std::int64_t>(v) : static_cast<std::int64_t>(v);
  return true;
}

// Optional minus, digits, optionally a dot and digits; at most 15 digits in all. Then digits and the power of ten are
// exact doubles, and one division rounds correctly (Clinger 1990).
inline bool fast_float(const char* p, std::size_t length, double& out) {
  static constexpr double kPowers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  bool negative = length && *p == '-';
  const char* end = p + length;
  p += negative;
  if (end - p > 16) return false;
  std::uint64_t v = 0;
  const char* begin = p;
  for (; p < end && is_digit(*p); ++p) v = v * 10 + static_cast<std::uint64_t>(*p - '0');
  auto digits = p - begin;
  if (digits == 0) return false;
  std::size_t fraction = 0;
  if (p < end && *p == '.') {
    begin = ++p;
    for (; p < end && is_digit(*p); ++p) v = v * 10 + static_cast<std::uint64_t>(*p - '0');
    fraction = static_cast<std::size_t>(p - begin);
    if (fraction == 0) return false;
  }
  if (p != end || static_cast<std::size_t>(digits) + fraction > 15) return false;
  double d = static_cast<double>(v) / kPowers[fraction];
  out = negative ? -d : d;
  return true;
}

// `2024-01-02T03:04:05`, with a blank for the `T`, optionally 1 to 9 fraction digits; no offset.
inline bool fast_datetime(const char* p, std::size_t length, std::int64_t& out) {
  if (length < 19 || length > 29 || p[4] != '-' || p[7] != '-' || (p[10] != 'T' && p[10] != ' ') || p[13] != ':' ||
      p[16] != ':')
    return false;
  bool ok = true;
  auto two = [&](std::size_t at) {
    ok &= is_digit(p[at]) && is_digit(p[at + 1]);
    return (p[at] - '0') * 10 + (p[at + 1] - '0');
  };
  int year = two(0) * 100 + two(2);
  int month = two(5);
  int day = two(8);
  int hour = two(11);
  int minute = two(14);
  int second = two(17);
  // Years whose nanoseconds surely fit; the others, and 60th seconds, go the general way.
  if (!ok || year < 1700 || year > 2200 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) ||
      hour > 23 || minute > 59 || second > 59)
    return false;
  std::int64_t fraction = 0;
  if (length > 19) {
    if (p[19] != '.' || length == 20) return false;
    for (std::size_t i = 20; i < length; ++i) {
      if (!is_digit(p[i])) return false;
      fraction = fraction * 10 + (p[i] - '0');
    }
    for (std::size_t i = length; i < 29; ++i) fraction *= 10;
  }
  std::int64_t seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
  out = seconds * kNsPerSecond + fraction;
  return true;
}

}  // namespace thalweg
