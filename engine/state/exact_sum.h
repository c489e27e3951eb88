// engine/state/exact_sum.h
//
// The exact sum of floats, rounded once: additions and removals cancel exactly, in any order.
//
// Two doubles carry the sum while it fits them (error-free addition, Knuth's TwoSum); what does not fit goes to a
// fixed-point accumulator wide enough for every finite double (Kulisch). NaN and the infinities are counted apart.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/state/archive.h"

namespace thalweg {

// Fixed point: bit 0 is 2^-1074; 2200 bits hold 2^64 summands of the largest double.
class WideSum {
 public:
  void add(double v);  // finite
  void add(const WideSum& other, bool negated);
  static constexpr int kLimbs = 35;
  [[nodiscard]] std::array<std::uint64_t, kLimbs>& limbs() { return limbs_; }
  [[nodiscard]] double rounded() const;
  [[nodiscard]] bool is_zero() const;

 private:
  std::array<std::uint64_t, kLimbs> limbs_{};  // two's complement, least significant first
};

// Many sums as columns of an archive.
struct SumColumns {
  static constexpr std::uint8_t kWide = 1, kSpecial = 2;
  std::vector<double> high, low;
  std::vector<std::uint8_t> flags;
  std::vector<std::uint64_t> limbs;                       // of those that are wide
  std::vector<std::int64_t> specials;                     // of those that are special
  std::size_t next = 0, next_limb = 0, next_special = 0;  // reading

  void save(StateWriter& out) const;
  Result<void> load(StateReader& in, std::size_t sums);
};

class ExactSum {
 public:
  void add(double v, std::int64_t times);
  // Adds another sum, or takes it out again.
  void add(const ExactSum& other);
  void subtract(const ExactSum& other);
  [[nodiscard]] double value() const;
  void clear() { *this = ExactSum{}; }
  // What value() rounds away, itself rounded: value() + remainder() is the sum to twice the precision. Finite sums
  // only.
  [[nodiscard]] double remainder() const;
  [[nodiscard]] bool is_finite() const { return !special_; }

  void append_to(SumColumns& columns) const;
  // The next of loaded columns, bit for bit.
  [[nodiscard]] static ExactSum next_of(SumColumns& columns);

 private:
  struct Special {
    std::int64_t nan = 0;
    std::int64_t plus_infinity = 0;
    std::int64_t minus_infinity = 0;
  };
  void add_finite(double v);
  void merge(const ExactSum& other, int sign);
  void tidy();

  double high_ = 0;
  double low_ = 0;
  std::unique_ptr<WideSum> wide_;  // holds all but (high_, low_) once it exists
  std::unique_ptr<Special> special_;
};

}  // namespace thalweg
