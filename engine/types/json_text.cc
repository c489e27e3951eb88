#include <simdjson.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/types/from_text.h"
#include "engine/types/json_names.h"

namespace thalweg {
namespace {

constexpr int kDepthMax = 1024;  // simdjson's own

// Whether the text is one JSON value, by the grammar alone: for what the parser refuses although it is JSON, that is,
// numbers of any length.
class Grammar {
 public:
  explicit Grammar(std::string_view text) : text_(text) {}
  bool holds() {
    if (!value(0)) return false;
    blanks();
    return at_ == text_.size();
  }

 private:
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool eat(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void blanks() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
  }
  bool word(std::string_view w) {
    if (!text_.substr(at_).starts_with(w)) return false;
    at_ += w.size();
    return true;
  }
  bool digits() {
    std::size_t from = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ > from;
  }
  bool number() {
    eat('-');
    if (!eat('0') && !digits()) return false;
    if (eat('.') && !digits()) return false;
    if (peek() != 'e' && peek() != 'E') return true;
    ++at_;
    if (!eat('+')) eat('-');
    return digits();
  }
  bool string() {
    if (!eat('"')) return false;
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') return ++at_, true;
      if (static_cast<unsigned char>(text_[at_]) < 0x20) return false;
      if (text_[at_] != '\\') continue;
      ++at_;
      if (peek() == 'u') {
        for (int i = 1; i <= 4; ++i)
          if (at_ + 4 >= text_.size() ||
              !std::isxdigit(static_cast<unsigned char>(text_[at_ + static_cast<std::size_t>(i)])))
            return false;
        at_ += 4;
      } else if (std::string_view("\"\\/bfnrt").find(peek()) == std::string_view::npos) {
        return false;
      }
    }
    return false;
  }
  bool value(int depth) {
    if (depth > kDepthMax) return false;
    blanks();
    switch (peek()) {
      case '{': return members(depth);
      case '[': return elements(depth);
      case '"': return string();
      case 't': return word("true");
      case 'f': return word("false");
      case 'n': return word("null");
      default: return number();
    }
  }
  bool elements(int depth) {
    eat('[');
    blanks();
    if (eat(']')) return true;
    do {
      if (!value(depth + 1)) return false;
      blanks();
    } while (eat(','));
    return eat(']');
  }
  bool members(int depth) {
    eat('{');
    blanks();
    if (eat('}')) return true;
    do {
      blanks();
      if (!string()) return false;
      blanks();
      if (!eat(':') || !value(depth + 1)) return false;
      blanks();
    } while (eat(','));
    return eat('}');
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

// ---------------------------------------------------------------- names that an object has twice, in compact text

// Behind the string that begins at `at`.
std::size_t after_text(std::string_view json, std::size_t at) {
  const std::size_t quote = json.find('"', at + 1);
  if (quote != std::string_view::npos && json[quote - 1] != '\\') return quote + 1;
  for (++at; at < json.size(); ++at) {
    if (json[at] == '"') return at + 1;
    if (json[at] == '\\') ++at;
  }
  return json.size();
}

// What a name means: `"\u0061"` is `"a"`.
std::string meaning(std::string_view quoted) {
  const std::string_view raw = quoted.substr(1, quoted.size() - 2);
  if (raw.find('\\') == std::string_view::npos) return std::string(raw);
  simdjson::dom::parser parser;
  std::string_view text;
  if (parser.parse(quoted.data(), quoted.size()).get(text) != simdjson::SUCCESS) return std::string(raw);
  return std::string(text);
}

bool any_twice(std::span<const std::string_view> names) {
  constexpr std::size_t kFew = 16;
  const bool plain =
      std::ranges::none_of(names, [](std::string_view n) { return n.find('\\') != std::string_view::npos; });
  if (plain && names.size() <= kFew) {
    for (std::size_t i = 1; i < names.size(); ++i)
      if (std::ranges::find(names.first(i), names[i]) != names.first(i).end()) return true;
    return false;
  }
  std::vector<std::string> sorted;
  sorted.reserve(names.size());
  for (const std::string_view name : names) sorted.push_back(meaning(name));
  std::ranges::sort(sorted);
  return std::ranges::adjacent_find(sorted) != sorted.end();
}

// Copies the value at `at` without the members that a later one of their name replaces; where it ends.
std::size_t copy_unique(std::string_view json, std::size_t at, std::string& out) {
  if (json[at] == '[') {
    out += '[';
    for (++at; at < json.size() && json[at] != ']';) {
      if (json[at] == ',') out += json[at++];
      at = copy_unique(json, at, out);
    }
    out += ']';
    return at + 1;
  }
  if (json[at] != '{') {
    const std::size_t end =
        json[at] == '"' ? after_text(json, at) : std::min(json.find_first_of(",]}", at), json.size());
    out += json.substr(at, end - at);
    return end;
  }
  std::vector<std::pair<std::string_view, std::string>> members;
  std::unordered_map<std::string, std::size_t> known;
  for (++at; at < json.size() && json[at] != '}';) {
    if (json[at] == ',') ++at;
    const std::size_t colon = after_text(json, at);
    const std::string_view name = json.substr(at, colon - at);
    std::string value;
    at = copy_unique(json, colon + 1, value);
    const auto [entry, fresh] = known.emplace(meaning(name), members.size());
    if (fresh)
      members.emplace_back(name, std::move(value));
    else
      members[entry->second].second = std::move(value);
  }
  char before = '{';
  for (const auto& [name, value] : members) {
    out += before;
    out.append(name).append(":").append(value);
    before = ',';
  }
  out += members.empty() ? "{}" : "}";
  return at + 1;
}

}  // namespace

// Only a name is a string with a colon behind it.
bool has_names_twice(std::string_view json) {
  thread_local std::vector<std::string_view> names;
  thread_local std::vector<std::size_t> objects;  // where the names of each open one begin
  names.clear();
  objects.clear();
  for (std::size_t at = 0; at < json.size();) {
    const char c = json[at];
    if (c == '"') {
      const std::size_t end = after_text(json, at);
      if (end < json.size() && json[end] == ':') names.push_back(json.substr(at, end - at));
      at = end;
      continue;
    }
    if (c == '{') {
      objects.push_back(names.size());
    } else if (c == '}' && !objects.empty()) {
      if (any_twice(std::span(names).subspan(objects.back()))) return true;
      names.resize(objects.back());
      objects.pop_back();
    }
    ++at;
  }
  return false;
}

std::string with_unique_names(std::string json) {
  if (!has_names_twice(json)) return json;
  std::string out;
  out.reserve(json.size());
  copy_unique(json, 0, out);
  return out;
}

std::optional<std::string> compact_json(std::string_view text) {
  thread_local simdjson::dom::parser parser;
  simdjson::dom::element element;
  const simdjson::error_code error = parser.parse(text.data(), text.size()).get(element);
  const bool long_number = error == simdjson::NUMBER_ERROR;
  if (error != simdjson::SUCCESS &&
      !(long_number && simdjson::validate_utf8(text.data(), text.size()) && Grammar(text).holds()))
    return std::nullopt;
  std::string out(text.size(), '\0');
  std::size_t length = 0;
  if (simdjson::minify(text.data(), text.size(), out.data(), length) != simdjson::SUCCESS) return std::nullopt;
  out.resize(length);
  return with_unique_names(std::move(out));
}

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          constexpr char kHex[] = "0123456789abcdef";
          out += "\\u00";
          out += kHex[(c >> 4) & 15];
          out += kHex[c & 15];
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

}  // namespace thalweg
