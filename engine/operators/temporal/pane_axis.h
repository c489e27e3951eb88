// engine/operators/temporal/pane_axis.h
//
// Sliding windows by number, and the panes between their bounds. Window k is [start(k), end(k)); pane p is the time
// between two neighbouring bounds. Where the length is a multiple of the hop there is one pane a hop, else two.
//
// Requires: plan::merges_panes. Times are orders (time_axis.h).
#pragma once

#include <cmath>
#include <optional>

#include "engine/base/int128.h"
#include "engine/operators/temporal/time_axis.h"
#include "engine/plan/node.h"

namespace thalweg::operators {

class PaneAxis {
 public:
  static constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::min();  // before all windows

  PaneAxis(const plan::WindowAssign& windows, const TimeAxis& axis) : axis_(axis), from_origin_(windows.from_origin) {
    if (axis_.is_float()) {
      real_hop_ = windows.hop.as_float();
      real_origin_ = windows.origin.as_float();
      panes_ = static_cast<std::int64_t>(windows.ratio);
      return;
    }
    hop_ = windows.hop.as_int();
    origin_ = windows.origin.as_int();
    length_ = windows.duration.is_none()
                  ? static_cast<std::int64_t>(std::llround(static_cast<long double>(windows.ratio) * hop_))
                  : windows.duration.as_int();
    rest_ = length_ % hop_;
    per_hop_ = rest_ == 0 ? 1 : 2;
    panes_ = rest_ == 0 ? length_ / hop_ : 2 * (length_ / hop_) + 1;
  }

  // None if a window of this time has a bound out of range.
  [[nodiscard]] std::optional<std::int64_t> pane(std::int64_t time) const {
    return axis_.is_float() ? real_pane(float_of_order(time)) : whole_pane(time);
  }
  // Windows that a pane belongs to; first > last if there is none.
  [[nodiscard]] std::int64_t first_window(std::int64_t pane) const {
    std::int64_t first = floor_half(pane - panes_ + per_hop_);
    return from_origin_ && first < 0 ? 0 : first;
  }
  [[nodiscard]] std::int64_t last_window(std::int64_t pane) const { return floor_half(pane); }
  // Panes of a window: [first_pane, end_pane).
  [[nodiscard]] std::int64_t first_pane(std::int64_t window) const { return window * per_hop_; }
  [[nodiscard]] std::int64_t end_pane(std::int64_t window) const { return window * per_hop_ + panes_; }
  [[nodiscard]] std::int64_t start(std::int64_t window) const {
    if (axis_.is_float()) return order_of_float(real_start(window));
    return saturated(static_cast<Int128>(origin_) + static_cast<Int128>(window) * hop_);
  }
  [[nodiscard]] std::int64_t end(std::int64_t window) const {
    if (axis_.is_float()) return order_of_float(real_start(window + panes_));
    return saturated(static_cast<Int128>(origin_) + static_cast<Int128>(window) * hop_ + length_);
  }

  // The last window whose start (or end) + length is at or before the clock; kNone if none is.
  [[nodiscard]] std::int64_t last_due(std::int64_t clock, bool from_end, TimeLength length) const {
    auto due = [&](std::int64_t window) { return axis_.plus(from_end ? end(window) : start(window), length) <= clock; };
    std::int64_t low = -limit(), high = limit();
    if (!due(low)) return kNone;
    if (due(high)) return high;
    // Gallop from a guess, then halve.
    std::int64_t guess = std::clamp(window_at(axis_.minus(clock, length)), low + 1, high - 1);
    for (std::int64_t step = 1;; step *= 2) {
      std::int64_t next = due(guess) ? guess : std::max(guess - step, low);
      if (due(next)) {
        low = std::max(low, next);
        break;
      }
      high = next;
      guess = next;
    }
    for (std::int64_t step = 1; low + step < high; step *= 2) {
      if (!due(low + step)) {
        high = low + step;
        break;
      }
      low += step;
    }
    while (high - low > 1) {
      std::int64_t middle = low + (high - low) / 2;
      (due(middle) ? low : high) = middle;
    }
    return low;
  }

 private:
  static constexpr std::int64_t kWholeMax = std::int64_t{1} << 60;
  static constexpr double kRealMax = 4e15;  // numbers and their neighbours are distinct doubles

  [[nodiscard]] std::int64_t limit() const {
    return axis_.is_float() ? static_cast<std::int64_t>(kRealMax) : kWholeMax;
  }
  [[nodiscard]] std::int64_t floor_half(std::int64_t pane) const { return per_hop_ == 1 ? pane : pane >> 1; }
  [[nodiscard]] static std::int64_t saturated(Int128 value) {
    constexpr Int128 kLow = std::numeric_limits<std::int64_t>::min(), kHigh = std::numeric_limits<std::int64_t>::max();
    return static_cast<std::int64_t>(value < kLow ? kLow : value > kHigh ? kHigh : value);
  }
  [[nodiscard]] double real_start(std::int64_t window) const {
    return real_origin_ + static_cast<double>(window) * real_hop_;
  }

  [[nodiscard]] std::int64_t window_at(std::int64_t time) const {
    if (axis_.is_float()) {
      double index = std::floor((float_of_order(time) - real_origin_) / real_hop_);
      return std::fabs(index) < kRealMax ? static_cast<std::int64_t>(index) : index > 0 ? limit() : -limit();
    }
    Int128 index = (static_cast<Int128>(time) - origin_) / hop_;
    return static_cast<std::int64_t>(index > kWholeMax ? kWholeMax : index < -kWholeMax ? -kWholeMax : index);
  }

  [[nodiscard]] std::optional<std::int64_t> whole_pane(std::int64_t time) const {
    Int128 since = static_cast<Int128>(time) - origin_;
    Int128 index = since / hop_;
    Int128 within = since % hop_;
    if (within < 0) {
      --index;
      within += hop_;
    }
    if (index > kWholeMax || index < -kWholeMax) return std::nullopt;
    auto last = static_cast<std::int64_t>(index);
    std::int64_t pane = last * per_hop_ + (per_hop_ == 2 && within >= rest_ ? 1 : 0);
    std::int64_t first = first_window(pane);
    if (first > last) return pane;
    Int128 low = static_cast<Int128>(origin_) + static_cast<Int128>(first) * hop_;
    Int128 high = static_cast<Int128>(origin_) + static_cast<Int128>(last) * hop_ + length_;
    if (low < std::numeric_limits<std::int64_t>::min() || high > std::numeric_limits<std::int64_t>::max())
      return std::nullopt;
    return pane;
  }
  [[nodiscard]] std::optional<std::int64_t> real_pane(double time) const {
    double index = std::floor((time - real_origin_) / real_hop_);
    if (!(std::fabs(index) < kRealMax)) return std::nullopt;
    auto at = static_cast<std::int64_t>(index);
    while (real_start(at + 1) <= time) ++at;  // the division rounds
    while (real_start(at) > time) --at;
    return at;
  }

  TimeAxis axis_;
  bool from_origin_;
  std::int64_t hop_ = 1, origin_ = 0, length_ = 0, rest_ = 0;
  double real_hop_ = 1, real_origin_ = 0;
  std::int64_t per_hop_ = 1;
  std::int64_t panes_ = 1;  // of a window
};

}  // namespace thalweg::operators
