// engine/operators/temporal/time_axis.h
//
// Arithmetic on times as orders (ordered_index.h): ints and datetimes are their own order, floats an order of doubles.
// Sums saturate instead of wrapping.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "engine/state/ordered_index.h"
#include "engine/types/column.h"

namespace thalweg::operators {

// A length of time: nanoseconds or an int, or a float.
struct TimeLength {
  std::int64_t whole = 0;
  double real = 0;
};

class TimeAxis {
 public:
  explicit TimeAxis(const Type& time = Kind::kInt) : is_float_(time.phys() == Phys::kF64) {}

  [[nodiscard]] std::int64_t order(const Column& column, std::size_t row) const {
    return is_float_ ? order_of_float(column.f64()[row]) : column.i64()[row];
  }
  [[nodiscard]] TimeLength length(const Value& value) const {
    if (value.is_none()) return {};
    if (value.tag() == Value::Tag::kFloat) return {static_cast<std::int64_t>(value.as_float()), value.as_float()};
    return {value.as_int(), static_cast<double>(value.as_int())};
  }
  [[nodiscard]] std::int64_t plus(std::int64_t order, TimeLength by) const {
    if (is_float_) return order_of_float(float_of_order(order) + by.real);
    return saturating(order, by.whole);
  }
  [[nodiscard]] std::int64_t minus(std::int64_t order, TimeLength by) const {
    if (is_float_) return order_of_float(float_of_order(order) - by.real);
    return saturating_minus(order, by.whole);
  }
  // later - earlier against a length: negative, zero or positive as the distance is less, equal or more.
  [[nodiscard]] int compare_distance(std::int64_t earlier, std::int64_t later, TimeLength length) const {
    if (is_float_) {
      double distance = float_of_order(later) - float_of_order(earlier);
      return distance < length.real ? -1 : distance > length.real ? 1 : 0;
    }
    std::int64_t distance = saturating_minus(later, earlier);
    return distance < length.whole ? -1 : distance > length.whole ? 1 : 0;
  }
  // Whether a - before is less than, equal to or more than after - a. Requires: before <= a <= after.
  [[nodiscard]] int compare_sides(std::int64_t before, std::int64_t a, std::int64_t after) const {
    if (is_float_) {
      double left = float_of_order(a) - float_of_order(before), right = float_of_order(after) - float_of_order(a);
      return left < right ? -1 : left > right ? 1 : 0;
    }
    auto left = static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(before);
    auto right = static_cast<std::uint64_t>(after) - static_cast<std::uint64_t>(a);
    return left < right ? -1 : left > right ? 1 : 0;
  }
  void append(std::int64_t order, ColumnBuilder& out) const {
    if (is_float_)
      out.push_float(float_of_order(order));
    else
      out.push_int(order);
  }
  // Nothing is before this.
  [[nodiscard]] std::int64_t first() const {
    return is_float_ ? order_of_float(-std::numeric_limits<double>::infinity())
                     : std::numeric_limits<std::int64_t>::min();
  }
  [[nodiscard]] bool is_float() const { return is_float_; }

 private:
  static std::int64_t saturating(std::int64_t a, std::int64_t b) {
    std::int64_t sum = 0;
    if (!__builtin_add_overflow(a, b, &sum)) return sum;
    return b > 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
  }
  static std::int64_t saturating_minus(std::int64_t a, std::int64_t b) {
    std::int64_t difference = 0;
    if (!__builtin_sub_overflow(a, b, &difference)) return difference;
    return b < 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
  }

  bool is_float_;
};

}  // namespace thalweg::operators
