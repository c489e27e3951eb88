// Tuples, lists, and whatever has elements: make_tuple, make_list, x[i], x.get(i), `in`, len.

#include <fmt/format.h>

#include "engine/expr/encoded.h"
#include "engine/expr/function_row.h"
#include "engine/expr/json_access.h"
#include "engine/expr/kernel.h"
#include "engine/types/from_text.h"
#include "engine/types/value_text.h"

namespace thalweg::expr {
namespace {

// ---------------------------------------------------------------- making

Column make_sequence(const KernelCall& call) {
  Writer<std::string_view> out(call);
  std::string bytes;
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    bytes.clear();
    begin_tuple(call.args.size(), bytes);
    for (std::size_t k = 0; k < call.args.size(); ++k) encode_cell(call.arg_types[k], call.args[k], i, bytes);
    out.set_text(i, bytes);
  }
  return out.finish();
}
const KernelInfo* choose_sequence(std::span<const Type>, const Type&) {
  static const KernelInfo kernel{.kernel = make_sequence, .sees_none = true};
  return &kernel;
}
Result<Typed> type_make_tuple(std::span<const Argument> args) {
  Typed typed;
  for (const Argument& arg : args) typed.params.push_back(arg.type);
  typed.result = Type::tuple(typed.params);
  return typed;
}
Result<Typed> type_make_list(std::span<const Argument> args) {
  if (args.empty()) return Typed{{}, Type::tuple({}), {}};  // fits every list
  Type element = args[0].type;
  for (const Argument& arg : args) {
    std::optional<Type> common = common_supertype(element, arg.type);
    if (!common)
      return fail(Code::kInvalidPipeline,
                  fmt::format("a list of `{}` and `{}`: its elements need a common type; write a tuple `( , )`",
                              element.to_text(), arg.type.to_text()));
    element = *common;
  }
  return Typed{std::vector<Type>(args.size(), element), Type::list(element), {}};
}

// ---------------------------------------------------------------- x[i] and x.get(i, default): typing

struct Access {
  bool get = false;  // else []
  const Type& container;
  const Argument& index;
  const Argument* fallback;  // of get
  [[nodiscard]] Type fallback_type() const { return fallback ? fallback->type : Type(Kind::kNone); }
};

Result<Type> with_fallback(const Type& element, const Access& access) {
  std::optional<Type> common = common_supertype(element, access.fallback_type());
  if (common) return *common;
  return fail(Code::kInvalidPipeline,
              fmt::format("`get`: the default is `{}`, the elements are `{}`; they have no common type",
                          access.fallback_type().to_text(), element.to_text()));
}

Result<Typed> finish(const Access& access, Type result) {
  Typed typed{{access.container, access.index.type}, result, {}};
  if (access.get) typed.params.push_back(access.fallback_type().is(Kind::kNone) ? Type(Kind::kNone) : result);
  return typed;
}

Result<Typed> type_tuple_access(const Access& access) {
  const auto& elements = access.container.args();
  if (!access.index.constant || access.index.constant->tag() != Value::Tag::kInt) {
    Type element = access.container.element();
    return finish(access, access.get ? TRY(with_fallback(element, access)) : element);
  }
  std::int64_t at = access.index.constant->as_int();
  auto count = static_cast<std::int64_t>(elements.size());
  if (at >= -count && at < count) {
    Type element = elements[static_cast<std::size_t>(at < 0 ? at + count : at)];
    if (!access.get) return finish(access, element);
    // The default is never used, so it does not widen the type; as a parameter it only has to lie like it.
    Typed typed{{access.container, access.index.type, access.fallback_type()}, element, {}};
    return typed;
  }
  if (access.get) return finish(access, access.fallback_type());
  return fail(Code::kInvalidPipeline, fmt::format("index {} is out of range for `{}`", at, access.container.to_text()));
}

Result<Typed> type_json_access(const Access& access) {
  if (!access.index.type.is_plain(Kind::kInt) && !access.index.type.is_plain(Kind::kStr))
    return fail(Code::kInvalidPipeline,
                fmt::format("json is indexed by `str` or `int`, not `{}`", access.index.type.to_text()));
  Typed typed{{access.container, access.index.type}, Type(Kind::kJson, true), {}};
  if (!access.get) return typed;
  typed.params.push_back(access.fallback_type());
  if (!access.fallback_type().admits_none()) typed.result = Kind::kJson;
  return typed;
}

Result<Typed> type_access(const Access& access) {
  const Type& container = access.container;
  if (container.is(Kind::kJson)) return type_json_access(access);
  if (container.is(Kind::kStr))
    return fail(Code::kInvalidPipeline, "text is not indexed; use `.str.slice(start, end)`");
  if (container.optional())
    return fail(
        Code::kInvalidPipeline,
        fmt::format("`{}` may be None; use `unwrap(x)` or `coalesce(x, ...)` before an index", container.to_text()));
  bool indexable =
      container.is(Kind::kTuple) || container.is(Kind::kList) || container.is(Kind::kArray) || container.is(Kind::kAny);
  if (!indexable) return fail(Code::kInvalidPipeline, fmt::format("`{}` has no elements", container.to_text()));
  if (container.is(Kind::kAny)) return finish(access, Kind::kAny);
  if (!access.index.type.is_plain(Kind::kInt))
    return fail(Code::kInvalidPipeline,
                fmt::format("`{}` is indexed by `int`, not `{}`", container.to_text(), access.index.type.to_text()));
  if (container.is(Kind::kTuple)) return type_tuple_access(access);
  Type element = container.element();
  return finish(access, access.get ? TRY(with_fallback(element, access)) : element);
}
Result<Typed> type_get_item(std::span<const Argument> args) {
  return type_access({false, args[0].type, args[1], nullptr});
}
Result<Typed> type_get(std::span<const Argument> args) { return type_access({true, args[0].type, args[1], &args[2]}); }

// ---------------------------------------------------------------- x[i] and x.get(i, default): kernels

constexpr std::string_view kOutOfRange = "index out of range";

// The default of get, or an ERROR for [].
void push_missing(const KernelCall& call, std::size_t row, ColumnBuilder& out) {
  if (call.args.size() < 3) {
    call.errors.report(row, kOutOfRange);
    return out.push_error();
  }
  const Column& fallback = call.args[2];
  if (fallback.tag(row) != CellTag::kValue) return out.push_tagged(fallback.tag(row));
  if (call.result.phys() == fallback.phys() && call.arg_types[2].is_encoded() == call.result.is_encoded())
    return out.push_cell(fallback, row);
  std::string bytes;
  encode_cell(call.arg_types[2], fallback, row, bytes);
  if (!push_encoded(call.result, bytes, out)) out.push_none();
}

bool pushed_skip(const KernelCall& call, std::size_t row, ColumnBuilder& out) {
  if (!call.skip || call.skip[row] == CellTag::kValue) return false;
  out.push_tagged(call.skip[row]);
  return true;
}

Column access_tuple(const KernelCall& call) {
  ColumnBuilder out(call.result, call.rows);
  auto tuples = call.args[0].views();
  auto index = call.args[1].i64();
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (pushed_skip(call, i, out)) continue;
    if (call.args[0].tag(i) == CellTag::kNone || call.args[1].tag(i) == CellTag::kNone) {
      out.push_none();
      continue;
    }
    std::string_view tuple = tuples[i].view();
    auto count = static_cast<std::int64_t>(tuple_size(tuple));
    std::int64_t at = index[i] < 0 ? index[i] + count : index[i];
    if (at < 0 || at >= count) {
      push_missing(call, i, out);
    } else if (!push_encoded(call.result, tuple_element(tuple, static_cast<std::uint64_t>(at)), out)) {
      call.errors.report(i, fmt::format("the element is no {}", call.result.to_text()));
      out.push_error();
    }
  }
  return out.finish();
}

