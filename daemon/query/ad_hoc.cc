#include "daemon/query/ad_hoc.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "daemon/rest/api.h"
#include "daemon/rest/rows_query.h"
#include "engine/plan/rewrite/liveness.h"
#include "pipeline_lang/sql/sql.h"

namespace thalweg::daemon {
namespace {

constexpr std::string_view kAnswer = "answer";
constexpr std::int64_t kLookNs = 5'000'000;
constexpr int kSnapshotTries = 5;

// The rows of a table as they were; the columns that the plan reads.
class SnapshotSource : public Source {
 public:
  SnapshotSource(const std::vector<Batch>& batches, const std::vector<plan::SourceField>& fields) {
    for (const Batch& batch : batches) {
      Batch part = batch;
      part.columns.clear();
      for (std::size_t i = 0; i < fields.size(); ++i)
        if (fields[i].used) part.columns.push_back(batch.columns[i]);
      parts_.push_back(std::move(part));
    }
  }
  Result<void> run(SourceContext& context) override {
    for (const Batch& part : parts_) {
      // Pieces, so that the time limit is looked at between them.
      for (std::size_t begin = 0; begin < part.num_rows; begin += kPieceRows)
        if (!context.deliver(part.slice(begin, std::min(begin + kPieceRows, part.num_rows)))) return {};
    }
    context.commit();
    return {};
  }
  [[nodiscard]] bool is_static() const override { return true; }

