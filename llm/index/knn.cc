#include "llm/index/knn.h"

namespace thalweg::llm {

Result<void> Knn::add(std::uint32_t slot, std::span<const plan::IndexCell> cells) {
  (void)TRY(rows_.add(slot, cells[0]));
  return {};
}

Result<std::vector<plan::IndexHit>> Knn::search(std::span<const plan::IndexCell> query, std::size_t limit,
                                                const plan::IndexScope& scope) {
  if (rows_.live() == 0) return std::vector<plan::IndexHit>{};
  const Probe probe = TRY(rows_.read(query[0]));
  return rows_.scan(probe, limit, scope);
}

Result<void> Knn::restore(std::uint32_t slot, std::string_view saved) {
  (void)TRY(rows_.restore(slot, saved));
  return {};
}

}  // namespace thalweg::llm
