#include "engine/operators/temporal/timed_rows.h"

namespace thalweg::operators {

bool TimedRows::usable(const Batch& batch, std::size_t row, SourceSpan where, OperatorContext& context) const {
  bool good = batch.columns[lower_].is_value(row) && batch.columns[upper_].is_value(row);
  for (std::uint32_t column : on_) good = good && batch.columns[column].tag(row) != CellTag::kError;
  if (good) return true;
  if (batch.diff(row) > 0)
    context.report(ErrorKind::kSkipped, "Error value encountered in join condition, skipping the row", where,
                   batch.keys[row]);
  return false;
}

std::uint32_t TimedRows::insert(const Batch& batch, std::size_t row, std::uint32_t group) {
  std::uint32_t id = rows_.insert(batch, row);
  if (groups_.size() <= id) groups_.resize(id + 1);
  groups_[id] = group;
  index_.insert(entry(id));
  if (lower_ != upper_) {
    std::int64_t from = order(id), to = upper(id);
    if (from == axis_.first()) {
      some_unbounded_ = true;
    } else if (axis_.is_float()) {
      double length = float_of_order(to) - float_of_order(from);
      if (length > longest_real_) longest_real_ = length;
    } else if (to > from) {
      std::int64_t length = 0;
      if (__builtin_sub_overflow(to, from, &length)) length = std::numeric_limits<std::int64_t>::max();
      longest_whole_ = std::max(longest_whole_, length);
    }
  }
  return id;
}

std::uint32_t TimedRows::find(const Batch& batch, std::size_t row, std::uint32_t group) const {
  std::int64_t order = axis_.order(batch.columns[lower_], row);
  const Key& key = batch.keys[row];
  std::vector<const Column*> cells;
  for (const Column& column : batch.columns) cells.push_back(&column);
  for (auto at = index_.seek({group, 0, order, key}); at && at->group == group && at->order == order && at->key == key;
       at.next())
    if (rows_.row_equals(at->row, cells, row)) return at->row;
  return kAbsent;
}

void TimedRows::unlink(std::uint32_t row) { ENSURE(index_.erase(entry(row))); }

}  // namespace thalweg::operators
