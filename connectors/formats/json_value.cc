#include "connectors/formats/json_value.h"

#include <charconv>
#include <cmath>
#include <functional>

#include "connectors/formats/format.h"
#include "connectors/formats/json_scan.h"
#include "connectors/formats/text_value.h"
#include "engine/types/json_names.h"

namespace thalweg::json {

namespace {

std::string_view number_text(const char* p) {
  const char* end = skip_number(p).end;
  return end ? std::string_view(p, static_cast<std::size_t>(end - p)) : std::string_view{};
}

std::optional<std::string> string_text(const char* p) {
  if (*p != '"') return std::nullopt;
  bool escaped = false;
  const char* end = string_end(p + 1, escaped);
  std::string_view content(p + 1, static_cast<std::size_t>(end - p - 1));
  if (!escaped) return std::string(content);
  std::string out;
  if (!unescape(content, out)) return std::nullopt;
  return out;
}

// Calls back with the start of each element; false as soon as the callback says so.
bool each_element(const char* p, const std::function<bool(const char*)>& use) {
  bool blanks = false;
  p = skip_blanks(p + 1);
  while (*p != ']') {
    if (!use(p)) return false;
    p = skip_blanks(skip_value(p, blanks));
    if (*p == ',') p = skip_blanks(p + 1);
  }
  return true;
}

// The start of a member's value, or null.
const char* find_member(const char* p, std::string_view name) {
  bool ignored = false;
  const char* found = nullptr;
  p = skip_blanks(p + 1);
  while (*p == '"') {
    const char* end = string_end(p + 1, ignored);
    bool same = std::string_view(p + 1, static_cast<std::size_t>(end - p - 1)) == name;
    p = skip_blanks(skip_blanks(end + 1) + 1);
    if (same) found = p;
    p = skip_blanks(skip_value(p, ignored));
    if (*p == ',') p = skip_blanks(p + 1);
  }
  return found;
}

// Nested lists or `{"shape": […], "elements": […]}`.
class ArrayReader {
 public:
  bool read(const char* p) {
    if (*p == '{') return read_shaped(p);
    return *p == '[' && read_nested(p, 0);
  }
  [[nodiscard]] NdArray take(Kind element) {
    NdArray out;
    out.shape = std::move(shape_);
    bool ints = element == Kind::kInt || (element != Kind::kFloat && all_ints_);
    if (ints)
      out.data = std::move(ints_);
    else
      out.data = std::move(floats_);
    return out;
  }
  [[nodiscard]] bool all_ints() const { return all_ints_; }
  [[nodiscard]] std::size_t dims() const { return shape_.size(); }

 private:
  bool read_number(const char* p) {
    std::string_view text = number_text(p);
    if (text.empty()) return false;
    auto float_value = float_from_token(text);
    if (!float_value) return false;
    auto int_value = skip_number(p).is_integer ? int_from_token(text) : std::nullopt;
    all_ints_ &= int_value.has_value();
    ints_.push_back(int_value.value_or(0));
    floats_.push_back(*float_value);
    return true;
  }
  bool read_nested(const char* p, std::size_t depth) {
    std::int64_t count = 0;
    bool lists = false;
    bool ok = each_element(p, [&](const char* element) {
      lists |= *element == '[';
      ++count;
      return *element == '[' ? read_nested(element, depth + 1) : !lists && at_leaf(depth) && read_number(element);
    });
    if (!ok) return false;
    if (shape_.size() <= depth) shape_.resize(depth + 1, -1);
    if (shape_[depth] == -1) shape_[depth] = count;
    return shape_[depth] == count;
  }
  // Numbers must all lie at one depth.
  bool at_leaf(std::size_t depth) {
    if (!leaf_depth_) leaf_depth_ = depth;
    return *leaf_depth_ == depth;
  }
  bool read_shaped(const char* p) {
    const char* shape = find_member(p, "shape");
    const char* elements = find_member(p, "elements");
    if (!shape || !elements || *shape != '[' || *elements != '[') return false;
    std::int64_t expected = 1;
    bool ok = each_element(shape, [&](const char* size) {
      auto n = int_from_token(number_text(size));
      if (!n || *n < 0 || *n > (1LL << 32)) return false;
      shape_.push_back(*n);
      return !__builtin_mul_overflow(expected, *n, &expected);
    });
    return ok && each_element(elements, [&](const char* e) { return read_number(e); }) &&
           static_cast<std::int64_t>(ints_.size()) == expected;
  }