std::optional<Value> array_element(const NdArray& array, std::int64_t index) {
  if (array.shape.empty()) return std::nullopt;
  std::int64_t count = array.shape[0];
  if (index < 0) index += count;
  if (index < 0 || index >= count) return std::nullopt;
  return std::visit(
      [&](const auto& data) -> Value {
        if (array.shape.size() == 1) return Value::of(data[static_cast<std::size_t>(index)]);
        auto stride = static_cast<std::int64_t>(data.size()) / count;
        NdArray part{{array.shape.begin() + 1, array.shape.end()}, {}};
        part.data =
            std::remove_cvref_t<decltype(data)>(data.begin() + index * stride, data.begin() + (index + 1) * stride);
        return Value::array(std::move(part));
      },
      array.data);
}

// Elements of any value there is: for arrays and `any`.
std::optional<Value> element_of(const Value& container, const Value& index) {
  bool by_int = index.tag() == Value::Tag::kInt;
  if (container.tag() == Value::Tag::kArray && by_int) return array_element(container.as_array(), index.as_int());
  if (container.tag() == Value::Tag::kTuple && by_int) {
    auto count = static_cast<std::int64_t>(container.as_tuple().size());
    std::int64_t at = index.as_int() < 0 ? index.as_int() + count : index.as_int();
    if (at < 0 || at >= count) return std::nullopt;
    return container.as_tuple()[static_cast<std::size_t>(at)];
  }
  if (container.tag() == Value::Tag::kJson) {
    std::optional<std::string_view> found;
    if (by_int) found = json_element(container.as_text(), index.as_int());
    if (index.tag() == Value::Tag::kStr) found = json_member(container.as_text(), index.as_text());
    return found ? Value::json(std::string(*found)) : Value::none();
  }
  return container.is_none() ? std::optional(Value::none()) : std::nullopt;
}

