#include "connectors/sqlite/source.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/io/upsert_marks.h"
#include "engine/types/encoding.h"

namespace thalweg::sqlite {

namespace {

constexpr std::size_t kBatchRows = 4096;
constexpr std::int64_t kPauseMaxNs = 30'000'000'000;

std::vector<Value> decoded(std::string_view cells) {
  std::vector<Value> out;
  while (!cells.empty()) out.push_back(decode(cells));
  return out;
}

}  // namespace

SqliteSource::SqliteSource(const plan::Source& source, ReadSettings settings)
    : source_(source), settings_(std::move(settings)), policy_(settings_.bad_rows) {
  for (const plan::SourceField& field : source_.fields) {
    used_.push_back(field.used || field.primary_key);
    if (field.used) schema_.columns.push_back({field.name, field.type});
    keyed_ = keyed_ || field.primary_key;
  }
  pending_ = std::make_unique<BatchBuilder>(schema_);
}

Result<void> SqliteSource::prepare(const Database& database) {
  const auto table = TRY(describe_table(database, settings_.table));
  if (!table)
    return fail(Code::kNotFound, fmt::format("the database '{}' has no table `{}`", settings_.path, settings_.table));
  select_ = "SELECT ";
  for (std::size_t i = 0; i < source_.fields.size(); ++i) {
    const plan::SourceField& field = source_.fields[i];
    if (field.from != plan::SourceField::From::kPayload)
      return fail(Code::kInvalidPipeline,
                  fmt::format("column `{}` has a `source:` that `io.sqlite.read` does not have", field.name),
                  source_.args.span);
    const std::string& name = field.external_name.empty() ? field.name : field.external_name;
    if (table->find(name) == nullptr) {
      std::string have;
      for (const TableColumn& column : table->columns) have += (have.empty() ? "`" : ", `") + column.name + "`";
      return fail(Error{Code::kInvalidPipeline,
                        fmt::format("table `{}` has no column `{}`", settings_.table, name),
                        source_.args.span,
                        {{"it has " + have, {}}}});
    }
    select_ += used_[i] ? quoted_name(name) + ", " : "NULL, ";
  }
  if (!keyed_ && !table->has_rowid)
    return fail(Error{Code::kInvalidPipeline,
                      fmt::format("rows of `{}` have no rowid to tell them apart by", settings_.table),
                      source_.args.span,
                      {{"declare its primary key in the schema", {}}}});
  select_ += (keyed_ ? "0" : "_rowid_") + std::string(" FROM ") + quoted_name(settings_.table);
  return {};
}

Result<void> SqliteSource::run(SourceContext& context) {
  if (!settings_.dead_letters.empty()) TRY(BadRowPolicy::check_dead_letters(context.env(), settings_.dead_letters));
  if (!context.resume_position().empty() && settings_.is_static) {
    context.warn("an earlier run of this pipeline has read the table; `mode: static` reads it once");
    return {};
  }
  const Database database = TRY(Database::open(settings_.path, Database::Mode::kRead));
  TRY(prepare(database));
  if (!context.resume_position().empty()) {
    if (!source_.upsert)
      return fail(Error{Code::kInvalidPipeline,
                        "without a primary key in the schema, `io.sqlite.read` cannot go on after a restart",
                        source_.args.span,
                        {{"declare the table's primary key", {}}}});
    const auto types = [&] {
      std::vector<Type> out;
      for (const ColumnSpec& column : schema_.columns) out.push_back(column.type);
      return out;
    }();
    if (!context.deliver(clear_all(types))) return {};
  }
  auto version = TRY(database.prepare("PRAGMA data_version"));
  std::int64_t read_at = -1;
  std::int64_t rest = settings_.poll_ns;
  while (!context.stopping()) {
    auto stepped = version.step();
    const std::int64_t now = stepped ? version.number(0) : 0;
    version.reset();
    if (stepped && now != read_at) {
      auto more = read(database, context);
      if (!more && (settings_.is_static || !is_transient(more.error()))) return fail(std::move(more).error());
      if (more && (!*more || settings_.is_static)) return {};
      if (more) read_at = now;
      if (!more) context.warn(more.error().message);
      rest = more ? settings_.poll_ns : std::min(rest * 2, kPauseMaxNs);
    }
    context.idle();
    if (!context.wait(rest)) return {};
  }
  return {};
}

// One reading of the table, as of one moment. False: the run is stopping.
Result<bool> SqliteSource::read(const Database& database, SourceContext& context) {
  TRY(database.run("BEGIN"));
  ++reading_;
  const auto rows = [&]() -> Result<bool> {
    auto statement = TRY(database.prepare(select_));
    Row row;
    bool go_on = true;
    while (go_on && TRY(statement.step())) {
      if (context.stopping()) return false;
      if (take_row(statement, row, context)) go_on = changed(row, context);
      go_on = go_on && !policy_.failed();
    }
    return go_on;
  };
  auto done = rows();
  (void)database.run("COMMIT");
  if (!done || !*done) return done;
  if (!settings_.is_static && !drop_unseen(context)) return false;
  if (!deliver(context)) return false;
  if (delivered_ > 0 || reading_ == 1) context.commit(std::to_string(reading_));
  delivered_ = 0;
  return true;
}

bool SqliteSource::take_row(const Statement& statement, Row& out, SourceContext& context) {
  out.cells.clear();
  std::vector<Value> key;
  for (std::size_t i = 0; i < source_.fields.size(); ++i) {
    const plan::SourceField& field = source_.fields[i];
    const int column = static_cast<int>(i);
    if (!used_[i]) {
      out.cells.push_back(Value::none());
      continue;
    }
    std::optional<Value> value;
    if (statement.is_null(column) && !field.type.admits_none() && field.default_value)
      value = field.default_value;
    else
      value = statement.value(column, field.type);
    if (!value)
      bad(fmt::format("column `{}`: {} is no `{}`", field.name,
                      statement.is_null(column) ? "NULL" : "'" + statement.text(column).substr(0, 100) + "'",
                      field.type.to_text()),
          statement.text(column), BadRecord::Kind::kValue, context);
    if (field.primary_key && !value) return false;
    out.cells.push_back(value ? std::move(*value) : Value::error());
    if (field.primary_key) key.push_back(out.cells.back());
  }
  if (!keyed_) key = {Value::str(source_.name), Value::of(statement.number(static_cast<int>(source_.fields.size())))};
  const bool is_pointer = key.size() == 1 && key[0].tag() == Value::Tag::kPointer;
  out.key = is_pointer ? key[0].as_key() : key_of_values(key);
  return true;
}

// Hands over what is new of a row. False: the run is stopping.
bool SqliteSource::changed(const Row& row, SourceContext& context) {
  if (settings_.is_static) return push(row.key, row.cells, 1, context);
  std::string cells;
  for (const Value& value : row.cells) encode(value, cells);
  const Key content = key_of_bytes(cells);
  const auto [at, is_new] = known_.try_emplace(row.key);
  Known& known = at->second;
  known.seen = reading_;
  if (!is_new && known.content == content) return true;
  if (!is_new && !source_.upsert && !push(row.key, decoded(known.cells), -1, context)) return false;
  known.content = content;
  if (!source_.upsert) known.cells = std::move(cells);
  return push(row.key, row.cells, 1, context);
}

bool SqliteSource::drop_unseen(SourceContext& context) {
  const std::vector<Value> nothing(source_.fields.size());
  for (auto at = known_.begin(); at != known_.end();) {
    if (at->second.seen == reading_) {
      ++at;
      continue;
    }
    if (!push(at->first, source_.upsert ? nothing : decoded(at->second.cells), -1, context)) return false;
    at = known_.erase(at);
  }
  return true;
}

bool SqliteSource::push(const Key& key, const std::vector<Value>& cells, Diff diff, SourceContext& context) {
  std::vector<Value> used;
  for (std::size_t i = 0; i < source_.fields.size(); ++i)
    if (source_.fields[i].used) used.push_back(cells[i]);
  pending_->push(key, used, diff);
  ++delivered_;
  return pending_->num_rows() < kBatchRows || deliver(context);
}

bool SqliteSource::deliver(SourceContext& context) {
  if (pending_->num_rows() == 0) return true;
  return context.deliver(pending_->finish());
}

void SqliteSource::bad(const std::string& message, std::string raw, BadRecord::Kind kind, SourceContext& context) {
  BadRecord record{.message = message, .raw = std::move(raw), .position = settings_.table, .kind = kind};
  policy_.apply(record);
  if (settings_.bad_rows != BadRowPolicy::Action::kSkip || record.fatal) context.bad_record(std::move(record));
}

}  // namespace thalweg::sqlite
