#include "engine/operators/upsert_events.h"

#include <unordered_map>

#include "engine/io/upsert_marks.h"

namespace thalweg::operators {

namespace {

constexpr std::uint32_t kNoRow = ~std::uint32_t{0};

bool has_unchanged(const Column& column) {
  if (!column.has_tags()) return false;
  for (std::size_t row = 0; row < column.size(); ++row)
    if (column.tag(row) == CellTag::kPending) return true;
  return false;
}

// For every record, the one before it of the same key.
std::vector<std::uint32_t> records_before(const Batch& events, const ClearedShards& cleared) {
  std::vector<std::uint32_t> before(events.num_rows, kNoRow);
  std::unordered_map<Key, std::uint32_t> last;
  for (std::uint32_t row = 0; row < events.num_rows; ++row) {
    if (!cleared.counts(events, row)) continue;
    const auto [at, is_first] = last.try_emplace(events.keys[row], row);
    if (!is_first) before[row] = std::exchange(at->second, row);
  }
  return before;
}

// The cell that an unchanged one stands for.
void append_before(std::size_t column, std::uint32_t row, const Batch& events, const std::vector<std::uint32_t>& before,
                   const ClearedShards& cleared, const KeyedRows& rows, ColumnBuilder& out) {
  const Key& key = events.keys[row];
  for (row = before[row]; row != kNoRow; row = before[row]) {
    if (events.diff(row) < 0) return out.push_error();
    if (events.columns[column].tag(row) != CellTag::kPending) return out.push_cell(events.columns[column], row);
  }
  const auto id = cleared.covers(key) ? std::nullopt : rows.find(key);
  if (!id) return out.push_error();
  rows.rows().append_cell(column, *id, out);
}

}  // namespace

ClearedShards::ClearedShards(const Batch& events) {
  if (!events.diffs) return;
  for (std::uint32_t row = 0; row < events.num_rows; ++row) {
    if (events.diff(row) != kClearShard) continue;
    if (!since_) since_.emplace().fill(0);
    (*since_)[shard_of_key(events.keys[row])] = row + 1;
  }
}

Batch without_unchanged(Batch events, const ClearedShards& cleared, const KeyedRows& rows) {
  std::vector<std::uint32_t> before;
  for (std::size_t column = 0; column < events.columns.size(); ++column) {
    if (!has_unchanged(events.columns[column])) continue;
    if (before.empty()) before = records_before(events, cleared);
    ColumnBuilder out(events.columns[column].phys(), events.num_rows);
    for (std::uint32_t row = 0; row < events.num_rows; ++row) {
      if (events.columns[column].tag(row) != CellTag::kPending)
        out.push_cell(events.columns[column], row);
      else
        append_before(column, row, events, before, cleared, rows, out);
    }
    events.columns[column] = out.finish();
  }
  return events;
}

}  // namespace thalweg::operators
