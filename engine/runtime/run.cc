#include "engine/runtime/run.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include "engine/plan/fingerprint.h"
#include "engine/plan/rewrite/liveness.h"
#include "engine/runtime/shared.h"
#include "engine/runtime/takeover.h"
#include "engine/runtime/worker.h"

namespace thalweg {

namespace {

// A record that the source itself rejected, so that it reaches the log within the transaction it belongs to.
class RejectedPiece : public Piece {
 public:
  explicit RejectedPiece(BadRecord record) : record_(std::move(record)) {}
  [[nodiscard]] std::size_t bytes() const override { return record_.raw.size(); }
  void decode(RowSink& out) override { out.bad_record(std::move(record_)); }

 private:
  BadRecord record_;
};

// What one source sees of the run. Sleeps on an eventfd that stop() makes readable.
// Its run may change under it (move_to): every call goes to the run of the moment.
class SourceThread : public SourceContext {
 public:
  SourceThread(std::shared_ptr<RunShared> shared, std::uint32_t id, std::unique_ptr<Source> source)
      : env_(shared->env_owner),
        shared_(std::move(shared)),
        id_(id),
        source_(std::move(source)),
        stop_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~SourceThread() override {
    stop();
    if (thread_.joinable()) thread_.join();
    ::close(stop_fd_);
  }

  void start() {
    thread_ = std::thread([this] { body(); });
  }
  void stop() {
    stopping_ = true;
    std::uint64_t one = 1;
    [[maybe_unused]] ssize_t written = ::write(stop_fd_, &one, sizeof one);
  }

  void move_to(std::shared_ptr<RunShared> shared) {
    std::lock_guard lock(mutex_);
    shared_ = std::move(shared);
  }

  bool deliver(std::unique_ptr<Piece> piece) override { return run()->ingest->deliver(id_, std::move(piece), {}); }
  bool deliver(Batch batch) override { return run()->ingest->deliver(id_, nullptr, std::move(batch)); }
  void commit(std::string position) override { run()->ingest->end_transaction(id_, std::move(position)); }
  void idle() override {
    std::shared_ptr<RunShared> shared = run();
    {
      std::lock_guard lock(shared->mutex);
      shared->source_idle[id_] = true;
      if (!shared->all_idle_ns && std::ranges::all_of(shared->source_idle, std::identity()))
        shared->all_idle_ns = env_->clock->monotonic_ns();
    }
    shared->changed.notify_all();
  }
  void bad_record(BadRecord record) override {
    std::shared_ptr<RunShared> shared = run();
    if (record.fatal)
      shared->fail_run(
          Error{Code::kBadData, located_message(record), shared->plan.node(shared->source_nodes[id_]).span, {}});
    deliver(std::make_unique<RejectedPiece>(std::move(record)));
  }
  void warn(std::string message) override {
    std::shared_ptr<RunShared> shared = run();
    std::lock_guard lock(shared->mutex);
    shared->source_messages[id_] = std::move(message);
  }
  [[nodiscard]] bool stopping() const override { return stopping_; }
  bool wait(std::int64_t ns, int wake_fd) override {
    pollfd fds[2] = {{stop_fd_, POLLIN, 0}, {wake_fd, POLLIN, 0}};
    timespec timeout{ns / 1'000'000'000, ns % 1'000'000'000};
    ::ppoll(fds, wake_fd >= 0 ? 2 : 1, &timeout, nullptr);
    return !stopping_;
  }
  [[nodiscard]] Env& env() override { return *env_; }
  [[nodiscard]] const std::string& resume_position() const override { return resume_position_; }

 private:
  void body() {
    Result<void> done = source_->run(*this);
    if (!done) {
      warn(done.error().message);
      std::shared_ptr<RunShared> shared = run();
      SourceSpan span = shared->plan.node(shared->source_nodes[id_]).span;
      shared->fail_run(std::move(done).error().at(span));
    }
    idle();
    run()->ingest->end_source(id_);
  }
  [[nodiscard]] std::shared_ptr<RunShared> run() const {
    std::lock_guard lock(mutex_);
    return shared_;
  }

