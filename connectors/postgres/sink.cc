#include "connectors/postgres/sink.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <thread>

#include <fmt/format.h>

#include "connectors/formats/encode.h"

namespace thalweg::postgres {

namespace {

constexpr std::size_t kFlushBytes = 256 * 1024;
constexpr std::size_t kKeptBytesMax = 256U << 20;  // of a commit, to write it again
constexpr std::int64_t kOpenPatienceNs = 10'000'000'000;
constexpr std::int64_t kReconnectPatienceNs = 300'000'000'000;
constexpr std::int64_t kRetryNs = 100'000'000;
constexpr std::int64_t kRetryMaxNs = 10'000'000'000;
constexpr int kAttemptsMax = 8;  // of one commit
constexpr const char* kMarkerTable = "thalweg_commits";
constexpr const char* kStageUpserts = "pg_temp.thalweg_upserts";
constexpr const char* kStageDeletions = "pg_temp.thalweg_deletions";
constexpr std::uint64_t kRejectedShown = 10;

std::string name_list(const std::vector<EncodedColumn>& columns, const char* before = "") {
  std::string out;
  for (const EncodedColumn& column : columns) {
    if (!out.empty()) out += ", ";
    out += before + quoted_name(column.name);
  }
  return out;
}

std::size_t bytes_of(const Batch& batch) {
  std::size_t bytes = 0;
  for (const Column& column : batch.columns) {
    bytes += column.size() * phys_bytes(column.phys());
    if (column.phys() != Phys::kView) continue;
    const auto views = column.views();
    for (std::size_t row = 0; row < (column.is_constant() ? 1 : column.size()); ++row)
      if (column.is_value(row)) bytes += views[row].size();
  }
  return bytes;
}

void append_whole(const WireType& type, std::int64_t value, std::string& out) {
  if (type.wire == Wire::kInt2) {
    append_be<std::int32_t>(2, out);
    append_be(static_cast<std::int16_t>(value), out);
  } else if (type.wire == Wire::kInt4) {
    append_be<std::int32_t>(4, out);
    append_be(static_cast<std::int32_t>(value), out);
  } else {
    append_be<std::int32_t>(8, out);
    append_be(value, out);
  }
}

void pause(std::int64_t ns) { std::this_thread::sleep_for(std::chrono::nanoseconds(ns)); }

}  // namespace

// ---------------------------------------------------------------- the marker

Result<void> CommitMarker::take_over(Connection& connection, std::uint64_t generation, bool anew) {
  const std::string table = table_.quoted();
  TRY(
      connection.run(fmt::format("CREATE TABLE IF NOT EXISTS {} (pipeline text NOT NULL, sink text NOT NULL, "
                                 "generation bigint NOT NULL, commit bigint NOT NULL, PRIMARY KEY (pipeline, sink))",
                                 table)));
  TRY(connection.run(fmt::format("INSERT INTO {} VALUES ($1, $2, 0, 0) ON CONFLICT DO NOTHING", table),
                     {pipeline_, sink_}));
  if (anew)
    TRY(connection.run(fmt::format("UPDATE {} SET commit = 0 WHERE pipeline = $1 AND sink = $2", table),
                       {pipeline_, sink_}));
  const Rows taken = TRY(connection.run(
      fmt::format("UPDATE {} SET generation = CASE WHEN $3::bigint = 0 THEN generation + 1 ELSE $3::bigint END "
                  "WHERE pipeline = $1 AND sink = $2 AND ($3::bigint = 0 OR generation <= $3::bigint) "
                  "RETURNING generation, commit",
                  table),
      {pipeline_, sink_, std::to_string(generation)}));
  if (taken.size() != 1)
    return fail(
        Error{Code::kPermission,
              fmt::format("a newer run writes to this table (`{}` has a later generation)", table_.text()),
              {},
              {{fmt::format("if the pipeline's state was removed on purpose: DELETE FROM {} WHERE pipeline = {} AND "
                            "sink = {}",
                            table, quoted_literal(pipeline_), quoted_literal(sink_)),
                {}}}});
  generation_ = static_cast<std::uint64_t>(taken.number(0, 0));
  last_ = static_cast<std::uint64_t>(taken.number(0, 1));
  return {};
}

Result<void> CommitMarker::advance(Connection& connection, std::uint64_t commit) {
  const Rows done = TRY(connection.run(
      fmt::format("UPDATE {} SET commit = {} WHERE pipeline = {} AND sink = {} AND "
                  "generation = {} AND commit < {}",
                  table_.quoted(), commit, quoted_literal(pipeline_), quoted_literal(sink_), generation_, commit)));
  if (done.affected() == 1) return {};
  return fail(Code::kPermission,
              fmt::format("a newer run has taken over this table (`{}`); this one writes no more", table_.text()));
}

Result<std::uint64_t> CommitMarker::read(Connection& connection) const {
  const Rows rows = TRY(connection.run(
      fmt::format("SELECT commit FROM {} WHERE pipeline = $1 AND sink = $2", table_.quoted()), {pipeline_, sink_}));
  return rows.size() == 1 ? static_cast<std::uint64_t>(rows.number(0, 0)) : 0;
}

// ---------------------------------------------------------------- opening

PostgresSink::PostgresSink(WriteSettings settings, const Schema& schema)
    : settings_(std::move(settings)), schema_(schema), policy_(settings_.bad_rows) {}

Result<void> PostgresSink::connect_patiently(std::int64_t patience_ns) {
  const std::int64_t deadline = env_->clock->monotonic_ns() + patience_ns;
  std::int64_t rest = kRetryNs;
  while (true) {
    auto opened = Connection::open(settings_.access, *env_);
    if (opened) {
      connection_ = std::move(*opened);
      return {};
    }
    if (!is_transient(opened.error()) || env_->clock->monotonic_ns() + rest > deadline)
      return fail(std::move(opened).error());
    pause(rest);
    rest = std::min(rest * 2, kRetryMaxNs);
  }
}

Result<void> PostgresSink::open(const SinkContext& context) {
  env_ = context.env;
  name_ = context.name;
  tell_ = context.reject;
  keep_rejected_ = context.keep_rejected;
  goes_on_ = context.resume_from > 0;
  if (!settings_.dead_letters.empty()) TRY(BadRowPolicy::check_dead_letters(*env_, settings_.dead_letters));
  TRY(connect_patiently(kOpenPatienceNs));
  TRY(prepare_table());
  const bool keeps_state = !context.state_path.empty();
  if (settings_.exactly_once && !keeps_state)
    return fail(Error{Code::kInvalidPipeline,
                      "`delivery: exactly_once` needs a pipeline that keeps state",
                      {},
                      {{"give it a `persistence_config`", {}}}});
  if (context.exactly_once || (keeps_state && !settings_.at_least_once)) {
    marker_.emplace(TableName{settings_.table.schema, kMarkerTable},
                    context.pipeline.empty() ? std::string("default") : context.pipeline,
                    name_ + " " + settings_.table.text());
    TRY(marker_->take_over(*connection_, context.generation, made_new_ && settings_.init == InitMode::kReplace));
  }
  return prepare_session();
}

Result<void> PostgresSink::create_table() {
  std::string columns;
  for (std::size_t i = 0; i < schema_.size(); ++i) {
    const ColumnSpec& column = schema_.columns[i];
    const std::string type = ddl_type(column.type);
    const bool in_key = std::ranges::find(settings_.key, i) != settings_.key.end();
    const bool keyed = settings_.snapshot && in_key;
    columns += fmt::format("{}{} {}{}", columns.empty() ? "" : ", ", quoted_name(column.name), type,
                           keyed || !column.type.admits_none() ? " NOT NULL" : "");
  }
  if (settings_.snapshot) {
    std::string key;
    for (const std::uint32_t column : settings_.key)
      key += (key.empty() ? "" : ", ") + quoted_name(schema_.columns[column].name);
    columns += ", PRIMARY KEY (" + key + ")";
  } else {
    columns += std::string(columns.empty() ? "" : ", ") + "\"time\" BIGINT NOT NULL, \"diff\" SMALLINT NOT NULL";
  }
  const std::string name = settings_.table.quoted();
  const bool replace = settings_.init == InitMode::kReplace && !goes_on_;
  TRY(connection_->run(fmt::format("BEGIN; {}CREATE TABLE {}{} ({}); COMMIT",
                                   replace ? "DROP TABLE IF EXISTS " + name + "; " : "",
                                   replace ? "" : "IF NOT EXISTS ", name, columns)));
  made_new_ = true;
  return {};
}

Result<void> PostgresSink::prepare_table() {
  auto table = TRY(describe_table(*connection_, settings_.table));
  // A restart goes on with its table.
  const bool replace = settings_.init == InitMode::kReplace && !goes_on_;
  const bool make = replace || (!table && settings_.init != InitMode::kDefault);
  if (make) {
    TRY(create_table());
    table = TRY(describe_table(*connection_, settings_.table));
  }
  if (!table)
    return fail(Error{Code::kNotFound,
                      fmt::format("the database has no table `{}`", settings_.table.text()),
                      {},
                      {{"make it, or write `init_mode: create_if_not_exists`", {}}}});
  return check_table(*table);
}

Result<void> PostgresSink::check_table(const TableInfo& table) {
  if (table.kind != 'r' && table.kind != 'p')
    return fail(Code::kInvalidArgument, fmt::format("`{}` of the database is {}, and rows are written to tables",
                                                    settings_.table.text(), kind_text(table.kind)));
  columns_.clear();
  key_columns_.clear();
  const auto take = [&](const std::string& name, const Type& type, std::uint32_t index) -> Result<EncodedColumn> {
    const TableColumn* column = table.find(name);
    if (column == nullptr)
      return fail(Code::kInvalidArgument,
                  fmt::format("table `{}` of the database has no column `{}`{}", settings_.table.text(), name,
                              index < schema_.size() ? "" : ", which a stream of changes needs"));
    if (column->generated || column->by_identity)
      return fail(Code::kInvalidArgument, fmt::format("column `{}` of `{}` is made by the database (GENERATED ALWAYS)",
                                                      name, settings_.table.text()));
    if (!writable_to(type, column->type)) {
      const std::string wanted = ddl_type(type);
      return fail(Error{Code::kInvalidArgument,
                        fmt::format("column `{}` is `{}` here and `{}` in table `{}` of the database", name,
                                    type.to_text(), column->type_text, settings_.table.text()),
                        {},
                        {{wanted.empty() ? "no type of Postgres takes it" : "`" + wanted + "` takes it", {}}}});
    }
    return EncodedColumn{name, type, column->type, index, column->not_null};
  };
  for (std::uint32_t i = 0; i < schema_.size(); ++i)
    columns_.push_back(TRY(take(schema_.columns[i].name, schema_.columns[i].type, i)));
  if (!settings_.snapshot) {
    const auto added = static_cast<std::uint32_t>(schema_.size());
    time_type_ = TRY(take("time", Type(Kind::kInt), added)).wire;
    diff_type_ = TRY(take("diff", Type(Kind::kInt), added)).wire;
    for (const WireType& type : {time_type_, diff_type_})
      if (type.wire != Wire::kInt2 && type.wire != Wire::kInt4 && type.wire != Wire::kInt8)
        return fail(Code::kInvalidArgument, "the columns `time` and `diff` of a stream of changes are whole numbers");
    if (time_type_.wire != Wire::kInt8)
      return fail(Code::kInvalidArgument,
                  fmt::format("column `time` of `{}` must be `bigint`", settings_.table.text()));
  }
  for (const TableColumn& column : table.columns) {
    const bool added = !settings_.snapshot && (column.name == "time" || column.name == "diff");
    if (column.not_null && !column.has_default && !column.generated && !added && !schema_.find(column.name))
      return fail(Code::kInvalidArgument, fmt::format("column `{}` of `{}` is NOT NULL without a default, and nothing "
                                                      "is written to it",
                                                      column.name, settings_.table.text()));
  }
  if (settings_.snapshot) TRY(check_key(table));
  for (const std::uint32_t column : settings_.key) {
    columns_[column].not_null = true;
    key_columns_.push_back(columns_[column]);
  }
  return {};
}

Result<void> PostgresSink::check_key(const TableInfo& table) const {
  std::vector<std::string> key;
  for (const std::uint32_t column : settings_.key) key.push_back(schema_.columns[column].name);
  std::ranges::sort(key);
  for (std::vector<std::string> unique : table.unique_keys) {
    std::ranges::sort(unique);
    if (unique == key) return {};
  }
  std::string names;
  for (const std::string& name : key) names += (names.empty() ? "" : ", ") + name;
  return fail(
      Error{Code::kInvalidArgument,
            fmt::format("no primary key or unique index of `{}` is exactly ({})", settings_.table.text(), names),
            {},
            {{"a snapshot finds its rows by `primary_key`; make such an index, or name other columns", {}}}});
}

// What lives as long as the connection does.
Result<void> PostgresSink::prepare_session() {
  const std::string table = settings_.table.quoted();
  const std::string names = name_list(columns_);
  if (!settings_.snapshot) {
    copy_table_ = fmt::format("COPY {} ({}{}\"time\", \"diff\") FROM STDIN (FORMAT binary)", table, names,
                              columns_.empty() ? "" : ", ");
    return {};
  }
  const std::string keys = name_list(key_columns_);
  TRY(connection_->run(
      fmt::format("CREATE TEMP TABLE thalweg_upserts ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA; "
                  "CREATE TEMP TABLE thalweg_deletions ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA",
                  names, table, keys, table)));
  copy_upserts_ = fmt::format("COPY {} ({}) FROM STDIN (FORMAT binary)", kStageUpserts, names);
  copy_deletions_ = fmt::format("COPY {} ({}) FROM STDIN (FORMAT binary)", kStageDeletions, keys);
  std::string assignments;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (std::ranges::find(settings_.key, i) != settings_.key.end()) continue;
    const std::string name = quoted_name(columns_[i].name);
    assignments += fmt::format("{}{} = EXCLUDED.{}", assignments.empty() ? "" : ", ", name, name);
  }
  merge_upserts_ = fmt::format("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT ({}) DO {}", table, names, names,
                               kStageUpserts, keys, assignments.empty() ? "NOTHING" : "UPDATE SET " + assignments);
  std::string same;
  std::string both;
  for (const EncodedColumn& column : key_columns_) {
    const std::string name = quoted_name(column.name);
    same += fmt::format("{}t.{} = d.{}", same.empty() ? "" : " AND ", name, name);
    both += fmt::format("{}u.{} = d.{}", both.empty() ? "" : " AND ", name, name);
  }
  merge_only_deletions_ = fmt::format("DELETE FROM {} t USING {} d WHERE {}", table, kStageDeletions, same);
  merge_deletions_ =
      fmt::format("{} AND NOT EXISTS (SELECT FROM {} u WHERE {})", merge_only_deletions_, kStageUpserts, both);
  return {};
}

