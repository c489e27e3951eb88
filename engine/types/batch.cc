#include "engine/types/batch.h"

#include <algorithm>
#include <bit>

namespace thalweg {

Key sequence_key(std::uint64_t source, std::uint64_t index) { return key_of_part(Key{source, source}, index); }

KeyColumn KeyColumn::materialised(std::size_t rows) const {
  if (!is_sequence_) return *this;
  std::vector<Key> keys(rows);
  for (std::size_t i = 0; i < rows; ++i) keys[i] = sequence_key(source_, first_ + i);
  return KeyColumn(std::move(keys));
}

KeyColumn KeyColumn::gather(std::span<const std::uint32_t> rows) const {
  if (absent()) return {};
  std::vector<Key> keys(rows.size());
  if (is_sequence_) {
    for (std::size_t i = 0; i < rows.size(); ++i) keys[i] = sequence_key(source_, first_ + rows[i]);
  } else {
    for (std::size_t i = 0; i < rows.size(); ++i) keys[i] = (*this)[rows[i]];
  }
  return KeyColumn(std::move(keys));
}

KeyColumn KeyColumn::slice(std::size_t begin, std::size_t /*end*/) const {
  KeyColumn part = *this;
  if (is_sequence_)
    part.first_ += begin;
  else
    part.offset_ += begin;
  return part;
}

Column KeyColumn::as_column(std::size_t rows) const {
  KeyColumn written_out = materialised(rows);
  std::vector<Key> keys(rows);
  for (std::size_t i = 0; i < rows; ++i) keys[i] = written_out[i];
  return Column::from_vector<Key>(Phys::kU128, std::move(keys));
}

Batch Batch::gather(std::span<const std::uint32_t> rows) const {
  Batch out;
  out.num_rows = rows.size();
  out.order = order;
  out.columns.reserve(columns.size());
  for (const Column& column : columns) out.columns.push_back(column.gather(rows));
  out.keys = keys.gather(rows);
  if (diffs) {
    std::vector<Diff> picked(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) picked[i] = (*diffs)[rows[i]];
    out.set_diffs(std::move(picked));
  }
  return out;
}

Batch Batch::slice(std::size_t begin, std::size_t end) const {
  Batch out;
  out.num_rows = end - begin;
  out.order = order;
  out.columns.reserve(columns.size());
  for (const Column& column : columns) out.columns.push_back(column.slice(begin, end));
  out.keys = keys.slice(begin, end);
  if (diffs)
    out.set_diffs(
        {diffs->begin() + static_cast<std::ptrdiff_t>(begin), diffs->begin() + static_cast<std::ptrdiff_t>(end)});
  return out;
}

bool Batch::row_has_error(std::size_t row) const {
  return std::ranges::any_of(columns, [row](const Column& column) { return column.tag(row) == CellTag::kError; });
}

Batch Batch::concat(std::vector<Batch> parts) {
  if (parts.size() == 1) return std::move(parts[0]);
  Batch out;
  if (parts.empty()) return out;
  bool any_diffs = false;
  bool has_keys = !parts[0].keys.absent();
  for (Batch& part : parts) {
    out.num_rows += part.num_rows;
    any_diffs |= part.diffs != nullptr;
    if (has_keys) part.materialise_keys();
  }
  for (std::size_t c = 0; c < parts[0].columns.size(); ++c) {
    std::vector<Column> columns;
    columns.reserve(parts.size());
    for (const Batch& part : parts) columns.push_back(part.columns[c]);
    out.columns.push_back(Column::concat(columns));
  }
  if (has_keys) {
    std::vector<Key> keys;
    keys.reserve(out.num_rows);
    for (const Batch& part : parts)
      for (std::size_t i = 0; i < part.num_rows; ++i) keys.push_back(part.keys[i]);
    out.keys = KeyColumn(std::move(keys));
  }
  if (any_diffs) {
    std::vector<Diff> diffs;
    diffs.reserve(out.num_rows);
    for (const Batch& part : parts)
      for (std::size_t i = 0; i < part.num_rows; ++i) diffs.push_back(part.diff(i));
    out.set_diffs(std::move(diffs));
  }
  return out;
}

BatchBuilder::BatchBuilder(const Schema& schema) : schema_(schema) {
  for (const ColumnSpec& column : schema_.columns) builders_.emplace_back(column.type);
}

void BatchBuilder::push(const Key& key, std::span<const Value> row, Diff diff) {
  ENSURE(row.size() == builders_.size());
  for (std::size_t i = 0; i < row.size(); ++i) builders_[i].push_value(schema_.columns[i].type, row[i]);
  keys_.push_back(key);
  diffs_.push_back(diff);
  any_retraction_ |= diff != 1;
}

Batch BatchBuilder::finish() {
  Batch batch;
  batch.num_rows = keys_.size();
  for (ColumnBuilder& builder : builders_) batch.columns.push_back(builder.finish());
  batch.keys = KeyColumn(std::move(keys_));
  if (any_retraction_) batch.set_diffs(std::move(diffs_));
  keys_ = {};
  diffs_ = {};
  any_retraction_ = false;
  return batch;
}

namespace {

bool rows_equal(const Batch& batch, std::uint32_t a, std::uint32_t b) {
  if (!batch.keys.absent() && batch.keys[a] != batch.keys[b]) return false;
  return std::ranges::all_of(batch.columns,
                             [&](const Column& column) { return Column::cells_equal(column, a, column, b); });
}

// Adds up the diffs of equal rows into the first of each. Says whether any row has an equal one before it.
bool add_up(const Batch& batch, std::span<const std::uint64_t> hashes, std::vector<Diff>& totals) {
  constexpr std::uint32_t kFree = 0xFFFFFFFFU;
  constexpr std::size_t kAhead = 16;
  std::size_t n = batch.num_rows;
  std::vector<std::uint32_t> slots(std::bit_ceil(n * 2), kFree);  // rows, by open addressing
  const std::size_t mask = slots.size() - 1;
  auto home = [&](std::size_t row) { return (hashes[row] * 0x9E3779B97F4A7C15ULL >> 20) & mask; };
  bool any = false;
  for (std::uint32_t row = 0; row < n; ++row) {
    if (row + kAhead < n) __builtin_prefetch(&slots[home(row + kAhead)]);
    std::size_t at = home(row);
    while (slots[at] != kFree && (hashes[slots[at]] != hashes[row] || !rows_equal(batch, slots[at], row)))
      at = (at + 1) & mask;
    any |= slots[at] != kFree;
    if (slots[at] == kFree) slots[at] = row;
    totals[slots[at]] += batch.diff(row);
  }
  return any;
}

}  // namespace

Batch consolidate(const Batch& input) {
  if (input.num_rows == 0) return input;
  Batch batch = input;
  batch.materialise_keys();
  std::size_t n = batch.num_rows;
  std::vector<std::uint64_t> hashes(n);
  for (std::size_t i = 0; i < n; ++i) hashes[i] = batch.keys.absent() ? 0 : hash_of_key(batch.keys[i]);
  for (const Column& column : batch.columns) column.hash_into(hashes);

  std::vector<Diff> totals(n, 0);
  bool changed = add_up(batch, hashes, totals);
  if (!changed && !batch.diffs) return batch;

  std::vector<std::uint32_t> kept;
  for (bool deletions : {true, false})
    for (std::uint32_t row = 0; row < n; ++row)
      if (totals[row] != 0 && (totals[row] < 0) == deletions) kept.push_back(row);
  Batch out = batch.gather(kept);
  std::vector<Diff> diffs(kept.size());
  bool all_one = true;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    diffs[i] = totals[kept[i]];
    all_one &= diffs[i] == 1;
  }
  out.diffs = nullptr;
  if (!all_one) out.set_diffs(std::move(diffs));
  return out;
}

}  // namespace thalweg
