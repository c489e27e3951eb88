// engine/expr/kernel.h
//
// How kernels are written. Three ways, from the shortest:
//
//   map<f>     f is a plain function over cells, `bool starts(std::string_view text, std::string_view prefix)`.
//              Cells: bool, std::int64_t, double, Key, std::string_view (str, bytes, json, encoded). It may return
//              the cell (std::string for new text, std::string_view for a part of an argument or static text),
//              std::optional of it (empty is None), or Answer of either (the error text makes the row an ERROR).
//   Reader and Writer  for kernels that need what `prepare` made, or that see None:
//                Writer<double> out(call); for (row…) { if (out.skips(row)) continue; … out.set(row, v); }
//                return out.finish();
//   loops over the arrays  for what must run at memory speed (functions_arith.cc).
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/expr/function_table.h"

namespace thalweg::expr {

template <class T>
using Answer = std::expected<T, std::string>;
inline std::unexpected<std::string> no_answer(std::string why) { return std::unexpected(std::move(why)); }

// ---------------------------------------------------------------- reading

template <class T>
class Reader;

template <>
class Reader<bool> {
 public:
  explicit Reader(const Column& column) : cells_(column.u8()) {}
  bool operator[](std::size_t row) const { return cells_[row] != 0; }

 private:
  Cells<std::uint8_t> cells_;
};
template <>
class Reader<std::int64_t> {
 public:
  explicit Reader(const Column& column) : cells_(column.i64()) {}
  std::int64_t operator[](std::size_t row) const { return cells_[row]; }

 private:
  Cells<std::int64_t> cells_;
};
template <>
class Reader<double> {
 public:
  explicit Reader(const Column& column) : cells_(column.f64()) {}
  double operator[](std::size_t row) const { return cells_[row]; }

 private:
  Cells<double> cells_;
};
template <>
class Reader<Key> {
 public:
  explicit Reader(const Column& column) : cells_(column.u128()) {}
  const Key& operator[](std::size_t row) const { return cells_[row]; }

 private:
  Cells<Key> cells_;
};
template <>
class Reader<std::string_view> {
 public:
  explicit Reader(const Column& column) : cells_(column.views()) {}
  // Lives as long as the column.
  std::string_view operator[](std::size_t row) const { return cells_[row].view(); }

 private:
  Cells<StrView> cells_;
};

// ---------------------------------------------------------------- writing

template <class T>
struct CellOf;
template <>
struct CellOf<bool> {
  using type = std::uint8_t;
  static constexpr Phys phys = Phys::kU8;
};
template <>
struct CellOf<std::int64_t> {
  using type = std::int64_t;
  static constexpr Phys phys = Phys::kI64;
};
template <>
struct CellOf<double> {
  using type = double;
  static constexpr Phys phys = Phys::kF64;
};
template <>
struct CellOf<Key> {
  using type = Key;
  static constexpr Phys phys = Phys::kU128;
};
template <>
struct CellOf<std::string_view> {
  using type = StrView;
  static constexpr Phys phys = Phys::kView;
};

// Collects the answers of a kernel: one cell per row, in any order; rows never set are zero values.
template <class T>
class Writer {
 public:
  using Cell = typename CellOf<T>::type;

  explicit Writer(const KernelCall& call) : call_(call), data_(call.rows) {
    if (call.skip) tags_.assign(call.skip, call.skip + call.rows);
  }
  [[nodiscard]] bool skips(std::size_t row) const { return call_.skip && call_.skip[row] != CellTag::kValue; }

