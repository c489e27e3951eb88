#include "daemon/commands/test.h"

#include <re2/re2.h>

#include <cstdio>
#include <vector>

#include "connectors/registry.h"
#include "daemon/catalog_impl.h"
#include "daemon/commands/commands.h"
#include "daemon/testing/find_tests.h"
#include "daemon/testing/read_file.h"

namespace thalweg::daemon {
namespace {

using testing::CaseResult;
using testing::TestCase;
using testing::TestFile;
using testing::TestPath;
using testing::TestWorld;
using testing::Verdict;

class Session {
 public:
  Session(const TestArgs& args, TestWorld world)
      : world_(std::move(world)), filter_(args.filter, RE2::Quiet), as_text_(args.format == "text") {}

  [[nodiscard]] const RE2& filter() const { return filter_; }
  [[nodiscard]] const std::vector<CaseResult>& results() const { return results_; }

  void run_file(const TestPath& path) {
    auto text = testing::read_whole_file(*world_.env.disk, path.path);
    if (!text) return add({path.path, 0, "file", Verdict::kFailed, text.error().message, 0});
    // A file that was only found, and has no tests, need not be a pipeline at all.
    const bool is_test_file = path.path.ends_with(".test.yaml") || path.path.ends_with(".test.yml");
    if (!path.named && !is_test_file && text->find("tests:") == std::string::npos) return;
    TestFile file;
    testing::read_test_file(path.path, std::move(*text), file);
    if (file.problems.has_errors())
      return add({path.path, 0, "file", Verdict::kFailed, lang::render_text(file.problems, *file.files), 0});
    if (file.cases.empty() && (path.named || is_test_file))
      std::fprintf(stderr, "thalweg test: %s has no tests\n", path.path.c_str());
    for (const TestCase& test : file.cases)
      if (RE2::PartialMatch(test.name, filter_)) add(testing::run_case(file, test, world_));
  }

 private:
  void add(CaseResult result) {
    if (as_text_) {
      std::fputs(testing::text_line(result).c_str(), stdout);
      std::fflush(stdout);
    }
    results_.push_back(std::move(result));
  }

  TestWorld world_;
  RE2 filter_;
  bool as_text_;
  std::vector<CaseResult> results_;
};

int print_summary(const TestArgs& args, const std::vector<CaseResult>& results) {
  const testing::Counts counts = testing::count(results);
  if (args.format == "junit") std::fputs(testing::junit_document(results).c_str(), stdout);
  if (args.format == "json") std::fputs(testing::json_document(results).c_str(), stdout);
  std::FILE* out = args.format == "text" ? stdout : stderr;
  if (counts.skipped > 0) std::fprintf(out, "%zu skipped\n", counts.skipped);
  std::fprintf(out, "%s\n", testing::summary_line(counts).c_str());
  return counts.failed == 0 ? kExitOk : kExitFailed;
}

}  // namespace

int run_tests(const TestArgs& args, TestWorld world) {
  if (!args.workers.empty()) world.workers = args.workers;
  world.restarts = args.restarts;
  auto paths = testing::find_test_files(args.paths);
  if (!paths) {
    std::fprintf(stderr, "thalweg test: %s\n", paths.error().message.c_str());
    return kExitUsage;
  }
  Session session(args, std::move(world));
  if (!session.filter().ok()) {
    std::fprintf(stderr, "thalweg test: --filter is no regular expression: %s\n", session.filter().error().c_str());
    return kExitUsage;
  }
  for (const TestPath& path : *paths) session.run_file(path);
  return print_summary(args, session.results());
}

int run_command(const TestArgs& args) {
  Env env = real_env();
  ConnectorCatalog catalog(env);
  std::unique_ptr<ConnectorFactory> connectors = make_connector_factory();
  return run_tests(args, {&catalog, connectors.get(), env, {}, args.restarts});
}

}  // namespace thalweg::daemon
