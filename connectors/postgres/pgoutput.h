// connectors/postgres/pgoutput.h
//
// Messages of logical replication (plugin pgoutput, protocol 1, values in the binary form).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/postgres/decoder.h"

namespace thalweg::postgres {

using Lsn = std::uint64_t;

[[nodiscard]] std::string lsn_text(Lsn lsn);  // `0/16B3748`
[[nodiscard]] std::optional<Lsn> lsn_from_text(std::string_view text);

// Bytes read one after another; once something is missing, everything that follows is zero and ok() is false.
class MessageReader {
 public:
  explicit MessageReader(std::string_view bytes) : left_(bytes) {}
  [[nodiscard]] bool ok() const { return ok_; }
  char letter();
  std::int16_t int16();
  std::int32_t int32();
  std::int64_t int64();
  std::string_view text();  // up to the zero byte
  std::string_view take(std::size_t bytes);

 private:
  std::string_view left_;
  bool ok_ = true;
};

struct Begin {
  Lsn final = 0;  // of the commit
  std::int64_t committed_us = 0;
  std::uint32_t transaction = 0;
};
struct Commit {
  Lsn lsn = 0;
  Lsn end = 0;  // where reading goes on
};
struct RelationColumn {
  std::string name;
  Oid type = 0;
  bool in_key = false;
};
struct Relation {
  Oid oid = 0;
  std::string schema, table;
  char replica_identity = 'd';
  std::vector<RelationColumn> columns;
};

[[nodiscard]] std::optional<Begin> read_begin(std::string_view message);
[[nodiscard]] std::optional<Commit> read_commit(std::string_view message);
[[nodiscard]] std::optional<Relation> read_relation(std::string_view message);
// The table of an I, U or D message.
[[nodiscard]] Oid relation_of(std::string_view message);
[[nodiscard]] std::vector<Oid> read_truncate(std::string_view message);

// An insertion, update or deletion. Fields are those of our layout: `columns[i]` is the column of the table that field
// i comes from.
struct Change {
  char kind = 'I';       // I, U, D
  char old_kind = '\0';  // K: only the key; O: the whole row; nothing: not told
  std::vector<RawField> old_row, new_row;
};
[[nodiscard]] bool read_change(std::string_view message, const std::vector<std::uint32_t>& columns, Change& out);

}  // namespace thalweg::postgres
