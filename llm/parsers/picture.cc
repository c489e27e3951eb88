// Pictures → text, by `tesseract` in a process of its own.
#include "llm/parsers/child.h"
#include "llm/parsers/parsers.h"

namespace thalweg::llm {

bool is_picture(std::string_view bytes) {
  using namespace std::string_view_literals;
  return bytes.starts_with("\x89PNG\r\n\x1a\n"sv) || bytes.starts_with("\xff\xd8\xff"sv) ||
         bytes.starts_with("GIF8"sv) || bytes.starts_with("II*\0"sv) || bytes.starts_with("MM\0*"sv) ||
         (bytes.starts_with("RIFF"sv) && bytes.substr(8).starts_with("WEBP"sv)) ||
         (bytes.size() > 2 && bytes[0] == 'P' && bytes[1] >= '4' && bytes[1] <= '6' &&
          (bytes[2] == '\n' || bytes[2] == ' '));
}

Result<std::string> read_picture(std::string_view bytes) {
  constexpr std::size_t kTextMax = 16U << 20;
  auto read = run_child({"tesseract", "stdin", "stdout"}, bytes, {.seconds = 120, .output_bytes = kTextMax});
  if (!read && read.error().code == Code::kUnavailable)
    return fail(Code::kUnavailable, "pictures are read by `tesseract`, which is not installed (package tesseract-ocr)");
  std::string text = TRY(std::move(read));
  if (!is_valid_utf8(text)) return fail(Code::kBadData, "the picture has no readable text");
  while (text.ends_with('\n') || text.ends_with('\f') || text.ends_with(' ')) text.pop_back();
  return text;
}

Result<ParsedParts> parse_picture(std::string_view bytes) {
  ParsedParts out(1);
  out[0].text = TRY(read_picture(bytes));
  out[0].metadata_json = R"({"filetype":"image","ocr":true})";
  return out;
}

}  // namespace thalweg::llm
