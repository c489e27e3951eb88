#include "engine/types/column.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/types/encoding.h"

namespace thalweg {

// ---------------------------------------------------------------- heap

char* StringHeap::allocate(std::size_t bytes) {
  bytes_ += bytes;
  if (bytes > left_) {
    if (bytes > kBlockBytes / 4) {  // a block of its own; the current one goes on being filled
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(bytes));
      return blocks_.back().get();
    }
    // Small heaps start small: most batches hold few long texts.
    std::size_t block = std::max<std::size_t>(std::min(kBlockBytes, bytes_ * 2), 512);
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(block));
    cursor_ = blocks_.back().get();
    left_ = block;
  }
  char* at = cursor_;
  cursor_ += bytes;
  left_ -= bytes;
  return at;
}

std::string_view StringHeap::store(std::string_view text) {
  char* at = allocate(text.size());
  std::memcpy(at, text.data(), text.size());
  return {at, text.size()};
}

std::string_view StringHeap::adopt(std::string&& buffer) {
  bytes_ += buffer.size();
  adopted_.push_back(std::make_unique<std::string>(std::move(buffer)));
  return *adopted_.back();
}

// ---------------------------------------------------------------- column

std::size_t phys_bytes(Phys phys) {
  switch (phys) {
    case Phys::kU8: return 1;
    case Phys::kI64: return 8;
    case Phys::kF64: return 8;
    case Phys::kU128: return 16;
    case Phys::kView: return 16;
  }
  UNREACHABLE();
}

namespace {

// Calls f with a value-initialised cell of the physical type.
template <class F>
auto dispatch(Phys phys, F&& f) {
  switch (phys) {
    case Phys::kU8: return f(std::uint8_t{});
    case Phys::kI64: return f(std::int64_t{});
    case Phys::kF64: return f(double{});
    case Phys::kU128: return f(Key{});
    case Phys::kView: return f(StrView{});
  }
  UNREACHABLE();
}

// Most columns have no heap or one; a chunk gathered from many keeps each once.
void merge_heaps(std::vector<HeapRef>& into, const std::vector<HeapRef>& from) {
  for (const HeapRef& heap : from)
    if (std::find(into.rbegin(), into.rend(), heap) == into.rend()) into.push_back(heap);
}

template <class T>
std::vector<T> gathered(const T* data, std::span<const std::uint32_t> rows) {
  std::vector<T> out(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) out[i] = data[rows[i]];
  return out;
}

std::uint64_t mix(std::uint64_t h, std::uint64_t v) {
  h = (h ^ v) * 0x9E3779B97F4A7C15ULL;
  return h ^ (h >> 32);
}

std::uint64_t hash_cell(std::uint8_t v) { return v; }
std::uint64_t hash_cell(std::int64_t v) { return static_cast<std::uint64_t>(v); }
std::uint64_t hash_cell(double v) {
  if (v == 0.0) return 0;
  if (std::isnan(v)) return 0x7FF8000000000000ULL;
  return std::bit_cast<std::uint64_t>(v);
}
std::uint64_t hash_cell(const Key& v) { return hash_of_key(v); }
std::uint64_t hash_cell(const StrView& v) {
  if (v.is_inline()) return mix(v.word0(), v.word1());
  return XXH3_64bits(v.data(), v.size());
}

bool equal_cell(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }
template <class T>
bool equal_cell(const T& a, const T& b) {
  return a == b;
}

}  // namespace

Column Column::constant(const Type& type, const Value& value, std::size_t rows) {
  ColumnBuilder builder(type, 1);
  builder.push_value(type, value);
  Column column = builder.finish();
  column.constant_ = true;
  column.size_ = rows;
  return column;
}

Column Column::with_rows(std::size_t n) const {
  ENSURE(constant_);
  Column column = *this;
  column.size_ = n;
  return column;
}

Column Column::gather(std::span<const std::uint32_t> rows) const {
  if (constant_) return with_rows(rows.size());
  return dispatch(phys_, [&](auto cell) {
    using T = decltype(cell);
    std::vector<CellTag> tags;
    if (tags_) tags = gathered(tags_, rows);
    return from_vector<T>(phys_, gathered(static_cast<const T*>(data_), rows), std::move(tags), heaps_);
  });
}

Column Column::slice(std::size_t begin, std::size_t end) const {
  if (constant_) return with_rows(end - begin);
  Column column = *this;
  column.size_ = end - begin;
  column.data_ = static_cast<const char*>(data_) + begin * phys_bytes(phys_);
  if (tags_) column.tags_ = tags_ + begin;
  return column;
}

