// JSON: json(x), json.parse, json.dump, json.keys, json.object, json.array, and .as_int() and its kin.

#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "engine/expr/encoded.h"
#include "engine/expr/function_row.h"
#include "engine/expr/json_access.h"
#include "engine/expr/kernel.h"
#include "engine/types/from_text.h"
#include "engine/types/value_text.h"

namespace thalweg::expr {
namespace {

// ---------------------------------------------------------------- values to JSON

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void append_base64(std::string_view bytes, std::string& out) {
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0);
    std::size_t digits = std::min<std::size_t>(bytes.size() - i, 3) + 1;
    for (std::size_t k = 0; k < 4; ++k) out += k < digits ? kBase64[(group >> (18 - 6 * k)) & 63] : '=';
  }
}

// Empty on success, else why there is no JSON.
using Failure = std::optional<std::string>;

Failure append_json_float(double v, std::string& out) {
  if (!std::isfinite(v)) return "json has no NaN and no infinity";
  append_float(v, out);
  return std::nullopt;
}

template <class T>
Failure append_json_array(const NdArray& array, const std::vector<T>& data, std::size_t dim, std::size_t& at,
                          std::string& out) {
  if (dim == array.shape.size()) {
    if constexpr (std::same_as<T, double>) return append_json_float(data[at++], out);
    out += std::to_string(data[at++]);
    return std::nullopt;
  }
  out += '[';
  for (std::int64_t i = 0; i < array.shape[dim]; ++i) {
    if (i > 0) out += ',';
    if (Failure failure = append_json_array(array, data, dim + 1, at, out)) return failure;
  }
  out += ']';
  return std::nullopt;
}

Failure append_json(const Value& value, std::string& out) {
  switch (value.tag()) {
    case Value::Tag::kNone: out += "null"; return std::nullopt;
    case Value::Tag::kBool: out += value.as_bool() ? "true" : "false"; return std::nullopt;
    case Value::Tag::kInt:
    case Value::Tag::kDuration: out += std::to_string(value.as_int()); return std::nullopt;
    case Value::Tag::kFloat: return append_json_float(value.as_float(), out);
    case Value::Tag::kJson: out += value.as_text(); return std::nullopt;
    case Value::Tag::kStr: out += json_quoted(value.as_text()); return std::nullopt;
    case Value::Tag::kBytes:
      out += '"';
      append_base64(value.as_text(), out);
      out += '"';
      return std::nullopt;
    case Value::Tag::kPointer:
    case Value::Tag::kUuid:
    case Value::Tag::kDateTimeNaive:
    case Value::Tag::kDateTimeUtc: out += json_quoted(value.to_text()); return std::nullopt;
    case Value::Tag::kTuple: {
      out += '[';
      bool first = true;
      for (const Value& element : value.as_tuple()) {
        if (!first) out += ',';
        first = false;
        if (Failure failure = append_json(element, out)) return failure;
      }
      out += ']';
      return std::nullopt;
    }
    case Value::Tag::kArray: {
      std::size_t at = 0;
      return std::visit([&](const auto& data) { return append_json_array(value.as_array(), data, 0, at, out); },
                        value.as_array().data);
    }
    case Value::Tag::kError:
    case Value::Tag::kPending: break;
  }
  return "an ERROR inside a value has no json";
}

Failure append_json_cell(const Type& type, const Column& column, std::size_t row, std::string& out) {
  if (!column.is_value(row)) {
    out += "null";
    return std::nullopt;
  }
  if (type.is(Kind::kJson)) {
    out += column.views()[row].view();
    return std::nullopt;
  }
  if (type.is(Kind::kStr)) {
    out += json_quoted(column.views()[row].view());
    return std::nullopt;
  }
  return append_json(column.value(type, row), out);
}

