// How a pipeline comes to run by another definition.
#include <algorithm>

#include "daemon/log.h"
#include "daemon/rest/api.h"
#include "daemon/serve/daemon.h"

namespace thalweg::daemon {
namespace {

constexpr std::int64_t kPollNs = 5'000'000;
constexpr std::int64_t kFrontierNsMax = 5'000'000'000;  // how long a commit that was asked for may take

void set_failed(Outcome& outcome, std::string code, std::string reason) {
  outcome.result = Outcome::Result::kFailed;
  outcome.code = std::move(code);
  outcome.reason = std::move(reason);
}

bool is_over(const Run& run) {
  RunState state = run.state();
  return state == RunState::kEnded || state == RunState::kStopped || state == RunState::kFailed;
}

std::string message_of(const Error& error, const FileTable* files) {
  std::string where;
  if (files && error.span.known()) {
    LineColumn at = files->locate(error.span);
    where = std::string(files->name(error.span.file)) + ":" + std::to_string(at.line) + ":" +
            std::to_string(at.column) + ": ";
  }
  return where + error.message;
}

// Which sink of the old plan each sink of the new one takes over.
struct Handover {
  std::vector<std::pair<SwitchSink*, SwitchSink*>> kept;  // new, old
  std::vector<SwitchSink*> added;
  std::vector<SwitchSink*> removed;
};

Handover match_sinks(const Instance& old, const Instance& now) {
  Handover out;
  std::vector<bool> taken(old.sinks->sinks().size());
  const auto& before = old.sinks->sinks();
  for (const SwitchFactory::Made& made : now.sinks->sinks())
    for (std::size_t i = 0; i < before.size(); ++i) taken[i] = taken[i] || (made.kept && before[i].sink == made.sink);
  for (const SwitchFactory::Made& made : now.sinks->sinks()) {
    if (made.kept) continue;
    std::size_t at = 0;
    while (at < before.size() && (taken[at] || before[at].identity != made.identity)) ++at;
    if (at == before.size()) {
      out.added.push_back(made.sink);
      continue;
    }
    taken[at] = true;
    out.kept.emplace_back(made.sink, before[at].sink);
  }
  for (std::size_t i = 0; i < taken.size(); ++i)
    if (!taken[i]) out.removed.push_back(old.sinks->sinks()[i].sink);
  return out;
}

Result<void> open_added(const Handover& handover, std::uint64_t commit) {
  for (SwitchSink* sink : handover.added) TRY(sink->go_live(commit));
  return {};
}

}  // namespace

Outcome Daemon::change(Managed& pipeline, Definition definition, const ChangeOptions& options) {
  Outcome outcome = begin(definition.key, options);
  if (stopping_) {
    set_failed(outcome, "stopping", "the daemon stops");
    return finish(std::move(outcome));
  }
  std::shared_ptr<const plan::Plan> running;
  {
    std::lock_guard lock(pipeline.mutex);
    if (pipeline.instance) running = pipeline.instance->prepared.plan;
  }
  auto prepared = maker_.prepare(definition, outcome, running.get());
  if (prepared && !name_is_free(pipeline, prepared->name)) {
    set_failed(outcome, "name_taken", "another pipeline has the name `" + prepared->name + "`");
    prepared.reset();
  }
  std::shared_ptr<Instance> old;
  Managed::Wanted wanted{};
  {
    std::lock_guard lock(pipeline.mutex);
    old = pipeline.instance;
    wanted = pipeline.wanted;
  }
  bool runs = old && !is_over(*old->served->run);
  if (!prepared) {
    if (!old && !options.dry_run && wanted != Managed::Wanted::kStopped) {
      std::lock_guard lock(pipeline.mutex);
      pipeline.definition = definition;
      pipeline.state = Managed::State::kFailed;
      pipeline.failure = outcome.reason;
      pipeline.retry_at_ns = 0;  // the file has to change first
    }
    return finish(std::move(outcome));
  }
  bool same = old && old->prepared.fingerprint == prepared->fingerprint && old->prepared.name == prepared->name;
  if (same && (runs || old->served->run->state() == RunState::kEnded)) {
    outcome.result = Outcome::Result::kUnchanged;
    std::lock_guard lock(pipeline.mutex);
    if (!options.dry_run) pipeline.definition.text = definition.text;
    return finish(std::move(outcome));
  }
  Takeover takeover;
  if (runs) takeover = old->served->run->takeover_by(*prepared->plan, InstanceMaker::options_of(*prepared));
  bool from_now_on = runs && describe_change(*old, *prepared, takeover, outcome);
  if (options.dry_run) {
    outcome.result = Outcome::Result::kPlanned;
    if (!runs)
      outcome.reason = "it would be started anew";
    else if (from_now_on)
      outcome.reason = "some outputs can only go on from now on: this takes `accept`";
    return finish(std::move(outcome));
  }
  if (from_now_on && !options.accept) {
    set_failed(outcome, "needs_accept",
               "what some outputs got before is not known any more; with `accept` they go on from now on");
    return finish(std::move(outcome));
  }
  std::string before;
  {
    std::lock_guard lock(pipeline.mutex);
    before = pipeline.definition.text;
  }
  if (wanted == Managed::Wanted::kStopped) {
    outcome.result = Outcome::Result::kDone;
    outcome.reason = "it is stopped; the new definition counts when it is started";
  } else if (runs) {
    switch_over(pipeline, std::move(*prepared), takeover, outcome);
  } else {
    start_fresh(pipeline, std::move(*prepared), outcome);
    std::lock_guard lock(pipeline.mutex);  // what is tried again is what was asked for last
    if (outcome.result == Outcome::Result::kFailed) pipeline.definition = definition;
  }
  if (outcome.result != Outcome::Result::kFailed) {
    std::lock_guard lock(pipeline.mutex);
    if (!before.empty() && before != definition.text) {
      pipeline.history.push_back(before);
      if (pipeline.history.size() > Managed::kHistoryMax) pipeline.history.erase(pipeline.history.begin());
    }
    pipeline.definition = definition;
  }
  return finish(std::move(outcome));
}

void Daemon::install(Managed& pipeline, std::shared_ptr<Instance> instance) {
  std::shared_ptr<Instance> old;
  {
    std::lock_guard lock(pipeline.mutex);
    old = std::move(pipeline.instance);
    pipeline.name = instance->prepared.name;
    pipeline.failure.clear();
    pipeline.retry_at_ns = 0;
    pipeline.running_since_ns = env_.clock->monotonic_ns();
    pipeline.state = pipeline.wanted == Managed::Wanted::kPaused ? Managed::State::kPaused : Managed::State::kRunning;
    pipeline.instance = instance;
  }
  if (old) old->served->succession->set(instance->served);
  wake_.notify_all();
}

void Daemon::end_instance(Managed& pipeline) {
  std::shared_ptr<Instance> old;
  {
    std::lock_guard lock(pipeline.mutex);
    old = std::move(pipeline.instance);
  }
  if (!old) return;
  old->served->run->stop();
  if (old->served->run->wait(config_.limits.stop_ns)) return;
  log(LogLevel::kWarning, "pipeline does not end in order", {{"pipeline", old->prepared.name}});
  old->served->run->abort(Error{Code::kCancelled, "it did not end in time", {}, {}});
}

void Daemon::start_fresh(Managed& pipeline, Prepared prepared, Outcome& outcome) {
  std::shared_ptr<const FileTable> files = prepared.files;
  end_instance(pipeline);  // a failed run may still hold its outputs
  auto instance = maker_.start(std::move(prepared));
  if (!instance) {
    set_failed(outcome, "start_failed", message_of(instance.error(), files.get()));
    fail_pipeline(pipeline, outcome.reason);
    return;
  }
  bool paused = false;
  {
    std::lock_guard lock(pipeline.mutex);
    paused = pipeline.wanted == Managed::Wanted::kPaused;
  }
  if (paused) (*instance)->served->run->pause();
  install(pipeline, std::shared_ptr<Instance>(std::move(*instance)));
  outcome.result = Outcome::Result::kStarted;
}

// Until the new run has made all that it found visible.
bool Daemon::catch_up(const Run& run, Outcome& outcome) {
  std::int64_t end_ns = env_.clock->monotonic_ns() + config_.limits.reload_ns;
  Run& waits = const_cast<Run&>(run);
  while (!run.caught_up() || run.num_commits() == 0) {
    if (waits.wait(kPollNs)) break;
    if (run.caught_up() && run.connectors().empty()) break;
    if (stopping_) {
      set_failed(outcome, "stopping", "the daemon stops");
      return false;
    }
    if (env_.clock->monotonic_ns() > end_ns) {
      set_failed(outcome, "not_caught_up", "the new plan did not catch up in time (`limits.reload_time`)");
      return false;
    }
  }
  if (run.state() != RunState::kFailed) return true;
  auto failure = run.failure();
  set_failed(outcome, "new_plan_failed", failure ? failure->message : "the new plan failed");
  return false;
}

bool Daemon::wants_pause(const Managed& pipeline) const {
  std::lock_guard lock(pipeline.mutex);
  return pipeline.wanted == Managed::Wanted::kPaused;
}

// With what the old plan holds, in its place: a stop as long as it takes to fill what has changed.
void Daemon::switch_in_place(Managed& pipeline, const std::shared_ptr<Instance>& old, Prepared prepared,
                             const Takeover& takeover, Outcome& outcome) {
  std::shared_ptr<const FileTable> files = prepared.files;
  auto made = maker_.start_in_place_of(*old, std::move(prepared), takeover);
  if (!made) {
    set_failed(outcome, "start_failed", message_of(made.error(), files.get()));
    if (!wants_pause(pipeline)) old->served->run->resume();
    return;
  }
  std::shared_ptr<Instance> now(std::move(*made));
  now->served->run->pause();  // it is filled
  if (now->served->run->state() == RunState::kFailed) {
    auto failure = now->served->run->failure();
    set_failed(outcome, "new_plan_failed", failure ? failure->message : "the new plan failed");
  }
  hand_over(pipeline, old, now, true, outcome);
}

// Beside the old plan, from the sources on.
void Daemon::switch_beside(Managed& pipeline, const std::shared_ptr<Instance>& old, Prepared prepared,
                           Outcome& outcome) {
  std::shared_ptr<const FileTable> files = prepared.files;
  auto made = maker_.start(std::move(prepared), old.get());
  if (!made) return set_failed(outcome, "start_failed", message_of(made.error(), files.get()));
  std::shared_ptr<Instance> now(std::move(*made));
  Run& new_run = *now->served->run;
  Run& old_run = *old->served->run;
  auto give_up = [&] {
    new_run.abort(Error{Code::kCancelled, "the change was given up", {}, {}});
    new_run.wait(-1);
    if (!wants_pause(pipeline)) old_run.resume();
  };
  if (!catch_up(new_run, outcome)) return give_up();
  // From here on the old plan stands still. If it is over, its outputs are closed, and all begin anew.
  bool old_waits = old_run.pause();
  std::int64_t end_ns = env_.clock->monotonic_ns() + kFrontierNsMax;
  Frontier wanted{old_run.frontier().at + 2, false};
  while (!is_over(new_run) && frontier_less(new_run.frontier(), wanted)) {
    new_run.commit_now();
    new_run.wait(kPollNs / 5);
    if (env_.clock->monotonic_ns() < end_ns) continue;
    set_failed(outcome, "not_caught_up", "the new plan makes no commit");
    return give_up();
  }
  new_run.pause();
  if (new_run.state() == RunState::kFailed) {
    auto failure = new_run.failure();
    set_failed(outcome, "new_plan_failed", failure ? failure->message : "the new plan failed");
    return give_up();
  }
  hand_over(pipeline, old, now, old_waits, outcome);
}

// Two runs cannot share one folder of state: the old one ends in order, the new one goes on from what it leaves; if it
// cannot, the old one does.
void Daemon::switch_by_restart(Managed& pipeline, const std::shared_ptr<Instance>& old, Prepared prepared,
                               Outcome& outcome) {
  std::shared_ptr<const FileTable> files = prepared.files;
  Prepared before = old->prepared;
  end_instance(pipeline);
  auto made = maker_.start(std::move(prepared));
  if (made) {
    if (wants_pause(pipeline)) (*made)->served->run->pause();
    std::shared_ptr<Instance> instance(std::move(*made));
    install(pipeline, instance);
    old->served->succession->set(instance->served);
    outcome.result = Outcome::Result::kReloaded;
    return;
  }
  set_failed(outcome, "start_failed", message_of(made.error(), files.get()));
  auto again = maker_.start(std::move(before));
  if (!again) return fail_pipeline(pipeline, outcome.reason);
  if (wants_pause(pipeline)) (*again)->served->run->pause();
  std::shared_ptr<Instance> instance(std::move(*again));
  install(pipeline, instance);
  old->served->succession->set(instance->served);
}

void Daemon::switch_over(Managed& pipeline, Prepared prepared, const Takeover& takeover, Outcome& outcome) {
  std::shared_ptr<Instance> old;
  {
    std::lock_guard lock(pipeline.mutex);
    old = pipeline.instance;
  }
  if (old->prepared.durability || prepared.durability)
    return switch_by_restart(pipeline, old, std::move(prepared), outcome);
  if (!takeover.possible) return switch_beside(pipeline, old, std::move(prepared), outcome);
  if (old->served->run->pause()) return switch_in_place(pipeline, old, std::move(prepared), takeover, outcome);
  start_fresh(pipeline, std::move(prepared), outcome);  // it has just ended
}

// Both stand still. Outputs get what leads from the old rows to the new ones, readers go on in the new run.
void Daemon::hand_over(Managed& pipeline, const std::shared_ptr<Instance>& old, const std::shared_ptr<Instance>& now,
                       bool old_waits, Outcome& outcome) {
  Run& new_run = *now->served->run;
  Run& old_run = *old->served->run;
  const FileTable* files = now->prepared.files.get();
  Frontier at = new_run.frontier();
  std::uint64_t commit = at.done ? at.at : at.at - 2;
  Handover handover = match_sinks(*old, *now);
  if (!old_waits) {
    for (const auto& [fresh, before] : handover.kept) handover.added.push_back(fresh);
    handover.kept.clear();
    handover.removed.clear();
  }
  Result<void> written;
  for (SwitchSink* sink : handover.removed)
    if (auto closed = sink->finish(); !closed)
      log(LogLevel::kWarning, "an output did not close in order",
          {{"pipeline", now->prepared.name}, {"reason", closed.error().message}});
  bool failed = outcome.result == Outcome::Result::kFailed;
  if (!failed) written = open_added(handover, commit);
  for (const auto& [fresh, before] : handover.kept)
    if (!failed && written) written = fresh->take_over(*before, commit);
  new_run.continue_history(old_run);
  if (!written) {
    set_failed(outcome, "output_failed", message_of(written.error(), files));
    new_run.abort(Error{Code::kIo, outcome.reason, {}, {}});
  } else if (!failed) {
    outcome.result = Outcome::Result::kReloaded;
  }
  if (is_over(new_run))  // a static plan: its outputs were closed before they were opened
    for (const SwitchFactory::Made& sink : now->sinks->sinks())
      if (auto closed = sink.sink->finish(); !closed && written)
        set_failed(outcome, "output_failed", message_of(closed.error(), files));
  install(pipeline, now);
  old_run.abort(Error{Code::kCancelled, "another definition has taken over", {}, {}});
  if (!wants_pause(pipeline)) new_run.resume();
}

// ---------------------------------------------------------------- one pipeline's wanted state

Outcome Daemon::act(const std::string& name, Verb verb, const ChangeOptions& options) {
  Pipeline pipeline = find_managed(name);
  if (!pipeline) return unknown(name, options);
  std::lock_guard operation(pipeline->operation);
  std::shared_ptr<Instance> instance;
  Managed::State state{};
  Definition definition;
  {
    std::lock_guard lock(pipeline->mutex);
    instance = pipeline->instance;
    state = pipeline->state;
    definition = pipeline->definition;
  }
  Outcome outcome = begin(definition.key, options);
  outcome.result = Outcome::Result::kDone;
  auto set = [&](Managed::Wanted wanted, Managed::State now) {
    std::lock_guard lock(pipeline->mutex);
    pipeline->wanted = wanted;
    pipeline->state = now;
    pipeline->failure.clear();
    pipeline->retry_at_ns = 0;
  };
  bool runs = instance && !is_over(*instance->served->run);
  if (stopping_) {
    set_failed(outcome, "stopping", "the daemon stops");
  } else if (verb == Verb::kPause) {
    if (!runs)
      set_failed(outcome, "not_running", "it is " + std::string(managed_state_text(state)));
    else if (state == Managed::State::kPaused)
      outcome.result = Outcome::Result::kUnchanged;
    else if (instance->served->run->pause())
      set(Managed::Wanted::kPaused, Managed::State::kPaused);
    else
      set_failed(outcome, "not_running", "it has just ended");
  } else if (verb == Verb::kResume) {
    if (state == Managed::State::kRunning)
      outcome.result = Outcome::Result::kUnchanged;
    else if (!runs || state != Managed::State::kPaused)
      set_failed(outcome, "not_running", "it is " + std::string(managed_state_text(state)));
    else {
      set(Managed::Wanted::kRunning, Managed::State::kRunning);
      instance->served->run->resume();
    }
  } else if (verb == Verb::kStop) {
    if (state == Managed::State::kStopped) outcome.result = Outcome::Result::kUnchanged;
    end_instance(*pipeline);
    set(Managed::Wanted::kStopped, Managed::State::kStopped);
    remember_stopped(*pipeline, true);
  } else if (runs) {
    outcome.result = Outcome::Result::kUnchanged;
  } else {
    remember_stopped(*pipeline, false);
    set(Managed::Wanted::kRunning, Managed::State::kStarting);
    auto prepared = maker_.prepare(definition, outcome);
    if (prepared)
      start_fresh(*pipeline, std::move(*prepared), outcome);
    else
      fail_pipeline(*pipeline, outcome.reason);
  }
  return finish(std::move(outcome));
}

}  // namespace thalweg::daemon
