#include "engine/runtime/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include "engine/runtime/run_impl.h"

namespace thalweg {

RunImpl::~RunImpl() {
  RunImpl::stop();
  if (supervisor_.joinable()) supervisor_.join();
  shared_.durability.reset();  // its threads call back
}

std::function<void()> RunImpl::waker() const {
  return [weak = std::weak_ptr(owner_)] {
    if (auto shared = weak.lock()) shared->exchange->wake_all();
  };
}

std::function<void(Error)> RunImpl::failure_of(SourceSpan span) const {
  return [weak = std::weak_ptr(owner_), span](Error error) {
    if (auto shared = weak.lock()) shared->fail_run(std::move(error).at(span));
  };
}

Refusals::Told RunImpl::refusal_of(NodeId output) const {
  return [weak = std::weak_ptr(owner_), output](const std::string& why, std::optional<Key> key, Commit commit) {
    if (auto shared = weak.lock()) shared->note_refused(output, why, key, commit);
  };
}

void RunImpl::start_threads() {
  state_ = RunState::kRunning;
  shared_.start_sources = [this] {
    for (const auto& source : sources_) source->start();
  };
  if (shared_.takeover.kept.empty() && !shared_.durability && !shared_.recording) shared_.start_sources();
  if (shared_.tick_ns > 0 && !shared_.options.test_times) {
    shared_.tick = true;  // the first tick may be due at once
    ticker_.start();
  }
  supervisor_ = std::thread([this] { supervise(); });
}

void RunImpl::stop() {
  stopped_ = true;
  if (retired_) return retire();
  give_up_waiting();
  shared_.ingest->stop();  // first: a source that ends because it was stopped must not look like the end of the input
  for (const auto& source : sources_) source->stop();
}

void RunImpl::abort(Error why) {
  if (retired_) return retire();
  give_up_waiting();
  shared_.fail_run(std::move(why));
  for (const auto& source : sources_) source->stop();
}

bool RunImpl::pause() {
  {
    std::lock_guard lock(shared_.mutex);
    if (shared_.options.pause_before == 0 || shared_.held) shared_.pause_wanted = true;
  }
  shared_.exchange->wake(0).wake();
  {
    std::unique_lock lock(shared_.mutex);
    shared_.changed.wait(lock, [&] { return over_ || shared_.paused; });
    if (over_) return false;
  }
  for (const auto& egress : shared_.egress)
    if (egress) egress->drain();
  return true;
}

void RunImpl::resume() {
  {
    std::lock_guard lock(shared_.mutex);
    shared_.pause_wanted = false;
    shared_.paused = false;
  }
  shared_.exchange->wake(0).wake();
}

Result<SavedRun> RunImpl::save_state(const PartSink& sink) {
  std::unique_lock lock(shared_.mutex);
  if (!(shared_.paused || over_) || shared_.abandon || shared_.gave_away)
    return fail(Code::kInvalidArgument, "the state of a run can be saved while it is paused");
  Frontier frontier = shared_.frontier;
  lock.unlock();
  SavedRun saved = TRY(save_workers(shared_, workers_, sink));
  saved.frontier = frontier;
  return saved;
}

Result<void> RunImpl::wait_until_recovered() {
  if (!shared_.durability) return {};
  std::unique_lock lock(shared_.mutex);
  shared_.changed.wait(lock, [&] { return shared_.recovered || over_; });
  if (!shared_.recovered && shared_.failure) return fail(*shared_.failure);
  return {};
}

void RunImpl::give_up_waiting() {
  for (const auto& disk : disks_) disk->give_up();
}

durable::DiskWait RunImpl::disk_wait() const {
  durable::DiskWait out;
  for (const auto& disk : disks_) {
    durable::DiskWait one = disk->status();
    one.waits += out.waits;
    one.waited_ns += out.waited_ns;
    if (out.waiting || one.reason.empty()) {
      one.waiting = out.waiting;
      one.since_ns = out.since_ns;
      one.reason = out.reason;
    }
    out = std::move(one);
  }
  return out;
}

DurabilityStatus RunImpl::durability() const {
  return shared_.durability ? shared_.durability->status() : DurabilityStatus{};
}

void RunImpl::commit_now() {
  shared_.tick = true;
  shared_.exchange->wake(0).wake();
}

bool RunImpl::wait(std::int64_t timeout_ns) {
  std::unique_lock lock(shared_.mutex);
  auto over = [&] { return over_; };
  if (timeout_ns < 0) {
    shared_.changed.wait(lock, over);
    return true;
  }
  return shared_.changed.wait_for(lock, std::chrono::nanoseconds(timeout_ns), over);
}

std::optional<Error> RunImpl::failure() const {
  std::lock_guard lock(shared_.mutex);
  return shared_.failure;
}

Frontier RunImpl::frontier() const {
  std::lock_guard lock(shared_.mutex);
  return shared_.frontier;
}

std::vector<std::shared_ptr<ExportReader>> RunImpl::exports() const {
  std::vector<std::shared_ptr<ExportReader>> out;
  for (const auto& table : shared_.exports)
    if (table) out.push_back(table);
  return out;
}

std::shared_ptr<ExportReader> RunImpl::find_export(std::string_view name) const {
  for (const auto& table : shared_.exports)
    if (table && table->name() == name) return table;
  return nullptr;
}

std::vector<DataError> RunImpl::errors() const {
  std::lock_guard lock(shared_.mutex);
  return {shared_.errors.begin(), shared_.errors.end()};
}

std::uint64_t RunImpl::num_errors_of(ErrorKind kind) const {
  return shared_.errors_by_kind[static_cast<std::size_t>(kind)];
}

RunTimings RunImpl::timings() const {
  RunTimings out{shared_.latency.counts(), shared_.commit_durations.counts(), 0};
  if (auto oldest = shared_.ingest->oldest_waiting_ns()) out.lag_ns = shared_.env.clock->monotonic_ns() - *oldest;
  return out;
}

bool RunImpl::caught_up() const {
  std::lock_guard lock(shared_.mutex);
  if (shared_.failure) return false;
  if (shared_.caught_up) return true;
  if (!shared_.source_nodes.empty() && !shared_.all_idle_ns) return false;
  auto oldest = shared_.ingest->oldest_waiting_ns();
  if (shared_.durability && (!shared_.recovered || !(shared_.closed == shared_.frontier))) return false;
  bool visible = !oldest || (shared_.all_idle_ns && *oldest > *shared_.all_idle_ns);
  shared_.caught_up = visible && (shared_.commits > 0 || num_scripts_ == 0);
  return shared_.caught_up;
}

void RunImpl::supervise() {
  std::vector<std::thread> threads;
  for (const auto& worker : workers_) threads.emplace_back([&worker] { worker->run(); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& source : sources_) source->stop();
  ticker_.stop();
  if (!retired_) shared_.ingest->stop();
  bool clean = !shared_.abandon;
  for (const plan::Node& node : shared_.plan.nodes) {
    bool mine = std::ranges::find(handed_over_, node.id) == handed_over_.end();
    if (shared_.egress[node.id.value] && mine) shared_.egress[node.id.value]->close(clean);
  }
  if (shared_.durability) shared_.durability->close();
  {
    std::lock_guard lock(shared_.mutex);
    if (shared_.failure)
      state_ = RunState::kFailed;
    else if (shared_.frontier.done)
      state_ = RunState::kEnded;
    else
      state_ = RunState::kStopped;
    over_ = true;
  }
  shared_.changed.notify_all();
}

void RunImpl::retire() {
  {
    std::lock_guard lock(shared_.mutex);
    shared_.failure = Error{Code::kCancelled, "another definition has taken over", {}, {}};
  }
  shared_.abandon = true;
  if (shared_.exchange) shared_.exchange->wake_all();
  shared_.changed.notify_all();
}

Result<durable::SnapshotInfo> RunImpl::checkpoint() {
  if (!shared_.durability) return Run::checkpoint();
  if (shared_.options.durability->is_recording)
    return fail(Code::kInvalidArgument, "a recording is kept whole: it has no snapshots");
  std::uint64_t before = shared_.durability->status().snapshots_written;
  shared_.durability->want_snapshot();
  for (;;) {
    std::unique_lock lock(shared_.mutex);
    shared_.changed.wait_for(lock, std::chrono::milliseconds(5), [&] { return over_; });
    bool over = over_;
    lock.unlock();
    DurabilityStatus now = shared_.durability->status();
    if (now.snapshots_written > before && !now.snapshots.empty()) return now.snapshots.front();
    if (!now.last_error.empty()) return fail(Code::kIo, "the snapshot cannot be written: " + now.last_error);
    if (over) return fail(Code::kUnavailable, "the pipeline is over");
  }
}

void RunImpl::continue_history(const Run& old) {
  for (const auto& table : shared_.exports) {
    if (!table) continue;
    auto before = std::dynamic_pointer_cast<ExportTable>(old.find_export(table->name()));
    if (before && before != table) table->continue_history(*before, shared_.env.clock->monotonic_ns());
  }
}

std::vector<ConnectorStatus> RunImpl::connectors() const {
  std::vector<ConnectorStatus> out;
  for (std::uint32_t i = 0; i < shared_.source_nodes.size(); ++i) {
    const plan::Node& node = shared_.plan.node(shared_.source_nodes[i]);
    const auto& source = std::get<plan::Source>(node.params);
    ConnectorStatus status{.name = source.name, .connector = source.connector, .is_source = true};
    status.rows = shared_.source_rows[i];
    status.bytes = shared_.source_bytes[i];
    status.errors = shared_.source_errors[i];
    status.ended = shared_.ingest->ended(i);
    Ingest::Queue queue = shared_.ingest->queue(i);
    status.queued_bytes = queue.bytes;
    status.stalled_ns = queue.stalled_ns;
    status.lag_ns = queue.lag_ns;
    if (i < sources_.size()) status.partitions = sources_[i]->lag();
    std::lock_guard lock(shared_.mutex);
    status.last_error = shared_.source_messages[i];
    out.push_back(std::move(status));
  }
  for (const plan::Node& node : shared_.plan.nodes) {
    const auto* output = std::get_if<plan::Output>(&node.params);
    if (!output || !shared_.egress[node.id.value]) continue;
    ConnectorStatus status{.name = output->name, .connector = output->connector, .is_source = false};
    status.rows = shared_.egress[node.id.value]->rows();
    status.bytes = shared_.egress[node.id.value]->bytes();
    status.delivery = shared_.egress[node.id.value]->delivery();
    status.refused = shared_.egress[node.id.value]->refusals().refused();
    status.errors = status.refused;
    out.push_back(std::move(status));
  }
  return out;
}

std::vector<OperatorStatus> RunImpl::operators() const {
  std::vector<OperatorStatus> out;
  std::size_t nodes = shared_.plan.nodes.size();
  for (const plan::Node& node : shared_.plan.nodes) {
    OperatorStatus status{.node = node.id};
    for (std::size_t at = node.id.value; at < shared_.counters.size(); at += nodes) {
      const NodeCounters& counter = shared_.counters[at];
      status.rows_in += counter.rows_in;
      status.rows_out += counter.rows_out;
      status.busy_ns += counter.busy_ns;
      status.state.rows += counter.state_rows;
      status.state.bytes += counter.state_bytes;
      status.state.late_rows += counter.late_rows;
      status.state.rounds += counter.rounds;  // one worker runs a loop
      status.state.last_rounds += counter.last_rounds;
      status.state.round_rows += counter.round_rows;
    }
    out.push_back(status);
  }
  return out;
}

// ---------------------------------------------------------------- dead letters

std::shared_ptr<durable::DeadLetters> RunImpl::dead_letters() const {
  return shared_.letters ? shared_.letters->store() : nullptr;
}

Result<void> RunImpl::replay_dead_letter(std::uint64_t id, const std::optional<std::string>& payload) {
  std::shared_ptr<durable::DeadLetters> store = dead_letters();
  if (!store || retired_) return Run::replay_dead_letter(id, payload);
  const DeadLetter letter = TRY(store->get(id));
  if (letter.kind == DeadLetter::Kind::kErrorRow)
    return fail(Code::kInvalidArgument,
                "a row with an ERROR cell comes by itself once what it is computed from is mended");
  if (letter.kind == DeadLetter::Kind::kValue && !shared_.plan.terminate_on_error)
    return fail(Code::kInvalidArgument, "its row is there, with an ERROR cell: read again it would be there twice");
  auto is_its = [&](const plan::Node& node) {
    const LetterPolicy policy = letter_policy(node);
    return policy.connector == letter.connector && policy.type == letter.type;
  };
  if (letter.kind == DeadLetter::Kind::kRow) {
    if (payload) return fail(Code::kInvalidArgument, "the row of an output is given back as it is");
    auto found = std::ranges::find_if(
        shared_.plan.nodes, [&](const plan::Node& node) { return shared_.egress[node.id.value] && is_its(node); });
    if (found == shared_.plan.nodes.end())
      return fail(Code::kNotFound, fmt::format("there is no output `{}` any more", letter.connector));
    TRY(shared_.egress[found->id.value]->refusals().replay(letter));
    commit_now();
    return {};
  }
  for (std::uint32_t i = 0; i < shared_.source_nodes.size() && i < sources_.size(); ++i) {
    if (!is_its(shared_.plan.node(shared_.source_nodes[i]))) continue;
    RereadsRecords* source = sources_[i]->rereads();
    if (!source)
      return fail(Code::kInvalidArgument, fmt::format("`{}` cannot read a record by itself again", letter.type));
    auto piece = TRY(source->reread(payload.value_or(letter.payload), letter.position, id));
    if (shared_.ingest->inject(i, std::move(piece), {id})) return {};
    return fail(Code::kUnavailable, "the pipeline is over");
  }
  return fail(Code::kNotFound, fmt::format("there is no source `{}` any more", letter.connector));
}

Result<SavedRun> Run::save_state(const PartSink& /*sink*/) {
  return fail(Code::kInternal, "only a run of this engine can be saved");
}

Result<std::unique_ptr<Run>> Run::start(const plan::Plan& plan, const RunOptions& options, ConnectorFactory& connectors,
                                        const Env& env) {
  auto own = std::make_shared<Env>(env);
  if (options.durability && own->disk) own->disk = std::make_shared<durable::PatientDisk>(own->disk, own->clock);
  auto run = std::make_unique<RunImpl>(plan, options, own);
  run->verify_beside();
  Result<void> built = run->build(connectors);
  if (!built && run->is_damaged()) {
    run.reset();  // the folder is free again
    run = std::make_unique<RunImpl>(plan, options, std::move(own));
    built = run->build(connectors);
  }
  TRY(std::move(built));
  run->start_threads();
  TRY(run->wait_until_recovered());
  return run;
}

Result<std::unique_ptr<Run>> Run::start_in_place_of(Run& old, const plan::Plan& plan, const RunOptions& options,
                                                    ConnectorFactory& connectors, const Env& /*env*/) {
  auto* before = dynamic_cast<RunImpl*>(&old);
  if (!before) return fail(Code::kInternal, "only a run of this engine can be taken over");
  Takeover takeover = before->takeover_by(plan, options);
  if (!takeover.possible) return fail(Code::kUnavailable, takeover.why_not);
  auto run = std::make_unique<RunImpl>(plan, options, before->env());
  TRY(run->build(connectors, before));
  run->take_over(*before);
  run->start_threads();
  return run;
}

}  // namespace thalweg
