// PDF → text per page, by `pdftotext` of Poppler in a process of its own. A page without any text is a scan: it is read
// from its picture, where `tesseract` is installed.
#include <fmt/format.h>

#include "llm/parsers/child.h"
#include "llm/parsers/parsers.h"

namespace thalweg::llm {

namespace {

constexpr std::size_t kScansMax = 200;  // pages of a document that are read from their pictures

bool is_pdf_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n\f") == std::string_view::npos; }

Result<std::string> text_of_scan(std::string_view bytes, std::size_t page) {
  constexpr std::size_t kPictureMax = 256U << 20;
  const std::string number = std::to_string(page);
  const std::string picture = TRY(run_child({"pdftoppm", "-q", "-r", "200", "-gray", "-f", number, "-l", number, "-"},
                                            bytes, {.output_bytes = kPictureMax}));
  return read_picture(picture);
}

}  // namespace

Result<ParsedParts> parse_pdf(std::string_view bytes) {
  auto read = run_child({"pdftotext", "-q", "-enc", "UTF-8", "-", "-"}, bytes, {});
  if (!read && read.error().code == Code::kUnavailable)
    return fail(Code::kUnavailable, "PDFs are read by `pdftotext`, which is not installed (package poppler-utils)");
  const std::string text = TRY(std::move(read));
  if (!is_valid_utf8(text)) return fail(Code::kBadData, "the PDF has no readable text");
  ParsedParts out;
  std::size_t scans = 0;
  for (std::size_t begin = 0; begin < text.size();) {  // pages end with a form feed
    const std::size_t end = std::min(text.find('\f', begin), text.size());
    ParsedPart part;
    part.text = text.substr(begin, end - begin);
    bool scanned = false;
    if (is_pdf_blank(part.text) && scans < kScansMax) {
      ++scans;
      auto seen = text_of_scan(bytes, out.size() + 1);
      scanned = seen.has_value() && !is_pdf_blank(*seen);
      if (scanned) part.text = std::move(*seen);
      if (!seen && seen.error().code == Code::kUnavailable) scans = kScansMax;  // nor would the next be read
    }
    while (part.text.ends_with('\n')) part.text.pop_back();
    part.metadata_json =
        fmt::format(R"({{"filetype":"pdf","page_number":{}{}}})", out.size(), scanned ? R"(,"ocr":true)" : "");
    out.push_back(std::move(part));
    begin = end + 1;
  }
  return out;
}

}  // namespace thalweg::llm
