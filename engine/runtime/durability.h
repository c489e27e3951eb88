// engine/runtime/durability.h
//
// How a run outlives its process: every commit goes into the log before anybody outside hears of it, and from time to
// time all state goes into a snapshot.
//
//   open ─▶ the snapshot's parts are loaded ─▶ commits of the log are run again ─▶ begin ─▶ commits
//
// D1  A commit is durable once its record is, and all before it are. Then readers may see it, sinks get it, and
//     sources may confirm what came into it.
// D2  A commit that took in more than kRecordBytesMax is durable by a snapshot right after it instead.
// D3  A snapshot holds what sinks have not written yet of the commits before it.
// D4  What plan commits are of is durable before they are: the newest snapshot says it, or, before the first one, a
//     record beside the log.
// Threads  the coordinating worker, unless a function says otherwise; snapshots are written on a thread of their own.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/durable/store.h"
#include "engine/runtime/commit_record.h"
#include "engine/runtime/run.h"
#include "engine/runtime/saved_plan.h"
#include "engine/runtime/saved_state.h"

namespace thalweg {

// What a snapshot says of one output.
struct SavedOutput {
  std::string id;
  Key print;                                            // of the node that writes to it
  std::string saved;                                    // Sink::save()
  std::optional<Commit> written;                        // the newest commit it had written
  std::vector<std::pair<Commit, std::string>> waiting;  // batches it had not, encoded
};

class Durability {
 public:
  static constexpr std::size_t kRecordBytesMax = 64U << 20;
  static constexpr std::size_t kWaitingBytesMax = 64U << 20;
  static constexpr std::size_t kRecordedBytesMax = 1000U << 20;

  static Result<std::unique_ptr<Durability>> open(const DurabilityOptions& options, const std::shared_ptr<Env>& env,
                                                  durable::Store::Verify verify = durable::Store::Verify::kFirst);
  ~Durability();

  // ---- recovery
  [[nodiscard]] bool resumes() const { return !store_->fresh(); }  // there was an earlier run
  [[nodiscard]] std::uint64_t generation() const { return store_->generation(); }
  [[nodiscard]] Result<void> verified() const { return store_->verified(); }
  [[nodiscard]] const std::shared_ptr<const SavedRun>& saved() const { return saved_; }  // null: no snapshot
  [[nodiscard]] Result<SavedOutput> saved_output(const std::string& id) const;
  [[nodiscard]] Result<std::vector<SavedNode>> saved_plan() const;  // of the snapshot
  // Of a log without a snapshot. Nothing: it is not known.
  [[nodiscard]] Result<std::optional<LogPlan>> log_plan() const;
  // Commits of the log are to be run again.
  [[nodiscard]] bool has_replays() const { return next_record_ < store_->log().found().size(); }
  // As of the last commit in the log; null: nothing is known of such a source.
  [[nodiscard]] const SourceMark* mark_of(const Key& source) const;
  [[nodiscard]] const BlobMap& blobs_of(const Key& source) const;
  // The newest commit of an output whose refused rows were taken in. They are kept like the position of a source.
  [[nodiscard]] Commit refusals_read(const Key& output) const;
  [[nodiscard]] static SourceMark refusals_mark(const Key& output, Commit commit);
  // Sources whose positions are known and that are not among these.
  [[nodiscard]] std::vector<Key> other_sources(const std::vector<Key>& known) const;
  // Next commit to run again; null: there are no more.
  Result<std::unique_ptr<CommitReplay>> next_replay();
  // The newest durable commit; 0: none.
  [[nodiscard]] Commit durable() const { return durable_; }
  [[nodiscard]] const std::vector<std::string>& events() const { return store_->events(); }

