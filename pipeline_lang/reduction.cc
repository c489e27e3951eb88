// Reducers inside expressions: typing, and the split into what comes before and after the grouping.
#include <algorithm>
#include <array>

#include "pipeline_lang/expr_checker.h"

namespace thalweg::lang {
namespace {

using plan::ReducerKind;

struct ReducerRow {
  std::string_view name;
  ReducerKind kind;
};
constexpr std::array kReducers = {
    ReducerRow{"count", ReducerKind::kCount},
    ReducerRow{"count_distinct", ReducerKind::kCountDistinct},
    ReducerRow{"count_distinct_approximate", ReducerKind::kCountDistinctApproximate},
    ReducerRow{"sum", ReducerKind::kSum},
    ReducerRow{"avg", ReducerKind::kAvg},
    ReducerRow{"mean", ReducerKind::kAvg},
    ReducerRow{"average", ReducerKind::kAvg},
    ReducerRow{"min", ReducerKind::kMin},
    ReducerRow{"max", ReducerKind::kMax},
    ReducerRow{"argmin", ReducerKind::kArgMin},
    ReducerRow{"argmax", ReducerKind::kArgMax},
    ReducerRow{"unique", ReducerKind::kUnique},
    ReducerRow{"any", ReducerKind::kAny},
    ReducerRow{"any_value", ReducerKind::kAny},
    ReducerRow{"tuple", ReducerKind::kTuple},
    ReducerRow{"collect", ReducerKind::kTuple},
    ReducerRow{"array_agg", ReducerKind::kTuple},
    ReducerRow{"sorted_tuple", ReducerKind::kSortedTuple},
    ReducerRow{"ndarray", ReducerKind::kNdArray},
    ReducerRow{"earliest", ReducerKind::kEarliest},
    ReducerRow{"latest", ReducerKind::kLatest},
    ReducerRow{"first", ReducerKind::kFirst},
    ReducerRow{"last", ReducerKind::kLast},
    ReducerRow{"stddev", ReducerKind::kStddev},
    ReducerRow{"stddev_samp", ReducerKind::kStddev},
    ReducerRow{"stddev_pop", ReducerKind::kStddevPop},
    ReducerRow{"var_samp", ReducerKind::kVarSamp},
    ReducerRow{"variance", ReducerKind::kVarSamp},
    ReducerRow{"var_pop", ReducerKind::kVarPop},
    ReducerRow{"median", ReducerKind::kMedian},
    ReducerRow{"quantile", ReducerKind::kQuantile},
    ReducerRow{"string_agg", ReducerKind::kStringAgg},
    ReducerRow{"bool_and", ReducerKind::kBoolAnd},
    ReducerRow{"bool_or", ReducerKind::kBoolOr},
    ReducerRow{"fold", ReducerKind::kFold},
};

// `pw.reducers.sum`, `reducers.sum`, `tools.sum`, `tools.aggregate.sum` → `sum`.
std::string_view plain_name(std::string_view name) {
  for (const std::string_view package : {"pw.", "pathway.", "reducers.", "tools.aggregate.", "tools.", "pw.reducers."})
    if (name.starts_with(package)) name.remove_prefix(package.size());
  return name;
}

std::optional<ReducerKind> reducer_kind(std::string_view name) {
  const std::string_view plain = plain_name(name);
  for (const auto& row : kReducers)
    if (row.name == plain) return row.kind;
  return std::nullopt;
}

bool takes_numbers(ReducerKind kind) {
  switch (kind) {
    case ReducerKind::kSum:
    case ReducerKind::kAvg:
    case ReducerKind::kStddev:
    case ReducerKind::kStddevPop:
    case ReducerKind::kVarSamp:
    case ReducerKind::kVarPop:
    case ReducerKind::kMedian:
    case ReducerKind::kQuantile: return true;
    case ReducerKind::kCount:
    case ReducerKind::kCountDistinct:
    case ReducerKind::kCountDistinctApproximate:
    case ReducerKind::kMin:
    case ReducerKind::kMax:
    case ReducerKind::kArgMin:
    case ReducerKind::kArgMax:
    case ReducerKind::kUnique:
    case ReducerKind::kAny:
    case ReducerKind::kTuple:
    case ReducerKind::kSortedTuple:
    case ReducerKind::kNdArray:
    case ReducerKind::kEarliest:
    case ReducerKind::kLatest:
    case ReducerKind::kFirst:
    case ReducerKind::kLast:
    case ReducerKind::kStringAgg:
    case ReducerKind::kBoolAnd:
    case ReducerKind::kBoolOr:
    case ReducerKind::kFold:
    case ReducerKind::kUser: return false;
  }
  return false;
}

bool has_order(const Type& type) { return !type.is(Kind::kJson) && !type.is(Kind::kArray); }

// Element kind of an array that numbers, lists and tuples of numbers become; none if something else is inside.
std::optional<Type> array_of(const Type& type) {
  if (type.is(Kind::kInt) || type.is(Kind::kFloat)) return Type::array(type.kind(), 1);
  if (type.is(Kind::kAny)) return Type::array();
  if (type.is(Kind::kArray)) return Type::array(type.element().kind(), type.dims() < 0 ? -1 : type.dims() + 1);
  if (type.is(Kind::kTuple) || type.is(Kind::kList)) {
    const Type element = type.element();
    if (element.optional()) return std::nullopt;
    const auto inner = array_of(element);
    if (!inner) return std::nullopt;
    return Type::array(inner->element().kind(), inner->dims() < 0 ? -1 : inner->dims() + 1);
  }
  return std::nullopt;
}

}  // namespace

bool is_reducer_name(std::string_view name) { return reducer_kind(name).has_value(); }

std::vector<std::string> reducer_names() {
  std::vector<std::string> out;
  for (const auto& row : kReducers) out.emplace_back(row.name);
  return out;
}

// ---------------------------------------------------------------- one expression

class ReductionChecker final : public Checker {
 public:
  ReductionChecker(Reduction& reduction, const ExprInput& input, const NameScope& after)
      : Checker(input, after), reduction_(reduction) {}