Column Column::flattened() const {
  if (!constant_) return *this;
  return dispatch(phys_, [&](auto cell) {
    using T = decltype(cell);
    std::vector<CellTag> tags;
    if (tags_) tags.assign(size_, tags_[0]);
    return from_vector<T>(phys_, std::vector<T>(size_, *static_cast<const T*>(data_)), std::move(tags), heaps_);
  });
}

Column Column::concat(std::span<const Column> parts) {
  if (parts.size() == 1) return parts[0];
  ENSURE(!parts.empty());
  Phys phys = parts[0].phys_;
  std::size_t rows = 0;
  bool tagged = false;
  for (const Column& part : parts) {
    ENSURE(part.phys_ == phys);
    rows += part.size_;
    tagged |= part.has_tags();
  }
  return dispatch(phys, [&](auto cell) {
    using T = decltype(cell);
    std::vector<T> data;
    data.reserve(rows);
    std::vector<CellTag> tags;
    if (tagged) tags.reserve(rows);
    std::vector<HeapRef> heaps;
    for (const Column& part : parts) {
      Cells<T> cells = part.cells<T>(phys);
      if (part.constant_)
        data.insert(data.end(), part.size_, cells[0]);
      else
        data.insert(data.end(), cells.data, cells.data + part.size_);
      if (tagged)
        for (std::size_t i = 0; i < part.size_; ++i) tags.push_back(part.tag(i));
      merge_heaps(heaps, part.heaps_);
    }
    return from_vector<T>(phys, std::move(data), std::move(tags), std::move(heaps));
  });
}

void Column::hash_into(std::span<std::uint64_t> hashes) const {
  dispatch(phys_, [&](auto cell) {
    using T = decltype(cell);
    Cells<T> cells = this->cells<T>(phys_);
    if (!tags_) {
      for (std::size_t i = 0; i < size_; ++i) hashes[i] = mix(hashes[i], hash_cell(cells[i]));
    } else {
      for (std::size_t i = 0; i < size_; ++i) {
        CellTag t = tag(i);
        std::uint64_t cell_hash =
            t == CellTag::kValue ? hash_cell(cells[i]) : 0xA5A5A5A500ULL + static_cast<unsigned>(t);
        hashes[i] = mix(hashes[i], cell_hash);
      }
    }
  });
}

bool Column::cells_equal(const Column& a, std::size_t i, const Column& b, std::size_t j) {
  CellTag tag = a.tag(i);
  if (tag != b.tag(j)) return false;
  if (tag != CellTag::kValue) return true;
  return dispatch(a.phys_, [&](auto cell) {
    using T = decltype(cell);
    return equal_cell(a.cells<T>(a.phys_)[i], b.cells<T>(b.phys_)[j]);
  });
}

namespace {

int order_of_tag(CellTag tag) {
  switch (tag) {
    case CellTag::kNone: return 0;
    case CellTag::kValue: return 1;
    case CellTag::kError: return 2;
    case CellTag::kPending: return 3;
  }
  UNREACHABLE();
}
template <class T>
int order(const T& a, const T& b) {
  return a < b ? -1 : (b < a ? 1 : 0);
}
int order(double a, double b) {
  bool a_nan = std::isnan(a);
  bool b_nan = std::isnan(b);
  if (a_nan || b_nan) return static_cast<int>(a_nan) - static_cast<int>(b_nan);
  return a < b ? -1 : (b < a ? 1 : 0);
}

}  // namespace

int Column::compare_cells(const Type& type, const Column& a, std::size_t i, const Column& b, std::size_t j) {
  CellTag tag_a = a.tag(i);
  CellTag tag_b = b.tag(j);
  if (tag_a != tag_b) return order(order_of_tag(tag_a), order_of_tag(tag_b));
  if (tag_a != CellTag::kValue) return 0;
  switch (a.phys_) {
    case Phys::kU8: return order(a.u8()[i], b.u8()[j]);
    case Phys::kI64: return order(a.i64()[i], b.i64()[j]);
    case Phys::kF64: return order(a.f64()[i], b.f64()[j]);
    case Phys::kU128: return order(a.u128()[i], b.u128()[j]);
    case Phys::kView: {
      const StrView& x = a.views()[i];
      const StrView& y = b.views()[j];
      if (x == y) return 0;
      if (type.is_encoded()) return compare_encoded(x.view(), y.view());
      return order(x.view().compare(y.view()), 0);
    }
  }
  UNREACHABLE();
}