Column access_value(const KernelCall& call) {
  ColumnBuilder out(call.result, call.rows);
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (pushed_skip(call, i, out)) continue;
    std::optional<Value> element =
        element_of(call.args[0].value(call.arg_types[0], i), call.args[1].value(call.arg_types[1], i));
    if (!element)
      push_missing(call, i, out);
    else if (!push_encoded(call.result, encode(*element), out)) {
      call.errors.report(i, fmt::format("the element is no {}", call.result.to_text()));
      out.push_error();
    }
  }
  return out.finish();
}

// The default of get on json may be any scalar: it becomes json.
void push_json_missing(const KernelCall& call, std::size_t row, ColumnBuilder& out) {
  if (call.args.size() < 3 || call.args[2].tag(row) == CellTag::kNone) return out.push_none();
  Value value = call.args[2].value(call.arg_types[2], row);
  switch (value.tag()) {
    case Value::Tag::kJson: return out.push_text(value.as_text());
    case Value::Tag::kBool: return out.push_text(value.as_bool() ? "true" : "false");
    case Value::Tag::kInt:
    case Value::Tag::kFloat: return out.push_text(value.to_text());
    default: return out.push_text(json_quoted(value.to_text()));
  }
}

template <bool kByKey>
Column access_json(const KernelCall& call) {
  ColumnBuilder out(call.result, call.rows);
  for (const HeapRef& heap : call.args[0].heaps()) out.add_heap(heap);
  auto cells = call.args[0].views();
  bool null_stays = !call.result.admits_none();
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (pushed_skip(call, i, out)) continue;
    std::optional<std::string_view> found;
    if (call.args[0].tag(i) == CellTag::kValue && call.args[1].tag(i) == CellTag::kValue) {
      if constexpr (kByKey)
        found = json_member(cells[i].view(), call.args[1].views()[i].view());
      else
        found = json_element(cells[i].view(), call.args[1].i64()[i]);
    }
    if (!found)
      push_json_missing(call, i, out);
    else if (*found == "null" && !null_stays)
      out.push_none();
    else
      out.push_view(StrView(*found));
  }
  return out.finish();
}

const KernelInfo* choose_access(std::span<const Type> params, const Type&) {
  static const KernelInfo by_key{.kernel = access_json<true>, .sees_none = true};
  static const KernelInfo by_index{.kernel = access_json<false>, .sees_none = true};
  static const KernelInfo tuple{.kernel = access_tuple, .sees_none = true};
  static const KernelInfo value{.kernel = access_value, .sees_none = true};
  if (params.size() < 2) return nullptr;
  if (params[0].is(Kind::kJson)) return params[1].is(Kind::kStr) ? &by_key : &by_index;
  bool sequence = params[0].is(Kind::kTuple) || params[0].is(Kind::kList);
  return sequence && params[1].is(Kind::kInt) ? &tuple : &value;
}

// ---------------------------------------------------------------- in

