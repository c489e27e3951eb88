#include "llm/parsers/parsers.h"

#include "engine/expr/unicode.h"

namespace thalweg::llm {

bool is_valid_utf8(std::string_view bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    if (static_cast<unsigned char>(bytes[at]) < 0x80) {
      ++at;
      continue;
    }
    const expr::CodePoint point = expr::code_point_at(bytes, at);
    if (point.value >= expr::kBroken) return false;
    at += point.bytes;
  }
  return true;
}

Result<ParsedParts> parse_utf8(std::string_view bytes) {
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  if (!is_valid_utf8(bytes)) return fail(Code::kBadData, "the document is no UTF-8 text");
  ParsedParts out(1);
  out[0].text = bytes;
  return out;
}

namespace {

bool looks_like_html(std::string_view bytes) {
  std::string head(bytes.substr(0, 1024));
  for (char& c : head)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  const std::size_t first = head.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  if (first == std::string::npos) return false;
  const std::string_view begin = std::string_view(head).substr(first);
  return begin.starts_with("<!doctype html") || begin.starts_with("<html") ||
         (begin.starts_with("<?xml") && begin.find("<html") != std::string_view::npos);
}

}  // namespace

Result<ParsedParts> parse_document(std::string_view bytes) {
  if (is_mail(bytes)) return parse_mail(bytes);  // which may have a PDF in it
  if (bytes.substr(0, 1024).find("%PDF-") != std::string_view::npos) return parse_pdf(bytes);
  if (bytes.starts_with("PK\x03\x04")) return parse_office(bytes);
  if (is_picture(bytes)) return parse_picture(bytes);
  if (looks_like_html(bytes)) return parse_html(bytes);
  return parse_utf8(bytes);
}

}  // namespace thalweg::llm
