#include "llm/index/vector_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include <fmt/format.h>

#include "llm/index/best.h"
#include "llm/index/vector_cell.h"
#include "llm/kernels/kernels.h"

namespace thalweg::llm {

namespace {

constexpr std::size_t kDimensionsMax = 65536;
constexpr auto kAlignment = std::align_val_t(64);
constexpr float kCodeMax = 127;

// The finest codes of a probe whose products with the codes of a row stay within 32 bits.
float probe_code_max(std::size_t width) {
  return std::min(32767.0F, std::floor(2147483647.0F / (kCodeMax + 1) / static_cast<float>(width)) - 1);
}

float most_of(std::span<const float> floats) {
  float most = 0;
  for (const float number : floats) most = std::max(most, std::abs(number));
  return most;
}

// What the rounding of sums can hide, as a part of the lengths.
float slack(std::size_t width) { return 1e-6F + static_cast<float>(width) * 4e-9F; }

}  // namespace

void VectorRows::Free::operator()(float* block) const { ::operator delete[](block, kAlignment); }

std::size_t VectorRows::padded(std::size_t dimensions) { return (dimensions + kCodeLane - 1) / kCodeLane * kCodeLane; }

Result<Probe> VectorRows::read(const plan::IndexCell& cell) const {
  std::vector<float> floats;
  TRY(read_vector(cell, floats));
  if (floats.empty()) return fail(Code::kBadData, "the vector is empty");
  if (floats.size() > kDimensionsMax)
    return fail(Code::kTooLarge, fmt::format("the vector has more than {} dimensions", kDimensionsMax));
  if (dimensions_ != 0 && floats.size() != dimensions_)
    return fail(Code::kBadData,
                fmt::format("the vector has {} dimensions where the index has {}", floats.size(), dimensions_));
  const std::size_t width = padded(floats.size());
  floats.resize(width);
  if (metric_ == Metric::kCos) {
    const double length = std::sqrt(static_cast<double>(dot_product(floats.data(), floats.data(), width)));
    if (length > 0)
      for (float& number : floats) number = static_cast<float>(number / length);
  }
  return probe_of(std::move(floats));
}

Probe VectorRows::probe_of(std::vector<float> floats) const {
  Probe out;
  out.floats = std::move(floats);
  const std::size_t width = out.floats.size();
  out.codes.resize(width);
  const float most = most_of(out.floats);
  out.length = std::sqrt(dot_product(out.floats.data(), out.floats.data(), width));
  if (!(most > 0)) return out;
  out.scale = most / probe_code_max(width);
  double error = 0;
  for (std::size_t i = 0; i < width; ++i) {
    const float code = std::round(out.floats[i] / out.scale);
    out.codes[i] = static_cast<std::int16_t>(code);
    error += std::pow(static_cast<double>(out.floats[i]) - static_cast<double>(out.scale) * code, 2);
  }
  out.error = static_cast<float>(std::sqrt(error));
  return out;
}

Result<Probe> VectorRows::add(std::uint32_t slot, const plan::IndexCell& cell) {
  begin_anew_if_empty();
  Probe probe = TRY(read(cell));
  if (dimensions_ == 0) {
    std::vector<float> as_given;
    TRY(read_vector(cell, as_given));
    dimensions_ = as_given.size();
    width_ = padded(dimensions_);
  }
  put(slot, probe);
  return probe;
}

// While nothing is in it and nothing was said, the next row says how wide rows are.
void VectorRows::begin_anew_if_empty() {
  if (live_ != 0 || fixed_ != 0) return;
  dimensions_ = 0;
  blocks_.clear();
}

void VectorRows::put(std::uint32_t slot, const Probe& probe) {
  while (blocks_.size() <= slot / kBlockRows) {
    auto fresh = std::make_unique<Block>();
    const std::size_t size = kBlockRows * width_;
    fresh->floats.reset(static_cast<float*>(::operator new[](size * sizeof(float), kAlignment)));
    std::memset(fresh->floats.get(), 0, size * sizeof(float));
    fresh->codes = std::make_unique<std::int8_t[]>(size);
    blocks_.push_back(std::move(fresh));
  }
  if (used_.size() <= slot) used_.resize(slot + 1);
  used_[slot] = 1;
  ++live_;
  std::memcpy(floats(slot), probe.floats.data(), width_ * sizeof(float));
  Block& to = block(slot);
  const std::size_t row = slot % kBlockRows;
  const float scale = most_of(probe.floats) / kCodeMax;
  std::int8_t* const code = codes(slot);
  double error = 0, length = 0;
  for (std::size_t i = 0; i < width_; ++i) {
    code[i] = static_cast<std::int8_t>(scale > 0 ? std::round(probe.floats[i] / scale) : 0.0F);
    const double stands_for = static_cast<double>(scale) * code[i];
    error += std::pow(static_cast<double>(probe.floats[i]) - stands_for, 2);
    length += stands_for * stands_for;
  }
  to.scales[row] = scale;
  to.errors[row] = static_cast<float>(std::sqrt(error));
  to.reaches[row] = std::max(probe.length, static_cast<float>(std::sqrt(length)));
  to.squares[row] = probe.length * probe.length;
}

std::string VectorRows::save(std::uint32_t slot) const {
  return {reinterpret_cast<const char*>(floats(slot)), saved_bytes()};
}

Result<Probe> VectorRows::restore(std::uint32_t slot, std::string_view saved) {
  begin_anew_if_empty();
  const std::size_t dimensions = saved.size() / sizeof(float);
  if (dimensions == 0 || dimensions > kDimensionsMax || saved.size() % sizeof(float) != 0 ||
      (dimensions_ != 0 && dimensions != dimensions_))
    return fail(Code::kBadData, "a saved row of an index is broken");
  std::vector<float> floats(padded(dimensions));
  std::memcpy(floats.data(), saved.data(), saved.size());
  if (!std::ranges::all_of(floats, [](float number) { return std::isfinite(number); }))
    return fail(Code::kBadData, "a saved row of an index is broken");
  dimensions_ = dimensions;
  width_ = padded(dimensions);
  Probe probe = probe_of(std::move(floats));
  put(slot, probe);
  return probe;
}

void VectorRows::remove(std::uint32_t slot) {
  used_[slot] = 0;
  --live_;
}

double VectorRows::score(const Probe& probe, std::uint32_t slot) const {
  return metric_ == Metric::kL2 ? -static_cast<double>(squared_distance(probe.floats.data(), floats(slot), width_))
                                : static_cast<double>(dot_product(probe.floats.data(), floats(slot), width_)) - 1;
}

float VectorRows::distance(const Probe& probe, std::uint32_t slot) const {
  const Block& of = block(slot);
  const std::size_t row = slot % kBlockRows;
  const auto dot = static_cast<float>(dot_codes(of.codes.get() + row * width_, probe.codes.data(), width_));
  return far(probe.scale * of.scales[row] * dot, probe.length * probe.length, of.squares[row]);
}

float VectorRows::distance(std::uint32_t a, std::uint32_t b) const {
  const Block &of_a = block(a), &of_b = block(b);
  const std::size_t row_a = a % kBlockRows, row_b = b % kBlockRows;
  const auto dot =
      static_cast<float>(dot_codes(of_a.codes.get() + row_a * width_, of_b.codes.get() + row_b * width_, width_));
  return far(of_a.scales[row_a] * of_b.scales[row_b] * dot, of_a.squares[row_a], of_b.squares[row_b]);
}

void VectorRows::prefetch(std::uint32_t slot) const {
  constexpr std::size_t kLine = 64, kLinesMax = 8;  // the rest comes by itself
  const std::int8_t* const from = codes(slot);
  for (std::size_t at = 0; at < std::min(width_, kLine * kLinesMax); at += kLine) __builtin_prefetch(from + at);
}

// What no score of a row can be above.
void VectorRows::scan_block(const Probe& probe, std::uint32_t begin, std::uint32_t count, float* bounds) const {
  const Block& of = block(begin);
  std::int32_t dots[kBlockRows];
  dot_code_rows(of.codes.get(), count, probe.codes.data(), width_, dots);
  const float rounding = slack(width_);
  upper_bounds(dots, of.scales, of.errors, of.reaches, count,
               {probe.scale, probe.length, probe.error + rounding * probe.length}, bounds);
  const float own = probe.length * probe.length;
  for (std::uint32_t i = 0; i < count; ++i)
    bounds[i] =
        metric_ == Metric::kL2 ? 2 * bounds[i] - (own + of.squares[i]) * (1 - 4 * rounding) : bounds[i] - 1 + 1e-6F;
}

std::vector<plan::IndexHit> VectorRows::scan(const Probe& probe, std::size_t limit,
                                             const plan::IndexScope& scope) const {
  Best best(limit, scope);
  if (limit == 0) return {};
  float bounds[kBlockRows];
  for (std::uint32_t begin = 0; begin < end(); begin += kBlockRows) {
    const std::uint32_t count = std::min<std::uint32_t>(kBlockRows, end() - begin);
    if (begin / kBlockRows >= blocks_.size()) break;
    scan_block(probe, begin, count, bounds);
    for (std::uint32_t i = 0; i < count; ++i) {
      if (!best.may_enter(bounds[i]) || used_[begin + i] == 0 || !scope.admits(begin + i)) continue;
      const double exact = score(probe, begin + i);
      if (best.may_enter(exact)) best.offer_admitted(begin + i, exact);
    }
  }
  return best.take();
}

std::uint64_t VectorRows::bytes() const {
  return blocks_.size() * (kBlockRows * width_ * (sizeof(float) + 1) + sizeof(Block)) + used_.size();
}

}  // namespace thalweg::llm
