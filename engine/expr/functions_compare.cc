// == != < <= > >=, is_none, is_not_none, min_of, max_of.
//
// `==` takes optionals (None equals None), order does not. Floats compare as IEEE says, inside composites and `any`
// by the total order of values.

#include <fmt/format.h>

#include "engine/expr/json_access.h"
#include "engine/expr/loops.h"
#include "engine/types/encoding.h"

namespace thalweg::expr {
namespace {

// ---------------------------------------------------------------- typing

std::unexpected<Error> not_comparable(const Type& a, const Type& b, std::string_view why = "") {
  return fail(Code::kInvalidPipeline, fmt::format("`{}` and `{}` cannot be compared{}{}", a.to_text(), b.to_text(),
                                                  why.empty() ? "" : ": ", why));
}

bool has_order(const Type& type) {
  switch (type.kind()) {
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
    case Kind::kPointer:
    case Kind::kStr:
    case Kind::kBytes:
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kDateTimeNaive:
    case Kind::kDateTimeUtc:
    case Kind::kDuration:
    case Kind::kUuid:
    case Kind::kAny: return true;
    case Kind::kNone:
    case Kind::kArray:
    case Kind::kJson: return false;
  }
  UNREACHABLE();
}

// Elements of tuples and lists, one level deeper.
Result<void> check_elements(const Type& a, const Type& b, bool order) {
  if (a.is(Kind::kTuple) && b.is(Kind::kTuple)) {
    if (a.args().size() != b.args().size()) return not_comparable(a, b, "tuples of different length");
    for (std::size_t i = 0; i < a.args().size(); ++i) {
      const Type& x = a.args()[i];
      const Type& y = b.args()[i];
      if ((x.admits_none() && !x.is(Kind::kAny)) || (y.admits_none() && !y.is(Kind::kAny)))
        return not_comparable(a, b, "an element of the tuple may be None");
      if (!common_supertype(x, y) || (order && !has_order(x)))
        return not_comparable(a, b, "of the elements of the tuples");
      TRY(check_elements(x, y, order));
    }
  }
  if (a.is(Kind::kList) && b.is(Kind::kList) && order) {
    if (a.element().optional() || b.element().optional()) return not_comparable(a, b, "an element may be None");
    if (!has_order(a.element())) return not_comparable(a, b);
    TRY(check_elements(a.element(), b.element(), order));
  }
  return {};
}

Result<Typed> type_equality(std::span<const Argument> args) {
  const Type a = args[0].type.without_optional();
  const Type b = args[1].type.without_optional();
  bool optional = args[0].type.admits_none() || args[1].type.admits_none();
  TRY(check_elements(a, b, false));
  std::optional<Type> common = common_supertype(a, b);
  if (!common || (common->is(Kind::kAny) && !a.is(Kind::kAny) && !b.is(Kind::kAny)))
    return not_comparable(args[0].type, args[1].type);
  Type type = common->without_optional();
  if (optional) type = type.as_optional();
  return Typed{{type, type}, Kind::kBool, {}};
}

Result<Typed> type_order(std::span<const Argument> args) {
  const Type& a = args[0].type;
  const Type& b = args[1].type;
  for (const Type* type : {&a, &b})
    if (type->optional() || type->is(Kind::kNone))
      return not_comparable(a, b, "None has no order; use `unwrap(x)` or `coalesce(x, ...)`");
  TRY(check_elements(a, b, true));
  std::optional<Type> common = common_supertype(a, b);
  if (!common || !has_order(*common) || (common->is(Kind::kAny) && !(a.is(Kind::kAny) && b.is(Kind::kAny))))
    return not_comparable(a, b);
  return Typed{{*common, *common}, Kind::kBool, {}};
}

// ---------------------------------------------------------------- kernels

struct Eq {
  template <class T>
  static bool holds(const T& a, const T& b) {
    return a == b;
  }
  static bool by_order(int order) { return order == 0; }
  static constexpr bool kEquality = true, kNegated = false;
};
struct Ne {
  template <class T>
  static bool holds(const T& a, const T& b) {
    return !(a == b);
  }
  static bool by_order(int order) { return order != 0; }
  static constexpr bool kEquality = true, kNegated = true;
};
struct Lt {
  template <class T>
  static bool holds(const T& a, const T& b) {
    return a < b;
  }
  static bool by_order(int order) { return order < 0; }
  static constexpr bool kEquality = false;
};
struct Le {
  template <class T>
  static bool holds(const T& a, const T& b) {
    return a <= b;
  }
  static bool by_order(int order) { return order <= 0; }
  static constexpr bool kEquality = false;
};
struct Gt {
  template <class T>
  static bool holds(const T& a, const T& b) {
    return a > b;
  }
  static bool by_order(int order) { return order > 0; }
  static constexpr bool kEquality = false;
};
struct Ge {
  template <class T>
  static bool holds(const T& a, const T& b) {
    return a >= b;
  }
  static bool by_order(int order) { return order >= 0; }
  static constexpr bool kEquality = false;
};

// How the cells of a type compare.
struct AsBool {
  static auto cells(const Column& column) { return column.u8(); }
};
struct AsInt {
  static auto cells(const Column& column) { return column.i64(); }
};
struct AsFloat {
  static auto cells(const Column& column) { return column.f64(); }
};
struct AsKey {
  static auto cells(const Column& column) { return column.u128(); }
};
struct AsText {
  static auto cells(const Column& column) { return column.views(); }
};
struct AsEncoded : AsText {};
struct AsJson : AsText {};

template <class Op, class As, class T>
bool compare(const T& a, const T& b) {
  if constexpr (!std::same_as<T, StrView>) {
    return Op::holds(a, b);
  } else if constexpr (std::same_as<As, AsJson>) {
    return (a == b || json_equal(a.view(), b.view())) != Op::kNegated;
  } else if constexpr (Op::kEquality) {
    return Op::holds(a, b);  // the encoding is canonical, too
  } else if constexpr (std::same_as<As, AsEncoded>) {
    return Op::by_order(compare_encoded(a.view(), b.view()));
  } else {
    return Op::by_order(a.view().compare(b.view()));
  }
}

template <class Op, class As>
Column compare_cells_of(const KernelCall& call) {
  Writer<bool> out(call);
  std::uint8_t* r = out.data();
  auto a = As::cells(call.args[0]);
  auto b = As::cells(call.args[1]);
  if constexpr (std::same_as<std::remove_cvref_t<decltype(a[0])>, StrView>) {
    for (std::size_t i = 0; i < call.rows; ++i)
      if (!out.skips(i)) r[i] = compare<Op, As>(a[i], b[i]);
  } else {
    for_each_pair(a, b, call.rows, [&](std::size_t i, const auto& x, const auto& y) { r[i] = compare<Op, As>(x, y); });
  }
  if constexpr (Op::kEquality) {
    if (call.args[0].has_tags() || call.args[1].has_tags()) {
      for (std::size_t i = 0; i < call.rows; ++i) {
        bool a_none = call.args[0].tag(i) == CellTag::kNone;
        bool b_none = call.args[1].tag(i) == CellTag::kNone;
        if (a_none || b_none) r[i] = (a_none && b_none) != Op::kNegated;
      }
    }
  }
  return out.finish();
}

template <class Op>
Column compare_nones(const KernelCall& call) {
  Writer<bool> out(call);
  for (std::size_t i = 0; i < call.rows; ++i)
    if (!out.skips(i)) out.set(i, (call.args[0].tag(i) == call.args[1].tag(i)) != Op::kNegated);
  return out.finish();
}

template <class Op, class As>
const KernelInfo* info() {
  static const KernelInfo kernel{.kernel = compare_cells_of<Op, As>, .sees_none = Op::kEquality};
  return &kernel;
}

template <class Op>
const KernelInfo* choose(std::span<const Type> params, const Type&) {
  if (params.size() != 2) return nullptr;
  // Either side may be the literal None; the other one says how cells lie.
  const Type& type = params[0].is(Kind::kNone) ? params[1] : params[0];
  if constexpr (Op::kEquality) {
    static const KernelInfo nones{.kernel = compare_nones<Op>, .sees_none = true};
    if (params[0].phys() != params[1].phys() || type.is(Kind::kNone)) return &nones;
    if (type.is(Kind::kJson)) return info<Op, AsJson>();
  }
  if (params[0].phys() != params[1].phys()) return nullptr;
  if (type.is_encoded()) return info<Op, AsEncoded>();
  switch (type.phys()) {
    case Phys::kU8: return info<Op, AsBool>();
    case Phys::kI64: return info<Op, AsInt>();
    case Phys::kF64: return info<Op, AsFloat>();
    case Phys::kU128: return info<Op, AsKey>();
    case Phys::kView: return info<Op, AsText>();
  }
  UNREACHABLE();
}

// ---------------------------------------------------------------- None

template <bool kNone>
Column test_none(const KernelCall& call) {
  Writer<bool> out(call);
  for (std::size_t i = 0; i < call.rows; ++i)
    if (!out.skips(i)) out.set(i, (call.args[0].tag(i) == CellTag::kNone) == kNone);
  return out.finish();
}
const KernelInfo* choose_is_none(std::span<const Type>, const Type&) {
  static const KernelInfo kernel{.kernel = test_none<true>, .sees_none = true};
  return &kernel;
}
const KernelInfo* choose_is_not_none(std::span<const Type>, const Type&) {
  static const KernelInfo kernel{.kernel = test_none<false>, .sees_none = true};
  return &kernel;
}
Result<Typed> type_test_none(std::span<const Argument> args) { return Typed{{args[0].type}, Kind::kBool, {}}; }

// ---------------------------------------------------------------- least and greatest

Result<Typed> type_extreme(std::span<const Argument> args) {
  Type type = args[0].type;
  for (const Argument& arg : args) {
    if (arg.type.optional() || arg.type.is(Kind::kNone))
      return fail(Code::kInvalidPipeline,
                  fmt::format("an argument is `{}`; None has no order: use `unwrap(x)` or `coalesce(x, ...)`",
                              arg.type.to_text()));
    std::optional<Type> common = common_supertype(type, arg.type);
    if (!common || !has_order(*common)) return not_comparable(type, arg.type);
    type = *common;
  }
  return Typed{std::vector<Type>(args.size(), type), type, {}};
}

template <int kSign>
Column extreme(const KernelCall& call) {
  ColumnBuilder out(call.result, call.rows);
  for (std::size_t row = 0; row < call.rows; ++row) {
    if (call.skip && call.skip[row] != CellTag::kValue) {
      out.push_tagged(call.skip[row]);
      continue;
    }
    const Column* best = &call.args[0];
    for (const Column& arg : call.args.subspan(1))
      if (kSign * Column::compare_cells(call.result, arg, row, *best, row) < 0) best = &arg;
    out.push_cell(*best, row);
  }
  return out.finish();
}
template <class T, int kSign>
Column extreme_numbers(const KernelCall& call) {
  Writer<T> out(call);
  for (std::size_t row = 0; row < call.rows; ++row) {
    T best{};
    bool first = true;
    for (const Column& arg : call.args) {
      T value = Reader<T>(arg)[row];
      if (first || (kSign > 0 ? value < best : best < value) || best != best) best = value;
      first = false;
    }
    out.set(row, best);
  }
  return out.finish();
}
template <int kSign>
const KernelInfo* choose_extreme(std::span<const Type> params, const Type& result) {
  static const KernelInfo any{.kernel = extreme<kSign>};
  static const KernelInfo ints{.kernel = extreme_numbers<std::int64_t, kSign>};
  for (const Type& param : params)
    if (param.phys() != result.phys()) return nullptr;
  return result.phys() == Phys::kI64 ? &ints : &any;
}

template <class Op>
FunctionRow comparison(std::string name, std::string sign, std::string doc, std::string example, std::string result) {
  return {.name = std::move(name),
          .signature = "a " + sign + " b -> bool",
          .doc = std::move(doc),
          .example = std::move(example),
          .example_result = std::move(result),
          .params = {{"a", Kind::kAny}, {"b", Kind::kAny}},
          .typing = Op::kEquality ? type_equality : type_order,
          .choose = choose<Op>};
}

}  // namespace

std::span<const FunctionRow> compare_functions() {
  static const std::vector<FunctionRow> rows = {
      comparison<Eq>("eq", "==", "Equal. Takes optionals; None equals None. NaN equals nothing.", "1 == 1.0", "True"),
      comparison<Ne>("ne", "!=", "Not equal.", "'a' != 'a'", "False"),
      comparison<Lt>("lt", "<", "Less. Texts by code point, tuples element by element.", "'Z' < 'a'", "True"),
      comparison<Le>("le", "<=", "Less or equal.", "2 <= 2", "True"),
      comparison<Gt>("gt", ">", "Greater.", "(1, 'b') > (1, 'a')", "True"),
      comparison<Ge>("ge", ">=", "Greater or equal.", "1 >= 1.5", "False"),
      {.name = "is_none",
       .signature = "x.is_none() -> bool",
       .doc = "Whether x is None.",
       .example = "is_none(None)",
       .example_result = "True",
       .is_method = true,
       .params = {{"x", Kind::kAny}},
       .typing = type_test_none,
       .choose = choose_is_none},
      {.name = "is_not_none",
       .signature = "x.is_not_none() -> bool",
       .doc = "Whether x is something.",
       .example = "is_not_none(1)",
       .example_result = "True",
       .is_method = true,
       .params = {{"x", Kind::kAny}},
       .typing = type_test_none,
       .choose = choose_is_not_none},
      {.name = "min_of",
       .aliases = {"least"},
       .signature = "min_of(x: T, ...) -> T",
       .doc = "The least of its arguments.",
       .example = "min_of(3, 1, 2)",
       .example_result = "1",
       .params = {{"x", Kind::kAny}},
       .variadic = true,
       .typing = type_extreme,
       .choose = choose_extreme<1>},
      {.name = "max_of",
       .aliases = {"greatest"},
       .signature = "max_of(x: T, ...) -> T",
       .doc = "The greatest of its arguments.",
       .example = "max_of('a', 'c', 'b')",
       .example_result = "c",
       .params = {{"x", Kind::kAny}},
       .variadic = true,
       .typing = type_extreme,
       .choose = choose_extreme<-1>},
  };
  return rows;
}

}  // namespace thalweg::expr