std::optional<std::uint64_t> PostgresSink::last_commit() const {
  return marker_ ? std::optional(marker_->last()) : std::nullopt;
}

Delivery PostgresSink::delivery() const {
  if (marker_) return Delivery::kExactlyOnce;
  return settings_.snapshot ? Delivery::kEffectivelyOnce : Delivery::kAtLeastOnce;
}

// ---------------------------------------------------------------- writing

Result<void> PostgresSink::begin(std::uint64_t commit) {
  skipping_ = marker_ && commit <= marker_->last();
  kept_.clear();
  kept_bytes_ = 0;
  kept_all_ = true;
  lost_.reset();
  again_ = false;
  transaction_.clear();
  asked_to_commit_ = false;
  return {};
}

Result<void> PostgresSink::start_transaction() {
  if (!transaction_.empty()) return {};
  const Rows started = TRY(connection_->run("BEGIN; SELECT pg_catalog.pg_current_xact_id()::text"));
  transaction_ = started.text(0, 0);
  upserts_ = deletions_ = 0;
  stage_ = Stage::kNone;
  stage_rows_ = 0;
  buffer_.clear();
  return {};
}

void PostgresSink::keep(const Batch& batch) {
  if (!kept_all_) return;
  kept_bytes_ += bytes_of(batch);
  kept_.push_back(batch);
  if (kept_bytes_ <= kKeptBytesMax) return;
  kept_all_ = false;
  kept_.clear();
}

