// llm/index/knn.h
//
// The nearest vectors, exactly: every search looks at all rows (VectorRows::scan).
#pragma once

#include "llm/index/vector_rows.h"

namespace thalweg::llm {

class Knn final : public plan::Index {
 public:
  Knn(Metric metric, std::size_t dimensions) : rows_(metric, dimensions) {}

  Result<void> add(std::uint32_t slot, std::span<const plan::IndexCell> cells) override;
  void remove(std::uint32_t slot) override { rows_.remove(slot); }
  [[nodiscard]] Result<std::vector<plan::IndexHit>> search(std::span<const plan::IndexCell> query, std::size_t limit,
                                                           const plan::IndexScope& scope) override;
  [[nodiscard]] std::uint64_t bytes() const override { return rows_.bytes(); }
  [[nodiscard]] std::string save(std::uint32_t slot) const override { return rows_.save(slot); }
  Result<void> restore(std::uint32_t slot, std::string_view saved) override;

 private:
  VectorRows rows_;
};

}  // namespace thalweg::llm
