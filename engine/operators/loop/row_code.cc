#include "engine/operators/loop/row_code.h"

#include <bit>

namespace thalweg {

namespace {

std::vector<Type> types_of(const Schema& schema, const plan::Columns& columns) {
  std::vector<Type> types;
  for (std::uint32_t column : columns) types.push_back(schema.columns[column].type);
  return types;
}

}  // namespace

RowCode::RowCode(const Schema& schema, plan::Columns columns, bool with_key)
    : columns_(std::move(columns)), with_key_(with_key), rows_(types_of(schema, columns_), with_key) {
  if (columns_.empty() && !with_key_) return;
  form_ = Form::kStored;
  if (with_key_ || columns_.size() > 1) return;
  phys_ = schema.columns[columns_[0]].type.phys();
  if (phys_ == Phys::kI64 || phys_ == Phys::kF64 || phys_ == Phys::kU8) form_ = Form::kCell;
}

void RowCode::encode_cells(const Column& column, std::vector<RowWord>& words) const {
  std::size_t n = words.size();
  switch (phys_) {
    case Phys::kI64: {
      Cells<std::int64_t> cells = column.i64();
      for (std::size_t i = 0; i < n; ++i) words[i].bits = static_cast<std::uint64_t>(cells[i]);
      break;
    }
    case Phys::kF64: {
      Cells<double> cells = column.f64();
      for (std::size_t i = 0; i < n; ++i) words[i].bits = std::bit_cast<std::uint64_t>(cells[i]);
      break;
    }
    default: {
      Cells<std::uint8_t> cells = column.u8();
      for (std::size_t i = 0; i < n; ++i) words[i].bits = cells[i];
      break;
    }
  }
  if (!column.has_tags()) return;
  for (std::size_t i = 0; i < n; ++i) words[i].tag = column.tag(i);
}

void RowCode::encode(const Batch& batch, std::vector<RowWord>& words) {
  std::size_t n = batch.num_rows;
  words.assign(n, RowWord{});
  if (form_ == Form::kNothing) return;
  if (form_ == Form::kCell) return encode_cells(batch.columns[columns_[0]], words);
  hashes_.assign(n, 0);
  if (with_key_)
    for (std::size_t i = 0; i < n; ++i) hashes_[i] = hash_of_key(batch.keys[i]);
  std::vector<const Column*> cells;
  for (std::uint32_t column : columns_) {
    cells.push_back(&batch.columns[column]);
    batch.columns[column].hash_into(hashes_);
  }
  constexpr std::size_t kAhead = 8;
  for (std::uint32_t row = 0; row < n; ++row) {
    if (row + kAhead < n) index_.prefetch(hashes_[row + kAhead]);
    std::uint32_t id = index_.find(hashes_[row], [&](std::uint32_t other) {
      return (!with_key_ || rows_.key(other) == batch.keys[row]) && rows_.row_equals(other, cells, row);
    });
    if (id == HashIndex::kNoRow) {
      id = rows_.insert(cells, row, with_key_ ? &batch.keys[row] : nullptr);
      index_.insert(hashes_[row], id);
      if (id >= references_.size()) {
        references_.resize(id + 1);
        hash_of_.resize(id + 1);
      }
      references_[id] = 0;
      hash_of_[id] = hashes_[row];
    }
    ++references_[id];
    words[row].bits = id;
  }
}

void RowCode::forget(std::uint32_t id) {
  index_.erase(hash_of_[id], id);
  rows_.erase(id);
}

std::vector<std::uint32_t> RowCode::ids_of(const std::vector<RowWord>& words) const {
  std::vector<std::uint32_t> ids(words.size());
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::uint32_t>(words[i].bits);
  return ids;
}

Column RowCode::decode(std::size_t i, const std::vector<RowWord>& words) const {
  if (form_ == Form::kStored) return rows_.gather(i, ids_of(words));
  std::size_t n = words.size();
  std::vector<CellTag> tags;
  for (std::size_t row = 0; row < n; ++row) {
    if (words[row].tag == CellTag::kValue) continue;
    if (tags.empty()) tags.assign(n, CellTag::kValue);
    tags[row] = words[row].tag;
  }
  auto cells = [&](auto zero) {
    using T = decltype(zero);
    std::vector<T> out(n);
    for (std::size_t row = 0; row < n; ++row) {
      if constexpr (sizeof(T) == sizeof(std::uint64_t))
        out[row] = std::bit_cast<T>(words[row].bits);
      else
        out[row] = static_cast<T>(words[row].bits);
    }
    return Column::from_vector<T>(phys_, std::move(out), std::move(tags));
  };
  if (phys_ == Phys::kI64) return cells(std::int64_t{});
  if (phys_ == Phys::kF64) return cells(double{});
  return cells(std::uint8_t{});
}

KeyColumn RowCode::decode_keys(const std::vector<RowWord>& words) const { return rows_.gather_keys(ids_of(words)); }

}  // namespace thalweg
