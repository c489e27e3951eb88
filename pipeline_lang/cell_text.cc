// One cell of a text table: reading it as a type, and writing it back.
#include <algorithm>
#include <cmath>

#include "engine/types/datetime.h"
#include "engine/types/duration.h"
#include "engine/types/from_text.h"
#include "pipeline_lang/table_text.h"

namespace thalweg::lang {
namespace {

constexpr int kDepthMax = 200;

Result<Value> bad(std::string_view cell, const Type& type) {
  return fail(Code::kInvalidPipeline, "`" + std::string(cell) + "` does not read as " + type.to_text());
}

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

void append_utf8(std::string& out, std::uint32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xC0 | point >> 6);
    out += static_cast<char>(0x80 | (point & 63));
  } else if (point < 0x10000) {
    out += static_cast<char>(0xE0 | point >> 12);
    out += static_cast<char>(0x80 | (point >> 6 & 63));
    out += static_cast<char>(0x80 | (point & 63));
  } else {
    out += static_cast<char>(0xF0 | point >> 18);
    out += static_cast<char>(0x80 | (point >> 12 & 63));
    out += static_cast<char>(0x80 | (point >> 6 & 63));
    out += static_cast<char>(0x80 | (point & 63));
  }
}

std::optional<std::uint32_t> hex(std::string_view text) {
  if (text.size() != 4) return std::nullopt;
  std::uint32_t value = 0;
  for (char c : text) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    value = value * 16 + static_cast<std::uint32_t>(digit);
  }
  return value;
}

// JSON's escapes, and `\'`. `body` has no enclosing quotes.
std::optional<std::string> unescaped(std::string_view body) {
  std::string out;
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i] != '\\') {
      out += body[i];
      continue;
    }
    if (++i >= body.size()) return std::nullopt;
    switch (body[i]) {
      case 'n': out += '\n'; break;
      case 't': out += '\t'; break;
      case 'r': out += '\r'; break;
      case 'b': out += '\b'; break;
      case 'f': out += '\f'; break;
      case '"':
      case '\'':
      case '\\':
      case '/': out += body[i]; break;
      case 'u': {
        auto point = hex(body.substr(std::min(i + 1, body.size()), 4));
        if (!point) return std::nullopt;
        i += 4;
        if (*point >= 0xD800 && *point < 0xDC00 && body.substr(std::min(i + 1, body.size()), 2) == "\\u") {
          const auto low = hex(body.substr(std::min(i + 3, body.size()), 4));
          if (low && *low >= 0xDC00 && *low < 0xE000) {
            point = 0x10000 + ((*point - 0xD800) << 10) + (*low - 0xDC00);
            i += 6;
          }
        }
        append_utf8(out, *point);
        break;
      }
      default: return std::nullopt;
    }
  }
  return out;
}

// The text of a cell that is one quoted piece: `'it''s'`, `"a\n"`.
std::optional<std::string> unquoted(std::string_view cell) {
  if (cell.size() < 2 || cell.front() != cell.back() || (cell.front() != '\'' && cell.front() != '"'))
    return std::nullopt;
  const std::string_view body = cell.substr(1, cell.size() - 2);
  std::string out;
  if (cell.front() == '\'') {
    for (std::size_t i = 0; i < body.size(); ++i) {
      if (body[i] == '\'') {
        if (i + 1 >= body.size() || body[i + 1] != '\'') return std::nullopt;
        ++i;
      }
      out += body[i];
    }
    return out;
  }
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i] == '\\')
      ++i;
    else if (body[i] == '"')
      return std::nullopt;
  }
  return unescaped(body);
}

// A list, tuple, object or scalar in JSON's or Python's spelling.
struct Literal {
  enum class Kind : std::uint8_t { kWord, kText, kSequence, kObject } kind = Kind::kWord;
  std::string text;            // of a word or a text
  std::vector<Literal> items;  // of an object: key, value, key, value…
};

class LiteralReader {
 public:
  explicit LiteralReader(std::string_view text) : rest_(text) {}

  std::optional<Literal> read_all() {
    auto literal = read(0);
    skip();
    return rest_.empty() ? literal : std::nullopt;
  }

