#include "connectors/sqlite/sink.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <unordered_set>

#include <fmt/format.h>

#include "connectors/formats/encode.h"
#include "engine/types/encoding.h"

namespace thalweg::sqlite {

namespace {

constexpr const char* kMarkerTable = "thalweg_commits";
constexpr int kAttemptsMax = 5;
constexpr std::uint64_t kRejectedShown = 10;

}  // namespace

Result<void> SqliteSink::open(const SinkContext& context) {
  if (!settings_.dead_letters.empty()) TRY(BadRowPolicy::check_dead_letters(*context.env, settings_.dead_letters));
  tell_ = context.reject;
  keep_rejected_ = context.keep_rejected;
  goes_on_ = context.resume_from > 0;
  const bool keeps_state = !context.state_path.empty();
  if (settings_.exactly_once && !keeps_state)
    return fail(Error{Code::kInvalidPipeline,
                      "`delivery: exactly_once` needs a pipeline that keeps state",
                      {},
                      {{"give it a `persistence_config`", {}}}});
  exactly_once_ = context.exactly_once || (keeps_state && !settings_.at_least_once);
  database_.emplace(TRY(Database::open(settings_.path, Database::Mode::kWrite)));
  TRY(prepare_table());
  TRY(prepare_statements());
  if (exactly_once_) TRY(take_over(context));
  return {};
}

Result<void> SqliteSink::create_table() const {
  std::string columns;
  for (std::uint32_t i = 0; i < schema_.size(); ++i) {
    const ColumnSpec& column = schema_.columns[i];
    const bool in_key = settings_.snapshot && std::ranges::find(settings_.key, i) != settings_.key.end();
    columns += fmt::format("{}{} {}{}", i > 0 ? ", " : "", quoted_name(column.name), ddl_type(column.type),
                           in_key || !column.type.admits_none() ? " NOT NULL" : "");
  }
  if (settings_.snapshot) {
    std::string key;
    for (const std::uint32_t column : settings_.key)
      key += (key.empty() ? "" : ", ") + quoted_name(schema_.columns[column].name);
    columns += ", PRIMARY KEY (" + key + ")";
  } else {
    columns += std::string(columns.empty() ? "" : ", ") + "\"time\" INTEGER NOT NULL, \"diff\" INTEGER NOT NULL";
  }
  const std::string name = quoted_name(settings_.table);
  const bool replace = settings_.init == InitMode::kReplace && !goes_on_;
  return database_->run(fmt::format("BEGIN IMMEDIATE; {}CREATE TABLE IF NOT EXISTS {} ({}); COMMIT",
                                    replace ? "DROP TABLE IF EXISTS " + name + "; " : "", name, columns));
}

Result<void> SqliteSink::prepare_table() {
  auto table = TRY(describe_table(*database_, settings_.table));
  if ((settings_.init == InitMode::kReplace && !goes_on_) || (!table && settings_.init != InitMode::kDefault)) {
    TRY(create_table());
    table = TRY(describe_table(*database_, settings_.table));
  }
  if (!table)
    return fail(Error{Code::kNotFound,
                      fmt::format("the database '{}' has no table `{}`", settings_.path, settings_.table),
                      {},
                      {{"make it, or write `init_mode: create_if_not_exists`", {}}}});
  return check_table(*table);
}

Result<void> SqliteSink::check_table(const TableInfo& table) {
  if (table.is_view)
    return fail(Code::kInvalidArgument, fmt::format("`{}` is a view, and rows are written to tables", settings_.table));
  not_null_.assign(schema_.size(), false);
  std::vector<std::string> written = schema_.names();
  if (!settings_.snapshot) written.insert(written.end(), {"time", "diff"});
  for (std::size_t i = 0; i < written.size(); ++i) {
    const TableColumn* column = table.find(written[i]);
    if (column == nullptr)
      return fail(Code::kInvalidArgument, fmt::format("table `{}` has no column `{}`{}", settings_.table, written[i],
                                                      i < schema_.size() ? "" : ", which a stream of changes needs"));
    if (column->generated)
      return fail(Code::kInvalidArgument,
                  fmt::format("column `{}` of `{}` is made by the database", written[i], settings_.table));
    if (i < schema_.size()) not_null_[i] = column->not_null;
  }
  for (const TableColumn& column : table.columns) {
    const bool is_written = std::ranges::find(written, column.name) != written.end();
    if (column.not_null && !column.has_default && !column.generated && !is_written && column.key_part == 0)
      return fail(Code::kInvalidArgument,
                  fmt::format("column `{}` of `{}` is NOT NULL without a default, and nothing is written to it",
                              column.name, settings_.table));
  }
  if (!settings_.snapshot) return {};
  std::vector<std::string> key;
  for (const std::uint32_t column : settings_.key) {
    not_null_[column] = true;
    key.push_back(schema_.columns[column].name);
  }
  std::ranges::sort(key);
  const bool unique = std::ranges::any_of(table.unique_keys, [&](std::vector<std::string> names) {
    std::ranges::sort(names);
    return names == key;
  });
  if (unique) return {};
  std::string names;
  for (const std::string& name : key) names += (names.empty() ? "" : ", ") + name;
  return fail(Error{Code::kInvalidArgument,
                    fmt::format("no primary key or unique index of `{}` is exactly ({})", settings_.table, names),
                    {},
                    {{"a snapshot finds its rows by `primary_key`; make such an index, or name other columns", {}}}});
}

Result<void> SqliteSink::prepare_statements() {
  std::string names;
  std::string places;
  std::string updates;
  std::string key;
  std::string matches;
  for (std::uint32_t i = 0; i < schema_.size(); ++i) {
    const std::string name = quoted_name(schema_.columns[i].name);
    names += (i > 0 ? ", " : "") + name;
    places += fmt::format("{}?{}", i > 0 ? ", " : "", i + 1);
    if (std::ranges::find(settings_.key, i) == settings_.key.end())
      updates += fmt::format("{}{} = excluded.{}", updates.empty() ? "" : ", ", name, name);
  }
  const std::string table = quoted_name(settings_.table);
  if (!settings_.snapshot) {
    const char* comma = names.empty() ? "" : ", ";
    insert_.emplace(
        TRY(database_->prepare(fmt::format("INSERT INTO {} ({}{}\"time\", \"diff\") VALUES ({}{}?{}, ?{})", table,
                                           names, comma, places, comma, schema_.size() + 1, schema_.size() + 2))));
    return {};
  }
  for (std::size_t i = 0; i < settings_.key.size(); ++i) {
    const std::string name = quoted_name(schema_.columns[settings_.key[i]].name);
    key += (i > 0 ? ", " : "") + name;
    matches += fmt::format("{}{} = ?{}", i > 0 ? " AND " : "", name, i + 1);
  }
  insert_.emplace(
      TRY(database_->prepare(fmt::format("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO {}", table, names, places,
                                         key, updates.empty() ? "NOTHING" : "UPDATE SET " + updates))));
  delete_.emplace(TRY(database_->prepare(fmt::format("DELETE FROM {} WHERE {}", table, matches))));
  return {};
}

// The mark of the last commit; whoever had it before writes no more.
Result<void> SqliteSink::take_over(const SinkContext& context) {
  const std::string pipeline = context.pipeline.empty() ? "default" : context.pipeline;
  TRY(database_->run(
      fmt::format("CREATE TABLE IF NOT EXISTS {} (pipeline TEXT NOT NULL, sink TEXT NOT NULL, generation "
                  "INTEGER NOT NULL, \"commit\" INTEGER NOT NULL, PRIMARY KEY (pipeline, sink))",
                  kMarkerTable)));
  const bool anew = settings_.init == InitMode::kReplace && !goes_on_;
  auto taken = TRY(database_->prepare(
      fmt::format("INSERT INTO {0} VALUES (?1, ?2, max(1, ?3), 0) ON CONFLICT (pipeline, sink) DO UPDATE SET "
                  "generation = iif(?3 = 0, generation + 1, ?3), \"commit\" = iif(?4, 0, \"commit\") "
                  "WHERE ?3 = 0 OR generation <= ?3 RETURNING generation, \"commit\"",
                  kMarkerTable)));
  taken.bind(1, pipeline);
  const std::string sink = settings_.name + " " + settings_.table;
  taken.bind(2, sink);
  taken.bind(3, static_cast<std::int64_t>(context.generation));
  taken.bind(4, anew ? 1 : 0);
  if (!TRY(taken.step()))
    return fail(Error{
        Code::kPermission,
        fmt::format("a newer run writes to '{}' (`{}` has a later generation)", settings_.path, kMarkerTable),
        {},
        {{fmt::format("if the pipeline's state was removed on purpose, delete its row from `{}`", kMarkerTable), {}}}});
  generation_ = static_cast<std::uint64_t>(taken.number(0));
  last_commit_ = static_cast<std::uint64_t>(taken.number(1));
  TRY(taken.run());
  advance_.emplace(TRY(database_->prepare(fmt::format(
      "UPDATE {} SET \"commit\" = ?1 WHERE pipeline = ?2 AND sink = ?3 AND generation = ?4 AND \"commit\" < ?1",
      kMarkerTable))));
  advance_->bind(2, pipeline);
  advance_->bind(3, sink);
  advance_->bind(4, static_cast<std::int64_t>(generation_));
  return {};
}

Result<void> SqliteSink::begin(std::uint64_t commit) {
  skipping_ = exactly_once_ && commit <= last_commit_;
  commit_batches_.clear();
  again_ = false;
  return {};
}

Result<void> SqliteSink::write(std::uint64_t /*commit*/, const Batch& batch) {
  if (!skipping_) commit_batches_.push_back(batch);
  return {};
}

bool SqliteSink::acceptable(std::uint64_t commit, const Batch& batch, std::size_t row) {
  for (std::size_t c = 0; c < schema_.size(); ++c) {
    if (!not_null_[c] || batch.columns[c].is_value(row)) continue;
    if (again_) return false;
    Rejection out{.reason = fmt::format("column `{}` is None, and the column is NOT NULL", schema_.columns[c].name),
                  .position = fmt::format("{}@{}", settings_.table, commit),
                  .payload = row_text(schema_, batch, row)};
    BadRecord record{.message = out.reason, .raw = {}, .position = out.position};
    policy_.apply(record);
    if (++rejected_ <= kRejectedShown)
      std::fprintf(stderr, "%s: a row is left out: %s\n", settings_.name.c_str(), located_message(record).c_str());
    if (tell_) tell_(batch, row, std::move(out));
    return false;
  }
  return true;
}

Result<void> SqliteSink::insert(std::uint64_t commit, const Batch& batch, std::size_t row) {
  for (std::size_t c = 0; c < schema_.size(); ++c)
    insert_->bind_cell(static_cast<int>(c + 1), schema_.columns[c].type, batch.columns[c], row);
  if (!settings_.snapshot) {
    insert_->bind(static_cast<int>(schema_.size() + 1), static_cast<std::int64_t>(commit));
    insert_->bind(static_cast<int>(schema_.size() + 2), batch.diff(row) > 0 ? 1 : -1);
  }
  return insert_->run();
}

// Deletions of keys that come again in the same commit are updates.
Result<void> SqliteSink::merge(std::uint64_t commit, const Batch& batch) {
  const auto key_of = [&](std::size_t row) {
    std::string bytes;
    for (const std::uint32_t column : settings_.key)
      encode_cell(schema_.columns[column].type, batch.columns[column], row, bytes);
    return bytes;
  };
  std::unordered_set<std::string> inserted;
  for (std::size_t row = 0; row < batch.num_rows; ++row) {
    if (batch.diff(row) < 0 || !acceptable(commit, batch, row)) continue;
    if (!inserted.insert(key_of(row)).second)
      return fail(Error{Code::kBadData,
                        fmt::format("two rows of one commit have the same `primary_key`, and `{}` can keep one of them",
                                    settings_.table),
                        {},
                        {{"name columns that tell all rows apart", {}}}});
  }
  for (std::size_t row = 0; row < batch.num_rows; ++row) {
    if (batch.diff(row) > 0 || inserted.contains(key_of(row))) continue;
    for (std::size_t i = 0; i < settings_.key.size(); ++i)
      delete_->bind_cell(static_cast<int>(i + 1), schema_.columns[settings_.key[i]].type,
                         batch.columns[settings_.key[i]], row);
    TRY(delete_->run());
  }
  again_ = true;  // rejected rows are told
  for (std::size_t row = 0; row < batch.num_rows; ++row)
    if (batch.diff(row) > 0 && acceptable(commit, batch, row)) TRY(insert(commit, batch, row));
  return {};
}

Result<void> SqliteSink::write_all(std::uint64_t commit) {
  TRY(database_->run("BEGIN IMMEDIATE"));
  if (!commit_batches_.empty()) {
    Batch all = Batch::concat(commit_batches_);
    if (!settings_.sort_by.empty()) {
      std::vector<std::uint32_t> order(all.num_rows);
      std::iota(order.begin(), order.end(), 0);
      std::ranges::stable_sort(order, [&](std::uint32_t a, std::uint32_t b) {
        for (const std::uint32_t column : settings_.sort_by)
          if (const int c =
                  Column::compare_cells(schema_.columns[column].type, all.columns[column], a, all.columns[column], b))
            return c < 0;
        return all.diff(a) < all.diff(b);
      });
      all = all.gather(order);
    }
    if (settings_.snapshot) {
      TRY(merge(commit, all));
    } else {
      for (std::size_t row = 0; row < all.num_rows; ++row)
        for (Diff times = acceptable(commit, all, row) ? std::abs(all.diff(row)) : 0; times > 0; --times)
          TRY(insert(commit, all, row));
    }
  }
  if (policy_.failed()) return fail(Code::kBadData, "a row does not fit the table (`on_bad_row: fail`)");
  if (keep_rejected_) TRY(keep_rejected_());
  if (exactly_once_) {
    advance_->bind(1, static_cast<std::int64_t>(commit));
    TRY(advance_->run());
    if (database_->changes() != 1)
      return fail(Code::kPermission, "a newer run has taken over this table; this one writes no more");
  }
  return database_->run("COMMIT");
}

Result<void> SqliteSink::end(std::uint64_t commit) {
  if (skipping_) return {};
  for (int attempt = 1;; ++attempt) {
    auto done = write_all(commit);
    again_ = true;
    if (done) break;
    (void)database_->run("ROLLBACK");
    if (!is_transient(done.error()) || attempt >= kAttemptsMax) return done;
  }
  commit_batches_.clear();
  last_commit_ = commit;
  return {};
}

Result<void> SqliteSink::close(bool /*complete*/) {
  if (rejected_ > kRejectedShown)
    std::fprintf(stderr, "%s: %llu rows were left out\n", settings_.name.c_str(),
                 static_cast<unsigned long long>(rejected_));
  insert_.reset();
  delete_.reset();
  advance_.reset();
  database_.reset();
  return {};
}

}  // namespace thalweg::sqlite