bool text_contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }
bool json_contains(std::string_view json, std::string_view key) {
  if (json_kind(json) == JsonKind::kObject) return json_member(json, key).has_value();
  bool found = false;
  json_each(json, [&](std::string_view element) {
    found = json_kind(element) == JsonKind::kString && json_unquoted(element) == key;
    return !found;
  });
  return found;
}
Column json_or_none_contains(const KernelCall& call) {
  Writer<bool> out(call);
  Reader<std::string_view> keys(call.args[1]);
  for (std::size_t i = 0; i < call.rows; ++i)
    if (!out.skips(i)) out.set(i, call.args[0].is_value(i) && json_contains(call.args[0].views()[i].view(), keys[i]));
  return out.finish();
}
Column sequence_contains(const KernelCall& call) {
  Writer<bool> out(call);
  auto sequences = call.args[0].views();
  std::string item;
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    item.clear();
    encode_cell(call.arg_types[1], call.args[1], i, item);
    bool found = false;
    for (std::string_view element : tuple_elements(sequences[i].view())) found = found || element == item;
    out.set(i, found);
  }
  return out.finish();
}
Result<Typed> type_contains(std::span<const Argument> args) {
  const Type& container = args[0].type;
  const Type& item = args[1].type;
  bool text = container.is_plain(Kind::kStr) || container.is(Kind::kJson);
  if (text && item.is_plain(Kind::kStr)) return Typed{{container, item}, Kind::kBool, {}};
  if (container.is_plain(Kind::kTuple) || container.is_plain(Kind::kList)) {
    Type element = container.is(Kind::kTuple) && container.args().empty() ? item : container.element();
    std::optional<Type> common = common_supertype(element, item);
    if (common && (!common->is(Kind::kAny) || element.is(Kind::kAny) || item.is(Kind::kAny))) {
      // Ints are looked for among floats as floats; the elements as well, where some are ints.
      Type sequence = container.is(Kind::kList) || common->is(Kind::kFloat) ? Type::list(*common) : container;
      return Typed{{sequence, element.is(Kind::kAny) ? item : *common}, Kind::kBool, {}};
    }
  }
  std::string hint = container.optional() ? "; use `unwrap(x)` or `coalesce(x, ...)` first" : "";
  return fail(Code::kInvalidPipeline,
              fmt::format("`in`: no `{}` is in a `{}`{}", item.to_text(), container.to_text(), hint));
}
const KernelInfo* choose_contains(std::span<const Type> params, const Type&) {
  static const KernelInfo text{.kernel = map<text_contains>};
  static const KernelInfo json{.kernel = json_or_none_contains, .sees_none = true};
  static const KernelInfo sequence{.kernel = sequence_contains, .sees_none = true};
  if (params[0].is(Kind::kStr)) return &text;
  return params[0].is(Kind::kJson) ? &json : &sequence;
}

// ---------------------------------------------------------------- len

