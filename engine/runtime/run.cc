#include "engine/runtime/run.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <fmt/format.h>

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
  // `resume`: where an earlier run left it, and what it kept; null where no state is kept.
  struct Resume {
    std::string position;
    BlobMap blobs;
  };
  SourceThread(std::shared_ptr<RunShared> shared, std::uint32_t id, std::unique_ptr<Source> source,
               std::optional<Resume> resume)
      : env_(shared->env_owner),
        shared_(std::move(shared)),
        id_(id),
        source_(std::move(source)),
        stop_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        keeps_(resume.has_value()),
        resume_(std::move(resume).value_or(Resume{})) {}
  ~SourceThread() override {
    stop();
    if (thread_.joinable()) thread_.join();
    run()->ingest->listen(id_, nullptr);
    ::close(stop_fd_);
  }

  void start() {
    run()->ingest->listen(id_, [this](std::uint64_t transactions) { source_->committed(transactions); });
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
  void commit(std::string position) override {
    run()->ingest->end_transaction(id_, std::move(position), std::exchange(puts_, {}));
  }
  [[nodiscard]] bool keeps_positions() const override { return keeps_; }
  void put(std::string name, Blob value) override {
    if (keeps_) puts_.emplace_back(std::move(name), std::move(value));
  }
  [[nodiscard]] const BlobMap& saved() const override { return resume_.blobs; }
  void confirm(const std::string& position) { source_->on_durable(position); }  // any thread
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
  [[nodiscard]] const std::string& resume_position() const override { return resume_.position; }

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
  const bool keeps_;
  const Resume resume_;
  Ingest::Puts puts_;  // since the last commit
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
    shared_.state_prints = plan::fingerprints(plan, plan::Secrets::kLeftOut);
    plan::mark_liveness(shared_.plan);
    shared_.options = options;
  }
  ~RunImpl() override {
    RunImpl::stop();
    if (supervisor_.joinable()) supervisor_.join();
    shared_.durability.reset();  // its threads call back
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
    if (shared_.options.durability) TRY(open_state(workers));
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
    std::shared_ptr<const SavedRun> saved = std::exchange(shared_.options.restore, nullptr);
    if (shared_.durability)
      TRY(load_state());
    else if (saved)
      TRY(load_workers(shared_, workers_, *saved));
    for (const plan::Node& node : shared_.plan.nodes)
      if (shared_.egress[node.id.value] && (shared_.durability || !shared_.is_kept(node.id))) TRY(open_output(node));
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
      shared_.egress[node.id.value]->tell_room_to(waker());
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
    if (shared_.durability) {
      out.why_not = "its state is kept";
      return out;
    }
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
    shared_.start_sources = [this] {
      for (const auto& source : sources_) source->start();
    };
    if (shared_.takeover.kept.empty() && !shared_.durability) shared_.start_sources();
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
  // Until what an earlier run left behind is loaded; an error if it cannot be.
  Result<void> wait_until_recovered() {
    if (!shared_.durability) return {};
    std::unique_lock lock(shared_.mutex);
    shared_.changed.wait(lock, [&] { return shared_.recovered || over_; });
    if (!shared_.recovered && shared_.failure) return fail(*shared_.failure);
    return {};
  }
  Result<durable::SnapshotInfo> checkpoint() override;
  [[nodiscard]] DurabilityStatus durability() const override {
    return shared_.durability ? shared_.durability->status() : DurabilityStatus{};
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
    if (shared_.failure) return false;
    if (shared_.caught_up) return true;
    if (!shared_.source_nodes.empty() && !shared_.all_idle_ns) return false;
    auto oldest = shared_.ingest->oldest_waiting_ns();
    if (shared_.durability && (!shared_.recovered || !(shared_.closed == shared_.frontier))) return false;
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
      std::optional<SourceThread::Resume> resume;
      if (shared_.durability) {
        Key key = shared_.node_keys[node.id.value];
        shared_.source_keys.push_back(key);
        resume.emplace();
        if (const SourceMark* mark = shared_.durability->mark_of(key)) resume->position = mark->position;
        resume->blobs = shared_.durability->blobs_of(key);
      }
      sources_.push_back(std::make_unique<SourceThread>(owner_, id, std::move(*made), std::move(resume)));
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
      shared_.egress[node.id.value]->tell_room_to(waker());
      if (shared_.durability) shared_.egress[node.id.value]->hold();
    } else if (const auto* table = std::get_if<plan::Export>(&node.params); table && shared_.options.exports) {
      auto& made = shared_.exports[node.id.value];
      made = std::make_shared<ExportTable>(table->name, shared_.plan.node(node.inputs[0]).schema, workers,
                                           is_event_stream(shared_.plan, node.inputs[0]), table->indexes);
      if (table->retain_ns) made->retain(*table->retain_ns, shared_.options);
    }
    return {};
  }

  // ---- where state is kept

  Result<void> open_state(std::uint32_t workers) {
    shared_.durability = TRY(Durability::open(*shared_.options.durability, shared_.env_owner));
    shared_.journals.resize(workers);
    shared_.output_ids.resize(shared_.plan.nodes.size());
    std::vector<std::uint32_t> places = occurrences(shared_.state_prints);
    std::map<Key, std::uint32_t> outputs;
    for (const plan::Node& node : shared_.plan.nodes) {
      std::string text;
      for (const Key& part : {shared_.state_prints[node.id.value], state_fingerprint(shared_.plan, node.id)})
        text += fmt::format("{:x} {:x} ", part.hi, part.lo);
      shared_.node_keys.push_back(key_of_bytes(text + std::to_string(places[node.id.value])));
      if (!std::holds_alternative<plan::Output>(node.params)) continue;
      // An output is the same whatever is written to it.
      Key key = key_of_bytes(plan::node_text(node));
      shared_.output_ids[node.id.value] = fmt::format("{:016x}{:016x}.{}", key.hi, key.lo, outputs[key]++);
    }
    shared_.confirm = [this](std::uint32_t source, const std::string& position) {
      sources_[source]->confirm(position);
    };
    shared_.save_all = [this](const PartSink& sink) { return save_workers(shared_, workers_, sink); };
    return {};
  }

  Result<void> load_state() {
    if (!shared_.durability->other_sources(shared_.source_keys).empty())
      return fail(another_pipeline("a source that it has read is not there any more, or is read in another way"));
    if (!shared_.durability->saved()) return {};
    SavedRun saved = *shared_.durability->saved();
    std::vector<SavedNode> before = TRY(shared_.durability->saved_plan());
    if (!is_same_plan(before)) TRY(plan_changes(before, saved));
    auto loaded = load_workers(shared_, workers_, saved);
    if (!loaded && loaded.error().code == Code::kBadData) return fail(another_pipeline(loaded.error().message));
    return loaded;
  }

  [[nodiscard]] SavedNode node_now(const plan::Node& node) const {
    return {shared_.state_prints[node.id.value], state_fingerprint(shared_.plan, node.id), node.label};
  }

  [[nodiscard]] bool is_same_plan(const std::vector<SavedNode>& before) const {
    return before.size() == shared_.plan.nodes.size() &&
           std::ranges::all_of(shared_.plan.nodes, [&](const plan::Node& node) {
             return std::ranges::count(before, node_now(node)) ==
                    std::ranges::count_if(shared_.plan.nodes,
                                          [&](const plan::Node& other) { return node_now(other) == node_now(node); });
           });
  }

  // The pipeline was changed while nothing ran: what it still computes goes on with its state, the rest is filled in
  // the first commit from what the kept operators can tell again; else it is refused.
  Result<void> plan_changes(const std::vector<SavedNode>& before, SavedRun& saved) {
    if (shared_.durability->has_replays())
      return fail(another_pipeline("it was changed, and the run before it did not end in order"));
    std::vector<Key> prints = shared_.state_prints;
    std::vector<bool> taken(before.size());
    std::string added;
    for (const plan::Node& node : shared_.plan.nodes) {
      std::size_t at = 0;
      while (at < before.size() && (taken[at] || !(before[at] == node_now(node)))) ++at;
      if (at < before.size()) {
        taken[at] = true;
        continue;
      }
      prints[node.id.value] = key_of_bytes("new " + std::to_string(node.id.value));
      if (added.empty()) added = node.label;
    }
    for (const plan::Node& node : shared_.plan.nodes) {
      if (!std::holds_alternative<plan::Output>(node.params)) continue;
      SavedOutput output = TRY(shared_.durability->saved_output(shared_.output_ids[node.id.value]));
      bool known = !(output.print == Key{});
      if (known && prints[node.id.value] != shared_.state_prints[node.id.value])
        return fail(another_pipeline(
            fmt::format("the output {} gets other rows now, and what it got is not known", node.label)));
    }
    plan::Plan same = shared_.plan;
    shared_.takeover = plan_takeover(same, prints, shared_.plan, shared_.state_prints, shared_.options.workers);
    if (!shared_.takeover.possible)
      return fail(another_pipeline(
          fmt::format("{}{}", added.empty() ? "" : added + " is new or different, and ", shared_.takeover.why_not)));
    std::vector<std::uint32_t> places = occurrences(shared_.state_prints);
    std::erase_if(saved.parts, [&](const SavedPart& part) {
      return std::ranges::none_of(shared_.plan.nodes, [&](const plan::Node& node) {
        return shared_.is_kept(node.id) && shared_.state_prints[node.id.value] == part.name.node &&
               places[node.id.value] == part.name.occurrence;
      });
    });
    shared_.fill_wanted = true;
    return {};
  }

  [[nodiscard]] Error another_pipeline(const std::string& why) const {
    return Error{Code::kBadData,
                 fmt::format("the state in '{}' is not of this pipeline as it is now: {}",
                             shared_.options.durability->directory, why),
                 {},
                 {{"undo the change, or move the folder away to start anew from the inputs", {}}}};
  }

  Result<void> open_output(const plan::Node& node) {
    Egress& egress = *shared_.egress[node.id.value];
    SinkContext context;
    context.pipeline = shared_.plan.name;
    if (!shared_.durability) return egress.open(std::move(context));
    Durability& durability = *shared_.durability;
    const std::string& id = shared_.output_ids[node.id.value];
    SavedOutput saved = TRY(durability.saved_output(id));
    context.sink_id = id;
    context.state_path = durability.path_for(id);
    context.state_disk = &durability.disk();
    context.exactly_once = shared_.options.durability->exactly_once;
    context.generation = durability.generation();
    context.resume_from = durability.resumes() ? durability.durable() + 2 : 0;
    context.saved = std::move(saved.saved);
    auto opened = egress.open(std::move(context));
    if (!opened) return fail(std::move(opened).error().at(node.span));
    if (auto last = egress.last_commit(); last && *last > durability.durable() + 1)
      return fail(Error{Code::kBadData,
                        fmt::format("the output already has commit {}, but the state knows of commits up to {} only: "
                                    "another run has written to it, or the state is an older copy",
                                    *last, durability.durable()),
                        node.span,
                        {}});
    std::vector<std::pair<Commit, Batch>> waiting;
    for (const auto& [commit, bytes] : saved.waiting) {
      StateReader reader(bytes);
      waiting.emplace_back(commit, TRY(reader.batch(shared_.plan.node(node.inputs[0]).schema)));
    }
    egress.release(durability.durable() + 1);
    egress.resume(saved.written, std::move(waiting));
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

Result<durable::SnapshotInfo> RunImpl::checkpoint() {
  if (!shared_.durability) return Run::checkpoint();
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
    std::lock_guard lock(shared_.mutex);
    status.last_error = shared_.source_messages[i];
    out.push_back(std::move(status));
  }
  for (const plan::Node& node : shared_.plan.nodes) {
    const auto* output = std::get_if<plan::Output>(&node.params);
    if (!output || !shared_.egress[node.id.value]) continue;
    ConnectorStatus status{.name = output->name, .connector = output->connector, .is_source = false};
    status.rows = shared_.egress[node.id.value]->rows();
    status.delivery = shared_.egress[node.id.value]->delivery();
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

}  // namespace

Result<SavedRun> Run::save_state(const PartSink& /*sink*/) {
  return fail(Code::kInternal, "only a run of this engine can be saved");
}

Result<std::unique_ptr<Run>> Run::start(const plan::Plan& plan, const RunOptions& options, ConnectorFactory& connectors,
                                        const Env& env) {
  auto run = std::make_unique<RunImpl>(plan, options, std::make_shared<Env>(env));
  TRY(run->build(connectors));
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
