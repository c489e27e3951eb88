#include <algorithm>
#include <cmath>
#include <set>

#include "engine/base/ensure.h"
#include "engine/base/int128.h"
#include "tests/support/reference_eval.h"

namespace thalweg::reference {
namespace {

using plan::ReducerKind;

// A row of a reducer: its arguments, once per copy, in the order of the group.
struct Item {
  Row args;
  Key key;
};

struct ValueLess {
  bool operator()(const Value& a, const Value& b) const { return compare(a, b) < 0; }
};

std::vector<Item> items_of(const plan::Reducer& reducer, const std::vector<Member>& members) {
  std::vector<Item> items;
  for (const Member& member : members) {
    Item item{{}, member.key};
    bool skipped = false;
    for (std::uint32_t column : reducer.args) {
      const Value& value = (*member.row)[column];
      skipped = skipped || value.is_error() || (reducer.skip_nones && value.is_none());
      item.args.push_back(value);
    }
    if (skipped) continue;
    for (std::int64_t i = 0; i < member.count; ++i) items.push_back(item);
  }
  return items;
}

// The correctly rounded sum (Shewchuk's partials, as Python's fsum).
double exact_sum(const std::vector<double>& values) {
  std::vector<double> partials;
  for (double x : values) {
    std::size_t kept = 0;
    for (double y : partials) {
      if (std::abs(x) < std::abs(y)) std::swap(x, y);
      const double high = x + y;
      const double low = y - (high - x);
      if (low != 0) partials[kept++] = low;
      x = high;
    }
    partials.resize(kept);
    partials.push_back(x);
  }
  double sum = 0, low = 0;
  std::size_t n = partials.size();
  if (n == 0) return 0;
  sum = partials[--n];
  while (n > 0) {
    const double x = sum, y = partials[--n];
    sum = x + y;
    low = y - (sum - x);
    if (low != 0) break;
  }
  // Halfway cases are decided by the sign of what is left.
  if (n > 0 && ((low < 0 && partials[n - 1] < 0) || (low > 0 && partials[n - 1] > 0))) {
    const double twice = low * 2, x = sum + twice;
    if (twice == x - sum) sum = x;
  }
  return sum;
}

double number(const Value& value) {
  return value.tag() == Value::Tag::kFloat ? value.as_float() : static_cast<double>(value.as_int());
}

std::vector<double> numbers(const std::vector<Item>& items) {
  std::vector<double> out;
  for (const Item& item : items) out.push_back(number(item.args[0]));
  return out;
}

Value sum(const std::vector<Item>& items) {
  if (items[0].args[0].tag() == Value::Tag::kFloat) return Value::of(exact_sum(numbers(items)));
  Int128 total = 0;
  for (const Item& item : items) total += item.args[0].as_int();
  if (total > INT64_MAX || total < INT64_MIN) return Value::error();
  return Value::of(static_cast<std::int64_t>(total));
}

double mean(const std::vector<double>& values) { return exact_sum(values) / static_cast<double>(values.size()); }

// A sample of one has no spread.
Value spread(const std::vector<double>& values, bool sample, bool root) {
  if (sample && values.size() < 2) return Value::none();
  const double middle = mean(values);
  std::vector<double> squares;
  for (double value : values) squares.push_back((value - middle) * (value - middle));
  const double variance = exact_sum(squares) / static_cast<double>(values.size() - (sample ? 1 : 0));
  return Value::of(root ? std::sqrt(variance) : variance);
}

Value quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const double place = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(place));
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return Value::of(values[below] + (values[above] - values[below]) * (place - static_cast<double>(below)));
}

Value extreme(const std::vector<Item>& items, bool largest, std::size_t result) {
  const Item* best = &items[0];
  for (const Item& item : items) {
    int order = compare(item.args[0], best->args[0]) * (largest ? -1 : 1);
    if (order == 0) order = compare(item.args[result], best->args[result]);
    if (order < 0) best = &item;
  }
  return best->args[result];
}

Value distinct_count(const std::vector<Item>& items) {
  std::set<Value, ValueLess> values;
  for (const Item& item : items) values.insert(Value::tuple(item.args));
  return Value::of(static_cast<std::int64_t>(values.size()));
}

Value unique(const std::vector<Item>& items) {
  for (const Item& item : items)
    if (compare(item.args[0], items[0].args[0]) != 0) return Value::error();
  return items[0].args[0];
}

Value any(const std::vector<Item>& items) {
  const Item* best = &items[0];
  for (const Item& item : items)
    if (item.key < best->key || (item.key == best->key && compare(item.args[0], best->args[0]) < 0)) best = &item;
  return best->args[0];
}

Value collected(const std::vector<Item>& items, bool sorted) {
  std::vector<Value> values;
  for (const Item& item : items) values.push_back(item.args[0]);
  if (sorted) std::stable_sort(values.begin(), values.end(), ValueLess());
  return Value::tuple(std::move(values));
}

Value joined(const std::vector<Item>& items, const std::string& separator) {
  std::string out;
  for (std::size_t i = 0; i < items.size(); ++i) out += (i > 0 ? separator : "") + items[i].args[0].as_text();
  return Value::str(out);
}

Value all_or_any(const std::vector<Item>& items, bool all) {
  for (const Item& item : items)
    if (item.args[0].as_bool() != all) return Value::of(!all);
  return Value::of(all);
}

}  // namespace

std::optional<Value> reduce(const plan::Reducer& reducer, const std::vector<Member>& members) {
  const std::vector<Item> items = items_of(reducer, members);
  if (items.empty()) return std::nullopt;
  switch (reducer.kind) {
    case ReducerKind::kCount: return Value::of(static_cast<std::int64_t>(items.size()));
    case ReducerKind::kCountDistinct: return distinct_count(items);
    case ReducerKind::kSum: return sum(items);
    case ReducerKind::kAvg: return Value::of(mean(numbers(items)));
    case ReducerKind::kMin: return extreme(items, false, 0);
    case ReducerKind::kMax: return extreme(items, true, 0);
    case ReducerKind::kArgMin: return extreme(items, false, 1);
    case ReducerKind::kArgMax: return extreme(items, true, 1);
    case ReducerKind::kUnique: return unique(items);
    case ReducerKind::kAny: return any(items);
    case ReducerKind::kTuple: return collected(items, false);
    case ReducerKind::kSortedTuple: return collected(items, true);
    case ReducerKind::kFirst: return items.front().args[0];
    case ReducerKind::kLast: return items.back().args[0];
    case ReducerKind::kStddev: return spread(numbers(items), true, true);
    case ReducerKind::kStddevPop: return spread(numbers(items), false, true);
    case ReducerKind::kVarSamp: return spread(numbers(items), true, false);
    case ReducerKind::kVarPop: return spread(numbers(items), false, false);
    case ReducerKind::kMedian: return quantile(numbers(items), 0.5);
    case ReducerKind::kQuantile: return quantile(numbers(items), reducer.parameter);
    case ReducerKind::kStringAgg: return joined(items, reducer.separator);
    case ReducerKind::kBoolAnd: return all_or_any(items, true);
    case ReducerKind::kBoolOr: return all_or_any(items, false);
    case ReducerKind::kNdArray:
    case ReducerKind::kCountDistinctApproximate:
    case ReducerKind::kEarliest:
    case ReducerKind::kLatest:
    case ReducerKind::kFold:
    case ReducerKind::kUser: break;
  }
  ENSURE(!"a reducer without a batch meaning in a reference plan");
  return std::nullopt;
}

}  // namespace thalweg::reference
