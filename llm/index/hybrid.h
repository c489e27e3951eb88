// llm/index/hybrid.h
//
// Several indexes over the same rows, fused by reciprocal rank: each is asked for the best `limit`, and a row scores
// the sum of 1 / (k + rank) over the answers it is in, ranks from 1.
#pragma once

#include <memory>
#include <vector>

#include "engine/plan/index.h"

namespace thalweg::llm {

class Hybrid final : public plan::Index {
 public:
  struct Part {
    std::unique_ptr<plan::Index> index;
    std::size_t cells = 1;  // how many of the cells are its own
  };
  Hybrid(std::vector<Part> parts, double k) : parts_(std::move(parts)), k_(k) {}

  Result<void> add(std::uint32_t slot, std::span<const plan::IndexCell> cells) override;
  void remove(std::uint32_t slot) override;
  [[nodiscard]] Result<std::vector<plan::IndexHit>> search(std::span<const plan::IndexCell> query, std::size_t limit,
                                                           const plan::IndexScope& scope) override;
  [[nodiscard]] std::uint64_t bytes() const override;
  [[nodiscard]] std::string save(std::uint32_t slot) const override;
  Result<void> restore(std::uint32_t slot, std::string_view saved) override;

 private:
  std::vector<Part> parts_;
  const double k_;
};

}  // namespace thalweg::llm
