// Datetimes, durations and time zones: the `.dt` methods, duration(), datetime(), timedelta().

#include <fmt/format.h>

#include <cmath>

#include "engine/expr/function_row.h"
#include "engine/expr/kernel.h"
#include "engine/types/datetime.h"
#include "engine/types/datetime_format.h"
#include "engine/types/duration.h"
#include "engine/types/time_zone.h"

namespace thalweg::expr {
namespace {

using std::int64_t;
using std::string_view;

constexpr string_view kOutOfRange = "datetime out of range (1677 to 2262)";
constexpr string_view kDurationOutOfRange = "duration out of range (about 292 years)";

// ---------------------------------------------------------------- texts that say how: units, formats, zones, lengths

Result<DatetimeFormat> read_format(string_view text) {
  return DatetimeFormat::compile(text, DatetimeFormat::Use::kRead);
}
Result<DatetimeFormat> write_format(string_view text) {
  return DatetimeFormat::compile(text, DatetimeFormat::Use::kWrite);
}
Result<std::shared_ptr<const TimeZone>> zone_named(string_view name) {
  auto zone = find_time_zone(name);
  if (!zone)
    return fail(Code::kInvalidArgument, fmt::format("unknown time zone `{}`; write an IANA name or `+02:00`", name));
  return zone;
}
Result<int64_t> length_of(string_view text) {
  auto ns = parse_duration(text);
  if (!ns)
    return fail(Code::kInvalidArgument,
                fmt::format("`{}` is no duration; write it like `1h30m`, `2 days` or `PT5M`", text));
  return *ns;
}
Result<int64_t> unit_of(string_view text) {
  auto ns = duration_unit(text);
  if (!ns)
    return fail(Code::kInvalidArgument, fmt::format("unknown unit of time `{}`; units are w d h m s ms us ns", text));
  return *ns;
}
Result<int64_t> timestamp_unit(string_view text) {
  if (text == "s") return kNsPerSecond;
  if (text == "ms") return 1'000'000;
  if (text == "us") return 1000;
  if (text == "ns") return 1;
  return fail(Code::kInvalidArgument, fmt::format("unknown unit of a timestamp `{}`; units are s ms us ns", text));
}

// Text argument `index`, parsed once if constant, else whenever the text changes from one row to the next.
template <auto Parse>
class TextArgument {
 public:
  using Parsed = typename decltype(Parse(string_view{}))::value_type;

  TextArgument(const KernelCall& call, std::size_t index)
      : texts_(call.args[index]), prepared_(static_cast<const Parsed*>(call.prepared)) {}
  // Null if the text of this row is wrong: see why().
  const Parsed* at(std::size_t row) {
    if (prepared_) return prepared_;
    string_view text = texts_[row];
    if (!any_ || text != last_) {
      last_ = text;
      any_ = true;
      parsed_ = Parse(text);
    }
    return parsed_ ? &*parsed_ : nullptr;
  }
  [[nodiscard]] const std::string& why() const { return parsed_.error().message; }