 private:
  using Checked = Result<plan::ExprPtr>;

  // What a reducer's call says.
  struct Arguments {
    std::vector<const Syntax*> values;
    std::map<std::string, const Syntax*> named;
  };

  std::optional<Checked> other_call(const std::string& name, const Syntax& call) override {
    if (plain_name(name) == "reduce_with") return reduce_with(call);
    const auto kind = reducer_kind(name);
    if (!kind) return std::nullopt;
    return reducer(std::string(plain_name(name)), *kind, call);
  }

  std::optional<Error> explain_unknown(std::string_view name, SourceSpan at) const override {
    for (const auto& side : reduction_.rows_.sides())
      for (const auto& known : side.names)
        if (known.name == name)
          return Error{Code::kInvalidPipeline,
                       "column `" + std::string(name) + "` is neither in `by` nor inside a reducer",
                       at,
                       {}}
              .with_note("put it into `by:`, or say which of its values: `any(" + std::string(name) +
                         ")`, `max(…)`, …");
    return std::nullopt;
  }

  Checked reducer(const std::string& name, ReducerKind kind, const Syntax& call) {
    Arguments given;
    for (std::size_t i = 1; i < call.children.size(); ++i) {
      const Syntax& child = *call.children[i];
      if (child.kind == SyntaxKind::kStar) {
        if (kind != ReducerKind::kCount) return error(child, "`*` is only for `count(*)`");
        continue;
      }
      if (call.names[i - 1].empty())
        given.values.push_back(&child);
      else if (!given.named.emplace(call.names[i - 1], &child).second)
        return error(child, "argument `" + call.names[i - 1] + "` is given twice");
    }
    if (kind == ReducerKind::kFold) return fold(call, given);
    plan::Reducer out;
    out.kind = kind;
    out.text = source(call);
    TRY(read_settings(name, out, given, call));
    TRY(check_count(name, out.kind, given, call));
    std::vector<plan::ExprPtr> args;
    for (const Syntax* value : given.values) args.push_back(TRY(row_expression(*value)));
    const bool extreme = out.kind == ReducerKind::kArgMin || out.kind == ReducerKind::kArgMax;
    if (extreme && args.size() == 1) args.push_back(row_key());
    if (kind == ReducerKind::kCountDistinct && args.empty())
      return plan::literal(Value::of(std::int64_t{1}), Kind::kInt, span(call));
    TRY(decide_type(name, out, args, given, call));
    const bool skips = out.skip_nones && !args.empty() && args[0]->type.admits_none();
    for (auto& arg : args) out.args.push_back(reduction_.pre_column(std::move(arg)));
    return skips ? without_rows(std::move(out), call) : add(std::move(out), call);
  }

