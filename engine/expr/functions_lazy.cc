// Typing of the lazy forms; the evaluator runs them (program.cc), so they have no kernels.

#include <fmt/format.h>

#include "engine/expr/function_row.h"

namespace thalweg::expr {
namespace {

Result<Type> common_type(std::string_view form, const Type& a, const Type& b) {
  std::optional<Type> common = common_supertype(a, b);
  if (common) return *common;
  return fail(Code::kInvalidPipeline, fmt::format("`{}`: `{}` and `{}` have no common type; `cast` one of them", form,
                                                  a.to_text(), b.to_text()));
}

Result<Typed> type_if_else(std::span<const Argument> args) {
  if (!args[0].type.is_plain(Kind::kBool))
    return fail(Code::kInvalidPipeline,
                fmt::format("the condition of `if_else` must be `bool`, it is `{}`", args[0].type.to_text()));
  Type result = TRY(common_type("if_else", args[1].type, args[2].type));
  return Typed{{Kind::kBool, result, result}, result, {}};
}

Result<Typed> type_logic(std::span<const Argument> args) {
  for (const Argument& arg : args)
    if (!arg.type.is_plain(Kind::kBool))
      return fail(Code::kInvalidPipeline,
                  fmt::format("`and`, `or`, `&` and `|` between `{}` and `{}`: both must be `bool`{}",
                              args[0].type.to_text(), args[1].type.to_text(),
                              arg.type.admits_none() ? "; use `coalesce(x, False)` or `unwrap(x)`" : ""));
  return Typed{{Kind::kBool, Kind::kBool}, Kind::kBool, {}};
}

Result<Typed> type_coalesce(std::span<const Argument> args) {
  Type result = args[0].type;
  bool optional = true;
  for (const Argument& arg : args) {
    result = TRY(common_type("coalesce", result, arg.type));
    optional = optional && arg.type.admits_none();
  }
  // What an argument gives up as None is never the result; so each may be optional if the whole is not.
  Typed typed{{}, optional ? result : result.without_optional(), {}};
  for (const Argument& arg : args)
    typed.params.push_back(arg.type.admits_none() ? result.as_optional() : result.without_optional());
  return typed;
}

Result<Typed> type_require(std::span<const Argument> args) {
  Typed typed{{}, args[0].type.as_optional(), {}};
  for (const Argument& arg : args) typed.params.push_back(arg.type);
  return typed;
}

Result<Typed> type_fill_error(std::span<const Argument> args) {
  Type result = TRY(common_type("fill_error", args[0].type, args[1].type));
  return Typed{{result, result}, result, {}};
}

}  // namespace

std::span<const FunctionRow> lazy_functions() {
  static const std::vector<FunctionRow> rows = {
      {.name = "if_else",
       .signature = "if_else(condition: bool, then: T, otherwise: T) -> T",
       .doc = "`then` where the condition holds, else `otherwise`. Only the needed one is evaluated.",
       .example = "if_else(2 > 1, 'yes', 'no')",
       .example_result = "yes",
       .params = {{"condition", Kind::kBool}, {"then", Kind::kAny}, {"otherwise", Kind::kAny}},
       .typing = type_if_else},
      {.name = "and",
       .signature = "a and b (also a & b): bool, bool -> bool",
       .doc = "Both hold. The right side is evaluated only where the left holds.",
       .example = "True and False",
       .example_result = "False",
       .params = {{"a", Kind::kBool}, {"b", Kind::kBool}},
       .typing = type_logic},
      {.name = "or",
       .signature = "a or b (also a | b): bool, bool -> bool",
       .doc = "One of them holds. The right side is evaluated only where the left does not hold.",
       .example = "True or False",
       .example_result = "True",
       .params = {{"a", Kind::kBool}, {"b", Kind::kBool}},
       .typing = type_logic},
      {.name = "coalesce",
       .signature = "coalesce(x: T | None, ...) -> T",
       .doc = "The first argument that is not None.",
       .example = "coalesce(None, 3, 4)",
       .example_result = "3",
       .params = {{"x", Kind::kAny}},
       .variadic = true,
       .typing = type_coalesce},
      {.name = "require",
       .signature = "require(x: T, dependency, ...) -> T | None",
       .doc = "x, or None if a dependency is None; then x is not evaluated.",
       .example = "require(1 + 1, 5)",
       .example_result = "2",
       .params = {{"x", Kind::kAny}},
       .variadic = true,
       .typing = type_require},
      {.name = "fill_error",
       .signature = "fill_error(x: T, replacement: T) -> T",
       .doc = "x, or the replacement where x is an ERROR.",
       .example = "fill_error(1 // 0, -1)",
       .example_result = "-1",
       .params = {{"x", Kind::kAny}, {"replacement", Kind::kAny}},
       .typing = type_fill_error},
  };
  return rows;
}

}  // namespace thalweg::expr
