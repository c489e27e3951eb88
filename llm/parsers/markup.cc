#include "llm/parsers/markup.h"

#include <algorithm>
#include <charconv>

#include "engine/expr/unicode.h"

namespace thalweg::llm {

namespace {

struct Entity {
  std::string_view name;
  std::string_view text;
};
constexpr Entity kEntities[] = {
    {"amp", "&"},    {"lt", "<"},     {"gt", ">"},     {"quot", "\""},  {"apos", "'"},   {"nbsp", " "},
    {"ndash", "–"},  {"mdash", "—"},  {"lsquo", "‘"},  {"rsquo", "’"},  {"ldquo", "“"},  {"rdquo", "”"},
    {"hellip", "…"}, {"bull", "•"},   {"middot", "·"}, {"copy", "©"},   {"reg", "®"},    {"trade", "™"},
    {"euro", "€"},   {"pound", "£"},  {"sect", "§"},   {"deg", "°"},    {"times", "×"},  {"auml", "ä"},
    {"ouml", "ö"},   {"uuml", "ü"},   {"Auml", "Ä"},   {"Ouml", "Ö"},   {"Uuml", "Ü"},   {"szlig", "ß"},
    {"eacute", "é"}, {"egrave", "è"}, {"ecirc", "ê"},  {"agrave", "à"}, {"aacute", "á"}, {"ccedil", "ç"},
    {"ntilde", "ñ"}, {"oacute", "ó"}, {"iacute", "í"}, {"uacute", "ú"}, {"laquo", "«"},  {"raquo", "»"},
};

std::string lower_tag(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ':' || c == '-' || c == '_';
}

// Where the tag that begins at `at` ends (its `>`): quotes may hold one.
std::size_t end_of_tag(std::string_view text, std::size_t at) {
  char quote = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '>') {
      return at;
    }
  }
  return std::string_view::npos;
}

// A text whose end is `end_mark`; behind it.
std::size_t behind(std::string_view text, std::size_t at, std::string_view end_mark) {
  const std::size_t end = text.find(end_mark, at);
  return end == std::string_view::npos ? text.size() : end + end_mark.size();
}

}  // namespace

void append_resolved(std::string_view raw, std::string& out) {
  for (std::size_t at = 0; at < raw.size();) {
    if (raw[at] != '&') {
      out += raw[at++];
      continue;
    }
    const std::size_t end = raw.substr(0, std::min(raw.size(), at + 12)).find(';', at);
    const std::string_view name = end == std::string_view::npos ? "" : raw.substr(at + 1, end - at - 1);
    if (name.starts_with("#")) {
      const bool hex = name.size() > 1 && (name[1] == 'x' || name[1] == 'X');
      const std::string_view digits = name.substr(hex ? 2 : 1);
      std::uint32_t value = 0;
      const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, hex ? 16 : 10);
      if (error == std::errc() && rest == digits.data() + digits.size() && value > 0 && value < expr::kBroken &&
          !(value >= 0xD800 && value < 0xE000)) {
        expr::append_code_point(value, out);
        at = end + 1;
        continue;
      }
    }
    const auto* it = std::ranges::find(kEntities, name, &Entity::name);
    if (name.empty() || it == std::end(kEntities)) {
      out += raw[at++];
      continue;
    }
    out += it->text;
    at = end + 1;
  }
}

void MarkupReader::read(std::string_view text) const {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t open = std::min(text.find('<', at), text.size());
    if (open > at) on_text(text.substr(at, open - at));
    if (open == text.size()) return;
    const std::string_view rest = text.substr(open);
    if (rest.starts_with("<!--")) {
      at = behind(text, open + 4, "-->");
      continue;
    }
    if (rest.starts_with("<![CDATA[")) {
      at = behind(text, open, "]]>");
      on_text(text.substr(open + 9, at - open - 9 - std::min<std::size_t>(3, at - open - 9)));
      continue;
    }
    if (rest.starts_with("<!") || rest.starts_with("<?")) {
      at = behind(text, open, ">");
      continue;
    }
    Tag tag;
    tag.closing = rest.starts_with("</");
    std::size_t name_end = open + (tag.closing ? 2 : 1);
    const std::size_t name_begin = name_end;
    while (name_end < text.size() && is_name_char(text[name_end])) ++name_end;
    const std::size_t close = name_end == name_begin ? std::string_view::npos : end_of_tag(text, name_end);
    if (close == std::string_view::npos) {  // no tag after all
      on_text(text.substr(open, 1));
      at = open + 1;
      continue;
    }
    tag.name = text.substr(name_begin, name_end - name_begin);
    if (html)
      tag.name = lower_tag(tag.name);
    else
      tag.name.erase(0, tag.name.rfind(':') + 1);
    tag.inside = text.substr(open + 1, close - open - 1);
    tag.empty = tag.inside.ends_with('/');
    on_tag(tag);
    at = close + 1;
    if (html && !tag.closing && (tag.name == "script" || tag.name == "style")) {
      const std::string end_tag = "</" + tag.name;
      const std::size_t end = lower_tag(text.substr(at)).find(end_tag);
      at = end == std::string::npos ? text.size() : at + end;
    }
  }
}

std::string attribute_of(const Tag& tag, std::string_view name) {
  std::size_t at = 0;
  for (;;) {
    at = tag.inside.find(name, at);
    if (at == std::string_view::npos || at == 0) return {};
    const char before = tag.inside[at - 1];
    std::size_t next = at + name.size();
    at = next;
    if (before != ' ' && before != ':' && before != '\n' && before != '\t') continue;
    while (next < tag.inside.size() && tag.inside[next] == ' ') ++next;
    if (next >= tag.inside.size() || tag.inside[next] != '=') continue;
    ++next;
    while (next < tag.inside.size() && tag.inside[next] == ' ') ++next;
    if (next >= tag.inside.size()) return {};
    const char quote = tag.inside[next];
    const bool quoted = quote == '"' || quote == '\'';
    const std::size_t begin = quoted ? next + 1 : next;
    const std::size_t end =
        std::min(quoted ? tag.inside.find(quote, begin) : tag.inside.find_first_of(" \t\n/", begin), tag.inside.size());
    std::string out;
    append_resolved(tag.inside.substr(begin, end - begin), out);
    return out;
  }
}

}  // namespace thalweg::llm