Result<void> PostgresSink::write(std::uint64_t commit, const Batch& batch) {
  if (skipping_) return {};
  keep(batch);
  if (lost_ || !settings_.sort_by.empty()) return {};
  auto sent = send(commit, batch);
  if (sent) return {};
  if (!is_transient(sent.error()) || !kept_all_) return sent;
  lost_ = std::move(sent).error();
  return {};
}

Result<void> PostgresSink::send(std::uint64_t commit, const Batch& batch) {
  TRY(start_transaction());
  for (std::size_t row = 0; row < batch.num_rows; ++row) {
    const Diff diff = batch.diff(row);
    for (Diff times = std::abs(diff); times > 0; --times) {
      TRY(send_row(commit, batch, row));
      if (settings_.snapshot) break;
    }
  }
  return {};
}

Result<void> PostgresSink::send_row(std::uint64_t commit, const Batch& batch, std::size_t row) {
  const bool is_deletion = batch.diff(row) < 0;
  const bool by_key = settings_.snapshot && is_deletion;
  TRY(use(!settings_.snapshot ? Stage::kTable : by_key ? Stage::kDeletions : Stage::kUpserts));
  const std::vector<EncodedColumn>& columns = by_key ? key_columns_ : columns_;
  const std::size_t before = buffer_.size();
  append_be(static_cast<std::int16_t>(columns.size() + (settings_.snapshot ? 0 : 2)), buffer_);
  std::string why;
  for (const EncodedColumn& column : columns) {
    if (append_field(column, batch, row, buffer_, why)) continue;
    buffer_.resize(before);
    if (!by_key) reject(batch, row, commit, column.name, why);
    if (policy_.failed()) return fail(Code::kBadData, fmt::format("column `{}` {}", column.name, why));
    return {};
  }
  if (!settings_.snapshot) {
    append_whole(time_type_, static_cast<std::int64_t>(commit), buffer_);
    append_whole(diff_type_, is_deletion ? -1 : 1, buffer_);
  }
  ++(by_key ? deletions_ : upserts_);
  ++stage_rows_;
  if (settings_.batch_rows_max > 0 && stage_rows_ >= settings_.batch_rows_max) return use(Stage::kNone);
  return flush(kFlushBytes);
}