  const std::shared_ptr<Env> env_;
  mutable std::mutex mutex_;
  std::shared_ptr<RunShared> shared_;  // guarded by mutex_
  const std::uint32_t id_;
  const std::unique_ptr<Source> source_;
  const int stop_fd_;
  const std::string resume_position_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
};

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

// What the pipeline says, else the shortest time that one of its connectors asks for, else the default.
std::int64_t autocommit_of(const plan::Plan& plan, const RunOptions& options) {
  if (plan.autocommit_ms > 0) return plan.autocommit_ms;
  std::optional<std::int64_t> shortest;
  for (const plan::Node& node : plan.nodes) {
    const auto* source = std::get_if<plan::Source>(&node.params);
    const Setting* asked = source ? source->args.find("autocommit_duration_ms") : nullptr;
    if (asked && asked->as_int() && *asked->as_int() > 0)
      shortest = std::min(shortest.value_or(*asked->as_int()), *asked->as_int());
  }
  return shortest.value_or(options.autocommit_ms);
}

class RunImpl : public Run {
 public:
  RunImpl(const plan::Plan& plan, const RunOptions& options, std::shared_ptr<Env> env)
      : owner_(std::make_shared<RunShared>(std::move(env))), shared_(*owner_) {
    shared_.plan = plan;
    shared_.fingerprints = plan::fingerprints(plan);
    plan::mark_liveness(shared_.plan);
    shared_.options = options;
  }
  ~RunImpl() override {
    RunImpl::stop();
    if (supervisor_.joinable()) supervisor_.join();
  }

  // With `old`: in its place. Nothing of it is changed here.
  Result<void> build(ConnectorFactory& connectors, const RunImpl* old = nullptr) {
    retired_ = old != nullptr;  // until it has taken over, nothing that it shares is its own
    if (old)
      shared_.takeover = plan_takeover(old->shared_.plan, old->shared_.fingerprints, shared_.plan, shared_.fingerprints,
                                       shared_.options.workers);
    shared_.graph = TRY(build_graph(shared_.plan));
    shared_.after_errors = depends_on_error_log(shared_.plan);
    shared_.rejects_are_read = sources_with_read_rejects(shared_.plan);
    std::uint32_t workers = std::max<std::uint32_t>(1, shared_.options.workers);
    std::size_t nodes = shared_.plan.nodes.size();
    shared_.exchange = std::make_unique<Exchange>(workers);
    shared_.ingest = old ? old->shared_.ingest
                         : std::make_shared<Ingest>(shared_.env, autocommit_of(shared_.plan, shared_.options), waker());
    shared_.counters = std::vector<NodeCounters>(workers * nodes);
    shared_.egress.resize(nodes);
    shared_.exports.resize(nodes);
    for (const plan::Node& node : shared_.plan.nodes) {
      if (shared_.is_kept(node.id))
        keep_node(node, *old);
      else
        TRY(build_node(node, connectors, workers));
    }
    if (old) keep_sources(*old);
    std::size_t sources = shared_.source_nodes.size();
    shared_.source_rows = std::vector<std::atomic<std::uint64_t>>(sources);
    shared_.source_errors = std::vector<std::atomic<std::uint64_t>>(sources);
    shared_.source_bytes = std::vector<std::atomic<std::uint64_t>>(sources);
    shared_.source_messages.resize(sources);
    shared_.source_idle.resize(sources);
    for (std::uint32_t i = 0; i < workers; ++i) {
      workers_.push_back(std::make_unique<Worker>(shared_, WorkerId{i}));
      TRY(workers_.back()->build());
    }
    if (std::shared_ptr<const SavedRun> saved = std::exchange(shared_.options.restore, nullptr))
      TRY(load_workers(shared_, workers_, *saved));
    for (const plan::Node& node : shared_.plan.nodes)
      if (shared_.egress[node.id.value] && !shared_.is_kept(node.id)) TRY(shared_.egress[node.id.value]->open());
    return {};
  }

