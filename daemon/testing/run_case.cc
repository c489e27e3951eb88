#include "daemon/testing/run_case.h"

#include <re2/re2.h>

#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "daemon/testing/read_file.h"
#include "daemon/testing/table_check.h"
#include "engine/durable/memory_disk.h"
#include "engine/runtime/run.h"
#include "pipeline_lang/compile.h"
#include "pipeline_lang/yaml_reader.h"

namespace thalweg::testing {
namespace {

// Why a test failed; nothing if it passed.
using Failure = std::optional<std::string>;

class DiscardingSink : public Sink {
 public:
  Result<void> open(const SinkContext&) override { return {}; }
  Result<void> write(std::uint64_t, const Batch&) override { return {}; }
  Result<void> end(std::uint64_t) override { return {}; }
  Result<void> close(bool) override { return {}; }
};

// Real sources, no sinks.
class TestConnectors : public ConnectorFactory {
 public:
  explicit TestConnectors(ConnectorFactory& real) : real_(real) {}
  Result<std::unique_ptr<Source>> make_source(const plan::Source& source, Env& env) override {
    return real_.make_source(source, env);
  }
  Result<std::unique_ptr<Sink>> make_sink(const plan::Output&, const Schema&, Env&) override {
    return std::make_unique<DiscardingSink>();
  }

