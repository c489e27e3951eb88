// engine/operators/reducers/linear.cc
//
// Reducers whose state is a sum: count, sum, avg, the variances, bool_and and bool_or. Insertion adds, deletion
// subtracts; nothing else is kept.
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "engine/operators/reducers/reducer.h"
#include "engine/base/int128.h"
#include "engine/state/exact_sum.h"
#include "engine/types/encoding.h"

namespace thalweg {

namespace {

using plan::ReducerKind;

class Count : public Reducer {
 public:
  void reserve(std::size_t groups) override { counts_.resize(groups); }
  void update(const ReducerRows& rows) override {
    for (std::size_t i = 0; i < rows.rows.size(); ++i) counts_[rows.groups[i]] += rows.diffs[i];
  }
  Column results(std::span<const std::uint32_t> groups, const ReducerErrors&) override {
    std::vector<std::int64_t> out(groups.size());
    for (std::size_t i = 0; i < groups.size(); ++i) out[i] = counts_[groups[i]];
    return Column::from_vector<std::int64_t>(Phys::kI64, std::move(out));
  }
  Column merged(std::span<const std::uint32_t> groups, std::span<const Stretch> stretches,
                const ReducerErrors&) override {
    std::vector<std::int64_t> out(stretches.size());
    std::int64_t count = 0;
    slide(
        groups, stretches, [&](std::uint32_t group, int sign) { count += sign * counts_[group]; },
        [&](std::size_t i) { out[i] = count; });
    return Column::from_vector<std::int64_t>(Phys::kI64, std::move(out));
  }
  void clear(std::uint32_t group) override { counts_[group] = 0; }
  [[nodiscard]] std::size_t bytes() const override { return counts_.capacity() * sizeof(std::int64_t); }
  void save(GroupList groups, StateWriter& out) const override {
    save_numbers<std::int64_t>(groups, out, [&](std::uint32_t group) { return counts_[group]; });
  }
  Result<void> load(StateReader& in, GroupList groups) override {
    return load_numbers<std::int64_t>(in, groups, [&](std::uint32_t g, std::int64_t count) { counts_[g] = count; });
  }

 private:
  std::vector<std::int64_t> counts_;
};

// Sums and averages of ints: 128 bits, ERROR only if the result does not fit.
class IntSum : public Reducer {
 public:
  IntSum(std::uint32_t column, bool average) : column_(column), average_(average) {}
  void reserve(std::size_t groups) override {
    sums_.resize(groups);
    if (average_) counts_.resize(groups);
  }
  void update(const ReducerRows& rows) override {
    Cells<std::int64_t> cells = rows.batch.columns[column_].i64();
    for (std::size_t i = 0; i < rows.rows.size(); ++i)
      sums_[rows.groups[i]] += static_cast<Int128>(cells[rows.rows[i]]) * rows.diffs[i];
    if (!average_) return;
    for (std::size_t i = 0; i < rows.rows.size(); ++i) counts_[rows.groups[i]] += rows.diffs[i];
  }
  Column results(std::span<const std::uint32_t> groups, const ReducerErrors& errors) override {
    ColumnBuilder out(average_ ? Phys::kF64 : Phys::kI64, groups.size());
    for (std::size_t i = 0; i < groups.size(); ++i)
      push_result(sums_[groups[i]], average_ ? counts_[groups[i]] : 0, i, out, errors);
    return out.finish();
  }
  Column merged(std::span<const std::uint32_t> groups, std::span<const Stretch> stretches,
                const ReducerErrors& errors) override {
    ColumnBuilder out(average_ ? Phys::kF64 : Phys::kI64, stretches.size());
    Int128 sum = 0;
    std::int64_t count = 0;
    auto change = [&](std::uint32_t group, int sign) {
      sum += sign * sums_[group];
      if (average_) count += sign * counts_[group];
    };
    slide(groups, stretches, change, [&](std::size_t i) { push_result(sum, count, i, out, errors); });
    return out.finish();
  }
  void clear(std::uint32_t group) override {
    sums_[group] = 0;
    if (average_) counts_[group] = 0;
  }
  [[nodiscard]] std::size_t bytes() const override {
    return sums_.capacity() * sizeof(Int128) + counts_.capacity() * 8;
  }
  void save(GroupList groups, StateWriter& out) const override {
    save_wide(groups, out, [&](std::uint32_t group) { return sums_[group]; });
    if (average_) save_numbers<std::int64_t>(groups, out, [&](std::uint32_t group) { return counts_[group]; });
  }
  Result<void> load(StateReader& in, GroupList groups) override {
    TRY(load_wide(in, groups, [&](std::uint32_t group) -> Int128& { return sums_[group]; }));
    if (!average_) return {};
    return load_numbers<std::int64_t>(in, groups, [&](std::uint32_t g, std::int64_t count) { counts_[g] = count; });
  }