// Ends the COPY that runs, begins that of `stage`.
Result<void> PostgresSink::use(Stage stage) {
  if (stage == stage_) return {};
  if (stage_ != Stage::kNone) {
    buffer_ += kCopyTrailer;
    TRY(flush(0));
    TRY(connection_->end_copy_in());
  }
  stage_ = Stage::kNone;
  if (stage == Stage::kNone) return {};
  TRY(connection_->begin_copy_in(stage == Stage::kTable     ? copy_table_
                                 : stage == Stage::kUpserts ? copy_upserts_
                                                            : copy_deletions_));
  stage_ = stage;
  stage_rows_ = 0;
  buffer_ = kCopyHeader;
  return {};
}

Result<void> PostgresSink::flush(std::size_t bytes_min) {
  if (buffer_.size() < bytes_min || buffer_.empty()) return {};
  TRY(connection_->copy(buffer_));
  count_bytes(buffer_.size());
  buffer_.clear();
  return {};
}

Result<void> PostgresSink::merge() {
  if (deletions_ > 0) TRY(connection_->run(upserts_ > 0 ? merge_deletions_ : merge_only_deletions_));
  if (upserts_ == 0) return {};
  auto merged = connection_->run(merge_upserts_);
  if (merged) return {};
  constexpr const char* kTwice = "21000";  // cardinality_violation
  if (connection_->state() == kTwice)
    return fail(Error{Code::kBadData,
                      fmt::format("two rows of one commit have the same `primary_key`, and `{}` can keep one of them",
                                  settings_.table.text()),
                      {},
                      {{"name columns that tell all rows apart", {}}}});
  return fail(std::move(merged).error());
}

