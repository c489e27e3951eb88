#include "pipeline_lang/scalar.h"

#include <cmath>
#include <limits>

#include "config/decode.h"
#include "engine/types/from_text.h"
#include "pipeline_lang/ast.h"

namespace thalweg::lang {
namespace {

bool is_decimal(char c) { return c >= '0' && c <= '9'; }

// [+-]?[1-9][0-9_]*, 0, 0x…, 0b…
bool looks_like_int(std::string_view text) {
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
  if (text == "0") return true;
  if (text.starts_with("0x") || text.starts_with("0b"))
    return text.size() > 2 &&
           text.find_first_not_of(text[1] == 'x' ? "0123456789abcdefABCDEF_" : "01_", 2) == std::string_view::npos;
  if (text.empty() || text[0] < '1' || text[0] > '9') return false;
  return text.find_first_not_of("0123456789_") == std::string_view::npos;
}

// With a dot; an exponent only behind one and with a sign.
bool looks_like_float(std::string_view text) {
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
  std::size_t i = 0;
  std::size_t digits = 0;
  const auto take_digits = [&] {
    while (i < text.size() && (is_decimal(text[i]) || (text[i] == '_' && digits > 0))) {
      if (is_decimal(text[i])) ++digits;
      ++i;
    }
  };
  take_digits();
  if (i >= text.size() || text[i] != '.') return false;
  ++i;
  take_digits();
  if (digits == 0) return false;
  if (i == text.size()) return true;
  if (text[i] != 'e' && text[i] != 'E') return false;
  ++i;
  if (i >= text.size() || (text[i] != '+' && text[i] != '-')) return false;
  ++i;
  if (i >= text.size()) return false;
  return text.find_first_not_of("0123456789", i) == std::string_view::npos;
}

std::optional<Value> number_value(std::string_view text) {
  if (looks_like_int(text)) {
    if (const auto number = config::as_int(Setting(std::string(text)))) return Value::of(*number);
    return std::nullopt;  // does not fit 64 bits: stays text
  }
  if (looks_like_float(text)) {
    std::string plain;
    for (char c : text)
      if (c != '_') plain += c;
    if (plain[0] == '+') plain.erase(0, 1);
    if (const auto number = float_from_text(plain)) return Value::of(*number);
    // A leading or a trailing dot is YAML's, not everyone's.
    const std::size_t dot = plain.find('.');
    plain.insert(dot + 1, "0");
    if (dot == 0 || !is_decimal(plain[dot - 1])) plain.insert(dot, "0");
    if (const auto number = float_from_text(plain)) return Value::of(*number);
  }
  return std::nullopt;
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  for (std::string_view word : words)
    if (text == word) return true;
  return false;
}

}  // namespace

Value untyped_value(std::string_view plain) {
  if (is_one_of(plain, {"", "~", "null", "Null", "NULL"})) return Value::none();
  if (is_one_of(plain, {"true", "True", "TRUE"})) return Value::of(true);
  if (is_one_of(plain, {"false", "False", "FALSE"})) return Value::of(false);
  if (is_one_of(plain, {".inf", ".Inf", ".INF", "+.inf"})) return Value::of(std::numeric_limits<double>::infinity());
  if (is_one_of(plain, {"-.inf", "-.Inf", "-.INF"})) return Value::of(-std::numeric_limits<double>::infinity());
  if (is_one_of(plain, {".nan", ".NaN", ".NAN"})) return Value::of(std::nan(""));
  if (auto number = number_value(plain)) return *number;
  return Value::str(std::string(plain));
}

Value environment_value(std::string_view text) {
  if (is_one_of(text, {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"})) return Value::of(true);
  if (is_one_of(text, {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"})) return Value::of(false);
  if (auto number = number_value(text)) return *number;
  return Value::str(std::string(text));
}

Scalar plain_scalar(std::string text) {
  Scalar out;
  out.value = untyped_value(text);
  out.spelling = std::move(text);
  return out;
}

Scalar text_scalar(std::string text) {
  Scalar out;
  out.value = Value::str(text);
  out.spelling = std::move(text);
  out.quoted = true;
  return out;
}

Scalar environment_scalar(std::string text) {
  Scalar out;
  out.value = environment_value(text);
  out.spelling = std::move(text);
  out.from_environment = true;
  return out;
}

namespace {

std::string json_text(const Object& object);

std::string json_of_scalar(const Scalar& scalar) {
  switch (scalar.value.tag()) {
    case Value::Tag::kNone: return "null";
    case Value::Tag::kBool: return scalar.value.as_bool() ? "true" : "false";
    case Value::Tag::kInt: return std::to_string(scalar.value.as_int());
    case Value::Tag::kFloat:
      if (std::isfinite(scalar.value.as_float())) return scalar.value.to_text();
      return json_quoted(scalar.value.to_text());
    default: return json_quoted(scalar.spelling);
  }
}

std::string json_text(const Object& object) {
  if (const Scalar* scalar = object.as_scalar()) return json_of_scalar(*scalar);
  std::string out;
  if (const ListObject* list = object.as_list()) {
    for (const ObjectPtr& item : list->items) out += (out.empty() ? "[" : ",") + json_text(*item);
    return out.empty() ? "[]" : out + "]";
  }
  if (const MapObject* map = object.as_map()) {
    for (const auto& [key, value] : map->entries)
      out += (out.empty() ? "{" : ",") + json_quoted(key) + ":" + json_text(*value);
    return out.empty() ? "{}" : out + "}";
  }
  return "null";
}

std::optional<Value> tuple_as(const ListObject& list, const Type& type) {
  std::vector<Value> out;
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    Type element = Kind::kAny;
    if (type.is(Kind::kList)) element = type.element();
    if (type.is(Kind::kTuple)) {
      if (list.items.size() != type.args().size()) return std::nullopt;
      element = type.args()[i];
    }
    auto value = value_as(*list.items[i], element);
    if (!value) return std::nullopt;
    out.push_back(std::move(*value));
  }
  return Value::tuple(std::move(out));
}

std::optional<Value> datetime_as(std::string_view text, bool utc) {
  const auto parsed = datetime_from_text(text);
  if (!parsed) return std::nullopt;
  if (utc) return Value::datetime_utc(parsed->ns);
  if (parsed->has_offset) return std::nullopt;
  return Value::datetime_naive(parsed->ns);
}

std::optional<Value> scalar_as(const Scalar& scalar, const Type& type) {
  if (scalar.value.is_none() && !scalar.from_environment && !scalar.quoted) {
    if (type.is_plain(Kind::kJson)) return Value::json("null");
    if (type.admits_none()) return Value::none();
    return std::nullopt;
  }
  // A quoted text is no number, one from the environment may be.
  const bool is_text = scalar.value.tag() == Value::Tag::kStr;
  const Setting as_setting(scalar.spelling);
  switch (type.kind()) {
    case Kind::kNone: return std::nullopt;
    case Kind::kBool:
      if (scalar.quoted) return std::nullopt;
      if (const auto flag = config::as_bool(as_setting)) return Value::of(*flag);
      return std::nullopt;
    case Kind::kInt:
      if (scalar.value.tag() == Value::Tag::kInt) return scalar.value;
      return std::nullopt;
    case Kind::kFloat:
      if (scalar.value.tag() == Value::Tag::kFloat) return scalar.value;
      if (scalar.value.tag() == Value::Tag::kInt) return Value::of(static_cast<double>(scalar.value.as_int()));
      if (is_text && !scalar.quoted)
        if (const auto number = config::as_float(as_setting)) return Value::of(*number);
      return std::nullopt;
    case Kind::kPointer:
      if (const auto key = key_from_text(scalar.spelling)) return Value::of(*key);
      return std::nullopt;
    case Kind::kStr: return Value::str(scalar.spelling);
    case Kind::kBytes: return Value::bytes(scalar.spelling);
    case Kind::kDateTimeNaive: return datetime_as(scalar.spelling, false);
    case Kind::kDateTimeUtc: return datetime_as(scalar.spelling, true);
    case Kind::kDuration:
      if (scalar.value.tag() == Value::Tag::kDuration) return scalar.value;
      if (const auto ns = duration_from_text(scalar.spelling)) return Value::duration(*ns);
      return std::nullopt;
    case Kind::kUuid:
      if (const auto uuid = uuid_from_text(scalar.spelling)) return Value::uuid(*uuid);
      return std::nullopt;
    case Kind::kJson: {
      if (scalar.quoted) {  // JSON text, or else a text
        if (auto json = compact_json(scalar.spelling)) return Value::json(std::move(*json));
      }
      return Value::json(json_of_scalar(scalar));
    }
    case Kind::kAny: return scalar.value;
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kArray: return std::nullopt;
  }
  return std::nullopt;
}

std::optional<Value> array_as(const ListObject& list, const Type& type) {
  NdArray array;
  array.shape = {static_cast<std::int64_t>(list.items.size())};
  std::vector<double> floats;
  std::vector<std::int64_t> ints;
  bool all_int = type.args().empty() || !type.element().is(Kind::kFloat);
  for (const ObjectPtr& item : list.items) {
    const Scalar* scalar = item->as_scalar();
    if (scalar == nullptr) return std::nullopt;
    const auto number = scalar_as(*scalar, Kind::kFloat);
    if (!number) return std::nullopt;
    floats.push_back(number->as_float());
    if (scalar->value.tag() == Value::Tag::kInt)
      ints.push_back(scalar->value.as_int());
    else
      all_int = false;
  }
  if (all_int)
    array.data = std::move(ints);
  else
    array.data = std::move(floats);
  return Value::array(std::move(array));
}

}  // namespace

std::optional<Value> value_as(const Object& object, const Type& type) {
  if (const Scalar* scalar = object.as_scalar()) return scalar_as(*scalar, type);
  if (type.is(Kind::kJson) && (object.as_list() != nullptr || object.as_map() != nullptr))
    return Value::json(json_text(object));
  if (const ListObject* list = object.as_list()) {
    if (type.is(Kind::kArray)) return array_as(*list, type);
    if (type.is(Kind::kList) || type.is(Kind::kTuple) || type.is(Kind::kAny)) return tuple_as(*list, type);
  }
  if (object.as_map() != nullptr && type.is(Kind::kAny)) return Value::json(json_text(object));
  return std::nullopt;
}

std::optional<Value> value_of(const Object& object) { return value_as(object, Kind::kAny); }

bool has_interpolation(std::string_view text) {
  for (std::size_t i = text.find('$'); i != std::string_view::npos; i = text.find('$', i + 1))
    if (i + 1 < text.size() && (text[i + 1] == '{' || text[i + 1] == '$')) return true;
  return false;
}

Interpolated interpolate(std::string_view text,
                         const std::function<std::optional<std::string>(std::string_view)>& lookup) {
  Interpolated out;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] != '$' || i + 1 >= text.size() || (text[i + 1] != '{' && text[i + 1] != '$')) {
      out.text += text[i++];
      continue;
    }
    if (text[i + 1] == '$') {
      out.text += '$';
      i += 2;
      continue;
    }
    const std::size_t close = text.find('}', i);
    out.error_begin = i;
    out.error_end = close == std::string_view::npos ? text.size() : close + 1;
    if (close == std::string_view::npos) {
      out.error = "`${` without its `}`; write `$$` for a dollar";
      return out;
    }
    std::string_view name = text.substr(i + 2, close - i - 2);
    std::optional<std::string_view> fallback;
    if (const std::size_t mark = name.find(":-"); mark != std::string_view::npos) {
      fallback = name.substr(mark + 2);
      name = name.substr(0, mark);
    }
    if (!ast::is_identifier(name)) {
      out.error = "`" + std::string(name) + "` is no name of a variable; write `$$` for a dollar";
      return out;
    }
    // As in the shell, `:-` also replaces an empty value.
    if (auto value = lookup(name); value && !(value->empty() && fallback)) {
      out.text += *value;
    } else if (fallback) {
      out.text += *fallback;
    } else {
      out.error = "`$" + std::string(name) + "` is not defined, and `${" + std::string(name) + "}` has no default";
      return out;
    }
    i = close + 1;
  }
  return out;
}

}  // namespace thalweg::lang
