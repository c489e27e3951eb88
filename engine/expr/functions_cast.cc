// cast, declare_type, to_string, unwrap.
//
// Casts between plain types that are common have kernels of their own; the others (inside composites, out of `any`,
// text to dates) go through values.

#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "engine/expr/encoded.h"
#include "engine/expr/function_row.h"
#include "engine/expr/kernel.h"
#include "engine/types/from_text.h"
#include "engine/types/value_text.h"

namespace thalweg::expr {
namespace {

std::string_view trimmed(std::string_view text) {
  auto blank = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string cannot(std::string_view type, std::string_view text) {
  constexpr std::size_t kShown = 100;
  std::string shown;
  append_quoted(text.substr(0, kShown), shown);
  return fmt::format("cannot cast to {} from {}", type, shown);
}

// ---------------------------------------------------------------- scalar casts

Answer<std::int64_t> float_to_int(double x) {
  if (!(x >= -9223372036854775808.0 && x < 9223372036854775808.0))
    return no_answer(fmt::format("cannot cast to int from {}", x));
  return static_cast<std::int64_t>(x);
}
Answer<std::int64_t> text_to_int(std::string_view text) {
  std::optional<std::int64_t> v = int_from_text(trimmed(text));
  if (!v) return no_answer(cannot("int", text));
  return *v;
}
Answer<double> text_to_float(std::string_view text) {
  std::optional<double> v = float_from_text(trimmed(text));
  if (!v) return no_answer(cannot("float", text));
  return *v;
}
bool text_to_bool(std::string_view text) { return !text.empty(); }
std::int64_t bool_to_int(bool x) { return x ? 1 : 0; }
double bool_to_float(bool x) { return x ? 1.0 : 0.0; }
bool int_to_bool(std::int64_t x) { return x != 0; }
bool float_to_bool(double x) { return x != 0; }
std::string_view bool_to_text(bool x) { return x ? "True" : "False"; }
Column ints_to_text(const KernelCall& call) {
  Writer<std::string_view> out(call);
  auto in = call.args[0].i64();
  char buffer[24];
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    char* end = std::to_chars(buffer, buffer + sizeof buffer, in[i]).ptr;
    out.set_text(i, {buffer, static_cast<std::size_t>(end - buffer)});
  }
  return out.finish();
}
std::string float_to_text(double x) {
  std::string out;
  append_float(x, out);
  return out;
}
std::string key_to_text(Key key) { return to_text(key); }
Answer<Key> text_to_key(std::string_view text) {
  std::optional<Key> key = key_from_text(trimmed(text));
  if (!key) return no_answer(cannot("pointer", text));
  return *key;
}
Answer<Key> text_to_uuid(std::string_view text) {
  std::optional<Key> key = uuid_from_text(trimmed(text));
  if (!key) return no_answer(cannot("uuid", text));
  return *key;
}
Answer<std::int64_t> text_to_duration(std::string_view text) {
  std::optional<std::int64_t> v = duration_from_text(trimmed(text));
  if (!v) return no_answer(cannot("duration", text));
  return *v;
}
Answer<std::int64_t> text_to_naive(std::string_view text) {
  std::optional<std::int64_t> v = parse_datetime_naive(trimmed(text));
  if (!v) return no_answer(cannot("datetime_naive", text));
  return *v;
}
Answer<std::int64_t> text_to_utc(std::string_view text) {
  std::optional<std::int64_t> v = parse_datetime_utc(trimmed(text));
  if (!v) return no_answer(cannot("datetime_utc", text));
  return *v;
}
std::string_view same_bytes(std::string_view text) { return text; }

Column int_to_float(const KernelCall& call) {
  Writer<double> out(call);
  auto in = call.args[0].i64();
  double* r = out.data();
  for (std::size_t i = 0; i < call.rows; ++i) r[i] = static_cast<double>(in[i]);
  return out.finish();
}
Column same(const KernelCall& call) { return call.args[0]; }

// A column of Nones of another layout.
Column all_none(const KernelCall& call) {
  ColumnBuilder out(call.result, call.rows);
  for (std::size_t i = 0; i < call.rows; ++i) out.push_tagged(call.args[0].tag(i));
  return out.finish();
}

Column to_any(const KernelCall& call) {
  Writer<std::string_view> out(call);
  std::string bytes;
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    bytes.clear();
    encode_cell(call.arg_types[0], call.args[0], i, bytes);
    out.set_text(i, bytes);
  }
  return out.finish();
}

Column any_to_text(const KernelCall& call) {
  Writer<std::string_view> out(call);
  for (std::size_t i = 0; i < call.rows; ++i)
    if (!out.skips(i)) out.set_text(i, call.args[0].value(call.arg_types[0], i).to_text());
  return out.finish();
}

// ---------------------------------------------------------------- values

Answer<Value> convert(const Value& value, const Type& to);

Answer<Value> convert_elements(const Value& value, const Type& to) {
  if (value.tag() != Value::Tag::kTuple)
    return no_answer(fmt::format("cannot cast to {} from {}", to.to_text(), value.to_text()));
  const auto& elements = value.as_tuple();
  if (to.is(Kind::kTuple) && !to.args().empty() && to.args().size() != elements.size())
    return no_answer(fmt::format("cannot cast to {} from a tuple of {}", to.to_text(), elements.size()));
  std::vector<Value> converted;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    Type element = to.is(Kind::kList) ? to.element() : to.args().empty() ? Type(Kind::kAny) : to.args()[i];
    Answer<Value> one = convert(elements[i], element);
    if (!one) return one;
    converted.push_back(std::move(*one));
  }
  return Value::tuple(std::move(converted));
}

