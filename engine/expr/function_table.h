// engine/expr/function_table.h
//
// Every scalar function of the language: name, aliases, signatures, documentation, example, kernel. The checker asks
// `resolve`; the evaluator asks `find_kernel`; `thalweg docs` prints the rows.
//
// Methods are functions whose first argument is the receiver: `x.str.lower()` is `str.lower`, `x.is_none()` is
// `is_none`. Operators have names of their own: `add sub mul truediv floordiv mod pow matmul eq ne lt le gt ge neg not
// bit_and bit_or bit_xor shl shr contains get_item`. Lazy forms (if_else, and, or, coalesce, require, fill_error) are
// expression kinds, not functions.
//
// Conventions for whoever writes calls:
//   a in b             contains(b, a): the container first, as str.contains
//   ~x                 bit_not (bool: the same as not)
//   cast(T, x)         resolve("cast", {a str constant that spells T, x}) gives params {x} and the result; the call in
//                      the plan is cast over x alone, typed T. declare_type likewise.
//   (a, b)  [a, b]     make_tuple, make_list
//   {"k": x}           json.object("k", x, ...); inside it lists are json.array(...)
//   x[i], x.get(i, d)  get_item, get
// resolve also types the lazy forms (if_else, and, or, coalesce, require, fill_error) under these names.
//
// F1  A kernel gets whole columns and never sees ERROR or Pending cells of its arguments unless `sees_errors`: the
//     evaluator puts ERROR where an argument has one. It never sees None where its signature says a plain type.
// F2  A kernel that makes an ERROR reports why, for that row, once.
// F3  Kernels are pure: the same cells give the same cells.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/plan/expr.h"
#include "engine/types/column.h"
#include "engine/types/type.h"

namespace thalweg::expr {

// Where kernels say why a cell is ERROR.
class CellErrors {
 public:
  virtual ~CellErrors() = default;
  virtual void report(std::size_t row, std::string_view message) = 0;
};

struct KernelCall {
  std::span<const Column> args;  // all with `rows` rows (constants stay constant)
  std::span<const Type> arg_types;
  const Type& result;
  std::size_t rows;
  CellErrors& errors;
  // Rows that need no answer because an argument is ERROR, Pending or (for plain signatures) None: null, or per row
  // the tag that the row gets; kValue is a row to compute. See kernel.h: Writer does it.
  const CellTag* skip;
  // What `prepare` made of the constant arguments (a compiled pattern, a time zone), or null.
  const void* prepared;
};
using Kernel = Column (*)(const KernelCall& call);

// An argument as the checker knows it.
struct Argument {
  Type type;
  const Value* constant = nullptr;  // literal value where it is one
  std::string_view name;            // for `name=value` arguments, else empty
};

struct Resolved {
  Type result;
  std::vector<Type> params;  // what each argument is to be coerced to, after reordering
  std::vector<int> order;    // params[i] takes argument order[i]; -1: take defaults[i]
  std::vector<Value> defaults;
  std::string function;  // canonical name to put into plan::Expr
};

struct FunctionDoc {
  std::string name;  // `str.lower`
  std::vector<std::string> aliases;
  std::string signature;  // `str.lower(x: str) -> str`
  std::string doc;
  std::string example;  // an expression; a test evaluates it
  std::string example_result;
  bool is_method = false;  // usually written x.name()
};

// Typing of a call, or an error that says what would fit (no span; the caller has it).
[[nodiscard]] Result<Resolved> resolve(std::string_view name, std::span<const Argument> args);
[[nodiscard]] bool is_function(std::string_view name);  // canonical or alias
[[nodiscard]] std::span<const FunctionDoc> all_functions();

struct KernelInfo {
  Kernel kernel = nullptr;
  bool sees_errors = false;
  bool sees_none = false;  // false: the evaluator gives None for a row with a None argument where the type allows
  // Compiles constant arguments once; null if there is nothing to compile. An error here is a check-time error.
  std::function<Result<std::shared_ptr<const void>>(std::span<const Value* const> constants)> prepare;
};
[[nodiscard]] const KernelInfo* find_kernel(std::string_view function, std::span<const Type> params,
                                            const Type& result);

}  // namespace thalweg::expr