 private:
  void push_result(Int128 sum, std::int64_t count, std::size_t i, ColumnBuilder& out,
                   const ReducerErrors& errors) const {
    if (average_) {
      out.push_float(static_cast<double>(static_cast<long double>(sum) / static_cast<long double>(count)));
    } else if (sum > std::numeric_limits<std::int64_t>::max() || sum < std::numeric_limits<std::int64_t>::min()) {
      errors(i, "integer overflow in sum");
      out.push_error();
    } else {
      out.push_int(static_cast<std::int64_t>(sum));
    }
  }

  std::uint32_t column_;
  bool average_;
  std::vector<Int128> sums_;
  std::vector<std::int64_t> counts_;
};

class FloatSum : public Reducer {
 public:
  FloatSum(std::uint32_t column, bool average) : column_(column), average_(average) {}
  void reserve(std::size_t groups) override {
    sums_.resize(groups);
    counts_.resize(groups);
  }
  void update(const ReducerRows& rows) override {
    Cells<double> cells = rows.batch.columns[column_].f64();
    for (std::size_t i = 0; i < rows.rows.size(); ++i) {
      sums_[rows.groups[i]].add(cells[rows.rows[i]], rows.diffs[i]);
      counts_[rows.groups[i]] += rows.diffs[i];
    }
  }
  Column results(std::span<const std::uint32_t> groups, const ReducerErrors&) override {
    std::vector<double> out(groups.size());
    for (std::size_t i = 0; i < groups.size(); ++i) {
      out[i] = sums_[groups[i]].value();
      if (average_) out[i] /= static_cast<double>(counts_[groups[i]]);
    }
    return Column::from_vector<double>(Phys::kF64, std::move(out));
  }
  Column merged(std::span<const std::uint32_t> groups, std::span<const Stretch> stretches,
                const ReducerErrors&) override {
    std::vector<double> out(stretches.size());
    ExactSum sum;
    std::int64_t count = 0;
    auto change = [&](std::uint32_t group, int sign) {
      if (sign > 0)
        sum.add(sums_[group]);
      else
        sum.subtract(sums_[group]);
      count += sign * counts_[group];
    };
    slide(groups, stretches, change,
          [&](std::size_t i) { out[i] = average_ ? sum.value() / static_cast<double>(count) : sum.value(); });
    return Column::from_vector<double>(Phys::kF64, std::move(out));
  }
  void clear(std::uint32_t group) override {
    sums_[group].clear();
    counts_[group] = 0;
  }
  [[nodiscard]] std::size_t bytes() const override { return sums_.capacity() * (sizeof(ExactSum) + 8); }
  void save(GroupList groups, StateWriter& out) const override {
    save_sums(groups, out, [&](std::uint32_t group) -> const ExactSum& { return sums_[group]; });
    save_numbers<std::int64_t>(groups, out, [&](std::uint32_t group) { return counts_[group]; });
  }
  Result<void> load(StateReader& in, GroupList groups) override {
    TRY(load_sums(in, groups, [&](std::uint32_t group) -> ExactSum& { return sums_[group]; }));
    return load_numbers<std::int64_t>(in, groups, [&](std::uint32_t g, std::int64_t count) { counts_[g] = count; });
  }

