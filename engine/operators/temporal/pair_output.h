// engine/operators/temporal/pair_output.h
//
// Rows made of a row of each of two stores, either of them absent: collected as numbers, written as columns.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/operators/operator.h"
#include "engine/state/row_store.h"

namespace thalweg::operators {

class PairOutput {
 public:
  static constexpr std::uint32_t kAbsent = 0xFFFFFFFFU;

  // `emit` goes into [columns of left | columns of right | left key | right key | extras of the row].
  PairOutput(const RowStore& left, const RowStore& right, plan::Columns emit, plan::JoinKey key = plan::JoinKey::kPair)
      : left_(left), right_(right), emit_(std::move(emit)), key_(key) {}

  void add(std::uint32_t left, std::uint32_t right, Diff diff, OperatorContext& context) {
    lefts_.push_back(left);
    rights_.push_back(right);
    diffs_.push_back(diff);
    if (lefts_.size() == kChunkRows) flush(context);
  }
  // With what asof joins add: which side the row is of, and its time as column `time` of that side.
  void add_sided(std::uint32_t left, std::uint32_t right, bool is_right, Diff diff, OperatorContext& context) {
    sides_.push_back(is_right ? 1 : 0);
    add(left, right, diff, context);
  }
  void set_times(std::uint32_t left_time, std::uint32_t right_time) {
    left_time_ = left_time;
    right_time_ = right_time;
  }
  // Before rows of the stores are erased, and at the end of a commit.
  void flush(OperatorContext& context);

 private:
  [[nodiscard]] Column cells(const RowStore& store, std::uint32_t column, const std::vector<std::uint32_t>& ids) const;
  [[nodiscard]] Column keys(const RowStore& store, const std::vector<std::uint32_t>& ids) const;
  [[nodiscard]] Column times() const;
  [[nodiscard]] KeyColumn row_keys() const;

  const RowStore& left_;
  const RowStore& right_;
  plan::Columns emit_;
  plan::JoinKey key_;
  std::uint32_t left_time_ = 0, right_time_ = 0;
  std::vector<std::uint32_t> lefts_, rights_;
  std::vector<std::uint8_t> sides_;  // empty, or one per row
  std::vector<Diff> diffs_;
};

}  // namespace thalweg::operators
