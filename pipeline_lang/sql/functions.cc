#include "pipeline_lang/sql/functions.h"

#include <algorithm>
#include <array>

#include "engine/expr/function_table.h"
#include "pipeline_lang/sql/lexer.h"

namespace thalweg::sql {
namespace {

using plan::ReducerKind;
using T = AggregateType;

constexpr std::array<AggregateRow, 46> kAggregates = {{
    {"COUNT", ReducerKind::kCount, 0, 1, T::kInt},
    {"COUNT_DISTINCT", ReducerKind::kCountDistinct, 1, 1, T::kInt, false, false, true},
    {"COUNT_DISTINCT_APPROXIMATE", ReducerKind::kCountDistinctApproximate, 1, 1, T::kInt, false, false, true},
    {"APPROX_COUNT_DISTINCT", ReducerKind::kCountDistinctApproximate, 1, 1, T::kInt, false, false, true},
    {"SUM", ReducerKind::kSum, 1, 1, T::kSum, true},
    {"TOTAL", ReducerKind::kSum, 1, 1, T::kFloat, true},
    {"AVG", ReducerKind::kAvg, 1, 1, T::kFloat, true},
    {"MEAN", ReducerKind::kAvg, 1, 1, T::kFloat, true},
    {"MIN", ReducerKind::kMin, 1, 1, T::kArgument, false, false, true},
    {"MAX", ReducerKind::kMax, 1, 1, T::kArgument, false, false, true},
    {"ARGMIN", ReducerKind::kArgMin, 2, 2, T::kSecond, false, false, true},
    {"ARGMAX", ReducerKind::kArgMax, 2, 2, T::kSecond, false, false, true},
    {"MIN_BY", ReducerKind::kArgMin, 2, 2, T::kArgument, false, false, true},
    {"MAX_BY", ReducerKind::kArgMax, 2, 2, T::kArgument, false, false, true},
    {"ARG_MIN", ReducerKind::kArgMin, 2, 2, T::kArgument, false, false, true},
    {"ARG_MAX", ReducerKind::kArgMax, 2, 2, T::kArgument, false, false, true},
    {"UNIQUE", ReducerKind::kUnique, 1, 1, T::kArgument, false, false, true},
    {"ANY_VALUE", ReducerKind::kAny, 1, 1, T::kArgument, false, false, true},
    {"ANY", ReducerKind::kAny, 1, 1, T::kArgument, false, false, true},
    {"TUPLE", ReducerKind::kTuple, 1, 1, T::kList, false, true},
    {"COLLECT", ReducerKind::kTuple, 1, 1, T::kList, false, true},
    {"ARRAY_AGG", ReducerKind::kTuple, 1, 1, T::kList, false, true},
    {"LIST", ReducerKind::kTuple, 1, 1, T::kList, false, true},
    {"SORTED_TUPLE", ReducerKind::kSortedTuple, 1, 1, T::kList, false, true},
    {"NDARRAY", ReducerKind::kNdArray, 1, 1, T::kAny, true},
    {"EARLIEST", ReducerKind::kEarliest, 1, 1, T::kArgument},
    {"LATEST", ReducerKind::kLatest, 1, 1, T::kArgument},
    {"FIRST", ReducerKind::kFirst, 1, 1, T::kArgument},
    {"LAST", ReducerKind::kLast, 1, 1, T::kArgument},
    {"STDDEV", ReducerKind::kStddev, 1, 1, T::kFloat, true},
    {"STDDEV_SAMP", ReducerKind::kStddev, 1, 1, T::kFloat, true},
    {"STDDEV_POP", ReducerKind::kStddevPop, 1, 1, T::kFloat, true},
    {"VARIANCE", ReducerKind::kVarSamp, 1, 1, T::kFloat, true},
    {"VAR_SAMP", ReducerKind::kVarSamp, 1, 1, T::kFloat, true},
    {"VAR_POP", ReducerKind::kVarPop, 1, 1, T::kFloat, true},
    {"MEDIAN", ReducerKind::kMedian, 1, 1, T::kFloat, true},
    {"QUANTILE", ReducerKind::kQuantile, 2, 2, T::kFloat, true},
    {"PERCENTILE", ReducerKind::kQuantile, 2, 2, T::kFloat, true},
    {"STRING_AGG", ReducerKind::kStringAgg, 2, 2, T::kText},
    {"GROUP_CONCAT", ReducerKind::kStringAgg, 1, 2, T::kText},
    {"LISTAGG", ReducerKind::kStringAgg, 1, 2, T::kText},
    {"BOOL_AND", ReducerKind::kBoolAnd, 1, 1, T::kBool, false, false, true},
    {"EVERY", ReducerKind::kBoolAnd, 1, 1, T::kBool, false, false, true},
    {"BOOL_OR", ReducerKind::kBoolOr, 1, 1, T::kBool, false, false, true},
    {"SOME", ReducerKind::kBoolOr, 1, 1, T::kBool, false, false, true},
    {"LOGICAL_AND", ReducerKind::kBoolAnd, 1, 1, T::kBool, false, false, true},
}};

std::unexpected<Error> wrong(std::string message, SourceSpan span) {
  return fail(Code::kInvalidPipeline, std::move(message), span);
}

using Args = std::vector<ExprPtr>;
using Make = Result<ExprPtr> (*)(std::string_view name, Args& args, SourceSpan span);

struct ScalarRow {
  std::string_view name;
  std::size_t args_min;
  std::size_t args_max;
  Make make;
};

Result<ExprPtr> text(const ExprPtr& arg, SourceSpan span) {
  if (is_null_literal(*arg) || arg->type.is(Kind::kStr)) return arg;
  return cast_sql(arg, Kind::kStr, span);
}

// The first argument as text, the rest as the table of functions wants them.
template <const char* function>
Result<ExprPtr> on_text(std::string_view, Args& args, SourceSpan span) {
  args[0] = TRY(text(args[0], span));
  return call_by_name(function, args, span);
}
template <const char* function>
Result<ExprPtr> on_texts(std::string_view, Args& args, SourceSpan span) {
  for (ExprPtr& arg : args) arg = TRY(text(arg, span));
  return call_by_name(function, args, span);
}
template <const char* function>
Result<ExprPtr> on_float(std::string_view, Args& args, SourceSpan span) {
  for (ExprPtr& arg : args) arg = TRY(convert(arg, Kind::kFloat, span));
  return call_by_name(function, args, span);
}

constexpr char kUpper[] = "str.upper", kLower[] = "str.lower", kLen[] = "str.len", kReversed[] = "str.reversed";
constexpr char kSubstr[] = "sql.substr", kTrim[] = "sql.trim", kLtrim[] = "sql.ltrim", kRtrim[] = "sql.rtrim";
constexpr char kReplace[] = "sql.replace", kPosition[] = "sql.position", kRound[] = "sql.round";
constexpr char kFloor[] = "sql.floor", kCeil[] = "sql.ceil", kAbs[] = "abs", kSqrt[] = "sqrt", kExp[] = "exp";
constexpr char kLn[] = "ln", kLog10[] = "log10", kSign[] = "sign", kDateTrunc[] = "sql.date_trunc", kPow[] = "pow";
constexpr char kTruncate[] = "sql.trunc", kRepeat[] = "sql.repeat", kStartsWith[] = "str.startswith";

Result<ExprPtr> length(std::string_view name, Args& args, SourceSpan span) {
  if (args[0]->type.is(Kind::kStr) || is_null_literal(*args[0]) || args[0]->type.is_number())
    return on_text<kLen>(name, args, span);
  return call_by_name("len", args, span);
}
Result<ExprPtr> instr(std::string_view name, Args& args, SourceSpan span) {
  std::swap(args[0], args[1]);
  return on_texts<kPosition>(name, args, span);
}
// LOCATE(part, text, from)
Result<ExprPtr> locate(std::string_view name, Args& args, SourceSpan span) {
  if (args.size() == 2) return on_texts<kPosition>(name, args, span);
  ExprPtr from = TRY(convert(args[2], Kind::kInt, span));
  Args bounds{from, int_literal(1, span)};
  from = TRY(call_scalar("GREATEST", bounds, span));
  Args rest{args[1], from};
  ExprPtr tail = TRY(on_text<kSubstr>(name, rest, span));
  Args found{args[0], tail};
  ExprPtr at = TRY(on_texts<kPosition>(name, found, span));
  ExprPtr none = TRY(compare_sql("=", at, int_literal(0, span), span));
  ExprPtr before = TRY(arithmetic("-", from, int_literal(1, span), span));
  ExprPtr shifted = TRY(arithmetic("+", at, before, span));
  return if_then(truth(none), at, shifted, span);
}
// Nothing of it is NULL: CONCAT takes a NULL for no text.
Result<ExprPtr> concat(std::string_view, Args& args, SourceSpan span) {
  ExprPtr all;
  for (ExprPtr& arg : args) {
    ExprPtr part = TRY(text(arg, span));
    ExprPtr empty = plan::literal(Value::str(""), Kind::kStr, span);
    if (is_null_literal(*part))
      part = empty;
    else if (part->type.admits_none())
      part = plan::special(plan::ExprKind::kCoalesce, {part, empty}, Kind::kStr, span);
    all = all ? TRY(concat_text(all, part, span)) : part;
  }
  return all;
}
Result<ExprPtr> mod(std::string_view, Args& args, SourceSpan span) { return arithmetic("%", args[0], args[1], span); }
Result<ExprPtr> div(std::string_view, Args& args, SourceSpan span) { return arithmetic("DIV", args[0], args[1], span); }
Result<ExprPtr> coalesce(std::string_view name, Args& args, SourceSpan span) {
  Type type = TRY(unify(args, name, span));
  bool optional = true;
  Args kept;
  for (const ExprPtr& arg : args) {
    if (is_null_literal(*arg)) continue;
    kept.push_back(arg);
    optional = optional && arg->type.admits_none();
  }
  if (kept.empty()) return null_literal(type, span);
  if (kept.size() == 1) return kept[0];
  return plan::special(plan::ExprKind::kCoalesce, std::move(kept), optional ? type : type.without_optional(), span);
}
Result<ExprPtr> nullif(std::string_view, Args& args, SourceSpan span) {
  ExprPtr equal = TRY(compare_sql("=", args[0], args[1], span));
  if (is_null_literal(*equal)) return args[0];
  Type type = args[0]->type.without_optional();
  return if_then(truth(equal), null_literal(type, span), plan::coerce(args[0], type.as_optional()), span);
}
Result<ExprPtr> if_function(std::string_view name, Args& args, SourceSpan span) {
  ExprPtr test = truth(TRY(as_condition(args[0], "the first argument of " + std::string(name), span)));
  Args branches{args[1], args.size() > 2 ? args[2] : null_literal(Kind::kNone, span)};
  TRY(unify(branches, name, span));
  return if_then(test, branches[0], branches[1], span);
}
// NULL if any argument is, as the standard has it.
Result<ExprPtr> extreme(std::string_view op, std::string_view name, Args& args, SourceSpan span) {
  TRY(unify(args, name, span));
  for (const ExprPtr& arg : args)
    if (is_null_literal(*arg)) return arg;
  ExprPtr best = args[0];
  for (std::size_t i = 1; i < args.size(); ++i)
    best = if_then(truth(TRY(compare_sql(op, args[i], best, span))), args[i], best, span);
  Args parts{best};
  for (const ExprPtr& arg : args)
    if (arg->type.admits_none()) parts.push_back(arg);
  if (parts.size() == 1) return best;
  return plan::special(plan::ExprKind::kRequire, std::move(parts), best->type.as_optional(), span);
}
Result<ExprPtr> greatest(std::string_view name, Args& args, SourceSpan span) { return extreme(">", name, args, span); }
Result<ExprPtr> least(std::string_view name, Args& args, SourceSpan span) { return extreme("<", name, args, span); }
Result<ExprPtr> left(std::string_view name, Args& args, SourceSpan span) {
  Args parts{args[0], int_literal(1, span), args[1]};
  return on_text<kSubstr>(name, parts, span);
}
Result<ExprPtr> right(std::string_view name, Args& args, SourceSpan span) {
  ExprPtr start = TRY(negate(args[1], span));
  Args parts{args[0], start, args[1]};
  return on_text<kSubstr>(name, parts, span);
}
Result<ExprPtr> round(std::string_view, Args& args, SourceSpan span) {
  args[0] = TRY(convert(args[0], Kind::kFloat, span));
  if (args.size() == 1) args.push_back(int_literal(0, span));
  return call_by_name(kRound, args, span);
}
// Whole numbers stay what they are.
template <const char* function>
Result<ExprPtr> to_whole(std::string_view, Args& args, SourceSpan span) {
  if (args[0]->type.is(Kind::kInt)) return args[0];
  args[0] = TRY(convert(args[0], Kind::kFloat, span));
  return call_by_name(function, args, span);
}
template <const char* function>
Result<ExprPtr> on_number(std::string_view, Args& args, SourceSpan span) {
  if (is_null_literal(*args[0]) || args[0]->type.is(Kind::kBool)) args[0] = TRY(convert(args[0], Kind::kInt, span));
  return call_by_name(function, args, span);
}
Result<ExprPtr> log(std::string_view name, Args& args, SourceSpan span) {
  if (args.size() == 1) return on_float<kLog10>(name, args, span);
  Args base{args[0]}, of{args[1]};
  ExprPtr above = TRY(on_float<kLn>(name, of, span));
  ExprPtr below = TRY(on_float<kLn>(name, base, span));
  return arithmetic("/", above, below, span);
}
Result<ExprPtr> date_trunc(std::string_view, Args& args, SourceSpan span) {
  if (args[0]->kind != plan::ExprKind::kLiteral || !args[0]->type.is_plain(Kind::kStr))
    return wrong("the unit of DATE_TRUNC must be a text such as 'hour'", args[0]->span);
  static constexpr std::string_view kUnits[] = {"microseconds", "milliseconds", "second", "minute",  "hour",
                                                "day",          "week",         "month",  "quarter", "year"};
  std::string unit = args[0]->literal.as_text();
  for (char& c : unit) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  if (std::find(std::begin(kUnits), std::end(kUnits), unit) == std::end(kUnits))
    return wrong("DATE_TRUNC does not know the unit '" + unit.substr(0, 40) +
                     "'; it knows second, minute, hour, day, week, month, quarter, year",
                 args[0]->span);
  if (args[1]->kind == plan::ExprKind::kLiteral && args[1]->type.is(Kind::kStr))
    args[1] = TRY(convert(args[1], Kind::kDateTimeNaive, span));
  return call_by_name(kDateTrunc, {plan::literal(Value::str(unit), Kind::kStr, span), args[1]}, span);
}

constexpr std::size_t kMany = 1000;
constexpr std::array<ScalarRow, 57> kScalars = {{
    {"UPPER", 1, 1, on_text<kUpper>},
    {"UCASE", 1, 1, on_text<kUpper>},
    {"LOWER", 1, 1, on_text<kLower>},
    {"LCASE", 1, 1, on_text<kLower>},
    {"LENGTH", 1, 1, length},
    {"LEN", 1, 1, length},
    {"CHAR_LENGTH", 1, 1, length},
    {"CHARACTER_LENGTH", 1, 1, length},
    {"SUBSTR", 2, 3, on_text<kSubstr>},
    {"SUBSTRING", 2, 3, on_text<kSubstr>},
    {"MID", 3, 3, on_text<kSubstr>},
    {"LEFT", 2, 2, left},
    {"RIGHT", 2, 2, right},
    {"TRIM", 1, 2, on_texts<kTrim>},
    {"BTRIM", 1, 2, on_texts<kTrim>},
    {"LTRIM", 1, 2, on_texts<kLtrim>},
    {"RTRIM", 1, 2, on_texts<kRtrim>},
    {"REPLACE", 3, 3, on_texts<kReplace>},
    {"REVERSE", 1, 1, on_text<kReversed>},
    {"REPEAT", 2, 2, on_text<kRepeat>},
    {"STARTS_WITH", 2, 2, on_texts<kStartsWith>},
    {"CONCAT", 1, kMany, concat},
    {"POSITION", 2, 2, on_texts<kPosition>},
    {"INSTR", 2, 2, instr},
    {"STRPOS", 2, 2, instr},
    {"LOCATE", 2, 3, locate},
    {"CHARINDEX", 2, 3, locate},
    {"ABS", 1, 1, on_number<kAbs>},
    {"SIGN", 1, 1, on_number<kSign>},
    {"ROUND", 1, 2, round},
    {"FLOOR", 1, 1, to_whole<kFloor>},
    {"CEIL", 1, 1, to_whole<kCeil>},
    {"CEILING", 1, 1, to_whole<kCeil>},
    {"TRUNC", 1, 1, to_whole<kTruncate>},
    {"MOD", 2, 2, mod},
    {"DIV", 2, 2, div},
    {"POWER", 2, 2, on_float<kPow>},
    {"POW", 2, 2, on_float<kPow>},
    {"SQRT", 1, 1, on_float<kSqrt>},
    {"EXP", 1, 1, on_float<kExp>},
    {"LN", 1, 1, on_float<kLn>},
    {"LOG", 1, 2, log},
    {"LOG10", 1, 1, on_float<kLog10>},
    {"GREATEST", 1, kMany, greatest},
    {"LEAST", 1, kMany, least},
    {"MAX", 2, kMany, greatest},
    {"MIN", 2, kMany, least},
    {"COALESCE", 1, kMany, coalesce},
    {"IFNULL", 2, 2, coalesce},
    {"NVL", 2, 2, coalesce},
    {"NULLIF", 2, 2, nullif},
    {"IF", 2, 3, if_function},
    {"IIF", 2, 3, if_function},
    {"DATE_TRUNC", 2, 2, date_trunc},
    {"YEAR", 1, 1, nullptr},
    {"MONTH", 1, 1, nullptr},
    {"DAY", 1, 1, nullptr},
}};

const ScalarRow* find_scalar(std::string_view name) {
  auto it = std::find_if(kScalars.begin(), kScalars.end(), [&](const ScalarRow& row) { return row.name == name; });
  return it == kScalars.end() ? nullptr : &*it;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

}  // namespace

const AggregateRow* find_aggregate(std::string_view name) {
  auto it =
      std::find_if(kAggregates.begin(), kAggregates.end(), [&](const AggregateRow& row) { return row.name == name; });
  return it == kAggregates.end() ? nullptr : &*it;
}

Type aggregate_type(const AggregateRow& row, const std::vector<ExprPtr>& args) {
  switch (row.type) {
    case T::kInt: return Kind::kInt;
    case T::kFloat: return args[0]->type.is(Kind::kDuration) ? Kind::kDuration : Kind::kFloat;
    case T::kBool: return Kind::kBool;
    case T::kArgument: return args[0]->type.without_optional();
    case T::kSecond: return args[1]->type.without_optional();
    case T::kList: return Type::list(args[0]->type);
    case T::kText: return Kind::kStr;
    case T::kSum: return args[0]->type.without_optional();
    case T::kAny: return Type::array(args[0]->type.is(Kind::kFloat) ? Kind::kFloat : Kind::kInt, 1);
  }
  return Kind::kAny;
}

bool is_scalar_function(std::string_view name) {
  return find_scalar(name) != nullptr || expr::is_function(lower_case(name));
}

Result<ExprPtr> call_scalar(std::string_view name, std::vector<ExprPtr> args, SourceSpan span) {
  const ScalarRow* row = find_scalar(name);
  if (!row) return call_by_name(lower_case(name), std::move(args), span);
  if (args.size() < row->args_min || args.size() > row->args_max) {
    std::string wanted = std::to_string(row->args_min);
    if (row->args_max == kMany)
      wanted = "at least " + wanted;
    else if (row->args_max != row->args_min)
      wanted += " to " + std::to_string(row->args_max);
    return wrong(std::string(name) + " takes " + wanted + " argument" + (wanted == "1" ? "" : "s") + ", found " +
                     std::to_string(args.size()),
                 span);
  }
  if (row->make == nullptr) return extract_field(name, args[0], span);
  return row->make(name, args, span);
}

Result<ExprPtr> extract_field(std::string_view field, ExprPtr from, SourceSpan span) {
  struct Field {
    std::string_view name;
    std::string_view function;
  };
  static constexpr Field kFields[] = {{"YEAR", "dt.year"},      {"MONTH", "dt.month"},
                                      {"DAY", "dt.day"},        {"HOUR", "dt.hour"},
                                      {"MINUTE", "dt.minute"},  {"MICROSECOND", "dt.microsecond"},
                                      {"SECOND", "sql.second"}, {"EPOCH", "sql.epoch"},
                                      {"DOW", "sql.dow"},       {"ISODOW", "sql.isodow"},
                                      {"DOY", "sql.doy"},       {"QUARTER", "sql.quarter"},
                                      {"WEEK", "sql.week"},     {"MILLISECOND", "dt.millisecond"}};
  for (const Field& known : kFields) {
    if (known.name != field) continue;
    if (from->kind == plan::ExprKind::kLiteral && from->type.is(Kind::kStr))
      from = TRY(convert(from, Kind::kDateTimeNaive, span));
    if (is_null_literal(*from)) return null_literal(Kind::kInt, span);
    return call_by_name(known.function, {from}, span);
  }
  std::string names;
  for (const Field& known : kFields) names += (names.empty() ? "" : ", ") + std::string(known.name);
  return wrong("EXTRACT does not know the field `" + std::string(field.substr(0, 40)) + "`; it knows " + names, span);
}

std::vector<std::string> function_names() {
  std::vector<std::string> names;
  for (const ScalarRow& row : kScalars) names.emplace_back(row.name);
  for (const AggregateRow& row : kAggregates) names.emplace_back(row.name);
  return names;
}

}  // namespace thalweg::sql
