// Arithmetic: + - * / // % ** << >> & | ^ ~ and unary minus, on numbers, durations, datetimes and text.
//
// An int result that does not fit is an ERROR, never a wrap. Loops compute the wrapped result for every row together
// with one flag, and look for the rows to blame only if the flag is set.

#include <cmath>
#include <cstring>
#include <limits>

#include "engine/expr/loops.h"

namespace thalweg::expr {
namespace {

constexpr std::string_view kOverflow = "integer overflow";
constexpr std::string_view kDivisionByZero = "division by zero";
constexpr std::size_t kTextBytesMax = 64 << 20;  // of one text that an expression makes

// ---------------------------------------------------------------- + - * on 64-bit integers (durations, datetimes too)

struct Add {
  static std::int64_t wrapped(std::int64_t x, std::int64_t y) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(x) + static_cast<std::uint64_t>(y));
  }
  // Negative if x + y overflowed to r.
  static std::int64_t overflow(std::int64_t x, std::int64_t y, std::int64_t r) { return (x ^ r) & (y ^ r); }
};
struct Sub {
  static std::int64_t wrapped(std::int64_t x, std::int64_t y) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(x) - static_cast<std::uint64_t>(y));
  }
  static std::int64_t overflow(std::int64_t x, std::int64_t y, std::int64_t r) { return (x ^ y) & (x ^ r); }
};
struct Mul {
  static std::int64_t wrapped(std::int64_t x, std::int64_t y) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(x) * static_cast<std::uint64_t>(y));
  }
  static std::int64_t overflow(std::int64_t x, std::int64_t y, std::int64_t) {
    std::int64_t r;
    return __builtin_mul_overflow(x, y, &r) ? -1 : 0;
  }
};

template <class Op>
Column checked(const KernelCall& call) {
  Writer<std::int64_t> out(call);
  auto a = call.args[0].i64();
  auto b = call.args[1].i64();
  std::int64_t* r = out.data();
  std::int64_t bad = 0;
  for_each_pair(a, b, call.rows, [&](std::size_t i, std::int64_t x, std::int64_t y) {
    r[i] = Op::wrapped(x, y);
    bad |= Op::overflow(x, y, r[i]);
  });
  if (bad < 0)
    for (std::size_t i = 0; i < call.rows; ++i)
      if (!out.skips(i) && Op::overflow(a[i], b[i], r[i]) < 0) out.fail(i, kOverflow);
  return out.finish();
}

template <class F>
Column float_loop(const KernelCall& call, F f) {
  Writer<double> out(call);
  double* r = out.data();
  for_each_pair(call.args[0].f64(), call.args[1].f64(), call.rows,
                [&](std::size_t i, double x, double y) { r[i] = f(x, y); });
  return out.finish();
}
Column add_floats(const KernelCall& call) {
  return float_loop(call, [](double x, double y) { return x + y; });
}
Column sub_floats(const KernelCall& call) {
  return float_loop(call, [](double x, double y) { return x - y; });
}
Column mul_floats(const KernelCall& call) {
  return float_loop(call, [](double x, double y) { return x * y; });
}
Column pow_floats(const KernelCall& call) {
  return float_loop(call, [](double x, double y) { return std::pow(x, y); });
}

// ---------------------------------------------------------------- division

double true_quotient(double x, double y) { return x / y; }
double floor_quotient(double x, double y) {
  double rest = std::fmod(x, y);
  double quotient = (x - rest) / y;
  if (rest != 0 && (y < 0) != (rest < 0)) quotient -= 1.0;
  if (quotient == 0) return std::copysign(0.0, x / y);
  double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1.0 : floored;
}
double floor_rest(double x, double y) {
  double rest = std::fmod(x, y);
  if (rest == 0) return std::copysign(0.0, y);
  return (y < 0) != (rest < 0) ? rest + y : rest;
}

template <class T, double (*F)(double, double)>
Column divide_as_floats(const KernelCall& call) {
  Writer<double> out(call);
  auto cells = [](const Column& column) {
    if constexpr (std::same_as<T, double>)
      return column.f64();
    else
      return column.i64();
  };
  auto a = cells(call.args[0]);
  auto b = cells(call.args[1]);
  double* r = out.data();
  bool zero = false;
  for_each_pair(a, b, call.rows, [&](std::size_t i, T x, T y) {
    r[i] = F(static_cast<double>(x), static_cast<double>(y));
    zero |= y == 0;
  });
  if (zero)
    for (std::size_t i = 0; i < call.rows; ++i)
      if (!out.skips(i) && b[i] == 0) out.fail(i, kDivisionByZero);
  return out.finish();
}

