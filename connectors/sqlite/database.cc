#include "connectors/sqlite/database.h"

#include <algorithm>

#include <fmt/format.h>

#include "connectors/formats/encode.h"
#include "connectors/formats/json_value.h"
#include "connectors/formats/text_value.h"
#include "engine/types/datetime.h"
#include "engine/types/from_text.h"

namespace thalweg::sqlite {

namespace {

constexpr int kBusyMs = 30'000;

Error error_of(sqlite3* database) {
  const int code = sqlite3_errcode(database) & 0xFF;
  const Code kind = code == SQLITE_BUSY || code == SQLITE_LOCKED                            ? Code::kUnavailable
                    : code == SQLITE_CONSTRAINT || code == SQLITE_MISMATCH                  ? Code::kBadData
                    : code == SQLITE_PERM || code == SQLITE_READONLY || code == SQLITE_AUTH ? Code::kPermission
                                                                                            : Code::kIo;
  const char* file = sqlite3_db_filename(database, "main");
  return Error{kind, fmt::format("SQLite at '{}': {}", file != nullptr ? file : "", sqlite3_errmsg(database)), {}, {}};
}

std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return out;
}

}  // namespace

bool is_transient(const Error& error) { return error.code == Code::kUnavailable; }

std::string quoted_name(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(raw_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return fail(error_of(sqlite3_db_handle(raw_.get())));
}

Result<void> Statement::run() {
  while (true) {
    auto more = step();
    if (more && *more) continue;
    sqlite3_reset(raw_.get());
    if (!more) return fail(std::move(more).error());
    return {};
  }
}

void Statement::reset() { sqlite3_reset(raw_.get()); }

std::string Statement::text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(raw_.get(), column));
  const int size = sqlite3_column_bytes(raw_.get(), column);
  return bytes != nullptr ? std::string(bytes, static_cast<std::size_t>(size)) : std::string();
}

