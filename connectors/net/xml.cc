#include "connectors/net/xml.h"

#include <fmt/format.h>

#include <charconv>

namespace thalweg::net {

namespace {

constexpr int kDepthMax = 64;

void put_utf8(std::string& out, std::uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

class Parser {
 public:
  explicit Parser(std::string_view document) : all_(document) {
    if (all_.starts_with("\xEF\xBB\xBF")) at_ = 3;
  }

  Result<XmlElement> run() {
    TRY(between());
    if (!here("<")) return wrong("an element should begin");
    XmlElement root = TRY(element(0));
    TRY(between());
    if (at_ != all_.size()) return wrong("something follows the document");
    return root;
  }

 private:
  [[nodiscard]] std::unexpected<Error> wrong(std::string_view what) const {
    return fail(Code::kBadData, fmt::format("this is no XML: {} at byte {}", what, at_));
  }
  [[nodiscard]] bool here(std::string_view text) const { return all_.substr(at_).starts_with(text); }
  static bool blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
  void skip_blanks() {
    while (at_ < all_.size() && blank(all_[at_])) ++at_;
  }
  Result<void> skip_past(std::string_view end) {
    const std::size_t found = all_.find(end, at_);
    if (found == std::string_view::npos) return wrong("the end is missing");
    at_ = found + end.size();
    return {};
  }

  // Blanks, comments and instructions outside of the root.
  Result<void> between() {
    while (true) {
      skip_blanks();
      if (here("<?"))
        TRY(skip_past("?>"));
      else if (here("<!--"))
        TRY(skip_past("-->"));
      else
        return {};
    }
  }

  Result<std::string> name() {
    const std::size_t end = std::min(all_.find_first_of(" \t\r\n/>=<&\"'", at_), all_.size());
    if (end == at_) return wrong("a name is missing");
    std::string_view full = all_.substr(at_, end - at_);
    at_ = end;
    const std::size_t colon = full.rfind(':');
    return std::string(colon == std::string_view::npos ? full : full.substr(colon + 1));
  }

  Result<void> attributes() {
    while (true) {
      skip_blanks();
      if (at_ >= all_.size()) return wrong("a tag does not end");
      if (here(">") || here("/>")) return {};
      TRY(name());
      skip_blanks();
      if (!here("=")) return wrong("an attribute has no value");
      ++at_;
      skip_blanks();
      const char quote = at_ < all_.size() ? all_[at_] : '\0';
      if (quote != '"' && quote != '\'') return wrong("an attribute's value has no quotes");
      ++at_;
      TRY(skip_past(std::string_view(&quote, 1)));
    }
  }

  Result<XmlElement> element(int depth) {
    if (depth > kDepthMax) return wrong("it is too deep");
    ++at_;  // <
    XmlElement out;
    out.name = TRY(name());
    TRY(attributes());
    if (here("/>")) {
      at_ += 2;
      return out;
    }
    ++at_;  // >
    TRY(content(out, depth));
    at_ += 2;  // </
    if (TRY(name()) != out.name) return wrong("an element ends that did not begin");
    skip_blanks();
    if (!here(">")) return wrong("an end tag does not end");
    ++at_;
    return out;
  }

  Result<void> content(XmlElement& out, int depth) {
    while (true) {
      if (at_ >= all_.size()) return wrong("an element does not end");
      if (here("</")) return {};
      if (here("<!--")) {
        TRY(skip_past("-->"));
      } else if (here("<![CDATA[")) {
        at_ += 9;
        const std::size_t begin = at_;
        TRY(skip_past("]]>"));
        out.text += all_.substr(begin, at_ - 3 - begin);
      } else if (here("<?")) {
        TRY(skip_past("?>"));
      } else if (here("<!")) {
        return wrong("a declaration stands within an element");
      } else if (here("<")) {
        out.children.push_back(TRY(element(depth + 1)));
      } else if (here("&")) {
        TRY(entity(out.text));
      } else {
        const std::size_t end = std::min(all_.find_first_of("<&", at_), all_.size());
        out.text += all_.substr(at_, end - at_);
        at_ = end;
      }
    }
  }

  Result<void> entity(std::string& out) {
    const std::size_t end = all_.find(';', at_);
    if (end == std::string_view::npos || end - at_ > 12) return wrong("an entity does not end");
    const std::string_view what = all_.substr(at_ + 1, end - at_ - 1);
    if (what == "amp")
      out += '&';
    else if (what == "lt")
      out += '<';
    else if (what == "gt")
      out += '>';
    else if (what == "quot")
      out += '"';
    else if (what == "apos")
      out += '\'';
    else if (!number(what, out))
      return wrong("an entity is not known");
    at_ = end + 1;
    return {};
  }

  static bool number(std::string_view what, std::string& out) {
    if (!what.starts_with('#')) return false;
    what.remove_prefix(1);
    const bool in_hex = what.starts_with('x');
    if (in_hex) what.remove_prefix(1);
    std::uint32_t c = 0;
    auto [stop, error] = std::from_chars(what.data(), what.data() + what.size(), c, in_hex ? 16 : 10);
    const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    if (error != std::errc() || stop != what.data() + what.size() || c == 0 || c > 0x10FFFF || surrogate) return false;
    put_utf8(out, c);
    return true;
  }

  const std::string_view all_;
  std::size_t at_ = 0;
};

}  // namespace

const XmlElement* XmlElement::find(std::string_view child) const {
  for (const XmlElement& one : children)
    if (one.name == child) return &one;
  return nullptr;
}

std::string XmlElement::text_of(std::string_view child) const {
  const XmlElement* found = find(child);
  return found ? found->text : std::string{};
}

Result<XmlElement> parse_xml(std::string_view document) { return Parser(document).run(); }

std::string xml_escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace thalweg::net
