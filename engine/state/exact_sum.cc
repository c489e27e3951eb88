#include "engine/state/exact_sum.h"
#include "engine/base/int128.h"

#include <bit>
#include <cmath>
#include <limits>

namespace thalweg {

namespace {

// a + b = sum + error, exactly (Knuth 1969), unless the sum overflows.
struct TwoSum {
  double sum;
  double error;
  TwoSum(double a, double b) : sum(a + b) {
    double b_part = sum - a;
    error = (a - (sum - b_part)) + (b - b_part);
  }
};

}  // namespace

void WideSum::add(double v) {
  auto bits = std::bit_cast<std::uint64_t>(v);
  bool negative = (bits >> 63) != 0;
  auto exponent = static_cast<int>((bits >> 52) & 0x7FF);
  std::uint64_t mantissa = bits & ((std::uint64_t{1} << 52) - 1);
  if (exponent != 0)
    mantissa |= std::uint64_t{1} << 52;
  else
    exponent = 1;
  if (mantissa == 0) return;
  int shift = exponent - 1;  // position of the mantissa's lowest bit
  auto limb = static_cast<std::size_t>(shift / 64);
  int offset = shift % 64;
  UInt128 wide = static_cast<UInt128>(mantissa) << offset;
  std::array<std::uint64_t, 2> parts{static_cast<std::uint64_t>(wide), static_cast<std::uint64_t>(wide >> 64)};
  std::uint64_t carry = 0;
  for (std::size_t i = limb; i < limbs_.size(); ++i) {
    std::uint64_t part = i - limb < 2 ? parts[i - limb] : 0;
    if (i - limb >= 2 && carry == 0) break;
    if (negative) {
      std::uint64_t first = limbs_[i] - part;
      std::uint64_t borrow = limbs_[i] < part ? 1 : 0;
      std::uint64_t second = first - carry;
      borrow += first < carry ? 1 : 0;
      limbs_[i] = second;
      carry = borrow;
    } else {
      std::uint64_t first = limbs_[i] + part;
      std::uint64_t over = first < part ? 1 : 0;
      std::uint64_t second = first + carry;
      over += second < carry ? 1 : 0;
      limbs_[i] = second;
      carry = over;
    }
  }
}

void WideSum::add(const WideSum& other, bool negated) {
  std::uint64_t carry = negated ? 1 : 0;  // -x is ~x + 1
  for (std::size_t i = 0; i < limbs_.size(); ++i) {
    std::uint64_t part = negated ? ~other.limbs_[i] : other.limbs_[i];
    std::uint64_t first = limbs_[i] + part;
    std::uint64_t over = first < part ? 1 : 0;
    limbs_[i] = first + carry;
    carry = over + (limbs_[i] < carry ? 1 : 0);
  }
}

bool WideSum::is_zero() const {
  for (std::uint64_t limb : limbs_)
    if (limb != 0) return false;
  return true;
}

double WideSum::rounded() const {
  std::array<std::uint64_t, kLimbs> magnitude = limbs_;
  bool negative = (magnitude.back() >> 63) != 0;
  if (negative) {
    std::uint64_t carry = 1;
    for (std::uint64_t& limb : magnitude) {
      limb = ~limb + carry;
      carry = carry && limb == 0 ? 1 : 0;
    }
  }
  int top = kLimbs - 1;
  while (top >= 0 && magnitude[static_cast<std::size_t>(top)] == 0) --top;
  if (top < 0) return 0;
  auto limb_at = [&](int i) { return i < 0 ? std::uint64_t{0} : magnitude[static_cast<std::size_t>(i)]; };
  int lead = 63 - std::countl_zero(limb_at(top));
  int highest = top * 64 + lead;  // position of the leading bit
  if (highest <= 52) {            // fits the mantissa of the smallest doubles
    double v = std::ldexp(static_cast<double>(limb_at(0)), -1074);
    return negative ? -v : v;
  }
  // 64 bits from the leading one; what lies below decides the rounding, half to even.
  int low = highest - 63;
  auto bits_from = [&](int position) {
    int limb = position >= 0 ? position / 64 : -1;
    if (position < 0) return limb_at(0) << -position;
    int offset = position % 64;
    std::uint64_t v = limb_at(limb) >> offset;
    if (offset != 0 && limb + 1 < kLimbs) v |= limb_at(limb + 1) << (64 - offset);
    return v;
  };
  std::uint64_t leading = bits_from(low);
  bool sticky = false;
  for (int i = 0; low > 0 && i < low / 64; ++i) sticky |= limb_at(i) != 0;
  if (low > 0 && low % 64 != 0) sticky |= (limb_at(low / 64) & ((std::uint64_t{1} << (low % 64)) - 1)) != 0;
  std::uint64_t mantissa = leading >> 11;
  std::uint64_t rest = leading & 0x7FF;
  bool up = rest > 0x400 || (rest == 0x400 && (sticky || (mantissa & 1) != 0));
  if (up) ++mantissa;
  double v = std::ldexp(static_cast<double>(mantissa), highest - 52 - 1074);
  return negative ? -v : v;
}

void ExactSum::add_finite(double v) {
  TwoSum first(high_, v);
  if (!std::isfinite(first.sum)) {
    if (!wide_) wide_ = std::make_unique<WideSum>();
    wide_->add(v);
    return;
  }
  TwoSum second(low_, first.error);
  TwoSum third(first.sum, second.sum);  // keeps the pair normalised
  high_ = third.sum;
  low_ = third.error;
  if (second.error != 0) {
    if (!wide_) wide_ = std::make_unique<WideSum>();
    wide_->add(second.error);
  }
}

void ExactSum::add(double v, std::int64_t times) {
  if (!std::isfinite(v)) {
    if (!special_) special_ = std::make_unique<Special>();
    if (std::isnan(v))
      special_->nan += times;
    else if (v > 0)
      special_->plus_infinity += times;
    else
      special_->minus_infinity += times;
    tidy();
    return;
  }
  double signed_v = times < 0 ? -v : v;
  for (std::int64_t i = 0; i < (times < 0 ? -times : times); ++i) add_finite(signed_v);
  tidy();
}

void ExactSum::tidy() {
  if (special_ && special_->nan == 0 && special_->plus_infinity == 0 && special_->minus_infinity == 0) special_.reset();
  if (wide_ && high_ == 0 && low_ == 0 && wide_->is_zero()) wide_.reset();
}

void ExactSum::add(const ExactSum& other) { merge(other, 1); }
void ExactSum::subtract(const ExactSum& other) { merge(other, -1); }

void ExactSum::merge(const ExactSum& other, int sign) {
  if (other.high_ != 0) add_finite(sign * other.high_);
  if (other.low_ != 0) add_finite(sign * other.low_);
  if (other.wide_) {
    if (!wide_) wide_ = std::make_unique<WideSum>();
    wide_->add(*other.wide_, sign < 0);
  }
  if (other.special_) {
    if (!special_) special_ = std::make_unique<Special>();
    special_->nan += sign * other.special_->nan;
    special_->plus_infinity += sign * other.special_->plus_infinity;
    special_->minus_infinity += sign * other.special_->minus_infinity;
  }
  tidy();
}

double ExactSum::value() const {
  if (special_) {
    bool both = special_->plus_infinity > 0 && special_->minus_infinity > 0;
    if (special_->nan > 0 || both) return std::numeric_limits<double>::quiet_NaN();
    if (special_->plus_infinity > 0) return std::numeric_limits<double>::infinity();
    if (special_->minus_infinity > 0) return -std::numeric_limits<double>::infinity();
  }
  if (!wide_) return high_ + 0.0;  // high_ is the rounded sum of the normalised pair; no -0.0
  WideSum all = *wide_;
  all.add(high_);
  all.add(low_);
  return all.rounded();
}

double ExactSum::remainder() const {
  if (!wide_) return low_;
  WideSum all = *wide_;
  all.add(high_);
  all.add(low_);
  double rounded = all.rounded();
  if (!std::isfinite(rounded)) return 0;
  all.add(-rounded);
  return all.rounded();
}

// ---------------------------------------------------------------- saved

void ExactSum::append_to(SumColumns& columns) const {
  columns.high.push_back(high_);
  columns.low.push_back(low_);
  columns.flags.push_back(
      static_cast<std::uint8_t>((wide_ ? SumColumns::kWide : 0) | (special_ ? SumColumns::kSpecial : 0)));
  if (wide_) columns.limbs.insert(columns.limbs.end(), wide_->limbs().begin(), wide_->limbs().end());
  if (special_)
    for (std::int64_t count : {special_->nan, special_->plus_infinity, special_->minus_infinity})
      columns.specials.push_back(count);
}

ExactSum ExactSum::next_of(SumColumns& columns) {
  ExactSum sum;
  std::size_t i = columns.next++;
  sum.high_ = columns.high[i];
  sum.low_ = columns.low[i];
  if ((columns.flags[i] & SumColumns::kWide) != 0) {
    sum.wide_ = std::make_unique<WideSum>();
    for (std::uint64_t& limb : sum.wide_->limbs()) limb = columns.limbs[columns.next_limb++];
  }
  if ((columns.flags[i] & SumColumns::kSpecial) != 0) {
    auto next = [&] { return columns.specials[columns.next_special++]; };
    sum.special_ = std::make_unique<Special>();
    sum.special_->nan = next();
    sum.special_->plus_infinity = next();
    sum.special_->minus_infinity = next();
  }
  return sum;
}

void SumColumns::save(StateWriter& out) const {
  out.put_numbers(high);
  out.put_numbers(low);
  out.put_numbers(flags);
  out.put_numbers(limbs);
  out.put_numbers(specials);
}

Result<void> SumColumns::load(StateReader& in, std::size_t sums) {
  high = TRY(in.numbers<double>());
  low = TRY(in.numbers<double>());
  flags = TRY(in.numbers<std::uint8_t>());
  limbs = TRY(in.numbers<std::uint64_t>());
  specials = TRY(in.numbers<std::int64_t>());
  std::size_t wide = 0;
  std::size_t special = 0;
  for (std::uint8_t flag : flags) {
    wide += (flag & kWide) != 0 ? 1 : 0;
    special += (flag & kSpecial) != 0 ? 1 : 0;
  }
  bool fits = high.size() == sums && low.size() == sums && flags.size() == sums &&
              limbs.size() == wide * WideSum::kLimbs && specials.size() == special * 3;
  if (!fits) return in.corrupt("another number of sums");
  return {};
}

}  // namespace thalweg