 private:
  std::uint32_t column_;
  bool average_;
  std::vector<ExactSum> sums_;
  std::vector<std::int64_t> counts_;
};

// Variances from exact sums of x and of x squared (both halves of the product: fma gives the error).
class Variance : public Reducer {
 public:
  Variance(std::uint32_t column, bool is_int, ReducerKind kind) : column_(column), is_int_(is_int), kind_(kind) {}
  void reserve(std::size_t groups) override { state_.resize(groups); }
  void update(const ReducerRows& rows) override {
    const Column& column = rows.batch.columns[column_];
    for (std::size_t i = 0; i < rows.rows.size(); ++i) {
      std::uint32_t row = rows.rows[i];
      double x = is_int_ ? static_cast<double>(column.i64()[row]) : column.f64()[row];
      State& state = state_[rows.groups[i]];
      double square = x * x;
      state.count += rows.diffs[i];
      state.sum.add(x, rows.diffs[i]);
      state.squares.add(square, rows.diffs[i]);
      if (std::isfinite(square)) state.squares.add(std::fma(x, x, -square), rows.diffs[i]);
    }
  }
  Column results(std::span<const std::uint32_t> groups, const ReducerErrors&) override {
    ColumnBuilder out(Phys::kF64, groups.size());
    for (std::uint32_t group : groups) push_result(state_[group], out);
    return out.finish();
  }
  Column merged(std::span<const std::uint32_t> groups, std::span<const Stretch> stretches,
                const ReducerErrors&) override {
    ColumnBuilder out(Phys::kF64, stretches.size());
    State all;
    auto change = [&](std::uint32_t group, int sign) {
      const State& state = state_[group];
      all.count += sign * state.count;
      if (sign > 0) {
        all.sum.add(state.sum);
        all.squares.add(state.squares);
      } else {
        all.sum.subtract(state.sum);
        all.squares.subtract(state.squares);
      }
    };
    slide(groups, stretches, change, [&](std::size_t) { push_result(all, out); });
    return out.finish();
  }
  void clear(std::uint32_t group) override { state_[group] = State{}; }
  [[nodiscard]] std::size_t bytes() const override { return state_.capacity() * sizeof(State); }
  void save(GroupList groups, StateWriter& out) const override {
    save_sums(groups, out, [&](std::uint32_t group) -> const ExactSum& { return state_[group].sum; });
    save_sums(groups, out, [&](std::uint32_t group) -> const ExactSum& { return state_[group].squares; });
    save_numbers<std::int64_t>(groups, out, [&](std::uint32_t group) { return state_[group].count; });
  }
  Result<void> load(StateReader& in, GroupList groups) override {
    TRY(load_sums(in, groups, [&](std::uint32_t group) -> ExactSum& { return state_[group].sum; }));
    TRY(load_sums(in, groups, [&](std::uint32_t group) -> ExactSum& { return state_[group].squares; }));
    return load_numbers<std::int64_t>(in, groups,
                                      [&](std::uint32_t g, std::int64_t count) { state_[g].count = count; });
  }

 private:
  struct State {
    ExactSum sum;
    ExactSum squares;
    std::int64_t count = 0;
  };

  void push_result(const State& state, ColumnBuilder& out) const {
    bool sample = kind_ == ReducerKind::kStddev || kind_ == ReducerKind::kVarSamp;
    std::int64_t divisor = sample ? state.count - 1 : state.count;
    if (divisor <= 0) return out.push_none();  // a sample of one has no variance
    double variance = spread_of(state) / static_cast<double>(divisor);
    bool root = kind_ == ReducerKind::kStddev || kind_ == ReducerKind::kStddevPop;
    out.push_float(root ? std::sqrt(variance) : variance);
  }

  // The sum of squared distances from the mean: squares - sum^2 / n, with 113 bits through the cancellation. What is
  // left of equal values is below the rounding of the terms and is none.
  static double spread_of(const State& state) {
    if (!state.sum.is_finite() || !state.squares.is_finite()) return std::numeric_limits<double>::quiet_NaN();
    Float128 sum = static_cast<Float128>(state.sum.value()) + static_cast<Float128>(state.sum.remainder());
    Float128 squares = static_cast<Float128>(state.squares.value()) + static_cast<Float128>(state.squares.remainder());
    auto n = static_cast<Float128>(state.count);
    Float128 scaled = n * squares - sum * sum;
    constexpr double kRounding = 0x1p-100;
    if (scaled <= n * squares * static_cast<Float128>(kRounding)) return 0;
    return static_cast<double>(scaled / n);
  }

