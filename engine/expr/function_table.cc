#include "engine/expr/function_table.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "engine/base/edit_distance.h"
#include "engine/expr/function_row.h"

namespace thalweg::expr {
namespace {

// A file of functions is known to the language by its line here.
constexpr std::span<const FunctionRow> (*kFamilies[])() = {
    arith_functions, array_functions, cast_functions,  compare_functions, datetime_functions,
    json_functions,  key_functions,   lazy_functions,  math_functions,    regex_functions,
    sql_functions,   text_functions,  tuple_functions,
};

struct Table {
  std::unordered_map<std::string, const FunctionRow*> by_name;  // aliases too
  std::vector<std::string> names;
  std::vector<FunctionDoc> docs;
};

const Table& table() {
  static const Table built = [] {
    Table t;
    for (auto family : kFamilies) {
      for (const FunctionRow& row : family()) {
        ENSURE(t.by_name.emplace(row.name, &row).second);
        t.names.push_back(row.name);
        for (const std::string& alias : row.aliases) {
          ENSURE(t.by_name.emplace(alias, &row).second);
          t.names.push_back(alias);
        }
        t.docs.push_back(
            {row.name, row.aliases, row.signature, row.doc, row.example, row.example_result, row.is_method});
      }
    }
    std::ranges::sort(t.docs, {}, &FunctionDoc::name);
    return t;
  }();
  return built;
}

const FunctionRow* find_row(std::string_view name) {
  auto it = table().by_name.find(std::string(name));
  return it == table().by_name.end() ? nullptr : it->second;
}

// ---------------------------------------------------------------- arguments to parameters

struct Bound {
  std::vector<int> order;  // per parameter, -1: left out
};

// Parameters that positional arguments fill: all of them, or for a variadic row the first one as often as needed.
Result<Bound> bind(const FunctionRow& row, const std::vector<Param>& params, bool variadic,
                   std::span<const Argument> args) {
  std::size_t positional = 0;
  while (positional < args.size() && args[positional].name.empty()) ++positional;
  if (!variadic && positional > params.size())
    return fail(Code::kInvalidPipeline,
                fmt::format("`{}` takes at most {} argument{}, {} given: {}", row.name, params.size(),
                            params.size() == 1 ? "" : "s", positional, row.signature));
  // Slot of param i: i, or for the named ones of a variadic row behind the positional arguments.
  if (variadic && positional == 0 && params[0].required)
    return fail(Code::kInvalidPipeline, fmt::format("`{}` needs at least one argument: {}", row.name, row.signature));
  auto slot_of = [&](std::size_t param) { return variadic ? param + positional - 1 : param; };
  Bound bound;
  bound.order.assign(slot_of(params.size()), -1);
  for (std::size_t i = 0; i < positional; ++i) bound.order[i] = static_cast<int>(i);
  for (std::size_t i = positional; i < args.size(); ++i) {
    if (args[i].name.empty())
      return fail(Code::kInvalidPipeline,
                  fmt::format("`{}`: an argument without a name follows one with a name", row.name));
    auto it = std::ranges::find(params, args[i].name, [](const Param& p) { return std::string_view(p.name); });
    if (it == params.end() || (variadic && it == params.begin()))
      return fail(Code::kInvalidPipeline,
                  fmt::format("`{}` has no argument named `{}`: {}", row.name, args[i].name, row.signature));
    int& slot = bound.order[slot_of(static_cast<std::size_t>(it - params.begin()))];
    if (slot >= 0)
      return fail(Code::kInvalidPipeline, fmt::format("`{}`: argument `{}` is given twice", row.name, args[i].name));
    slot = static_cast<int>(i);
  }
  for (std::size_t i = variadic ? 1 : 0; i < params.size(); ++i)
    if (bound.order[slot_of(i)] < 0 && params[i].required)
      return fail(Code::kInvalidPipeline,
                  fmt::format("`{}` misses its argument `{}`: {}", row.name, params[i].name, row.signature));
  return bound;
}

// How many implicit conversions `arg` needs to be a `param`; none if it does not fit.
std::optional<int> distance(const Type& arg, const Type& param) {
  if (arg == param) return 0;
  if (!is_subtype(arg, param)) return std::nullopt;
  if (param.is(Kind::kAny)) return 100;
  return arg.kind() == param.kind() ? 1 : 10;
}

std::string type_list(std::span<const Argument> args) {
  std::string text;
  for (const Argument& arg : args) {
    if (!text.empty()) text += ", ";
    if (!arg.name.empty()) text += fmt::format("{}=", arg.name);
    text += arg.type.to_text();
  }
  return text;
}

std::optional<Resolved> fit(const FunctionRow& row, const Overload& overload, const Bound& bound,
                            std::span<const Argument> args, bool ignore_none, int& cost) {
  Resolved resolved{overload.result, {}, bound.order, {}, row.name};
  cost = 0;
  for (std::size_t i = 0; i < overload.params.size(); ++i) {
    const Param& param = overload.params[i];
    resolved.params.push_back(param.type);
    resolved.defaults.push_back(param.fallback);
    if (bound.order[i] < 0) continue;
    Type given = args[static_cast<std::size_t>(bound.order[i])].type;
    std::optional<int> d = distance(ignore_none ? given.without_optional() : given, param.type);
    if (!d) return std::nullopt;
    cost += *d;
  }
  return resolved;
}

Result<Resolved> resolve_overloads(const FunctionRow& row, std::span<const Argument> args) {
  std::optional<Resolved> best;
  std::optional<Error> first_error;
  int best_cost = 0;
  bool fits_without_none = false;
  for (const Overload& overload : row.overloads) {
    Result<Bound> bound = bind(row, overload.params, false, args);
    if (!bound) {
      if (!first_error) first_error = std::move(bound).error();
      continue;
    }
    int cost = 0;
    std::optional<Resolved> candidate = fit(row, overload, *bound, args, false, cost);
    if (candidate && (!best || cost < best_cost)) {
      best = std::move(candidate);
      best_cost = cost;
    }
    fits_without_none = fits_without_none || fit(row, overload, *bound, args, true, cost).has_value();
  }
  if (best) return std::move(*best);
  if (fits_without_none) {
    for (const Argument& arg : args)
      if (arg.type.admits_none())
        return fail(
            Code::kInvalidPipeline,
            fmt::format("`{}` takes no None, and an argument is `{}`; use `unwrap(x)` or `coalesce(x, ...)` first",
                        row.name, arg.type.to_text()));
  }
  bool wrong_shape = first_error && row.overloads.size() == 1;
  if (wrong_shape) return fail(std::move(*first_error));
  return fail(Code::kInvalidPipeline,
              fmt::format("`{}` does not take ({}): {}", row.name, type_list(args), row.signature));
}

Result<Resolved> resolve_generic(const FunctionRow& row, std::span<const Argument> args) {
  Bound bound = TRY(bind(row, row.params, row.variadic, args));
  std::size_t positional = row.variadic ? bound.order.size() - (row.params.size() - 1) : 0;
  std::vector<Argument> ordered;
  std::vector<Value> defaults;
  for (std::size_t i = 0; i < bound.order.size(); ++i) {
    bool by_name = i >= positional;
    const Param& param = row.params[!by_name ? 0 : row.variadic ? i - positional + 1 : i];
    defaults.push_back(param.fallback);
    if (bound.order[i] >= 0)
      ordered.push_back(args[static_cast<std::size_t>(bound.order[i])]);
    else
      ordered.push_back({param.type, &param.fallback, {}});
    ordered.back().name = by_name ? std::string_view(param.name) : std::string_view();
  }
  Typed typed = TRY(row.typing(ordered));
  if (typed.keep.empty() && typed.params.size() == ordered.size())
    for (std::size_t i = 0; i < ordered.size(); ++i) typed.keep.push_back(static_cast<int>(i));
  Resolved resolved;
  resolved.function = typed.function.empty() ? row.name : typed.function;
  resolved.result = std::move(typed.result);
  resolved.params = std::move(typed.params);
  for (int at : typed.keep) {
    resolved.order.push_back(bound.order[static_cast<std::size_t>(at)]);
    resolved.defaults.push_back(defaults[static_cast<std::size_t>(at)]);
  }
  return resolved;
}

const KernelInfo* kernel_of_overload(const FunctionRow& row, std::span<const Type> params) {
  const KernelInfo* best = nullptr;
  int best_cost = 0;
  for (const Overload& overload : row.overloads) {
    if (overload.params.size() != params.size()) continue;
    int cost = 0;
    bool fits = true;
    for (std::size_t i = 0; i < params.size() && fits; ++i) {
      std::optional<int> d = distance(params[i], overload.params[i].type);
      fits = d && params[i].phys() == overload.params[i].type.phys();
      if (fits) cost += *d;
    }
    if (fits && (!best || cost < best_cost)) {
      best = &overload.kernel;
      best_cost = cost;
    }
  }
  return best;
}

}  // namespace

Result<Resolved> resolve(std::string_view name, std::span<const Argument> args) {
  const FunctionRow* row = find_row(name);
  if (!row) {
    Error error{Code::kInvalidPipeline, fmt::format("unknown function `{}`", name), {}, {}};
    std::optional<std::string> near = nearest_name(name, table().names);
    if (near) return fail(std::move(error).with_note(fmt::format("did you mean `{}`?", *near)));
    return fail(std::move(error));
  }
  return row->typing ? resolve_generic(*row, args) : resolve_overloads(*row, args);
}

bool is_function(std::string_view name) { return find_row(name) != nullptr; }

std::span<const FunctionDoc> all_functions() { return table().docs; }

const KernelInfo* find_kernel(std::string_view function, std::span<const Type> params, const Type& result) {
  const FunctionRow* row = find_row(function);
  if (!row) return nullptr;
  auto find = [&](std::span<const Type> types, const Type& out) {
    return row->choose ? row->choose(types, out) : kernel_of_overload(*row, types);
  };
  if (const KernelInfo* exact = find(params, result)) return exact;
  // SQL calls over optional arguments: the evaluator gives None for a row that has one.
  if (!result.optional()) return nullptr;
  std::vector<Type> plain;
  for (const Type& type : params) plain.push_back(type.without_optional());
  const KernelInfo* lifted = find(plain, result.without_optional());
  return lifted && !lifted->sees_none ? lifted : nullptr;
}

}  // namespace thalweg::expr
