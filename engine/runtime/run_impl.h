// engine/runtime/run_impl.h
//
// The run of this engine: run_build.cc puts it together from a plan, anew, from saved state or from another run;
// run.cc starts, pauses, stops and watches it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/durable/patient_disk.h"
#include "engine/runtime/run.h"
#include "engine/runtime/saved_state.h"
#include "engine/runtime/shared.h"
#include "engine/runtime/source_thread.h"
#include "engine/runtime/worker.h"

namespace thalweg {

// Asks for a commit at every tick, so that what goes by the clock is looked at on a quiet pipeline, too.
class Ticker {
 public:
  explicit Ticker(RunShared& shared) : shared_(shared) {}
  ~Ticker() { stop(); }
  void start() {
    thread_ = std::thread([this] { body(); });
  }
  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void body() {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, std::chrono::nanoseconds(shared_.tick_ns), [this] { return stopping_; })) {
      shared_.tick = true;
      shared_.exchange->wake(0).wake();
    }
  }

  RunShared& shared_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;  // guarded by mutex_
};

class RunImpl : public Run {
 public:
  RunImpl(const plan::Plan& plan, const RunOptions& options, std::shared_ptr<Env> env);
  ~RunImpl() override;

  // Before build(): saved state is verified beside its loading. Where that finds damage build() fails, and another run
  // that verifies first passes over what is damaged.
  void verify_beside() { verify_ = durable::Store::Verify::kBeside; }
  [[nodiscard]] bool is_damaged() const { return is_damaged_; }
  // With `old`: in its place. Nothing of it is changed here.
  Result<void> build(ConnectorFactory& connectors, const RunImpl* old = nullptr);

  // Cannot fail. `old` is paused; it stays so until it is stopped or aborted, and ends without touching what it gave
  // away.
  void take_over(RunImpl& old);

  [[nodiscard]] Takeover takeover_by(const plan::Plan& plan, const RunOptions& options) const override;

  void start_threads();
  void stop() override;
  void abort(Error why) override;
  bool pause() override;
  void resume() override;
  Result<SavedRun> save_state(const PartSink& sink) override;
  // Until what an earlier run left behind is loaded; an error if it cannot be.
  Result<void> wait_until_recovered();
  Result<durable::SnapshotInfo> checkpoint() override;
  [[nodiscard]] DurabilityStatus durability() const override;
  [[nodiscard]] durable::DiskWait disk_wait() const override;
  void commit_now() override;
  void continue_history(const Run& old) override;
  bool wait(std::int64_t timeout_ns) override;

  [[nodiscard]] std::shared_ptr<Env> env() const { return shared_.env_owner; }
  [[nodiscard]] RunState state() const override { return state_; }
  [[nodiscard]] std::optional<Error> failure() const override;
  [[nodiscard]] Frontier frontier() const override;
  [[nodiscard]] std::vector<std::shared_ptr<ExportReader>> exports() const override;
  [[nodiscard]] std::shared_ptr<ExportReader> find_export(std::string_view name) const override;
  [[nodiscard]] std::vector<ConnectorStatus> connectors() const override;
  [[nodiscard]] std::vector<OperatorStatus> operators() const override;
  [[nodiscard]] std::vector<DataError> errors() const override;
  [[nodiscard]] std::uint64_t num_errors() const override { return shared_.error_count; }
  [[nodiscard]] std::uint64_t num_errors_of(ErrorKind kind) const override;
  [[nodiscard]] std::uint64_t num_commits() const override { return shared_.commits; }
  [[nodiscard]] RunTimings timings() const override;
  [[nodiscard]] bool caught_up() const override;
  [[nodiscard]] std::shared_ptr<durable::DeadLetters> dead_letters() const override;
  Result<void> replay_dead_letter(std::uint64_t id, const std::optional<std::string>& payload) override;

 private:
  // What others call may outlive this run.
  [[nodiscard]] std::function<void()> waker() const;
  [[nodiscard]] std::function<void(Error)> failure_of(SourceSpan span) const;

  void wait_for_room();
  void give_up_waiting();
  [[nodiscard]] Refusals::Told refusal_of(NodeId output) const;

  // Another run has taken over: this one ends without touching what it has given away.
  void retire();

  void keep_node(const plan::Node& node, const RunImpl& old);
  void keep_sources(const RunImpl& old);
  Result<void> build_node(const plan::Node& node, ConnectorFactory& connectors, std::uint32_t workers);

  Result<void> open_letters(std::uint32_t workers, bool in_place);
  void keep_letters_of(const plan::Node& output);
  void read_refusals_of(const plan::Node& output);

  // ---- a run over a recording
  // Where a source is gone on with after it.
  [[nodiscard]] SourceThread::Resume recorded_end(const Key& source) const;
  Result<void> check_recording() const;

  // ---- where state is kept

  Result<void> open_state(std::uint32_t workers);
  Result<void> load_verified();
  Result<void> load_state();
  [[nodiscard]] const SavedNode& node_now(const plan::Node& node) const { return shared_.planned.nodes[node.id.value]; }
  [[nodiscard]] bool is_same_plan(const std::vector<SavedNode>& before) const;
  // There is no snapshot: all that was computed is computed again, from the first commit on.
  Result<void> check_log();
  // By another plan that is as good where what outputs have got stays as it is.
  [[nodiscard]] Result<void> check_log_of(const LogPlan& before) const;

  // The pipeline was changed while nothing ran: what it still computes goes on with its state, the rest is filled in
  // the first commit from what the kept operators can tell again; else it is refused.
  Result<void> plan_changes(const std::vector<SavedNode>& before, SavedRun& saved);

  [[nodiscard]] Error another_pipeline(const std::string& why) const;
  Result<void> open_output(const plan::Node& node);
  void look_every(std::int64_t ns);
  void add_scripts(const plan::Node& node, const plan::StaticRows& rows);

  // Waits for the workers, then for the sinks, and says how it ended.
  void supervise();

  const std::shared_ptr<RunShared> owner_;
  RunShared& shared_;
  durable::Store::Verify verify_ = durable::Store::Verify::kFirst;
  bool is_damaged_ = false;
  std::atomic<bool> retired_{false};
  std::vector<NodeId> handed_over_;                           // outputs that another run closes; filled before the end
  std::size_t num_scripts_ = 0;                               // commits that StaticRows take
  std::vector<std::shared_ptr<durable::PatientDisk>> disks_;  // where state is kept, a full disk is waited for
  Ticker ticker_{shared_};
  std::vector<std::unique_ptr<SourceThread>> sources_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::thread supervisor_;
  std::atomic<RunState> state_{RunState::kStarting};
  std::atomic<bool> stopped_{false};
  bool over_ = false;  // guarded by shared_.mutex
};

}  // namespace thalweg