void Statement::bind(int at, std::string_view text) {
  sqlite3_bind_text64(raw_.get(), at, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

void Statement::bind_cell(int at, const Type& type, const Column& column, std::size_t row) {
  if (!column.is_value(row)) {
    sqlite3_bind_null(raw_.get(), at);
    return;
  }
  switch (type.kind()) {
    case Kind::kBool: return bind(at, static_cast<std::int64_t>(column.u8()[row]));
    case Kind::kInt:
    case Kind::kDuration: return bind(at, column.i64()[row]);
    case Kind::kFloat: sqlite3_bind_double(raw_.get(), at, column.f64()[row]); return;
    case Kind::kStr:
    case Kind::kJson: return bind(at, column.views()[row].view());
    case Kind::kBytes: {
      const StrView view = column.views()[row];
      sqlite3_bind_blob64(raw_.get(), at, view.size() > 0 ? view.data() : "", view.size(), SQLITE_TRANSIENT);
      return;
    }
    case Kind::kDateTimeNaive: return bind(at, datetime_naive_to_text(column.i64()[row]));
    case Kind::kDateTimeUtc: return bind(at, datetime_utc_to_text(column.i64()[row]));
    case Kind::kPointer:
    case Kind::kUuid: return bind(at, column.value(type, row).to_text());
    case Kind::kNone: sqlite3_bind_null(raw_.get(), at); return;
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kArray:
    case Kind::kAny: {
      std::string text;
      append_json_value(column.value(type, row), text);
      return bind(at, text);
    }
  }
}

namespace {

std::optional<Value> natural_value(const Statement& statement, int column) {
  switch (sqlite3_column_type(statement.raw(), column)) {
    case SQLITE_INTEGER: return Value::of(statement.number(column));
    case SQLITE_FLOAT: return Value::of(sqlite3_column_double(statement.raw(), column));
    case SQLITE_TEXT: return Value::str(statement.text(column));
    case SQLITE_BLOB: return Value::bytes(statement.text(column));
    default: return Value::none();
  }
}

template <class Make>
std::optional<Value> made(const std::optional<std::int64_t>& ns, Make make) {
  return ns ? std::optional<Value>(make(*ns)) : std::nullopt;
}

std::optional<Value> value_of_text(const Type& type, const std::string& text) {
  switch (type.kind()) {
    case Kind::kStr: return Value::str(text);
    case Kind::kJson:
      if (auto compact = compact_json(text)) return Value::json(std::move(*compact));
      return std::nullopt;
    case Kind::kDateTimeNaive: return made(parse_datetime_naive(text), &Value::datetime_naive);
    case Kind::kDateTimeUtc: return made(parse_datetime_utc(text), &Value::datetime_utc);
    case Kind::kDuration: return made(duration_from_text(text), &Value::duration);
    case Kind::kUuid:
      if (const auto uuid = uuid_from_text(text)) return Value::uuid(*uuid);
      return std::nullopt;
    case Kind::kPointer:
      if (const auto key = key_from_text(text)) return Value::of(*key);
      return std::nullopt;
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kArray: return json::text_to_value(type, text);
    default: return std::nullopt;
  }
}

}  // namespace

std::optional<Value> Statement::value(int column, const Type& type) const {
  if (type.is(Kind::kAny)) return natural_value(*this, column);
  switch (sqlite3_column_type(raw_.get(), column)) {
    case SQLITE_INTEGER: {
      const std::int64_t number = this->number(column);
      if (type.is(Kind::kInt)) return Value::of(number);
      if (type.is(Kind::kFloat)) return Value::of(static_cast<double>(number));
      if (type.is(Kind::kBool) && (number == 0 || number == 1)) return Value::of(number == 1);
      if (type.is(Kind::kDuration)) return Value::duration(number);
      if (type.is(Kind::kJson)) return Value::json(std::to_string(number));
      return std::nullopt;
    }
    case SQLITE_FLOAT:
      if (type.is(Kind::kFloat)) return Value::of(sqlite3_column_double(raw_.get(), column));
      return std::nullopt;
    case SQLITE_TEXT: return value_of_text(type, text(column));
    case SQLITE_BLOB:
      if (type.is(Kind::kBytes)) return Value::bytes(text(column));
      return std::nullopt;
    default: return type.admits_none() ? std::optional(Value::none()) : std::nullopt;
  }
}

Result<Database> Database::open(const std::string& path, Mode mode) {
  sqlite3* raw = nullptr;
  const int flags = mode == Mode::kWrite ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  if (code != SQLITE_OK) {
    const std::string message = raw != nullptr ? sqlite3_errmsg(raw) : sqlite3_errstr(code);
    sqlite3_close_v2(raw);
    return fail(code == SQLITE_CANTOPEN ? Code::kNotFound : Code::kIo,
                fmt::format("cannot open the SQLite database '{}': {}", path, message));
  }
  sqlite3_busy_timeout(raw, kBusyMs);
  return Database(raw);
}

Result<Statement> Database::prepare(const std::string& sql) const {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(raw_.get(), sql.c_str(), static_cast<int>(sql.size() + 1), &statement, nullptr) != SQLITE_OK)
    return fail(error_of(raw_.get()));
  return Statement(statement);
}

Result<void> Database::run(const std::string& sql) const {
  if (sqlite3_exec(raw_.get(), sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return fail(error_of(raw_.get()));
}

const TableColumn* TableInfo::find(std::string_view name) const {
  for (const TableColumn& column : columns)
    if (column.name == name) return &column;
  return nullptr;
}

Result<std::optional<TableInfo>> describe_table(const Database& database, const std::string& table) {
  TableInfo out;
  auto kind =
      TRY(database.prepare("SELECT type, sql FROM sqlite_schema WHERE name = ?1 AND type IN ('table', 'view')"));
  kind.bind(1, table);
  if (!TRY(kind.step())) return std::optional<TableInfo>();
  out.is_view = kind.text(0) == "view";
  out.has_rowid = !out.is_view && upper(kind.text(1)).find("WITHOUT ROWID") == std::string::npos;
  auto columns =
      TRY(database.prepare("SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1)"));
  columns.bind(1, table);
  std::vector<std::pair<int, std::string>> key;
  while (TRY(columns.step())) {
    TableColumn column{columns.text(0),     columns.text(1),        columns.number(2) != 0,
                       !columns.is_null(3), columns.number(5) >= 2, static_cast<int>(columns.number(4))};
    if (columns.number(5) == 1) continue;  // a hidden column of a virtual table
    if (column.key_part > 0) key.emplace_back(column.key_part, column.name);
    out.columns.push_back(std::move(column));
  }
  std::ranges::sort(key);
  if (!key.empty()) out.unique_keys.emplace_back();
  for (auto& [part, name] : key) out.unique_keys.back().push_back(std::move(name));
  auto indexes = TRY(database.prepare("SELECT name FROM pragma_index_list(?1) WHERE \"unique\" AND NOT partial"));
  indexes.bind(1, table);
  while (TRY(indexes.step())) {
    auto parts = TRY(database.prepare("SELECT name FROM pragma_index_info(?1) ORDER BY seqno"));
    parts.bind(1, indexes.text(0));
    std::vector<std::string> names;
    while (TRY(parts.step())) names.push_back(parts.text(0));
    out.unique_keys.push_back(std::move(names));
  }
  return std::optional(std::move(out));
}

// By the rules of affinity (sqlite.org/datatype3.html), with the words that people use for more.
Type type_of_declaration(std::string_view declared) {
  const std::string text = upper(declared);
  const auto has = [&](std::string_view word) { return text.find(word) != std::string::npos; };
  if (has("BOOL")) return Type(Kind::kBool);
  if (has("JSON")) return Type(Kind::kJson);
  if (has("INT")) return Type(Kind::kInt);
  if (has("CHAR") || has("CLOB") || has("TEXT")) return Type(Kind::kStr);
  if (has("BLOB")) return Type(Kind::kBytes);
  if (has("REAL") || has("FLOA") || has("DOUB")) return Type(Kind::kFloat);
  return Type(Kind::kAny);
}

std::string_view ddl_type(const Type& type) {
  switch (type.kind()) {
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kDuration: return "INTEGER";
    case Kind::kFloat: return "REAL";
    case Kind::kBytes: return "BLOB";
    default: return "TEXT";
  }
}

}  // namespace thalweg::sqlite
