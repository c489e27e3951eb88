// E-mails (RFC 5322, MIME) → their text, and each attachment as a document of its own.
#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "llm/parsers/parsers.h"

namespace thalweg::llm {

namespace {

constexpr int kMailDepthMax = 20;
constexpr std::size_t kPartsMax = 1000;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return out;
}

std::string_view trimmed_line(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  return begin == std::string_view::npos ? std::string_view()
                                         : text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

// What is not of the alphabet is left out, as mailers do.
std::string from_base64(std::string_view text) {
  std::string out;
  unsigned bits = 0, count = 0;
  for (const char c : text) {
    unsigned value = 64;
    if (c >= 'A' && c <= 'Z') value = static_cast<unsigned>(c - 'A');
    if (c >= 'a' && c <= 'z') value = static_cast<unsigned>(c - 'a') + 26;
    if (c >= '0' && c <= '9') value = static_cast<unsigned>(c - '0') + 52;
    if (c == '+') value = 62;
    if (c == '/') value = 63;
    if (c == '=') break;
    if (value == 64) continue;
    bits = (bits << 6) | value;
    if (++count % 4 == 1) continue;
    out += static_cast<char>((bits >> (6 - 2 * ((count - 1) % 4))) & 0xFF);
  }
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string from_quoted_printable(std::string_view text, bool in_header) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (in_header && text[at] == '_') {
      out += ' ';
    } else if (text[at] != '=') {
      out += text[at];
    } else if (at + 2 < text.size() + 0 && hex_digit(text[at + 1]) >= 0 && hex_digit(text[at + 2]) >= 0) {
      out += static_cast<char>(hex_digit(text[at + 1]) * 16 + hex_digit(text[at + 2]));
      at += 2;
    } else if (const std::size_t end = text.find('\n', at); end != std::string_view::npos) {
      at = end;  // a line that goes on
    }
  }
  return out;
}

// UTF-8, whatever it was; of other character sets than Latin-1 what is no UTF-8 is replaced.
std::string as_utf8(std::string bytes, std::string_view charset) {
  const std::string name = lower(charset);
  if (is_valid_utf8(bytes) && name != "iso-8859-1" && name != "windows-1252" && name != "latin1") return bytes;
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out += c;
    } else {
      out += static_cast<char>(0xC0 | (byte >> 6));
      out += static_cast<char>(0x80 | (byte & 0x3F));
    }
  }
  return out;
}

// `=?utf-8?Q?Gr=C3=BC=C3=9Fe?=` among other words.
std::string decoded_words(std::string_view text) {
  std::string out;
  bool after_word = false;
  while (!text.empty()) {
    const std::size_t begin = text.find("=?");
    const std::size_t charset = begin == std::string_view::npos ? begin : text.find('?', begin + 2);
    const std::size_t kind = charset == std::string_view::npos ? charset : text.find('?', charset + 1);
    const std::size_t end = kind == std::string_view::npos ? kind : text.find("?=", kind + 1);
    if (end == std::string_view::npos) break;
    const std::string_view before = text.substr(0, begin);
    if (!after_word || !trimmed_line(before).empty()) out += before;  // blanks between two words are none
    const std::string_view content = text.substr(kind + 1, end - kind - 1);
    const bool base64 = lower(text.substr(charset + 1, kind - charset - 1)) == "b";
    out += as_utf8(base64 ? from_base64(content) : from_quoted_printable(content, true),
                   text.substr(begin + 2, charset - begin - 2));
    text.remove_prefix(end + 2);
    after_word = true;
  }
  return out + std::string(text);
}

struct Head {
  std::vector<std::pair<std::string, std::string>> fields;  // names in lower case, values unfolded

  [[nodiscard]] std::string find(std::string_view name) const {
    for (const auto& [known, value] : fields)
      if (known == name) return value;
    return {};
  }
};

// Takes the head off `text`; nothing: it has none.
std::optional<Head> take_head(std::string_view& text) {
  Head out;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) {
      text = rest;
      return out;
    }
    if (line.front() == ' ' || line.front() == '\t') {
      if (out.fields.empty()) return std::nullopt;
      out.fields.back().second += " " + std::string(trimmed_line(line));
      continue;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0 || line.substr(0, colon).find(' ') != std::string_view::npos)
      return std::nullopt;
    out.fields.emplace_back(lower(line.substr(0, colon)), std::string(trimmed_line(line.substr(colon + 1))));
  }
  text = rest;
  return out;
}

// `name="value"` behind the first semicolon.
std::string parameter(const std::string& field, std::string_view name) {
  const std::string shown = lower(field);
  for (std::size_t at = shown.find(';'); at != std::string::npos; at = shown.find(';', at + 1)) {
    const std::size_t begin = shown.find_first_not_of(" \t", at + 1);
    if (begin == std::string::npos || shown.compare(begin, name.size(), name) != 0) continue;
    std::size_t value = begin + name.size();
    if (value < shown.size() && shown[value] == '*') ++value;
    if (value >= shown.size() || shown[value] != '=') continue;
    ++value;
    if (value < field.size() && field[value] == '"') {
      const std::size_t end = field.find('"', value + 1);
      return field.substr(value + 1, end == std::string::npos ? end : end - value - 1);
    }
    const std::size_t end = field.find(';', value);
    return std::string(
        trimmed_line(std::string_view(field).substr(value, end == std::string::npos ? end : end - value)));
  }
  return {};
}