  // Cannot fail. `old` is paused; it stays so until it is stopped or aborted, and ends without touching what it gave
  // away.
  void take_over(RunImpl& old) {
    old.retired_ = true;
    old.shared_.gave_away = true;
    for (std::size_t i = 0; i < workers_.size(); ++i) workers_[i]->adopt(*old.workers_[i]);
    for (const plan::Node& node : shared_.plan.nodes) {
      if (!shared_.is_kept(node.id) || !shared_.egress[node.id.value]) continue;
      shared_.egress[node.id.value]->tell_failures_to(failure_of(node.span));
      old.handed_over_.push_back(*shared_.takeover.kept[node.id.value]);
    }
    {
      std::scoped_lock lock(shared_.mutex, old.shared_.mutex);
      shared_.frontier = old.shared_.frontier;
      shared_.source_idle = old.shared_.source_idle;
      shared_.all_idle_ns = old.shared_.all_idle_ns;
      shared_.caught_up = old.shared_.caught_up;
      shared_.source_messages = old.shared_.source_messages;
    }
    shared_.commits = old.shared_.commits.load();
    shared_.error_count = old.shared_.error_count.load();
    for (std::size_t i = 0; i < shared_.errors_by_kind.size(); ++i)
      shared_.errors_by_kind[i] = old.shared_.errors_by_kind[i].load();
    for (std::size_t i = 0; i < shared_.source_nodes.size(); ++i) {
      shared_.source_rows[i] = old.shared_.source_rows[i].load();
      shared_.source_errors[i] = old.shared_.source_errors[i].load();
      shared_.source_bytes[i] = old.shared_.source_bytes[i].load();
    }
    sources_ = std::move(old.sources_);
    for (const auto& source : sources_) source->move_to(owner_);
    shared_.ingest->wake_others(waker());
    shared_.fill_wanted = true;
    shared_.pause_wanted = true;  // after it
    retired_ = false;
  }

  [[nodiscard]] Takeover takeover_by(const plan::Plan& plan, const RunOptions& options) const override {
    Takeover out;
    if (options.workers != shared_.options.workers || options.autocommit_ms != shared_.options.autocommit_ms) {
      out.why_not = "the number of workers or the length of commits is another";
      return out;
    }
    if (shared_.commits < num_scripts_) {
      out.why_not = "it has only just begun";
      return out;
    }
    plan::Plan next = plan;
    std::vector<Key> prints = plan::fingerprints(next);
    plan::mark_liveness(next);
    return plan_takeover(shared_.plan, shared_.fingerprints, next, prints, options.workers);
  }

  void start_threads() {
    state_ = RunState::kRunning;
    if (shared_.takeover.kept.empty())
      for (const auto& source : sources_) source->start();
    if (shared_.tick_ns > 0 && !shared_.options.test_times) {
      shared_.tick = true;  // the first tick may be due at once
      ticker_.start();
    }
    supervisor_ = std::thread([this] { supervise(); });
  }

  void stop() override {
    stopped_ = true;
    if (retired_) return retire();
    shared_.ingest->stop();  // first: a source that ends because it was stopped must not look like the end of the input
    for (const auto& source : sources_) source->stop();
  }

  void abort(Error why) override {
    if (retired_) return retire();
    shared_.fail_run(std::move(why));
    for (const auto& source : sources_) source->stop();
  }

