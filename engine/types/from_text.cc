#include "engine/types/from_text.h"

#include <algorithm>
#include <charconv>
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
                ? 0.0
                : std::numeric_limits<double>::infinity();
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
