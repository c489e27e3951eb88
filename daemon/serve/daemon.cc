#include "daemon/serve/daemon.h"

#include <algorithm>
#include <chrono>

#include "daemon/log.h"

namespace thalweg::daemon {
namespace {

constexpr std::size_t kOutcomesMax = 200;
constexpr std::uint64_t kPipelineBytesMax = 8ULL << 20;
constexpr std::string_view kEndings[] = {".yaml", ".yml"};

std::string key_of_file(const std::string& name) { return name.substr(0, name.rfind('.')); }

// Names become file names: nothing that could lead elsewhere.
bool is_good_name(const std::string& name) {
  if (name.empty() || name.size() > 128 || name.front() == '.' || name.front() == '-') return false;
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
         std::string::npos;
}

void log_outcome(const Outcome& outcome, const std::string& caller) {
  if (outcome.result == Outcome::Result::kUnchanged || outcome.result == Outcome::Result::kPlanned) return;
  LogLevel level = outcome.result == Outcome::Result::kFailed ? LogLevel::kError : LogLevel::kInfo;
  log(level, "pipeline changed",
      {{"pipeline", outcome.pipeline},
       {"result", std::string(result_text(outcome.result))},
       {"trigger", outcome.trigger},
       {"caller", caller.empty() ? "-" : caller},
       {"id", std::to_string(outcome.id)},
       {"reason", outcome.reason.empty() ? "-" : outcome.reason}});
}

}  // namespace

bool is_pipeline_file(const std::string& name) {
  if (name.empty() || name.front() == '.' || name.ends_with(".test.yaml") || name.ends_with(".test.yml")) return false;
  return std::ranges::any_of(kEndings, [&](std::string_view ending) { return name.ends_with(ending); });
}

std::string_view managed_state_text(Managed::State state) {
  switch (state) {
    case Managed::State::kStarting: return "starting";
    case Managed::State::kRunning: return "running";
    case Managed::State::kPaused: return "paused";
    case Managed::State::kStopped: return "stopped";
    case Managed::State::kEnded: return "ended";
    case Managed::State::kFailed: return "failed";
  }
  return "failed";
}

Daemon::Daemon(const ServeConfig& config, Env env, ConnectorServices services)
    : config_(config), env_(env), maker_(config, std::move(env), std::move(services)) {}

Daemon::~Daemon() {
  stopping_ = true;
  wake_.notify_all();
  if (supervisor_.joinable()) supervisor_.join();
}

// ---------------------------------------------------------------- names

Daemon::Pipeline Daemon::find_managed(const std::string& name) const {
  std::lock_guard lock(mutex_);
  if (auto at = pipelines_.find(name); at != pipelines_.end()) return at->second;
  for (const auto& [key, pipeline] : pipelines_) {
    std::lock_guard inner(pipeline->mutex);
    if (pipeline->name == name) return pipeline;
  }
  return nullptr;
}

std::vector<Daemon::Pipeline> Daemon::everything() const {
  std::lock_guard lock(mutex_);
  std::vector<Pipeline> out;
  for (const auto& [key, pipeline] : pipelines_) out.push_back(pipeline);
  return out;
}

Daemon::Pipeline Daemon::add(Definition definition) {
  std::lock_guard lock(mutex_);
  auto [at, is_new] = pipelines_.try_emplace(definition.key, nullptr);
  if (!is_new) return at->second;
  at->second = std::make_shared<Managed>();
  at->second->name = definition.key;
  if (was_stopped(definition.key)) {
    at->second->wanted = Managed::Wanted::kStopped;
    at->second->state = Managed::State::kStopped;
  }
  at->second->definition = std::move(definition);
  return at->second;
}

bool Daemon::name_is_free(const Managed& pipeline, const std::string& name) const {
  std::lock_guard lock(mutex_);
  for (const auto& [key, other] : pipelines_) {
    if (other.get() == &pipeline) continue;
    std::lock_guard inner(other->mutex);
    if (other->name == name || key == name) return false;
  }
  return true;
}

// ---------------------------------------------------------------- what others see

PipelineStatus Daemon::status_of(const Managed& pipeline) const {
  std::lock_guard lock(pipeline.mutex);
  PipelineStatus out;
  out.name = pipeline.name;
  out.state = managed_state_text(pipeline.state);
  out.failure = pipeline.failure;
  out.file = pipeline.definition.path;
  out.restarts = pipeline.restarts;
  if (pipeline.instance) out.served = pipeline.instance->served;
  switch (pipeline.state) {
    case Managed::State::kRunning: out.ready = out.served && out.served->run->caught_up(); break;
    case Managed::State::kPaused:
    case Managed::State::kStopped:
    case Managed::State::kEnded: out.ready = true; break;  // as it was asked for
    case Managed::State::kStarting:
    case Managed::State::kFailed: break;
  }
  return out;
}

std::vector<PipelineStatus> Daemon::statuses() const {
  std::vector<PipelineStatus> out;
  for (const Pipeline& pipeline : everything()) out.push_back(status_of(*pipeline));
  std::ranges::sort(out, {}, &PipelineStatus::name);
  return out;
}

std::optional<PipelineStatus> Daemon::status(const std::string& name) const {
  Pipeline pipeline = find_managed(name);
  return pipeline ? std::optional(status_of(*pipeline)) : std::nullopt;
}

std::vector<std::shared_ptr<ServedPipeline>> Daemon::all() const {
  std::vector<std::shared_ptr<ServedPipeline>> out;
  for (PipelineStatus& status : statuses())
    if (status.served) out.push_back(std::move(status.served));
  return out;
}

std::shared_ptr<ServedPipeline> Daemon::find(const std::string& name) const {
  auto found = status(name);
  return found ? found->served : nullptr;
}

std::string Daemon::summary() const {
  std::map<std::string, int> counts;
  for (const PipelineStatus& status : statuses()) ++counts[status.state];
  std::string out;
  for (const auto& [state, count] : counts) out += (out.empty() ? "" : ", ") + std::to_string(count) + " " + state;
  return out.empty() ? "no pipelines" : out;
}

bool Daemon::any_failed() const {
  return std::ranges::any_of(statuses(), [](const PipelineStatus& status) { return status.state == "failed"; });
}

std::optional<std::string> Daemon::definition(const std::string& name) const {
  Pipeline pipeline = find_managed(name);
  if (!pipeline) return std::nullopt;
  std::lock_guard lock(pipeline->mutex);
  return pipeline->definition.text;
}

// ---------------------------------------------------------------- outcomes

Outcome Daemon::begin(const std::string& name, const ChangeOptions& options) {
  Outcome outcome;
  outcome.pipeline = name;
  outcome.trigger = options.trigger;
  outcome.at_wall_ns = env_.clock->wall_ns();
  std::lock_guard lock(mutex_);
  outcome.id = next_id_++;
  return outcome;
}

Outcome Daemon::finish(Outcome outcome) {
  outcome.seconds = static_cast<double>(env_.clock->wall_ns() - outcome.at_wall_ns) / 1e9;
  std::lock_guard lock(mutex_);
  ++counts_.by_result[std::string(result_text(outcome.result))];
  if (outcome.result != Outcome::Result::kFailed) counts_.last_good = env_.clock->wall_ns() / 1'000'000'000;
  outcomes_.push_back(outcome);
  if (outcomes_.size() > kOutcomesMax) outcomes_.pop_front();
  return outcome;
}

Outcome Daemon::unknown(const std::string& name, const ChangeOptions& options) {
  Outcome outcome = begin(name, options);
  outcome.result = Outcome::Result::kFailed;
  outcome.code = "no_such_pipeline";
  outcome.reason = "there is no pipeline `" + name + "`";
  return outcome;
}

PipelineControl::ChangeCounts Daemon::change_counts() const {
  std::lock_guard lock(mutex_);
  ChangeCounts out = counts_;
  out.state_dir = config_.state_dir;
  return out;
}

std::vector<Outcome> Daemon::outcomes() const {
  std::lock_guard lock(mutex_);
  return {outcomes_.begin(), outcomes_.end()};
}

// ---------------------------------------------------------------- files

Result<std::map<std::string, std::string>> Daemon::list_files() const {
  std::map<std::string, std::string> out;
  if (config_.pipelines_dir.empty()) return out;
  for (const std::string& name : TRY(env_.disk->list(config_.pipelines_dir)))
    if (is_pipeline_file(name)) out.emplace(key_of_file(name), config_.pipelines_dir + "/" + name);
  return out;
}

std::optional<Daemon::FileMark> Daemon::mark_of(const std::string& path) const {
  auto stat = env_.disk->stat(path);
  if (!stat) return std::nullopt;
  return FileMark{stat->size, stat->inode, stat->mtime_ns, stat->ctime_ns};
}

void Daemon::look_at_files(const std::string& trigger) {
  std::lock_guard lock(files_mutex_);
  if (stopping_) return;
  auto files = list_files();
  if (!files) {
    log(LogLevel::kError, "cannot read the folder of pipelines", {{"reason", files.error().message}});
    return;
  }
  ChangeOptions options{.dry_run = false, .accept = false, .trigger = trigger, .caller = ""};
  for (const auto& [key, path] : *files) {
    auto mark = mark_of(path);
    if (!mark) continue;
    auto known = marks_.find(path);
    bool same = known != marks_.end() && known->second == *mark;
    marks_[path] = *mark;
    if (same && !imports_changed(key)) continue;
    Pipeline pipeline = add({key, path, ""});
    log_outcome(reload_file(pipeline, options), "");
    imports_changed(key);  // as they are now
    if (stopping_) return;
  }
  for (const Pipeline& pipeline : everything()) {
    std::string key;
    {
      std::lock_guard inner(pipeline->mutex);
      key = pipeline->definition.key;
    }
    if (!files->contains(key)) log_outcome(remove_pipeline(pipeline, options, false), "");
  }
  std::erase_if(marks_, [&](const auto& entry) {
    return !imports_.contains(entry.first) &&
           std::ranges::none_of(*files, [&](const auto& file) { return file.second == entry.first; });
  });
}

// Files that a definition reads beside its own (`imports:`, samples of schemas).
bool Daemon::imports_changed(const std::string& key) {
  Pipeline pipeline = find_managed(key);
  if (!pipeline) return false;
  std::vector<std::string> imports;
  {
    std::lock_guard lock(pipeline->mutex);
    if (pipeline->instance) imports = pipeline->instance->prepared.imports;
  }
  bool changed = false;
  for (const std::string& path : imports) {
    auto mark = mark_of(path);
    if (!mark) continue;
    auto [known, is_new] = marks_.try_emplace(path, *mark);
    changed = changed || (!is_new && known->second != *mark);
    known->second = *mark;
    imports_.insert(path);
  }
  return changed;
}

Outcome Daemon::reload_file(const Pipeline& pipeline, const ChangeOptions& options) {
  auto call = [this, pipeline, options] {
    std::lock_guard operation(pipeline->operation);
    Definition definition;
    {
      std::lock_guard lock(pipeline->mutex);
      definition = pipeline->definition;
    }
    auto text = read_text(definition.path, kPipelineBytesMax, *env_.disk);
    if (text) {
      definition.text = std::move(*text);
      return change(*pipeline, std::move(definition), options);
    }
    Outcome outcome = begin(definition.key, options);
    outcome.result = Outcome::Result::kFailed;
    outcome.code = "unreadable";
    outcome.reason = text.error().message;
    return finish(std::move(outcome));
  };
  if (options.dry_run || options.accept) return call();
  return pipeline->reloads.run(call);
}

Result<void> Daemon::write_definition(const Definition& definition) {
  std::string beside = config_.pipelines_dir + "/." + definition.key + ".new";
  {
    std::unique_ptr<WriteFile> file = TRY(env_.disk->open_write(beside, Disk::WriteMode::kTruncate));
    TRY(file->append(definition.text));
    TRY(file->sync());
  }
  return env_.disk->rename(beside, definition.path);
}

// ---------------------------------------------------------------- requests

Outcome Daemon::reload(const std::string& name, const ChangeOptions& options) {
  Pipeline pipeline = find_managed(name);
  if (pipeline) return reload_file(pipeline, options);
  // A file that was not looked at yet.
  auto files = list_files();
  if (!files || !files->contains(name)) return unknown(name, options);
  return reload_file(add({name, files->at(name), ""}), options);
}

std::vector<Outcome> Daemon::reload_all(const ChangeOptions& options) {
  if (options.dry_run) return reload_everything(options);
  auto call = [this, options] {
    if (hooks_.begun) hooks_.begun();
    std::vector<Outcome> out = reload_everything(options);
    auto failed = static_cast<std::size_t>(std::ranges::count(out, Outcome::Result::kFailed, &Outcome::result));
    if (hooks_.ended) hooks_.ended(failed);
    for (const Outcome& outcome : out) log_outcome(outcome, options.caller);
    return out;
  };
  return options.accept ? call() : reloads_.run(call);
}

std::vector<Outcome> Daemon::reload_everything(const ChangeOptions& options) {
  std::lock_guard lock(files_mutex_);
  auto files = list_files();
  if (!files) {
    Outcome outcome = begin("*", options);
    outcome.result = Outcome::Result::kFailed;
    outcome.code = "unreadable";
    outcome.reason = "cannot read the folder of pipelines: " + files.error().message;
    return {finish(std::move(outcome))};
  }
  std::vector<Outcome> out;
  for (const auto& [key, path] : *files) {
    if (auto mark = mark_of(path); mark && !options.dry_run) marks_[path] = *mark;
    if (options.dry_run && !find_managed(key)) {
      Outcome outcome = begin(key, options);
      auto text = read_text(path, kPipelineBytesMax, *env_.disk);
      if (text && maker_.prepare({key, path, *text}, outcome)) outcome.result = Outcome::Result::kPlanned;
      outcome.added.push_back({key, "a new pipeline"});
      out.push_back(finish(std::move(outcome)));
      continue;
    }
    out.push_back(reload_file(add({key, path, ""}), options));
  }
  for (const Pipeline& pipeline : everything()) {
    std::string key;
    {
      std::lock_guard inner(pipeline->mutex);
      key = pipeline->definition.key;
    }
    if (!files->contains(key)) out.push_back(remove_pipeline(pipeline, options, false));
  }
  return out;
}

Outcome Daemon::apply(const std::string& name, const std::string& text, const ChangeOptions& options) {
  Pipeline pipeline = find_managed(name);
  bool is_new = pipeline == nullptr;
  Outcome refused = begin(name, options);
  refused.result = Outcome::Result::kFailed;
  if (config_.pipelines_dir.empty()) {
    refused.code = "no_folder";
    refused.reason = "the configuration names no `pipelines_dir`";
    return finish(std::move(refused));
  }
  if (is_new && !is_good_name(name)) {
    refused.code = "invalid_name";
    refused.reason =
        "a pipeline's name is made of letters, digits, `_`, `-` and `.`, and does not begin with `.` or `-`";
    return finish(std::move(refused));
  }
  if (is_new && everything().size() >= config_.limits.pipelines) {
    refused.code = "too_many_pipelines";
    refused.reason = "there are " + std::to_string(config_.limits.pipelines) + " pipelines (`limits.pipelines`)";
    return finish(std::move(refused));
  }
  Definition definition{name, config_.pipelines_dir + "/" + name + ".yaml", text};
  if (is_new) {
    // An invalid definition of a new pipeline leaves nothing behind.
    Outcome probe = begin(name, options);
    auto prepared = maker_.prepare(definition, probe);
    if (!prepared) return finish(std::move(probe));
    if (options.dry_run) {
      probe.result = Outcome::Result::kPlanned;
      probe.added.push_back({name, "a new pipeline"});
      return finish(std::move(probe));
    }
    pipeline = add(definition);
  }
  std::lock_guard operation(pipeline->operation);
  {
    std::lock_guard lock(pipeline->mutex);
    definition.key = pipeline->definition.key;
    definition.path = pipeline->definition.path;
  }
  Outcome outcome = change(*pipeline, definition, options);
  if (outcome.result != Outcome::Result::kFailed && !options.dry_run) {
    if (auto written = write_definition(definition); !written)
      outcome.reason = "it runs, but its file could not be written: " + written.error().message;
  }
  if (is_new && outcome.result == Outcome::Result::kFailed) {
    end_instance(*pipeline);
    std::lock_guard lock(mutex_);
    pipelines_.erase(definition.key);
  }
  log_outcome(outcome, options.caller);
  return outcome;
}

Outcome Daemon::rollback(const std::string& name, const ChangeOptions& options) {
  Pipeline pipeline = find_managed(name);
  if (!pipeline) return unknown(name, options);
  std::lock_guard operation(pipeline->operation);
  Definition definition;
  bool none = false;
  {
    std::lock_guard lock(pipeline->mutex);
    definition = pipeline->definition;
    none = pipeline->history.empty();
    if (!none) definition.text = pipeline->history.back();
  }
  if (none) {
    Outcome outcome = begin(name, options);
    outcome.result = Outcome::Result::kFailed;
    outcome.code = "no_history";
    outcome.reason = "there is no earlier definition";
    return finish(std::move(outcome));
  }
  Outcome outcome = change(*pipeline, definition, options);
  if (outcome.result != Outcome::Result::kFailed && !options.dry_run) {
    {
      // What was rolled back is not what a second rollback should bring back.
      std::lock_guard lock(pipeline->mutex);
      if (!pipeline->history.empty()) pipeline->history.pop_back();
      if (!pipeline->history.empty()) pipeline->history.pop_back();
    }
    if (auto written = write_definition(definition); !written)
      outcome.reason = "it runs, but its file could not be written: " + written.error().message;
  }
  log_outcome(outcome, options.caller);
  return outcome;
}

Outcome Daemon::remove(const std::string& name, const ChangeOptions& options) {
  Pipeline pipeline = find_managed(name);
  if (!pipeline) return unknown(name, options);
  Outcome outcome = remove_pipeline(pipeline, options, true);
  log_outcome(outcome, options.caller);
  return outcome;
}

Outcome Daemon::remove_pipeline(const Pipeline& pipeline, const ChangeOptions& options, bool delete_file) {
  std::lock_guard operation(pipeline->operation);
  Definition definition;
  {
    std::lock_guard lock(pipeline->mutex);
    definition = pipeline->definition;
  }
  Outcome outcome = begin(definition.key, options);
  outcome.result = options.dry_run ? Outcome::Result::kPlanned : Outcome::Result::kRemoved;
  outcome.removed.push_back({definition.key, "the whole pipeline"});
  if (options.dry_run) return finish(std::move(outcome));
  if (delete_file) {
    auto gone = env_.disk->remove(definition.path);
    if (!gone && gone.error().code != Code::kNotFound) {
      outcome.result = Outcome::Result::kFailed;
      outcome.code = "unwritable";
      outcome.reason = gone.error().message;
      outcome.removed.clear();
      return finish(std::move(outcome));
    }
  }
  remember_stopped(*pipeline, false);
  end_instance(*pipeline);
  {
    std::lock_guard lock(pipeline->mutex);
    pipeline->removed = true;
    pipeline->state = Managed::State::kStopped;
  }
  {
    std::lock_guard lock(mutex_);
    pipelines_.erase(definition.key);
  }
  return finish(std::move(outcome));
}

}  // namespace thalweg::daemon
