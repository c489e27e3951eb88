#include "connectors/formats/text_value.h"

#include <array>
#include <charconv>

#include "connectors/formats/format.h"
#include "connectors/formats/json_value.h"
#include "engine/types/from_text.h"

namespace thalweg {

namespace {

bool equals_lower(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c != lower[i]) return false;
  }
  return true;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

std::string_view without_plus(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  return text;
}

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> base64_table() {
  std::array<std::int8_t, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < kBase64.size(); ++i)
    table[static_cast<unsigned char>(kBase64[i])] = static_cast<std::int8_t>(i);
  return table;
}
constexpr auto kBase64Values = base64_table();

template <class T>
std::optional<Value> wrap(std::optional<T> v, Value (*make)(T)) {
  if (!v) return std::nullopt;
  return make(*v);
}

}  // namespace

std::optional<bool> loose_bool_from_text(std::string_view text) {
  text = trim(text);
  for (std::string_view word : {"true", "yes", "on", "1", "t", "y"})
    if (equals_lower(text, word)) return true;
  for (std::string_view word : {"false", "no", "off", "0", "f", "n"})
    if (equals_lower(text, word)) return false;
  return std::nullopt;
}

std::optional<std::int64_t> int_from_token(std::string_view text) {
  text = without_plus(trim(text));
  std::int64_t v = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return v;
}

std::optional<double> float_from_token(std::string_view text) {
  text = without_plus(trim(text));
  double v = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (end != text.data() + text.size() || text.empty()) return std::nullopt;
  // Out of range: infinity or zero, as every reader of decimals rounds it.
  if (error == std::errc::result_out_of_range) return float_from_text(text);
  if (error != std::errc{}) return std::nullopt;
  return v;
}

std::optional<std::string> base64_decode(std::string_view text) {
  text = trim(text);
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  int have = 0;
  for (char c : text) {
    int v = kBase64Values[static_cast<unsigned char>(c)];
    if (v < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(v);
    have += 6;
    if (have < 8) continue;
    have -= 8;
    out += static_cast<char>(bits >> have & 0xFF);
  }
  return out;
}

void append_base64(std::string_view bytes, std::string& out) {
  std::size_t i = 0;
  auto at = [&](std::size_t k) { return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[k])); };
  for (; i + 3 <= bytes.size(); i += 3) {
    std::uint32_t v = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    for (int shift = 18; shift >= 0; shift -= 6) out += kBase64[v >> shift & 63];
  }
  std::size_t left = bytes.size() - i;
  if (left == 0) return;
  std::uint32_t v = at(i) << 16 | (left == 2 ? at(i + 1) << 8 : 0);
  out += kBase64[v >> 18 & 63];
  out += kBase64[v >> 12 & 63];
  out += left == 2 ? kBase64[v >> 6 & 63] : '=';
  out += '=';
}

bool is_none_token(std::string_view text) {
  return text.empty() || equals_lower(text, "null") || equals_lower(text, "none");
}

std::optional<Value> string_to_value(Kind kind, std::string_view text) {
  switch (kind) {
    case Kind::kDateTimeNaive:
      if (auto t = datetime_from_text(trim(text)); t && !t->has_offset) return Value::datetime_naive(t->ns);
      return std::nullopt;
    case Kind::kDateTimeUtc:
      // Without an offset the text says UTC already.
      if (auto t = datetime_from_text(trim(text))) return Value::datetime_utc(t->ns);
      return std::nullopt;
    case Kind::kDuration: {
      if (auto ns = int_from_token(text)) return Value::duration(*ns);
      return wrap(duration_from_text(trim(text)), Value::duration);
    }
    case Kind::kBytes: return wrap(base64_decode(text), Value::bytes);
    case Kind::kUuid: return wrap(uuid_from_text(trim(text)), Value::uuid);
    case Kind::kPointer:
      if (auto key = key_from_text(trim(text))) return Value::of(*key);
      return std::nullopt;
    default: return std::nullopt;
  }
}

std::optional<Value> token_to_value(const Type& type, std::string_view token) {
  switch (type.kind()) {
    case Kind::kNone: return std::nullopt;
    case Kind::kBool:
      if (auto v = loose_bool_from_text(token)) return Value::of(*v);
      return std::nullopt;
    case Kind::kInt:
      if (auto v = int_from_token(token)) return Value::of(*v);
      return std::nullopt;
    case Kind::kFloat:
      if (auto v = float_from_token(token)) return Value::of(*v);
      return std::nullopt;
    case Kind::kStr:
    case Kind::kAny:
      if (!is_utf8(token)) return std::nullopt;
      return Value::str(std::string(token));
    case Kind::kBytes:
    case Kind::kDateTimeNaive:
    case Kind::kDateTimeUtc:
    case Kind::kDuration:
    case Kind::kUuid:
    case Kind::kPointer: return string_to_value(type.kind(), token);
    case Kind::kJson:
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kArray: return json::text_to_value(type, token);
  }
  return std::nullopt;
}

}  // namespace thalweg
