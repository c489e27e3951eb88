// DOCX, PPTX and XLSX: the texts in the XML files of their archives.
#include <algorithm>
#include <charconv>
#include <map>

#include <fmt/format.h>

#include "llm/parsers/markup.h"
#include "llm/parsers/parsers.h"
#include "llm/parsers/zip.h"

namespace thalweg::llm {

namespace {

// The text of paragraphs: `t` holds it, `p` ends a line, `tab` and `br` are what they say. Headings of DOCX are marked.
std::string paragraphs_of(std::string_view xml) {
  std::string out, line, prefix;
  bool in_text = false;
  MarkupReader reader;
  reader.on_tag = [&](const Tag& tag) {
    if (tag.name == "t") in_text = !tag.closing && !tag.empty;
    if (tag.name == "tab" && !tag.closing) line += '\t';
    if ((tag.name == "br" || tag.name == "cr") && !tag.closing) line += '\n';
    if (tag.name == "pStyle") {
      const std::string style = attribute_of(tag, "val");
      if (style.size() == 8 && style.starts_with("Heading") && style[7] >= '1' && style[7] <= '6')
        prefix = std::string(static_cast<std::size_t>(style[7] - '0'), '#') + " ";
      if (style == "Title") prefix = "# ";
    }
    if (tag.name == "p" && (tag.closing || tag.empty)) {
      if (!line.empty()) out += prefix + line + "\n";
      line.clear();
      prefix.clear();
    }
    if (tag.name == "tc" && tag.closing && !out.empty() && out.back() == '\n') out.back() = '\t';
    if (tag.name == "tr" && tag.closing && !out.empty() && out.back() == '\t') out.back() = '\n';
  };
  reader.on_text = [&](std::string_view raw) {
    if (in_text) append_resolved(raw, line);
  };
  reader.read(xml);
  out += line;
  while (out.ends_with('\n') || out.ends_with('\t')) out.pop_back();
  return out;
}

// `ppt/slides/slide12.xml` → 12.
int number_in(std::string_view name) {
  const std::size_t begin = name.find_first_of("0123456789");
  int out = 0;
  if (begin != std::string_view::npos) std::from_chars(name.data() + begin, name.data() + name.size(), out);
  return out;
}

std::vector<std::string> numbered(const Zip& zip, std::string_view prefix) {
  std::vector<std::string> out;
  for (std::string& name : zip.names())
    if (name.starts_with(prefix) && name.ends_with(".xml")) out.push_back(std::move(name));
  std::ranges::sort(out, {}, [&](const std::string& name) { return number_in(name.substr(prefix.size())); });
  return out;
}

Result<ParsedParts> parse_slides(Zip& zip) {
  ParsedParts out;
  for (const std::string& name : numbered(zip, "ppt/slides/slide")) {
    ParsedPart part;
    part.text = paragraphs_of(TRY(zip.read(name)));
    part.metadata_json = fmt::format(R"({{"filetype":"pptx","page_number":{}}})", out.size());
    out.push_back(std::move(part));
  }
  return out;
}

// Texts that cells refer to by number.
std::vector<std::string> shared_texts(std::string_view xml) {
  std::vector<std::string> out;
  bool in_text = false, phonetic = false;
  MarkupReader reader;
  reader.on_tag = [&](const Tag& tag) {
    if (tag.name == "si" && !tag.closing) out.emplace_back();
    if (tag.name == "rPh") phonetic = !tag.closing;
    if (tag.name == "t") in_text = !tag.closing && !tag.empty;
  };
  reader.on_text = [&](std::string_view raw) {
    if (in_text && !phonetic && !out.empty()) append_resolved(raw, out.back());
  };
  reader.read(xml);
  return out;
}

std::string rows_of(std::string_view xml, const std::vector<std::string>& shared) {
  std::string out, row, cell, type;
  bool in_value = false;
  MarkupReader reader;
  reader.on_tag = [&](const Tag& tag) {
    if (tag.name == "c" && !tag.closing) {
      type = attribute_of(tag, "t");
      cell.clear();
    }
    if (tag.name == "v" || tag.name == "t") in_value = !tag.closing && !tag.empty;
    if (tag.name == "c" && (tag.closing || tag.empty)) {
      if (type == "s") {
        std::size_t index = shared.size();
        std::from_chars(cell.data(), cell.data() + cell.size(), index);
        cell = index < shared.size() ? shared[index] : "";
      }
      row += (row.empty() ? "" : "\t") + cell;
    }
    if (tag.name == "row" && tag.closing) {
      if (row.find_first_not_of('\t') != std::string::npos) out += row + "\n";
      row.clear();
    }
  };
  reader.on_text = [&](std::string_view raw) {
    if (in_value) append_resolved(raw, cell);
  };
  reader.read(xml);
  return out;
}

Result<ParsedParts> parse_sheets(Zip& zip) {
  std::vector<std::string> shared;
  if (zip.has("xl/sharedStrings.xml")) shared = shared_texts(TRY(zip.read("xl/sharedStrings.xml")));
  ParsedParts out;
  for (const std::string& name : numbered(zip, "xl/worksheets/sheet")) {
    ParsedPart part;
    part.text = rows_of(TRY(zip.read(name)), shared);
    part.metadata_json = fmt::format(R"({{"filetype":"xlsx","page_number":{}}})", out.size());
    out.push_back(std::move(part));
  }
  return out;
}

}  // namespace

Result<ParsedParts> parse_office(std::string_view bytes) {
  Zip zip = TRY(Zip::open(bytes));
  if (zip.has("word/document.xml")) {
    ParsedParts out(1);
    out[0].text = paragraphs_of(TRY(zip.read("word/document.xml")));
    out[0].metadata_json = R"({"filetype":"docx"})";
    return out;
  }
  if (zip.has("ppt/presentation.xml")) return parse_slides(zip);
  if (zip.has("xl/workbook.xml")) return parse_sheets(zip);
  return fail(Code::kBadData, "the document is an archive that is no DOCX, PPTX or XLSX");
}

}  // namespace thalweg::llm