  void set(std::size_t row, T value)
    requires(!std::same_as<T, std::string_view>)
  {
    data_[row] = static_cast<Cell>(value);
  }
  // New text: its bytes are copied.
  void set_text(std::size_t row, std::string_view text)
    requires std::same_as<T, std::string_view>
  {
    data_[row] = StrView(text.size() <= StrView::kInlineMax ? text : heap().store(text));
  }
  // A part of an argument (whose heaps the result keeps), or static text.
  void set_part(std::size_t row, std::string_view text)
    requires std::same_as<T, std::string_view>
  {
    data_[row] = StrView(text);
    shares_ = true;
  }
  // Bytes in heap(), or few enough to lie inline.
  void set_view(std::size_t row, StrView view)
    requires std::same_as<T, std::string_view>
  {
    data_[row] = view;
  }
  void none(std::size_t row) { tag(row, CellTag::kNone); }
  void fail(std::size_t row, std::string_view why) {
    tag(row, CellTag::kError);
    call_.errors.report(row, why);
  }
  void tag(std::size_t row, CellTag tag) {
    if (tags_.empty()) tags_.resize(call_.rows, CellTag::kValue);
    tags_[row] = tag;
    data_[row] = Cell{};
  }
  [[nodiscard]] StringHeap& heap() {
    if (!heap_) heap_ = std::make_shared<StringHeap>();
    return *heap_;
  }
  // The whole array, for loops over it; finish() zeroes what is tagged.
  [[nodiscard]] Cell* data() { return data_.data(); }
  [[nodiscard]] Column finish() {
    for (std::size_t row = 0; row < tags_.size(); ++row)
      if (tags_[row] != CellTag::kValue) data_[row] = Cell{};
    std::vector<HeapRef> heaps;
    if (heap_) heaps.push_back(heap_);
    if (shares_)
      for (const Column& arg : call_.args) heaps.insert(heaps.end(), arg.heaps().begin(), arg.heaps().end());
    return Column::from_vector<Cell>(CellOf<T>::phys, std::move(data_), std::move(tags_), std::move(heaps));
  }

 private:
  const KernelCall& call_;
  std::vector<Cell> data_;
  std::vector<CellTag> tags_;
  std::shared_ptr<StringHeap> heap_;
  bool shares_ = false;
};

// ---------------------------------------------------------------- map

namespace detail {

template <class R>
struct Returns {
  using cell = R;
  static void put(Writer<R>& out, std::size_t row, R value) {
    if constexpr (std::same_as<R, std::string_view>)
      out.set_part(row, value);
    else
      out.set(row, value);
  }
};
template <>
struct Returns<std::string> {
  using cell = std::string_view;
  static void put(Writer<std::string_view>& out, std::size_t row, const std::string& value) {
    out.set_text(row, value);
  }
};
template <class R>
struct Returns<std::optional<R>> {
  using cell = typename Returns<R>::cell;
  static void put(Writer<cell>& out, std::size_t row, std::optional<R> value) {
    if (value)
      Returns<R>::put(out, row, std::move(*value));
    else
      out.none(row);
  }
};
template <class R>
struct Returns<Answer<R>> {
  using cell = typename Returns<R>::cell;
  static void put(Writer<cell>& out, std::size_t row, Answer<R> value) {
    if (value)
      Returns<R>::put(out, row, std::move(*value));
    else
      out.fail(row, value.error());
  }
};

template <auto F>
struct Mapped;
template <class R, class... A, R (*F)(A...)>
struct Mapped<F> {
  static Column run(const KernelCall& call) { return run(call, std::index_sequence_for<A...>{}); }

 private:
  template <std::size_t... I>
  static Column run(const KernelCall& call, std::index_sequence<I...>) {
    std::tuple<Reader<std::remove_cvref_t<A>>...> in{Reader<std::remove_cvref_t<A>>(call.args[I])...};
    Writer<typename Returns<R>::cell> out(call);
    for (std::size_t row = 0; row < call.rows; ++row)
      if (!out.skips(row)) Returns<R>::put(out, row, F(std::get<I>(in)[row]...));
    return out.finish();
  }
};

}  // namespace detail

template <auto F>
Column map(const KernelCall& call) {
  return detail::Mapped<F>::run(call);
}

}  // namespace thalweg::expr