class MailReader {
 public:
  void read(const Head& head, std::string_view body, int depth) {
    if (depth > kMailDepthMax || ++parts_ > kPartsMax) return;
    const std::string type = head.find("content-type");
    const std::string kind = lower(trimmed_line(std::string_view(type).substr(0, type.find(';'))));
    if (kind.starts_with("multipart/")) return read_parts(parameter(type, "boundary"), kind, body, depth);
    std::string content(body);
    const std::string encoding = lower(trimmed_line(head.find("content-transfer-encoding")));
    if (encoding == "base64") content = from_base64(body);
    if (encoding == "quoted-printable") content = from_quoted_printable(body, false);
    std::string name = decoded_words(parameter(head.find("content-disposition"), "filename"));
    if (name.empty()) name = decoded_words(parameter(type, "name"));
    const bool attached = lower(head.find("content-disposition")).starts_with("attachment") || !name.empty();
    if (!attached && (kind.empty() || kind == "text/plain"))
      return add(text_, as_utf8(content, parameter(type, "charset")));
    if (!attached && kind == "text/html") {
      auto parts = parse_html(as_utf8(content, parameter(type, "charset")));
      if (parts)
        for (ParsedPart& part : *parts) add(html_, part.text);
      return;
    }
    // An attachment that cannot be read takes nothing from the mail.
    auto parts = kind == "message/rfc822" ? parse_mail(content) : parse_document(content);
    if (!parts) return unread_.push_back(name.empty() ? kind : name);
    for (ParsedPart& part : *parts) {
      nlohmann::json metadata = nlohmann::json::parse(part.metadata_json, nullptr, false);
      if (!metadata.is_object()) metadata = nlohmann::json::object();
      metadata["attachment"] = name;
      attachments_.push_back(
          {std::move(part.text), metadata.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)});
    }
  }

  [[nodiscard]] ParsedParts take(const Head& head) {
    nlohmann::json metadata = {{"filetype", "message/rfc822"}};
    std::string top;
    for (const char* name : {"subject", "from", "to", "cc", "date"}) {
      const std::string value = as_utf8(decoded_words(head.find(name)), "");
      if (value.empty()) continue;
      metadata[name] = value;
      top += std::string(1, static_cast<char>(name[0] - 'a' + 'A')) + (name + 1) + ": " + value + "\n";
    }
    if (!unread_.empty()) metadata["unread_attachments"] = unread_;
    std::string body(trimmed_line(trimmed_line(text_).empty() ? html_ : text_));
    std::erase(body, '\r');
    ParsedParts out(1);
    out[0].text = top + "\n" + body;
    out[0].metadata_json = metadata.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    std::ranges::move(attachments_, std::back_inserter(out));
    return out;
  }

 private:
  static void add(std::string& to, const std::string& text) { to += (to.empty() ? "" : "\n\n") + text; }

  void read_parts(const std::string& boundary, const std::string& kind, std::string_view body, int depth) {
    if (boundary.empty()) return add(text_, as_utf8(std::string(body), ""));
    const std::string mark = "--" + boundary;
    std::size_t at = body.starts_with(mark) ? 0 : body.find("\n" + mark);
    while (at != std::string_view::npos) {
      std::size_t begin = body.find('\n', at == 0 ? 0 : at + 1);
      const std::size_t mark_end = (at == 0 && body.starts_with(mark) ? 0 : at + 1) + mark.size();
      if (body.substr(mark_end).starts_with("--") || begin == std::string_view::npos) return;
      const std::size_t end = body.find("\n" + mark, begin);
      std::string_view part = body.substr(begin + 1, end == std::string_view::npos ? end : end - begin - 1);
      if (end == begin) part = {};
      if (part.ends_with('\r')) part.remove_suffix(1);
      Head head;
      if (part.starts_with("\n") || part.starts_with("\r\n"))
        part.remove_prefix(part.find('\n') + 1);
      else if (auto found = take_head(part))
        head = std::move(*found);
      if (kind == "multipart/digest" && head.find("content-type").empty())
        head.fields.emplace_back("content-type", "message/rfc822");
      read(head, part, depth + 1);
      at = end;
    }
  }

  std::string text_, html_;
  std::vector<std::string> unread_;
  ParsedParts attachments_;
  std::size_t parts_ = 0;
};

}  // namespace

bool is_mail(std::string_view bytes) {
  std::string_view rest = bytes;
  const auto head = take_head(rest);
  if (!head || head->fields.size() < 2) return false;
  const auto has = [&](std::string_view name) { return !head->find(name).empty(); };
  return has("from") && (has("to") || has("date") || has("subject") || has("received") || has("message-id"));
}

Result<ParsedParts> parse_mail(std::string_view bytes) {
  std::string_view body = bytes;
  const auto head = take_head(body);
  if (!head) return fail(Code::kBadData, "the e-mail has no head");
  thread_local int depth = 0;  // of mails in mails
  if (depth >= kMailDepthMax) return fail(Code::kTooLarge, "mails in mails, too deep");
  ++depth;
  MailReader reader;
  reader.read(*head, body, 0);
  --depth;
  return reader.take(*head);
}

}  // namespace thalweg::llm
