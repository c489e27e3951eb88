#include "engine/expr/json_access.h"

#include <charconv>
#include <vector>

namespace thalweg::expr {
namespace {

// The position after the string that begins at `at`.
std::size_t after_string(std::string_view json, std::size_t at) {
  const char* p = json.data() + at + 1;
  const char* end = json.data() + json.size();
  while (p < end) {
    if (*p == '"') return static_cast<std::size_t>(p - json.data()) + 1;
    p += *p == '\\' ? 2 : 1;
  }
  return json.size();
}

// The position after the value that begins at `at`.
std::size_t after_value(std::string_view json, std::size_t at) {
  if (at >= json.size()) return json.size();
  if (json[at] == '"') return after_string(json, at);
  if (json[at] != '[' && json[at] != '{') {
    while (at < json.size() && json[at] != ',' && json[at] != ']' && json[at] != '}') ++at;
    return at;
  }
  std::size_t depth = 0;
  while (at < json.size()) {
    char c = json[at];
    if (c == '"') {
      at = after_string(json, at);
      continue;
    }
    ++at;
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && --depth == 0) return at;
  }
  return json.size();
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 0;
}
std::uint32_t hex4(std::string_view text) {
  std::uint32_t v = 0;
  for (char c : text.substr(0, 4)) v = v * 16 + static_cast<std::uint32_t>(hex_value(c));
  return v;
}
void put_utf8(std::uint32_t c, std::string& out) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

// `raw` is what stands between the quotes.
std::string resolve_escapes(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\' || i + 1 >= raw.size()) {
      out += raw[i];
      continue;
    }
    char c = raw[++i];
    switch (c) {
      case 'n': out += '\n'; break;
      case 't': out += '\t'; break;
      case 'r': out += '\r'; break;
      case 'b': out += '\b'; break;
      case 'f': out += '\f'; break;
      case 'u': {
        std::uint32_t code = hex4(raw.substr(i + 1));
        i += 4;
        bool pair = code >= 0xD800 && code < 0xDC00 && raw.substr(i + 1).starts_with("\\u");
        if (pair) {
          std::uint32_t low = hex4(raw.substr(i + 3));
          code = 0x10000 + ((code - 0xD800) << 10) + ((low - 0xDC00) & 0x3FF);
          i += 6;
        }
        // A lone surrogate has no UTF-8 form.
        put_utf8(code >= 0xD800 && code < 0xE000 ? 0xFFFD : code, out);
        break;
      }
      default: out += c;
    }
  }
  return out;
}

std::string_view inside_quotes(std::string_view text) { return text.substr(1, text.size() - 2); }

// Whether the raw text of a key (without quotes) is `key`.
bool key_is(std::string_view raw, std::string_view key) {
  if (raw.find('\\') == std::string_view::npos) return raw == key;
  return resolve_escapes(raw) == key;
}

template <class F>
void each_element(std::string_view array, F visit) {
  if (json_kind(array) != JsonKind::kArray || array.size() <= 2) return;
  for (std::size_t at = 1; at + 1 < array.size();) {
    std::size_t end = after_value(array, at);
    if (!visit(array.substr(at, end - at))) return;
    at = end + 1;
  }
}
// `visit` gets the key as it stands between the quotes.
template <class F>
void each_member(std::string_view object, F visit) {
  if (json_kind(object) != JsonKind::kObject || object.size() <= 2) return;
  for (std::size_t at = 1; at + 1 < object.size();) {
    std::size_t colon = after_string(object, at);
    std::string_view key = inside_quotes(object.substr(at, colon - at));
    std::size_t end = after_value(object, colon + 1);
    if (!visit(key, object.substr(colon + 1, end - colon - 1))) return;
    at = end + 1;
  }
}

bool numbers_equal(std::string_view a, std::string_view b) {
  bool a_whole = a.find_first_of(".eE") == std::string_view::npos;
  bool b_whole = b.find_first_of(".eE") == std::string_view::npos;
  if (a_whole != b_whole) return false;
  if (a_whole) return a == b;
  double x = 0, y = 0;
  std::from_chars(a.data(), a.data() + a.size(), x);
  std::from_chars(b.data(), b.data() + b.size(), y);
  return x == y;
}

bool objects_equal(std::string_view a, std::string_view b) {
  if (json_size(a) != json_size(b)) return false;
  bool equal = true;
  each_member(a, [&](std::string_view raw, std::string_view value) {
    std::optional<std::string_view> other = json_member(b, resolve_escapes(raw));
    equal = other && json_equal(value, *other);
    return equal;
  });
  return equal;
}

bool arrays_equal(std::string_view a, std::string_view b) {
  std::vector<std::string_view> left, right;
  each_element(a, [&](std::string_view e) {
    left.push_back(e);
    return true;
  });
  each_element(b, [&](std::string_view e) {
    right.push_back(e);
    return true;
  });
  if (left.size() != right.size()) return false;
  for (std::size_t i = 0; i < left.size(); ++i)
    if (!json_equal(left[i], right[i])) return false;
  return true;
}

}  // namespace

JsonKind json_kind(std::string_view json) {
  if (json.empty()) return JsonKind::kNull;
  switch (json.front()) {
    case '{': return JsonKind::kObject;
    case '[': return JsonKind::kArray;
    case '"': return JsonKind::kString;
    case 't':
    case 'f': return JsonKind::kBool;
    case 'n': return JsonKind::kNull;
    default: return JsonKind::kNumber;
  }
}

std::optional<std::string_view> json_member(std::string_view json, std::string_view key) {
  std::optional<std::string_view> found;
  each_member(json, [&](std::string_view raw, std::string_view value) {
    if (key_is(raw, key)) found = value;
    return true;
  });
  return found;
}

std::optional<std::string_view> json_element(std::string_view json, std::int64_t index) {
  std::optional<std::string_view> found;
  if (index < 0) return found;
  each_element(json, [&](std::string_view element) {
    if (index-- == 0) found = element;
    return !found;
  });
  return found;
}

void json_each(std::string_view array, const std::function<bool(std::string_view)>& visit) {
  each_element(array, visit);
}

void json_each_member(std::string_view object, const std::function<bool(std::string_view, std::string_view)>& visit) {
  each_member(object, [&](std::string_view raw, std::string_view value) {
    if (raw.find('\\') == std::string_view::npos) return visit(raw, value);
    return visit(resolve_escapes(raw), value);
  });
}

std::size_t json_size(std::string_view json) {
  std::size_t count = 0;
  each_element(json, [&](std::string_view) {
    ++count;
    return true;
  });
  each_member(json, [&](std::string_view, std::string_view) {
    ++count;
    return true;
  });
  return count;
}

std::string json_unquoted(std::string_view json) { return resolve_escapes(inside_quotes(json)); }

bool json_equal(std::string_view a, std::string_view b) {
  if (a == b) return true;
  JsonKind kind = json_kind(a);
  if (kind != json_kind(b)) return false;
  switch (kind) {
    case JsonKind::kNull: return true;
    case JsonKind::kBool: return false;  // their texts differ
    case JsonKind::kNumber: return numbers_equal(a, b);
    case JsonKind::kString: return json_unquoted(a) == json_unquoted(b);
    case JsonKind::kArray: return arrays_equal(a, b);
    case JsonKind::kObject: return objects_equal(a, b);
  }
  return false;
}

}  // namespace thalweg::expr