  std::vector<std::int64_t> shape_;
  std::vector<std::int64_t> ints_;
  std::vector<double> floats_;
  std::optional<std::size_t> leaf_depth_;
  bool all_ints_ = true;
};

std::optional<Value> to_tuple(const Type& type, const char* p) {
  if (*p != '[') return std::nullopt;
  std::vector<Value> elements;
  bool is_tuple = type.is(Kind::kTuple);
  bool ok = each_element(p, [&](const char* element) {
    if (is_tuple && elements.size() >= type.args().size()) return false;
    auto value = to_value(is_tuple ? type.args()[elements.size()] : type.element(), element);
    if (value) elements.push_back(std::move(*value));
    return value.has_value();
  });
  if (!ok || (is_tuple && elements.size() != type.args().size())) return std::nullopt;
  return Value::tuple(std::move(elements));
}

std::optional<Value> to_any(const char* p) {
  switch (*p) {
    case '"':
      if (auto text = string_text(p)) return Value::str(std::move(*text));
      return std::nullopt;
    case 't':
    case 'f': return Value::of(*p == 't');
    case 'n': return Value::none();
    case '{': return to_value(Type(Kind::kJson), p);
    case '[': return to_tuple(Type::list(Type(Kind::kAny)), p);
    default:
      if (skip_number(p).is_integer)
        if (auto v = int_from_token(number_text(p))) return Value::of(*v);
      return to_value(Type(Kind::kFloat), p);
  }
}

std::optional<Value> to_json(const char* p) {
  bool blanks = false;
  const char* end = skip_value(p, blanks);
  std::string_view raw(p, static_cast<std::size_t>(end - p));
  return Value::json(with_unique_names(blanks ? without_blanks(raw) : std::string(raw)));
}

std::optional<Value> to_number(const Type& type, const char* p) {
  std::string_view text = number_text(p);
  if (text.empty()) return std::nullopt;
  if (type.is(Kind::kFloat)) {
    if (auto v = float_from_token(text)) return Value::of(*v);
    return std::nullopt;
  }
  auto v = skip_number(p).is_integer ? int_from_token(text) : std::nullopt;
  if (!v) return std::nullopt;
  return type.is(Kind::kDuration) ? Value::duration(*v) : Value::of(*v);
}

}  // namespace

std::string without_blanks(std::string_view value) {
  std::string out;
  out.reserve(value.size());
  bool in_string = false;
  for (std::size_t i = 0; i < value.size(); ++i) {
    char c = value[i];
    if (in_string && c == '\\') {
      out += c;
      out += value[++i];
      continue;
    }
    if (c == '"') in_string = !in_string;
    if (in_string || (c != ' ' && c != '\t' && c != '\r' && c != '\n')) out += c;
  }
  return out;
}

std::optional<Value> to_value(const Type& type, const char* p) {
  if (*p == 'n' && type.optional()) return Value::none();
  switch (type.kind()) {
    case Kind::kNone: return *p == 'n' ? std::optional(Value::none()) : std::nullopt;
    case Kind::kBool: return *p == 't' || *p == 'f' ? std::optional(Value::of(*p == 't')) : std::nullopt;
    case Kind::kInt:
    case Kind::kFloat: return to_number(type, p);
    case Kind::kDuration:
      if (*p != '"') return to_number(type, p);
      [[fallthrough]];
    case Kind::kBytes:
    case Kind::kDateTimeNaive:
    case Kind::kDateTimeUtc:
    case Kind::kUuid:
    case Kind::kPointer: {
      auto text = string_text(p);
      return text ? string_to_value(type.kind(), *text) : std::nullopt;
    }
    case Kind::kStr: {
      auto text = string_text(p);
      if (!text) return std::nullopt;
      return Value::str(std::move(*text));
    }
    case Kind::kTuple:
    case Kind::kList: return to_tuple(type, p);
    case Kind::kArray: {
      ArrayReader reader;
      Kind element = type.args().empty() ? Kind::kAny : type.args()[0].kind();
      if (!reader.read(p) || (element == Kind::kInt && !reader.all_ints())) return std::nullopt;
      if (type.dims() >= 0 && static_cast<std::size_t>(type.dims()) != reader.dims()) return std::nullopt;
      return Value::array(reader.take(element));
    }
    case Kind::kJson: return to_json(p);
    case Kind::kAny: return to_any(p);
  }
  return std::nullopt;
}

std::optional<Value> text_to_value(const Type& type, std::string_view text) {
  if (!is_utf8(text)) return std::nullopt;
  // The scanners want a line of a sealed block. Line ends between tokens are blanks; inside a string they stay, and
  // string_end refuses them.
  std::string line(text);
  bool in_string = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (in_string && line[i] == '\\')
      ++i;
    else if (line[i] == '"')
      in_string = !in_string;
    else if (line[i] == '\n' && !in_string)
      line[i] = ' ';
  }
  line += '\n';
  line.append(kBlockPadding, '\0');
  bool blanks = false;
  const char* p = skip_blanks(line.data());
  const char* end = skip_value(p, blanks);
  if (!end || *skip_blanks(end) != '\n') return std::nullopt;
  return to_value(type, p);
}

}  // namespace thalweg::json