 private:
  void skip() {
    while (!rest_.empty() && (is_blank(rest_.front()) || rest_.front() == '\n')) rest_.remove_prefix(1);
  }
  bool take(char c) {
    skip();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  std::optional<Literal> read(int depth) {
    if (depth > kDepthMax) return std::nullopt;
    skip();
    if (rest_.empty()) return std::nullopt;
    if (take('[')) return read_items(']', depth, false);
    if (take('(')) return read_items(')', depth, false);
    if (take('{')) return read_items('}', depth, true);
    if (rest_.front() == '\'' || rest_.front() == '"') return read_text();
    const std::size_t end = std::min(rest_.find_first_of(",]})"), rest_.size());
    std::string_view word = trimmed(rest_.substr(0, end));
    if (word.empty()) return std::nullopt;
    rest_.remove_prefix(end);
    return Literal{Literal::Kind::kWord, std::string(word), {}};
  }

  std::optional<Literal> read_items(char close, int depth, bool object) {
    Literal out{object ? Literal::Kind::kObject : Literal::Kind::kSequence, {}, {}};
    while (!take(close)) {
      if (!out.items.empty() && !take(',')) return std::nullopt;
      if (take(close)) return out;  // a comma at the end
      if (object) {
        skip();
        if (rest_.empty() || (rest_.front() != '"' && rest_.front() != '\'')) return std::nullopt;
        auto key = read_text();
        if (!key || !take(':')) return std::nullopt;
        out.items.push_back(std::move(*key));
      }
      auto item = read(depth + 1);
      if (!item) return std::nullopt;
      out.items.push_back(std::move(*item));
    }
    return out;
  }

  std::optional<Literal> read_text() {
    const char quote = rest_.front();
    std::size_t end = 1;
    while (end < rest_.size() && rest_[end] != quote) end += rest_[end] == '\\' ? 2 : 1;
    if (end >= rest_.size()) return std::nullopt;
    auto text = unescaped(rest_.substr(1, end - 1));
    if (!text) return std::nullopt;
    rest_.remove_prefix(end + 1);
    return Literal{Literal::Kind::kText, std::move(*text), {}};
  }

  std::string_view rest_;
};

bool is_none_word(std::string_view word) { return word.empty() || word == "None" || word == "null"; }

std::optional<std::string> json_of(const Literal& literal) {
  switch (literal.kind) {
    case Literal::Kind::kText: return json_quoted(literal.text);
    case Literal::Kind::kWord: {
      if (literal.text == "None") return "null";
      if (literal.text == "True" || literal.text == "False") return literal.text == "True" ? "true" : "false";
      return compact_json(literal.text);
    }
    case Literal::Kind::kSequence:
    case Literal::Kind::kObject: {
      const bool object = literal.kind == Literal::Kind::kObject;
      std::string out = object ? "{" : "[";
      for (std::size_t i = 0; i < literal.items.size(); ++i) {
        if (i != 0) out += object && i % 2 == 1 ? ":" : ",";
        const auto item = json_of(literal.items[i]);
        if (!item) return std::nullopt;
        out += *item;
      }
      return out + (object ? "}" : "]");
    }
  }
  return std::nullopt;
}

// Shape and numbers of nested lists; false if they are ragged or hold something else.
bool collect_array(const Literal& literal, std::size_t depth, std::vector<std::int64_t>& shape,
                   std::vector<std::string>& words) {
  if (literal.kind == Literal::Kind::kWord) {
    words.push_back(literal.text);
    return depth == shape.size();
  }
  if (literal.kind != Literal::Kind::kSequence) return false;
  const auto size = static_cast<std::int64_t>(literal.items.size());
  if (depth == shape.size()) {
    if (!words.empty()) return false;
    shape.push_back(size);
  }
  if (shape[depth] != size) return false;
  return std::all_of(literal.items.begin(), literal.items.end(),
                     [&](const Literal& item) { return collect_array(item, depth + 1, shape, words); });
}

std::optional<Value> array_literal(const Literal& literal, const Type& type) {
  NdArray array;
  std::vector<std::string> words;
  if (literal.kind != Literal::Kind::kSequence || !collect_array(literal, 0, array.shape, words)) return std::nullopt;
  if (type.dims() >= 0 && static_cast<std::size_t>(type.dims()) != array.shape.size()) return std::nullopt;
  const Kind element = type.args().empty() ? Kind::kAny : type.args()[0].kind();
  std::vector<std::int64_t> ints;
  if (element != Kind::kFloat) {
    for (const auto& word : words) {
      const auto n = int_from_text(word);
      if (!n) break;
      ints.push_back(*n);
    }
    if (ints.size() == words.size()) {
      array.data = std::move(ints);
      return Value::array(std::move(array));
    }
    if (element == Kind::kInt) return std::nullopt;
  }
  std::vector<double> floats;
  for (const auto& word : words) {
    const auto x = float_from_text(word);
    if (!x) return std::nullopt;
    floats.push_back(*x);
  }
  array.data = std::move(floats);
  return Value::array(std::move(array));
}

Value value_of_any(std::string_view word) {
  if (const auto b = bool_from_text(word)) return Value::of(*b);
  if (const auto n = int_from_text(word)) return Value::of(*n);
  if (const auto x = float_from_text(word)) return Value::of(*x);
  return Value::str(std::string(word));
}

// A scalar type from the text of a cell or of an element.
std::optional<Value> scalar_of(std::string_view text, const Type& type) {
  switch (type.kind()) {
    case Kind::kNone: return std::nullopt;
    case Kind::kBool:
      if (const auto b = bool_from_text(text)) return Value::of(*b);
      return std::nullopt;
    case Kind::kInt:
      if (const auto n = int_from_text(text)) return Value::of(*n);
      return std::nullopt;
    case Kind::kFloat:
      if (const auto x = float_from_text(text)) return Value::of(*x);
      return std::nullopt;
    case Kind::kPointer:
      if (text.starts_with('^'))
        if (const auto key = key_from_text(text)) return Value::of(*key);
      return Value::of(key_of_label(text));
    case Kind::kStr: return Value::str(std::string(text));
    case Kind::kBytes: {
      if (!text.starts_with("0x") && !text.starts_with("0X")) return Value::bytes(std::string(text));
      const std::string_view digits = text.substr(2);
      if (digits.size() % 2 != 0) return std::nullopt;
      std::string out;
      for (std::size_t i = 0; i < digits.size(); i += 2) {
        const auto byte = hex("00" + std::string(digits.substr(i, 2)));
        if (!byte) return std::nullopt;
        out += static_cast<char>(*byte);
      }
      return Value::bytes(std::move(out));
    }
    case Kind::kDateTimeNaive:
      if (const auto t = parse_datetime(text); t && !t->has_offset) return Value::datetime_naive(t->ns);
      return std::nullopt;
    case Kind::kDateTimeUtc:
      if (const auto t = parse_datetime(text); t && t->has_offset) return Value::datetime_utc(t->ns);
      return std::nullopt;
    case Kind::kDuration:
      if (const auto d = parse_duration(text)) return Value::duration(*d);
      return std::nullopt;
    case Kind::kUuid:
      if (const auto id = uuid_from_text(text)) return Value::uuid(*id);
      return std::nullopt;
    case Kind::kAny: return value_of_any(text);
    case Kind::kJson:
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kArray: return std::nullopt;
  }
  return std::nullopt;
}

std::optional<Value> literal_value(const Literal& literal, const Type& type) {
  if (type.is(Kind::kJson)) {
    if (type.admits_none() && literal.kind == Literal::Kind::kWord && literal.text == "None") return Value::none();
    auto json = json_of(literal);
    if (!json) return std::nullopt;
    return Value::json(std::move(*json));
  }
  if (literal.kind == Literal::Kind::kWord && is_none_word(literal.text)) {
    if (!type.admits_none()) return std::nullopt;
    return Value::none();
  }
  if (literal.kind == Literal::Kind::kWord && literal.text == "Error") return Value::error();
  if (type.is(Kind::kArray)) return array_literal(literal, type);
  if (type.is(Kind::kTuple) || type.is(Kind::kList) ||
      (type.is(Kind::kAny) && literal.kind == Literal::Kind::kSequence)) {
    if (literal.kind != Literal::Kind::kSequence) return std::nullopt;
    if (type.is(Kind::kTuple) && literal.items.size() != type.args().size()) return std::nullopt;
    std::vector<Value> elements;
    for (std::size_t i = 0; i < literal.items.size(); ++i) {
      const Type element = type.is(Kind::kTuple)  ? type.args()[i]
                           : type.is(Kind::kList) ? type.element()
                                                  : Type(Kind::kAny);
      auto value = literal_value(literal.items[i], element);
      if (!value) return std::nullopt;
      elements.push_back(std::move(*value));
    }
    return Value::tuple(std::move(elements));
  }
  if (literal.kind == Literal::Kind::kText) {
    if (type.is(Kind::kAny)) return Value::str(literal.text);
    if (type.is(Kind::kBool) || type.is_number()) return std::nullopt;
    return scalar_of(literal.text, type);
  }
  if (literal.kind != Literal::Kind::kWord) return std::nullopt;
  return scalar_of(literal.text, type);
}

std::string quoted(std::string_view text) {
  if (text.find_first_of("\n\t\r") != std::string_view::npos) return json_quoted(text);
  std::string out = "'";
  for (char c : text) out += c == '\'' ? "''" : std::string(1, c);
  return out + "'";
}

// Inside lists Python's spelling, whose escapes are a backslash.
std::string element_text(const Value& value, const Type& type, const std::map<Key, std::string>* labels) {
  if (value.tag() == Value::Tag::kStr) {
    std::string escaped = json_quoted(value.as_text());
    if (value.as_text().find('\'') != std::string::npos) return escaped;
    return "'" + escaped.substr(1, escaped.size() - 2) + "'";
  }
  return cell_text(value, type, labels);
}

std::string array_text(const NdArray& array, std::size_t dim, std::size_t& at) {
  std::string out = "[";
  for (std::int64_t i = 0; i < array.shape[dim]; ++i) {
    if (i != 0) out += ", ";
    if (dim + 1 < array.shape.size()) {
      out += array_text(array, dim + 1, at);
    } else {
      const Value value = std::holds_alternative<std::vector<double>>(array.data)
                              ? Value::of(std::get<std::vector<double>>(array.data)[at])
                              : Value::of(std::get<std::vector<std::int64_t>>(array.data)[at]);
      out += value.to_text();
      ++at;
    }
  }
  return out + "]";
}

}  // namespace

