// connectors/postgres/decoder.h
//
// Rows in the binary protocol → columns. One decoder serves COPY and the replication stream.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/formats/layout.h"
#include "connectors/formats/report.h"
#include "connectors/postgres/catalog.h"
#include "connectors/postgres/wire.h"
#include "engine/types/batch.h"

namespace thalweg::postgres {

// A field as it came: bytes, NULL, or left as it was (a large value that an update did not touch).
struct RawField {
  enum class State : std::uint8_t { kBytes, kNull, kUnchanged } state = State::kNull;
  std::string_view bytes;
};

// Fields are those of `layout`, in its order, each with the form that the server sends it in.
struct RowShape {
  RecordLayout layout;
  std::vector<WireType> wires;
  bool content_keys = false;  // keys are made of all fields: rows without a primary key that can go
  std::string position;       // `public.orders`, for messages

  // kInvalidPipeline where a column is missing or its type is another; both sides are named.
  static Result<RowShape> of(const plan::Source& source, const TableInfo& table, const TableName& name);
  // `"a", "b"::text`
  [[nodiscard]] std::string select_list() const;
};

// Nothing if the bytes do not fit the type; `why` says so.
[[nodiscard]] std::optional<Value> decode_value(const WireType& wire, const Type& type, std::string_view bytes,
                                                std::string& why);

// Threads  one decoder, one thread. Views point into `bytes_owner`.
class RowDecoder {
 public:
  RowDecoder(const RowShape& shape, std::shared_ptr<const void> bytes_owner, Reporter& report);
  // Generated keys are sequence_key(source, first + n) of the n-th row.
  void generate_keys(std::uint64_t source, std::uint64_t first);
  // One cell per field of the layout. With `only_key`: the other fields are None.
  void row(const std::vector<RawField>& fields, Diff diff = 1, bool only_key = false);
  void row(const std::vector<RawField>& fields, const Key& key, Diff diff);
  void flush();
  void order(std::uint64_t order) { order_ = order; }

 private:
  void start();
  void cell(std::size_t field, const RawField& raw, bool only_key);
  [[nodiscard]] bool put(std::size_t field, ColumnBuilder& column, std::string_view bytes);
  [[nodiscard]] Key content_key(const std::vector<RawField>& fields);
  [[nodiscard]] std::optional<Key> key_of(const std::vector<RawField>& fields);
  void bad(std::size_t field, const std::string& what, const RawField& raw);
  void end_row(std::optional<Key> key, Diff diff);

  const RowShape& shape_;
  const std::shared_ptr<const void> owner_;
  Reporter& report_;
  std::vector<ColumnBuilder> columns_;
  std::vector<Key> keys_;
  std::vector<Diff> diffs_;
  bool any_deletion_ = false;
  std::size_t rows_ = 0;
  std::uint64_t key_source_ = 0;
  std::uint64_t next_key_ = 0;
  std::uint64_t order_ = 0;
  std::string key_bytes_;
  std::string why_;
};

// Fields of the row that begins at `at` of COPY's binary form; moves on. False at the end or where bytes are broken.
[[nodiscard]] bool next_copy_row(std::string_view& at, std::vector<RawField>& fields);

}  // namespace thalweg::postgres
