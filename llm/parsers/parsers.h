// llm/parsers/parsers.h
//
// Documents → their text. What they are is seen from their bytes: PDF, DOCX, PPTX, XLSX, HTML, else UTF-8 text
// (Markdown is text).
//
// P1  A broken document is an error, never a crash; what is unpacked is limited to 256 MiB.
// P2  PDFs are read by a program of its own (pdftotext) with limits of time and memory.
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

[[nodiscard]] bool is_valid_utf8(std::string_view bytes);

}  // namespace thalweg::llm
