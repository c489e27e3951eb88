// connectors/formats/debezium.h
//
// Messages of Debezium: an envelope {before, after, op} around the row of a table, alone or as the `payload` beside its
// `schema`, and a key that holds the row's primary key.
//
//   op         by key (upsert)          as rows (native)
//   r, c       the row of its key       + after
//   u          the row of its key       - before, + after (Postgres: REPLICA IDENTITY FULL)
//   d          no row of that key       - before
//   t          no row at all            a bad record: which rows went is not said
//   m, none    nothing (messages of the log; tombstones repeat a deletion)
//
// D1  A value that Debezium could not get (`__debezium_unavailable_value`: an unchanged TOAST value) is a cell that
// says
//     "as it was" (CellTag::kPending); only upserts can take it.
// D2  MongoDB: `after` is a text of JSON; extended JSON (`{"$oid": …}`) reads as the value that it wraps; the key is
//     `{"id": …}`, whatever the column is called.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "connectors/formats/format.h"
#include "connectors/formats/row_writer.h"

namespace thalweg {

class DebeziumDecoder {
 public:
  enum class Database : std::uint8_t { kPostgres, kMongo };
  // `layout` must outlive the decoder, and have a primary key.
  DebeziumDecoder(const RecordLayout& layout, Database database, bool upsert);
  // One message, a line of the block of `rows`. `key` is its key, if it has one.
  void decode(RowWriter& rows, const char* record, std::uint64_t line, std::optional<std::string_view> key) const;

 private:
  struct Envelope;
  void change(RowWriter& rows, const char* record, std::uint64_t line, const Envelope& envelope,
              std::optional<std::string_view> key) const;
  void delete_by_key(RowWriter& rows, const char* record, std::uint64_t line, const char* before,
                     std::optional<std::string_view> key) const;
  [[nodiscard]] bool put_key(RowWriter& rows, std::string_view key) const;
  void put_row(RowWriter& rows, const char* object, bool in_block) const;
  void put_cell(RowWriter& rows, std::size_t field, const char* p, const char* end, bool in_block) const;

  const RecordLayout& layout_;
  const Database database_;
  const bool upsert_;
  std::map<std::string, std::size_t, std::less<>> fields_;  // external name → field
};

}  // namespace thalweg
