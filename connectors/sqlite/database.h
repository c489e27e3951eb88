// connectors/sqlite/database.h
//
// A SQLite database: statements, what it says about a table, cells in and out.
//
//   bool, int INTEGER · float REAL · str, pointer, uuid, json TEXT · datetimes TEXT, ISO 8601 · duration INTEGER of
//   nanoseconds · bytes BLOB · lists, tuples, arrays TEXT, JSON
#pragma once

#include <sqlite3.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/types/batch.h"

namespace thalweg::sqlite {

[[nodiscard]] std::string quoted_name(std::string_view name);

// Threads  one at a time.
class Statement {
 public:
  explicit Statement(sqlite3_stmt* raw) : raw_(raw, &sqlite3_finalize) {}
  // True: there is a row.
  [[nodiscard]] Result<bool> step();
  [[nodiscard]] Result<void> run();  // to its end; and ready for the next time
  void reset();
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] std::int64_t number(int column) const { return sqlite3_column_int64(raw_.get(), column); }
  [[nodiscard]] bool is_null(int column) const { return sqlite3_column_type(raw_.get(), column) == SQLITE_NULL; }
  [[nodiscard]] sqlite3_stmt* raw() const { return raw_.get(); }
  void bind(int at, std::int64_t value) { sqlite3_bind_int64(raw_.get(), at, value); }
  void bind(int at, std::string_view text);
  // A cell of a batch. The statement keeps a copy.
  void bind_cell(int at, const Type& type, const Column& column, std::size_t row);
  // A column as a value of `type`; none if it does not fit.
  [[nodiscard]] std::optional<Value> value(int column, const Type& type) const;

 private:
  std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> raw_;
};

class Database {
 public:
  enum class Mode : std::uint8_t { kRead, kWrite };
  [[nodiscard]] static Result<Database> open(const std::string& path, Mode mode);
  [[nodiscard]] Result<Statement> prepare(const std::string& sql) const;
  [[nodiscard]] Result<void> run(const std::string& sql) const;
  [[nodiscard]] int changes() const { return sqlite3_changes(raw_.get()); }

 private:
  explicit Database(sqlite3* raw) : raw_(raw, &sqlite3_close_v2) {}
  std::unique_ptr<sqlite3, decltype(&sqlite3_close_v2)> raw_;
};

struct TableColumn {
  std::string name;
  std::string declared;
  bool not_null = false;
  bool has_default = false;
  bool generated = false;
  int key_part = 0;  // from 1; 0: none
};
struct TableInfo {
  std::vector<TableColumn> columns;
  std::vector<std::vector<std::string>> unique_keys;
  bool is_view = false;
  bool has_rowid = true;
  [[nodiscard]] const TableColumn* find(std::string_view name) const;
};
// None if there is no such table.
[[nodiscard]] Result<std::optional<TableInfo>> describe_table(const Database& database, const std::string& table);
// What a column of this declaration is read as where no schema says otherwise.
[[nodiscard]] Type type_of_declaration(std::string_view declared);
[[nodiscard]] std::string_view ddl_type(const Type& type);

// The file is locked by somebody, and may not be later.
[[nodiscard]] bool is_transient(const Error& error);

}  // namespace thalweg::sqlite
