// connectors/postgres/catalog.h
//
// What the server says about a table.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/postgres/connection.h"
#include "connectors/postgres/wire.h"

namespace thalweg::postgres {

struct TableColumn {
  std::string name;
  WireType type;
  Oid declared_oid = 0;   // of the domain, where it is one
  std::string type_text;  // as psql shows it
  std::int16_t number = 0;
  bool not_null = false;
  bool has_default = false;
  bool generated = false;
  bool by_identity = false;  // GENERATED ALWAYS AS IDENTITY
  bool may_be_toasted = false;
};

struct TableInfo {
  Oid oid = 0;
  char kind = 'r';              // relkind: r table, p partitioned, v view, m materialised view, f foreign
  char replica_identity = 'd';  // d default, n nothing, f full, i index
  std::uint64_t pages = 0;
  std::vector<TableColumn> columns;
  std::vector<std::vector<std::string>> unique_keys;  // of unique indexes over whole columns, not partial
  std::vector<std::string> primary_key;
  std::vector<std::string> identity_key;  // what deletions carry; empty: nothing, or the whole row (full)

  [[nodiscard]] const TableColumn* find(std::string_view name) const {
    for (const TableColumn& column : columns)
      if (column.name == name) return &column;
    return nullptr;
  }
};

// None if there is no such table (or view). kNotFound if even the schema is not there.
[[nodiscard]] Result<std::optional<TableInfo>> describe_table(Connection& connection, const TableName& name);
[[nodiscard]] std::string_view kind_text(char relkind);

}  // namespace thalweg::postgres
