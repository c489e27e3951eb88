// The `.str` methods but those with regular expressions: cases, stripping, searching, slicing, parsing, splitting.
// Positions and lengths are code points; the rules are those of Python's str.

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "engine/expr/encoded.h"
#include "engine/expr/function_row.h"
#include "engine/expr/kernel.h"
#include "engine/expr/unicode.h"
#include "engine/types/from_text.h"
#include "engine/types/value_text.h"

namespace thalweg::expr {
namespace {

constexpr std::size_t kTextBytesMax = 64 << 20;  // of one text that an expression makes

bool is_ascii(std::string_view text) {
  unsigned char any = 0;
  for (char c : text) any |= static_cast<unsigned char>(c);
  return any < 0x80;
}

// ---------------------------------------------------------------- cases

template <class Ascii, class Full>
std::string change_case(std::string_view text, Ascii ascii, Full full) {
  std::string out;
  out.reserve(text.size());
  if (is_ascii(text)) {
    for (char c : text) out += ascii(c);
    return out;
  }
  for (std::size_t at = 0; at < text.size();) {
    CodePoint c = code_point_at(text, at);
    full(c.value, at, out);
    at += c.bytes;
  }
  return out;
}

char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
char ascii_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }

// Whether a letter stands before byte `at`, accents and apostrophes passed over.
bool letter_before(std::string_view text, std::size_t at) {
  while (at > 0) {
    do --at;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
    const char32_t c = code_point_at(text, at).value;
    if (!is_case_ignorable(c)) return is_cased(c);
  }
  return false;
}
bool letter_after(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const CodePoint c = code_point_at(text, at);
    if (!is_case_ignorable(c.value)) return is_cased(c.value);
    at += c.bytes;
  }
  return false;
}

// Greek sigma at the end of a word has a lower case of its own.
void append_lower_at(std::string_view text, std::size_t at, char32_t c, std::string& out) {
  if (c != 0x3A3) return append_lower(c, out);
  append_code_point(letter_before(text, at) && !letter_after(text, at + 2) ? 0x3C2 : 0x3C3, out);
}

std::string lower(std::string_view text) {
  return change_case(text, ascii_lower,
                     [&](char32_t c, std::size_t at, std::string& out) { append_lower_at(text, at, c, out); });
}
std::string upper(std::string_view text) {
  return change_case(text, ascii_upper, [](char32_t c, std::size_t, std::string& out) { append_upper(c, out); });
}
// Most text is ASCII: changed in place, without a copy in between.
template <char (*kAscii)(char), std::string (*kFull)(std::string_view)>
Column map_case(const KernelCall& call) {
  Writer<std::string_view> out(call);
  Reader<std::string_view> texts(call.args[0]);
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    std::string_view text = texts[i];
    if (!is_ascii(text)) {
      out.set_text(i, kFull(text));
      continue;
    }
    char buffer[StrView::kInlineMax];
    char* to = text.size() <= StrView::kInlineMax ? buffer : out.heap().allocate(text.size());
    for (std::size_t k = 0; k < text.size(); ++k) to[k] = kAscii(text[k]);
    out.set_view(i, StrView({to, text.size()}));
  }
  return out.finish();
}
std::string swapcase(std::string_view text) {
  auto ascii = [](char c) { return ascii_lower(c) != c ? ascii_lower(c) : ascii_upper(c); };
  return change_case(text, ascii, [&](char32_t c, std::size_t at, std::string& out) {
    if (is_upper(c))
      append_lower_at(text, at, c, out);
    else if (is_lower(c))
      append_upper(c, out);
    else
      append_code_point(c, out);
  });
}
std::string title(std::string_view text) {
  bool in_word = false;
  auto ascii = [&](char c) {
    bool letter = ascii_lower(c) != c || ascii_upper(c) != c;
    char changed = in_word ? ascii_lower(c) : ascii_upper(c);
    in_word = letter;
    return changed;
  };
  return change_case(text, ascii, [&](char32_t c, std::size_t at, std::string& out) {
    if (in_word)
      append_lower_at(text, at, c, out);
    else
      append_title(c, out);
    in_word = is_cased(c);
  });
}
std::string reversed(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t end = text.size(); end > 0;) {
    std::size_t at = end - 1;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
    out += text.substr(at, end - at);
    end = at;
  }
  return out;
}
std::int64_t length(std::string_view text) { return count_code_points(text); }

