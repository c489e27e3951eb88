// engine/plan/user_function.h
//
// A function that a user brings along. The engine knows how to call one, over whole columns, and what may be assumed
// of it; what runs behind it (an interpreter, a program, a server) lives outside and comes in through the catalogue.
//
// U1  Checking a pipeline starts nothing outside this process: processes and connections begin with the first call.
// U2  A call answers for every row it was asked about: a cell, or an ERROR whose reason it reports once.
// Threads  call() may run on several workers at once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/setting.h"
#include "engine/types/column.h"
#include "engine/types/type.h"

namespace thalweg::plan {

struct UserCall {
  std::span<const Column> args;  // all with `rows` rows
  std::span<const Type> arg_types;
  const Type& result;
  std::size_t rows = 0;
  const CellTag* skip = nullptr;  // per row the tag it gets without being asked about; null: all are computed
  const std::function<void(std::size_t row, std::string_view why)>& fail;

  [[nodiscard]] bool skips(std::size_t row) const { return skip != nullptr && skip[row] != CellTag::kValue; }
};

class UserFunction {
 public:
  virtual ~UserFunction() = default;
  // For plans and messages: its name and a hash of what it is made of. Functions of one text are one function.
  [[nodiscard]] virtual const std::string& text() const = 0;
  // The same arguments give the same answer, in any order and on any worker. If not, a Remember node keeps the answers.
  [[nodiscard]] virtual bool deterministic() const = 0;
  // A None argument gives None without a call.
  [[nodiscard]] virtual bool propagates_none() const = 0;
  [[nodiscard]] virtual Column call(const UserCall& call) const = 0;
};
using UserFunctionPtr = std::shared_ptr<const UserFunction>;

// What a pipeline says of a function.
struct FunctionSpec {
  std::string kind;  // `lua`, `exec`, `http`
  std::string name;
  std::vector<std::string> arg_names;  // empty, or one per type
  std::vector<Type> args;
  bool args_declared = false;  // else any number of arguments of any types
  Type returns;
  bool deterministic = false;
  bool propagate_none = false;
  Setting options;  // a map: arguments of the tag that are not above
  // Functions that it calls itself: the model that a prompt is for.
  std::vector<std::pair<std::string, UserFunctionPtr>> functions;
};
// What is wrong with one; `line` (from 1) is a line of its source text, 0 if it is not about one.
struct FunctionError {
  std::string message;
  std::string hint;
  std::uint32_t line = 0;
  std::string option;  // the argument it is about, or empty
};

struct Expr;
// Whether the expression calls a function that is not deterministic.
[[nodiscard]] bool asks_anew(const Expr& expr);

}  // namespace thalweg::plan