template <class T, class Make>
Answer<Value> wrap(Answer<T> answer, Make make) {
  if (!answer) return no_answer(std::move(answer).error());
  return make(*answer);
}
constexpr auto kOf = [](auto v) { return Value::of(v); };

Answer<Value> to_int(const Value& value) {
  if (value.tag() == Value::Tag::kBool) return Value::of(bool_to_int(value.as_bool()));
  if (value.tag() == Value::Tag::kFloat) return wrap(float_to_int(value.as_float()), kOf);
  if (value.tag() == Value::Tag::kStr) return wrap(text_to_int(value.as_text()), kOf);
  return no_answer("cannot cast to int from " + value.to_text());
}
Answer<Value> to_float(const Value& value) {
  if (value.tag() == Value::Tag::kBool) return Value::of(bool_to_float(value.as_bool()));
  if (value.tag() == Value::Tag::kInt) return Value::of(static_cast<double>(value.as_int()));
  if (value.tag() == Value::Tag::kStr) return wrap(text_to_float(value.as_text()), kOf);
  return no_answer("cannot cast to float from " + value.to_text());
}
Answer<Value> to_bool(const Value& value) {
  if (value.tag() == Value::Tag::kInt) return Value::of(value.as_int() != 0);
  if (value.tag() == Value::Tag::kFloat) return Value::of(value.as_float() != 0);
  if (value.tag() == Value::Tag::kStr) return Value::of(!value.as_text().empty());
  return no_answer("cannot cast to bool from " + value.to_text());
}

std::optional<Value::Tag> tag_of(Kind kind) {
  switch (kind) {
    case Kind::kBool: return Value::Tag::kBool;
    case Kind::kInt: return Value::Tag::kInt;
    case Kind::kFloat: return Value::Tag::kFloat;
    case Kind::kPointer: return Value::Tag::kPointer;
    case Kind::kStr: return Value::Tag::kStr;
    case Kind::kBytes: return Value::Tag::kBytes;
    case Kind::kArray: return Value::Tag::kArray;
    case Kind::kDateTimeNaive: return Value::Tag::kDateTimeNaive;
    case Kind::kDateTimeUtc: return Value::Tag::kDateTimeUtc;
    case Kind::kDuration: return Value::Tag::kDuration;
    case Kind::kUuid: return Value::Tag::kUuid;
    case Kind::kJson: return Value::Tag::kJson;
    case Kind::kNone:
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kAny: break;
  }
  return std::nullopt;
}