// ---------------------------------------------------------------- strip and friends

enum class Side : std::uint8_t { kBoth, kLeft, kRight };

template <class Drop>
std::string_view strip_if(std::string_view text, Side side, Drop drop) {
  if (side != Side::kRight) {
    while (!text.empty()) {
      CodePoint c = code_point_at(text, 0);
      if (!drop(c.value)) break;
      text.remove_prefix(c.bytes);
    }
  }
  if (side != Side::kLeft) {
    while (!text.empty()) {
      std::size_t at = text.size() - 1;
      while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
      if (!drop(code_point_at(text, at).value)) break;
      text.remove_suffix(text.size() - at);
    }
  }
  return text;
}
bool has_code_point(std::string_view chars, char32_t c) {
  for (std::size_t at = 0; at < chars.size();) {
    CodePoint p = code_point_at(chars, at);
    if (p.value == c) return true;
    at += p.bytes;
  }
  return false;
}

template <Side kSide>
Column strip(const KernelCall& call) {
  Writer<std::string_view> out(call);
  Reader<std::string_view> text(call.args[0]);
  bool typed = call.args[1].phys() == Phys::kView;
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    if (typed && call.args[1].is_value(i)) {
      std::string_view chars = call.args[1].views()[i].view();
      out.set_part(i, strip_if(text[i], kSide, [&](char32_t c) { return has_code_point(chars, c); }));
    } else {
      out.set_part(i, strip_if(text[i], kSide, is_space));
    }
  }
  return out.finish();
}

bool starts_with(std::string_view text, std::string_view prefix) { return text.starts_with(prefix); }
bool ends_with(std::string_view text, std::string_view suffix) { return text.ends_with(suffix); }
bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }
std::string_view remove_prefix(std::string_view text, std::string_view prefix) {
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}
std::string_view remove_suffix(std::string_view text, std::string_view suffix) {
  return text.ends_with(suffix) ? text.substr(0, text.size() - suffix.size()) : text;
}

// ---------------------------------------------------------------- replace, slice, pad

Answer<std::string> replace(std::string_view text, std::string_view old, std::string_view with, std::int64_t count) {
  if (count < 0) count = std::numeric_limits<std::int64_t>::max();
  std::string out;
  std::size_t from = 0;
  if (old.empty()) {
    // Between all code points, and at both ends.
    for (; count > 0; --count) {
      if (out.size() > kTextBytesMax) return no_answer("text too long");
      out += with;
      if (from >= text.size()) return out;
      std::size_t bytes = code_point_at(text, from).bytes;
      out += text.substr(from, bytes);
      from += bytes;
    }
    out += text.substr(from);
    return out;
  }
  for (; count > 0; --count) {
    std::size_t at = text.find(old, from);
    if (at == std::string_view::npos) break;
    out += text.substr(from, at - from);
    out += with;
    from = at + old.size();
    if (out.size() > kTextBytesMax) return no_answer("text too long");
  }
  out += text.substr(from);
  return out;
}

std::string_view slice(std::string_view text, std::int64_t start, std::int64_t end) {
  return slice_text(text, start, end);
}

Answer<std::string> padding(std::string_view text, std::int64_t width, std::string_view fill) {
  if (count_code_points(fill) != 1) return no_answer("`fill` must be one character");
  std::int64_t missing = width - count_code_points(text);
  std::string out;
  if (missing <= 0) return out;
  if (static_cast<std::uint64_t>(missing) > kTextBytesMax / fill.size()) return no_answer("text too long");
  for (std::int64_t i = 0; i < missing; ++i) out += fill;
  return out;
}
Answer<std::string> pad_left(std::string_view text, std::int64_t width, std::string_view fill) {
  Answer<std::string> pad = padding(text, width, fill);
  if (pad) *pad += text;
  return pad;
}
Answer<std::string> pad_right(std::string_view text, std::int64_t width, std::string_view fill) {
  Answer<std::string> pad = padding(text, width, fill);
  if (pad) pad->insert(0, text);
  return pad;
}

// ---------------------------------------------------------------- find, rfind, count

