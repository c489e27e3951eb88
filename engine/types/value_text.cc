#include "engine/types/value_text.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "engine/base/ensure.h"
#include "engine/types/datetime.h"
#include "engine/types/duration.h"
#include "engine/types/value.h"

namespace thalweg {

void append_float(double v, std::string& out) {
  if (std::isnan(v)) {
    out += "nan";
    return;
  }
  if (std::isinf(v)) {
    out += v < 0 ? "-inf" : "inf";
    return;
  }
  // Python's repr: exponent form from 1e16 on and below 1e-4.
  double magnitude = std::fabs(v);
  bool scientific = v != 0 && (magnitude >= 1e16 || magnitude < 1e-4);
  char buffer[400];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, v,
                           scientific ? std::chars_format::scientific : std::chars_format::fixed)
                 .ptr;
  std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  out += text;
  if (!scientific && text.find('.') == std::string_view::npos) out += ".0";
}

void append_quoted(std::string_view text, std::string& out) {
  char quote = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos ? '"' : '\'';
  out += quote;
  for (char c : text) {
    if (c == quote || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      char hex[8];
      std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += hex;
    } else {
      out += c;
    }
  }
  out += quote;
}

namespace {

void append_value(const Value& value, bool inside, std::string& out);

void append_bytes(const std::string& bytes, std::string& out) {
  out += "b'";
  for (char c : bytes) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '\'' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte >= 0x20 && byte < 0x7F) {
      out += c;
    } else {
      char hex[8];
      std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned>(byte));
      out += hex;
    }
  }
  out += '\'';
}

void append_uuid(const Key& key, std::string& out) {
  char text[40];
  std::snprintf(text, sizeof text, "%08x-%04x-%04x-%04x-%012llx", static_cast<unsigned>(key.hi >> 32),
                static_cast<unsigned>((key.hi >> 16) & 0xFFFF), static_cast<unsigned>(key.hi & 0xFFFF),
                static_cast<unsigned>(key.lo >> 48), static_cast<unsigned long long>(key.lo & 0xFFFFFFFFFFFFULL));
  out += text;
}

void append_array(const NdArray& array, std::size_t dimension, std::size_t& next, std::string& out) {
  auto append_element = [&] {
    if (const auto* ints = std::get_if<std::vector<std::int64_t>>(&array.data))
      out += std::to_string((*ints)[next]);
    else
      append_float(std::get<std::vector<double>>(array.data)[next], out);
    ++next;
  };
  if (array.shape.empty()) {
    append_element();
    return;
  }
  out += '[';
  for (std::int64_t i = 0; i < array.shape[dimension]; ++i) {
    if (i) out += ", ";
    if (dimension + 1 == array.shape.size())
      append_element();
    else
      append_array(array, dimension + 1, next, out);
  }
  out += ']';
}

void append_tuple(const std::vector<Value>& elements, std::string& out) {
  out += '(';
  for (std::size_t i = 0; i < elements.size(); ++i) {
    if (i) out += ", ";
    append_value(elements[i], true, out);
  }
  if (elements.size() == 1) out += ',';
  out += ')';
}

void append_value(const Value& value, bool inside, std::string& out) {
  using Tag = Value::Tag;
  switch (value.tag()) {
    case Tag::kNone: out += "None"; return;
    case Tag::kBool: out += value.as_bool() ? "True" : "False"; return;
    case Tag::kInt: out += std::to_string(value.as_int()); return;
    case Tag::kFloat: return append_float(value.as_float(), out);
    case Tag::kPointer: out += to_text(value.as_key()); return;
    case Tag::kStr:
      if (inside)
        append_quoted(value.as_text(), out);
      else
        out += value.as_text();
      return;
    case Tag::kBytes: return append_bytes(value.as_text(), out);
    case Tag::kTuple: return append_tuple(value.as_tuple(), out);
    case Tag::kArray: {
      std::size_t next = 0;
      return append_array(value.as_array(), 0, next, out);
    }
    case Tag::kDateTimeNaive: return append_datetime(value.as_int(), false, out);
    case Tag::kDateTimeUtc: return append_datetime(value.as_int(), true, out);
    case Tag::kDuration: out += duration_to_words(value.as_int()); return;
    case Tag::kJson: out += value.as_text(); return;
    case Tag::kUuid: return append_uuid(value.as_key(), out);
    case Tag::kError: out += "Error"; return;
    case Tag::kPending: out += "Pending"; return;
  }
  UNREACHABLE();
}

}  // namespace

std::string Value::to_text() const {
  std::string out;
  append_value(*this, false, out);
  return out;
}

}  // namespace thalweg