  std::uint32_t column_;
  bool is_int_;
  ReducerKind kind_;
  std::vector<State> state_;
};

class BoolFold : public Reducer {
 public:
  BoolFold(std::uint32_t column, bool is_and) : column_(column), is_and_(is_and) {}
  void reserve(std::size_t groups) override { deciding_.resize(groups); }
  void update(const ReducerRows& rows) override {
    Cells<std::uint8_t> cells = rows.batch.columns[column_].u8();
    for (std::size_t i = 0; i < rows.rows.size(); ++i)
      if ((cells[rows.rows[i]] == 0) == is_and_) deciding_[rows.groups[i]] += rows.diffs[i];
  }
  Column results(std::span<const std::uint32_t> groups, const ReducerErrors&) override {
    std::vector<std::uint8_t> out(groups.size());
    for (std::size_t i = 0; i < groups.size(); ++i) out[i] = (deciding_[groups[i]] > 0) != is_and_ ? 1 : 0;
    return Column::from_vector<std::uint8_t>(Phys::kU8, std::move(out));
  }
  Column merged(std::span<const std::uint32_t> groups, std::span<const Stretch> stretches,
                const ReducerErrors&) override {
    std::vector<std::uint8_t> out(stretches.size());
    std::int64_t deciding = 0;
    slide(
        groups, stretches, [&](std::uint32_t group, int sign) { deciding += sign * deciding_[group]; },
        [&](std::size_t i) { out[i] = (deciding > 0) != is_and_ ? 1 : 0; });
    return Column::from_vector<std::uint8_t>(Phys::kU8, std::move(out));
  }
  void clear(std::uint32_t group) override { deciding_[group] = 0; }
  [[nodiscard]] std::size_t bytes() const override { return deciding_.capacity() * 8; }
  void save(GroupList groups, StateWriter& out) const override {
    save_numbers<std::int64_t>(groups, out, [&](std::uint32_t group) { return deciding_[group]; });
  }
  Result<void> load(StateReader& in, GroupList groups) override {
    return load_numbers<std::int64_t>(in, groups, [&](std::uint32_t g, std::int64_t count) { deciding_[g] = count; });
  }

 private:
  std::uint32_t column_;
  bool is_and_;
  std::vector<std::int64_t> deciding_;  // False rows of bool_and, True rows of bool_or
};

// Sums of arrays, element by element; all arrays of a group must have one shape and element type.
class ArraySum : public Reducer {
 public:
  ArraySum(std::uint32_t column, Type type, bool average)
      : column_(column), type_(std::move(type)), average_(average) {}
  void reserve(std::size_t groups) override { state_.resize(groups); }
  void update(const ReducerRows& rows) override {
    for (std::size_t i = 0; i < rows.rows.size(); ++i) {
      Value value = rows.batch.columns[column_].value(type_, rows.rows[i]);
      State& state = state_[rows.groups[i]];
      state.count += rows.diffs[i];
      add(state.shapes[shape_key(value.as_array())], value.as_array(), rows.diffs[i]);
    }
  }
  Column results(std::span<const std::uint32_t> groups, const ReducerErrors& errors) override {
    ColumnBuilder out(Phys::kView, groups.size());
    for (std::size_t i = 0; i < groups.size(); ++i) {
      State& state = state_[groups[i]];
      std::erase_if(state.shapes, [](const auto& entry) { return entry.second.count == 0; });
      if (state.shapes.size() != 1) {
        errors(i, "arrays of different shapes or element types in sum");
        out.push_error();
        continue;
      }
      out.push_text(encode(total(state.shapes.begin()->second, state.count)));
    }
    return out.finish();
  }
  void clear(std::uint32_t group) override { state_[group] = State{}; }
  [[nodiscard]] std::size_t bytes() const override { return state_.capacity() * sizeof(State); }
  void save(GroupList groups, StateWriter& out) const override {
    for (std::uint32_t group : groups) {
      out.put_i64(state_[group].count);
      out.put_u64(state_[group].shapes.size());
      for (const auto& [shape, sum] : state_[group].shapes) save_sum(sum, out);
    }
  }
  Result<void> load(StateReader& in, GroupList groups) override {
    for (std::uint32_t group : groups) {
      State state;
      state.count = TRY(in.i64());
      for (std::size_t shapes = TRY(in.count(1)); shapes > 0; --shapes) {
        Sum sum = TRY(load_sum(in));
        state.shapes.emplace(shape_key(sum.shape), std::move(sum));
      }
      if (group != kNotMine) state_[group] = std::move(state);
    }
    return {};
  }