// text[start:end] in code points; none if start lies behind the end of the text, where not even "" is found.
struct Window {
  std::string_view part;
  std::int64_t start;
};
std::optional<Window> window_of(std::string_view text, std::optional<std::int64_t> start,
                                std::optional<std::int64_t> end) {
  std::int64_t count = count_code_points(text);
  auto bound = [&](std::int64_t v) { return v < 0 ? std::max<std::int64_t>(0, v + count) : v; };
  std::int64_t from = start ? bound(*start) : 0;
  std::int64_t to = std::min(end ? bound(*end) : count, count);
  if (from > to) return std::nullopt;
  return Window{slice_text(text, from, to), from};
}

std::int64_t find_first(const Window& window, std::string_view part) {
  std::size_t at = window.part.find(part);
  return at == std::string_view::npos ? -1 : window.start + count_code_points(window.part.substr(0, at));
}
std::int64_t find_last(const Window& window, std::string_view part) {
  std::size_t at = window.part.rfind(part);
  return at == std::string_view::npos ? -1 : window.start + count_code_points(window.part.substr(0, at));
}
std::int64_t count_in(const Window& window, std::string_view part) {
  if (part.empty()) return count_code_points(window.part) + 1;
  std::int64_t count = 0;
  for (std::size_t at = 0; (at = window.part.find(part, at)) != std::string_view::npos; at += part.size()) ++count;
  return count;
}

std::optional<std::int64_t> optional_int(const Column& column, std::size_t row) {
  if (column.phys() != Phys::kI64 || !column.is_value(row)) return std::nullopt;
  return column.i64()[row];
}

template <std::int64_t (*F)(const Window&, std::string_view), std::int64_t kAbsent>
Column search(const KernelCall& call) {
  Writer<std::int64_t> out(call);
  Reader<std::string_view> text(call.args[0]);
  Reader<std::string_view> part(call.args[1]);
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    std::optional<Window> window = window_of(text[i], optional_int(call.args[2], i), optional_int(call.args[3], i));
    out.set(i, window ? F(*window, part[i]) : kAbsent);
  }
  return out.finish();
}

// ---------------------------------------------------------------- split, join

Column split(const KernelCall& call) {
  Writer<std::string_view> out(call);
  Reader<std::string_view> texts(call.args[0]);
  std::string bytes, parts;
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    std::string_view text = texts[i];
    std::int64_t left = call.args[2].i64()[i];
    if (left < 0) left = std::numeric_limits<std::int64_t>::max();
    std::uint64_t count = 0;
    parts.clear();
    auto put = [&](std::string_view part) {
      encode_str(part, parts);
      ++count;
    };
    if (call.args[1].phys() != Phys::kView || !call.args[1].is_value(i)) {
      // Runs of blanks, none at the ends.
      text = strip_if(text, Side::kLeft, is_space);
      while (!text.empty() && left-- > 0) {
        std::size_t at = 0;
        while (at < text.size() && !is_space(code_point_at(text, at).value)) at += code_point_at(text, at).bytes;
        put(text.substr(0, at));
        text = strip_if(text.substr(at), Side::kLeft, is_space);
      }
      if (!text.empty()) put(text);
    } else {
      std::string_view separator = call.args[1].views()[i].view();
      if (separator.empty()) {
        out.fail(i, "empty separator");
        continue;
      }
      for (std::size_t at; left-- > 0 && (at = text.find(separator)) != std::string_view::npos;) {
        put(text.substr(0, at));
        text.remove_prefix(at + separator.size());
      }
      put(text);
    }
    bytes.clear();
    begin_tuple(count, bytes);
    bytes += parts;
    out.set_text(i, bytes);
  }
  return out.finish();
}

Answer<std::string> join(std::string_view separator, std::string_view list) {
  std::string out;
  bool first = true;
  for (std::string_view element : tuple_elements(list)) {
    Value value = decode_all(element);
    if (value.tag() != Value::Tag::kStr) return no_answer("an element to join is no text: " + value.to_text());
    if (!first) out += separator;
    first = false;
    out += value.as_text();
    if (out.size() > kTextBytesMax) return no_answer("text too long");
  }
  return out;
}

// ---------------------------------------------------------------- parsing