  // Where Nones are skipped, a group of Nones alone has the empty list, or counts to 0; other reducers have no value.
  Checked without_rows(plan::Reducer out, const Syntax& call) {
    const Type type = out.type;
    const bool counts = out.kind == ReducerKind::kCount || out.kind == ReducerKind::kCountDistinct;
    const bool lists = out.kind == ReducerKind::kTuple || out.kind == ReducerKind::kSortedTuple;
    const bool array = out.kind == ReducerKind::kNdArray;
    out.none_if_empty = counts || lists || array;
    if (!lists && !array) return add(std::move(out), call);
    out.type = type.as_optional();
    const Value empty = array ? Value::array(NdArray{{0}, std::vector<std::int64_t>{}}) : Value::tuple({});
    auto column = TRY(add(std::move(out), call));
    return plan::special(plan::ExprKind::kCoalesce, {std::move(column), plan::literal(empty, type, span(call))}, type,
                         span(call));
  }

  // The settings of a call; what they name is taken out of `given.named`.
  Result<void> read_settings(const std::string& name, plan::Reducer& out, Arguments& given, const Syntax& call) {
    for (const auto& [key, syntax] : given.named) {
      if (key == "skip_nones" || key == "strict" || key == "distinct") {
        const auto* value = syntax->kind == SyntaxKind::kLiteral ? &syntax->value : nullptr;
        if (value == nullptr || value->tag() != Value::Tag::kBool)
          return error(*syntax, "`" + key + "` is True or False");
        if (key == "skip_nones")
          out.skip_nones = value->as_bool();
        else if (key == "distinct" && value->as_bool()) {
          if (out.kind != ReducerKind::kCount) return error(*syntax, "`distinct` is for `count`");
          out.kind = ReducerKind::kCountDistinct;
        } else if (key == "strict" && out.kind != ReducerKind::kSum) {
          return error(*syntax, "`strict` is for `sum`");
        }
      } else if (key == "precision" && out.kind == ReducerKind::kCountDistinctApproximate) {
        const auto number = TRY(constant(*syntax, "precision"));
        if (number < 4 || number > 18) return error(*syntax, "`precision` is between 4 and 18");
        out.parameter = number;
      } else if (key == "q" && out.kind == ReducerKind::kQuantile) {
        given.values.push_back(syntax);
      } else if ((key == "sep" || key == "separator") && out.kind == ReducerKind::kStringAgg) {
        given.values.push_back(syntax);
      } else if ((key == "y" || key == "id") &&
                 (out.kind == ReducerKind::kArgMin || out.kind == ReducerKind::kArgMax)) {
        given.values.push_back(syntax);
      } else if (key == "x" || key == "expression" || key == "by" || key == "column") {
        given.values.insert(given.values.begin(), syntax);
      } else {
        return error(*syntax, "`" + name + "` has no argument named `" + key + "`");
      }
    }
    if (out.kind == ReducerKind::kCountDistinctApproximate && out.parameter == 0) out.parameter = 12;
    if (out.kind == ReducerKind::kQuantile) {
      if (given.values.size() != 2) return error(call, "`quantile(x, q)` takes a value and a q between 0 and 1");
      const Syntax& q = *given.values.back();
      out.parameter = TRY(constant(q, "q"));
      if (!(out.parameter >= 0 && out.parameter <= 1)) return error(q, "`q` is between 0 and 1");
      given.values.pop_back();
    }
    if (out.kind == ReducerKind::kStringAgg) {
      if (given.values.size() > 2 || given.values.empty())
        return error(call, "`string_agg(x, sep)` takes a text and a separator");
      out.separator = ",";
      if (given.values.size() == 2) {
        auto separator = TRY(row_expression(*given.values.back()));
        if (separator->kind != plan::ExprKind::kLiteral || separator->literal.tag() != Value::Tag::kStr)
          return error(*given.values.back(), "the separator is a constant text");
        out.separator = separator->literal.as_text();
        given.values.pop_back();
      }
    }
    return {};
  }

