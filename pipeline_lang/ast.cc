#include "pipeline_lang/ast.h"

#include <algorithm>

namespace thalweg::ast {
namespace {

bool starts_identifier(char c) {
  const auto u = static_cast<unsigned char>(c);
  return (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || u == '_' || u >= 0x80;
}

}  // namespace

bool is_identifier(std::string_view text) {
  if (text.empty() || !starts_identifier(text[0])) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return starts_identifier(c) || (c >= '0' && c <= '9'); });
}

bool Node::is_reference() const {
  return is_plain() && text.size() > 1 && text[0] == '$' && is_identifier(std::string_view(text).substr(1));
}

SourceSpan Node::sub_span(std::size_t begin, std::size_t end) const {
  if (!verbatim || !span.known()) return span;
  begin = std::min(begin, text.size());
  end = std::clamp(end, begin, text.size());
  return {span.file, text_begin + static_cast<std::uint32_t>(begin), text_begin + static_cast<std::uint32_t>(end)};
}

}  // namespace thalweg::ast