 private:
  struct Sum {
    std::int64_t count = 0;
    NdArray shape;
    std::vector<Int128> ints;
    std::vector<ExactSum> floats;
  };
  struct State {
    std::int64_t count = 0;
    std::map<std::string, Sum> shapes;
  };
  static void save_sum(const Sum& sum, StateWriter& out) {
    out.put_i64(sum.count);
    out.put_value(Value::array(sum.shape));
    std::vector<std::uint32_t> places(std::max(sum.ints.size(), sum.floats.size()));
    std::iota(places.begin(), places.end(), 0U);
    if (is_int(sum.shape))
      save_wide(places, out, [&](std::uint32_t i) { return sum.ints[i]; });
    else
      save_sums(places, out, [&](std::uint32_t i) -> const ExactSum& { return sum.floats[i]; });
  }
  static Result<Sum> load_sum(StateReader& in) {
    Sum sum;
    sum.count = TRY(in.i64());
    Value shape = TRY(in.value());
    if (shape.tag() != Value::Tag::kArray) return in.corrupt("a sum of arrays that is none");
    sum.shape = shape.as_array();
    std::size_t n = std::visit([](const auto& data) { return data.size(); }, sum.shape.data);
    std::vector<std::uint32_t> places(n);
    std::iota(places.begin(), places.end(), 0U);
    if (is_int(sum.shape)) {
      sum.ints.resize(n);
      TRY(load_wide(in, places, [&](std::uint32_t i) -> Int128& { return sum.ints[i]; }));
    } else {
      sum.floats.resize(n);
      TRY(load_sums(in, places, [&](std::uint32_t i) -> ExactSum& { return sum.floats[i]; }));
    }
    return sum;
  }
  static bool is_int(const NdArray& array) { return std::holds_alternative<std::vector<std::int64_t>>(array.data); }
  static std::string shape_key(const NdArray& array) {
    std::string key = is_int(array) ? "i" : "f";
    for (std::int64_t n : array.shape) key += std::to_string(n) + ",";
    return key;
  }
  static void add(Sum& sum, const NdArray& array, Diff diff) {
    sum.count += diff;
    sum.shape = array;
    if (is_int(array)) {
      const auto& data = std::get<std::vector<std::int64_t>>(array.data);
      sum.ints.resize(data.size());
      for (std::size_t i = 0; i < data.size(); ++i) sum.ints[i] += static_cast<Int128>(data[i]) * diff;
    } else {
      const auto& data = std::get<std::vector<double>>(array.data);
      sum.floats.resize(data.size());
      for (std::size_t i = 0; i < data.size(); ++i) sum.floats[i].add(data[i], diff);
    }
  }
  [[nodiscard]] Value total(const Sum& sum, std::int64_t count) const {
    NdArray out{.shape = sum.shape.shape, .data = {}};
    if (is_int(sum.shape) && !average_) {
      std::vector<std::int64_t> data;
      for (Int128 v : sum.ints) data.push_back(static_cast<std::int64_t>(v));
      out.data = std::move(data);
      return Value::array(std::move(out));
    }
    std::vector<double> data;
    for (Int128 v : sum.ints) data.push_back(static_cast<double>(v));
    for (const ExactSum& v : sum.floats) data.push_back(v.value());
    if (average_)
      for (double& v : data) v /= static_cast<double>(count);
    out.data = std::move(data);
    return Value::array(std::move(out));
  }

  std::uint32_t column_;
  Type type_;
  bool average_;
  std::vector<State> state_;
};

std::unique_ptr<Reducer> make_sum(const plan::Reducer& reducer, const Type& type, bool average) {
  std::uint32_t column = reducer.args[0];
  if (type.is(Kind::kFloat)) return std::make_unique<FloatSum>(column, average);
  if (type.is(Kind::kArray)) return std::make_unique<ArraySum>(column, type, average);
  return std::make_unique<IntSum>(column, average);  // ints; durations are ints of nanoseconds
}

}  // namespace

std::unique_ptr<Reducer> make_linear_reducer(const plan::Reducer& reducer, const Schema& input) {
  auto argument_type = [&] { return input.columns[reducer.args[0]].type; };
  switch (reducer.kind) {
    case ReducerKind::kCount: return std::make_unique<Count>();
    case ReducerKind::kSum: return make_sum(reducer, argument_type(), false);
    case ReducerKind::kAvg: return make_sum(reducer, argument_type(), true);
    case ReducerKind::kStddev:
    case ReducerKind::kStddevPop:
    case ReducerKind::kVarSamp:
    case ReducerKind::kVarPop:
      return std::make_unique<Variance>(reducer.args[0], argument_type().is(Kind::kInt), reducer.kind);
    case ReducerKind::kBoolAnd: return std::make_unique<BoolFold>(reducer.args[0], true);
    case ReducerKind::kBoolOr: return std::make_unique<BoolFold>(reducer.args[0], false);
    default: return nullptr;
  }
}

}  // namespace thalweg
