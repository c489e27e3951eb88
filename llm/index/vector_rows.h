// llm/index/vector_rows.h
//
// The vectors of an index by slot: as floats, and beside them as codes of one byte per dimension, which are read in
// their place wherever a near answer is enough.
//
//   cos   score cos(a, b) - 1; a zero vector is as far as a perpendicular one
//   l2    score -|a - b|²
//   ip    score a·b - 1
//
// V1  How far a code is from its vector is known, so that scan() is exact: it reads codes, and floats only of rows that
//     may be among the best.
// Memory  5 bytes per dimension and slot, 20 more per slot; rows are padded to 32 dimensions.
#pragma once

#include <memory>
#include <vector>

#include "engine/plan/index.h"

namespace thalweg::llm {

enum class Metric : std::uint8_t { kCos, kL2, kIp };

// A vector that is compared with rows.
struct Probe {
  std::vector<float> floats;  // padded; of length 1 for cos
  std::vector<std::int16_t> codes;
  float scale = 0;   // floats ≈ scale · codes
  float error = 0;   // |floats - scale · codes|
  float length = 0;  // |floats|
};

class VectorRows {
 public:
  // `dimensions` 0: those of the first vector, until the index is empty again.
  VectorRows(Metric metric, std::size_t dimensions)
      : metric_(metric), fixed_(dimensions), dimensions_(dimensions), width_(padded(dimensions)) {}

  // A cell as a probe; an error if it is no vector of these dimensions.
  [[nodiscard]] Result<Probe> read(const plan::IndexCell& cell) const;
  // The row of `slot`, which is free. The first row says how wide rows are.
  [[nodiscard]] Result<Probe> add(std::uint32_t slot, const plan::IndexCell& cell);
  void remove(std::uint32_t slot);
  [[nodiscard]] std::string save(std::uint32_t slot) const;
  [[nodiscard]] Result<Probe> restore(std::uint32_t slot, std::string_view saved);

  [[nodiscard]] std::size_t live() const { return live_; }
  [[nodiscard]] std::uint32_t end() const { return static_cast<std::uint32_t>(used_.size()); }
  [[nodiscard]] bool has(std::uint32_t slot) const { return used_[slot] != 0; }
  [[nodiscard]] std::uint64_t bytes() const;
  // Bytes of a saved row.
  [[nodiscard]] std::size_t saved_bytes() const { return dimensions_ * sizeof(float); }

  [[nodiscard]] double score(const Probe& probe, std::uint32_t slot) const;
  // Smaller is nearer; by codes. Between rows and between probes and rows they can be compared.
  [[nodiscard]] float distance(const Probe& probe, std::uint32_t slot) const;
  [[nodiscard]] float distance(std::uint32_t a, std::uint32_t b) const;
  void prefetch(std::uint32_t slot) const;

  // The best `limit` of all rows that the scope admits.
  [[nodiscard]] std::vector<plan::IndexHit> scan(const Probe& probe, std::size_t limit,
                                                 const plan::IndexScope& scope) const;

 private:
  static constexpr std::size_t kBlockRows = 1024;  // rows do not move when the index grows

  struct Free {
    void operator()(float* block) const;
  };
  struct Block {
    std::unique_ptr<float[], Free> floats;
    std::unique_ptr<std::int8_t[]> codes;
    // By row: vector ≈ scale · codes, |vector - scale · codes|, the greater of both lengths, |vector|².
    float scales[kBlockRows] = {}, errors[kBlockRows] = {}, reaches[kBlockRows] = {}, squares[kBlockRows] = {};
  };
  [[nodiscard]] static std::size_t padded(std::size_t dimensions);
  [[nodiscard]] Block& block(std::uint32_t slot) const { return *blocks_[slot / kBlockRows]; }
  [[nodiscard]] float* floats(std::uint32_t slot) const {
    return block(slot).floats.get() + slot % kBlockRows * width_;
  }
  [[nodiscard]] std::int8_t* codes(std::uint32_t slot) const {
    return block(slot).codes.get() + slot % kBlockRows * width_;
  }
  // From products to distances.
  [[nodiscard]] float far(float product, float squares_a, float squares_b) const {
    return metric_ == Metric::kL2 ? squares_a + squares_b - 2 * product : -product;
  }
  void begin_anew_if_empty();
  [[nodiscard]] Probe probe_of(std::vector<float> floats) const;
  void put(std::uint32_t slot, const Probe& probe);
  void scan_block(const Probe& probe, std::uint32_t begin, std::uint32_t count, float* bounds) const;

  const Metric metric_;
  const std::size_t fixed_;
  std::size_t dimensions_;
  std::size_t width_;  // dimensions_ rounded up
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<std::uint8_t> used_;  // by slot
  std::size_t live_ = 0;
};

}  // namespace thalweg::llm