Result<void> PostgresSink::finish(std::uint64_t commit) {
  TRY(start_transaction());
  TRY(use(Stage::kNone));
  if (settings_.snapshot) TRY(merge());
  if (keep_rejected_) TRY(keep_rejected_());
  if (marker_) TRY(marker_->advance(*connection_, commit));
  asked_to_commit_ = true;
  TRY(connection_->run("COMMIT"));
  return {};
}

Batch PostgresSink::sorted() const {
  Batch all = Batch::concat(kept_);
  std::vector<std::uint32_t> order(all.num_rows);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](std::uint32_t a, std::uint32_t b) {
    for (const std::uint32_t column : settings_.sort_by)
      if (const int c =
              Column::compare_cells(schema_.columns[column].type, all.columns[column], a, all.columns[column], b))
        return c < 0;
    return all.diff(a) < all.diff(b);
  });
  return all.gather(order);
}

Result<void> PostgresSink::end(std::uint64_t commit) {
  if (skipping_) return {};
  if (!settings_.sort_by.empty()) {
    if (!kept_all_)
      return fail(Code::kTooLarge,
                  fmt::format("a commit of more than {} MB cannot be put in order (`sort_by`)", kKeptBytesMax >> 20));
    kept_ = {sorted()};
    if (auto sent = send(commit, kept_.front()); !sent) lost_ = std::move(sent).error();
  }
  Result<void> done = lost_ ? Result<void>(fail(*lost_)) : finish(commit);
  if (!done) done = write_again(commit, std::move(done).error());
  kept_.clear();
  if (done && marker_) marker_->now_at(commit);
  transaction_.clear();
  return done;
}

