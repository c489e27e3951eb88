#include "llm/text/splitters.h"

#include <algorithm>

#include "engine/expr/unicode.h"

namespace thalweg::llm {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

Piece trimmed(std::string_view text, Piece piece) {
  while (piece.begin < piece.end && is_blank(text[piece.begin])) ++piece.begin;
  while (piece.end > piece.begin && is_blank(text[piece.end - 1])) --piece.end;
  return piece;
}

std::string_view view(std::string_view text, Piece piece) { return text.substr(piece.begin, piece.end - piece.begin); }

// The parts between separators; each but the last has its separator at its end.
std::vector<Piece> parts_of(std::string_view text, Piece piece, const std::string& separator) {
  std::vector<Piece> out;
  std::size_t begin = piece.begin;
  if (separator.empty()) {
    while (begin < piece.end) {
      const std::size_t bytes = expr::code_point_at(text.substr(0, piece.end), begin).bytes;
      out.push_back({begin, begin + bytes});
      begin += bytes;
    }
    return out;
  }
  for (;;) {
    const std::size_t at = text.find(separator, begin);
    if (at == std::string_view::npos || at + separator.size() > piece.end) break;
    out.push_back({begin, at + separator.size()});
    begin = at + separator.size();
  }
  if (begin < piece.end) out.push_back({begin, piece.end});
  return out;
}

// Neighbours put together while they fit; the next chunk begins with the last parts of the one before it that are not
// longer than `overlap`.
void put_together(std::string_view text, const std::vector<Piece>& parts, std::size_t size, std::size_t overlap,
                  const Measure& measure, std::vector<Piece>& out) {
  std::vector<std::size_t> lengths;
  lengths.reserve(parts.size());
  for (const Piece part : parts) lengths.push_back(measure(view(text, part)));
  std::size_t first = 0, total = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (total > 0 && total + lengths[i] > size) {
      const Piece chunk = trimmed(text, {parts[first].begin, parts[i - 1].end});
      if (chunk.begin < chunk.end) out.push_back(chunk);
      while (first < i && (total > overlap || total + lengths[i] > size)) total -= lengths[first++];
    }
    total += lengths[i];
  }
  if (first >= parts.size()) return;
  const Piece chunk = trimmed(text, {parts[first].begin, parts.back().end});
  if (chunk.begin < chunk.end) out.push_back(chunk);
}

void split(std::string_view text, Piece piece, std::size_t level, const RecursiveOptions& options,
           const Measure& measure, std::vector<Piece>& out) {
  // The first separator that is there; the last one if none is.
  while (level + 1 < options.separators.size() && !options.separators[level].empty() &&
         view(text, piece).find(options.separators[level]) == std::string_view::npos)
    ++level;
  const std::string separator = level < options.separators.size() ? options.separators[level] : "";
  std::vector<Piece> fitting;
  for (const Piece part : parts_of(text, piece, separator)) {
    if (separator.empty() || measure(view(text, trimmed(text, part))) <= options.chunk_size) {
      fitting.push_back(part);
      continue;
    }
    put_together(text, fitting, options.chunk_size, options.chunk_overlap, measure, out);
    fitting.clear();
    if (level + 1 < options.separators.size())
      split(text, part, level + 1, options, measure, out);
    else
      out.push_back(trimmed(text, part));  // nothing left to split it by
  }
  put_together(text, fitting, options.chunk_size, options.chunk_overlap, measure, out);
}

// Where a sentence may end: behind `.`, `!`, `?`, `…` or their CJK kin, closing quotes and brackets included.
std::vector<Piece> sentences_of(std::string_view text) {
  std::vector<Piece> out;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const expr::CodePoint point = expr::code_point_at(text, at);
    at += point.bytes;
    const char32_t c = point.value;
    const bool cjk = c == 0x3002 || c == 0xFF01 || c == 0xFF1F;
    bool ends = cjk || c == '\n';
    if (c == '.' || c == '!' || c == '?' || c == 0x2026) {
      while (at < text.size() && (text[at] == '"' || text[at] == '\'' || text[at] == ')' || text[at] == ']' ||
                                  text[at] == '.' || text[at] == '!' || text[at] == '?'))
        ++at;
      ends = at == text.size() || is_blank(text[at]);
    }
    if (!ends) continue;
    out.push_back({begin, at});
    begin = at;
  }
  if (begin < text.size()) out.push_back({begin, text.size()});
  return out;
}

}  // namespace

std::vector<Piece> split_recursively(std::string_view text, const RecursiveOptions& options, const Measure& measure) {
  std::vector<Piece> out;
  split(text, {0, text.size()}, 0, options, measure, out);
  std::erase_if(out, [](Piece piece) { return piece.begin >= piece.end; });
  return out;
}

std::vector<Piece> split_sentences(std::string_view text, std::size_t chunk_size, std::size_t overlap,
                                   const Measure& measure) {
  std::vector<Piece> out;
  put_together(text, sentences_of(text), chunk_size, overlap, measure, out);
  return out;
}

}  // namespace thalweg::llm
