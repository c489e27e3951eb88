#include "engine/expr/merge.h"

#include <cstring>

namespace thalweg::expr {

Merge::Merge(Phys phys, std::size_t rows) : phys_(phys), rows_(rows), bytes_(rows * phys_bytes(phys)) {}

void Merge::tag(std::size_t row, CellTag tag) {
  if (tags_.empty()) tags_.resize(rows_, CellTag::kValue);
  tags_[row] = tag;
}

template <class T>
void Merge::copy_cells(std::span<const std::uint32_t> rows, const Cells<T>& from, bool aligned) {
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::memcpy(bytes_.data() + rows[i] * sizeof(T), &from[aligned ? rows[i] : i], sizeof(T));
}

void Merge::copy(std::span<const std::uint32_t> rows, const Column& from, bool aligned) {
  if (from.has_tags())
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (CellTag t = from.tag(aligned ? rows[i] : i); t != CellTag::kValue) tag(rows[i], t);
  // A column of another layout is one of Nones only; its cells are all tagged.
  if (from.phys() != phys_ || rows.empty()) return;
  switch (phys_) {
    case Phys::kU8: copy_cells(rows, from.u8(), aligned); break;
    case Phys::kI64: copy_cells(rows, from.i64(), aligned); break;
    case Phys::kF64: copy_cells(rows, from.f64(), aligned); break;
    case Phys::kU128: copy_cells(rows, from.u128(), aligned); break;
    case Phys::kView: copy_cells(rows, from.views(), aligned); break;
  }
  heaps_.insert(heaps_.end(), from.heaps().begin(), from.heaps().end());
}

template <class T>
Column Merge::build() {
  std::vector<T> data(rows_);
  if (rows_ > 0) std::memcpy(static_cast<void*>(data.data()), bytes_.data(), rows_ * sizeof(T));
  return Column::from_vector<T>(phys_, std::move(data), std::move(tags_), std::move(heaps_));
}

Column Merge::finish() {
  switch (phys_) {
    case Phys::kU8: return build<std::uint8_t>();
    case Phys::kI64: return build<std::int64_t>();
    case Phys::kF64: return build<double>();
    case Phys::kU128: return build<Key>();
    case Phys::kView: return build<StrView>();
  }
  UNREACHABLE();
}

namespace {

template <class T>
Column select_cells(const Cells<std::uint8_t>& choice, const Cells<T>& yes, const Cells<T>& no, Phys phys,
                    std::size_t rows, std::vector<CellTag> tags, std::vector<HeapRef> heaps) {
  std::vector<T> data(rows);
  for (std::size_t i = 0; i < rows; ++i) data[i] = choice[i] ? yes[i] : no[i];
  return Column::from_vector<T>(phys, std::move(data), std::move(tags), std::move(heaps));
}

}  // namespace

Column select(const Cells<std::uint8_t>& choice, const Column& yes, const Column& no, Phys phys, std::size_t rows) {
  std::vector<CellTag> tags;
  if (yes.has_tags() || no.has_tags()) {
    tags.resize(rows);
    bool any = false;
    for (std::size_t i = 0; i < rows; ++i) {
      tags[i] = (choice[i] ? yes : no).tag(i);
      any |= tags[i] != CellTag::kValue;
    }
    if (!any) tags.clear();
  }
  std::vector<HeapRef> heaps = yes.heaps();
  heaps.insert(heaps.end(), no.heaps().begin(), no.heaps().end());
  switch (phys) {
    case Phys::kU8: return select_cells(choice, yes.u8(), no.u8(), phys, rows, std::move(tags), std::move(heaps));
    case Phys::kI64: return select_cells(choice, yes.i64(), no.i64(), phys, rows, std::move(tags), std::move(heaps));
    case Phys::kF64: return select_cells(choice, yes.f64(), no.f64(), phys, rows, std::move(tags), std::move(heaps));
    case Phys::kU128: return select_cells(choice, yes.u128(), no.u128(), phys, rows, std::move(tags), std::move(heaps));
    case Phys::kView:
      return select_cells(choice, yes.views(), no.views(), phys, rows, std::move(tags), std::move(heaps));
  }
  UNREACHABLE();
}

}  // namespace thalweg::expr
