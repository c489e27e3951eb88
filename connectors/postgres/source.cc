#include "connectors/postgres/source.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include <fmt/format.h>
#include <xxhash.h>

namespace thalweg::postgres {

namespace {

constexpr std::size_t kReadBytes = 1U << 20;
constexpr std::size_t kCopyHeaderBytes = 19;
constexpr std::int64_t kWaitNs = 100'000'000;
constexpr std::uint64_t kPagesMin = 64;            // of a part; smaller tables are read by one connection
constexpr std::uint64_t kRowsOfPart = 1ULL << 40;  // generated keys of parts do not meet
constexpr std::uint32_t kRowsPerPieceMax = 1U << 20;

}  // namespace

ReadShared::ReadShared(ReadSettings given, const std::string& name)
    : settings(std::move(given)), policy(settings.bad_rows), key_source(XXH3_64bits(name.data(), name.size())) {}

void CopyPiece::decode(RowSink& out) {
  Reporter report(out, shared_->policy);
  RowDecoder decoder(shared_->shape, bytes_, report);
  decoder.generate_keys(shared_->key_source, first_row_);
  std::string_view at = *bytes_;
  std::vector<RawField> fields;
  while (next_copy_row(at, fields)) decoder.row(fields);
  decoder.flush();
}

Result<bool> copy_out(Connection& connection, const std::string& sql, const std::shared_ptr<ReadShared>& shared,
                      SourceContext& context, std::uint64_t& rows) {
  TRY(connection.begin_copy(sql, PGRES_COPY_OUT));
  std::string bytes;
  std::uint64_t first = rows;
  bool header = true;
  const auto hand_over = [&] {
    if (bytes.empty()) return true;
    const bool more =
        context.deliver(std::make_unique<CopyPiece>(shared, std::exchange(bytes, {}), first, rows - first));
    first = rows;
    return more && !shared->policy.failed();
  };
  while (true) {
    std::string_view message;
    switch (TRY(connection.take_copy(message))) {
      case Connection::Got::kEnd: return hand_over();
      case Connection::Got::kNothingYet:
        if (!context.wait(kWaitNs, connection.socket())) return false;
        continue;
      case Connection::Got::kMessage: break;
    }
    if (std::exchange(header, false)) message.remove_prefix(std::min(kCopyHeaderBytes, message.size()));
    if (message.size() < 2 || load_be<std::int16_t>(message.data()) < 0) continue;  // the trailer
    if (bytes.empty()) bytes.reserve(kReadBytes + message.size());
    bytes += message;
    ++rows;
    if ((bytes.size() >= kReadBytes || rows - first >= kRowsPerPieceMax) && !hand_over()) return false;
  }
}

Result<TableInfo> find_table(Connection& connection, const TableName& name) {
  auto table = TRY(describe_table(connection, name));
  if (!table) return fail(Code::kNotFound, fmt::format("the database has no table `{}`", name.text()));
  return std::move(*table);
}

namespace {

std::string copy_statement(const ReadShared& shared, std::uint64_t from_page, std::uint64_t to_page) {
  std::string where;
  if (from_page > 0 || to_page > 0) where = fmt::format(" WHERE ctid >= '({},0)'", from_page);
  if (to_page > 0) where += fmt::format(" AND ctid < '({},0)'", to_page);
  return fmt::format("COPY (SELECT {} FROM {}{}) TO STDOUT (FORMAT binary)", shared.shape.select_list(),
                     shared.settings.table.quoted(), where);
}

std::string begin_as_of(const std::string& snapshot) {
  std::string sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
  if (!snapshot.empty()) sql += "; SET TRANSACTION SNAPSHOT " + quoted_literal(snapshot);
  return sql;
}

// What the readers of parts have in common.
struct Parts {
  std::mutex mutex;
  std::optional<Error> error;  // guarded by mutex: the first one
  std::atomic<bool> stopped{false};
};

void read_part(const std::shared_ptr<ReadShared>& shared, const std::string& snapshot, std::uint64_t part,
               std::uint64_t from_page, std::uint64_t to_page, SourceContext& context, Parts& parts) {
  const auto read = [&]() -> Result<bool> {
    auto connection = TRY(Connection::open(shared->settings.access, context.env()));
    TRY(connection->run(begin_as_of(snapshot)));
    std::uint64_t rows = part * kRowsOfPart;
    return copy_out(*connection, copy_statement(*shared, from_page, to_page), shared, context, rows);
  };
  auto done = read();
  if (done && *done) return;
  parts.stopped = true;
  if (done) return;
  std::lock_guard lock(parts.mutex);
  if (!parts.error) parts.error = std::move(done).error();
}

}  // namespace

Result<bool> read_table(const std::shared_ptr<ReadShared>& shared, const TableInfo& table, const std::string& snapshot,
                        SourceContext& context) {
  auto connection = TRY(Connection::open(shared->settings.access, context.env()));
  TRY(connection->run(begin_as_of(snapshot)));
  const auto wanted = static_cast<std::uint64_t>(shared->settings.connections);
  const std::uint64_t parts_max = table.kind == 'r' ? table.pages / kPagesMin : 0;
  const std::uint64_t count = std::min(wanted, std::max<std::uint64_t>(parts_max, 1));
  if (count <= 1) {
    std::uint64_t rows = 0;
    return copy_out(*connection, copy_statement(*shared, 0, 0), shared, context, rows);
  }
  std::string exported = snapshot;
  if (exported.empty()) exported = TRY(connection->run("SELECT pg_catalog.pg_export_snapshot()")).text(0, 0);
  Parts parts;
  std::vector<std::thread> threads;
  for (std::uint64_t part = 0; part < count; ++part) {
    const std::uint64_t from = table.pages * part / count;
    const std::uint64_t to = part + 1 == count ? 0 : table.pages * (part + 1) / count;
    threads.emplace_back([&, part, from, to] { read_part(shared, exported, part, from, to, context, parts); });
  }
  for (std::thread& thread : threads) thread.join();
  if (parts.error) return fail(std::move(*parts.error));
  return !parts.stopped;
}

StaticSource::StaticSource(const plan::Source& source, ReadSettings settings)
    : source_(source), shared_(std::make_shared<ReadShared>(std::move(settings), source.name)) {}

Result<void> StaticSource::run(SourceContext& context) {
  if (!context.resume_position().empty()) {
    context.warn("an earlier run of this pipeline has read the table; `mode: static` reads it once");
    return {};
  }
  if (!shared_->settings.dead_letters.empty())
    TRY(BadRowPolicy::check_dead_letters(context.env(), shared_->settings.dead_letters));
  TableInfo table;
  {
    auto connection = TRY(Connection::open(shared_->settings.access, context.env()));
    table = TRY(find_table(*connection, shared_->settings.table));
  }
  shared_->shape = TRY(RowShape::of(source_, table, shared_->settings.table));
  const bool whole = TRY(read_table(shared_, table, "", context));
  if (whole) context.commit(context.keeps_positions() ? "read" : "");
  return {};
}

}  // namespace thalweg::postgres
