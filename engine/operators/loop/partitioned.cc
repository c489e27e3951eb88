#include "engine/operators/loop/partitioned.h"

#include <utility>

namespace thalweg {

void Partitioned::cut(const std::vector<std::uint32_t>& columns) {
  Batch rows = Batch::concat(std::exchange(staged_, {}));
  staged_rows_ = 0;
  std::size_t n = rows.num_rows;
  std::vector<std::uint64_t> hashes(n, 0);
  for (std::uint32_t column : columns) rows.columns[column].hash_into(hashes);
  auto part_of = [&](std::size_t row) { return (hashes[row] * 0xD6E8FEB86659FD93ULL) >> (64 - kPartBits); };
  std::vector<std::uint32_t> begin(kParts + 1, 0);
  for (std::size_t row = 0; row < n; ++row) ++begin[part_of(row) + 1];
  for (std::size_t part = 0; part < kParts; ++part) begin[part + 1] += begin[part];
  std::vector<std::uint32_t> next(begin.begin(), begin.end() - 1);
  std::vector<std::uint32_t> order(n);
  for (std::uint32_t row = 0; row < n; ++row) order[next[part_of(row)]++] = row;
  cut_.push_back({rows.gather(order), std::move(begin)});
}

}  // namespace thalweg
