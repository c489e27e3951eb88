// engine/runtime/run.h
//
// A running plan: sources on their threads, workers on theirs, sinks on theirs, exported tables that can be read.
//
//   starting → running → (ended | stopped | failed)
//
// ended    every source has ended (a static run); the last commit is the end commit.
// stopped  stop() was called: the running commit finished and is visible, later input was not taken.
// failed   a source or sink gave up, or an ERROR value arose under terminate_on_error; the last closed commit stays
//          readable.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/env.h"
#include "engine/durable/dead_letters.h"
#include "engine/durable/disk_wait.h"
#include "engine/durable/snapshot_info.h"
#include "engine/io/connectors.h"
#include "engine/io/lag.h"
#include "engine/operators/operator.h"
#include "engine/plan/node.h"
#include "engine/runtime/histogram.h"

namespace thalweg {

struct Frontier {
  std::uint64_t at = 0;  // smallest time not complete
  bool done = false;
  friend bool operator==(const Frontier&, const Frontier&) = default;
};

struct SavedRun;
struct PartName;

// A run over what a recording took in, in the place of the sources: the same commits at the same times, functions
// answer as they did.
struct ReplayOptions {
  // kFast: commit by commit, as fast as possible. kOwn: with the pauses that there were. kOneCommit: all in one commit.
  enum class Pace : std::uint8_t { kFast, kOwn, kOneCommit } pace = Pace::kFast;
  double speed = 1;             // kOwn: so many times as fast
  bool continue_after = false;  // then the sources go on where they were
};

// A run that outlives its process (runtime/durability.h).
struct DurabilityOptions {
  std::string directory;       // of this pipeline alone
  std::shared_ptr<Disk> disk;  // null: the machine's
  bool visible_early = false;  // readers see commits that are not durable yet; outputs never do
  bool exactly_once = false;   // outputs are told so
  // Time between snapshots; 0: when the log has become long beside the state.
  std::int64_t snapshot_interval_ns = 0;
  bool snapshots_on_command = false;  // and at the end, only
  bool snapshot_at_end = true;
  // The log is kept whole, for replays; there are no snapshots, and the run begins anew.
  bool is_recording = false;
  // Only how far the sources are is gone on with; what is computed begins anew.
  bool positions_only = false;
  // The folder holds a recording, and this is a run over it; it is only read.
  std::optional<ReplayOptions> replay;
};

struct DurabilityStatus {
  bool on = false;
  std::string directory;
  std::uint64_t generation = 0;
  std::uint64_t log_bytes = 0;  // since the last snapshot
  std::uint64_t log_syncs = 0;
  std::vector<durable::SnapshotInfo> snapshots;  // that are kept, newest first
  std::uint64_t snapshots_written = 0;           // by this run
  std::string last_error;
};

struct RunOptions {
  std::uint32_t workers = 1;
  std::int64_t autocommit_ms = 100;  // a loaded pipeline closes a commit at least this often
  bool exports = true;               // keep exported tables readable
  bool test_times = false;           // `thalweg test`: commits are the times of StaticRows, the end is kEndCommit
  std::int64_t test_clock_start_ns = 0;
  std::int64_t test_clock_per_time_ns = 1'000'000;
  std::uint64_t history_commits = 1000;
  std::uint64_t history_bytes = 64ULL << 20;
  std::int64_t history_ns = 600'000'000'000;
  std::optional<DurabilityOptions> durability;
  // Where dead letters are kept; where state is kept they are beside it, within these limits. Null and no state: they
  // are reported only.
  std::shared_ptr<durable::DeadLetters> dead_letters;
  DeadLetterLimits dead_letter_limits;
  // Goes on where the saved run was (runtime/saved_state.h): the same plan, any number of workers.
  std::shared_ptr<const SavedRun> restore;
  // Pauses before the first commit at or after this one, or before the end commit; once. pause() waits for that. 0:
  // does not.
  Commit pause_before = 0;
  // Told of every commit that took input, when it is visible; be quick. `opened_ns`, `visible_ns`: monotonic.
  std::function<void(Commit time, std::int64_t opened_ns, std::int64_t visible_ns)> on_commit;
  // For the error table: file, line and column of a span.
  std::function<void(const SourceSpan&, std::string& file, std::int64_t& line, std::int64_t& column)> locate;
};

enum class RunState : std::uint8_t { kStarting, kRunning, kEnded, kStopped, kFailed };

struct ConnectorStatus {
  std::string name;       // as in the plan
  std::string connector;  // `io.csv.read`
  bool is_source = true;
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  std::uint64_t errors = 0;
  bool ended = false;
  std::string last_error;
  std::uint64_t queued_bytes = 0;              // delivered and not yet decoded, or staged for the sink
  std::uint64_t stalled_ns = 0;                // how long the source was held back by a full queue
  std::int64_t lag_ns = 0;                     // age of the oldest record that waits
  Delivery delivery = Delivery::kAtLeastOnce;  // of an output
  std::vector<PartitionLag> partitions;        // of a source that knows what it has not read yet
  std::uint64_t refused = 0;                   // rows that the outside of an output would not take
};

struct RunTimings {
  Histogram::Counts latency;  // from the delivery of a piece of input until it is visible
  Histogram::Counts commits;  // from the opening of a commit until it is visible
  std::int64_t lag_ns = 0;    // age of the oldest input that is not visible yet; 0: all is
};

struct OperatorStatus {
  NodeId node;
  std::uint64_t rows_in = 0;
  std::uint64_t rows_out = 0;
  std::uint64_t busy_ns = 0;
  StateSize state;
};

// Rows of an exported table, and the way back to older commits. Safe from any thread.
class ExportReader {
 public:
  virtual ~ExportReader() = default;
  [[nodiscard]] virtual const std::string& name() const = 0;
  [[nodiscard]] virtual const Schema& schema() const = 0;
  [[nodiscard]] virtual Frontier frontier() const = 0;
  [[nodiscard]] virtual Frontier oldest() const = 0;  // snapshots below this are gone
  [[nodiscard]] virtual std::uint64_t num_rows() const = 0;
  // All rows with time < at (default: the frontier), in key order; the frontier they show. kNotFound: history is gone.
  struct Snapshot {
    Frontier frontier;
    std::vector<Batch> batches;
  };
  virtual Result<Snapshot> snapshot(std::optional<Frontier> at) = 0;
  // The first `rows_max` of these rows whose key is above `after`: a pass over the keys, a copy of that many rows.
  virtual Result<Snapshot> page(std::optional<Frontier> at, const std::optional<Key>& after, std::size_t rows_max) = 0;
  // The row of a key.
  struct Row {
    Frontier frontier;
    std::optional<Batch> row;
  };
  virtual Result<Row> lookup(const Key& key) = 0;
  // The rows with these values in these columns, in key order, from an index of the table; nothing if there is no such
  // index.
  virtual Result<std::optional<Snapshot>> find_rows(const std::vector<std::uint32_t>& /*columns*/,
                                                    const std::vector<Value>& /*values*/) {
    return std::nullopt;
  }
  // What changed in [from, to): one batch per time, oldest first.
  struct Change {
    Commit time = 0;
    Batch batch;
  };
  virtual Result<std::vector<Change>> diff(Frontier from, Frontier to) = 0;
  // Calls back (from an engine thread; be quick) after every commit, also one that did not change the table.
  virtual std::uint64_t subscribe(std::function<void(Frontier)> on_commit) = 0;
  virtual void unsubscribe(std::uint64_t id) = 0;
};

// What a run with another plan may take over from this one (runtime/takeover.h).
struct Takeover {
  bool possible = false;
  std::string why_not;
  std::vector<std::optional<NodeId>>
      kept;                  // by node of the new plan: the node of the old one whose state it goes on with
  std::vector<bool> filled;  // by node of the new plan: its rows are told again to readers that are rebuilt
};

class Run {
 public:
  // Checks what only a run can know (files exist, sinks open) and starts. `plan` is copied.
  static Result<std::unique_ptr<Run>> start(const plan::Plan& plan, const RunOptions& options,
                                            ConnectorFactory& connectors, const Env& env);
  // In the place of `old`, which must be paused and has the same workers: takes over what `takeover` says, fills the
  // rest in its first commit and waits, paused. After an error `old` is as it was; after success it is over. Sources go
  // on.
  static Result<std::unique_ptr<Run>> start_in_place_of(Run& old, const plan::Plan& plan, const RunOptions& options,
                                                        ConnectorFactory& connectors, const Env& env);
  [[nodiscard]] virtual Takeover takeover_by(const plan::Plan& /*plan*/, const RunOptions& /*options*/) const {
    return {};
  }
  virtual ~Run() = default;  // stops
  virtual void stop() = 0;   // asks; returns at once
  // Ends it as failed, as soon as possible: nothing of the running commit becomes visible.
  virtual void abort(Error /*why*/) { stop(); }
  // No commit starts until resume(); input waits in the queues of the sources. Returns once the running commit has
  // closed and the sinks have written it; false: the run is over.
  virtual bool pause() { return false; }
  virtual void resume() {}
  // A snapshot of all that is closed now; returns once it is written. kInvalidArgument: the run keeps no state.
  virtual Result<durable::SnapshotInfo> checkpoint() {
    return fail(Code::kInvalidArgument, "the pipeline keeps no state (`persistence_config`)");
  }
  [[nodiscard]] virtual DurabilityStatus durability() const { return {}; }
  // The state between two commits: of a run that is paused, or over and not failed. `sink` gets the pieces of every
  // part; without one they stay in memory and the parts can be opened at once.
  virtual Result<SavedRun> save_state(
      const std::function<std::function<void(std::string&&)>(const PartName&)>& sink = {});
  // Asks for a commit even though nothing came, so that the frontier moves on.
  virtual void commit_now() {}
  // Lets the exported tables of this run go on where those of `old` ended: readers of its history see what changed as
  // one commit. Requires: both are paused or over, and the frontier of this run is not below that of `old`.
  virtual void continue_history(const Run& /*old*/) {}
  // Until the run is over, or `timeout_ns` (negative: for ever). True if it is over.
  virtual bool wait(std::int64_t timeout_ns) = 0;
  [[nodiscard]] virtual RunState state() const = 0;
  [[nodiscard]] virtual std::optional<Error> failure() const = 0;
  [[nodiscard]] virtual Frontier frontier() const = 0;
  [[nodiscard]] virtual std::vector<std::shared_ptr<ExportReader>> exports() const = 0;
  [[nodiscard]] virtual std::shared_ptr<ExportReader> find_export(std::string_view name) const = 0;
  [[nodiscard]] virtual std::vector<ConnectorStatus> connectors() const = 0;
  [[nodiscard]] virtual std::vector<OperatorStatus> operators() const = 0;
  // The newest errors (bounded), oldest first, and how many there were in all.
  [[nodiscard]] virtual std::vector<DataError> errors() const = 0;
  [[nodiscard]] virtual std::uint64_t num_errors() const = 0;
  [[nodiscard]] virtual std::uint64_t num_errors_of(ErrorKind /*kind*/) const { return 0; }
  [[nodiscard]] virtual std::uint64_t num_commits() const = 0;
  [[nodiscard]] virtual RunTimings timings() const { return {}; }
  // Every source has delivered and the engine has closed all that it found at the start.
  [[nodiscard]] virtual bool caught_up() const = 0;
  // Outputs, the log or a snapshot wait for room on a disk; they go on by themselves.
  [[nodiscard]] virtual durable::DiskWait disk_wait() const { return {}; }
  // Null: they are not kept.
  [[nodiscard]] virtual std::shared_ptr<durable::DeadLetters> dead_letters() const { return nullptr; }
  // Gives a dead letter back to its source, which reads it again, or the row to its output. It is gone once the commit
  // with it is; what is wrong again is another letter. `payload`: what is read instead.
  virtual Result<void> replay_dead_letter(std::uint64_t /*id*/, const std::optional<std::string>& /*payload*/) {
    return fail(Code::kUnavailable, "the pipeline keeps no dead letters");
  }
};

}  // namespace thalweg
