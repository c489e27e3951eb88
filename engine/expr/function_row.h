// engine/expr/function_row.h
//
// One row of the function table, as the files functions_*.cc write it. Each of them exports its rows; function_table.cc
// joins them. A row is either a list of overloads over fixed types, or generic: a typing function and a kernel choice.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/expr/function_table.h"

namespace thalweg::expr {

struct Param {
  std::string name;
  Type type;
  bool required = true;
  Value fallback;  // what the call gets if the argument is left out and not required
};

struct Overload {
  std::vector<Param> params;
  Type result;
  KernelInfo kernel;
};

// What a generic row makes of its arguments. `keep` lists the arguments that the call has (empty: all of them).
struct Typed {
  std::vector<Type> params;
  Type result;
  std::vector<int> keep;
  std::string function;  // the name in the plan, if it is not the row's
};
// `args` stand in the order of the row's params, left-out ones filled with their fallback as a constant.
// Of a variadic row: the positional ones, then one for each param but the first, with its name.
using Typing = Result<Typed> (*)(std::span<const Argument> args);
// Null: no kernel for these types.
using KernelChoice = const KernelInfo* (*)(std::span<const Type> params, const Type& result);

struct FunctionRow {
  std::string name;
  std::vector<std::string> aliases;
  std::string signature;
  std::string doc;
  std::string example;
  std::string example_result;
  bool is_method = false;

  std::vector<Overload> overloads;

  // Generic rows. Types of params do not matter. If variadic, the first one repeats, the others go by name only.
  std::vector<Param> params;
  bool variadic = false;
  Typing typing = nullptr;
  KernelChoice choose = nullptr;
};

[[nodiscard]] std::span<const FunctionRow> arith_functions();
[[nodiscard]] std::span<const FunctionRow> array_functions();
[[nodiscard]] std::span<const FunctionRow> cast_functions();
[[nodiscard]] std::span<const FunctionRow> compare_functions();
[[nodiscard]] std::span<const FunctionRow> datetime_functions();
[[nodiscard]] std::span<const FunctionRow> json_functions();
[[nodiscard]] std::span<const FunctionRow> key_functions();
[[nodiscard]] std::span<const FunctionRow> lazy_functions();
[[nodiscard]] std::span<const FunctionRow> math_functions();
[[nodiscard]] std::span<const FunctionRow> regex_functions();
[[nodiscard]] std::span<const FunctionRow> sql_functions();
[[nodiscard]] std::span<const FunctionRow> text_functions();
[[nodiscard]] std::span<const FunctionRow> tuple_functions();

}  // namespace thalweg::expr
