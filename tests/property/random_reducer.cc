#include "tests/property/random_reducer.h"

#include "tests/property/random_expr.h"

namespace thalweg::testing {
namespace {

using plan::Reducer;
using plan::ReducerKind;

std::optional<std::uint32_t> column_where(Random& random, const Schema& schema, bool (*fits)(const Type&)) {
  std::vector<std::uint32_t> found;
  for (std::uint32_t i = 0; i < schema.size(); ++i)
    if (fits(schema.columns[i].type)) found.push_back(i);
  if (found.empty()) return std::nullopt;
  return random.one_of(found);
}

bool is_anything(const Type&) { return true; }
bool is_number(const Type& type) { return type.is_number(); }
bool is_text(const Type& type) { return type.is_plain(Kind::kStr); }
bool is_truth(const Type& type) { return type.is_plain(Kind::kBool); }

// Numbers: over an optional column the language asks for skip_nones.
std::optional<Reducer> numeric(Random& random, const Schema& schema, ReducerKind kind) {
  auto column = column_where(random, schema, is_number);
  if (!column) return std::nullopt;
  const Type& type = schema.columns[*column].type;
  Reducer reducer;
  reducer.kind = kind;
  reducer.args = {*column};
  reducer.skip_nones = type.optional();
  const bool of_sample = kind == ReducerKind::kStddev || kind == ReducerKind::kVarSamp;
  reducer.type = kind == ReducerKind::kSum ? type.without_optional() : Type(Kind::kFloat, of_sample);
  reducer.parameter = static_cast<double>(random.below(5)) / 4;
  return reducer;
}

std::optional<Reducer> same_type(Random& random, const Schema& schema, ReducerKind kind) {
  auto column = column_where(random, schema, is_anything);
  Reducer reducer;
  reducer.kind = kind;
  reducer.args = {*column};
  reducer.type = schema.columns[*column].type;
  const bool collects = kind == ReducerKind::kTuple || kind == ReducerKind::kSortedTuple;
  if (collects || kind == ReducerKind::kMin || kind == ReducerKind::kMax) reducer.skip_nones = random.chance(40);
  if (reducer.skip_nones) reducer.type = reducer.type.without_optional();
  if (collects) reducer.type = Type::list(reducer.type);
  return reducer;
}

std::optional<Reducer> extreme(Random& random, const Schema& schema, ReducerKind kind) {
  auto value = column_where(random, schema, is_anything), result = column_where(random, schema, is_anything);
  Reducer reducer;
  reducer.kind = kind;
  reducer.args = {*value, *result};
  reducer.type = schema.columns[*result].type;
  return reducer;
}

std::optional<Reducer> counting(Random& random, const Schema& schema, ReducerKind kind) {
  Reducer reducer;
  reducer.kind = kind;
  reducer.type = Kind::kInt;
  const std::size_t args = kind == ReducerKind::kCount ? random.below(2) : 1 + random.below(2);
  for (std::size_t i = 0; i < args; ++i) reducer.args.push_back(*column_where(random, schema, is_anything));
  return reducer;
}

std::optional<Reducer> of_column(Random& random, const Schema& schema, ReducerKind kind, bool (*fits)(const Type&),
                                 Type type) {
  auto column = column_where(random, schema, fits);
  if (!column) return std::nullopt;
  Reducer reducer;
  reducer.kind = kind;
  reducer.args = {*column};
  reducer.type = std::move(type);
  reducer.separator = ",";
  return reducer;
}

}  // namespace

bool is_rounded(plan::ReducerKind kind) {
  switch (kind) {
    case ReducerKind::kStddev:
    case ReducerKind::kStddevPop:
    case ReducerKind::kVarSamp:
    case ReducerKind::kVarPop:
    case ReducerKind::kMedian:
    case ReducerKind::kQuantile: return true;
    default: return false;
  }
}

std::optional<plan::Reducer> random_reducer(Random& random, const Schema& schema) {
  static const std::vector<ReducerKind> kKinds = {
      ReducerKind::kCount,     ReducerKind::kCountDistinct, ReducerKind::kSum,    ReducerKind::kAvg,
      ReducerKind::kMin,       ReducerKind::kMax,           ReducerKind::kArgMin, ReducerKind::kArgMax,
      ReducerKind::kUnique,    ReducerKind::kAny,           ReducerKind::kTuple,  ReducerKind::kSortedTuple,
      ReducerKind::kFirst,     ReducerKind::kLast,          ReducerKind::kStddev, ReducerKind::kStddevPop,
      ReducerKind::kVarSamp,   ReducerKind::kVarPop,        ReducerKind::kMedian, ReducerKind::kQuantile,
      ReducerKind::kStringAgg, ReducerKind::kBoolAnd,       ReducerKind::kBoolOr};
  const ReducerKind kind = random.one_of(kKinds);
  switch (kind) {
    case ReducerKind::kCount:
    case ReducerKind::kCountDistinct: return counting(random, schema, kind);
    case ReducerKind::kSum:
    case ReducerKind::kAvg:
    case ReducerKind::kStddev:
    case ReducerKind::kStddevPop:
    case ReducerKind::kVarSamp:
    case ReducerKind::kVarPop:
    case ReducerKind::kMedian:
    case ReducerKind::kQuantile: return numeric(random, schema, kind);
    case ReducerKind::kArgMin:
    case ReducerKind::kArgMax: return extreme(random, schema, kind);
    case ReducerKind::kStringAgg: return of_column(random, schema, kind, is_text, Kind::kStr);
    case ReducerKind::kBoolAnd:
    case ReducerKind::kBoolOr: return of_column(random, schema, kind, is_truth, Kind::kBool);
    default: return same_type(random, schema, kind);
  }
}

}  // namespace thalweg::testing