Answer<Value> array_as(const Value& value, const Type& to) {
  bool floats = std::holds_alternative<std::vector<double>>(value.as_array().data);
  const Type element = to.args().empty() ? Type(Kind::kAny) : to.args()[0];
  if (to.dims() >= 0 && value.as_array().shape.size() != static_cast<std::size_t>(to.dims()))
    return no_answer("cannot cast to " + to.to_text() + ": another number of dimensions");
  if (element.is(Kind::kInt) && floats) return no_answer("cannot cast to " + to.to_text() + " from a float array");
  if (!element.is(Kind::kFloat) || floats) return value;
  const auto& ints = std::get<std::vector<std::int64_t>>(value.as_array().data);
  return Value::array({value.as_array().shape, std::vector<double>(ints.begin(), ints.end())});
}

Answer<Value> convert(const Value& value, const Type& to) {
  if (value.is_error() || value.tag() == Value::Tag::kPending) return value;
  if (value.is_none()) {
    if (to.admits_none()) return value;
    return no_answer("cannot cast to " + to.to_text() + " from None");
  }
  if (to.is(Kind::kAny)) return value;
  if (to.is(Kind::kArray) && value.tag() == Value::Tag::kArray) return array_as(value, to);
  if (tag_of(to.kind()) == value.tag()) return value;
  if (to.is(Kind::kTuple) || to.is(Kind::kList)) return convert_elements(value, to);
  if (to.is(Kind::kStr)) return Value::str(value.to_text());
  if (to.is(Kind::kInt)) return to_int(value);
  if (to.is(Kind::kFloat)) return to_float(value);
  if (to.is(Kind::kBool)) return to_bool(value);
  if (value.tag() == Value::Tag::kStr) {
    const std::string& text = value.as_text();
    if (to.is(Kind::kPointer)) return wrap(text_to_key(text), kOf);
    if (to.is(Kind::kUuid)) return wrap(text_to_uuid(text), Value::uuid);
    if (to.is(Kind::kDuration)) return wrap(text_to_duration(text), Value::duration);
    if (to.is(Kind::kDateTimeNaive)) return wrap(text_to_naive(text), Value::datetime_naive);
    if (to.is(Kind::kDateTimeUtc)) return wrap(text_to_utc(text), Value::datetime_utc);
  }
  return no_answer(fmt::format("cannot cast to {} from {}", to.to_text(), value.to_text()));
}

Column by_value(const KernelCall& call) {
  ColumnBuilder out(call.result, call.rows);
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (call.skip && call.skip[i] != CellTag::kValue) {
      out.push_tagged(call.skip[i]);
      continue;
    }
    Answer<Value> value = convert(call.args[0].value(call.arg_types[0], i), call.result);
    if (value) {
      out.push_value(call.result, *value);
    } else {
      out.push_error();
      call.errors.report(i, value.error());
    }
  }
  return out.finish();
}

// ---------------------------------------------------------------- which kernel

struct ScalarCast {
  Kind from, to;
  KernelInfo kernel;
};
const ScalarCast* find_scalar(Kind from, Kind to) {
  static const ScalarCast casts[] = {
      {Kind::kInt, Kind::kFloat, {int_to_float}},
      {Kind::kInt, Kind::kBool, {map<int_to_bool>}},
      {Kind::kInt, Kind::kStr, {ints_to_text}},
      {Kind::kFloat, Kind::kInt, {map<float_to_int>}},
      {Kind::kFloat, Kind::kBool, {map<float_to_bool>}},
      {Kind::kFloat, Kind::kStr, {map<float_to_text>}},
      {Kind::kBool, Kind::kInt, {map<bool_to_int>}},
      {Kind::kBool, Kind::kFloat, {map<bool_to_float>}},
      {Kind::kBool, Kind::kStr, {map<bool_to_text>}},
      {Kind::kStr, Kind::kInt, {map<text_to_int>}},
      {Kind::kStr, Kind::kFloat, {map<text_to_float>}},
      {Kind::kStr, Kind::kBool, {map<text_to_bool>}},
      {Kind::kStr, Kind::kPointer, {map<text_to_key>}},
      {Kind::kStr, Kind::kUuid, {map<text_to_uuid>}},
      {Kind::kStr, Kind::kDuration, {map<text_to_duration>}},
      {Kind::kStr, Kind::kDateTimeNaive, {map<text_to_naive>}},
      {Kind::kStr, Kind::kDateTimeUtc, {map<text_to_utc>}},
      {Kind::kStr, Kind::kBytes, {map<same_bytes>}},
      {Kind::kPointer, Kind::kStr, {map<key_to_text>}},
      {Kind::kJson, Kind::kStr, {map<same_bytes>}},
  };
  for (const ScalarCast& cast : casts)
    if (cast.from == from && cast.to == to) return &cast;
  return nullptr;
}

