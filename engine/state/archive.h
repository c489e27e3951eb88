// engine/state/archive.h
//
// State and rows as bytes that outlive the process: a compact little-endian form, whole columns at a time.
//
//   block   magic, kind, version, key-hash version, fingerprint · content · magic, length of the content
//   batch   rows, flags, order, keys, diffs, columns; texts as lengths and then their bytes, one after another
//
// A1  What a writer wrote a reader reads back: the same values, tags, keys, diffs; floats bit for bit.
// A2  A reader of any other bytes gives an Error: it reads nothing past the end and allocates no more than a small
//     multiple of the bytes that are there.
// A3  A block of another kind, a later version, another fingerprint or another hash of keys is refused.
// Cost  a copy of memory per column of fixed width, about 5 ns for a text.
#pragma once

#include <bit>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "engine/base/result.h"
#include "engine/types/batch.h"

namespace thalweg {

static_assert(std::endian::native == std::endian::little, "archives are little-endian");

// What may be written as it lies in memory.
template <class T>
concept PlainNumber = std::is_arithmetic_v<T> || std::is_same_v<T, Key> || std::is_same_v<T, CellTag>;

class StateWriter {
 public:
  using Sink = std::function<void(std::string&&)>;
  static constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

  StateWriter() = default;  // into one buffer: take()
  // Hands over pieces of about kPieceBytes as they fill, the last one at finish().
  explicit StateWriter(Sink sink) : sink_(std::move(sink)) {}

  void begin_block(std::string_view kind, std::uint32_t version, const Key& fingerprint);
  void end_block();

  void put_u8(std::uint8_t v) { put_plain(v); }
  void put_bool(bool v) { put_u8(v ? 1 : 0); }
  void put_u32(std::uint32_t v) { put_plain(v); }
  void put_u64(std::uint64_t v) { put_plain(v); }
  void put_i64(std::int64_t v) { put_plain(v); }
  void put_f64(double v) { put_plain(v); }
  void put_key(const Key& v) { put_plain(v); }
  void put_text(std::string_view v);  // also bytes
  void put_value(const Value& v);
  template <PlainNumber T>
  void put_numbers(std::span<const T> numbers) {
    put_u64(numbers.size());
    raw(numbers.data(), numbers.size_bytes());
  }
  template <PlainNumber T>
  void put_numbers(const std::vector<T>& numbers) {
    put_numbers(std::span<const T>(numbers));
  }
  void put_column(const Column& column);
  void put_batch(const Batch& batch);

  [[nodiscard]] std::uint64_t bytes() const { return flushed_ + buffer_.size(); }
  [[nodiscard]] std::string take() { return std::exchange(buffer_, {}); }  // without a sink
  void finish();                                                           // with one

 private:
  template <class T>
  void put_plain(const T& v) {
    raw(&v, sizeof v);
  }
  void raw(const void* data, std::size_t bytes);
  void put_keys(const KeyColumn& keys, std::size_t rows);

  std::string buffer_;
  Sink sink_;
  std::uint64_t flushed_ = 0;
  std::vector<std::uint64_t> block_starts_;
};

class StateReader {
 public:
  // The next piece; it stays as it is until the one after it is asked for. Empty: there is no more.
  using Pull = std::function<Result<std::string_view>()>;

  explicit StateReader(std::string_view bytes) : window_(bytes), left_(bytes.size()), total_(bytes.size()) {}
  StateReader(std::uint64_t bytes, Pull pull) : left_(bytes), total_(bytes), pull_(std::move(pull)) {}

  // The version that was written, at most `newest`.
  Result<std::uint32_t> begin_block(std::string_view kind, std::uint32_t newest, const Key& fingerprint);
  Result<void> end_block();

  Result<std::uint8_t> u8() { return plain<std::uint8_t>(); }
  Result<bool> boolean();
  Result<std::uint32_t> u32() { return plain<std::uint32_t>(); }
  Result<std::uint64_t> u64() { return plain<std::uint64_t>(); }
  Result<std::int64_t> i64() { return plain<std::int64_t>(); }
  Result<double> f64() { return plain<double>(); }
  Result<Key> key() { return plain<Key>(); }
  Result<std::string> text();
  Result<Value> value();
  template <PlainNumber T>
  Result<std::vector<T>> numbers() {
    std::vector<T> out(TRY(count(sizeof(T))));
    TRY(raw(out.data(), out.size() * sizeof(T)));
    return out;
  }
  // A number of things that take at least `bytes_each` bytes each: no more than there can be.
  Result<std::size_t> count(std::size_t bytes_each);
  Result<Column> column(const Type& type, std::size_t rows);
  // A batch with columns of these types.
  Result<Batch> batch(std::span<const Type> types);
  Result<Batch> batch(const Schema& schema);

  [[nodiscard]] std::uint64_t remaining() const { return left_; }
  [[nodiscard]] std::uint64_t position() const { return total_ - left_; }
  // An error that says where.
  [[nodiscard]] std::unexpected<Error> corrupt(std::string_view what) const;

 private:
  template <class T>
  Result<T> plain() {
    T v;
    TRY(raw(&v, sizeof v));
    return v;
  }
  Result<void> raw(void* out, std::size_t bytes);
  Result<KeyColumn> keys(std::size_t rows);
  template <class T>
  Result<Column> fixed(Phys phys, std::size_t cells, std::vector<CellTag> tags);
  Result<Column> texts(const Type& type, std::size_t cells, std::vector<CellTag> tags);

  std::string_view window_;
  std::uint64_t left_ = 0;  // bytes not read yet, of all pieces
  std::uint64_t total_ = 0;
  Pull pull_;
  std::vector<std::uint64_t> block_starts_;
};

// Rows of a batch at most; a reader refuses more.
inline constexpr std::size_t kArchiveRowsMax = std::size_t{1} << 26;

// Of the types of some columns: what a block is read with.
[[nodiscard]] Key fingerprint_of(std::span<const Type> types);
[[nodiscard]] std::vector<Type> column_types(const Schema& schema);

}  // namespace thalweg
