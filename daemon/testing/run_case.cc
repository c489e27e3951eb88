#include "daemon/testing/run_case.h"

#include <re2/re2.h>

#include <filesystem>
#include <limits>

#include "daemon/testing/table_check.h"
#include "engine/runtime/run.h"
#include "pipeline_lang/compile.h"

namespace thalweg::testing {
namespace {

// Why a test failed; nothing if it passed.
using Verdictless = std::optional<std::string>;

bool matches(const std::string& text, const std::string& pattern) {
  RE2::Options options(RE2::Quiet);
  options.set_case_sensitive(false);
  return RE2::PartialMatch(text, RE2(pattern, options));
}

std::optional<std::string> bad_pattern(const std::string& pattern) {
  RE2 compiled(pattern, RE2::Quiet);
  if (compiled.ok()) return std::nullopt;
  return "`match` is no regular expression: " + compiled.error();
}

std::string full_text(const Error& error) {
  std::string text = error.message;
  for (const Note& note : error.notes) text += "\n" + note.text;
  return text;
}

Verdictless check_expected_error(const ExpectedError& expected, const lang::Diagnostics& found, const FileTable& files) {
  if (auto bad = bad_pattern(expected.pattern)) return bad;
  if (!found.has_errors()) return "expected an error that matches `" + expected.pattern + "`, but the pipeline is valid";
  for (const lang::Diagnostic& diagnostic : found.all()) {
    if (diagnostic.severity != lang::Severity::kError) continue;
    if (expected.line && files.locate(diagnostic.span).line != *expected.line) continue;
    if (matches(lang::render_text(diagnostic, files), expected.pattern)) return std::nullopt;
  }
  std::string where = expected.line ? " in line " + std::to_string(*expected.line) : "";
  return "no error" + where + " matches `" + expected.pattern + "`; found:\n" + lang::render_text(found, files);
}

RunOptions options_of(const TestCase& test, std::uint32_t workers) {
  RunOptions options;
  options.workers = workers;
  options.test_times = true;
  options.test_clock_start_ns = test.clock_start_ns;
  options.test_clock_per_time_ns = test.clock_per_time_ns;
  // expect_stream reads all that ever happened.
  options.history_commits = std::numeric_limits<std::uint64_t>::max();
  options.history_bytes = std::numeric_limits<std::uint64_t>::max();
  options.history_ns = std::numeric_limits<std::int64_t>::max();
  return options;
}

Verdictless check_failure(const std::string& pattern, const std::optional<Error>& failure) {
  if (auto bad = bad_pattern(pattern)) return bad;
  if (!failure) return "expected a run that aborts, but it ended in order";
  if (matches(full_text(*failure), pattern)) return std::nullopt;
  return "the run aborted, but its message does not match `" + pattern + "`:\n" + full_text(*failure);
}

Result<std::vector<Change>> read_changes(ExportReader& table, ExpectKind kind) {
  std::vector<Change> out;
  if (kind == ExpectKind::kStream) {
    for (const ExportReader::Change& change : TRY(table.diff(Frontier{}, Frontier{0, true})))
      append_changes(table.schema(), change.batch, change.time, out);
  } else {
    ExportReader::Snapshot snapshot = TRY(table.snapshot(std::nullopt));
    for (const Batch& batch : snapshot.batches) append_changes(table.schema(), batch, 0, out);
  }
  return out;
}

std::string export_names(const Run& run) {
  std::string names;
  for (const auto& table : run.exports()) names += (names.empty() ? "" : ", ") + table->name();
  return names.empty() ? "none" : names;
}

std::string_view key_of(ExpectKind kind) {
  switch (kind) {
    case ExpectKind::kFinal: return "expect";
    case ExpectKind::kKeyed: return "expect_keyed";
    case ExpectKind::kStream: return "expect_stream";
  }
  return "";
}

Verdictless check_expectation(const Expectation& expected, const FileTable& files, const Run& run, const Labels& labels) {
  std::shared_ptr<ExportReader> table = run.find_export(expected.table.name);
  if (!table)
    return "`" + expected.table.name + "` is no exported table of the pipeline (exported: " + export_names(run) + ")";
  auto changes = read_changes(*table, expected.kind);
  if (!changes) return "cannot read `" + expected.table.name + "`: " + full_text(changes.error());
  auto difference = compare_table(expected, files, table->schema(), std::move(*changes), labels);
  if (!difference) return "`" + expected.table.name + "`: " + full_text(difference.error());
  if (!*difference) return std::nullopt;
  const std::string name = std::string(key_of(expected.kind)) + " " + expected.table.name;
  return "--- " + name + "\n+++ got\n" + **difference;
}

std::string error_lines(const Run& run) {
  constexpr std::size_t kErrorsShown = 5;
  std::string out;
  std::vector<DataError> errors = run.errors();
  for (std::size_t i = 0; i < errors.size() && i < kErrorsShown; ++i) out += "data error: " + errors[i].message + "\n";
  return out;
}

Labels labels_of(const TestCase& test) {
  Labels labels;
  for (const NamedText& input : test.inputs) collect_labels(input.text, labels);
  for (const Expectation& expected : test.expectations) collect_labels(expected.table.text, labels);
  return labels;
}

Verdictless run_plan(const TestCase& test, const FileTable& files, const plan::Plan& plan, const TestWorld& world,
                     std::uint32_t workers) {
  auto started = Run::start(plan, options_of(test, workers), *world.connectors, world.env);
  if (!started) {
    if (test.expect_failure) return check_failure(*test.expect_failure, started.error());
    return "the run did not start: " + full_text(started.error());
  }
  Run& run = **started;
  if (!run.wait(static_cast<std::int64_t>(test.timeout_s * 1e9))) {
    run.stop();
    return "the run did not end within " + std::to_string(test.timeout_s) + " s";
  }
  if (test.expect_failure) return check_failure(*test.expect_failure, run.failure());
  if (run.failure()) return "the run failed: " + full_text(*run.failure());
  const Labels labels = labels_of(test);
  std::string messages;
  for (const Expectation& expected : test.expectations)
    if (auto message = check_expectation(expected, files, run, labels)) messages += *message + "\n";
  if (messages.empty()) return std::nullopt;
  return messages + error_lines(run);
}

}  // namespace

}  // namespace thalweg::testing
