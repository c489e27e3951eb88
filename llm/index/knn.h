// llm/index/knn.h
//
// The nearest vectors, exactly: every search looks at all rows, one pass over a matrix of floats.
//
//   cos   score cos(a, b) - 1; a zero vector is as far as a perpendicular one
//   l2    score -|a - b|²
//   ip    score a·b - 1
//
// Memory  4 bytes per dimension and slot, rows padded to 64 bytes.
#pragma once

#include <memory>
#include <vector>

#include "engine/plan/index.h"

namespace thalweg::llm {

enum class Metric : std::uint8_t { kCos, kL2, kIp };

class Knn final : public plan::Index {
 public:
  // `dimensions` 0: those of the first vector, until the index is empty again.
  Knn(Metric metric, std::size_t dimensions) : metric_(metric), fixed_(dimensions), dimensions_(dimensions) {}

  Result<void> add(std::uint32_t slot, std::span<const plan::IndexCell> cells) override;
  void remove(std::uint32_t slot) override;
  [[nodiscard]] Result<std::vector<plan::IndexHit>> search(std::span<const plan::IndexCell> query, std::size_t limit,
                                                           const plan::IndexScope& scope) override;
  [[nodiscard]] std::uint64_t bytes() const override;
  [[nodiscard]] std::string save(std::uint32_t slot) const override;
  Result<void> restore(std::uint32_t slot, std::string_view saved) override;

 private:
  static constexpr std::size_t kLane = 16;         // floats
  static constexpr std::size_t kBlockRows = 1024;  // rows do not move when the matrix grows

  struct Free {
    void operator()(float* block) const;
  };
  [[nodiscard]] float* row(std::uint32_t slot) { return blocks_[slot / kBlockRows].get() + slot % kBlockRows * width_; }
  void begin_anew_if_empty();
  void put(std::uint32_t slot);  // vector_ as its row
  // Reads a cell into `vector_`, as wide as a row; normalised for cos.
  Result<void> read(const plan::IndexCell& cell);

  const Metric metric_;
  const std::size_t fixed_;
  std::size_t dimensions_;
  std::size_t width_ = 0;  // dimensions_ rounded up
  std::vector<std::unique_ptr<float[], Free>> blocks_;
  std::vector<std::uint8_t> used_;  // by slot
  std::size_t live_ = 0;
  std::vector<float> vector_;
};

}  // namespace thalweg::llm