  bool pause() override {
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
  void resume() override {
    {
      std::lock_guard lock(shared_.mutex);
      shared_.pause_wanted = false;
      shared_.paused = false;
    }
    shared_.exchange->wake(0).wake();
  }
  Result<SavedRun> save_state(const PartSink& sink) override {
    std::unique_lock lock(shared_.mutex);
    if (!(shared_.paused || over_) || shared_.abandon || shared_.gave_away)
      return fail(Code::kInvalidArgument, "the state of a run can be saved while it is paused");
    Frontier frontier = shared_.frontier;
    lock.unlock();
    SavedRun saved = TRY(save_workers(shared_, workers_, sink));
    saved.frontier = frontier;
    return saved;
  }
  void commit_now() override {
    shared_.tick = true;
    shared_.exchange->wake(0).wake();
  }
  void continue_history(const Run& old) override;

  bool wait(std::int64_t timeout_ns) override {
    std::unique_lock lock(shared_.mutex);
    auto over = [&] { return over_; };
    if (timeout_ns < 0) {
      shared_.changed.wait(lock, over);
      return true;
    }
    return shared_.changed.wait_for(lock, std::chrono::nanoseconds(timeout_ns), over);
  }

  [[nodiscard]] std::shared_ptr<Env> env() const { return shared_.env_owner; }
  [[nodiscard]] RunState state() const override { return state_; }
  [[nodiscard]] std::optional<Error> failure() const override {
    std::lock_guard lock(shared_.mutex);
    return shared_.failure;
  }
  [[nodiscard]] Frontier frontier() const override {
    std::lock_guard lock(shared_.mutex);
    return shared_.frontier;
  }
  [[nodiscard]] std::vector<std::shared_ptr<ExportReader>> exports() const override {
    std::vector<std::shared_ptr<ExportReader>> out;
    for (const auto& table : shared_.exports)
      if (table) out.push_back(table);
    return out;
  }
  [[nodiscard]] std::shared_ptr<ExportReader> find_export(std::string_view name) const override {
    for (const auto& table : shared_.exports)
      if (table && table->name() == name) return table;
    return nullptr;
  }
  [[nodiscard]] std::vector<ConnectorStatus> connectors() const override;
  [[nodiscard]] std::vector<OperatorStatus> operators() const override;
  [[nodiscard]] std::vector<DataError> errors() const override {
    std::lock_guard lock(shared_.mutex);
    return {shared_.errors.begin(), shared_.errors.end()};
  }
  [[nodiscard]] std::uint64_t num_errors() const override { return shared_.error_count; }
  [[nodiscard]] std::uint64_t num_errors_of(ErrorKind kind) const override {
    return shared_.errors_by_kind[static_cast<std::size_t>(kind)];
  }
  [[nodiscard]] std::uint64_t num_commits() const override { return shared_.commits; }
  [[nodiscard]] RunTimings timings() const override {
    RunTimings out{shared_.latency.counts(), shared_.commit_durations.counts(), 0};
    if (auto oldest = shared_.ingest->oldest_waiting_ns()) out.lag_ns = shared_.env.clock->monotonic_ns() - *oldest;
    return out;
  }
  [[nodiscard]] bool caught_up() const override {
    std::lock_guard lock(shared_.mutex);
    if (shared_.caught_up) return true;
    if (!shared_.source_nodes.empty() && !shared_.all_idle_ns) return false;
    auto oldest = shared_.ingest->oldest_waiting_ns();
    bool visible = !oldest || (shared_.all_idle_ns && *oldest > *shared_.all_idle_ns);
    shared_.caught_up = visible && (shared_.commits > 0 || num_scripts_ == 0);
    return shared_.caught_up;
  }

 private:
  // What others call may outlive this run.
  [[nodiscard]] std::function<void()> waker() const {
    return [weak = std::weak_ptr(owner_)] {
      if (auto shared = weak.lock()) shared->exchange->wake_all();
    };
  }
  [[nodiscard]] std::function<void(Error)> failure_of(SourceSpan span) const {
    return [weak = std::weak_ptr(owner_), span](Error error) {
      if (auto shared = weak.lock()) shared->fail_run(std::move(error).at(span));
    };
  }

  // Another run has taken over: this one ends without touching what it has given away.
  void retire() {
    {
      std::lock_guard lock(shared_.mutex);
      shared_.failure = Error{Code::kCancelled, "another definition has taken over", {}, {}};
    }
    shared_.abandon = true;
    if (shared_.exchange) shared_.exchange->wake_all();
    shared_.changed.notify_all();
  }

  void keep_node(const plan::Node& node, const RunImpl& old) {
    std::size_t before = shared_.takeover.kept[node.id.value]->value;
    shared_.egress[node.id.value] = old.shared_.egress[before];
    shared_.exports[node.id.value] = old.shared_.exports[before];
    if (std::holds_alternative<plan::UtcNow>(node.params) || std::holds_alternative<plan::Inactivity>(node.params)) {
      look_every(old.shared_.tick_ns);
      shared_.endless = shared_.endless || old.shared_.endless;
    }
  }

  void keep_sources(const RunImpl& old) {
    shared_.source_nodes.resize(old.shared_.source_nodes.size());
    for (const plan::Node& node : shared_.plan.nodes) {
      if (!std::holds_alternative<plan::Source>(node.params)) continue;
      auto at = std::ranges::find(old.shared_.source_nodes, *shared_.takeover.kept[node.id.value]);
      shared_.source_nodes[static_cast<std::size_t>(at - old.shared_.source_nodes.begin())] = node.id;
    }
  }

  Result<void> build_node(const plan::Node& node, ConnectorFactory& connectors, std::uint32_t workers) {
    if (const auto* source = std::get_if<plan::Source>(&node.params)) {
      Result<std::unique_ptr<Source>> made = connectors.make_source(*source, shared_.env);
      if (!made) return fail(std::move(made).error().at(node.span));
      bool held = (*made)->is_static() || shared_.options.test_times;
      std::uint32_t id = shared_.ingest->add_source(held);
      shared_.source_nodes.push_back(node.id);
      sources_.push_back(std::make_unique<SourceThread>(owner_, id, std::move(*made)));
    } else if (const auto* now = std::get_if<plan::UtcNow>(&node.params)) {
      look_every(std::min(now->refresh_ns, now->initial_delay_ns > 0 ? now->initial_delay_ns : now->refresh_ns));
      shared_.endless = !shared_.options.test_times;
    } else if (const auto* pauses = std::get_if<plan::Inactivity>(&node.params)) {
      look_every(pauses->refresh_ns);
    } else if (const auto* rows = std::get_if<plan::StaticRows>(&node.params)) {
      add_scripts(node, *rows);
    } else if (const auto* output = std::get_if<plan::Output>(&node.params)) {
      const Schema& schema = shared_.plan.node(node.inputs[0]).schema;
      Result<std::unique_ptr<Sink>> made = connectors.make_sink(*output, schema, shared_.env);
      if (!made) return fail(std::move(made).error().at(node.span));
      SourceSpan span = node.span;
      shared_.egress[node.id.value] =
          std::make_shared<Egress>(std::move(*made), schema, output->name, shared_.env, failure_of(span));
    } else if (const auto* table = std::get_if<plan::Export>(&node.params); table && shared_.options.exports) {
      auto& made = shared_.exports[node.id.value];
      made = std::make_shared<ExportTable>(table->name, shared_.plan.node(node.inputs[0]).schema, workers,
                                           is_event_stream(shared_.plan, node.inputs[0]), table->indexes);
      if (table->retain_ns) made->retain(*table->retain_ns, shared_.options);
    }
    return {};
  }

  void look_every(std::int64_t ns) {
    constexpr std::int64_t kTickNsMin = 1'000'000;
    ns = std::max(ns, kTickNsMin);
    shared_.tick_ns = shared_.tick_ns == 0 ? ns : std::min(shared_.tick_ns, ns);
  }

  void add_scripts(const plan::Node& node, const plan::StaticRows& rows) {
    std::map<std::uint64_t, BatchBuilder> by_time;
    if (rows.rows)
      for (const plan::StaticRow& row : *rows.rows)
        by_time.try_emplace(row.time, node.schema).first->second.push(row.key, row.cells, row.diff);
    for (auto& [time, builder] : by_time) shared_.scripts[time].emplace_back(node.id, builder.finish());
    num_scripts_ = shared_.scripts.size();
  }

  // Waits for the workers, then for the sinks, and says how it ended.
  void supervise() {
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

  const std::shared_ptr<RunShared> owner_;
  RunShared& shared_;
  std::atomic<bool> retired_{false};
  std::vector<NodeId> handed_over_;  // outputs that another run closes; filled before the end
  std::size_t num_scripts_ = 0;      // commits that StaticRows take
  Ticker ticker_{shared_};
  std::vector<std::unique_ptr<SourceThread>> sources_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::thread supervisor_;
  std::atomic<RunState> state_{RunState::kStarting};
  std::atomic<bool> stopped_{false};
  bool over_ = false;  // guarded by shared_.mutex
};

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
    std::lock_guard lock(shared_.mutex);
    status.last_error = shared_.source_messages[i];
    out.push_back(std::move(status));
  }
  for (const plan::Node& node : shared_.plan.nodes) {
    const auto* output = std::get_if<plan::Output>(&node.params);
    if (!output || !shared_.egress[node.id.value]) continue;
    ConnectorStatus status{.name = output->name, .connector = output->connector, .is_source = false};
    status.rows = shared_.egress[node.id.value]->rows();
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
    }
    out.push_back(status);
  }
  return out;
}

}  // namespace

Result<SavedRun> Run::save_state(const PartSink& /*sink*/) {
  return fail(Code::kInternal, "only a run of this engine can be saved");
}

Result<std::unique_ptr<Run>> Run::start(const plan::Plan& plan, const RunOptions& options, ConnectorFactory& connectors,
                                        const Env& env) {
  auto run = std::make_unique<RunImpl>(plan, options, std::make_shared<Env>(env));
  TRY(run->build(connectors));
  run->start_threads();
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