  Result<double> constant(const Syntax& syntax, const std::string& what) {
    auto expr = TRY(row_expression(syntax));
    if (expr->kind == plan::ExprKind::kLiteral) {
      if (expr->literal.tag() == Value::Tag::kFloat) return expr->literal.as_float();
      if (expr->literal.tag() == Value::Tag::kInt) return static_cast<double>(expr->literal.as_int());
    }
    return error(syntax, "`" + what + "` is a constant number");
  }

  Result<void> check_count(const std::string& name, ReducerKind kind, const Arguments& given,
                           const Syntax& call) const {
    const std::size_t count = given.values.size();
    const bool any_number = kind == ReducerKind::kCount || kind == ReducerKind::kCountDistinct ||
                            kind == ReducerKind::kCountDistinctApproximate;
    if (any_number) return {};
    const bool extreme = kind == ReducerKind::kArgMin || kind == ReducerKind::kArgMax;
    if (count == 0) return error(call, "`" + name + "` needs an argument: `" + name + "(x)`");
    if (count > (extreme ? 2U : 1U))
      return error(*given.values[1],
                   "`" + name + "` takes one argument" + (extreme ? ", and the value to return" : ""));
    return {};
  }

  Result<void> decide_type(const std::string& name, plan::Reducer& out, std::vector<plan::ExprPtr>& args,
                           const Arguments& given, const Syntax& call) const {
    if (args.empty()) {
      out.type = Kind::kInt;
      return {};
    }
    const Syntax& at = given.values.empty() ? call : *given.values[0];
    Type type = args[0]->type;
    if (out.kind == ReducerKind::kStringAgg && type.optional()) out.skip_nones = true;
    if (out.skip_nones) type = type.without_optional();
    const bool refuses_none = takes_numbers(out.kind) || out.kind == ReducerKind::kNdArray ||
                              out.kind == ReducerKind::kBoolAnd || out.kind == ReducerKind::kBoolOr;
    const auto refuse = [&](const std::string& what) -> Result<void> {
      return error(at, "`" + name + "` takes " + what + ", `" + source(at) + "` is `" + type.to_text() + "`");
    };
    if (refuses_none && (type.optional() || type.is(Kind::kNone))) {
      Error failure{Code::kInvalidPipeline,
                    "`" + name + "` takes no None, and `" + source(at) + "` is `" + type.to_text() + "`",
                    span(at),
                    {}};
      return fail(std::move(failure).with_note("skip them: `" + name + "(" + source(at) +
                                               ", skip_nones=true)`, or use `coalesce(" + source(at) + ", …)`"));
    }
    switch (out.kind) {
      case ReducerKind::kCount:
      case ReducerKind::kCountDistinct:
      case ReducerKind::kCountDistinctApproximate: out.type = Kind::kInt; return {};
      case ReducerKind::kSum:
        if (!type.is_number() && !type.is(Kind::kArray)) return refuse("numbers or arrays");
        out.type = type;
        return {};
      case ReducerKind::kAvg:
        if (!type.is_number() && !type.is(Kind::kArray)) return refuse("numbers or arrays");
        out.type = type.is(Kind::kArray) ? Type::array(Kind::kFloat, type.dims()) : Type(Kind::kFloat);
        return {};
      case ReducerKind::kStddev:
      case ReducerKind::kStddevPop:
      case ReducerKind::kVarSamp:
      case ReducerKind::kVarPop:
      case ReducerKind::kMedian:
      case ReducerKind::kQuantile:
        if (!type.is_number()) return refuse("numbers");
        out.type = Kind::kFloat;
        return {};
      case ReducerKind::kMin:
      case ReducerKind::kMax:
        if (!has_order(type)) return refuse("values with an order");
        out.type = type;
        return {};
      case ReducerKind::kArgMin:
      case ReducerKind::kArgMax:
        if (!has_order(type)) return refuse("values with an order");
        out.type = args[1]->type;
        return {};
      case ReducerKind::kUnique:
      case ReducerKind::kAny:
      case ReducerKind::kFirst:
      case ReducerKind::kLast: out.type = type; return {};
      case ReducerKind::kEarliest:
      case ReducerKind::kLatest:
        if (reduction_.options_.in_iterate) return error(call, "`" + name + "` goes by arrival, which a loop has not");
        out.type = type;
        return {};
      case ReducerKind::kTuple: out.type = Type::list(type); return {};
      case ReducerKind::kSortedTuple:
        if (!has_order(type)) return refuse("values with an order");
        out.type = Type::list(type);
        return {};
      case ReducerKind::kNdArray: {
        const auto array = array_of(type);
        if (!array) return refuse("numbers, arrays, or lists of them");
        out.type = *array;
        return {};
      }
      case ReducerKind::kStringAgg:
        if (!type.is(Kind::kStr)) return refuse("text");
        out.type = Kind::kStr;
        return {};
      case ReducerKind::kBoolAnd:
      case ReducerKind::kBoolOr:
        if (!type.is(Kind::kBool)) return refuse("bools");
        out.type = Kind::kBool;
        return {};
      case ReducerKind::kFold:
      case ReducerKind::kUser: break;
    }
    return {};
  }

