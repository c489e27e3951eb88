#include "pipeline_lang/yaml_source.h"

#include <algorithm>

namespace thalweg::yaml {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::size_t skip_blanks_and_comments(std::string_view source, std::size_t at) {
  while (at < source.size()) {
    if (is_blank(source[at])) {
      ++at;
    } else if (source[at] == '#' && (at == 0 || is_blank(source[at - 1]))) {
      while (at < source.size() && source[at] != '\n') ++at;
    } else {
      break;
    }
  }
  return at;
}

std::size_t skip_word(std::string_view source, std::size_t at) {
  while (at < source.size() && !is_blank(source[at]) && source[at] != ',' && source[at] != ']' && source[at] != '}' &&
         source[at] != '[' && source[at] != '{')
    ++at;
  return at;
}

// Position of the closing quote, or npos.
std::size_t closing_quote(std::string_view source, std::size_t begin) {
  const char quote = source[begin];
  for (std::size_t i = begin + 1; i < source.size(); ++i) {
    if (quote == '"' && source[i] == '\\') {
      ++i;
    } else if (source[i] == quote) {
      if (quote == '\'' && i + 1 < source.size() && source[i + 1] == '\'')
        ++i;
      else
        return i;
    }
  }
  return std::string_view::npos;
}

std::size_t line_end(std::string_view source, std::size_t at) {
  const std::size_t end = source.find('\n', at);
  return end == std::string_view::npos ? source.size() : end;
}

// A block scalar ends before the first line that is indented less than its first one.
ScalarPlace block_place(std::string_view source, std::size_t begin) {
  ScalarPlace place;
  place.quoted = true;
  std::size_t at = line_end(source, begin);
  std::size_t end = at;
  std::size_t indent = 0;
  bool known = false;
  place.text_begin = static_cast<std::uint32_t>(std::min(at + 1, source.size()));
  while (at < source.size()) {
    const std::size_t line = at + 1;
    const std::size_t stop = line_end(source, std::min(line, source.size()));
    std::size_t text = line;
    while (text < stop && source[text] == ' ') ++text;
    const bool blank = text >= stop || source[text] == '\r';
    if (!blank) {
      if (!known) {
        indent = text - line;
        known = true;
        if (indent == 0) break;
      }
      if (text - line < indent) break;
      end = stop;
    }
    at = stop;
  }
  place.end = static_cast<std::uint32_t>(std::max(end, begin));
  return place;
}

// Walks a plain scalar that may be folded over lines.
std::size_t plain_end(std::string_view source, std::size_t begin, std::string_view value) {
  std::size_t at = begin;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (is_blank(value[i])) {
      while (at < source.size() && is_blank(source[at])) ++at;
      while (i + 1 < value.size() && is_blank(value[i + 1])) ++i;
    } else if (at < source.size() && source[at] == value[i]) {
      ++at;
    } else {
      return line_end(source, begin);
    }
  }
  return at;
}

}  // namespace

Properties skip_properties(std::string_view source, std::uint32_t at) {
  Properties out;
  std::size_t i = at;
  for (int n = 0; n < 2 && i < source.size() && (source[i] == '!' || source[i] == '&'); ++n) {
    const std::size_t end = skip_word(source, i);
    if (source[i] == '!') {
      out.tag_begin = static_cast<std::uint32_t>(i);
      out.tag_end = static_cast<std::uint32_t>(end);
    }
    i = skip_blanks_and_comments(source, end);
  }
  out.value_begin = static_cast<std::uint32_t>(i);
  return out;
}

ScalarPlace find_scalar(std::string_view source, std::uint32_t begin, std::string_view value, bool quoted_hint) {
  ScalarPlace place;
  place.end = place.text_begin = begin;
  if (begin >= source.size()) return place;
  const char first = source[begin];
  if ((first == '"' || first == '\'') &&
      (quoted_hint || value.empty() || value[0] != first || closing_quote(source, begin) != std::string_view::npos)) {
    const std::size_t close = closing_quote(source, begin);
    place.quoted = true;
    place.unterminated = close == std::string_view::npos;
    if (place.unterminated) return place;
    place.text_begin = begin + 1;
    place.end = static_cast<std::uint32_t>(close + 1);
    place.verbatim = source.substr(begin + 1, close - begin - 1) == value;
    return place;
  }
  if ((first == '|' || first == '>') && (quoted_hint || value.empty() || value[0] != first))
    return block_place(source, begin);
  if (value.empty()) return place;
  place.quoted = quoted_hint && source.substr(begin, value.size()) != value;
  place.verbatim = source.substr(begin, value.size()) == value;
  place.end = static_cast<std::uint32_t>(place.verbatim ? begin + value.size() : plain_end(source, begin, value));
  return place;
}

std::string_view null_word(std::string_view source, std::uint32_t at) {
  for (std::string_view word : {"~", "null", "Null", "NULL"}) {
    if (source.substr(at, word.size()) != word) continue;
    std::size_t next = at + word.size();
    if (next < source.size() && !is_blank(source[next]) && source[next] != ',' && source[next] != ']' &&
        source[next] != '}' && source[next] != ':')
      return {};
    while (next < source.size() && (source[next] == ' ' || source[next] == '\t')) ++next;
    return source.substr(at, word.size());
  }
  return {};
}

std::uint32_t flow_end(std::string_view source, std::uint32_t at) {
  std::size_t i = at;
  for (int commas = 0; commas < 2; ++commas) {
    i = skip_blanks_and_comments(source, i);
    if (i < source.size() && (source[i] == '{' || source[i] == '[') && i == at) ++i;  // an empty collection
    i = skip_blanks_and_comments(source, i);
    if (i < source.size() && (source[i] == '}' || source[i] == ']')) return static_cast<std::uint32_t>(i + 1);
    if (i < source.size() && source[i] == ',') ++i;
  }
  return at;
}

std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char c = byte(at);
  if (c < 0x80) return 1;
  const std::size_t length = c >= 0xF0 && c <= 0xF4 ? 4 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xC2 && c < 0xE0 ? 2 : 0;
  if (length == 0 || at + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(at + i) & 0xC0) != 0x80) return 0;
  const unsigned char second = byte(at + 1);
  if ((c == 0xE0 && second < 0xA0) || (c == 0xED && second > 0x9F) || (c == 0xF0 && second < 0x90) ||
      (c == 0xF4 && second > 0x8F))
    return 0;
  return length;
}

}  // namespace thalweg::yaml
