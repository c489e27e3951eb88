// Starting, watching over and ending pipelines.
#include <algorithm>
#include <chrono>

#include "daemon/log.h"
#include "daemon/rest/metrics.h"
#include "daemon/serve/daemon.h"

namespace thalweg::daemon {
namespace {

constexpr auto kLook = std::chrono::milliseconds(100);
constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kRetryNsFirst = kSecondNs;
constexpr std::int64_t kRetryNsMax = 60 * kSecondNs;
constexpr std::int64_t kChangeNsMax = 5 * kSecondNs;  // how long a stop waits for a change
constexpr std::int64_t kGoodNs = 60 * kSecondNs;      // who ran that long starts again with short pauses

}  // namespace

void Daemon::start() {
  look_at_files("start");
  started_ = true;
  supervisor_ = std::thread([this] { supervise(); });
}

void Daemon::supervise() {
  std::int64_t memory_at_ns = 0;
  while (!stopping_) {
    for (const Pipeline& pipeline : everything()) look_after(pipeline);
    if (config_.memory_limit > 0 && env_.clock->monotonic_ns() >= memory_at_ns) {
      keep_memory_limit();
      memory_at_ns = env_.clock->monotonic_ns() + kSecondNs;
    }
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, kLook);
  }
}

// Above the limit, whoever holds most has to go: it fails, and is tried again like any other, so that the rest can
// live.
void Daemon::keep_memory_limit() {
  std::uint64_t resident = resident_bytes(*env_.disk);
  if (resident <= config_.memory_limit) return;
  std::shared_ptr<Instance> largest;
  std::uint64_t most = 0;
  for (const Pipeline& pipeline : everything()) {
    std::lock_guard lock(pipeline->mutex);
    if (!pipeline->instance || pipeline->instance->served->run->wait(0)) continue;
    std::uint64_t bytes = 0;
    for (const OperatorStatus& status : pipeline->instance->served->run->operators()) bytes += status.state.bytes;
    if (largest && bytes <= most) continue;
    largest = pipeline->instance;
    most = bytes;
  }
  if (!largest) return;
  log(LogLevel::kError, "above the memory limit",
      {{"resident_bytes", std::to_string(resident)}, {"pipeline", largest->prepared.name}});
  largest->served->run->abort(
      Error{Code::kTooLarge, "the daemon was above `memory_limit`, and this pipeline held most", {}, {}});
  largest->served->run->wait(config_.limits.stop_ns);
}

// Notices that a run is over, and tries again what has failed.
void Daemon::look_after(const Pipeline& pipeline) {
  std::shared_ptr<Instance> instance;
  bool due = false;
  {
    std::lock_guard lock(pipeline->mutex);
    instance = pipeline->instance;
    due = pipeline->retry_at_ns > 0 && env_.clock->monotonic_ns() >= pipeline->retry_at_ns;
  }
  if (due) return retry(pipeline);
  if (!instance || !instance->served->run->wait(0)) return;
  std::unique_lock operation(pipeline->operation, std::try_to_lock);
  if (!operation) return;  // somebody is putting another run in its place
  RunState state = instance->served->run->state();
  bool failed_now = false;
  {
    std::lock_guard lock(pipeline->mutex);
    if (pipeline->instance != instance) return;
    bool known = pipeline->state == Managed::State::kFailed || pipeline->state == Managed::State::kEnded ||
                 pipeline->state == Managed::State::kStopped;
    if (known) return;
    if (state == RunState::kEnded) pipeline->state = Managed::State::kEnded;
    failed_now = state == RunState::kFailed;
  }
  if (state == RunState::kEnded) log(LogLevel::kInfo, "pipeline ended", {{"pipeline", instance->prepared.name}});
  if (!failed_now) return;
  auto failure = instance->served->run->failure();
  fail_pipeline(*pipeline, failure ? failure->message : "it failed");
}

