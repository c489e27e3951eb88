// engine/types/column.h
//
// A column of a batch: an immutable typed array, an optional array of cell tags, and the heaps its views point into.
// Copying a column copies three pointers. A constant column holds one cell and any number of rows.
//
// C1  tags() is null while every cell is a value.
// C2  A cell whose tag is not kValue has a zero payload: equal cells have equal bytes.
// C3  Views point inline or into a heap that the column keeps alive.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/base/ensure.h"
#include "engine/types/key.h"
#include "engine/types/type.h"
#include "engine/types/value.h"

namespace thalweg {

enum class CellTag : std::uint8_t { kValue = 0, kNone = 1, kError = 2, kPending = 3 };

// 16 bytes: length, then either 12 bytes inline or a 4-byte prefix and a pointer. Unused inline bytes are zero, so
// short views compare as two words.
class StrView {
 public:
  static constexpr std::uint32_t kInlineMax = 12;
  StrView() : length_(0), inline_{} {}
  // `text` must outlive the view if it is longer than kInlineMax.
  explicit StrView(std::string_view text) : length_(static_cast<std::uint32_t>(text.size())), inline_{} {
    if (text.size() <= kInlineMax) {
      if (!text.empty()) std::memcpy(inline_, text.data(), text.size());
    } else {
      std::memcpy(inline_, text.data(), 4);
      const char* p = text.data();
      std::memcpy(inline_ + 4, &p, sizeof p);
    }
  }
  [[nodiscard]] std::uint32_t size() const { return length_; }
  [[nodiscard]] bool is_inline() const { return length_ <= kInlineMax; }
  [[nodiscard]] const char* data() const {
    if (is_inline()) return inline_;
    const char* p;
    std::memcpy(&p, inline_ + 4, sizeof p);
    return p;
  }
  [[nodiscard]] std::string_view view() const { return {data(), length_}; }  // of an inline view: dies with it
  // The length and prefix word, and the rest; both words equal means equal for inline views.
  [[nodiscard]] std::uint64_t word0() const {
    std::uint64_t w;
    std::memcpy(&w, this, 8);
    return w;
  }
  [[nodiscard]] std::uint64_t word1() const {
    std::uint64_t w;
    std::memcpy(&w, inline_ + 4, 8);
    return w;
  }
  friend bool operator==(const StrView& a, const StrView& b) {
    if (a.word0() != b.word0()) return false;
    if (a.is_inline()) return a.word1() == b.word1();
    return std::memcmp(a.data(), b.data(), a.length_) == 0;
  }

 private:
  std::uint32_t length_;
  char inline_[12];
};
static_assert(sizeof(StrView) == 16);

// Append-only memory for the bytes of long views.
class StringHeap {
 public:
  // A stable copy of `text`.
  std::string_view store(std::string_view text);
  // Space for `bytes` to write into; stable.
  char* allocate(std::size_t bytes);
  // Takes over a whole buffer (a file block that views point into).
  std::string_view adopt(std::string&& buffer);
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kBlockBytes = 64 * 1024;
  std::vector<std::unique_ptr<char[]>> blocks_;
  std::vector<std::unique_ptr<std::string>> adopted_;
  char* cursor_ = nullptr;
  std::size_t left_ = 0;
  std::size_t bytes_ = 0;
};
using HeapRef = std::shared_ptr<const void>;  // keeps a StringHeap, a mapped file or a buffer alive

// Reads a plain or a constant column alike: index & mask.
template <class T>
struct Cells {
  const T* data;
  std::size_t mask;  // all ones, or 0 for a constant
  const T& operator[](std::size_t row) const { return data[row & mask]; }
};

class Column {
 public:
  Column() = default;
  [[nodiscard]] static Column constant(const Type& type, const Value& value, std::size_t rows);
  // Takes arrays built elsewhere. `tags` may be empty.
  template <class T>
  [[nodiscard]] static Column from_vector(Phys phys, std::vector<T> data, std::vector<CellTag> tags = {},
                                          std::vector<HeapRef> heaps = {});