  // `reduce_with($fn, a, …)`: the function over the lists of the group's values. With several arguments a row counts
  // only if none of them is ERROR, so that the lists stay side by side.
  Checked reduce_with(const Syntax& call) {
    const auto function = TRY(called_function(call, "reduce_with"));
    if (call.children.size() < 3) return error(call, "`reduce_with($fn, a, …)` needs an argument");
    std::vector<plan::ExprPtr> rows;
    std::vector<Type> types;
    for (std::size_t i = 2; i < call.children.size(); ++i) {
      rows.push_back(TRY(row_expression(*call.children[i])));
      types.push_back(rows.back()->type);
    }
    if (rows.size() > 1) {
      const auto together = plan::call("make_tuple", rows, Type::tuple(types), span(call));
      for (std::size_t i = 0; i < rows.size(); ++i)
        rows[i] = plan::call("get_item",
                             {together, plan::literal(Value::of(static_cast<std::int64_t>(i)), Kind::kInt, span(call))},
                             types[i], span(call));
    }
    std::vector<plan::ExprPtr> lists;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      plan::Reducer list;
      list.kind = ReducerKind::kTuple;
      list.type = Type::list(types[i]);
      list.text = source(call);
      list.args.push_back(reduction_.pre_column(std::move(rows[i])));
      lists.push_back(TRY(add(std::move(list), call)));
    }
    return call_function(*function, std::move(lists), {call.names.begin() + 1, call.names.end()}, call);
  }

  // `fold(init, expr)`: the state's type is that of init, widened until expr fits it.
  Checked fold(const Syntax& call, const Arguments& given) {
    if (given.values.size() != 2 || !given.named.empty())
      return error(call, "`fold(init, expr)` takes the first state and an expression over `acc` and `row`");
    if (reduction_.options_.in_iterate) return error(call, "`fold` goes by arrival, which a loop has not");
    if (!reduction_.options_.append_only)
      return error(call, "`fold` needs a table that is append-only",
                   "`!assert_append_only` states it; other reducers take deletions back");
    auto init = TRY(row_expression(*given.values[0]));
    if (init->kind != plan::ExprKind::kLiteral) return error(*given.values[0], "the first state is a constant");
    Type type = init->type;
    plan::ExprPtr step;
    for (int round = 0; round < 4; ++round) {
      NameScope scope = fold_scope(type);
      Checker inner(input(), scope);
      step = TRY(inner.check(*given.values[1]));
      if (is_subtype(step->type, type)) break;
      const auto common = common_supertype(type, step->type);
      if (!common || round == 3)
        return error(call,
                     "the state begins as `" + init->type.to_text() + "` and becomes `" + step->type.to_text() + "`");
      type = *common;
    }
    plan::Reducer out;
    out.kind = ReducerKind::kFold;
    out.type = type;
    out.text = source(call);
    out.fold_init = plan::coerce(init, type)->literal;
    out.fold = fold_over_pre(plan::coerce(step, type));
    return add(std::move(out), call);
  }