std::int64_t floor_div(std::int64_t x, std::int64_t y) {
  std::int64_t q = x / y;
  return q - ((x % y != 0) && ((x < 0) != (y < 0)) ? 1 : 0);
}
std::int64_t floor_mod(std::int64_t x, std::int64_t y) {
  std::int64_t r = x % y;
  return r != 0 && ((r < 0) != (y < 0)) ? r + y : r;
}
std::int64_t truncated_div(std::int64_t x, std::int64_t y) { return x / y; }

template <std::int64_t (*F)(std::int64_t, std::int64_t)>
Column divide_ints(const KernelCall& call) {
  constexpr bool kRest = F == floor_mod;
  Writer<std::int64_t> out(call);
  auto a = call.args[0].i64();
  auto b = call.args[1].i64();
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    std::int64_t y = b[i];
    if (y == 0)
      out.fail(i, kDivisionByZero);
    else if (y != -1)
      out.set(i, F(a[i], y));
    else if (kRest)
      out.set(i, 0);
    else if (a[i] == std::numeric_limits<std::int64_t>::min())
      out.fail(i, kOverflow);
    else
      out.set(i, -a[i]);
  }
  return out.finish();
}

// ---------------------------------------------------------------- durations with floats

Answer<std::int64_t> whole(double ns) {
  if (!(ns >= -9223372036854775808.0 && ns < 9223372036854775808.0)) return no_answer("duration out of range");
  return static_cast<std::int64_t>(ns);
}
Answer<std::int64_t> duration_times(std::int64_t ns, double factor) {
  return whole(std::trunc(static_cast<double>(ns) * factor));
}
Answer<std::int64_t> times_duration(double factor, std::int64_t ns) { return duration_times(ns, factor); }
Answer<std::int64_t> duration_by(std::int64_t ns, double divisor) {
  if (divisor == 0) return no_answer(std::string(kDivisionByZero));
  return whole(std::trunc(static_cast<double>(ns) / divisor));
}
Answer<std::int64_t> duration_floor_by(std::int64_t ns, double divisor) {
  if (divisor == 0) return no_answer(std::string(kDivisionByZero));
  return whole(std::floor(static_cast<double>(ns) / divisor));
}

// ---------------------------------------------------------------- power, shifts, bits, signs

Answer<std::int64_t> pow_ints(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) return no_answer("int ** negative int; make one of them a float");
  std::int64_t result = 1;
  bool overflow = false;
  while (true) {
    if (exponent & 1) overflow = overflow || __builtin_mul_overflow(result, base, &result);
    exponent >>= 1;
    if (exponent == 0) break;
    // A base that no longer fits matters only if it is used, and it will be: the exponent has a bit left.
    overflow = overflow || __builtin_mul_overflow(base, base, &base);
    if (overflow) break;
  }
  if (overflow) return no_answer(std::string(kOverflow));
  return result;
}
Answer<std::int64_t> shift_left(std::int64_t x, std::int64_t count) {
  if (count < 0 || count > 63) return no_answer("shift count outside 0..63");
  std::int64_t shifted = static_cast<std::int64_t>(static_cast<std::uint64_t>(x) << count);
  if ((shifted >> count) != x) return no_answer(std::string(kOverflow));
  return shifted;
}
Answer<std::int64_t> shift_right(std::int64_t x, std::int64_t count) {
  if (count < 0 || count > 63) return no_answer("shift count outside 0..63");
  return x >> count;
}
Answer<std::int64_t> negate_int(std::int64_t x) {
  if (x == std::numeric_limits<std::int64_t>::min()) return no_answer(std::string(kOverflow));
  return -x;
}
double negate_float(double x) { return -x; }
std::int64_t and_ints(std::int64_t x, std::int64_t y) { return x & y; }
std::int64_t or_ints(std::int64_t x, std::int64_t y) { return x | y; }
std::int64_t xor_ints(std::int64_t x, std::int64_t y) { return x ^ y; }
std::int64_t not_int(std::int64_t x) { return ~x; }
bool and_bools(bool x, bool y) { return x && y; }
bool or_bools(bool x, bool y) { return x || y; }
bool xor_bools(bool x, bool y) { return x != y; }
bool not_bool(bool x) { return !x; }

// ---------------------------------------------------------------- text