Column to_json(const KernelCall& call) {
  Writer<std::string_view> out(call);
  std::string text;
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    text.clear();
    if (Failure failure = append_json_cell(call.arg_types[0], call.args[0], i, text))
      out.fail(i, *failure);
    else
      out.set_text(i, text);
  }
  return out.finish();
}
Column make_array(const KernelCall& call) {
  Writer<std::string_view> out(call);
  std::string text;
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    text = "[";
    Failure failure;
    for (std::size_t k = 0; k < call.args.size() && !failure; ++k) {
      if (k > 0) text += ',';
      failure = append_json_cell(call.arg_types[k], call.args[k], i, text);
    }
    text += ']';
    failure ? out.fail(i, *failure) : out.set_text(i, text);
  }
  return out.finish();
}
// Arguments are keys and values in turn.
Column make_object(const KernelCall& call) {
  Writer<std::string_view> out(call);
  std::string text;
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    text = "{";
    Failure failure;
    for (std::size_t k = 0; k + 1 < call.args.size() && !failure; k += 2) {
      if (k > 0) text += ',';
      text += json_quoted(call.args[k].views()[i].view());
      text += ':';
      failure = append_json_cell(call.arg_types[k + 1], call.args[k + 1], i, text);
    }
    text += '}';
    failure ? out.fail(i, *failure) : out.set_text(i, text);
  }
  return out.finish();
}

template <Kernel kKernel>
const KernelInfo* sees_nones(std::span<const Type>, const Type&) {
  static const KernelInfo kernel{.kernel = kKernel, .sees_none = true};
  return &kernel;
}
Result<Typed> type_json(std::span<const Argument> args) { return Typed{{args[0].type}, Kind::kJson, {}}; }
Result<Typed> type_dump(std::span<const Argument> args) { return Typed{{args[0].type}, Kind::kStr, {}}; }
Result<Typed> type_array(std::span<const Argument> args) {
  Typed typed{{}, Kind::kJson, {}};
  for (const Argument& arg : args) typed.params.push_back(arg.type);
  return typed;
}
Result<Typed> type_object(std::span<const Argument> args) {
  if (args.size() % 2 != 0) return fail(Code::kInvalidPipeline, "`json.object` takes keys and values in turn");
  for (std::size_t i = 0; i < args.size(); i += 2)
    if (!args[i].type.is_plain(Kind::kStr))
      return fail(Code::kInvalidPipeline,
                  fmt::format("a key of a json object must be `str`, not `{}`", args[i].type.to_text()));
  return type_array(args);
}

// ---------------------------------------------------------------- text and keys

Answer<std::string> parse(std::string_view text) {
  std::optional<std::string> json = compact_json(text);
  if (!json) return no_answer("the text is no json");
  return std::move(*json);
}
Answer<std::string> keys(std::string_view json) {
  if (json_kind(json) != JsonKind::kObject) return no_answer("`json.keys` of what is no object");
  std::string names, out;
  std::uint64_t count = 0;
  json_each_member(json, [&](std::string_view key, std::string_view) {
    encode_str(key, names);
    ++count;
    return true;
  });
  begin_tuple(count, out);
  return out + names;
}
Answer<std::string> elements(std::string_view json) {
  if (json_kind(json) != JsonKind::kArray) return no_answer("`as_list` of what is no array");
  std::string out;
  begin_tuple(json_size(json), out);
  json_each(json, [&](std::string_view element) {
    encode(Value::json(std::string(element)), out);
    return true;
  });
  return out;
}

// ---------------------------------------------------------------- as_int, as_float, as_str, as_bool

template <class T>
std::optional<T> number_from(std::string_view json) {
  T v{};
  auto [end, error] = std::from_chars(json.data(), json.data() + json.size(), v);
  if (error != std::errc{} || end != json.data() + json.size()) return std::nullopt;
  return v;
}
std::optional<std::int64_t> read_int(std::string_view json) {
  return json_kind(json) == JsonKind::kNumber ? number_from<std::int64_t>(json) : std::nullopt;
}
std::optional<double> read_float(std::string_view json) {
  return json_kind(json) == JsonKind::kNumber ? float_from_text(json) : std::nullopt;
}
std::optional<bool> read_bool(std::string_view json) {
  return json_kind(json) == JsonKind::kBool ? std::optional(json == "true") : std::nullopt;
}
std::optional<std::string> read_str(std::string_view json) {
  return json_kind(json) == JsonKind::kString ? std::optional(json_unquoted(json)) : std::nullopt;
}

