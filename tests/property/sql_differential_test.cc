// Ours = SQLite after every commit, for random queries over random tables and updates, with 1 and 2 workers.
// THALWEG_PROPERTY_CASES says how many queries, THALWEG_PROPERTY_SEED the first.
#include <sqlite3.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <iostream>
#include <limits>
#include <map>
#include <set>

#include "engine/runtime/run.h"
#include "pipeline_lang/sql/sql.h"
#include "tests/property/random_query.h"

namespace thalweg::testing {
namespace {

constexpr std::uint64_t kCasesDefault = 2000;
constexpr std::size_t kTimes = 5;
constexpr std::int64_t kRunNsMax = 60'000'000'000;

// A row as numbers and texts that both sides print alike: bool is 0 or 1, 2.0 is 2.
using Row = std::vector<std::string>;
using Rows = std::multiset<Row>;

std::string number(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.9g", value == 0 ? 0.0 : value);
  return text;
}

std::string shown(const Value& value) {
  switch (value.tag()) {
    case Value::Tag::kNone: return "NULL";
    case Value::Tag::kBool: return value.as_bool() ? "1" : "0";
    case Value::Tag::kInt: return number(static_cast<double>(value.as_int()));
    case Value::Tag::kFloat: return number(value.as_float());
    case Value::Tag::kStr: return "'" + value.as_text() + "'";
    default: return value.is_error() ? "ERROR" : value.to_text();
  }
}

std::string shown(const Rows& rows) {
  std::string out;
  for (const Row& row : rows) {
    for (const std::string& cell : row) out += " " + cell;
    out += "\n";
  }
  return out;
}

// ---------------------------------------------------------------- SQLite

class Sqlite {
 public:
  Sqlite() {
    REQUIRE(sqlite3_open(":memory:", &db_) == SQLITE_OK);
    run("PRAGMA case_sensitive_like = ON");
  }
  ~Sqlite() { sqlite3_close(db_); }
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  void create(const RandomTable& table) {
    std::string text = "CREATE TABLE " + table.name + " (label INTEGER";
    for (const ColumnSpec& column : table.schema.columns)
      text += ", " + column.name +
              (column.type.is(Kind::kInt)     ? " INTEGER"
               : column.type.is(Kind::kFloat) ? " REAL"
                                              : " TEXT");
    run(text + ")");
    // The label is no column of the table that queries see.
    text = "";
    for (const ColumnSpec& column : table.schema.columns) text += (text.empty() ? "" : ", ") + column.name;
    run("ALTER TABLE " + table.name + " RENAME TO base_" + table.name);
    run("CREATE VIEW " + table.name + " AS SELECT " + text + " FROM base_" + table.name);
  }
  void apply(const RandomTable& table, const RandomTable::Event& event) {
    if (event.diff < 0) return run("DELETE FROM base_" + table.name + " WHERE label = " + std::to_string(event.label));
    std::string text = "INSERT INTO base_" + table.name + " VALUES (" + std::to_string(event.label);
    for (const Value& value : event.row)
      text += ", " + (value.is_none()                   ? "NULL"
                      : value.tag() == Value::Tag::kStr ? "'" + value.as_text() + "'"
                                                        : value.to_text());
    run(text + ")");
  }
  // Nothing if SQLite does not take the query; then `why`.
  std::optional<Rows> ask(const std::string& query, std::string& why) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db_, query.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
      why = sqlite3_errmsg(db_);
      return std::nullopt;
    }
    Rows rows;
    while (sqlite3_step(statement) == SQLITE_ROW) {
      Row row;
      for (int i = 0; i < sqlite3_column_count(statement); ++i) {
        int type = sqlite3_column_type(statement, i);
        if (type == SQLITE_NULL)
          row.emplace_back("NULL");
        else if (type == SQLITE_TEXT)
          row.push_back("'" + std::string(reinterpret_cast<const char*>(sqlite3_column_text(statement, i))) + "'");
        else
          row.push_back(number(sqlite3_column_double(statement, i)));
      }
      rows.insert(std::move(row));
    }
    sqlite3_finalize(statement);
    return rows;
  }

 private:
  void run(const std::string& text) {
    char* error = nullptr;
    sqlite3_exec(db_, text.c_str(), nullptr, nullptr, &error);
    if (error) FAIL(text << ": " << error);
  }
  sqlite3* db_ = nullptr;
};

// ---------------------------------------------------------------- ours

class NoConnectors : public ConnectorFactory {
 public:
  Result<std::unique_ptr<Source>> make_source(const plan::Source&, Env&) override {
    return fail(Code::kInternal, "none");
  }
  Result<std::unique_ptr<Sink>> make_sink(const plan::Output&, const Schema&, Env&) override {
    return fail(Code::kInternal, "none");
  }
};

