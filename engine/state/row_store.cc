#include "engine/state/row_store.h"

#include <algorithm>
#include <atomic>

#include "engine/types/encoding.h"

namespace thalweg {

RowStore::RowStore(std::vector<Type> types, bool with_keys)
    : types_(std::move(types)), with_keys_(with_keys), heap_(std::make_shared<StringHeap>()) {
  has_texts_ = std::ranges::any_of(types_, [](const Type& type) { return type.phys() == Phys::kView; });
}

std::size_t RowStore::bytes() const {
  std::size_t row = with_keys_ ? sizeof(Key) : 0;
  for (const Type& type : types_) row += phys_bytes(type.phys());
  return segments_.size() * kSegmentRows * row + heap_->bytes() + free_.capacity() * sizeof(std::uint32_t);
}

void RowStore::add_segment() {
  auto segment = std::make_shared<Segment>();
  for (const Type& type : types_) {
    std::size_t width = phys_bytes(type.phys());
    segment->columns.push_back({width, std::make_shared_for_overwrite<char[]>(width * kSegmentRows), nullptr});
  }
  if (with_keys_) segment->keys = std::make_shared_for_overwrite<Key[]>(kSegmentRows);
  segments_.push_back(std::move(segment));
}

RowStore::Segment& RowStore::writable(std::uint32_t id) {
  SegmentRef& ref = segments_[id >> kSegmentBits];
  if (ref.use_count() == 1) {
    std::atomic_thread_fence(std::memory_order_acquire);  // pairs with the release of the reader that let go of it
    return *ref;
  }
  // A reader holds it: R3.
  auto copy = std::make_shared<Segment>();
  copy->alive = ref->alive;
  for (const Cellblock& block : ref->columns) {
    Cellblock mine{block.width, std::make_shared_for_overwrite<char[]>(block.width * kSegmentRows), nullptr};
    std::memcpy(mine.data.get(), block.data.get(), block.width * kSegmentRows);
    if (block.tags) {
      mine.tags = std::make_shared_for_overwrite<std::uint8_t[]>(kSegmentRows);
      std::memcpy(mine.tags.get(), block.tags.get(), kSegmentRows);
    }
    copy->columns.push_back(std::move(mine));
  }
  if (ref->keys) {
    copy->keys = std::make_shared_for_overwrite<Key[]>(kSegmentRows);
    std::memcpy(static_cast<void*>(copy->keys.get()), ref->keys.get(), sizeof(Key) * kSegmentRows);
  }
  ref = std::move(copy);
  return *ref;
}

StrView RowStore::own(StrView view) {
  if (view.is_inline()) return view;
  return StrView(heap_->store(view.view()));
}

void RowStore::write_cell(Cellblock& block, std::uint32_t slot, const Column& from, std::size_t row) {
  CellTag tag = from.tag(row);
  if (tag != CellTag::kValue && !block.tags) block.tags = std::make_shared<std::uint8_t[]>(kSegmentRows);
  if (block.tags) block.tags[slot] = static_cast<std::uint8_t>(tag);
  char* to = block.data.get() + slot * block.width;
  if (tag != CellTag::kValue) {
    std::memset(to, 0, block.width);
    return;
  }
  switch (from.phys()) {
    case Phys::kU8: *reinterpret_cast<std::uint8_t*>(to) = from.u8()[row]; return;
    case Phys::kI64: *reinterpret_cast<std::int64_t*>(to) = from.i64()[row]; return;
    case Phys::kF64: *reinterpret_cast<double*>(to) = from.f64()[row]; return;
    case Phys::kU128: *reinterpret_cast<Key*>(to) = from.u128()[row]; return;
    case Phys::kView: *reinterpret_cast<StrView*>(to) = own(from.views()[row]); return;
  }
}

std::uint32_t RowStore::insert(std::span<const Column* const> columns, std::size_t row, const Key* key) {
  std::uint32_t id;
  if (!free_.empty()) {
    id = free_.back();
    free_.pop_back();
  } else {
    if ((next_ >> kSegmentBits) == segments_.size()) add_segment();
    id = next_++;
    ENSURE(next_ != 0xFFFFFFFFU);
  }
  Segment& segment = writable(id);
  for (std::size_t c = 0; c < columns.size(); ++c) write_cell(segment.columns[c], at(id), *columns[c], row);
  if (with_keys_) segment.keys[at(id)] = *key;
  segment.alive[at(id)] = 1;
  ++live_;
  return id;
}

// Of one segment: plain cells as a block.
void RowStore::write_cells(Cellblock& block, std::uint32_t slot, const Column& from, std::size_t row, std::size_t n) {
  auto copy = [&](const auto& cells) {
    if (cells.mask == 0) return false;
    std::memcpy(block.data.get() + slot * block.width, cells.data + row, n * block.width);
    return true;
  };
  bool copied = false;
  if (!from.has_tags() && !block.tags) {
    switch (from.phys()) {
      case Phys::kU8: copied = copy(from.u8()); break;
      case Phys::kI64: copied = copy(from.i64()); break;
      case Phys::kF64: copied = copy(from.f64()); break;
      case Phys::kU128: copied = copy(from.u128()); break;
      case Phys::kView: break;  // long texts move to the heap of the store
    }
  }
  if (copied) return;
  for (std::size_t i = 0; i < n; ++i) write_cell(block, slot + static_cast<std::uint32_t>(i), from, row + i);
}

void RowStore::insert_all(std::span<const Column* const> columns, std::size_t n, const KeyColumn* keys,
                          std::vector<std::uint32_t>& ids) {
  ids.clear();
  ids.reserve(n);
  std::size_t row = 0;
  while (row < n && !free_.empty()) {
    ids.push_back(insert(columns, row, with_keys_ ? &(*keys)[row] : nullptr));
    ++row;
  }
  while (row < n) {
    if ((next_ >> kSegmentBits) == segments_.size()) add_segment();
    std::size_t room = std::min<std::size_t>(n - row, kSegmentRows - at(next_));
    ENSURE(next_ < 0xFFFFFFFFU - room);
    Segment& segment = writable(next_);
    for (std::size_t c = 0; c < columns.size(); ++c) write_cells(segment.columns[c], at(next_), *columns[c], row, room);
    if (with_keys_) std::copy_n(&(*keys)[row], room, &segment.keys[at(next_)]);
    std::fill_n(segment.alive.begin() + at(next_), room, std::uint8_t{1});
    for (std::size_t i = 0; i < room; ++i) ids.push_back(next_ + static_cast<std::uint32_t>(i));
    next_ += static_cast<std::uint32_t>(room);
    live_ += room;
    row += room;
  }
}

std::uint32_t RowStore::insert(const Batch& batch, std::size_t row) {
  const Column* columns[64];
  std::vector<const Column*> many;
  std::span<const Column*> list;
  if (batch.columns.size() <= 64) {
    list = std::span(columns, batch.columns.size());
  } else {
    many.resize(batch.columns.size());
    list = many;
  }
  for (std::size_t c = 0; c < batch.columns.size(); ++c) list[c] = &batch.columns[c];
  return insert(list, row, with_keys_ ? &batch.keys[row] : nullptr);
}

void RowStore::erase(std::uint32_t id) {
  if (has_texts_) {
    for (std::size_t c = 0; c < types_.size(); ++c) {
      if (types_[c].phys() != Phys::kView || tag(c, id) != CellTag::kValue) continue;
      const StrView& view = cell<StrView>(c, id);
      if (!view.is_inline()) dead_text_bytes_ += view.size();
    }
  }
  Segment& segment = writable(id);
  segment.alive[at(id)] = 0;
  if (has_texts_) {  // a dead slot must not look like a long text to compaction
    for (std::size_t c = 0; c < types_.size(); ++c)
      if (types_[c].phys() == Phys::kView)
        reinterpret_cast<StrView*>(segment.columns[c].data.get())[at(id)] = StrView();
  }
  free_.push_back(id);
  --live_;
}

void RowStore::compact_if_worthwhile() {
  constexpr std::size_t kDeadBytesMin = 1 << 20;
  if (live_ == 0 && next_ != 0) {
    segments_.clear();
    free_.clear();
    next_ = 0;
    heap_ = std::make_shared<StringHeap>();
    dead_text_bytes_ = 0;
    return;
  }
  if (dead_text_bytes_ < kDeadBytesMin || dead_text_bytes_ * 2 < heap_->bytes()) return;
  heap_ = std::make_shared<StringHeap>();
  dead_text_bytes_ = 0;
  for (std::uint32_t s = 0; s < segments_.size(); ++s) {
    std::uint32_t first = s << kSegmentBits;
    std::uint32_t rows = std::min(kSegmentRows, next_ - first);
    Segment& segment = writable(first);
    for (std::size_t c = 0; c < types_.size(); ++c) {
      if (types_[c].phys() != Phys::kView) continue;
      auto* views = reinterpret_cast<StrView*>(segment.columns[c].data.get());
      for (std::uint32_t i = 0; i < rows; ++i) views[i] = own(views[i]);
    }
  }
}

bool RowStore::equals(std::size_t column, std::uint32_t id, const Column& other, std::size_t row) const {
  CellTag mine = tag(column, id);
  if (mine != other.tag(row)) return false;
  if (mine != CellTag::kValue) return true;
  switch (other.phys()) {
    case Phys::kU8: return cell<std::uint8_t>(column, id) == other.u8()[row];
    case Phys::kI64: return cell<std::int64_t>(column, id) == other.i64()[row];
    case Phys::kF64: {
      double a = cell<double>(column, id);
      double b = other.f64()[row];
      return a == b || (a != a && b != b);
    }
    case Phys::kU128: return cell<Key>(column, id) == other.u128()[row];
    case Phys::kView: return cell<StrView>(column, id) == other.views()[row];
  }
  UNREACHABLE();
}

bool RowStore::row_equals(std::uint32_t id, std::span<const Column* const> columns, std::size_t row) const {
  for (std::size_t c = 0; c < columns.size(); ++c)
    if (!equals(c, id, *columns[c], row)) return false;
  return true;
}

namespace {

template <class T>
int order(const T& a, const T& b) {
  return a < b ? -1 : (b < a ? 1 : 0);
}
int order(double a, double b) {
  bool a_nan = a != a;
  bool b_nan = b != b;
  if (a_nan || b_nan) return static_cast<int>(a_nan) - static_cast<int>(b_nan);
  return a < b ? -1 : (b < a ? 1 : 0);
}
// None, values, ERROR, Pending: as Column::compare_cells has it.
int rank_of(CellTag tag) {
  constexpr int kRank[] = {1, 0, 2, 3};
  return kRank[static_cast<std::size_t>(tag)];
}
int order_views(const Type& type, const StrView& a, const StrView& b) {
  if (a == b) return 0;
  if (type.is_encoded()) return compare_encoded(a.view(), b.view());
  return order(a.view().compare(b.view()), 0);
}

}  // namespace

int RowStore::compare(std::size_t column, std::uint32_t a, std::uint32_t b) const {
  CellTag tag_a = tag(column, a);
  CellTag tag_b = tag(column, b);
  if (tag_a != tag_b) return order(rank_of(tag_a), rank_of(tag_b));
  if (tag_a != CellTag::kValue) return 0;
  switch (types_[column].phys()) {
    case Phys::kU8: return order(cell<std::uint8_t>(column, a), cell<std::uint8_t>(column, b));
    case Phys::kI64: return order(cell<std::int64_t>(column, a), cell<std::int64_t>(column, b));
    case Phys::kF64: return order(cell<double>(column, a), cell<double>(column, b));
    case Phys::kU128: return order(cell<Key>(column, a), cell<Key>(column, b));
    case Phys::kView: return order_views(types_[column], cell<StrView>(column, a), cell<StrView>(column, b));
  }
  UNREACHABLE();
}

int RowStore::compare(std::size_t column, std::uint32_t a, const Column& other, std::size_t row) const {
  CellTag tag_a = tag(column, a);
  CellTag tag_b = other.tag(row);
  if (tag_a != tag_b) return order(rank_of(tag_a), rank_of(tag_b));
  if (tag_a != CellTag::kValue) return 0;
  switch (types_[column].phys()) {
    case Phys::kU8: return order(cell<std::uint8_t>(column, a), other.u8()[row]);
    case Phys::kI64: return order(cell<std::int64_t>(column, a), other.i64()[row]);
    case Phys::kF64: return order(cell<double>(column, a), other.f64()[row]);
    case Phys::kU128: return order(cell<Key>(column, a), other.u128()[row]);
    case Phys::kView: return order_views(types_[column], cell<StrView>(column, a), other.views()[row]);
  }
  UNREACHABLE();
}

Value RowStore::value(std::size_t column, std::uint32_t id) const {
  std::array<std::uint32_t, 1> ids{id};
  return gather(column, ids).value(types_[column], 0);
}

std::uint64_t RowStore::hash(std::uint32_t id, std::span<const std::size_t> columns) const {
  std::array<std::uint32_t, 1> ids{id};
  std::uint64_t h = 0;
  for (std::size_t column : columns) gather(column, ids).hash_into(std::span(&h, 1));
  return h;
}

namespace {

template <class T, class Segments>
std::vector<T> gather_cells(const Segments& cell_at, std::span<const std::uint32_t> ids) {
  std::vector<T> out(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) out[i] = cell_at(ids[i]);
  return out;
}

}  // namespace

Column RowStore::gather(std::size_t column, std::span<const std::uint32_t> ids) const {
  std::vector<CellTag> tags;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    prefetch(column, ids[i]);
    CellTag t = tag(column, ids[i]);
    if (t == CellTag::kValue && tags.empty()) continue;
    if (tags.empty()) tags.assign(ids.size(), CellTag::kValue);
    tags[i] = t;
  }
  Phys phys = types_[column].phys();
  auto build = [&](auto zero, std::vector<HeapRef> heaps) {
    using T = decltype(zero);
    return Column::from_vector<T>(
        phys, gather_cells<T>([&](std::uint32_t id) -> const T& { return cell<T>(column, id); }, ids), std::move(tags),
        std::move(heaps));
  };
  switch (phys) {
    case Phys::kU8: return build(std::uint8_t{}, {});
    case Phys::kI64: return build(std::int64_t{}, {});
    case Phys::kF64: return build(double{}, {});
    case Phys::kU128: return build(Key{}, {});
    case Phys::kView: return build(StrView{}, {heap_});
  }
  UNREACHABLE();
}