  // acc is column 0, the row's names and key come behind it: column i of the row is 1 + i, the key the last.
  NameScope fold_scope(const Type& state) const {
    NameScope scope;
    std::uint32_t next = 1;
    NameScope::Side row;
    row.qualifiers = {"row", "this"};
    for (const auto& side : reduction_.rows_.sides())
      for (const auto& name : side.names) row.names.push_back({name.name, plan::column(next++, name.expr->type), {}});
    row.key = plan::column(next, Kind::kPointer);
    scope.bind("acc", plan::column(0, state));
    scope.add_side(std::move(row));
    scope.set_variables(reduction_.rows_.variables());
    return scope;
  }
  plan::ExprPtr fold_over_pre(const plan::ExprPtr& step) {
    std::vector<plan::ExprPtr> sources;
    for (const auto& side : reduction_.rows_.sides())
      for (const auto& name : side.names) sources.push_back(name.expr);
    sources.push_back(row_key());
    std::vector<bool> used;
    bool uses_key = false;
    plan::collect_columns(*step, used, uses_key);
    std::vector<std::uint32_t> map(sources.size() + 1, 0);
    for (std::size_t i = 0; i < sources.size(); ++i)
      if (i + 1 < used.size() && used[i + 1]) map[i + 1] = 1 + reduction_.pre_column(sources[i]);
    return plan::remap_columns(step, map);
  }

  plan::ExprPtr row_key() const {
    if (reduction_.options_.id) return reduction_.options_.id;
    if (reduction_.rows_.key()) return reduction_.rows_.key();
    for (const auto& side : reduction_.rows_.sides())
      if (side.key) return side.key;
    return plan::key();
  }

  // An argument: over the rows before the grouping, where reducers are not allowed.
  class RowChecker final : public Checker {
   public:
    using Checker::Checker;

   private:
    std::optional<Result<plan::ExprPtr>> other_call(const std::string& name, const Syntax& call) override {
      if (!reducer_kind(name) && plain_name(name) != "reduce_with") return std::nullopt;
      return error(call, "a reducer inside a reducer", "reduce twice: a `!groupby` of a `!groupby`");
    }
  };
  Checked row_expression(const Syntax& syntax) {
    RowChecker inner(input(), reduction_.rows_);
    return inner.check(syntax);
  }

  Checked add(plan::Reducer reducer, const Syntax& call) {
    const auto first = static_cast<std::uint32_t>(reduction_.by_.size() + (reduction_.instance_ ? 1 : 0));
    auto& all = reduction_.reducers_;
    const auto same = std::find_if(all.begin(), all.end(), [&](const plan::Reducer& other) {
      const bool folds = reducer.fold || other.fold;
      return !folds && other.kind == reducer.kind && other.args == reducer.args && other.type == reducer.type &&
             other.skip_nones == reducer.skip_nones && other.none_if_empty == reducer.none_if_empty &&
             other.parameter == reducer.parameter && other.separator == reducer.separator;
    });
    const auto index = static_cast<std::uint32_t>(same - all.begin());
    const Type type = reducer.type;
    if (same == all.end()) all.push_back(std::move(reducer));
    return plan::column(first + index, type, span(call));
  }

  Reduction& reduction_;
};

// ---------------------------------------------------------------- all of them