Result<plan::Plan> plan_of(const std::string& query, const std::vector<RandomTable>& tables) {
  auto find = [&](const std::string& name) {
    return std::find_if(tables.begin(), tables.end(), [&](const RandomTable& t) { return t.name == name; });
  };
  sql::Request request;
  request.text = query;
  request.span_of = [](sql::Place place) { return SourceSpan{1, place.begin, place.end}; };
  request.find_table = [&](const std::string& name) -> std::optional<sql::TableInfo> {
    auto it = find(name);
    if (it == tables.end()) return std::nullopt;
    return sql::TableInfo{it->schema, false};
  };
  sql::Planned planned = TRY(sql::plan_query(request));
  plan::Plan plan = std::move(planned.fragment);
  for (plan::Node& node : plan.nodes) {
    const auto* input = std::get_if<plan::LoopInput>(&node.params);
    if (!input) continue;
    const RandomTable& table = *find(planned.tables[input->input]);
    auto rows = std::make_shared<std::vector<plan::StaticRow>>();
    for (const RandomTable::Event& event : table.events)
      rows->push_back({event.time, event.diff,
                       key_of_values({Value::str(table.name), Value::of(static_cast<std::int64_t>(event.label))}),
                       event.row});
    node.params = plan::StaticRows{std::move(rows), true};
  }
  plan::Node out;
  out.inputs = {planned.output};
  out.schema = plan.node(planned.output).schema;
  out.params = plan::Export{"answer", {}, {}};
  plan.add(std::move(out));
  return plan;
}

Row row_of(const Schema& schema, const Batch& batch, std::size_t at) {
  Row row;
  for (std::size_t i = 0; i < schema.size(); ++i)
    row.push_back(shown(batch.columns[i].value(schema.columns[i].type, at)));
  return row;
}

// The answer as of each time; or what went wrong.
std::string answers_of(const plan::Plan& plan, std::uint32_t workers, std::map<std::uint64_t, Rows>& answers) {
  NoConnectors connectors;
  const Env env = real_env();
  RunOptions options;
  options.workers = workers;
  options.test_times = true;
  options.history_commits = std::numeric_limits<std::uint64_t>::max();
  options.history_bytes = std::numeric_limits<std::uint64_t>::max();
  options.history_ns = std::numeric_limits<std::int64_t>::max();
  auto run = Run::start(plan, options, connectors, env);
  if (!run) return "start: " + run.error().message;
  if (!(*run)->wait(kRunNsMax)) return "the run did not end";
  if ((*run)->failure()) return "the run failed: " + (*run)->failure()->message;
  auto reader = (*run)->find_export("answer");
  if (!reader) return "no export";
  auto changes = reader->diff(Frontier{}, Frontier{0, true});
  if (!changes) return "diff: " + changes.error().message;
  Rows rows;
  std::size_t next = 0;
  for (std::uint64_t time = 2; time <= 2 * kTimes; time += 2) {
    // Without any input the row of an aggregate over nothing comes with the end of it.
    const bool last = time == 2 * kTimes;
    for (; next < changes->size() && (last || (*changes)[next].time <= time); ++next) {
      const Batch& batch = (*changes)[next].batch;
      for (std::size_t i = 0; i < batch.num_rows; ++i) {
        Row row = row_of(reader->schema(), batch, i);
        for (int n = batch.diff(i); n > 0; --n) rows.insert(row);
        for (int n = batch.diff(i); n < 0; ++n) {
          auto it = rows.find(row);
          if (it == rows.end()) return "takes away what is not there at time " + std::to_string(time);
          rows.erase(it);
        }
      }
    }
    answers[time] = rows;
  }
  return "";
}

std::string check(std::uint64_t seed, std::uint64_t& compared) {
  Random random(seed);
  std::vector<RandomTable> tables = random_tables(random, kTimes);
  std::string query = random_query(random);
  std::string where = "seed " + std::to_string(seed) + ": " + query + "\n";
  std::map<std::uint64_t, Rows> wanted;
  Sqlite sqlite;
  for (const RandomTable& table : tables) sqlite.create(table);
  for (std::uint64_t time = 2; time <= 2 * kTimes; time += 2) {
    for (const RandomTable& table : tables)
      for (const RandomTable::Event& event : table.events)
        if (event.time == time) sqlite.apply(table, event);
    std::string why;
    std::optional<Rows> rows = sqlite.ask(query, why);
    if (!rows) return "";  // not for SQLite
    wanted[time] = std::move(*rows);
  }
  ++compared;
  Result<plan::Plan> plan = plan_of(query, tables);
  if (!plan) return where + "refused: " + plan.error().message + "\n";
  std::uint64_t first_commit = 2 * kTimes;
  for (const plan::Node& node : plan->nodes)
    if (const auto* rows = std::get_if<plan::StaticRows>(&node.params))
      for (const plan::StaticRow& row : *rows->rows) first_commit = std::min(first_commit, row.time);
  for (std::uint32_t workers : {1U, 2U}) {
    std::map<std::uint64_t, Rows> got;
    std::string fault = answers_of(*plan, workers, got);
    if (!fault.empty()) return where + fault + "\n";
    for (const auto& [time, rows] : wanted)
      // Before the first input there is no commit, so not even the row of an aggregate over nothing.
      if (got[time] != rows && (time >= first_commit || time == 2 * kTimes))
        return where + std::to_string(workers) + " workers, time " + std::to_string(time) + "\nSQLite:\n" +
               shown(rows) + "ours:\n" + shown(got[time]);
  }
  return "";
}

}  // namespace

TEST_CASE("answers are those of SQLite after every commit") {
  std::uint64_t first = property_seed();
  std::uint64_t cases = property_cases(kCasesDefault);
  std::uint64_t compared = 0;
  std::size_t wrong = 0;
  for (std::uint64_t seed = first; seed < first + cases; ++seed) {
    std::string fault = check(seed, compared);
    if (fault.empty()) continue;
    std::cerr << fault << "\n";
    if (++wrong >= 10) break;
  }
  CHECK(wrong == 0);
  CHECK(compared * 10 >= cases * 8);
}

}  // namespace thalweg::testing