 private:
  Reader<string_view> texts_;
  const Parsed* prepared_;
  Result<Parsed> parsed_ = fail(Code::kInvalidArgument, "");
  string_view last_;
  bool any_ = false;
};

template <auto Parse, std::size_t Index>
Result<std::shared_ptr<const void>> prepare_text(std::span<const Value* const> constants) {
  using Parsed = typename TextArgument<Parse>::Parsed;
  if (Index >= constants.size() || !constants[Index] || constants[Index]->tag() != Value::Tag::kStr)
    return std::shared_ptr<const void>();
  Parsed parsed = TRY(Parse(constants[Index]->as_text()));
  return std::shared_ptr<const void>(std::make_shared<const Parsed>(std::move(parsed)));
}

// A kernel of one int-like cell and one text: `Compute(cell, what the text says)` gives an Answer.
template <auto Parse, class In, class Out, auto Compute>
Column with_text(const KernelCall& call) {
  Reader<In> in(call.args[0]);
  TextArgument<Parse> how(call, 1);
  Writer<Out> out(call);
  for (std::size_t row = 0; row < call.rows; ++row) {
    if (out.skips(row)) continue;
    const auto* parsed = how.at(row);
    if (!parsed) {
      out.fail(row, how.why());
      continue;
    }
    auto answer = Compute(in[row], *parsed);
    if (!answer)
      out.fail(row, answer.error());
    else if constexpr (std::same_as<Out, string_view>)
      out.set_text(row, *answer);
    else
      out.set(row, *answer);
  }
  return out.finish();
}

template <class T>
Answer<T> or_error(std::optional<T> value, string_view why) {
  if (!value) return no_answer(std::string(why));
  return *value;
}

// ---------------------------------------------------------------- parts

int64_t year(int64_t ns) { return civil_from_ns(ns).year; }
int64_t month(int64_t ns) { return civil_from_ns(ns).month; }
int64_t day(int64_t ns) { return civil_from_ns(ns).day; }
int64_t hour(int64_t ns) { return floor_mod(ns, kNsPerDay) / kNsPerHour; }
int64_t minute(int64_t ns) { return floor_mod(ns, kNsPerHour) / kNsPerMinute; }
int64_t second(int64_t ns) { return floor_mod(ns, kNsPerMinute) / kNsPerSecond; }
int64_t millisecond(int64_t ns) { return floor_mod(ns, kNsPerSecond) / 1'000'000; }
int64_t microsecond(int64_t ns) { return floor_mod(ns, kNsPerSecond) / 1000; }
int64_t nanosecond(int64_t ns) { return floor_mod(ns, kNsPerSecond); }
int64_t weekday(int64_t ns) { return weekday_from_ns(ns); }
int64_t timestamp_ns(int64_t ns) { return ns; }

template <int64_t Unit>
int64_t total(int64_t ns) {
  return ns / Unit;
}

// ---------------------------------------------------------------- one cell and one text

Answer<double> timestamp_in(int64_t ns, int64_t unit) { return static_cast<double>(ns) / static_cast<double>(unit); }
Answer<int64_t> from_int_timestamp(int64_t value, int64_t unit) {
  int64_t ns = 0;
  if (__builtin_mul_overflow(value, unit, &ns)) return no_answer(std::string(kOutOfRange));
  return ns;
}
Answer<int64_t> from_float_timestamp(double value, int64_t unit) {
  double ns = value * static_cast<double>(unit);
  if (!(std::fabs(ns) < 9.2233720368547758e18)) return no_answer(std::string(kOutOfRange));
  return static_cast<int64_t>(ns);
}
Answer<int64_t> to_duration(int64_t value, int64_t unit) {
  int64_t ns = 0;
  if (__builtin_mul_overflow(value, unit, &ns)) return no_answer(std::string(kDurationOutOfRange));
  return ns;
}
Answer<int64_t> floor_to(int64_t ns, int64_t step) {
  if (step <= 0) return no_answer("floor needs a positive duration");
  return or_error(floor_ns(ns, step), kOutOfRange);
}
Answer<int64_t> round_to(int64_t ns, int64_t step) {
  if (step <= 0) return no_answer("round needs a positive duration");
  return or_error(round_ns(ns, step), kOutOfRange);
}
Answer<std::string> format_naive(int64_t ns, const DatetimeFormat& format) { return format.write(ns, std::nullopt); }
Answer<std::string> format_utc(int64_t ns, const DatetimeFormat& format) { return format.write(ns, 0); }
Answer<int64_t> to_utc(int64_t local, const std::shared_ptr<const TimeZone>& zone) {
  return or_error(zone->to_utc(local), kOutOfRange);
}
Answer<int64_t> to_local(int64_t utc, const std::shared_ptr<const TimeZone>& zone) {
  return or_error(zone->to_local(utc), kOutOfRange);
}

// ---------------------------------------------------------------- two cells and a zone

Answer<int64_t> add_in(int64_t local, int64_t duration, const TimeZone& zone) {
  auto utc = zone.to_utc(local);
  int64_t moved = 0;
  if (!utc || __builtin_add_overflow(*utc, duration, &moved)) return no_answer(std::string(kOutOfRange));
  return or_error(zone.to_local(moved), kOutOfRange);
}
Answer<int64_t> subtract_in(int64_t local, int64_t duration, const TimeZone& zone) {
  auto utc = zone.to_utc(local);
  int64_t moved = 0;
  if (!utc || __builtin_sub_overflow(*utc, duration, &moved)) return no_answer(std::string(kOutOfRange));
  return or_error(zone.to_local(moved), kOutOfRange);
}
Answer<int64_t> between_in(int64_t local, int64_t other, const TimeZone& zone) {
  auto a = zone.to_utc(local), b = zone.to_utc(other);
  int64_t between = 0;
  if (!a || !b || __builtin_sub_overflow(*a, *b, &between)) return no_answer(std::string(kDurationOutOfRange));
  return between;
}

template <auto Compute>
Column in_zone(const KernelCall& call) {
  Reader<int64_t> a(call.args[0]), b(call.args[1]);
  TextArgument<zone_named> zones(call, 2);
  Writer<int64_t> out(call);
  for (std::size_t row = 0; row < call.rows; ++row) {
    if (out.skips(row)) continue;
    const auto* zone = zones.at(row);
    if (!zone) {
      out.fail(row, zones.why());
      continue;
    }
    Answer<int64_t> answer = Compute(a[row], b[row], **zone);
    if (answer)
      out.set(row, *answer);
    else
      out.fail(row, answer.error());
  }
  return out.finish();
}

// ---------------------------------------------------------------- strptime, datetime, duration

Column strptime(const KernelCall& call) {
  Reader<string_view> texts(call.args[0]);
  TextArgument<read_format> formats(call, 1);
  Writer<int64_t> out(call);
  bool utc = call.result.is(Kind::kDateTimeUtc);
  for (std::size_t row = 0; row < call.rows; ++row) {
    if (out.skips(row)) continue;
    const DatetimeFormat* format = formats.at(row);
    if (!format) {
      out.fail(row, formats.why());
    } else if (format->has_offset() && !utc) {
      out.fail(row, "the format has a time zone, so the result is UTC; say `contains_timezone=True`");
    } else if (auto ns = format->read(texts[row])) {
      out.set(row, *ns);
    } else {
      out.fail(row, fmt::format("parse error: cannot parse date \"{}\"", texts[row].substr(0, 100)));
    }
  }
  return out.finish();
}

Result<Typed> type_strptime(std::span<const Argument> args) {
  for (std::size_t i = 0; i < 2; ++i)
    if (!args[i].type.is_plain(Kind::kStr))
      return fail(Code::kInvalidPipeline,
                  fmt::format("`dt.strptime` reads `str` with a format of `str`, not `{}`{}", args[i].type.to_text(),
                              args[i].type.admits_none() ? "; use `unwrap(x)` or `coalesce(x, ...)` first" : ""));
  const Value* flag = args[2].constant;
  if (!flag || (!flag->is_none() && flag->tag() != Value::Tag::kBool))
    return fail(Code::kInvalidPipeline, "`contains_timezone` of `dt.strptime` must be True, False or left out");
  std::optional<bool> has_zone;
  if (args[1].constant) has_zone = TRY(read_format(args[1].constant->as_text())).has_offset();
  bool utc = has_zone.value_or(false);
  if (!flag->is_none()) {
    utc = flag->as_bool();
    if (has_zone && *has_zone && !utc)
      return fail(Code::kInvalidPipeline, "`contains_timezone=False`, but the format has `%z`");
  }
  return Typed{{Kind::kStr, Kind::kStr}, utc ? Kind::kDateTimeUtc : Kind::kDateTimeNaive, {0, 1}};
}

const KernelInfo* choose_strptime(std::span<const Type>, const Type&) {
  static const KernelInfo info{.kernel = strptime, .prepare = prepare_text<read_format, 1>};
  return &info;
}

Column datetime_of(const KernelCall& call) {
  Reader<string_view> texts(call.args[0]);
  Writer<int64_t> out(call);
  bool utc = call.result.is(Kind::kDateTimeUtc);
  for (std::size_t row = 0; row < call.rows; ++row) {
    if (out.skips(row)) continue;
    auto ns = utc ? parse_datetime_utc(texts[row]) : parse_datetime_naive(texts[row]);
    if (ns)
      out.set(row, *ns);
    else
      out.fail(row, fmt::format("parse error: cannot parse date \"{}\"", texts[row].substr(0, 100)));
  }
  return out.finish();
}

Result<Typed> type_datetime(std::span<const Argument> args) {
  if (!args[0].type.is_plain(Kind::kStr))
    return fail(Code::kInvalidPipeline, fmt::format("`datetime` reads `str`, not `{}`", args[0].type.to_text()));
  Kind kind = Kind::kDateTimeNaive;
  if (args[0].constant) {
    auto parsed = parse_datetime(args[0].constant->as_text());
    if (!parsed)
      return fail(Code::kInvalidPipeline,
                  fmt::format("`{}` is no datetime; write it like `2024-01-31T12:30:00` or `2024-01-31T12:30:00Z`",
                              args[0].constant->as_text()));
    if (parsed->has_offset) kind = Kind::kDateTimeUtc;
  }
  return Typed{{Kind::kStr}, kind, {}};
}

const KernelInfo* choose_datetime(std::span<const Type>, const Type&) {
  static const KernelInfo info{.kernel = datetime_of};
  return &info;
}

Column duration_of(const KernelCall& call) {
  TextArgument<length_of> lengths(call, 0);
  Writer<int64_t> out(call);
  for (std::size_t row = 0; row < call.rows; ++row) {
    if (out.skips(row)) continue;
    if (const int64_t* ns = lengths.at(row))
      out.set(row, *ns);
    else
      out.fail(row, lengths.why());
  }
  return out.finish();
}

constexpr int64_t kTimedeltaUnits[] = {kNsPerDay,    kNsPerSecond, 1000,       1'000'000,
                                       kNsPerMinute, kNsPerHour,   kNsPerWeek, 1};

Column timedelta(const KernelCall& call) {
  Writer<int64_t> out(call);
  std::vector<long double> sums(call.rows, 0);
  for (std::size_t i = 0; i < call.args.size(); ++i) {
    Reader<double> in(call.args[i]);
    for (std::size_t row = 0; row < call.rows; ++row)
      if (!out.skips(row)) sums[row] += static_cast<long double>(in[row]) * kTimedeltaUnits[i];
  }
  for (std::size_t row = 0; row < call.rows; ++row) {
    if (out.skips(row)) continue;
    if (std::fabs(sums[row]) < 9.2233720368547758e18L)
      out.set(row, static_cast<int64_t>(std::roundl(sums[row])));
    else
      out.fail(row, kDurationOutOfRange);
  }
  return out.finish();
}

// ---------------------------------------------------------------- rows

constexpr Kind kDatetimes[] = {Kind::kDateTimeNaive, Kind::kDateTimeUtc};

FunctionRow part(string_view name, string_view doc, Kernel kernel, string_view result) {
  FunctionRow row{.name = fmt::format("dt.{}", name),
                  .signature = fmt::format("dt.{}(x: datetime) -> int", name),
                  .doc = std::string(doc),
                  .example = fmt::format("datetime(\"2024-01-31T12:34:56.123456789\").dt.{}()", name),
                  .example_result = std::string(result),
                  .is_method = true};
  for (Kind kind : kDatetimes) row.overloads.push_back({{{"x", kind}}, Kind::kInt, {.kernel = kernel}});
  return row;
}

FunctionRow whole(string_view name, Kernel kernel, string_view result) {
  return {.name = fmt::format("dt.{}", name),
          .signature = fmt::format("dt.{}(x: duration) -> int", name),
          .doc = fmt::format("The whole {} in a duration, cut toward zero.", name),
          .example = fmt::format("duration(\"8d1h\").dt.{}()", name),
          .example_result = std::string(result),
          .is_method = true,
          .overloads = {{{{"x", Kind::kDuration}}, Kind::kInt, {.kernel = kernel}}}};
}

void add_parts(std::vector<FunctionRow>& rows) {
  rows.push_back(part("year", "The year.", map<year>, "2024"));
  rows.push_back(part("month", "The month, 1 to 12.", map<month>, "1"));
  rows.push_back(part("day", "The day of the month.", map<day>, "31"));
  rows.push_back(part("hour", "The hour, 0 to 23.", map<hour>, "12"));
  rows.push_back(part("minute", "The minute.", map<minute>, "34"));
  rows.push_back(part("second", "The second.", map<second>, "56"));
  rows.push_back(part("millisecond", "Whole milliseconds within the second.", map<millisecond>, "123"));
  rows.push_back(part("microsecond", "Whole microseconds within the second.", map<microsecond>, "123456"));
  rows.push_back(part("nanosecond", "Nanoseconds within the second.", map<nanosecond>, "123456789"));
  rows.push_back(part("weekday", "The day of the week, Monday is 0.", map<weekday>, "2"));
  rows.push_back(whole("nanoseconds", map<total<1>>, "694800000000000"));
  rows.push_back(whole("microseconds", map<total<1000>>, "694800000000"));
  rows.push_back(whole("milliseconds", map<total<1'000'000>>, "694800000"));
  rows.push_back(whole("seconds", map<total<kNsPerSecond>>, "694800"));
  rows.push_back(whole("minutes", map<total<kNsPerMinute>>, "11580"));
  rows.push_back(whole("hours", map<total<kNsPerHour>>, "193"));
  rows.push_back(whole("days", map<total<kNsPerDay>>, "8"));
  rows.push_back(whole("weeks", map<total<kNsPerWeek>>, "1"));
}

void add_timestamps(std::vector<FunctionRow>& rows) {
  FunctionRow timestamp{
      .name = "dt.timestamp",
      .signature = "dt.timestamp(x: datetime, unit: str) -> float; dt.timestamp(x) -> int",
      .doc = "Time since 1970 in s, ms, us or ns; without unit whole nanoseconds. Naive counts as UTC.",
      .example = "datetime(\"1970-01-01T00:00:01.5\").dt.timestamp(\"ms\")",
      .example_result = "1500.0",
      .is_method = true};
  for (Kind kind : kDatetimes) {
    timestamp.overloads.push_back({{{"x", kind}}, Kind::kInt, {.kernel = map<timestamp_ns>}});
    timestamp.overloads.push_back({{{"x", kind}, {"unit", Kind::kStr}},
                                   Kind::kFloat,
                                   {.kernel = with_text<timestamp_unit, int64_t, double, timestamp_in>,
                                    .prepare = prepare_text<timestamp_unit, 1>}});
  }
  rows.push_back(std::move(timestamp));
  for (Kind kind : kDatetimes) {
    bool utc = kind == Kind::kDateTimeUtc;
    rows.push_back({.name = utc ? "dt.utc_from_timestamp" : "dt.from_timestamp",
                    .signature = utc ? "dt.utc_from_timestamp(x: int | float, unit: str) -> datetime_utc"
                                     : "dt.from_timestamp(x: int | float, unit: str) -> datetime_naive",
                    .doc = "The time that is x s, ms, us or ns after 1970.",
                    .example = utc ? "(1500).dt.utc_from_timestamp(\"ms\")" : "(1500).dt.from_timestamp(\"ms\")",
                    .example_result = utc ? "1970-01-01T00:00:01.500000000+0000" : "1970-01-01T00:00:01.500000000",
                    .is_method = true,
                    .overloads = {{{{"x", Kind::kInt}, {"unit", Kind::kStr}},
                                   kind,
                                   {.kernel = with_text<timestamp_unit, int64_t, int64_t, from_int_timestamp>,
                                    .prepare = prepare_text<timestamp_unit, 1>}},
                                  {{{"x", Kind::kFloat}, {"unit", Kind::kStr}},
                                   kind,
                                   {.kernel = with_text<timestamp_unit, double, int64_t, from_float_timestamp>,
                                    .prepare = prepare_text<timestamp_unit, 1>}}}});
  }
  rows.push_back({.name = "dt.to_duration",
                  .signature = "dt.to_duration(x: int, unit: str) -> duration",
                  .doc = "x units of time: w d h m s ms us ns or their words.",
                  .example = "(90).dt.to_duration(\"m\")",
                  .example_result = "1h 30m",
                  .is_method = true,
                  .overloads = {{{{"x", Kind::kInt}, {"unit", Kind::kStr}},
                                 Kind::kDuration,
                                 {.kernel = with_text<unit_of, int64_t, int64_t, to_duration>,
                                  .prepare = prepare_text<unit_of, 1>}}}});
}

template <auto Compute>
FunctionRow stepped(string_view name, string_view doc, string_view result) {
  FunctionRow row{.name = fmt::format("dt.{}", name),
                  .signature = fmt::format("dt.{}(x: datetime, duration: duration | str) -> datetime", name),
                  .doc = std::string(doc),
                  .example = fmt::format("datetime(\"2024-01-31T12:34:56\").dt.{}(\"1h\")", name),
                  .example_result = std::string(result),
                  .is_method = true};
  for (Kind kind : kDatetimes) {
    row.overloads.push_back({{{"x", kind}, {"duration", Kind::kDuration}}, kind, {.kernel = map<Compute>}});
    row.overloads.push_back(
        {{{"x", kind}, {"duration", Kind::kStr}},
         kind,
         {.kernel = with_text<length_of, int64_t, int64_t, Compute>, .prepare = prepare_text<length_of, 1>}});
  }
  return row;
}

void add_texts(std::vector<FunctionRow>& rows) {
  rows.push_back({.name = "dt.strftime",
                  .signature = "dt.strftime(x: datetime, fmt: str) -> str",
                  .doc = "The datetime as text. C's codes; `%f` is nine digits, `%6f` six.",
                  .example = "datetime(\"2024-01-31T12:34:56\").dt.strftime(\"%d/%m/%Y %H:%M\")",
                  .example_result = "31/01/2024 12:34",
                  .is_method = true,
                  .overloads = {{{{"x", Kind::kDateTimeNaive}, {"fmt", Kind::kStr}},
                                 Kind::kStr,
                                 {.kernel = with_text<write_format, int64_t, string_view, format_naive>,
                                  .prepare = prepare_text<write_format, 1>}},
                                {{{"x", Kind::kDateTimeUtc}, {"fmt", Kind::kStr}},
                                 Kind::kStr,
                                 {.kernel = with_text<write_format, int64_t, string_view, format_utc>,
                                  .prepare = prepare_text<write_format, 1>}}}});
  rows.push_back(
      {.name = "dt.strptime",
       .signature = "dt.strptime(x: str, fmt: str, contains_timezone: bool = None) -> datetime_naive | datetime_utc",
       .doc = "Text read by a format; with `%z` the result is UTC. `%f` stands after a dot and takes 1 to 9 digits.",
       .example = "\"2024-01-31 12:34\".dt.strptime(\"%Y-%m-%d %H:%M\")",
       .example_result = "2024-01-31T12:34:00.000000000",
       .is_method = true,
       .params = {{"x", Kind::kStr}, {"fmt", Kind::kStr}, {"contains_timezone", Kind::kBool, false, Value::none()}},
       .typing = type_strptime,
       .choose = choose_strptime});
  rows.push_back({.name = "datetime",
                  .signature = "datetime(text: str) -> datetime_naive | datetime_utc",
                  .doc = "ISO text as a datetime: UTC if it has an offset, else naive.",
                  .example = "datetime(\"2024-01-01T01:00:00+01:00\")",
                  .example_result = "2024-01-01T00:00:00.000000000+0000",
                  .params = {{"text", Kind::kStr}},
                  .typing = type_datetime,
                  .choose = choose_datetime});
  rows.push_back(
      {.name = "duration",
       .signature = "duration(text: str) -> duration",
       .doc = "A length of time: `1h30m`, `2 days`, `-5s`, `PT5M`.",
       .example = "duration(\"90m\")",
       .example_result = "1h 30m",
       .overloads = {
           {{{"text", Kind::kStr}}, Kind::kDuration, {.kernel = duration_of, .prepare = prepare_text<length_of, 0>}}}});
  FunctionRow delta{.name = "timedelta",
                    .aliases = {"Duration"},
                    .signature =
                        "timedelta(days=0, seconds=0, microseconds=0, milliseconds=0, minutes=0, hours=0, weeks=0, "
                        "nanoseconds=0) -> duration",
                    .doc = "A length of time from numbers of its units.",
                    .example = "timedelta(hours=1, minutes=30)",
                    .example_result = "1h 30m"};
  std::vector<Param> params;
  for (string_view name :
       {"days", "seconds", "microseconds", "milliseconds", "minutes", "hours", "weeks", "nanoseconds"})
    params.push_back({std::string(name), Kind::kFloat, false, Value::of(0.0)});
  delta.overloads.push_back({std::move(params), Kind::kDuration, {.kernel = timedelta}});
  rows.push_back(std::move(delta));
}

template <auto Compute>
FunctionRow zoned(string_view name, string_view doc, string_view what, Kind second_kind, Kind result,
                  string_view example, string_view example_result) {
  return {.name = fmt::format("dt.{}", name),
          .signature = fmt::format("dt.{}(x: datetime_naive, {}: {}, timezone: str) -> {}", name, what,
                                   kind_name(second_kind), kind_name(result)),
          .doc = std::string(doc),
          .example = std::string(example),
          .example_result = std::string(example_result),
          .is_method = true,
          .overloads = {{{{"x", Kind::kDateTimeNaive}, {std::string(what), second_kind}, {"timezone", Kind::kStr}},
                         result,
                         {.kernel = in_zone<Compute>, .prepare = prepare_text<zone_named, 2>}}}};
}

void add_zones(std::vector<FunctionRow>& rows) {
  rows.push_back(
      {.name = "dt.to_utc",
       .signature = "dt.to_utc(x: datetime_naive, from_timezone: str) -> datetime_utc",
       .doc = "A local time of a zone in UTC. One that does not exist is the first instant after the gap, an "
              "ambiguous one the later reading.",
       .example = "datetime(\"2024-07-01T12:00:00\").dt.to_utc(\"Europe/Warsaw\")",
       .example_result = "2024-07-01T10:00:00.000000000+0000",
       .is_method = true,
       .overloads = {
           {{{"x", Kind::kDateTimeNaive}, {"from_timezone", Kind::kStr}},
            Kind::kDateTimeUtc,
            {.kernel = with_text<zone_named, int64_t, int64_t, to_utc>, .prepare = prepare_text<zone_named, 1>}}}});
  rows.push_back({.name = "dt.to_naive_in_timezone",
                  .signature = "dt.to_naive_in_timezone(x: datetime_utc, timezone: str) -> datetime_naive",
                  .doc = "What clocks in a zone show at that time.",
                  .example = "datetime(\"2024-07-01T10:00:00Z\").dt.to_naive_in_timezone(\"Europe/Warsaw\")",
                  .example_result = "2024-07-01T12:00:00.000000000",
                  .is_method = true,
                  .overloads = {{{{"x", Kind::kDateTimeUtc}, {"timezone", Kind::kStr}},
                                 Kind::kDateTimeNaive,
                                 {.kernel = with_text<zone_named, int64_t, int64_t, to_local>,
                                  .prepare = prepare_text<zone_named, 1>}}}});
  rows.push_back(zoned<add_in>(
      "add_duration_in_timezone", "Later by a duration, as clocks of a zone show it.", "duration", Kind::kDuration,
      Kind::kDateTimeNaive,
      "datetime(\"2024-03-31T01:30:00\").dt.add_duration_in_timezone(duration(\"1h\"), \"Europe/Warsaw\")",
      "2024-03-31T03:30:00.000000000"));
  rows.push_back(zoned<subtract_in>(
      "subtract_duration_in_timezone", "Earlier by a duration, as clocks of a zone show it.", "duration",
      Kind::kDuration, Kind::kDateTimeNaive,
      "datetime(\"2024-03-31T03:30:00\").dt.subtract_duration_in_timezone(duration(\"1h\"), \"Europe/Warsaw\")",
      "2024-03-31T01:30:00.000000000"));
  rows.push_back(zoned<between_in>("subtract_date_time_in_timezone", "The time between two local times of a zone.",
                                   "date_time", Kind::kDateTimeNaive, Kind::kDuration,
                                   "datetime(\"2024-03-31T03:30:00\").dt.subtract_date_time_in_timezone(datetime("
                                   "\"2024-03-31T01:30:00\"), \"Europe/Warsaw\")",
                                   "1h"));
}

}  // namespace

std::span<const FunctionRow> datetime_functions() {
  static const std::vector<FunctionRow> rows = [] {
    std::vector<FunctionRow> built;
    add_parts(built);
    add_timestamps(built);
    built.push_back(stepped<floor_to>("floor", "The last multiple of a duration since 1970 that is not later.",
                                      "2024-01-31T12:00:00.000000000"));
    built.push_back(stepped<round_to>("round", "The nearest multiple of a duration since 1970; a half goes up.",
                                      "2024-01-31T13:00:00.000000000"));
    add_texts(built);
    add_zones(built);
    return built;
  }();
  return rows;
}

}  // namespace thalweg::expr