Column concat_texts(const KernelCall& call) {
  Writer<std::string_view> out(call);
  Reader<std::string_view> a(call.args[0]);
  Reader<std::string_view> b(call.args[1]);
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    std::string_view x = a[i];
    std::string_view y = b[i];
    std::size_t bytes = x.size() + y.size();
    if (bytes > kTextBytesMax) {
      out.fail(i, "text too long");
      continue;
    }
    char buffer[StrView::kInlineMax];
    char* at = bytes <= StrView::kInlineMax ? buffer : out.heap().allocate(bytes);
    if (!x.empty()) std::memcpy(at, x.data(), x.size());
    if (!y.empty()) std::memcpy(at + x.size(), y.data(), y.size());
    out.set_view(i, StrView({at, bytes}));
  }
  return out.finish();
}

Answer<std::string> repeat(std::string_view text, std::int64_t times) {
  std::string out;
  if (times <= 0 || text.empty()) return out;
  if (static_cast<std::uint64_t>(times) > kTextBytesMax / text.size()) return no_answer("text too long");
  out.reserve(text.size() * static_cast<std::size_t>(times));
  for (std::int64_t i = 0; i < times; ++i) out += text;
  return out;
}
Answer<std::string> repeat_turned(std::int64_t times, std::string_view text) { return repeat(text, times); }

// ---------------------------------------------------------------- rows

const Type kInt = Kind::kInt, kFloat = Kind::kFloat, kBool = Kind::kBool, kStr = Kind::kStr, kBytes = Kind::kBytes,
           kNaive = Kind::kDateTimeNaive, kUtc = Kind::kDateTimeUtc, kDuration = Kind::kDuration;

std::vector<FunctionRow> sums() {
  return {
      {.name = "add",
       .signature = "a + b: numbers; text; datetime + duration; duration + duration",
       .doc = "Sum, or texts one after the other. An int sum that does not fit is an ERROR.",
       .example = "1 + 2",
       .example_result = "3",
       .overloads = {overload2(kInt, kInt, kInt, checked<Add>), overload2(kFloat, kFloat, kFloat, add_floats),
                     overload2(kStr, kStr, kStr, concat_texts), overload2(kBytes, kBytes, kBytes, concat_texts),
                     overload2(kNaive, kDuration, kNaive, checked<Add>), overload2(kUtc, kDuration, kUtc, checked<Add>),
                     overload2(kDuration, kNaive, kNaive, checked<Add>), overload2(kDuration, kUtc, kUtc, checked<Add>),
                     overload2(kDuration, kDuration, kDuration, checked<Add>)}},
      {.name = "sub",
       .signature = "a - b: numbers; datetime - datetime; datetime - duration; duration - duration",
       .doc = "Difference. Two datetimes of one kind give a duration.",
       .example = "5 - 7",
       .example_result = "-2",
       .overloads = {overload2(kInt, kInt, kInt, checked<Sub>), overload2(kFloat, kFloat, kFloat, sub_floats),
                     overload2(kNaive, kNaive, kDuration, checked<Sub>), overload2(kUtc, kUtc, kDuration, checked<Sub>),
                     overload2(kNaive, kDuration, kNaive, checked<Sub>), overload2(kUtc, kDuration, kUtc, checked<Sub>),
                     overload2(kDuration, kDuration, kDuration, checked<Sub>)}},
      {.name = "mul",
       .signature = "a * b: numbers; text * int; duration * number",
       .doc = "Product; a text repeated; a duration times a number truncates toward zero.",
       .example = "'ab' * 3",
       .example_result = "ababab",
       .overloads = {overload2(kInt, kInt, kInt, checked<Mul>), overload2(kFloat, kFloat, kFloat, mul_floats),
                     overload2(kStr, kInt, kStr, map<repeat>), overload2(kInt, kStr, kStr, map<repeat_turned>),
                     overload2(kDuration, kInt, kDuration, checked<Mul>),
                     overload2(kInt, kDuration, kDuration, checked<Mul>),
                     overload2(kDuration, kFloat, kDuration, map<duration_times>),
                     overload2(kFloat, kDuration, kDuration, map<times_duration>)}},
      {.name = "neg",
       .signature = "-x: int, float, duration",
       .doc = "The opposite number or duration.",
       .example = "-(3)",
       .example_result = "-3",
       .overloads = {overload1(kInt, kInt, map<negate_int>), overload1(kFloat, kFloat, map<negate_float>),
                     overload1(kDuration, kDuration, map<negate_int>)}},
  };
}

