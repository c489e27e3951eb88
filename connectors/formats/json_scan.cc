#include "connectors/formats/json_scan.h"

namespace thalweg::json {

namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_json_digit(char c) { return c >= '0' && c <= '9'; }

// Four hex digits that skip_escape has seen.
std::uint32_t hex4(const char* p) {
  std::uint32_t v = 0;
  for (int i = 0; i < 4; ++i) v = v << 4 | static_cast<std::uint32_t>(hex_value(p[i]));
  return v;
}

void append_utf8(std::uint32_t c, std::string& out) {
  auto byte = [&](std::uint32_t b) { out += static_cast<char>(b); };
  if (c < 0x80) {
    byte(c);
  } else if (c < 0x800) {
    byte(0xC0 | c >> 6);
    byte(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    byte(0xE0 | c >> 12);
    byte(0x80 | (c >> 6 & 0x3F));
    byte(0x80 | (c & 0x3F));
  } else {
    byte(0xF0 | c >> 18);
    byte(0x80 | (c >> 12 & 0x3F));
    byte(0x80 | (c >> 6 & 0x3F));
    byte(0x80 | (c & 0x3F));
  }
}

char plain_escape(char c) {
  switch (c) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return c;  // quote, backslash, slash
  }
}

const char* skip_blanks_noting(const char* p, bool& blanks) {
  const char* end = skip_blanks(p);
  blanks |= end != p;
  return end;
}

const char* skip_object(const char* p, bool& blanks, int depth) {
  p = skip_blanks_noting(p + 1, blanks);
  if (*p == '}') return p + 1;
  while (true) {
    if (*p != '"') return nullptr;
    bool escaped = false;
    p = string_end(p + 1, escaped);
    if (!p) return nullptr;
    p = skip_blanks_noting(p + 1, blanks);
    if (*p != ':') return nullptr;
    p = skip_value(skip_blanks_noting(p + 1, blanks), blanks, depth + 1);
    if (!p) return nullptr;
    p = skip_blanks_noting(p, blanks);
    if (*p == '}') return p + 1;
    if (*p != ',') return nullptr;
    p = skip_blanks_noting(p + 1, blanks);
  }
}

const char* skip_array(const char* p, bool& blanks, int depth) {
  p = skip_blanks_noting(p + 1, blanks);
  if (*p == ']') return p + 1;
  while (true) {
    p = skip_value(p, blanks, depth + 1);
    if (!p) return nullptr;
    p = skip_blanks_noting(p, blanks);
    if (*p == ']') return p + 1;
    if (*p != ',') return nullptr;
    p = skip_blanks_noting(p + 1, blanks);
  }
}

}  // namespace

const char* skip_escape(const char* p) {
  switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't': return p + 2;
    case 'u':
      for (int i = 2; i < 6; ++i)
        if (hex_value(p[i]) < 0) return nullptr;
      return p + 6;
    default: return nullptr;
  }
}

bool unescape(std::string_view content, std::string& out) {
  const char* p = content.data();
  const char* end = p + content.size();
  while (p < end) {
    if (*p != '\\') {
      out += *p++;
      continue;
    }
    if (p[1] != 'u') {
      out += plain_escape(p[1]);
      p += 2;
      continue;
    }
    std::uint32_t c = hex4(p + 2);
    p += 6;
    if (c >= 0xDC00 && c < 0xE000) return false;
    if (c >= 0xD800 && c < 0xDC00) {
      if (end - p < 6 || p[0] != '\\' || p[1] != 'u') return false;
      std::uint32_t low = hex4(p + 2);
      if (low < 0xDC00 || low >= 0xE000) return false;
      c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
      p += 6;
    }
    append_utf8(c, out);
  }
  return true;
}

NumberEnd skip_number(const char* p) {
  if (*p == '-') ++p;
  if (!is_json_digit(*p)) return {};
  if (*p == '0')
    ++p;
  else
    while (is_json_digit(*p)) ++p;
  bool is_integer = true;
  if (*p == '.') {
    is_integer = false;
    if (!is_json_digit(*++p)) return {};
    while (is_json_digit(*p)) ++p;
  }
  if (*p == 'e' || *p == 'E') {
    is_integer = false;
    ++p;
    if (*p == '+' || *p == '-') ++p;
    if (!is_json_digit(*p)) return {};
    while (is_json_digit(*p)) ++p;
  }
  return {p, is_integer};
}

const char* skip_value(const char* p, bool& blanks, int depth) {
  if (depth > kDepthMax) return nullptr;
  switch (*p) {
    case '"': {
      bool escaped = false;
      p = string_end(p + 1, escaped);
      return p ? p + 1 : nullptr;
    }
    case '{': return skip_object(p, blanks, depth);
    case '[': return skip_array(p, blanks, depth);
    case 't': return is_word(p, "true") ? p + 4 : nullptr;
    case 'f': return is_word(p, "false") ? p + 5 : nullptr;
    case 'n': return is_word(p, "null") ? p + 4 : nullptr;
    default: return skip_number(p).end;
  }
}

}  // namespace thalweg::json