std::int64_t text_length(std::string_view text) {
  std::int64_t count = 0;
  for (char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}
std::int64_t bytes_length(std::string_view bytes) { return static_cast<std::int64_t>(bytes.size()); }
std::int64_t tuple_length(std::string_view tuple) { return static_cast<std::int64_t>(tuple_size(tuple)); }
Answer<std::int64_t> json_length(std::string_view json) {
  switch (json_kind(json)) {
    case JsonKind::kArray:
    case JsonKind::kObject: return static_cast<std::int64_t>(json_size(json));
    case JsonKind::kString: return text_length(json_unquoted(json));
    case JsonKind::kNull:
    case JsonKind::kBool:
    case JsonKind::kNumber: return no_answer("this json has no length");
  }
  return no_answer("this json has no length");
}
Answer<std::int64_t> any_length(std::string_view bytes) {
  Value value = decode_all(bytes);
  switch (value.tag()) {
    case Value::Tag::kStr: return text_length(value.as_text());
    case Value::Tag::kBytes: return bytes_length(value.as_text());
    case Value::Tag::kTuple: return static_cast<std::int64_t>(value.as_tuple().size());
    case Value::Tag::kArray:
      if (!value.as_array().shape.empty()) return value.as_array().shape[0];
      break;
    case Value::Tag::kJson: return json_length(value.as_text());
    default: break;
  }
  return no_answer("no length: " + value.to_text());
}
// What an index found may be None, and has no length.
Column json_length_or_error(const KernelCall& call) {
  Writer<std::int64_t> out(call);
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    Answer<std::int64_t> length = json_length(call.args[0].is_value(i) ? call.args[0].views()[i].view() : "null");
    length ? out.set(i, *length) : out.fail(i, length.error());
  }
  return out.finish();
}
Result<Typed> type_len(std::span<const Argument> args) {
  const Type& type = args[0].type;
  if (type.optional() && !type.is(Kind::kJson))
    return fail(Code::kInvalidPipeline,
                fmt::format("`len` of `{}`; use `unwrap(x)` or `coalesce(x, ...)` first", type.to_text()));
  if (type.phys() != Phys::kView)
    return fail(Code::kInvalidPipeline, fmt::format("`{}` has no length", type.to_text()));
  return Typed{{type}, Kind::kInt, {}};
}
const KernelInfo* choose_len(std::span<const Type> params, const Type&) {
  static const KernelInfo text{.kernel = map<text_length>};
  static const KernelInfo bytes{.kernel = map<bytes_length>};
  static const KernelInfo tuple{.kernel = map<tuple_length>};
  static const KernelInfo json{.kernel = json_length_or_error, .sees_none = true};
  static const KernelInfo any{.kernel = map<any_length>};
  switch (params[0].kind()) {
    case Kind::kStr: return &text;
    case Kind::kBytes: return &bytes;
    case Kind::kTuple:
    case Kind::kList: return &tuple;
    case Kind::kJson: return &json;
    case Kind::kArray:
    case Kind::kAny: return &any;
    default: return nullptr;
  }
}

}  // namespace

std::span<const FunctionRow> tuple_functions() {
  static const std::vector<FunctionRow> rows = {
      {.name = "make_tuple",
       .signature = "make_tuple(x, ...) -> tuple, (a, b)",
       .doc = "A tuple of its arguments.",
       .example = "make_tuple(1, 'a', None)",
       .example_result = "(1, 'a', None)",
       .params = {{"x", Kind::kAny, false}},
       .variadic = true,
       .typing = type_make_tuple,
       .choose = choose_sequence},
      {.name = "make_list",
       .signature = "make_list(x: T, ...) -> list[T], [a, b]",
       .doc = "A list of its arguments, which have a common type.",
       .example = "make_list(1, 2.5)",
       .example_result = "(1.0, 2.5)",
       .params = {{"x", Kind::kAny, false}},
       .variadic = true,
       .typing = type_make_list,
       .choose = choose_sequence},
      {.name = "get_item",
       .signature = "x[i]: tuple, list, array by int; json by str or int",
       .doc =
           "An element. Out of range is an ERROR for tuples, lists and arrays, where a negative index counts from the "
           "end; json gives None for whatever is missing, so that chains are safe.",
       .example = "(10, 20, 30)[-1]",
       .example_result = "30",
       .params = {{"x", Kind::kAny}, {"index", Kind::kAny}},
       .typing = type_get_item,
       .choose = choose_access},
      {.name = "get",
       .signature = "x.get(index, default=None)",
       .doc = "An element, or the default if there is none.",
       .example = "get([1, 2], 5, default=0)",
       .example_result = "0",
       .is_method = true,
       .params = {{"x", Kind::kAny}, {"index", Kind::kAny}, {"default", Kind::kNone, false, Value::none()}},
       .typing = type_get,
       .choose = choose_access},
      {.name = "contains",
       .signature = "item in container: text in text; element in tuple or list; key in json",
       .doc = "Whether the container has the item.",
       .example = "2 in [1, 2, 3]",
       .example_result = "True",
       .params = {{"container", Kind::kAny}, {"item", Kind::kAny}},
       .typing = type_contains,
       .choose = choose_contains},
      {.name = "len",
       .signature = "len(x) -> int",
       .doc = "Code points of a text, bytes, elements of a tuple, list, array, json array or object.",
       .example = "len('naïve')",
       .example_result = "5",
       .params = {{"x", Kind::kAny}},
       .typing = type_len,
       .choose = choose_len},
  };
  return rows;
}

}  // namespace thalweg::expr
