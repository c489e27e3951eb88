// llm/parsers/parsers.h
//
// Documents → their text. What they are is seen from their bytes: PDF, DOCX, PPTX, XLSX, HTML, e-mail, picture, else
// UTF-8 text (Markdown is text).
//
// P1  A broken document is an error, never a crash; what is unpacked is limited to 256 MiB.
// P2  PDFs and pictures are read by programs of others (pdftotext, tesseract), in processes of their own (child.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace thalweg::llm {

struct ParsedPart {
  std::string text;
  std::string metadata_json = "{}";  // `{"page_number":0}`
};
using ParsedParts = std::vector<ParsedPart>;

[[nodiscard]] Result<ParsedParts> parse_utf8(std::string_view bytes);
[[nodiscard]] Result<ParsedParts> parse_document(std::string_view bytes);

// One part per page, slide or sheet.
[[nodiscard]] Result<ParsedParts> parse_pdf(std::string_view bytes);
[[nodiscard]] Result<ParsedParts> parse_office(std::string_view bytes);
[[nodiscard]] Result<ParsedParts> parse_html(std::string_view bytes);

// The mail, then each attachment.
[[nodiscard]] Result<ParsedParts> parse_mail(std::string_view bytes);
[[nodiscard]] bool is_mail(std::string_view bytes);
// One part per section, with its `headings`.
[[nodiscard]] Result<ParsedParts> parse_markdown(std::string_view bytes);
// By optical recognition of characters.
[[nodiscard]] Result<ParsedParts> parse_picture(std::string_view bytes);
[[nodiscard]] Result<std::string> read_picture(std::string_view bytes);
[[nodiscard]] bool is_picture(std::string_view bytes);

[[nodiscard]] bool is_valid_utf8(std::string_view bytes);

}  // namespace thalweg::llm
