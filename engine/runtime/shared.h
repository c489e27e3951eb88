// engine/runtime/shared.h
//
// What the workers, the sources and the run share. Grouped by how it is protected.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/runtime/durability.h"
#include "engine/runtime/dead_letter_desk.h"
#include "engine/runtime/egress.h"
#include "engine/runtime/exchange.h"
#include "engine/runtime/exports.h"
#include "engine/runtime/graph.h"
#include "engine/runtime/ingest.h"
#include "engine/runtime/recording.h"
#include "engine/runtime/run.h"

namespace thalweg {

// What the workers are to run next.
struct CommitSpec {
  Commit time = 0;
  bool is_end = false;
  bool is_odd = false;
  bool takes_input = true;         // pieces of sources
  bool has_script = false;         // StaticRows of this time
  bool is_fill = false;            // kept nodes tell their rows again, to rebuilt nodes only
  bool over = false;               // no more commits: workers leave
  std::int64_t wall_ns = 0;        // of this commit; 0: the clock's
  CommitReplay* replay = nullptr;  // it is run again, from the log
  bool is_rerun = false;           // of a recording: nothing outside has seen it yet
};

struct NodeCounters {
  std::atomic<std::uint64_t> rows_in{0};
  std::atomic<std::uint64_t> rows_out{0};
  std::atomic<std::uint64_t> busy_ns{0};
  std::atomic<std::uint64_t> state_rows{0};
  std::atomic<std::uint64_t> state_bytes{0};
  std::atomic<std::uint64_t> late_rows{0};
  std::atomic<std::uint64_t> rounds{0};
  std::atomic<std::uint64_t> last_rounds{0};
  std::atomic<std::uint64_t> round_rows{0};
};

struct RunShared {
  explicit RunShared(std::shared_ptr<Env> for_all) : env_owner(std::move(for_all)), env(*env_owner) {}

  // ---- fixed before the threads start
  plan::Plan plan;
  std::vector<Key> fingerprints;  // by node, before rewriting
  std::vector<Key> state_prints;  // the same without secrets: what state that is kept goes by
  RunOptions options;
  const std::shared_ptr<Env> env_owner;  // shared with the runs that take over from this one
  Env& env;
  Takeover takeover;  // of a run in the place of another; else empty
  Graph graph;
  std::vector<bool> rejects_are_read;   // by node: a table of its rejected records exists
  std::vector<bool> refusals_are_read;  // by node: it is an output, and rows that it refuses are input again
  std::vector<bool> after_errors;       // by node: depends on the error log
  std::map<std::uint64_t, std::vector<std::pair<NodeId, Batch>>> scripts;  // by time
  std::int64_t tick_ns = 0;                           // some operator looks at the clock this often; 0: none does
  std::vector<NodeId> source_nodes;                   // by ingest id
  std::vector<std::shared_ptr<Egress>> egress;        // by node; null elsewhere
  std::vector<std::shared_ptr<ExportTable>> exports;  // by node; null elsewhere
  std::unique_ptr<Exchange> exchange;
  std::shared_ptr<Ingest> ingest;
  std::unique_ptr<DeadLetterDesk> letters;
  // ---- a run over a recording
  std::unique_ptr<Recording> recording;  // null: it is none
  // ---- where state is kept
  std::unique_ptr<Durability> durability;  // null: nowhere
  std::vector<Key> source_keys;            // by ingest id: what its positions are kept under
  std::vector<std::string> output_ids;     // by node; empty elsewhere
  std::vector<Key> refusal_keys;           // by node: what refused rows are kept under
  std::vector<Key> node_keys;              // by node: the same for answers
  LogPlan planned;                         // what is kept of the plan: nodes by node, outputs
  std::vector<CommitJournal> journals;     // by worker; the coordinating one takes them after the commit
  std::function<Result<SavedRun>(const PartSink&)> save_all;  // between commits
  std::function<void()> start_sources;
  std::function<Result<std::unique_ptr<Piece>>(std::uint32_t source, std::string_view origin, const BlobMap& kept)>
      read_again;  // any worker, before the sources start
  std::function<void(std::uint32_t source, const std::string& position)> confirm;  // it is durable
  bool endless = false;  // a clock is a source that never ends

  // ---- atomics
  std::atomic<bool> abandon{false};        // leave the running commit: the run has failed or stops
  std::atomic<bool> tick{false};           // the clock operators want a commit
  std::atomic<bool> refused_waits{false};  // `refused` has something
  std::atomic<bool> gave_away{false};      // another run has the sources and the queues
  std::atomic<bool> pause_wanted{false};   // no commit starts
  std::atomic<bool> fill_wanted{false};    // the next commit fills what is rebuilt
  std::atomic<std::uint32_t> running{0};   // workers still in the commit
  std::atomic<std::uint32_t> odd_wanted{0};
  std::vector<NodeCounters> counters;                                                // by worker * nodes + node
  std::vector<std::atomic<std::uint64_t>> source_rows, source_errors, source_bytes;  // by ingest id
  std::atomic<std::uint64_t> commits{0};
  std::atomic<std::uint64_t> error_count{0};
  std::array<std::atomic<std::uint64_t>, 3> errors_by_kind{};
  std::atomic<std::size_t> journal_bytes{0};  // of the running commit
  Histogram latency, commit_durations;
  void note_duration(Commit time, std::int64_t opened_ns, std::int64_t visible_ns) {
    commit_durations.observe(visible_ns - opened_ns);
    if (options.on_commit) options.on_commit(time, opened_ns, visible_ns);
  }

  // ---- guarded by mutex
  std::mutex mutex;
  std::condition_variable changed;
  bool paused = false;     // and none runs
  bool recovered = false;  // what an earlier run left behind is loaded
  bool held = false;       // pause_before was obeyed
  bool caught_up = false;  // what came before all_idle_ns is visible
  CommitSpec spec;
  std::uint64_t generation = 0;
  Frontier frontier;  // what readers may see
  Frontier closed;    // what the workers have done; ahead of it where commits wait to be durable
  std::optional<Error> failure;
  std::deque<DataError> errors;  // newest kErrorsMax
  // What outputs refused, until a commit takes it in.
  struct Refused {
    NodeId output;
    Commit commit = 0;  // that the output refused it in
    std::vector<RefusedRow> rows;
  };
  std::vector<Refused> refused;
  std::vector<std::string> source_messages;
  std::vector<bool> source_idle;            // has caught up once
  std::optional<std::int64_t> all_idle_ns;  // since when all of them have (monotonic)
  static constexpr std::size_t kErrorsMax = 10'000;

  // Rows that an output refused in a commit are input of the next one. Any thread.
  void take_refused(Refused rows);
  // Of an output that refused a row. Any thread.
  void note_refused(NodeId output, const std::string& why, std::optional<Key> key, Commit commit);
  // The first failure counts; the running commit is abandoned.
  void fail_run(Error error);
  void count_error(ErrorKind kind) {
    ++error_count;
    ++errors_by_kind[static_cast<std::size_t>(kind)];
  }
  [[nodiscard]] bool is_kept(NodeId node) const {
    return node.value < takeover.kept.size() && takeover.kept[node.value].has_value();
  }
  [[nodiscard]] NodeCounters& counter(WorkerId worker, NodeId node) {
    return counters[worker.value * plan.nodes.size() + node.value];
  }
};

}  // namespace thalweg
