#include "connectors/postgres/catalog.h"

#include <fmt/format.h>

namespace thalweg::postgres {

namespace {

constexpr const char* kRelation =
    "SELECT c.oid, c.relkind, c.relreplident, c.relpages FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";

// Domains count as what they are made of.
constexpr const char* kColumns =
    "SELECT a.attname, b.oid, b.typname, b.typtype, a.atttypmod, a.attnotnull OR t.typnotnull, a.atthasdef, "
    "a.attgenerated <> '', a.attidentity = 'a', pg_catalog.format_type(a.atttypid, a.atttypmod), "
    "CASE WHEN b.typcategory = 'A' THEN e.oid ELSE 0 END, coalesce(e.typname, ''), coalesce(e.typtype, 'b'), "
    "a.attlen = -1 AND a.attstorage <> 'p', a.attnum, a.attidentity <> '', a.atttypid "
    "FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid "
    "JOIN pg_catalog.pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END "
    "LEFT JOIN pg_catalog.pg_type e ON e.oid = b.typelem "
    "WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

constexpr const char* kIndexes =
    "SELECT i.indexrelid, i.indisprimary, i.indisreplident, a.attname FROM pg_catalog.pg_index i "
    "CROSS JOIN LATERAL generate_series(0, i.indnkeyatts - 1) AS k(n) "
    "JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.n] "
    "WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL "
    "ORDER BY i.indexrelid, k.n";

constexpr std::int64_t kVarcharHeader = 4;  // how much atttypmod is above the length
constexpr Oid kVarchar = 1043;
constexpr Oid kBpchar = 1042;

TableColumn column_of(const Rows& rows, int row) {
  TableColumn out;
  out.name = rows.text(row, 0);
  out.type.oid = static_cast<Oid>(rows.number(row, 1));
  out.type.wire = wire_of(out.type.oid, rows.text(row, 2), rows.text(row, 3)[0]);
  const std::int64_t modifier = rows.number(row, 4);
  if ((out.type.oid == kVarchar || out.type.oid == kBpchar) && modifier >= kVarcharHeader)
    out.type.length_max = static_cast<std::int32_t>(modifier - kVarcharHeader);
  out.type.element_oid = static_cast<Oid>(rows.number(row, 10));
  if (out.type.element_oid != 0 && out.type.wire == Wire::kUnsupported) {
    out.type.element = wire_of(out.type.element_oid, rows.text(row, 11), rows.text(row, 12)[0]);
    if (out.type.element != Wire::kUnsupported) out.type.wire = Wire::kArray;
  }
  out.declared_oid = static_cast<Oid>(rows.number(row, 16));
  out.not_null = rows.flag(row, 5);
  out.has_default = rows.flag(row, 6) || rows.flag(row, 15);
  out.generated = rows.flag(row, 7);
  out.by_identity = rows.flag(row, 8);
  out.type_text = rows.text(row, 9);
  out.may_be_toasted = rows.flag(row, 13);
  out.number = static_cast<std::int16_t>(rows.number(row, 14));
  return out;
}

void take_indexes(const Rows& rows, TableInfo& out) {
  std::string current;
  for (int row = 0; row < rows.size(); ++row) {
    const std::string index = rows.text(row, 0);
    if (index != current) out.unique_keys.emplace_back();
    current = index;
    const std::string column = rows.text(row, 3);
    out.unique_keys.back().push_back(column);
    const bool primary = rows.flag(row, 1);
    if (primary) out.primary_key.push_back(column);
    if (out.replica_identity == 'i' ? rows.flag(row, 2) : (out.replica_identity == 'd' && primary))
      out.identity_key.push_back(column);
  }
}

}  // namespace

std::string_view kind_text(char relkind) {
  switch (relkind) {
    case 'v': return "a view";
    case 'm': return "a materialised view";
    case 'f': return "a foreign table";
    case 'p': return "a partitioned table";
    default: return "a table";
  }
}

Result<std::optional<TableInfo>> describe_table(Connection& connection, const TableName& name) {
  const Rows relation = TRY(connection.run(kRelation, {name.schema, name.table}));
  if (relation.size() == 0) {
    const Rows schema = TRY(connection.run("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1", {name.schema}));
    if (schema.size() == 0)
      return fail(Code::kNotFound, fmt::format("the database has no schema `{}` (`schema_name`)", name.schema));
    return std::optional<TableInfo>();
  }
  TableInfo out;
  out.oid = static_cast<Oid>(relation.number(0, 0));
  out.kind = relation.text(0, 1)[0];
  out.replica_identity = relation.text(0, 2)[0];
  const std::vector<std::string> oid = {std::to_string(out.oid)};
  if (out.kind == 'r') {
    const Rows size =
        TRY(connection.run("SELECT pg_catalog.pg_relation_size($1::oid) / "
                           "current_setting('block_size')::int",
                           oid));
    out.pages = static_cast<std::uint64_t>(size.number(0, 0));
  }
  const Rows columns = TRY(connection.run(kColumns, oid));
  for (int row = 0; row < columns.size(); ++row) out.columns.push_back(column_of(columns, row));
  take_indexes(TRY(connection.run(kIndexes, oid)), out);
  return std::optional(std::move(out));
}

}  // namespace thalweg::postgres