  // ---- going on
  // New commits are numbered `next` and above, and are of this plan. `wake`: a snapshot is due.
  Result<void> begin(Commit next, const LogPlan& plan, std::function<void()> wake);
  // `done` is called once the record is durable, in order, from another thread.
  void commit(CommitRecord record, std::function<void(const Result<void>&)> done);
  // Too much waits for the disk: wait a little.
  [[nodiscard]] bool is_behind();
  void drain();  // any thread
  // Counts the commit as the newest one before it is in the log: the snapshot that follows makes it durable.
  void took(CommitRecord& record);
  [[nodiscard]] Commit last() const { return last_; }
  void snapshot_failed(Error error);
  [[nodiscard]] static std::string part_name(const PartName& part);
  [[nodiscard]] static durable::Part plan_part(const std::vector<SavedNode>& nodes);
  // Between commits. What `state` gives is written on the snapshot thread; `outputs` is called there.
  void snapshot(SavedRun state, std::vector<durable::Part> parts,
                std::function<Result<std::vector<SavedOutput>>()> outputs);
  // Until no snapshot is being written; the error of the last one. Any thread.
  Result<void> wait_for_snapshot();
  [[nodiscard]] bool snapshot_due();
  // All that was committed is in a snapshot.
  [[nodiscard]] bool is_saved();
  void want_snapshot();  // any thread
  [[nodiscard]] const DurabilityOptions& options() const { return options_; }
  // A commit that took in more is made durable by a snapshot; a recording has none.
  [[nodiscard]] std::size_t record_bytes_max() const {
    return options_.is_recording ? kRecordedBytesMax : kRecordBytesMax;
  }

  // ---- any thread
  [[nodiscard]] DurabilityStatus status() const;
  // A name for files of an output's own.
  [[nodiscard]] std::string path_for(const std::string& id) const { return store_->directory() + "/sinks/" + id; }
  [[nodiscard]] Disk& disk() { return *(options_.disk ? options_.disk : env_->disk); }
  // The folder is free for another run; status() goes on to say what it said last. Nothing else may be called after.
  void close();

 private:
  struct Job {
    Commit epoch = 0;
    std::uint64_t log_hash = 0;
    std::vector<durable::Part> parts;
    std::map<std::string, Blob> blobs;  // of sources, by part
    std::function<Result<std::vector<SavedOutput>>()> outputs;
  };
  explicit Durability(DurabilityOptions options, std::shared_ptr<Env> env)
      : options_(std::move(options)), env_(std::move(env)) {}
  static Result<std::unique_ptr<Durability>> open_with(const DurabilityOptions& options,
                                                       const std::shared_ptr<Env>& env, durable::Store::Verify verify);
  Result<void> load_snapshot();
  Result<void> scan_marks();
  void apply(const std::vector<SourceMark>& marks);
  void keep_for_replay(const CommitReplay& replay);
  [[nodiscard]] std::vector<durable::Part> source_parts(std::map<std::string, Blob>& blobs) const;
  void write_snapshots();
  [[nodiscard]] std::chrono::nanoseconds wake_every() const;
  [[nodiscard]] bool log_is_long() const;  // requires: mutex_ is held

  const DurabilityOptions options_;
  const std::shared_ptr<Env> env_;
  std::unique_ptr<durable::Store> store_;
  std::shared_ptr<const SavedRun> saved_;
  std::map<Key, SourceMark> marks_;  // positions only
  std::map<Key, BlobMap> blobs_;
  // While commits are run again: as of the one before, with what the running one adds; and what that takes away.
  std::map<Key, BlobMap> replayed_blobs_;
  std::vector<std::pair<Key, std::string>> replayed_away_;
  std::size_t next_record_ = 0;
  Commit durable_ = 0;
  Commit last_ = 0;  // newest commit

  std::thread writer_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> wake_;  // guarded by mutex_, as is all below
  std::optional<Job> job_;
  bool writing_ = false;
  bool stop_ = false;
  bool wanted_ = false;
  std::map<std::string, Blob> saved_blobs_;  // of sources, by part, in the newest snapshot
  bool changed_since_ = false;               // commits since the last snapshot
  Commit saved_to_ = 0;                      // the last snapshot's commit
  std::uint64_t log_bytes_at_ = 0;           // when it was taken
  std::int64_t snapshot_ns_ = 0;             // when it was taken (monotonic)
  std::int64_t retry_ns_ = 0;                // not before (monotonic)
  std::optional<Error> snapshot_error_;
  std::vector<durable::SnapshotInfo> snapshots_;
  std::uint64_t snapshots_written_ = 0;
  DurabilityStatus last_status_;
};

}  // namespace thalweg