Key key_of_label(std::string_view label) {
  if (const auto text = unquoted(label)) return key_of_values({Value::str(*text)});
  if (const auto n = int_from_text(label)) return key_of_values({Value::of(*n)});
  return key_of_values({Value::str(std::string(label))});
}

Result<Value> value_from_cell(std::string_view cell, const Type& type) {
  cell = trimmed(cell);
  if (cell == "Error") return Value::error();
  if (type.is(Kind::kJson)) {
    if (cell.empty() || cell == "None") {
      if (type.admits_none()) return Value::none();
      return bad(cell, type);
    }
    if (cell.front() == '\'')
      if (auto text = unquoted(cell))
        if (auto json = compact_json(*text)) return Value::json(std::move(*json));
    if (auto json = compact_json(cell)) return Value::json(std::move(*json));
    auto literal = LiteralReader(cell).read_all();
    auto json = literal ? json_of(*literal) : std::nullopt;
    if (!json) return bad(cell, type);
    return Value::json(std::move(*json));
  }
  if (is_none_word(cell)) {
    if (type.admits_none()) return Value::none();
    return fail(Code::kInvalidPipeline,
                "None in a column of type " + type.to_text() + "; declare it as " + type.as_optional().to_text());
  }
  const bool composite = type.is(Kind::kTuple) || type.is(Kind::kList) || type.is(Kind::kArray) ||
                         (type.is(Kind::kAny) && (cell.front() == '[' || cell.front() == '('));
  if (composite) {
    const auto inner = unquoted(cell);
    const auto literal = LiteralReader(inner ? std::string_view(*inner) : cell).read_all();
    if (literal)
      if (auto value = literal_value(*literal, type)) return std::move(*value);
    if (type.is(Kind::kAny)) return Value::str(std::string(cell));
    return bad(cell, type);
  }
  std::optional<Value> value;
  if (const auto text = unquoted(cell); text && !type.is(Kind::kPointer)) {
    if (type.is(Kind::kBool) || type.is_number()) return bad(cell, type);
    value = type.is(Kind::kAny)                             ? Value::str(*text)
            : type.is(Kind::kBytes) && cell.front() == '\'' ? Value::bytes(*text)
                                                            : scalar_of(*text, type);
  } else {
    value = scalar_of(cell, type);
  }
  if (!value) return bad(cell, type);
  return std::move(*value);
}

