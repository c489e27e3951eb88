// HTML → text as a reader sees it: blocks on lines of their own, headings and list items marked as in Markdown.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "llm/parsers/markup.h"
#include "llm/parsers/parsers.h"

namespace thalweg::llm {

namespace {

constexpr std::string_view kBlocks[] = {
    "p",  "div", "section", "article", "header",     "footer", "main",   "ul",   "ol", "table", "h1",  "h2",
    "h3", "h4",  "h5",      "h6",      "blockquote", "pre",    "figure", "form", "dl", "body",  "nav", "aside"};
constexpr std::string_view kLines[] = {"br", "li", "tr", "dt", "dd", "option", "hr"};
constexpr std::string_view kHidden[] = {"script", "style", "head", "template", "noscript", "svg"};

template <std::size_t N>
bool is_in(const std::string_view (&names)[N], std::string_view name) {
  return std::ranges::find(names, name) != std::end(names);
}

class Writer {
 public:
  void tag(const Tag& tag) {
    if (tag.name == "title") in_title_ = !tag.closing;
    if (is_in(kHidden, tag.name) && !tag.empty) hidden_ = std::max(0, hidden_ + (tag.closing ? -1 : 1));
    // A head without its end ends with the body.
    if (tag.name == "body") hidden_ = 0;
    if (tag.name == "pre") pre_ = std::max(0, pre_ + (tag.closing ? -1 : 1));
    if (hidden_ > 0) return;
    if (is_in(kBlocks, tag.name)) breaks_ = std::max(breaks_, 2);
    if (is_in(kLines, tag.name)) breaks_ = std::max(breaks_, 1);
    if (tag.closing) return;
    if (tag.name.size() == 2 && tag.name[0] == 'h' && tag.name[1] >= '1' && tag.name[1] <= '6')
      prefix_ = std::string(static_cast<std::size_t>(tag.name[1] - '0'), '#') + " ";
    if (tag.name == "li") prefix_ = "- ";
    if (tag.name == "td" || tag.name == "th") prefix_ = at_line_start() ? "" : " | ";
  }
  void text(std::string_view raw) {
    if (in_title_) append_resolved(raw, title_);
    if (hidden_ > 0) return;
    std::string text;
    append_resolved(raw, text);
    for (const char c : text) {
      if (pre_ == 0 && (c == ' ' || c == '\n' || c == '\t' || c == '\r')) {
        blank_ = true;
        continue;
      }
      begin_word();
      out_ += c;
    }
  }
  std::string take() { return std::move(out_); }
  [[nodiscard]] const std::string& title() const { return title_; }

 private:
  [[nodiscard]] bool at_line_start() const { return out_.empty() || breaks_ > 0 || out_.back() == '\n'; }
  void begin_word() {
    if (breaks_ > 0 && !out_.empty()) {
      out_.append(static_cast<std::size_t>(breaks_), '\n');
    } else if (blank_ && prefix_.empty() && !out_.empty() && out_.back() != '\n' && out_.back() != ' ') {
      out_ += ' ';
    }
    out_ += prefix_;
    prefix_.clear();
    breaks_ = 0;
    blank_ = false;
  }

  std::string out_, title_, prefix_;
  int hidden_ = 0, pre_ = 0, breaks_ = 0;
  bool blank_ = false, in_title_ = false;
};

}  // namespace

Result<ParsedParts> parse_html(std::string_view bytes) {
  if (!is_valid_utf8(bytes)) return fail(Code::kBadData, "the document is no UTF-8 text");
  Writer writer;
  MarkupReader reader;
  reader.html = true;
  reader.on_tag = [&](const Tag& tag) { writer.tag(tag); };
  reader.on_text = [&](std::string_view raw) { writer.text(raw); };
  reader.read(bytes);
  nlohmann::json metadata = {{"filetype", "text/html"}};
  if (!writer.title().empty()) metadata["title"] = writer.title();
  ParsedParts out(1);
  out[0].text = writer.take();
  out[0].metadata_json = metadata.dump();
  return out;
}

}  // namespace thalweg::llm