std::string cannot_parse(std::string_view text, std::string_view type) {
  constexpr std::size_t kShown = 100;
  std::string shown;
  append_quoted(text.substr(0, kShown), shown);
  return fmt::format("parse error: cannot parse {} to {}", shown, type);
}

template <class T, std::optional<T> (*Read)(std::string_view)>
Column parse(const KernelCall& call) {
  Writer<T> out(call);
  Reader<std::string_view> texts(call.args[0]);
  bool optional = call.result.optional();
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    if (std::optional<T> value = Read(strip_if(texts[i], Side::kBoth, is_space)))
      out.set(i, *value);
    else if (optional)
      out.none(i);
    else
      out.fail(i, cannot_parse(texts[i], call.result.to_text()));
  }
  return out.finish();
}

std::vector<std::string> lowered_texts(std::string_view list) {
  std::vector<std::string> texts;
  for (std::string_view element : tuple_elements(list)) texts.push_back(lower(decode_all(element).as_text()));
  return texts;
}
Column parse_bool(const KernelCall& call) {
  Writer<bool> out(call);
  Reader<std::string_view> texts(call.args[0]);
  std::vector<std::string> yes, no;
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    if (yes.empty() || !call.args[1].is_constant()) yes = lowered_texts(call.args[1].views()[i].view());
    if (no.empty() || !call.args[2].is_constant()) no = lowered_texts(call.args[2].views()[i].view());
    std::string text = lower(strip_if(texts[i], Side::kBoth, is_space));
    if (std::ranges::find(yes, text) != yes.end())
      out.set(i, true);
    else if (std::ranges::find(no, text) != no.end())
      out.set(i, false);
    else if (call.result.optional())
      out.none(i);
    else
      out.fail(i, cannot_parse(texts[i], "bool"));
  }
  return out.finish();
}

// The last argument says whether a failure is None: only the type knows, so it is not evaluated.
Result<Typed> type_parse(std::span<const Argument> args, Type result) {
  const Argument& optional = args.back();
  if (!args[0].type.is_plain(Kind::kStr))
    return fail(Code::kInvalidPipeline,
                fmt::format("parsing takes `str`, not `{}`{}", args[0].type.to_text(),
                            args[0].type.optional() ? "; use `unwrap(x)` or `coalesce(x, ...)` first" : ""));
  if (!optional.constant || optional.constant->tag() != Value::Tag::kBool)
    return fail(Code::kInvalidPipeline, "`optional` must be True or False");
  Typed typed{{Kind::kStr}, optional.constant->as_bool() ? result.as_optional() : result, {0}};
  for (std::size_t i = 1; i + 1 < args.size(); ++i) {
    if (!is_subtype(args[i].type, Type::list(Kind::kStr)))
      return fail(Code::kInvalidPipeline,
                  fmt::format("`{}` must be a list of `str`, not `{}`", args[i].name, args[i].type.to_text()));
    typed.params.push_back(Type::list(Kind::kStr));
    typed.keep.push_back(static_cast<int>(i));
  }
  return typed;
}
Result<Typed> type_parse_int(std::span<const Argument> args) { return type_parse(args, Kind::kInt); }
Result<Typed> type_parse_float(std::span<const Argument> args) { return type_parse(args, Kind::kFloat); }
Result<Typed> type_parse_bool(std::span<const Argument> args) { return type_parse(args, Kind::kBool); }
const KernelInfo* choose_parse_int(std::span<const Type>, const Type&) {
  static const KernelInfo kernel{.kernel = parse<std::int64_t, int_from_text>};
  return &kernel;
}
const KernelInfo* choose_parse_float(std::span<const Type>, const Type&) {
  static const KernelInfo kernel{.kernel = parse<double, float_from_text>};
  return &kernel;
}
const KernelInfo* choose_parse_bool(std::span<const Type>, const Type&) {
  static const KernelInfo kernel{.kernel = parse_bool};
  return &kernel;
}
Value texts(std::initializer_list<const char*> values) {
  std::vector<Value> list;
  for (const char* value : values) list.push_back(Value::str(value));
  return Value::tuple(std::move(list));
}

// ---------------------------------------------------------------- rows

const Type kStr = Kind::kStr, kInt = Kind::kInt, kBool = Kind::kBool;
const Type kOptionalStr(Kind::kStr, true), kOptionalInt(Kind::kInt, true);