KeyColumn RowStore::gather_keys(std::span<const std::uint32_t> ids) const {
  return KeyColumn(gather_cells<Key>([&](std::uint32_t id) -> const Key& { return key(id); }, ids));
}

Batch RowStore::gather(std::span<const std::uint32_t> ids) const {
  Batch batch;
  batch.num_rows = ids.size();
  for (std::size_t c = 0; c < types_.size(); ++c) batch.columns.push_back(gather(c, ids));
  if (with_keys_) batch.keys = gather_keys(ids);
  return batch;
}

void RowStore::append_cell(std::size_t column, std::uint32_t id, ColumnBuilder& out) const {
  CellTag t = tag(column, id);
  if (t != CellTag::kValue) return out.push_tagged(t);
  switch (types_[column].phys()) {
    case Phys::kU8: return out.push_bool(cell<std::uint8_t>(column, id) != 0);
    case Phys::kI64: return out.push_int(cell<std::int64_t>(column, id));
    case Phys::kF64: return out.push_float(cell<double>(column, id));
    case Phys::kU128: return out.push_key(cell<Key>(column, id));
    case Phys::kView: out.add_heap(heap_); return out.push_view(cell<StrView>(column, id));
  }
}

RowStore RowStore::share() const {
  RowStore view(types_, with_keys_);
  view.segments_ = segments_;
  view.next_ = next_;
  view.live_ = live_;
  view.heap_ = heap_;
  return view;
}

}  // namespace thalweg