Reduction::Reduction(NameScope rows, std::vector<GroupColumn> by, std::optional<GroupColumn> instance,
                     std::vector<plan::ExprPtr> sort_by, ReductionOptions options)
    : rows_(std::move(rows)),
      by_(std::move(by)),
      instance_(std::move(instance)),
      num_sort_by_(sort_by.size()),
      options_(std::move(options)) {
  for (const auto& column : by_) pre_.push_back(column.expr);
  if (instance_) pre_.push_back(instance_->expr);
  for (auto& expr : sort_by) pre_.push_back(std::move(expr));
  // Under reducers `id` may be another row's key, and the grouping columns have their names too.
  if (options_.id) rows_.set_key(options_.id);
  const auto known = [&](const std::string& name) {
    for (const auto& side : rows_.sides())
      for (const auto& column : side.names)
        if (column.name == name) return true;
    return false;
  };
  const auto bind = [&](const GroupColumn& column) {
    for (const auto& name : column.names)
      if (!known(name)) rows_.bind(name, column.expr);
  };
  for (const auto& column : by_) bind(column);
  if (instance_) bind(*instance_);
}

std::uint32_t Reduction::pre_column(plan::ExprPtr expr) {
  const std::string text = plan::identity(*expr);
  for (std::size_t i = 0; i < pre_.size(); ++i)
    if (pre_[i]->type == expr->type && plan::identity(*pre_[i]) == text) return static_cast<std::uint32_t>(i);
  pre_.push_back(std::move(expr));
  return static_cast<std::uint32_t>(pre_.size() - 1);
}

plan::Columns Reduction::by() const {
  plan::Columns out;
  for (std::size_t i = 0; i < by_.size(); ++i) out.push_back(static_cast<std::uint32_t>(i));
  return out;
}

std::optional<std::uint32_t> Reduction::instance() const {
  if (!instance_) return std::nullopt;
  return static_cast<std::uint32_t>(by_.size());
}

plan::Columns Reduction::sort_by() const {
  plan::Columns out;
  const std::size_t first = by_.size() + (instance_ ? 1 : 0);
  for (std::size_t i = 0; i < num_sort_by_; ++i) out.push_back(static_cast<std::uint32_t>(first + i));
  return out;
}

Schema Reduction::post() const {
  Schema out;
  for (const auto& column : by_) out.columns.push_back({column.names.front(), column.expr->type});
  if (instance_) out.columns.push_back({instance_->names.front(), instance_->expr->type});
  for (std::size_t i = 0; i < reducers_.size(); ++i)
    out.columns.push_back({"_reducer_" + std::to_string(i), reducers_[i].type});
  return out;
}

namespace {

NameScope scope_after(const NameScope& rows, const std::vector<GroupColumn>& by,
                      const std::optional<GroupColumn>& instance) {
  NameScope scope;
  NameScope::Side side;
  side.qualifiers = {"this"};
  for (const auto& rows_side : rows.sides())
    for (const auto& qualifier : rows_side.qualifiers)
      if (qualifier != "this") side.qualifiers.push_back(qualifier);
  std::uint32_t index = 0;
  const auto add = [&](const GroupColumn& column) {
    for (const auto& name : column.names) {
      const auto expr = plan::column(index, column.expr->type);
      if (name.find('.') != std::string::npos)
        scope.bind(name, expr);
      else
        side.names.push_back({name, expr, {}});
    }
    ++index;
  };
  for (const auto& column : by) add(column);
  if (instance) add(*instance);
  side.key = plan::key();
  scope.add_side(std::move(side));
  scope.set_variables(rows.variables());
  return scope;
}

}  // namespace

Result<plan::ExprPtr> Reduction::add(const ExprInput& input, const std::vector<NameScope::Name>& more) {
  NameScope after = scope_after(rows_, by_, instance_);
  for (const auto& name : more) after.bind(name.name, name.expr);
  for (const auto& name : bound_) after.bind(name.name, name.expr);
  return ReductionChecker(*this, input, after).run();
}

Result<plan::ExprPtr> Reduction::add_reducer(std::string_view reducer, const std::optional<ExprInput>& argument,
                                             SourceSpan span) {
  ExprInput call;
  call.span = argument ? argument->span : span;
  call.text = std::string(reducer) + "(" + (argument ? argument->text : std::string()) + ")";
  return add(call);
}

}  // namespace thalweg::lang
