// Numbers: abs, round, floor, ceil, sqrt, exp, ln, log10, sign, fill_na.

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "engine/expr/loops.h"
#include "engine/base/int128.h"

namespace thalweg::expr {
namespace {

Answer<std::int64_t> abs_int(std::int64_t x) {
  if (x == std::numeric_limits<std::int64_t>::min()) return no_answer("integer overflow");
  return x < 0 ? -x : x;
}
double abs_float(double x) { return std::fabs(x); }
double floor_float(double x) { return std::floor(x); }
double ceil_float(double x) { return std::ceil(x); }
std::int64_t same_int(std::int64_t x) { return x; }
std::int64_t sign_int(std::int64_t x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }
std::int64_t sign_float(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }
double exp_float(double x) { return std::exp(x); }
Answer<double> sqrt_float(double x) {
  if (x < 0) return no_answer("square root of a negative number");
  return std::sqrt(x);
}
Answer<double> ln_float(double x) {
  if (x <= 0) return no_answer("logarithm of a number that is not positive");
  return std::log(x);
}
Answer<double> log10_float(double x) {
  if (x <= 0) return no_answer("logarithm of a number that is not positive");
  return std::log10(x);
}

// ---------------------------------------------------------------- round, half to even

constexpr int kDecimalsMax = 323;  // beyond it every double is unchanged
constexpr int kIntDigits = 19;

// As Python: the nearest decimal to the exact binary value, so 2.675 rounds to 2.67.
double round_float(double x, std::int64_t decimals) {
  if (!std::isfinite(x) || decimals > kDecimalsMax) return x;
  if (decimals < -kDecimalsMax) return std::copysign(0.0, x);
  if (decimals == 0) return std::nearbyint(x);
  if (decimals > 0) {
    if (std::fabs(x) >= 1e17) return x;
    char text[kDecimalsMax + 32];
    auto end = fmt::format_to_n(text, sizeof text - 1, "{:.{}f}", x, decimals).out;
    *end = '\0';
    return std::strtod(text, nullptr);
  }
  // Left of the point: exact in long double up to its 64 bits, and doubles above are far from a tie.
  long double scale = std::pow(10.0L, static_cast<long double>(-decimals));
  return static_cast<double>(std::nearbyint(static_cast<long double>(x) / scale) * scale);
}

Answer<std::int64_t> round_int(std::int64_t x, std::int64_t decimals) {
  if (decimals >= 0) return x;
  if (decimals < -kIntDigits) return 0;
  using Wide = Int128;
  Wide scale = 1;
  for (std::int64_t i = 0; i > decimals; --i) scale *= 10;
  Wide rest = x % scale;
  Wide down = x - rest;
  Wide twice = (rest < 0 ? -rest : rest) * 2;
  bool odd = (down / scale) % 2 != 0;
  if (twice > scale || (twice == scale && odd)) down += x < 0 ? -scale : scale;
  if (down > std::numeric_limits<std::int64_t>::max() || down < std::numeric_limits<std::int64_t>::min())
    return no_answer("integer overflow");
  return static_cast<std::int64_t>(down);
}

// ---------------------------------------------------------------- fill_na

Result<Typed> type_fill_na(std::span<const Argument> args) {
  const Type& x = args[0].type;
  if (!x.is_number() && !x.is(Kind::kNone))
    return fail(Code::kInvalidPipeline, fmt::format("`num.fill_na` takes numbers, not `{}`", x.to_text()));
  std::optional<Type> common = common_supertype(x.without_optional(), args[1].type);
  if (!common || !(common->is_number() || common->is(Kind::kNone)))
    return fail(Code::kInvalidPipeline, fmt::format("`num.fill_na`: the default is `{}`, the number is `{}`",
                                                    args[1].type.to_text(), x.to_text()));
  Type in = x.admits_none() ? common->as_optional() : *common;
  return Typed{{in, *common}, *common, {}};
}
Column fill_na(const KernelCall& call) {
  ColumnBuilder out(call.result, call.rows);
  bool floats = call.args[0].phys() == Phys::kF64;
  for (std::size_t i = 0; i < call.rows; ++i) {
    bool absent = call.args[0].tag(i) == CellTag::kNone ||
                  (floats && call.args[0].is_value(i) && std::isnan(call.args[0].f64()[i]));
    if (call.skip && call.skip[i] != CellTag::kValue)
      out.push_tagged(call.skip[i]);
    else
      out.push_cell(absent ? call.args[1] : call.args[0], i);
  }
  return out.finish();
}
const KernelInfo* choose_fill_na(std::span<const Type> params, const Type&) {
  static const KernelInfo kernel{.kernel = fill_na, .sees_none = true};
  return params[0].phys() == params[1].phys() ? &kernel : nullptr;
}

// ---------------------------------------------------------------- rows

const Type kInt = Kind::kInt, kFloat = Kind::kFloat;

FunctionRow float_function(std::string name, std::string doc, std::string example, std::string result, Kernel kernel) {
  return {.name = name,
          .aliases = {"num." + name},
          .signature = name + "(x: float) -> float",
          .doc = std::move(doc),
          .example = std::move(example),
          .example_result = std::move(result),
          .overloads = {overload1(kFloat, kFloat, kernel)}};
}

Overload with_decimals(Type type, Kernel kernel) {
  return {{{"x", type}, {"decimals", kInt, false, Value::of(std::int64_t{0})}}, type, {.kernel = kernel}};
}

}  // namespace

std::span<const FunctionRow> math_functions() {
  static const std::vector<FunctionRow> rows = {
      {.name = "abs",
       .aliases = {"num.abs"},
       .signature = "abs(x), x.num.abs(): int, float",
       .doc = "The magnitude of a number.",
       .example = "abs(-3)",
       .example_result = "3",
       .overloads = {overload1(kInt, kInt, map<abs_int>), overload1(kFloat, kFloat, map<abs_float>)}},
      {.name = "round",
       .aliases = {"num.round"},
       .signature = "x.num.round(decimals=0): int, float",
       .doc = "Rounded to so many decimals, a half to the even neighbour; int stays int.",
       .example = "round(2.5)",
       .example_result = "2.0",
       .overloads = {with_decimals(kInt, map<round_int>), with_decimals(kFloat, map<round_float>)}},
      {.name = "num.fill_na",
       .aliases = {"fill_na"},
       .signature = "x.num.fill_na(default)",
       .doc = "The default for None and NaN.",
       .example = "num.fill_na(nan, 0.5)",
       .example_result = "0.5",
       .is_method = true,
       .params = {{"x", Kind::kAny}, {"default", Kind::kAny}},
       .typing = type_fill_na,
       .choose = choose_fill_na},
      {.name = "floor",
       .aliases = {"num.floor"},
       .signature = "floor(x): int, float",
       .doc = "The greatest whole number that is not above x, of x's type.",
       .example = "floor(-1.5)",
       .example_result = "-2.0",
       .overloads = {overload1(kInt, kInt, map<same_int>), overload1(kFloat, kFloat, map<floor_float>)}},
      {.name = "ceil",
       .aliases = {"num.ceil"},
       .signature = "ceil(x): int, float",
       .doc = "The least whole number that is not below x, of x's type.",
       .example = "ceil(1.2)",
       .example_result = "2.0",
       .overloads = {overload1(kInt, kInt, map<same_int>), overload1(kFloat, kFloat, map<ceil_float>)}},
      {.name = "sign",
       .aliases = {"num.sign"},
       .signature = "sign(x) -> int",
       .doc = "-1, 0 or 1.",
       .example = "sign(-2.5)",
       .example_result = "-1",
       .overloads = {overload1(kInt, kInt, map<sign_int>), overload1(kFloat, kInt, map<sign_float>)}},
      float_function("sqrt", "Square root; of a negative number an ERROR.", "sqrt(9)", "3.0", map<sqrt_float>),
      float_function("exp", "e to the power of x.", "exp(0)", "1.0", map<exp_float>),
      float_function("ln", "Natural logarithm; of what is not positive an ERROR.", "ln(1)", "0.0", map<ln_float>),
      float_function("log10", "Logarithm to base 10; of what is not positive an ERROR.", "log10(1000)", "3.0",
                     map<log10_float>),
  };
  return rows;
}

}  // namespace thalweg::expr