std::string cell_text(const Value& value, const Type& type, const std::map<Key, std::string>* labels) {
  switch (value.tag()) {
    case Value::Tag::kNone: return "None";
    case Value::Tag::kError: return "Error";
    case Value::Tag::kPointer:
      if (labels != nullptr)
        if (const auto known = labels->find(value.as_key()); known != labels->end()) return known->second;
      return value.to_text();
    case Value::Tag::kStr: {
      const std::string& text = value.as_text();
      const bool plain = !text.empty() && !is_none_word(text) && text != "Error" &&
                         trimmed(text).size() == text.size() && text.front() != '\'' && text.front() != '"' &&
                         text.find_first_of("|\n\r\t") == std::string::npos;
      return plain ? text : quoted(text);
    }
    case Value::Tag::kTuple: {
      const bool list = type.is(Kind::kList);
      std::string out = list ? "[" : "(";
      const auto& elements = value.as_tuple();
      for (std::size_t i = 0; i < elements.size(); ++i) {
        if (i != 0) out += ", ";
        const Type element = list                                              ? type.element()
                             : type.is(Kind::kTuple) && i < type.args().size() ? type.args()[i]
                                                                               : Type(Kind::kAny);
        out += element_text(elements[i], element, labels);
      }
      if (!list && elements.size() == 1) out += ",";
      return out + (list ? "]" : ")");
    }
    case Value::Tag::kArray: {
      std::size_t at = 0;
      if (value.as_array().shape.empty()) return value.to_text();
      return array_text(value.as_array(), 0, at);
    }
    case Value::Tag::kJson: return value.as_text();
    case Value::Tag::kBool:
    case Value::Tag::kInt:
    case Value::Tag::kFloat:
    case Value::Tag::kBytes:
    case Value::Tag::kDateTimeNaive:
    case Value::Tag::kDateTimeUtc:
    case Value::Tag::kDuration:
    case Value::Tag::kUuid:
    case Value::Tag::kPending: return value.to_text();
  }
  return value.to_text();
}

}  // namespace thalweg::lang
