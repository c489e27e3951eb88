// tests/support/restarted_run.h
//
// A run that is saved and restored on its way, with other numbers of workers: to be compared with one that never was.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/runtime/run.h"
#include "tests/support/random.h"

namespace thalweg::testing {

struct Restart {
  Commit before = 0;  // the first commit of the next run is at or after this one
  std::uint32_t workers = 1;
};

struct RestartedRun {
  std::map<std::string, std::vector<ExportReader::Change>> changes;  // by export, of all runs one after another
  std::unique_ptr<Run> last;                                         // that ran to the end
};

// `options.workers` is for the first run. The plan has no sources and no sinks.
Result<RestartedRun> run_with_restarts(const plan::Plan& plan, RunOptions options,
                                       const std::vector<Restart>& restarts);

// One to three restarts at some of the times (or the end), each with 1 to 3 workers.
[[nodiscard]] std::vector<Restart> random_restarts(Random& random, const std::vector<std::uint64_t>& times);
[[nodiscard]] std::string to_text(const std::vector<Restart>& restarts);

}  // namespace thalweg::testing