std::string cannot_convert(std::string_view json, const Type& type) {
  constexpr std::size_t kShown = 100;
  return fmt::format("cannot convert json {} to {}", json.substr(0, kShown), type.to_text());
}

// args: json, default. None and null give the default; a None that the type does not allow is an ERROR.
template <class T, class Value_, std::optional<Value_> (*Read)(std::string_view)>
Column read_as(const KernelCall& call) {
  Writer<T> out(call);
  auto cells = call.args[0].views();
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    std::string_view json = call.args[0].is_value(i) ? cells[i].view() : "null";
    if (json != "null") {
      std::optional<Value_> value = Read(json);
      if (!value)
        out.fail(i, cannot_convert(json, call.result.without_optional()));
      else if constexpr (std::same_as<T, std::string_view>)
        out.set_text(i, *value);
      else
        out.set(i, *value);
    } else if (call.args[1].is_value(i)) {
      if constexpr (std::same_as<T, std::string_view>)
        out.set_part(i, Reader<T>(call.args[1])[i]);
      else
        out.set(i, Reader<T>(call.args[1])[i]);
    } else if (call.result.admits_none()) {
      out.none(i);
    } else {
      out.fail(i, "cannot unwrap if there is None value");
    }
  }
  return out.finish();
}

template <Kind kKind>
Result<Typed> type_as(std::span<const Argument> args) {
  const Type json = args[0].type;
  const Type& fallback = args[1].type;
  if (!json.is(Kind::kJson))
    return fail(Code::kInvalidPipeline,
                fmt::format("`as_{}` takes `json`, not `{}`; use `cast`", kind_name(kKind), json.to_text()));
  if (!is_subtype(fallback, Type(kKind, true)))
    return fail(Code::kInvalidPipeline, fmt::format("`as_{}`: the default must be `{}`, it is `{}`", kind_name(kKind),
                                                    kind_name(kKind), fallback.to_text()));
  const Value* unwrap = args[2].constant;
  if (!unwrap || unwrap->tag() != Value::Tag::kBool)
    return fail(Code::kInvalidPipeline, "`unwrap` must be True or False");
  bool optional = !unwrap->as_bool() && fallback.admits_none();
  return Typed{{json, Type(kKind, fallback.admits_none())}, Type(kKind, optional), {0, 1}};
}
template <class T, class Value_, std::optional<Value_> (*Read)(std::string_view)>
const KernelInfo* choose_as(std::span<const Type> params, const Type& result) {
  static const KernelInfo kernel{.kernel = read_as<T, Value_, Read>, .sees_none = true};
  return params.size() == 2 && params[0].is(Kind::kJson) &&
                 (params[1].phys() == result.phys() || params[1].is(Kind::kNone))
             ? &kernel
             : nullptr;
}

template <Kind kKind, class T, class Value_, std::optional<Value_> (*Read)(std::string_view)>
FunctionRow as_row(std::string doc, std::string example, std::string result) {
  std::string name = fmt::format("as_{}", kind_name(kKind));
  return {.name = name,
          .aliases = {"json." + name},
          .signature = fmt::format("x.{}(default=None, unwrap=False) -> {} | None", name, kind_name(kKind)),
          .doc = std::move(doc),
          .example = std::move(example),
          .example_result = std::move(result),
          .is_method = true,
          .params = {{"x", Kind::kJson},
                     {"default", Kind::kNone, false, Value::none()},
                     {"unwrap", Kind::kBool, false, Value::of(false)}},
          .typing = type_as<kKind>,
          .choose = choose_as<T, Value_, Read>};
}

