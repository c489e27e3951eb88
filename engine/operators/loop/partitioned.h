// engine/operators/loop/partitioned.h
//
// The rows of one round for one port, until the round is run. Many rows are given back in order of a hash, part by
// part, so that what they meet in large tables lies close together; few as they came.
#pragma once

#include <utility>
#include <vector>

#include "engine/types/batch.h"

namespace thalweg {

class Partitioned {
 public:
  void add(Batch batch) {
    staged_rows_ += batch.num_rows;
    staged_.push_back(std::move(batch));
  }
  [[nodiscard]] bool empty() const { return staged_.empty() && cut_.empty(); }
  // Rows gather until cut() is worth its cost.
  [[nodiscard]] bool is_long() const { return staged_rows_ >= kCutRows; }
  // Sorts what was added since by the hashes of these columns.
  void cut(const std::vector<std::uint32_t>& columns);
  // Gives all rows, in pieces.
  template <class Take>
  void drain(const std::vector<std::uint32_t>& columns, Take&& take) {
    if (!cut_.empty()) {
      if (!staged_.empty()) cut(columns);
      for (std::size_t part = 0; part < kParts; ++part)
        for (const Cut& cut : cut_)
          if (cut.begin[part] < cut.begin[part + 1]) take(cut.rows.slice(cut.begin[part], cut.begin[part + 1]));
      cut_.clear();
    }
    for (Batch& batch : staged_) take(std::move(batch));
    staged_.clear();
    staged_rows_ = 0;
  }
  void clear() {
    staged_.clear();
    cut_.clear();
    staged_rows_ = 0;
  }

 private:
  static constexpr std::size_t kCutRows = std::size_t{1} << 17;
  static constexpr unsigned kPartBits = 8;
  static constexpr std::size_t kParts = std::size_t{1} << kPartBits;
  struct Cut {
    Batch rows;
    std::vector<std::uint32_t> begin;  // by part
  };
  std::vector<Batch> staged_;
  std::size_t staged_rows_ = 0;
  std::vector<Cut> cut_;
};

}  // namespace thalweg