 private:
  ConnectorFactory& real_;
};

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

// A diagnostic as it is shown, and in one line with its notes, so that a pattern may span the two.
bool matches_diagnostic(const lang::Diagnostic& diagnostic, const FileTable& files, const std::string& pattern) {
  std::string line = diagnostic.message;
  for (const auto& note : diagnostic.notes) line += "; " + note.text;
  return matches(lang::render_text(diagnostic, files), pattern) || matches(line, pattern);
}

Failure check_expected_error(const ExpectedError& expected, const lang::Diagnostics& found, const FileTable& files) {
  if (auto bad = bad_pattern(expected.pattern)) return bad;
  if (!found.has_errors())
    return "expected an error that matches `" + expected.pattern + "`, but the pipeline is valid";
  for (const lang::Diagnostic& diagnostic : found.all()) {
    if (diagnostic.severity != lang::Severity::kError) continue;
    if (expected.line && files.locate(diagnostic.span).line != *expected.line) continue;
    if (matches_diagnostic(diagnostic, files, expected.pattern)) return std::nullopt;
  }
  std::string where = expected.line ? " in line " + std::to_string(*expected.line) : "";
  return "no error" + where + " matches `" + expected.pattern + "`; found:\n" + lang::render_text(found, files);
}

RunOptions options_of(const TestCase& test, const FileTable& files, std::uint32_t workers) {
  RunOptions options;
  options.workers = workers;
  options.test_times = true;
  options.test_clock_start_ns = test.clock_start_ns;
  options.test_clock_per_time_ns = test.clock_per_time_ns;
  // expect_stream reads all that ever happened.
  options.history_commits = std::numeric_limits<std::uint64_t>::max();
  options.history_bytes = std::numeric_limits<std::uint64_t>::max();
  options.history_ns = std::numeric_limits<std::int64_t>::max();
  options.locate = [&files](const SourceSpan& span, std::string& file, std::int64_t& line, std::int64_t& column) {
    if (!span.known()) return;
    const LineColumn at = files.locate(span);
    file = files.name(span.file);
    line = at.line;
    column = at.column;
  };
  return options;
}

Failure check_failure(const std::string& pattern, const std::optional<Error>& failure) {
  if (auto bad = bad_pattern(pattern)) return bad;
  if (!failure) return "expected a run that aborts, but it ended in order";
  if (matches(full_text(*failure), pattern)) return std::nullopt;
  return "the run aborted, but its message does not match `" + pattern + "`:\n" + full_text(*failure);
}

// Every change of an exported table, as far as runs that are over have seen it.
using Streams = std::map<std::string, std::vector<Change>>;

Result<void> append_stream(ExportReader& table, Frontier from, Frontier to, std::vector<Change>& out) {
  for (const ExportReader::Change& change : TRY(table.diff(from, to)))
    append_changes(table.schema(), change.batch, change.time, out);
  return {};
}

Result<std::vector<Change>> read_changes(ExportReader& table, ExpectKind kind, const Streams& before, Frontier from) {
  std::vector<Change> out;
  if (kind == ExpectKind::kStream) {
    if (auto found = before.find(table.name()); found != before.end()) out = found->second;
    TRY(append_stream(table, from, Frontier{0, true}, out));
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

Failure check_expectation(const Expectation& expected, const FileTable& files, const Run& run, const Labels& labels,
                          const Streams& before, Frontier from) {
  std::shared_ptr<ExportReader> table = run.find_export(expected.table.name);
  if (!table)
    return "`" + expected.table.name + "` is no exported table of the pipeline (exported: " + export_names(run) + ")";
  auto changes = read_changes(*table, expected.kind, before, from);
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

// How a test's runs follow one another.
enum class Restart : std::uint8_t {
  kNone,
  kSnapshot,  // each stops in order and leaves a snapshot
  kLog,       // each is cut off: the next one runs its commits again
  kWorkers,   // as kSnapshot, and every other one has one worker more
};

constexpr std::string_view restart_text(Restart how) {
  switch (how) {
    case Restart::kNone: break;
    case Restart::kSnapshot: return ", restarted from a snapshot";
    case Restart::kLog: return ", restarted from the log of commits";
    case Restart::kWorkers: return ", restarted with another number of workers";
  }
  return "";
}

class CaseRun {
 public:
  CaseRun(const TestCase& test, const FileTable& files, const plan::Plan& plan, const TestWorld& world,
          std::uint32_t workers, Restart how)
      : test_(test), files_(files), plan_(plan), world_(world), workers_(workers), how_(how) {}

  Failure run() {
    if (how_ != Restart::kNone) {
      disk_ = std::make_shared<durable::MemoryDisk>();
      for (std::size_t leg = 0; leg < test_.restarts.size(); ++leg) {
        auto goes_on = cut_off(leg);
        if (!goes_on.first) return goes_on.second;
      }
    }
    return last();
  }

 private:
  [[nodiscard]] RunOptions options(std::size_t leg) const {
    RunOptions options = options_of(test_, files_, how_ == Restart::kWorkers ? workers_ + leg % 2 : workers_);
    if (!disk_) return options;
    options.durability.emplace();
    options.durability->directory = "/state";
    options.durability->disk = disk_;
    options.durability->snapshot_at_end = how_ != Restart::kLog;
    if (leg < test_.restarts.size()) options.pause_before = test_.restarts[leg] + 1;
    return options;
  }

  Failure not_started(const Error& error) const {
    if (test_.expect_failure) return check_failure(*test_.expect_failure, error);
    return "the run did not start: " + full_text(error);
  }

  // Up to a restart. False: it ends here, well or not.
  std::pair<bool, Failure> cut_off(std::size_t leg) {
    TestConnectors connectors(*world_.connectors);
    auto started = Run::start(plan_, options(leg), connectors, world_.env);
    if (!started) return {false, not_started(started.error())};
    Run& run = **started;
    if (!run.pause()) {
      if (test_.expect_failure) return {false, check_failure(*test_.expect_failure, run.failure())};
      return {false, run.failure() ? "the run failed: " + full_text(*run.failure()) : "the run ended early"};
    }
    for (const auto& table : run.exports())
      if (auto read = append_stream(*table, seen_, run.frontier(), before_[table->name()]); !read)
        return {false, "cannot read `" + table->name() + "`: " + full_text(read.error())};
    seen_ = run.frontier();
    if (how_ == Restart::kLog)
      run.abort(Error{Code::kCancelled, "the test restarts it", {}, {}});
    else
      run.stop();
    run.wait(-1);
    return {true, std::nullopt};
  }

  Failure last() {
    TestConnectors connectors(*world_.connectors);
    auto started = Run::start(plan_, options(test_.restarts.size()), connectors, world_.env);
    if (!started) return not_started(started.error());
    Run& run = **started;
    if (!run.wait(static_cast<std::int64_t>(test_.timeout_s * 1e9))) {
      run.stop();
      return "the run did not end within " + std::to_string(test_.timeout_s) + " s";
    }
    if (test_.expect_failure) return check_failure(*test_.expect_failure, run.failure());
    if (run.failure()) return "the run failed: " + full_text(*run.failure());
    const Labels labels = labels_of(test_);
    std::string messages;
    for (const Expectation& expected : test_.expectations)
      if (auto message = check_expectation(expected, files_, run, labels, before_, seen_)) messages += *message + "\n";
    if (messages.empty()) return std::nullopt;
    return messages + error_lines(run);
  }

  const TestCase& test_;
  const FileTable& files_;
  const plan::Plan& plan_;
  const TestWorld& world_;
  const std::uint32_t workers_;
  const Restart how_;
  std::shared_ptr<durable::MemoryDisk> disk_;
  Streams before_;
  Frontier seen_;
};

// ---------------------------------------------------------------- compiling

Result<ast::NodePtr> pipeline_tree(TestFile& file, const TestCase& test, const TestWorld& world,
                                   lang::Diagnostics& diagnostics) {
  if (test.inline_pipeline) return test.inline_pipeline;
  if (!test.pipeline_file) return file.tree;
  const std::string path = (std::filesystem::path(file.path).parent_path() / *test.pipeline_file).lexically_normal();
  std::string text = TRY(read_whole_file(*world.env.disk, path));
  return read_yaml(*file.files, file.files->add(path, std::move(text)), diagnostics);
}

lang::CompileOptions compile_options(const TestCase& test, const TestWorld& world) {
  lang::CompileOptions options;
  options.catalog = world.catalog;
  options.disk = world.env.disk.get();
  options.environment = [&test, &world](const std::string& name) -> std::optional<std::string> {
    auto given = test.env.find(name);
    if (given != test.env.end()) return given->second;
    return world.env.variable ? world.env.variable(name) : std::nullopt;
  };
  for (const NamedText& input : test.inputs) options.inputs[input.name] = {input.text, input.span};
  return options;
}

// Every time at which a table of the test has a batch, but no more than a few of them.
std::vector<std::uint64_t> all_times(const plan::Plan& plan) {
  constexpr std::size_t kTimesMax = 12;
  std::set<std::uint64_t> times;
  for (const plan::Node& node : plan.nodes)
    if (const auto* rows = std::get_if<plan::StaticRows>(&node.params); rows && rows->rows)
      for (const plan::StaticRow& row : *rows->rows) times.insert(row.time);
  std::vector<std::uint64_t> out(times.begin(), times.end());
  if (out.size() <= kTimesMax) return out;
  std::vector<std::uint64_t> some;
  for (std::size_t i = 0; i < kTimesMax; ++i) some.push_back(out[i * out.size() / kTimesMax]);
  return some;
}

// A test that is run in several ways compiles its pipeline for each: functions of the user may keep something between
// calls.
Failure run_all_ways(const TestCase& test, const TestWorld& world, const FileTable& files,
                     const std::function<plan::Plan()>& make_plan) {
  for (std::uint32_t workers : world.workers.empty() ? test.workers : world.workers) {
    std::vector<Restart> ways = {Restart::kNone};
    if (!test.restarts.empty()) ways = {Restart::kSnapshot, Restart::kLog, Restart::kWorkers};
    for (Restart how : ways) {
      const plan::Plan plan = make_plan();
      auto failure = CaseRun(test, files, plan, world, workers, how).run();
      if (!failure) continue;
      return "with " + std::to_string(workers) + (workers == 1 ? " worker" : " workers") +
             std::string(restart_text(how)) + ":\n" + *failure;
    }
  }
  return std::nullopt;
}

Failure compile_and_run(TestFile& file, const TestCase& test, const TestWorld& world) {
  lang::Diagnostics reading = test.pipeline_problems;
  auto tree = pipeline_tree(file, test, world, reading);
  if (!tree) return full_text(tree.error());
  lang::CompileResult compiled;
  const lang::CompileOptions options = compile_options(test, world);
  if (*tree && !reading.has_errors()) compiled = lang::compile_tree(*tree, file.files, options);
  const lang::Diagnostics& found = reading.has_errors() ? reading : compiled.diagnostics;
  if (test.expect_error) return check_expected_error(*test.expect_error, found, *file.files);
  if (found.has_errors()) return lang::render_text(found, *file.files);
  TestCase restarted = test;
  if (world.restarts && test.restarts.empty()) restarted.restarts = all_times(compiled.plan);
  bool first = true;
  return run_all_ways(restarted, world, *file.files, [&] {
    if (!std::exchange(first, false)) compiled = lang::compile_tree(*tree, file.files, options);
    plan::Plan plan = std::move(compiled.plan);
    plan.terminate_on_error = compiled.settings.terminate_on_error.value_or(false);
    return plan;
  });
}

}  // namespace

CaseResult run_case(TestFile& file, const TestCase& test, const TestWorld& world) {
  CaseResult result{file.path, file.files->locate(test.span).line, test.name, Verdict::kPassed, {}, 0};
  if (test.problems.has_errors()) {
    result.verdict = Verdict::kFailed;
    result.message = lang::render_text(test.problems, *file.files);
    return result;
  }
  if (test.skip) {
    result.verdict = Verdict::kSkipped;
    result.message = *test.skip;
    return result;
  }
  const std::int64_t started = world.env.clock->monotonic_ns();
  if (Failure failure = compile_and_run(file, test, world)) {
    result.verdict = Verdict::kFailed;
    result.message = std::move(*failure);
  }
  result.seconds = static_cast<double>(world.env.clock->monotonic_ns() - started) / 1e9;
  return result;
}

}  // namespace thalweg::testing