bool castable(const Type& from, const Type& to);

bool elements_castable(const Type& from, const Type& to) {
  if (to.is(Kind::kList)) {
    if (from.is(Kind::kList)) return castable(from.element(), to.element());
    for (const Type& element : from.args())
      if (!castable(element, to.element())) return false;
    return true;
  }
  if (from.is(Kind::kList)) return true;  // the length is seen at run time
  if (to.args().empty()) return true;
  if (from.args().size() != to.args().size()) return false;
  for (std::size_t i = 0; i < to.args().size(); ++i)
    if (!castable(from.args()[i], to.args()[i])) return false;
  return true;
}

bool castable(const Type& from, const Type& to) {
  if (from == to || is_subtype(from, to) || from.is(Kind::kAny)) return true;
  if (to.is(Kind::kStr)) return true;  // None becomes text
  if (from.is(Kind::kNone)) return to.admits_none();
  if (from.optional() && !to.admits_none()) return false;
  bool sequences = (from.is(Kind::kTuple) || from.is(Kind::kList)) && (to.is(Kind::kTuple) || to.is(Kind::kList));
  if (sequences) return elements_castable(from, to);
  if (from.is(Kind::kArray) && to.is(Kind::kArray)) return true;
  return find_scalar(from.kind(), to.kind()) != nullptr;
}

const KernelInfo* choose_cast(std::span<const Type> params, const Type& to) {
  static const KernelInfo text{.kernel = any_to_text, .sees_none = true};
  static const KernelInfo text_or_none{.kernel = any_to_text};
  static const KernelInfo nones{.kernel = all_none, .sees_errors = true, .sees_none = true};
  static const KernelInfo unchanged{.kernel = same, .sees_errors = true, .sees_none = true};
  static const KernelInfo boxed{.kernel = to_any};
  static const KernelInfo slow{.kernel = by_value};
  static const KernelInfo slow_none{.kernel = by_value, .sees_none = true};
  if (params.size() != 1) return nullptr;
  const Type& from = params[0];
  if (!castable(from, to)) return nullptr;
  if (to.is_plain(Kind::kStr) && from.admits_none()) return &text;
  if (from.is(Kind::kNone)) return &nones;
  bool plain_kind = from.kind() == to.kind() && !from.is_encoded();
  if (plain_kind) return &unchanged;
  if (to.is(Kind::kAny)) return from.is_encoded() ? &unchanged : &boxed;
  if (const ScalarCast* scalar = find_scalar(from.kind(), to.kind())) return &scalar->kernel;
  if (to.is(Kind::kStr)) return &text_or_none;
  return from.is(Kind::kAny) ? &slow_none : &slow;
}

// declare_type only changes what is believed; cells that lie otherwise are converted.
const KernelInfo* choose_declare(std::span<const Type> params, const Type& to) {
  static const KernelInfo unchanged{.kernel = same, .sees_errors = true, .sees_none = true};
  static const KernelInfo slow{.kernel = by_value};
  if (params.size() != 1) return nullptr;
  const Type& from = params[0];
  if (from.kind() == to.kind() || (from.is_encoded() && to.is_encoded())) return &unchanged;
  if (from.is(Kind::kNone) || to.is(Kind::kAny)) return choose_cast(params, to);
  if (from.is(Kind::kAny)) return &slow;
  return from.phys() == to.phys() ? &unchanged : choose_cast(params, to);
}

// ---------------------------------------------------------------- typing

Result<Type> type_argument(const Argument& arg, std::string_view function) {
  if (arg.constant && arg.constant->tag() == Value::Tag::kStr) {
    std::optional<Type> type = type_from_text(arg.constant->as_text());
    if (type) return *type;
    return fail(Code::kInvalidPipeline, fmt::format("`{}`: `{}` is no type", function, arg.constant->as_text()));
  }
  return fail(Code::kInvalidPipeline, fmt::format("the first argument of `{}` must be a type", function));
}