 private:
  static constexpr std::size_t kPieceRows = 64 * 1024;
  std::vector<Batch> parts_;
};

class SnapshotFactory : public ConnectorFactory {
 public:
  std::map<std::string, std::vector<Batch>> tables;
  Result<std::unique_ptr<Source>> make_source(const plan::Source& source, Env&) override {
    return std::make_unique<SnapshotSource>(tables[source.name], source.fields);
  }
  Result<std::unique_ptr<Sink>> make_sink(const plan::Output&, const Schema&, Env&) override {
    return fail(Code::kInternal, "a query has no sinks");
  }
};

Problem query_problem(const Error& error, const FileTable& files) {
  Problem problem = problem_of(error);
  problem.status = 400;
  problem.code = "invalid_query";
  if (error.span.known()) {
    LineColumn at = files.locate(error.span);
    problem.line = at.line;
    problem.column = at.column;
  }
  return problem;
}

Checked<sql::Planned> plan_sql(const std::string& text, const Run& run) {
  FileTable files;
  FileId file = files.add("query", text);
  sql::Request request;
  request.text = text;
  request.span_of = [file](sql::Place place) { return SourceSpan{file, place.begin, place.end}; };
  request.find_table = [&run](const std::string& name) -> std::optional<sql::TableInfo> {
    auto reader = run.find_export(name);
    if (!reader) return std::nullopt;
    return sql::TableInfo{reader->schema(), true};  // as it is now, and nothing after
  };
  for (const auto& reader : run.exports()) request.table_names.push_back(reader->name());
  request.ordered = true;
  auto planned = sql::plan_query(request);
  if (!planned) return std::unexpected(query_problem(planned.error(), files));
  return std::move(*planned);
}

// The newest frontier that all tables have reached.
Frontier common_frontier(const std::vector<std::shared_ptr<ExportReader>>& readers, const Run& run) {
  if (readers.empty()) return run.frontier();
  Frontier out = readers.front()->frontier();
  for (const auto& reader : readers)
    if (frontier_less(reader->frontier(), out)) out = reader->frontier();
  return out;
}

// AQ1. History may be trimmed between two tables; then a newer frontier is tried.
Checked<Frontier> read_tables(const SqlQuery& query, const std::vector<std::string>& names, const Run& run,
                              std::map<std::string, std::vector<Batch>>& into) {
  std::vector<std::shared_ptr<ExportReader>> readers;
  for (const std::string& name : names) {
    auto reader = run.find_export(name);
    if (!reader) return refuse(503, "reloading", "the pipeline is being changed; ask again");
    readers.push_back(std::move(reader));
  }
  if (query.at)
    for (const auto& reader : readers)
      if (auto problem = check_reached(*reader, *query.at)) return std::unexpected(std::move(*problem));
  for (int attempt = 0;; ++attempt) {
    Frontier at = query.at.value_or(common_frontier(readers, run));
    into.clear();
    std::optional<Error> failed;
    for (const auto& reader : readers) {
      auto snapshot = reader->snapshot(at);
      if (!snapshot) {
        failed = snapshot.error();
        break;
      }
      into[reader->name()] = std::move(snapshot->batches);
    }
    if (!failed) return at;
    if (query.at || failed->code != Code::kNotFound || attempt == kSnapshotTries)
      return std::unexpected(problem_of(*failed));
  }
}

// The fragment with sources where it has inputs, and an export where its output is.
plan::Plan runnable(const sql::Planned& planned) {
  plan::Plan plan;
  plan.name = "query";
  for (const plan::Node& node : planned.fragment.nodes) {
    plan::Node copy = node;
    if (const auto* input = std::get_if<plan::LoopInput>(&node.params)) {
      plan::Source source;
      source.connector = "snapshot";
      source.name = planned.tables[input->input];
      source.append_only = true;
      for (const ColumnSpec& column : node.schema.columns)
        source.fields.push_back(
            {.name = column.name, .external_name = column.name, .type = column.type, .default_value = std::nullopt});
      copy.params = std::move(source);
      copy.append_only = true;
    }
    plan.add(std::move(copy));
  }
  plan::Node out;
  out.inputs = {planned.output};
  out.params = plan::Export{.name = std::string(kAnswer), .indexes = {}, .retain_ns = std::nullopt};
  plan.add(std::move(out));
  return plan;
}

std::uint64_t bytes_of(const std::map<std::string, std::vector<Batch>>& tables) {
  std::uint64_t bytes = 0;
  for (const auto& [name, batches] : tables)
    for (const Batch& batch : batches)
      for (const Column& column : batch.columns) bytes += column.size() * phys_bytes(column.phys());
  return bytes;
}

// AQ2.
Checked<void> wait_within(Run& run, const QueryLimits& limits, std::uint64_t input_bytes, Clock& clock) {
  std::int64_t end_ns = clock.monotonic_ns() + limits.time_ns;
  auto give_up = [&](Problem problem) -> Checked<void> {
    run.abort(Error{Code::kCancelled, problem.detail, {}, {}});
    run.wait(-1);
    return std::unexpected(std::move(problem));
  };
  for (bool done = false; !done;) {
    done = run.wait(kLookNs);
    std::uint64_t bytes = input_bytes;
    for (const OperatorStatus& status : run.operators()) bytes += status.state.bytes;
    if (bytes > limits.state_bytes)
      return give_up({413, "query_too_large",
                      "the query needs more than " + std::to_string(limits.state_bytes >> 20) + " MiB", "", 0, 0});
    if (!done && clock.monotonic_ns() > end_ns)
      return give_up({503, "query_timeout",
                      "the query took longer than " + std::to_string(limits.time_ns / 1'000'000'000) + " s", "", 0, 0});
  }
  if (auto failure = run.failure()) return std::unexpected(problem_of(*failure));
  return {};
}

// In the order of the row numbers if there are some, cut to what was asked for.
Checked<SqlAnswer> take_answer(ExportReader& reader, const sql::Planned& planned, const SqlQuery& query) {
  SqlAnswer answer;
  answer.schema = reader.schema();
  auto snapshot = reader.snapshot(std::nullopt);
  if (!snapshot) return std::unexpected(problem_of(snapshot.error()));
  if (planned.row_number) answer.schema.columns.pop_back();
  if (snapshot->batches.empty()) return answer;
  Batch all = Batch::concat(std::move(snapshot->batches));
  std::vector<std::uint32_t> rows(all.num_rows);
  std::iota(rows.begin(), rows.end(), 0U);
  if (planned.row_number) {
    Cells<std::int64_t> places = all.columns.back().i64();
    std::ranges::sort(rows, [&](std::uint32_t a, std::uint32_t b) { return places[a] < places[b]; });
  }
  answer.truncated = rows.size() > query.rows_max;
  if (answer.truncated) rows.resize(query.rows_max);
  answer.rows = all.gather(rows);
  if (planned.row_number) answer.rows.columns.pop_back();
  return answer;
}

}  // namespace

Checked<SqlAnswer> run_sql(const SqlQuery& query, const ServedPipeline& pipeline, const QueryLimits& limits,
                           const Env& env) {
  auto planned = plan_sql(query.sql, *pipeline.run);
  if (!planned) return std::unexpected(planned.error());
  SnapshotFactory factory;
  auto at = read_tables(query, planned->tables, *pipeline.run, factory.tables);
  if (!at) return std::unexpected(at.error());
  auto run = Run::start(runnable(*planned), RunOptions{}, factory, env);
  if (!run) return std::unexpected(problem_of(run.error()));
  auto done = wait_within(**run, limits, bytes_of(factory.tables), *env.clock);
  if (!done) return std::unexpected(done.error());
  auto answer = take_answer(*(*run)->find_export(kAnswer), *planned, query);
  if (answer) answer->frontier = *at;
  return answer;
}

}  // namespace thalweg::daemon
