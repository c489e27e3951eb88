#include "connectors/postgres/slot.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <xxhash.h>

namespace thalweg::postgres {

namespace {

constexpr int kVersionMin = 140'000;  // logical replication in the binary form
constexpr std::size_t kNameReadable = 40;

std::string_view next_word(std::string_view& text) {
  const std::size_t end = std::min(text.find(' '), text.size());
  const std::string_view out = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return out;
}

// The table in the publication: its columns, whether rows are filtered.
Result<Rows> membership(Connection& connection, const std::string& publication, const TableName& table) {
  return connection.run(
      connection.server_version() >= 150'000
          ? "SELECT attnames::text[], rowfilter IS NOT NULL FROM pg_catalog.pg_publication_tables WHERE pubname = $1 "
            "AND "
            "schemaname = $2 AND tablename = $3"
          : "SELECT NULL, false FROM pg_catalog.pg_publication_tables WHERE pubname = $1 AND schemaname = $2 AND "
            "tablename = $3",
      {publication, table.schema, table.table});
}

}  // namespace

std::string Position::text() const { return fmt::format("{} {} {} {}", lsn_text(lsn), system, timeline, slot); }

std::optional<Position> Position::from(std::string_view text) {
  Position out;
  const auto lsn = lsn_from_text(next_word(text));
  if (!lsn) return std::nullopt;
  out.lsn = *lsn;
  out.system = next_word(text);
  const std::string_view timeline = next_word(text);
  const auto [end, error] = std::from_chars(timeline.data(), timeline.data() + timeline.size(), out.timeline);
  if (error != std::errc() || end != timeline.data() + timeline.size()) return std::nullopt;
  out.slot = text;
  return out;
}

Result<System> identify(Connection& replication) {
  const Rows rows = TRY(replication.run("IDENTIFY_SYSTEM"));
  if (rows.size() != 1) return fail(Code::kUnavailable, "the server does not identify itself");
  return System{rows.text(0, 0), rows.number(0, 1)};
}

Result<void> check_server(Connection& connection) {
  if (connection.server_version() < kVersionMin)
    return fail(Code::kInvalidArgument, "changes are read from Postgres 14 and later; `mode: static` reads older ones");
  const Rows level = TRY(connection.run("SHOW wal_level"));
  if (level.text(0, 0) != "logical")
    return fail(
        Error{Code::kInvalidArgument,
              fmt::format("the server has `wal_level = {}`, and changes are read from `logical`", level.text(0, 0)),
              {},
              {{"ALTER SYSTEM SET wal_level = logical, and start the server again", {}}}});
  return {};
}

Result<void> check_identity(const TableInfo& table, const RowShape& shape, bool upsert, bool append_only) {
  for (std::size_t i = 0; i < shape.wires.size(); ++i)
    if (shape.wires[i].wire == Wire::kUnsupported)
      return fail(Code::kInvalidArgument,
                  fmt::format("column `{}` has a type that can be read as text with `mode: static` only",
                              shape.layout.fields[i].name));
  if (table.kind != 'r' && table.kind != 'p')
    return fail(
        Code::kInvalidArgument,
        fmt::format("it is {}: changes are those of tables; read it with `mode: static`", kind_text(table.kind)));
  if (append_only || table.replica_identity == 'f') return {};
  if (!upsert)
    return fail(
        Error{Code::kInvalidArgument,
              "without a primary key in the schema, an update or deletion must tell the whole old row",
              {},
              {{"declare the primary key, or ALTER TABLE … REPLICA IDENTITY FULL, or `is_append_only: true`", {}}}});
  if (table.identity_key.empty())
    return fail(Error{Code::kInvalidArgument,
                      "the table tells nothing of the rows that are updated or deleted (its REPLICA IDENTITY)",
                      {},
                      {{"give it a primary key, or ALTER TABLE … REPLICA IDENTITY FULL", {}}}});
  for (const std::uint32_t part : shape.layout.key_fields) {
    const std::string& name = shape.layout.fields[part].external_name;
    if (std::ranges::find(table.identity_key, name) == table.identity_key.end())
      return fail(Error{Code::kInvalidArgument,
                        fmt::format("column `{}` of the primary key here is not part of the table's, so deletions do "
                                    "not tell it",
                                    name),
                        {},
                        {{"ALTER TABLE … REPLICA IDENTITY FULL, or take the table's own primary key", {}}}});
  }
  return {};
}

Result<std::string> find_publication(Connection& connection, const std::string& given, const TableName& table,
                                     const RowShape& shape, bool append_only) {
  const std::string name = given.empty() ? own_name("thalweg", table.text()) : given;
  const char* const kSelect =
      "SELECT pubinsert, pubupdate, pubdelete, pubtruncate FROM pg_catalog.pg_publication WHERE pubname = $1";
  Rows found = TRY(connection.run(kSelect, {name}));
  if (found.size() == 0) {
    if (!given.empty())
      return fail(Error{Code::kNotFound,
                        fmt::format("the database has no publication `{}` (`publication_name`)", name),
                        {},
                        {{fmt::format("CREATE PUBLICATION {} FOR TABLE {}", quoted_name(name), table.quoted()), {}}}});
    auto made = connection.run(fmt::format("CREATE PUBLICATION {} FOR TABLE {}", quoted_name(name), table.quoted()));
    if (!made && connection.state() != "42710")  // another source has just made it
      return fail(std::move(made.error()).with_note("`publication_name` takes one that somebody else has made"));
    found = TRY(connection.run(kSelect, {name}));
    if (found.size() == 0) return fail(Code::kUnavailable, fmt::format("publication `{}` went away", name));
  }
  const char* const kinds[] = {"insert", "update", "delete", "truncate"};
  for (int i = 0; i < (append_only ? 1 : 4); ++i)
    if (!found.flag(0, i))
      return fail(Code::kInvalidArgument, fmt::format("publication `{}` does not publish `{}`", name, kinds[i]));
  Rows member = TRY(membership(connection, name, table));
  if (member.size() == 0 && given.empty()) {  // the table was made anew
    TRY(connection.run(fmt::format("ALTER PUBLICATION {} ADD TABLE {}", quoted_name(name), table.quoted())));
    member = TRY(membership(connection, name, table));
  }
  if (member.size() == 0)
    return fail(Error{Code::kInvalidArgument,
                      fmt::format("publication `{}` does not have table `{}`", name, table.text()),
                      {},
                      {{fmt::format("ALTER PUBLICATION {} ADD TABLE {}", quoted_name(name), table.quoted()), {}}}});
  if (member.flag(0, 1))
    return fail(Code::kInvalidArgument,
                fmt::format("publication `{}` filters the rows of `{}`: the table as it is read "
                            "and its changes would not agree",
                            name, table.text()));
  if (member.is_null(0, 0)) return name;
  const std::string columns = member.text(0, 0);
  for (const RecordField& field : shape.layout.fields) {
    const Rows has = TRY(connection.run("SELECT $1 = ANY ($2::text[])", {field.external_name, columns}));
    if (!has.flag(0, 0))
      return fail(Code::kInvalidArgument,
                  fmt::format("publication `{}` leaves out column `{}`", name, field.external_name));
  }
  return name;
}

Result<std::optional<SlotState>> find_slot(Connection& connection, const std::string& name) {
  const Rows rows = TRY(connection.run(
      "SELECT active, coalesce(active_pid::text, ''), coalesce(wal_status = 'lost', false), coalesce(plugin, ''), "
      "coalesce(confirmed_flush_lsn, '0/0')::text FROM pg_catalog.pg_replication_slots WHERE slot_name = $1",
      {name}));
  if (rows.size() == 0) return std::optional<SlotState>();
  SlotState out;
  out.active = rows.flag(0, 0);
  out.active_pid = rows.text(0, 1);
  out.lost = rows.flag(0, 2);
  out.plugin = rows.text(0, 3);
  out.confirmed = lsn_from_text(rows.text(0, 4)).value_or(0);
  if (out.plugin != "pgoutput")
    return fail(Code::kInvalidArgument,
                fmt::format("replication slot `{}` is of plugin `{}`; `pgoutput` is read here", name, out.plugin));
  return std::optional(std::move(out));
}

Result<NewSlot> create_slot(Connection& replication, const std::string& name, bool temporary) {
  const Rows rows = TRY(replication.run(fmt::format("CREATE_REPLICATION_SLOT {}{} LOGICAL pgoutput EXPORT_SNAPSHOT",
                                                    quoted_name(name), temporary ? " TEMPORARY" : "")));
  const auto lsn = rows.size() == 1 ? lsn_from_text(rows.text(0, 1)) : std::nullopt;
  if (!lsn) return fail(Code::kUnavailable, "the server made a replication slot and does not say where it stands");
  return NewSlot{*lsn, rows.text(0, 2)};
}

std::string own_name(std::string_view prefix, std::string_view for_what) {
  std::string out(prefix);
  out += '_';
  for (const char c : for_what.substr(0, kNameReadable)) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    out += upper ? static_cast<char>(c + 32) : plain ? c : '_';
  }
  return fmt::format("{}_{:08x}", out, XXH3_64bits(for_what.data(), for_what.size()) & 0xFFFFFFFF);
}

}  // namespace thalweg::postgres