FunctionRow method(std::string name, std::string signature, std::string doc, std::string example, std::string result,
                   std::vector<Param> more, Type type, KernelInfo kernel) {
  std::vector<Param> params{{"x", kStr}};
  params.insert(params.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  return {.name = "str." + name,
          .signature = "x.str." + std::move(signature),
          .doc = std::move(doc),
          .example = std::move(example),
          .example_result = std::move(result),
          .is_method = true,
          .overloads = {{std::move(params), std::move(type), std::move(kernel)}}};
}
Param left_out(std::string name, Type type, Value fallback = Value::none()) {
  return {std::move(name), std::move(type), false, std::move(fallback)};
}

std::vector<FunctionRow> case_rows() {
  return {
      method("lower", "lower() -> str", "In lower case.", "'AbC'.str.lower()", "abc", {}, kStr,
             {map_case<ascii_lower, lower>}),
      method("upper", "upper() -> str", "In upper case.", "'abç'.str.upper()", "ABÇ", {}, kStr,
             {map_case<ascii_upper, upper>}),
      method("swapcase", "swapcase() -> str", "Upper case for lower and the other way round.", "'aB'.str.swapcase()",
             "Ab", {}, kStr, {map<swapcase>}),
      method("title", "title() -> str", "Words with a capital.", "'the end'.str.title()", "The End", {}, kStr,
             {map<title>}),
      method("reversed", "reversed() -> str", "Code points from the last to the first.", "'añb'.str.reversed()", "bña",
             {}, kStr, {map<reversed>}),
      method("len", "len() -> int", "Number of code points.", "'añb'.str.len()", "3", {}, kInt, {map<length>}),
  };
}

std::vector<FunctionRow> strip_rows() {
  return {
      method("strip", "strip(chars=None) -> str", "Without these characters (blanks, if none are given) at both ends.",
             "'  a b '.str.strip()", "a b", {left_out("chars", kOptionalStr)}, kStr,
             {.kernel = strip<Side::kBoth>, .sees_none = true}),
      method("lstrip", "lstrip(chars=None) -> str", "As strip, at the beginning only.", "'xxa'.str.lstrip('x')", "a",
             {left_out("chars", kOptionalStr)}, kStr, {.kernel = strip<Side::kLeft>, .sees_none = true}),
      method("rstrip", "rstrip(chars=None) -> str", "As strip, at the end only.", "'a, ,'.str.rstrip(', ')", "a",
             {left_out("chars", kOptionalStr)}, kStr, {.kernel = strip<Side::kRight>, .sees_none = true}),
      method("startswith", "startswith(prefix) -> bool", "Whether it begins so.", "'abc'.str.startswith('ab')", "True",
             {{"prefix", kStr}}, kBool, {map<starts_with>}),
      method("endswith", "endswith(suffix) -> bool", "Whether it ends so.", "'abc'.str.endswith('ab')", "False",
             {{"suffix", kStr}}, kBool, {map<ends_with>}),
      method("contains", "contains(part) -> bool", "Whether it has that part; plain text, no pattern.",
             "'abc'.str.contains('bc')", "True", {{"part", kStr}}, kBool, {map<contains>}),
      method("removeprefix", "removeprefix(prefix) -> str", "Without the prefix, if it begins so.",
             "'abc'.str.removeprefix('a')", "bc", {{"prefix", kStr}}, kStr, {map<remove_prefix>}),
      method("removesuffix", "removesuffix(suffix) -> str", "Without the suffix, if it ends so.",
             "'abc'.str.removesuffix('bc')", "a", {{"suffix", kStr}}, kStr, {map<remove_suffix>}),
  };
}

std::vector<FunctionRow> edit_rows() {
  return {
      method("replace", "replace(old, new, count=-1) -> str", "Every occurrence (or the first `count`) replaced.",
             "'aXbXc'.str.replace('X', '-', 1)", "a-bXc",
             {{"old", kStr}, {"new", kStr}, left_out("count", kInt, Value::of(std::int64_t{-1}))}, kStr,
             {map<replace>}),
      method("slice", "slice(start, end) -> str", "Code points from start up to end, negative ones from the end.",
             "'abcdef'.str.slice(1, -2)", "bcd", {{"start", kInt}, {"end", kInt}}, kStr, {map<slice>}),
      method("pad_left", "pad_left(width, fill=' ') -> str", "Filled on the left up to a width.",
             "'7'.str.pad_left(3, '0')", "007", {{"width", kInt}, left_out("fill", kStr, Value::str(" "))}, kStr,
             {map<pad_left>}),
      method("pad_right", "pad_right(width, fill=' ') -> str", "Filled on the right up to a width.",
             "'7'.str.pad_right(3, '.')", "7..", {{"width", kInt}, left_out("fill", kStr, Value::str(" "))}, kStr,
             {map<pad_right>}),
      method("split", "split(sep=None, maxsplit=-1) -> list[str]", "Parts between separators; without one, words.",
             "'a,b,,c'.str.split(',')", "('a', 'b', '', 'c')",
             {left_out("sep", kOptionalStr), left_out("maxsplit", kInt, Value::of(std::int64_t{-1}))}, Type::list(kStr),
             {.kernel = split, .sees_none = true}),
      method("join", "join(list) -> str", "The texts of a list with x between them.", "', '.str.join(['a', 'b'])",
             "a, b", {{"list", Type::list(kStr)}}, kStr, {map<join>}),
  };
}

std::vector<FunctionRow> search_rows() {
  std::vector<Param> params{{"sub", kStr}, left_out("start", kOptionalInt), left_out("end", kOptionalInt)};
  return {
      method("find", "find(sub, start=None, end=None) -> int", "Position of the first occurrence, or -1.",
             "'abcabc'.str.find('ca')", "2", params, kInt, {.kernel = search<find_first, -1>, .sees_none = true}),
      method("rfind", "rfind(sub, start=None, end=None) -> int", "Position of the last occurrence, or -1.",
             "'abcabc'.str.rfind('b')", "4", params, kInt, {.kernel = search<find_last, -1>, .sees_none = true}),
      method("count", "count(sub, start=None, end=None) -> int", "Number of occurrences that do not overlap.",
             "'banana'.str.count('an')", "2", params, kInt, {.kernel = search<count_in, 0>, .sees_none = true}),
  };
}

std::vector<FunctionRow> parse_rows() {
  Param optional = left_out("optional", kBool, Value::of(false));
  return {
      {.name = "str.parse_int",
       .aliases = {"parse_int"},
       .signature = "x.str.parse_int(optional=False) -> int",
       .doc = "Reads a decimal number; what is none is an ERROR, or None if optional.",
       .example = "' 42 '.str.parse_int()",
       .example_result = "42",
       .is_method = true,
       .params = {{"x", kStr}, optional},
       .typing = type_parse_int,
       .choose = choose_parse_int},
      {.name = "str.parse_float",
       .aliases = {"parse_float"},
       .signature = "x.str.parse_float(optional=False) -> float",
       .doc = "Reads a number; what is none is an ERROR, or None if optional.",
       .example = "'x'.str.parse_float(optional=True)",
       .example_result = "None",
       .is_method = true,
       .params = {{"x", kStr}, optional},
       .typing = type_parse_float,
       .choose = choose_parse_float},
      {.name = "str.parse_bool",
       .aliases = {"parse_bool"},
       .signature =
           "x.str.parse_bool(true_values=['on', 'true', 'yes', '1'], false_values=['off', 'false', 'no', '0'], "
           "optional=False) -> bool",
       .doc = "Reads one of these words, in any case; what is none is an ERROR, or None if optional.",
       .example = "'Yes'.str.parse_bool()",
       .example_result = "True",
       .is_method = true,
       .params = {{"x", kStr},
                  left_out("true_values", Type::list(kStr), texts({"on", "true", "yes", "1"})),
                  left_out("false_values", Type::list(kStr), texts({"off", "false", "no", "0"})),
                  optional},
       .typing = type_parse_bool,
       .choose = choose_parse_bool},
  };
}

}  // namespace

std::span<const FunctionRow> text_functions() {
  static const std::vector<FunctionRow> rows = [] {
    std::vector<FunctionRow> all;
    for (auto* family : {case_rows, strip_rows, edit_rows, search_rows, parse_rows})
      for (FunctionRow& row : family()) all.push_back(std::move(row));
    return all;
  }();
  return rows;
}

}  // namespace thalweg::expr
