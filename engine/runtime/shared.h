// engine/runtime/shared.h
//
// What the workers, the sources and the run share. Grouped by how it is protected.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/runtime/egress.h"
#include "engine/runtime/exchange.h"
#include "engine/runtime/exports.h"
#include "engine/runtime/graph.h"
#include "engine/runtime/ingest.h"
#include "engine/runtime/run.h"

namespace thalweg {

// What the workers are to run next.
struct CommitSpec {
  Commit time = 0;
  bool is_end = false;
  bool is_odd = false;
  bool takes_input = true;   // pieces of sources
  bool has_script = false;   // StaticRows of this time
  bool over = false;         // no more commits: workers leave
};

struct NodeCounters {
  std::atomic<std::uint64_t> rows_in{0};
  std::atomic<std::uint64_t> rows_out{0};
  std::atomic<std::uint64_t> busy_ns{0};
  std::atomic<std::uint64_t> state_rows{0};
  std::atomic<std::uint64_t> state_bytes{0};
};

struct RunShared {
  // ---- fixed before the threads start
  plan::Plan plan;
  RunOptions options;
  Env env;
  Graph graph;
  std::vector<bool> rejects_are_read;                     // by node: a table of its rejected records exists
  std::vector<bool> after_errors;                         // by node: depends on the error log
  std::map<std::uint64_t, std::vector<std::pair<NodeId, Batch>>> scripts;  // by time
  std::int64_t tick_ns = 0;                               // some operator looks at the clock this often; 0: none does
  bool endless = false;                                   // a clock is a source that never ends
  std::vector<NodeId> source_nodes;                       // by ingest id
  std::vector<std::unique_ptr<Egress>> egress;            // by node; null elsewhere
  std::vector<std::shared_ptr<ExportTable>> exports;      // by node; null elsewhere
  std::unique_ptr<Exchange> exchange;
  std::unique_ptr<Ingest> ingest;

  // ---- atomics
  std::atomic<bool> abandon{false};        // leave the running commit: the run has failed or stops
  std::atomic<std::uint32_t> running{0};   // workers still in the commit
  std::atomic<std::uint32_t> odd_wanted{0};
  std::atomic<bool> tick{false};           // the clock operators want a commit
  std::vector<NodeCounters> counters;      // by worker * nodes + node
  std::vector<std::atomic<std::uint64_t>> source_rows, source_errors, source_bytes;  // by ingest id
  std::atomic<std::uint64_t> commits{0};
  std::atomic<std::uint64_t> error_count{0};
  std::atomic<bool> pause_wanted{false};   // no commit starts
  Histogram latency, commit_durations;

  // ---- guarded by mutex
  std::mutex mutex;
  std::condition_variable changed;
  bool paused = false;                     // and none runs
  CommitSpec spec;
  std::uint64_t generation = 0;
  Frontier frontier;
  std::optional<Error> failure;
  std::deque<DataError> errors;            // newest kErrorsMax
  std::vector<std::string> source_messages;
  std::vector<bool> source_idle;           // has caught up once
  static constexpr std::size_t kErrorsMax = 10'000;

  // The first failure counts; the running commit is abandoned.
  void fail_run(Error error);
  [[nodiscard]] NodeCounters& counter(WorkerId worker, NodeId node) {
    return counters[worker.value * plan.nodes.size() + node.value];
  }
};

}  // namespace thalweg