// Whether the transaction that was lost on its way is in the database.
Result<bool> PostgresSink::has_happened(std::uint64_t commit) {
  if (!asked_to_commit_) return false;
  if (marker_) return TRY(marker_->read(*connection_)) >= commit;
  const Rows status = TRY(connection_->run("SELECT pg_catalog.pg_xact_status($1::xid8)", {transaction_}));
  return status.text(0, 0) == "committed";
}

Result<void> PostgresSink::write_again(std::uint64_t commit, Error why) {
  std::int64_t rest = kRetryNs;
  for (int attempt = 1; is_transient(why) && kept_all_; ++attempt) {
    if (attempt > kAttemptsMax) return fail(std::move(why).with_note(fmt::format("after {} attempts", kAttemptsMax)));
    std::fprintf(stderr, "%s: %s; trying again\n", name_.c_str(), why.message.c_str());
    pause(rest);
    rest = std::min(rest * 2, kRetryMaxNs);
    const auto attempted = [&]() -> Result<void> {
      connection_.reset();
      TRY(connect_patiently(kReconnectPatienceNs));
      if (TRY(has_happened(commit))) return prepare_session();
      TRY(prepare_session());
      transaction_.clear();
      asked_to_commit_ = false;
      again_ = true;
      for (const Batch& batch : kept_) TRY(send(commit, batch));
      return finish(commit);
    };
    auto done = attempted();
    if (done) return {};
    why = std::move(done).error();
  }
  return fail(std::move(why));
}

void PostgresSink::reject(const Batch& batch, std::size_t row, std::uint64_t commit, const std::string& column,
                          const std::string& why) {
  if (again_) return;
  Rejection out{.reason = fmt::format("column `{}` {}", column, why),
                .position = fmt::format("{}@{}", settings_.table.text(), commit),
                .payload = row_text(schema_, batch, row)};
  BadRecord record{.message = out.reason, .raw = {}, .position = out.position};
  policy_.apply(record);
  if (++rejected_ <= kRejectedShown)
    std::fprintf(stderr, "%s: a row is left out: %s\n", name_.c_str(), located_message(record).c_str());
  if (tell_) tell_(batch, row, std::move(out));
}

Result<void> PostgresSink::close(bool /*complete*/) {
  if (rejected_ > kRejectedShown)
    std::fprintf(stderr, "%s: %llu rows were left out\n", name_.c_str(), static_cast<unsigned long long>(rejected_));
  connection_.reset();  // what was not committed is undone
  return {};
}

}  // namespace thalweg::postgres