Value Column::value(const Type& type, std::size_t row) const {
  switch (tag(row)) {
    case CellTag::kNone: return Value::none();
    case CellTag::kError: return Value::error();
    case CellTag::kPending: return Value::pending();
    case CellTag::kValue: break;
  }
  switch (type.kind()) {
    case Kind::kNone: return Value::none();
    case Kind::kBool: return Value::of(u8()[row] != 0);
    case Kind::kInt: return Value::of(i64()[row]);
    case Kind::kFloat: return Value::of(f64()[row]);
    case Kind::kPointer: return Value::of(u128()[row]);
    case Kind::kUuid: return Value::uuid(u128()[row]);
    case Kind::kDateTimeNaive: return Value::datetime_naive(i64()[row]);
    case Kind::kDateTimeUtc: return Value::datetime_utc(i64()[row]);
    case Kind::kDuration: return Value::duration(i64()[row]);
    case Kind::kStr: return Value::str(std::string(views()[row].view()));
    case Kind::kBytes: return Value::bytes(std::string(views()[row].view()));
    case Kind::kJson: return Value::json(std::string(views()[row].view()));
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kArray:
    case Kind::kAny: return decode_all(views()[row].view());
  }
  UNREACHABLE();
}

// ---------------------------------------------------------------- builder

ColumnBuilder::ColumnBuilder(Phys phys, std::size_t reserve) : phys_(phys) {
  bytes_.reserve(reserve * phys_bytes(phys));
}

StringHeap& ColumnBuilder::heap() {
  if (!heap_) heap_ = std::make_shared<StringHeap>();
  return *heap_;
}

void ColumnBuilder::push_text(std::string_view v) {
  if (v.size() <= StrView::kInlineMax)
    put(StrView(v));
  else
    put(StrView(heap().store(v)));
}

void ColumnBuilder::push_tagged(CellTag tag) {
  if (tags_.empty()) tags_.assign(size_, CellTag::kValue);
  if (tags_.empty()) tags_.reserve(8);
  bytes_.resize(bytes_.size() + phys_bytes(phys_));  // zero: C2
  tags_.push_back(tag);
  ++size_;
}

void ColumnBuilder::push_value(const Type& type, const Value& value) {
  switch (value.tag()) {
    case Value::Tag::kNone:
      // A None inside an `any` column is a None cell: there is one way to write it.
      return push_none();
    case Value::Tag::kError: return push_error();
    case Value::Tag::kPending: return push_tagged(CellTag::kPending);
    default: break;
  }
  if (type.is_encoded()) return push_text(encode(value));
  switch (phys_) {
    case Phys::kU8: return push_bool(value.as_bool());
    case Phys::kI64: return push_int(value.as_int());
    case Phys::kF64:
      return push_float(value.tag() == Value::Tag::kInt ? static_cast<double>(value.as_int()) : value.as_float());
    case Phys::kU128: return push_key(value.as_key());
    case Phys::kView: return push_text(value.as_text());
  }
}

void ColumnBuilder::push_cell(const Column& from, std::size_t row) {
  CellTag tag = from.tag(row);
  if (tag != CellTag::kValue) return push_tagged(tag);
  std::size_t width = phys_bytes(phys_);
  std::size_t at = bytes_.size();
  bytes_.resize(at + width);
  std::size_t index = from.is_constant() ? 0 : row;
  std::memcpy(bytes_.data() + at, static_cast<const char*>(from.data_) + index * width, width);
  if (!tags_.empty()) tags_.push_back(CellTag::kValue);
  ++size_;
  if (phys_ == Phys::kView && !from.heaps_.empty() && last_from_ != from.data_) {
    merge_heaps(heaps_, from.heaps_);
    last_from_ = from.data_;
  }
}

void ColumnBuilder::add_heap(HeapRef heap) {
  if (heap && (heaps_.empty() || heaps_.back() != heap)) heaps_.push_back(std::move(heap));
}

Column ColumnBuilder::finish() {
  Column column;
  column.phys_ = phys_;
  column.size_ = size_;
  auto owner = std::make_shared<const std::vector<char>>(std::move(bytes_));
  column.data_ = owner->data();
  column.owner_ = std::move(owner);
  if (!tags_.empty()) {
    auto tags_owner = std::make_shared<const std::vector<CellTag>>(std::move(tags_));
    column.tags_ = tags_owner->data();
    column.tags_owner_ = std::move(tags_owner);
  }
  column.heaps_ = std::move(heaps_);
  if (heap_) column.heaps_.push_back(std::move(heap_));
  bytes_ = {};
  tags_ = {};
  heaps_ = {};
  heap_.reset();
  size_ = 0;
  last_from_ = nullptr;
  return column;
}

}  // namespace thalweg
