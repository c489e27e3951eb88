#include "llm/index/knn.h"

#include <cmath>
#include <cstring>
#include <new>

#include <fmt/format.h>

#include "llm/index/best.h"
#include "llm/index/kernels.h"
#include "llm/index/vector_cell.h"

namespace thalweg::llm {

namespace {

constexpr std::size_t kDimensionsMax = 65536;
constexpr auto kAlignment = std::align_val_t(64);

}  // namespace

void Knn::Free::operator()(float* block) const { ::operator delete[](block, kAlignment); }

Result<void> Knn::read(const plan::IndexCell& cell) {
  TRY(read_vector(cell, vector_));
  if (vector_.empty()) return fail(Code::kBadData, "the vector is empty");
  if (vector_.size() > kDimensionsMax)
    return fail(Code::kTooLarge, fmt::format("the vector has more than {} dimensions", kDimensionsMax));
  if (dimensions_ != 0 && vector_.size() != dimensions_)
    return fail(Code::kBadData,
                fmt::format("the vector has {} dimensions where the index has {}", vector_.size(), dimensions_));
  const std::size_t width = (vector_.size() + kLane - 1) / kLane * kLane;
  vector_.resize(width);
  if (metric_ != Metric::kCos) return {};
  const double length = std::sqrt(static_cast<double>(dot_product(vector_.data(), vector_.data(), width)));
  if (length > 0)
    for (float& number : vector_) number = static_cast<float>(number / length);
  return {};
}

Result<void> Knn::add(std::uint32_t slot, std::span<const plan::IndexCell> cells) {
  begin_anew_if_empty();
  const std::size_t known = dimensions_;
  TRY(read(cells[0]));
  if (known == 0) {
    std::vector<float> as_given;
    TRY(read_vector(cells[0], as_given));
    dimensions_ = as_given.size();
  }
  put(slot);
  return {};
}

// While nothing is in it and nothing was said, the next row says how wide rows are.
void Knn::begin_anew_if_empty() {
  if (live_ != 0 || fixed_ != 0) return;
  dimensions_ = 0;
  blocks_.clear();
}

void Knn::put(std::uint32_t slot) {
  width_ = vector_.size();
  while (blocks_.size() <= slot / kBlockRows) {
    void* memory = ::operator new[](kBlockRows * width_ * sizeof(float), kAlignment);
    std::memset(memory, 0, kBlockRows * width_ * sizeof(float));
    blocks_.emplace_back(static_cast<float*>(memory));
  }
  if (used_.size() <= slot) used_.resize(slot + 1);
  std::memcpy(row(slot), vector_.data(), width_ * sizeof(float));
  used_[slot] = 1;
  ++live_;
}

std::string Knn::save(std::uint32_t slot) const {
  const float* from = blocks_[slot / kBlockRows].get() + slot % kBlockRows * width_;
  return {reinterpret_cast<const char*>(from), dimensions_ * sizeof(float)};
}

Result<void> Knn::restore(std::uint32_t slot, std::string_view saved) {
  begin_anew_if_empty();
  const std::size_t dimensions = saved.size() / sizeof(float);
  if (dimensions == 0 || dimensions > kDimensionsMax || saved.size() % sizeof(float) != 0 ||
      (dimensions_ != 0 && dimensions != dimensions_))
    return fail(Code::kBadData, "a saved row of an index is broken");
  dimensions_ = dimensions;
  vector_.assign((dimensions + kLane - 1) / kLane * kLane, 0);
  std::memcpy(vector_.data(), saved.data(), saved.size());
  put(slot);
  return {};
}

void Knn::remove(std::uint32_t slot) {
  used_[slot] = 0;
  --live_;
}

Result<std::vector<plan::IndexHit>> Knn::search(std::span<const plan::IndexCell> query, std::size_t limit,
                                                const plan::IndexScope& scope) {
  if (live_ == 0) return std::vector<plan::IndexHit>{};
  TRY(read(query[0]));
  Best best(limit, scope);
  for (std::uint32_t slot = 0; slot < used_.size(); ++slot) {
    if (used_[slot] == 0) continue;
    const double score = metric_ == Metric::kL2
                             ? -static_cast<double>(squared_distance(vector_.data(), row(slot), width_))
                             : static_cast<double>(dot_product(vector_.data(), row(slot), width_)) - 1;
    if (best.may_enter(score)) best.offer(slot, score);
  }
  return best.take();
}

std::uint64_t Knn::bytes() const { return blocks_.size() * kBlockRows * width_ * sizeof(float) + used_.size(); }

}  // namespace thalweg::llm