std::vector<FunctionRow> quotients() {
  return {
      {.name = "truediv",
       .signature = "a / b: numbers -> float; duration / number -> duration; duration / duration -> float",
       .doc = "Quotient as float. Division by zero is an ERROR, also of floats.",
       .example = "7 / 2",
       .example_result = "3.5",
       .overloads = {overload2(kInt, kInt, kFloat, divide_as_floats<std::int64_t, true_quotient>),
                     overload2(kFloat, kFloat, kFloat, divide_as_floats<double, true_quotient>),
                     overload2(kDuration, kInt, kDuration, divide_ints<truncated_div>),
                     overload2(kDuration, kFloat, kDuration, map<duration_by>),
                     overload2(kDuration, kDuration, kFloat, divide_as_floats<std::int64_t, true_quotient>)}},
      {.name = "floordiv",
       .signature = "a // b: numbers; duration // number -> duration; duration // duration -> int",
       .doc = "Quotient rounded down, as in Python.",
       .example = "-7 // 2",
       .example_result = "-4",
       .overloads = {overload2(kInt, kInt, kInt, divide_ints<floor_div>),
                     overload2(kFloat, kFloat, kFloat, divide_as_floats<double, floor_quotient>),
                     overload2(kDuration, kInt, kDuration, divide_ints<floor_div>),
                     overload2(kDuration, kFloat, kDuration, map<duration_floor_by>),
                     overload2(kDuration, kDuration, kInt, divide_ints<floor_div>)}},
      {.name = "mod",
       .signature = "a % b: numbers; duration % duration -> duration",
       .doc = "Rest of `//`; its sign is that of b.",
       .example = "-7 % 3",
       .example_result = "2",
       .overloads = {overload2(kInt, kInt, kInt, divide_ints<floor_mod>),
                     overload2(kFloat, kFloat, kFloat, divide_as_floats<double, floor_rest>),
                     overload2(kDuration, kDuration, kDuration, divide_ints<floor_mod>)}},
      {.name = "pow",
       .signature = "a ** b, pow(a, b): numbers",
       .doc = "Power. An int to a negative int, or a result that does not fit, is an ERROR.",
       .example = "2 ** 10",
       .example_result = "1024",
       .overloads = {overload2(kInt, kInt, kInt, map<pow_ints>), overload2(kFloat, kFloat, kFloat, pow_floats)}},
  };
}

std::vector<FunctionRow> bits() {
  return {
      {.name = "shl",
       .signature = "a << b: int, int -> int",
       .doc = "Shift to the left. A count outside 0..63 or a result that does not fit is an ERROR.",
       .example = "3 << 4",
       .example_result = "48",
       .overloads = {overload2(kInt, kInt, kInt, map<shift_left>)}},
      {.name = "shr",
       .signature = "a >> b: int, int -> int",
       .doc = "Shift to the right; the sign stays.",
       .example = "-9 >> 1",
       .example_result = "-5",
       .overloads = {overload2(kInt, kInt, kInt, map<shift_right>)}},
      {.name = "bit_and",
       .signature = "a & b: int, int -> int; bool, bool -> bool",
       .doc = "Bits that both have. On bool the language evaluates the right side only if needed.",
       .example = "6 & 3",
       .example_result = "2",
       .overloads = {overload2(kInt, kInt, kInt, map<and_ints>), overload2(kBool, kBool, kBool, map<and_bools>)}},
      {.name = "bit_or",
       .signature = "a | b: int, int -> int; bool, bool -> bool",
       .doc = "Bits that one of them has. On bool the language evaluates the right side only if needed.",
       .example = "6 | 3",
       .example_result = "7",
       .overloads = {overload2(kInt, kInt, kInt, map<or_ints>), overload2(kBool, kBool, kBool, map<or_bools>)}},
      {.name = "bit_xor",
       .signature = "a ^ b: int, int -> int; bool, bool -> bool",
       .doc = "Bits that exactly one of them has.",
       .example = "6 ^ 3",
       .example_result = "5",
       .overloads = {overload2(kInt, kInt, kInt, map<xor_ints>), overload2(kBool, kBool, kBool, map<xor_bools>)}},
      {.name = "bit_not",
       .signature = "~x: bool -> bool; int -> int",
       .doc = "Logical not of a bool, all bits turned of an int.",
       .example = "~True",
       .example_result = "False",
       .overloads = {overload1(kBool, kBool, map<not_bool>), overload1(kInt, kInt, map<not_int>)}},
      {.name = "not",
       .signature = "not x: bool -> bool",
       .doc = "Whether x does not hold.",
       .example = "not False",
       .example_result = "True",
       .overloads = {overload1(kBool, kBool, map<not_bool>)}},
  };
}

}  // namespace

std::span<const FunctionRow> arith_functions() {
  static const std::vector<FunctionRow> rows = [] {
    std::vector<FunctionRow> all = sums();
    for (auto* family : {quotients, bits})
      for (FunctionRow& row : family()) all.push_back(std::move(row));
    return all;
  }();
  return rows;
}

}  // namespace thalweg::expr
