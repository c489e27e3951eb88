// What SQL's functions do differently from the language's: positions count from 1, TRIM takes blanks, ROUND goes away
// from zero, LIKE. The SQL planner calls them; None in gives None out by the evaluator.

#include <fmt/format.h>

#include <cmath>

#include "engine/expr/function_row.h"
#include "engine/expr/kernel.h"
#include "engine/types/datetime.h"
#include "engine/types/duration.h"
#include "engine/types/from_text.h"

namespace thalweg::expr {
namespace {

using std::int64_t;
using std::string;
using std::string_view;

constexpr std::size_t kTextMax = std::size_t{64} << 20;  // of a text that a function makes longer

// ---------------------------------------------------------------- code points

bool is_start(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

int64_t length_of(string_view text) {
  int64_t n = 0;
  for (char c : text) n += is_start(c) ? 1 : 0;
  return n;
}

// Bytes of the code points [begin, end).
string_view slice(string_view text, int64_t begin, int64_t end) {
  std::size_t at = 0;
  int64_t seen = -1;
  std::size_t from = text.size();
  for (; at < text.size(); ++at) {
    if (!is_start(text[at])) continue;
    ++seen;
    if (seen == begin) from = at;
    if (seen == end) break;
  }
  return from >= at ? string_view() : text.substr(from, at - from);
}

// ---------------------------------------------------------------- text

// As SQLite: from 1, a negative start counts from the end, a negative length takes what stands before.
string_view substr3(string_view text, int64_t start, int64_t count) {
  int64_t length = length_of(text);
  constexpr int64_t kFar = int64_t{1} << 40;
  start = std::clamp(start, -kFar, kFar);
  count = std::clamp(count, -kFar, kFar);
  bool before = count < 0;
  if (before) count = -count;
  if (start < 0) {
    start += length;
    if (start < 0) {
      count = std::max<int64_t>(0, count + start);
      start = 0;
    }
  } else if (start > 0) {
    --start;
  } else if (count > 0) {
    --count;
  }
  if (before) {
    start -= count;
    if (start < 0) {
      count += start;
      start = 0;
    }
  }
  if (count <= 0 || start >= length) return {};
  return slice(text, start, std::min(length, start + count));
}
string_view substr2(string_view text, int64_t start) { return substr3(text, start, int64_t{1} << 40); }

bool is_one_of(string_view point, string_view chars) { return chars.find(point) != string_view::npos; }

string_view trim_left(string_view text, string_view chars) {
  while (!text.empty()) {
    std::size_t n = 1;
    while (n < text.size() && !is_start(text[n])) ++n;
    if (!is_one_of(text.substr(0, n), chars)) break;
    text.remove_prefix(n);
  }
  return text;
}
string_view trim_right(string_view text, string_view chars) {
  while (!text.empty()) {
    std::size_t at = text.size() - 1;
    while (at > 0 && !is_start(text[at])) --at;
    if (!is_one_of(text.substr(at), chars)) break;
    text = text.substr(0, at);
  }
  return text;
}
string_view trim(string_view text, string_view chars) { return trim_right(trim_left(text, chars), chars); }
string_view trim_blanks(string_view text) { return trim(text, " "); }
string_view trim_blanks_left(string_view text) { return trim_left(text, " "); }
string_view trim_blanks_right(string_view text) { return trim_right(text, " "); }

Answer<string> replace(string_view text, string_view from, string_view to) {
  string out;
  if (from.empty()) return string(text);
  std::size_t at = 0;
  for (;;) {
    std::size_t found = text.find(from, at);
    out += text.substr(at, found - at);
    if (found == string_view::npos) return out;
    out += to;
    if (out.size() > kTextMax) return no_answer("REPLACE makes a text of more than 64 MiB");
    at = found + from.size();
  }
}

Answer<string> repeat(string_view text, int64_t times) {
  string out;
  if (times > 0 && text.size() > kTextMax / static_cast<std::size_t>(times))
    return no_answer("REPEAT makes a text of more than 64 MiB");
  for (int64_t i = 0; i < times; ++i) out += text;
  return out;
}

// From 1; 0 where there is none.
int64_t position(string_view part, string_view text) {
  std::size_t at = text.find(part);
  return at == string_view::npos ? 0 : length_of(text.substr(0, at)) + 1;
}

// ---------------------------------------------------------------- LIKE

struct LikePattern {
  struct Item {
    enum class Kind : std::uint8_t { kText, kOne, kMany } kind = Kind::kText;
    string text;  // one code point
  };
  std::vector<Item> items;
};

Answer<LikePattern> compile_like(string_view pattern, string_view escape) {
  if (length_of(escape) > 1) return no_answer("ESCAPE of LIKE takes one character");
  LikePattern out;
  for (std::size_t at = 0; at < pattern.size();) {
    std::size_t n = 1;
    while (at + n < pattern.size() && !is_start(pattern[at + n])) ++n;
    string_view point = pattern.substr(at, n);
    at += n;
    if (!escape.empty() && point == escape) {
      if (at >= pattern.size()) return no_answer("the pattern of LIKE ends with its escape character");
      n = 1;
      while (at + n < pattern.size() && !is_start(pattern[at + n])) ++n;
      out.items.push_back({LikePattern::Item::Kind::kText, string(pattern.substr(at, n))});
      at += n;
    } else if (point == "%") {
      bool again = !out.items.empty() && out.items.back().kind == LikePattern::Item::Kind::kMany;
      if (!again) out.items.push_back({LikePattern::Item::Kind::kMany, {}});
    } else if (point == "_") {
      out.items.push_back({LikePattern::Item::Kind::kOne, {}});
    } else {
      out.items.push_back({LikePattern::Item::Kind::kText, string(point)});
    }
  }
  return out;
}

// On a mismatch only the last `%` takes one more character: text times pattern at worst.
bool like_matches(const LikePattern& pattern, string_view text) {
  const auto& items = pattern.items;
  std::size_t at = 0, item = 0;
  std::size_t retry_item = string_view::npos, retry_at = 0;
  auto next = [&](std::size_t from) {
    std::size_t n = 1;
    while (from + n < text.size() && !is_start(text[from + n])) ++n;
    return n;
  };
  while (at < text.size()) {
    if (item < items.size() && items[item].kind == LikePattern::Item::Kind::kMany) {
      retry_item = ++item;
      retry_at = at;
      continue;
    }
    bool fits = item < items.size() &&
                (items[item].kind == LikePattern::Item::Kind::kOne || text.substr(at).starts_with(items[item].text));
    if (fits) {
      at += items[item].kind == LikePattern::Item::Kind::kOne ? next(at) : items[item].text.size();
      ++item;
    } else if (retry_item != string_view::npos) {
      retry_at += next(retry_at);
      at = retry_at;
      item = retry_item;
    } else {
      return false;
    }
  }
  while (item < items.size() && items[item].kind == LikePattern::Item::Kind::kMany) ++item;
  return item == items.size();
}

Result<std::shared_ptr<const void>> prepare_like(std::span<const Value* const> constants) {
  for (std::size_t i = 1; i < 3; ++i)
    if (!constants[i] || constants[i]->tag() != Value::Tag::kStr) return nullptr;
  Answer<LikePattern> compiled = compile_like(constants[1]->as_text(), constants[2]->as_text());
  if (!compiled) return fail(Code::kInvalidPipeline, compiled.error());
  return std::make_shared<const LikePattern>(std::move(*compiled));
}

Column like(const KernelCall& call) {
  Reader<string_view> texts(call.args[0]), patterns(call.args[1]), escapes(call.args[2]);
  Writer<bool> out(call);
  for (std::size_t row = 0; row < call.rows; ++row) {
    if (out.skips(row)) continue;
    if (call.prepared) {
      out.set(row, like_matches(*static_cast<const LikePattern*>(call.prepared), texts[row]));
      continue;
    }
    Answer<LikePattern> pattern = compile_like(patterns[row], escapes[row]);
    if (pattern)
      out.set(row, like_matches(*pattern, texts[row]));
    else
      out.fail(row, pattern.error());
  }
  return out.finish();
}

// ---------------------------------------------------------------- numbers

// The sign of the dividend; DIV and the language's `//` floor.
Answer<int64_t> mod_ints(int64_t a, int64_t b) {
  if (b == 0) return no_answer("division by zero");
  return b == -1 ? 0 : a % b;
}
Answer<double> mod_floats(double a, double b) {
  if (b == 0) return no_answer("division by zero");
  return std::fmod(a, b);
}

double round_to(double x, int64_t digits) {
  if (!std::isfinite(x) || digits > 15) return x;
  if (digits < -308) return 0.0;
  long double scale = std::pow(10.0L, static_cast<long double>(digits));
  long double scaled = std::round(static_cast<long double>(x) * scale);  // a half goes away from zero
  auto out = static_cast<double>(scaled / scale);
  return std::isfinite(out) ? out : x;
}
double floor_float(double x) { return std::floor(x); }
double ceil_float(double x) { return std::ceil(x); }
double trunc_float(double x) { return std::trunc(x); }

// ---------------------------------------------------------------- text to values

string shown(string_view text) { return string(text.substr(0, 60)); }

template <class T>
Answer<T> read_or(std::optional<T> value, string_view text, string_view type) {
  if (value) return *value;
  return no_answer(fmt::format("'{}' does not read as {}", shown(text), type));
}
string_view stripped(string_view text) { return trim(text, " \t\r\n"); }

Answer<int64_t> to_int(string_view text) { return read_or(int_from_text(stripped(text)), text, "int"); }
Answer<double> to_float(string_view text) { return read_or(float_from_text(stripped(text)), text, "float"); }
Answer<bool> to_bool(string_view text) {
  string lower(stripped(text));
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  for (string_view yes : {"true", "t", "yes", "y", "on", "1"})
    if (lower == yes) return true;
  for (string_view no : {"false", "f", "no", "n", "off", "0"})
    if (lower == no) return false;
  return no_answer(fmt::format("'{}' does not read as bool", shown(text)));
}
Answer<int64_t> to_naive(string_view text) {
  return read_or(parse_datetime_naive(stripped(text)), text, "datetime_naive");
}
Answer<int64_t> to_utc(string_view text) { return read_or(parse_datetime_utc(stripped(text)), text, "datetime_utc"); }
Answer<int64_t> to_duration(string_view text) { return read_or(parse_duration(stripped(text)), text, "duration"); }
Answer<Key> to_uuid(string_view text) { return read_or(uuid_from_text(stripped(text)), text, "uuid"); }

// ---------------------------------------------------------------- time

Answer<int64_t> date_trunc(string_view unit, int64_t ns) {
  CivilTime civil = civil_from_ns(ns);
  int64_t day = floor_div(ns, kNsPerDay) * kNsPerDay;
  auto start_of_month = [&](int month) -> Answer<int64_t> {
    std::optional<int64_t> start = ns_from_civil({.year = civil.year, .month = month, .day = 1});
    if (!start) return no_answer("datetime out of range (1677 to 2262)");
    return *start;
  };
  if (unit == "microseconds") return floor_div(ns, 1000) * 1000;
  if (unit == "milliseconds") return floor_div(ns, 1'000'000) * 1'000'000;
  if (unit == "second") return floor_div(ns, kNsPerSecond) * kNsPerSecond;
  if (unit == "minute") return floor_div(ns, kNsPerMinute) * kNsPerMinute;
  if (unit == "hour") return floor_div(ns, kNsPerHour) * kNsPerHour;
  if (unit == "day") return day;
  if (unit == "week") return day - weekday_from_ns(ns) * kNsPerDay;
  if (unit == "month") return start_of_month(civil.month);
  if (unit == "quarter") return start_of_month((civil.month - 1) / 3 * 3 + 1);
  if (unit == "year") return start_of_month(1);
  return no_answer(fmt::format("DATE_TRUNC does not know the unit '{}'", shown(unit)));
}
double second_of(int64_t ns) { return static_cast<double>(floor_mod(ns, kNsPerMinute)) / 1e9; }
double epoch_of(int64_t ns) { return static_cast<double>(ns) / 1e9; }
int64_t day_of_week(int64_t ns) { return (weekday_from_ns(ns) + 1) % 7; }  // Sunday is 0
int64_t iso_day_of_week(int64_t ns) { return weekday_from_ns(ns) + 1; }
int64_t day_in_year(int64_t ns) { return day_of_year(civil_from_ns(ns)); }
int64_t quarter_of(int64_t ns) { return (civil_from_ns(ns).month - 1) / 3 + 1; }
// ISO 8601: the week of the year's first Thursday is the first.
int64_t iso_week(int64_t ns) {
  int64_t thursday = floor_div(ns, kNsPerDay) - weekday_from_ns(ns) + 3;
  CivilTime civil = civil_from_ns(thursday * kNsPerDay);
  return (thursday - days_from_civil(civil.year, 1, 1)) / 7 + 1;
}

// ---------------------------------------------------------------- one row

// The value of a scalar subquery, if it has one row.
Column single(const KernelCall& call) {
  Reader<int64_t> counts(call.args[1]);
  ColumnBuilder out(call.result, call.rows);
  for (std::size_t row = 0; row < call.rows; ++row) {
    CellTag skip = call.skip ? call.skip[row] : CellTag::kValue;
    if (skip != CellTag::kValue) {
      out.push_tagged(skip);
    } else if (counts[row] > 1) {
      call.errors.report(row, fmt::format("a scalar subquery gave {} rows", counts[row]));
      out.push_error();
    } else {
      out.push_cell(call.args[0], call.args[0].is_constant() ? 0 : row);
    }
  }
  return out.finish();
}

Result<Typed> type_single(std::span<const Argument> args) {
  return Typed{{args[0].type, Kind::kInt}, args[0].type, {}};
}
const KernelInfo* choose_single(std::span<const Type> params, const Type& result) {
  static const KernelInfo info{.kernel = single, .sees_none = true};
  return params.size() == 2 && params[0].phys() == result.phys() ? &info : nullptr;
}

// ---------------------------------------------------------------- rows

Overload overload(std::vector<Type> params, Type result, Kernel kernel) {
  static constexpr string_view kNames[] = {"x", "y", "z"};
  Overload out;
  for (std::size_t i = 0; i < params.size(); ++i) out.params.push_back({string(kNames[i]), params[i]});
  out.result = std::move(result);
  out.kernel.kernel = kernel;
  return out;
}

FunctionRow row(string name, string signature, string doc, std::vector<Overload> overloads) {
  FunctionRow out;
  out.name = std::move(name);
  out.signature = std::move(signature);
  out.doc = std::move(doc);
  out.overloads = std::move(overloads);
  return out;
}

constexpr Kind kStr = Kind::kStr, kInt = Kind::kInt, kFloat = Kind::kFloat;
constexpr Kind kNaive = Kind::kDateTimeNaive, kUtc = Kind::kDateTimeUtc;

std::vector<Overload> of_datetime(Type result, Kernel kernel) {
  return {overload({kNaive}, result, kernel), overload({kUtc}, result, kernel)};
}

std::vector<FunctionRow> text_rows() {
  Overload like_row = overload({kStr, kStr, kStr}, Kind::kBool, like);
  like_row.kernel.prepare = prepare_like;
  return {
      row("sql.like", "sql.like(text: str, pattern: str, escape: str) -> bool",
          "SQL's LIKE: `%` is any text, `_` one character; case counts. An empty escape is none.", {like_row}),
      row("sql.substr", "sql.substr(text: str, start: int, count: int) -> str",
          "SQL's SUBSTR: positions from 1, negative ones from the end.",
          {overload({kStr, kInt}, kStr, map<substr2>), overload({kStr, kInt, kInt}, kStr, map<substr3>)}),
      row("sql.trim", "sql.trim(text: str, chars: str) -> str", "SQL's TRIM: blanks, or the given characters.",
          {overload({kStr}, kStr, map<trim_blanks>), overload({kStr, kStr}, kStr, map<trim>)}),
      row("sql.ltrim", "sql.ltrim(text: str, chars: str) -> str", "SQL's LTRIM.",
          {overload({kStr}, kStr, map<trim_blanks_left>), overload({kStr, kStr}, kStr, map<trim_left>)}),
      row("sql.rtrim", "sql.rtrim(text: str, chars: str) -> str", "SQL's RTRIM.",
          {overload({kStr}, kStr, map<trim_blanks_right>), overload({kStr, kStr}, kStr, map<trim_right>)}),
      row("sql.replace", "sql.replace(text: str, from: str, to: str) -> str",
          "SQL's REPLACE: an empty `from` replaces nothing.", {overload({kStr, kStr, kStr}, kStr, map<replace>)}),
      row("sql.repeat", "sql.repeat(text: str, times: int) -> str", "SQL's REPEAT.",
          {overload({kStr, kInt}, kStr, map<repeat>)}),
      row("sql.position", "sql.position(part: str, text: str) -> int", "SQL's POSITION: from 1, 0 if there is none.",
          {overload({kStr, kStr}, kInt, map<position>)}),
      row("sql.to_int", "sql.to_int(text: str) -> int", "SQL's CAST of text.", {overload({kStr}, kInt, map<to_int>)}),
      row("sql.to_float", "sql.to_float(text: str) -> float", "SQL's CAST of text.",
          {overload({kStr}, kFloat, map<to_float>)}),
      row("sql.to_bool", "sql.to_bool(text: str) -> bool",
          "SQL's CAST of text: true, t, yes, on, 1 and their opposites.",
          {overload({kStr}, Kind::kBool, map<to_bool>)}),
      row("sql.to_datetime_naive", "sql.to_datetime_naive(text: str) -> datetime_naive", "SQL's CAST of text.",
          {overload({kStr}, kNaive, map<to_naive>)}),
      row("sql.to_datetime_utc", "sql.to_datetime_utc(text: str) -> datetime_utc", "SQL's CAST of text.",
          {overload({kStr}, kUtc, map<to_utc>)}),
      row("sql.to_duration", "sql.to_duration(text: str) -> duration", "SQL's CAST of text.",
          {overload({kStr}, Kind::kDuration, map<to_duration>)}),
      row("sql.to_uuid", "sql.to_uuid(text: str) -> uuid", "SQL's CAST of text.",
          {overload({kStr}, Kind::kUuid, map<to_uuid>)}),
  };
}

std::vector<FunctionRow> number_rows() {
  return {
      row("sql.mod", "sql.mod(a, b)", "SQL's `%`: the sign of `a`.",
          {overload({kInt, kInt}, kInt, map<mod_ints>), overload({kFloat, kFloat}, kFloat, map<mod_floats>)}),
      row("sql.round", "sql.round(x: float, digits: int) -> float", "SQL's ROUND: a half goes away from zero.",
          {overload({kFloat, kInt}, kFloat, map<round_to>)}),
      row("sql.floor", "sql.floor(x: float) -> float", "SQL's FLOOR.", {overload({kFloat}, kFloat, map<floor_float>)}),
      row("sql.ceil", "sql.ceil(x: float) -> float", "SQL's CEIL.", {overload({kFloat}, kFloat, map<ceil_float>)}),
      row("sql.trunc", "sql.trunc(x: float) -> float", "SQL's TRUNC.", {overload({kFloat}, kFloat, map<trunc_float>)}),
  };
}

std::vector<FunctionRow> time_rows() {
  std::vector<FunctionRow> rows{
      row("sql.date_trunc", "sql.date_trunc(unit: str, time)",
          "SQL's DATE_TRUNC: second to year, weeks begin on Monday.",
          {overload({kStr, kNaive}, kNaive, map<date_trunc>), overload({kStr, kUtc}, kUtc, map<date_trunc>)}),
      row("sql.second", "sql.second(time) -> float", "SQL's EXTRACT(SECOND …), with its fraction.",
          of_datetime(kFloat, map<second_of>)),
      row("sql.dow", "sql.dow(time) -> int", "SQL's EXTRACT(DOW …): Sunday is 0.", of_datetime(kInt, map<day_of_week>)),
      row("sql.isodow", "sql.isodow(time) -> int", "SQL's EXTRACT(ISODOW …): Monday is 1.",
          of_datetime(kInt, map<iso_day_of_week>)),
      row("sql.doy", "sql.doy(time) -> int", "SQL's EXTRACT(DOY …), from 1.", of_datetime(kInt, map<day_in_year>)),
      row("sql.quarter", "sql.quarter(time) -> int", "SQL's EXTRACT(QUARTER …), from 1.",
          of_datetime(kInt, map<quarter_of>)),
      row("sql.week", "sql.week(time) -> int", "SQL's EXTRACT(WEEK …) of ISO 8601.", of_datetime(kInt, map<iso_week>)),
  };
  std::vector<Overload> epoch = of_datetime(kFloat, map<epoch_of>);
  epoch.push_back(overload({Kind::kDuration}, kFloat, map<epoch_of>));
  rows.push_back(row("sql.epoch", "sql.epoch(time or duration) -> float", "SQL's EXTRACT(EPOCH …): seconds.", epoch));
  FunctionRow one;
  one.name = "sql.single";
  one.signature = "sql.single(value, rows: int)";
  one.doc = "The value of a scalar subquery; more than one row is an ERROR.";
  one.params = {{"value", Kind::kAny}, {"rows", kInt}};
  one.typing = type_single;
  one.choose = choose_single;
  rows.push_back(std::move(one));
  return rows;
}

}  // namespace

std::span<const FunctionRow> sql_functions() {
  static const std::vector<FunctionRow> rows = [] {
    std::vector<FunctionRow> all = text_rows();
    for (auto* more : {number_rows, time_rows})
      for (FunctionRow& one : more()) all.push_back(std::move(one));
    return all;
  }();
  return rows;
}

}  // namespace thalweg::expr