  [[nodiscard]] Phys phys() const { return phys_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool is_constant() const { return constant_; }
  [[nodiscard]] bool has_tags() const { return tags_ != nullptr; }
  [[nodiscard]] CellTag tag(std::size_t row) const { return tags_ ? tags_[constant_ ? 0 : row] : CellTag::kValue; }
  [[nodiscard]] bool is_value(std::size_t row) const { return tag(row) == CellTag::kValue; }

  [[nodiscard]] Cells<std::uint8_t> u8() const { return cells<std::uint8_t>(Phys::kU8); }
  [[nodiscard]] Cells<std::int64_t> i64() const { return cells<std::int64_t>(Phys::kI64); }
  [[nodiscard]] Cells<double> f64() const { return cells<double>(Phys::kF64); }
  [[nodiscard]] Cells<Key> u128() const { return cells<Key>(Phys::kU128); }
  [[nodiscard]] Cells<StrView> views() const { return cells<StrView>(Phys::kView); }
  [[nodiscard]] const std::vector<HeapRef>& heaps() const { return heaps_; }

  // One cell as a value; `type` says what the bytes mean.
  [[nodiscard]] Value value(const Type& type, std::size_t row) const;
  // Rows `rows[0..n)` of this column, in that order.
  [[nodiscard]] Column gather(std::span<const std::uint32_t> rows) const;
  // Rows [begin, end), sharing the data.
  [[nodiscard]] Column slice(std::size_t begin, std::size_t end) const;
  [[nodiscard]] Column flattened() const;               // never constant
  [[nodiscard]] Column with_rows(std::size_t n) const;  // a constant column of n rows
  // Rows of all parts one after another; all of one phys.
  [[nodiscard]] static Column concat(std::span<const Column> parts);
  // Adds a 64-bit hash of every cell into hashes[i] (combining with what is there).
  void hash_into(std::span<std::uint64_t> hashes) const;
  // Cells of two columns of one phys are equal (tags included).
  [[nodiscard]] static bool cells_equal(const Column& a, std::size_t i, const Column& b, std::size_t j);
  // In the value order of the language; both columns have type `type` (None first).
  [[nodiscard]] static int compare_cells(const Type& type, const Column& a, std::size_t i, const Column& b,
                                         std::size_t j);

 private:
  friend class ColumnBuilder;
  template <class T>
  [[nodiscard]] Cells<T> cells([[maybe_unused]] Phys expected) const {
    DCHECK(phys_ == expected);
    return {static_cast<const T*>(data_), constant_ ? 0 : ~std::size_t{0}};
  }

  Phys phys_ = Phys::kU8;
  bool constant_ = false;
  std::size_t size_ = 0;
  const void* data_ = nullptr;     // into owner_
  const CellTag* tags_ = nullptr;  // into tags_owner_
  std::shared_ptr<const void> owner_;
  std::shared_ptr<const void> tags_owner_;
  std::vector<HeapRef> heaps_;
};

// Writes a column cell by cell. Tags appear with the first None or ERROR.
class ColumnBuilder {
 public:
  explicit ColumnBuilder(Phys phys, std::size_t reserve = 0);
  explicit ColumnBuilder(const Type& type, std::size_t reserve = 0) : ColumnBuilder(type.phys(), reserve) {}

  void push_bool(bool v) { put<std::uint8_t>(v ? 1 : 0); }
  void push_int(std::int64_t v) { put(v); }
  void push_float(double v) { put(v); }
  void push_key(const Key& v) { put(v); }
  void push_text(std::string_view v);    // copies bytes longer than a view holds
  void push_view(StrView v) { put(v); }  // the caller keeps its bytes alive: add_heap
  void push_none() { push_tagged(CellTag::kNone); }
  void push_error() { push_tagged(CellTag::kError); }
  void push_tagged(CellTag tag);
  void push_value(const Type& type, const Value& value);  // value fits the type, or is None/ERROR
  void push_cell(const Column& from, std::size_t row);    // same phys; heaps of `from` are kept
  void add_heap(HeapRef heap);
  [[nodiscard]] StringHeap& heap();  // for kernels that write text in place
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] Column finish();

 private:
  template <class T>
  void put(const T& v) {
    std::size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    std::memcpy(bytes_.data() + at, &v, sizeof(T));
    if (!tags_.empty()) tags_.push_back(CellTag::kValue);
    ++size_;
  }
  Phys phys_;
  std::size_t size_ = 0;
  std::vector<char> bytes_;
  std::vector<CellTag> tags_;
  std::shared_ptr<StringHeap> heap_;
  std::vector<HeapRef> heaps_;
  const void* last_from_ = nullptr;
};

[[nodiscard]] std::size_t phys_bytes(Phys phys);

template <class T>
Column Column::from_vector(Phys phys, std::vector<T> data, std::vector<CellTag> tags, std::vector<HeapRef> heaps) {
  DCHECK(sizeof(T) == phys_bytes(phys));
  Column column;
  column.phys_ = phys;
  column.size_ = data.size();
  auto owner = std::make_shared<const std::vector<T>>(std::move(data));
  column.data_ = owner->data();
  column.owner_ = std::move(owner);
  if (!tags.empty()) {
    auto tags_owner = std::make_shared<const std::vector<CellTag>>(std::move(tags));
    column.tags_ = tags_owner->data();
    column.tags_owner_ = std::move(tags_owner);
  }
  column.heaps_ = std::move(heaps);
  return column;
}

}  // namespace thalweg