Result<Typed> type_cast(std::span<const Argument> args) {
  Type to = TRY(type_argument(args[0], "cast"));
  const Type& from = args[1].type;
  if (castable(from, to)) return Typed{{from}, to, {1}};
  std::string hint;
  if (from.optional() && castable(from.without_optional(), to))
    hint = fmt::format("; cast to `{} | None`, or use `unwrap(x)` or `coalesce(x, ...)` first", to.to_text());
  else if (from.is(Kind::kJson))
    hint = "; use `.as_int()`, `.as_float()`, `.as_str()` or `.as_bool()`";
  else if (to.is(Kind::kJson))
    hint = "; use `json(x)`, or `json.parse(x)` for a text";
  return fail(Code::kInvalidPipeline, fmt::format("`{}` cannot be cast to `{}`{}", from.to_text(), to.to_text(), hint));
}
Result<Typed> type_declare(std::span<const Argument> args) {
  Type to = TRY(type_argument(args[0], "declare_type"));
  std::vector<Type> from{args[1].type};
  if (!choose_declare(from, to))
    return fail(Code::kInvalidPipeline, fmt::format("a `{}` cannot be declared `{}`", from[0].to_text(), to.to_text()));
  return Typed{std::move(from), to, {1}};
}
Result<Typed> type_to_string(std::span<const Argument> args) { return Typed{{args[0].type}, Kind::kStr, {}}; }

// ---------------------------------------------------------------- unwrap

Result<Typed> type_unwrap(std::span<const Argument> args) {
  if (args[0].type.is(Kind::kNone)) return fail(Code::kInvalidPipeline, "`unwrap` of None is always an ERROR");
  return Typed{{args[0].type}, args[0].type.without_optional(), {}};
}
Column unwrap(const KernelCall& call) {
  const Column& in = call.args[0];
  if (!in.has_tags()) return in;
  ColumnBuilder out(call.result, call.rows);
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (in.tag(i) == CellTag::kNone) {
      out.push_error();
      call.errors.report(i, "cannot unwrap if there is None value");
    } else {
      out.push_cell(in, i);
    }
  }
  return out.finish();
}
const KernelInfo* choose_unwrap(std::span<const Type>, const Type&) {
  static const KernelInfo kernel{.kernel = unwrap, .sees_errors = true, .sees_none = true};
  return &kernel;
}

}  // namespace

std::span<const FunctionRow> cast_functions() {
  static const std::vector<FunctionRow> rows = {
      {.name = "cast",
       .signature = "cast(type, x) -> type",
       .doc =
           "x as another type. A float is truncated toward zero; a text is trimmed and read; what does not fit is an "
           "ERROR. `cast(bool, text)` is whether the text is not empty, `cast(str, x)` is `x.to_string()`.",
       .example = "cast(int, ' 42 ')",
       .example_result = "42",
       .params = {{"type", Kind::kStr}, {"x", Kind::kAny}},
       .typing = type_cast,
       .choose = choose_cast},
      {.name = "declare_type",
       .signature = "declare_type(type, x) -> type",
       .doc = "x, believed to be of that type. Nothing is checked but what comes out of `any`.",
       .example = "declare_type(int | None, 5)",
       .example_result = "5",
       .params = {{"type", Kind::kStr}, {"x", Kind::kAny}},
       .typing = type_declare,
       .choose = choose_declare},
      {.name = "to_string",
       .signature = "x.to_string() -> str",
       .doc = "Text as Python writes it: `True`, `1.0`, `None`; datetimes in ISO form with nine digits.",
       .example = "to_string(1.0)",
       .example_result = "1.0",
       .is_method = true,
       .params = {{"x", Kind::kAny}},
       .typing = type_to_string,
       .choose = choose_cast},
      {.name = "unwrap",
       .signature = "unwrap(x: T | None) -> T",
       .doc = "x without the possibility of None; a None is an ERROR.",
       .example = "unwrap(3)",
       .example_result = "3",
       .params = {{"x", Kind::kAny}},
       .typing = type_unwrap,
       .choose = choose_unwrap},
  };
  return rows;
}

}  // namespace thalweg::expr
