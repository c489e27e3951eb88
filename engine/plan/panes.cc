#include "engine/plan/panes.h"

#include <algorithm>
#include <cmath>

#include "engine/base/int128.h"

namespace thalweg::plan {

bool merges(const Reducer& reducer, const Schema& input) {
  switch (reducer.kind) {
    case ReducerKind::kSum:
    case ReducerKind::kAvg: return !input.columns[reducer.args[0]].type.is(Kind::kArray);
    case ReducerKind::kCount:
    case ReducerKind::kMin:
    case ReducerKind::kMax:
    case ReducerKind::kArgMin:
    case ReducerKind::kArgMax:
    case ReducerKind::kAny:
    case ReducerKind::kFirst:
    case ReducerKind::kLast:
    case ReducerKind::kStddev:
    case ReducerKind::kStddevPop:
    case ReducerKind::kVarSamp:
    case ReducerKind::kVarPop:
    case ReducerKind::kBoolAnd:
    case ReducerKind::kBoolOr: return true;
    case ReducerKind::kCountDistinct:
    case ReducerKind::kCountDistinctApproximate:
    case ReducerKind::kUnique:
    case ReducerKind::kTuple:
    case ReducerKind::kSortedTuple:
    case ReducerKind::kNdArray:
    case ReducerKind::kEarliest:
    case ReducerKind::kLatest:
    case ReducerKind::kMedian:
    case ReducerKind::kQuantile:
    case ReducerKind::kStringAgg:
    case ReducerKind::kFold:
    case ReducerKind::kUser: return false;
  }
  return false;
}

namespace {

constexpr double kRatioMax = 1e9;

bool is_whole(double ratio) { return ratio == std::floor(ratio) && ratio <= kRatioMax; }

bool is_negative(const Value& length) {
  if (length.is_none()) return false;
  return length.tag() == Value::Tag::kFloat ? length.as_float() < 0 : length.as_int() < 0;
}

// Bounds of floats are only the same numbers where both are computed as origin + k · hop.
bool windows_tile(const WindowAssign& windows, bool is_float) {
  if (is_float) return windows.duration.is_none() && windows.ratio >= 2 && is_whole(windows.ratio);
  if (windows.duration.is_none()) return windows.ratio >= 2 && windows.ratio <= kRatioMax;
  return windows.duration.as_int() / 2 >= windows.hop.as_int();
}

// A closed window must have come out, or it would have to be kept beside its panes.
bool is_out_before_closed(const SlidingGroupBy& params, bool is_float) {
  if (params.delay.is_none() || params.cutoff.is_none()) return true;
  if (is_float) return false;
  const WindowAssign& windows = params.windows;
  auto length = windows.duration.is_none()
                    ? static_cast<Int128>(std::llround(static_cast<long double>(windows.ratio) * windows.hop.as_int()))
                    : static_cast<Int128>(windows.duration.as_int());
  return static_cast<Int128>(params.delay.as_int()) <= length + params.cutoff.as_int();
}

}  // namespace

bool merges_panes(const SlidingGroupBy& params, const Schema& input) {
  bool is_float = input.columns[params.windows.time].type.phys() == Phys::kF64;
  bool waits = !params.delay.is_none() || !params.emit_after.is_none();
  return windows_tile(params.windows, is_float) && !is_negative(params.cutoff) && (params.keep_results || !waits) &&
         is_out_before_closed(params, is_float) &&
         std::ranges::all_of(params.reducers, [&](const Reducer& reducer) { return merges(reducer, input); });
}

}  // namespace thalweg::plan