void Daemon::fail_pipeline(Managed& pipeline, std::string why) {
  std::int64_t now = env_.clock->monotonic_ns();
  std::string name;
  std::int64_t pause = 0;
  {
    std::lock_guard lock(pipeline.mutex);
    if (pipeline.running_since_ns > 0 && now - pipeline.running_since_ns > kGoodNs) pipeline.attempts = 0;
    pause = std::min(kRetryNsMax, kRetryNsFirst << std::min<std::uint32_t>(pipeline.attempts, 10));
    // A little apart, so that pipelines that failed together do not come back together.
    pause += static_cast<std::int64_t>(env_.rng->next() % static_cast<std::uint64_t>(pause / 4));
    ++pipeline.attempts;
    pipeline.running_since_ns = 0;
    pipeline.state = Managed::State::kFailed;
    pipeline.failure = why;
    pipeline.retry_at_ns = now + pause;
    name = pipeline.name;
  }
  log(LogLevel::kError, "pipeline failed",
      {{"pipeline", name}, {"reason", why}, {"retry_ms", std::to_string(pause / 1'000'000)}});
}

void Daemon::retry(const Pipeline& pipeline) {
  std::unique_lock operation(pipeline->operation, std::try_to_lock);
  if (!operation) return;  // somebody changes it right now
  Definition definition;
  {
    std::lock_guard lock(pipeline->mutex);
    if (pipeline->removed || pipeline->retry_at_ns == 0) return;
    pipeline->retry_at_ns = 0;
    pipeline->state = Managed::State::kStarting;
    ++pipeline->restarts;
    definition = pipeline->definition;
  }
  ChangeOptions options;
  options.trigger = "restart";
  Outcome outcome = begin(definition.key, options);
  auto prepared = maker_.prepare(definition, outcome);
  if (prepared)
    start_fresh(*pipeline, std::move(*prepared), outcome);
  else
    fail_pipeline(*pipeline, outcome.reason);
  if (outcome.result != Outcome::Result::kFailed)
    log(LogLevel::kInfo, "pipeline restarted", {{"pipeline", definition.key}});
}

void Daemon::stop_all() {
  stopping_ = true;
  wake_.notify_all();
  if (supervisor_.joinable()) supervisor_.join();
  std::vector<std::shared_ptr<Instance>> running;
  for (const Pipeline& pipeline : everything()) {
    // A change that is under way comes to its end, and none begins any more; but it is not waited for for ever.
    std::unique_lock operation(pipeline->operation, std::defer_lock);
    for (std::int64_t until_ns = env_.clock->monotonic_ns() + kChangeNsMax; !operation.try_lock();) {
      if (env_.clock->monotonic_ns() > until_ns) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    std::lock_guard lock(pipeline->mutex);
    pipeline->retry_at_ns = 0;
    if (!pipeline->instance) continue;
    pipeline->instance->served->run->stop();
    running.push_back(pipeline->instance);
  }
  std::int64_t end_ns = env_.clock->monotonic_ns() + config_.limits.stop_ns;
  for (const auto& instance : running) {
    std::int64_t left = std::max<std::int64_t>(0, end_ns - env_.clock->monotonic_ns());
    if (instance->served->run->wait(left)) continue;
    log(LogLevel::kWarning, "pipeline does not end in order", {{"pipeline", instance->prepared.name}});
    instance->served->run->abort(Error{Code::kCancelled, "it did not end in time", {}, {}});
  }
}

// ---------------------------------------------------------------- what survives a restart of the daemon

void Daemon::remember_stopped(const Managed& pipeline, bool stopped) {
  if (config_.state_dir.empty()) return;
  std::string folder = config_.state_dir + "/stopped";
  std::string path;
  {
    std::lock_guard lock(pipeline.mutex);
    path = folder + "/" + pipeline.definition.key;
  }
  Result<void> done;
  if (!stopped) {
    done = env_.disk->remove(path);
    if (!done && done.error().code == Code::kNotFound) done = {};
  } else if (done = env_.disk->make_directories(folder); done) {
    auto file = env_.disk->open_write(path, Disk::WriteMode::kTruncate);
    done = file ? (*file)->sync() : std::unexpected(file.error());
  }
  if (!done) log(LogLevel::kWarning, "cannot remember what is stopped", {{"reason", done.error().message}});
}

bool Daemon::was_stopped(const std::string& key) const {
  return !config_.state_dir.empty() && env_.disk->stat(config_.state_dir + "/stopped/" + key).has_value();
}

}  // namespace thalweg::daemon