// A json argument and its optional form, which gives an optional result.
std::vector<Overload> with_optional(Kind argument, const Type& result, Kernel kernel) {
  return {{{{"x", argument}}, result, {.kernel = kernel}},
          {{{"x", Type(argument, true)}}, result.as_optional(), {.kernel = kernel}}};
}

}  // namespace

std::span<const FunctionRow> json_functions() {
  static const std::vector<FunctionRow> rows = {
      {.name = "json",
       .signature = "json(x) -> json",
       .doc = "x as json: numbers, texts, lists as they are, None as null, datetimes as ISO text, durations as "
              "nanoseconds, bytes in base 64. NaN and infinity are an ERROR.",
       .example = "json((1, 'a', None))",
       .example_result = R"([1,"a",null])",
       .params = {{"x", Kind::kAny}},
       .typing = type_json,
       .choose = sees_nones<to_json>},
      {.name = "json.dump",
       .aliases = {"json.dumps"},
       .signature = "json.dump(x) -> str",
       .doc = "The text of `json(x)`.",
       .example = "json.dump([1, 2])",
       .example_result = "[1,2]",
       .params = {{"x", Kind::kAny}},
       .typing = type_dump,
       .choose = sees_nones<to_json>},
      {.name = "json.parse",
       .aliases = {"json.loads"},
       .signature = "json.parse(text: str) -> json",
       .doc = "Reads json; what is none is an ERROR.",
       .example = R"(json.parse('{"a": [1, 2.50]}'))",
       .example_result = R"({"a":[1,2.50]})",
       .overloads = with_optional(Kind::kStr, Kind::kJson, map<parse>)},
      {.name = "json.keys",
       .signature = "json.keys(x: json) -> list[str]",
       .doc = "The keys of an object, in its order; of anything else an ERROR.",
       .example = R"(json.keys(json.parse('{"b": 1, "a": 2}')))",
       .example_result = "('b', 'a')",
       .overloads = with_optional(Kind::kJson, Type::list(Kind::kStr), map<keys>)},
      {.name = "json.object",
       .signature = "json.object(key: str, value, ...) -> json, {'key': value}",
       .doc = "An object of keys and values.",
       .example = "json.object('a', 1, 'b', None)",
       .example_result = R"({"a":1,"b":null})",
       .params = {{"x", Kind::kAny, false}},
       .variadic = true,
       .typing = type_object,
       .choose = sees_nones<make_object>},
      {.name = "json.array",
       .signature = "json.array(value, ...) -> json",
       .doc = "An array of values of any types.",
       .example = "json.array(1, 'a', True)",
       .example_result = R"([1,"a",true])",
       .params = {{"x", Kind::kAny, false}},
       .variadic = true,
       .typing = type_array,
       .choose = sees_nones<make_array>},
      {.name = "as_list",
       .aliases = {"json.as_list"},
       .signature = "x.as_list() -> list[json]",
       .doc = "The elements of a json array; of anything else an ERROR.",
       .example = "len(as_list(json([1, 2])))",
       .example_result = "2",
       .is_method = true,
       .overloads = with_optional(Kind::kJson, Type::list(Kind::kJson), map<elements>)},
      as_row<Kind::kInt, std::int64_t, std::int64_t, read_int>(
          "A json number without a point as int. None and null give the default; of another kind an ERROR.",
          "as_int(json(42))", "42"),
      as_row<Kind::kFloat, double, double, read_float>(
          "A json number as float. None and null give the default; of another kind an ERROR.", "as_float(json(1))",
          "1.0"),
      as_row<Kind::kStr, std::string_view, std::string, read_str>(
          "A json text as str. None and null give the default; of another kind an ERROR.", "as_str(json('a'))", "a"),
      as_row<Kind::kBool, bool, bool, read_bool>(
          "A json true or false as bool. None and null give the default; of another kind an ERROR.",
          "as_bool(json(True))", "True"),
  };
  return rows;
}

}  // namespace thalweg::expr
