#include "pipeline_lang/scalar_map.h"

#include <algorithm>

namespace thalweg::lang {
namespace {

bool is_white(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::size_t utf8_length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// Bytes of an escape of a double-quoted scalar, the backslash included.
std::size_t escape_length(std::string_view raw, std::size_t at) {
  if (at + 1 >= raw.size()) return 1;
  switch (raw[at + 1]) {
    case 'x': return 4;
    case 'u': return 6;
    case 'U': return 10;
    default: return 2;
  }
}

// Where the text proper begins: behind the quote, or behind the line of a block's `|`.
std::size_t content_begin(std::string_view raw) {
  if (raw.empty()) return 0;
  if (raw[0] == '"' || raw[0] == '\'') return 1;
  if (raw[0] != '|' && raw[0] != '>') return 0;
  const std::size_t line_end = raw.find('\n');
  return line_end == std::string_view::npos ? raw.size() : line_end + 1;
}

}  // namespace

ScalarMap::ScalarMap(std::string_view decoded, SourceSpan scalar, const FileTable* files) : scalar_(scalar) {
  if (files == nullptr || !scalar.known()) return;
  const std::string_view file = files->text(scalar.file);
  if (scalar.begin >= file.size()) return;
  const std::string_view raw = file.substr(scalar.begin);
  const char style = raw[0];
  std::size_t at = content_begin(raw);
  offsets_.reserve(decoded.size() + 1);
  const auto place = [&](std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) offsets_.push_back(scalar.begin + static_cast<std::uint32_t>(at));
  };
  for (std::size_t i = 0; i < decoded.size();) {
    const char c = decoded[i];
    if (style == '"' && at < raw.size() && raw[at] == '\\') {
      if (at + 1 < raw.size() && is_white(raw[at + 1])) {  // a line continued
        at += 2;
        continue;
      }
      const std::size_t bytes = std::min(utf8_length(c), decoded.size() - i);
      place(bytes);
      at += escape_length(raw, at);
      i += bytes;
      continue;
    }
    // Folding and indentation: blanks of the file that the text does not have, or has as one blank.
    if (at < raw.size() && raw[at] != c && is_white(raw[at])) {
      if (is_white(c)) {
        place(1);
        ++i;
      }
      ++at;
      continue;
    }
    if (at >= raw.size() || raw[at] != c) {  // not what this text came from
      offsets_.clear();
      return;
    }
    place(1);
    at += style == '\'' && c == '\'' ? 2 : 1;
    ++i;
  }
  place(1);
}

SourceSpan ScalarMap::at(std::size_t begin, std::size_t end) const {
  if (offsets_.empty()) return scalar_;
  const std::size_t last = offsets_.size() - 1;
  begin = std::min(begin, last);
  end = std::clamp(end, begin, last);
  SourceSpan span = scalar_;
  span.begin = offsets_[begin];
  // The end of the last byte, so that folded blanks behind it are not underlined.
  span.end = end > begin ? offsets_[end - 1] + 1 : span.begin + 1;
  return span;
}

}  // namespace thalweg::lang
