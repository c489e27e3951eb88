// engine/operators/temporal/timed_rows.h
//
// The rows of one side of a join in time: stored in columns, ordered by group, time and key.
//
// T1  A row taken out of the order stays readable until erase(): retractions of this commit still need its cells.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "engine/operators/operator.h"
#include "engine/operators/temporal/time_axis.h"
#include "engine/state/group_ids.h"
#include "engine/state/ordered_index.h"
#include "engine/state/row_store.h"

namespace thalweg::operators {

class TimedRows {
 public:
  static constexpr std::uint32_t kAbsent = 0xFFFFFFFFU;

  TimedRows(const Schema& schema, plan::Columns on, std::uint32_t lower, std::uint32_t upper)
      : rows_(types_of(schema), true),
        on_(std::move(on)),
        lower_(lower),
        upper_(upper),
        axis_(schema.columns[lower].type) {}

  [[nodiscard]] const RowStore& rows() const { return rows_; }
  [[nodiscard]] const OrderedIndex<>& index() const { return index_; }
  [[nodiscard]] const TimeAxis& axis() const { return axis_; }
  [[nodiscard]] const plan::Columns& on() const { return on_; }
  [[nodiscard]] std::uint32_t group(std::uint32_t row) const { return groups_[row]; }
  // The row's time, and the end of its range.
  [[nodiscard]] std::int64_t order(std::uint32_t row) const { return order_in(lower_, row); }
  [[nodiscard]] std::int64_t upper(std::uint32_t row) const {
    return upper_ == lower_ ? order(row) : order_in(upper_, row);
  }
  // The same of a row of a batch. Requires: usable.
  [[nodiscard]] std::int64_t order(const Batch& batch, std::size_t row) const {
    return axis_.order(batch.columns[lower_], row);
  }
  [[nodiscard]] std::int64_t upper(const Batch& batch, std::size_t row) const {
    return axis_.order(batch.columns[upper_], row);
  }
  [[nodiscard]] OrderedEntry entry(std::uint32_t row) const { return {groups_[row], row, order(row), rows_.key(row)}; }
  [[nodiscard]] std::uint32_t end() const { return rows_.end(); }

  // False for a row that cannot take part: ERROR where time or keys should be. Reported if it is an insertion.
  [[nodiscard]] bool usable(const Batch& batch, std::size_t row, SourceSpan where, OperatorContext& context) const;

  std::uint32_t insert(const Batch& batch, std::size_t row, std::uint32_t group);
  // A row with these very cells, or kAbsent.
  [[nodiscard]] std::uint32_t find(const Batch& batch, std::size_t row, std::uint32_t group) const;
  void unlink(std::uint32_t row);
  void erase(std::uint32_t row) { rows_.erase(row); }
  void compact() { rows_.compact_if_worthwhile(); }

  // Calls f(row) for every row of the group whose range meets [lower, upper].
  template <class F>
  void for_each_overlap(std::uint32_t group, std::int64_t lower, std::int64_t upper, F&& f) const {
    if (upper < lower) return;
    if (some_unbounded_)
      for (auto at = index_.seek(first_of(group, axis_.first()));
           at && at->group == group && at->order == axis_.first(); at.next())
        if (this->upper(at->row) >= lower) f(at->row);
    for (auto at = index_.seek(first_of(group, seek_from(lower))); at && at->group == group && at->order <= upper;
         at.next())
      if (lower_ == upper_ || (this->upper(at->row) >= lower && this->upper(at->row) >= at->order)) f(at->row);
  }

  [[nodiscard]] std::size_t bytes() const {
    return rows_.bytes() + index_.bytes() + groups_.capacity() * sizeof(std::uint32_t);
  }

 private:
  static std::vector<Type> types_of(const Schema& schema) {
    std::vector<Type> types;
    for (const ColumnSpec& column : schema.columns) types.push_back(column.type);
    return types;
  }
  [[nodiscard]] std::int64_t order_in(std::uint32_t column, std::uint32_t row) const {
    return axis_.is_float() ? order_of_float(rows_.cell<double>(column, row)) : rows_.cell<std::int64_t>(column, row);
  }
  // No range that reaches `lower` begins before this.
  [[nodiscard]] std::int64_t seek_from(std::int64_t lower) const {
    if (lower_ == upper_) return lower;
    TimeLength length{longest_whole_, longest_real_};
    std::int64_t from = axis_.minus(lower, length);
    if (axis_.is_float())
      from = order_of_float(std::nextafter(float_of_order(from), -std::numeric_limits<double>::infinity()));
    return some_unbounded_ ? std::max(from, axis_.first() + 1) : from;
  }

  RowStore rows_;
  OrderedIndex<> index_;
  plan::Columns on_;
  std::uint32_t lower_, upper_;
  TimeAxis axis_;
  std::vector<std::uint32_t> groups_;  // by row
  std::int64_t longest_whole_ = 0;     // of all ranges seen that have a beginning
  double longest_real_ = 0;
  bool some_unbounded_ = false;  // ranges from the first time on were seen: they are looked for apart
};

}  // namespace thalweg::operators
