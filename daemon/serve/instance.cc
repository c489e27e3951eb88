#include "daemon/serve/instance.h"

#include <algorithm>
#include <filesystem>

#include "connectors/registry.h"
#include "daemon/catalog_impl.h"
#include "daemon/load.h"
#include "daemon/log.h"
#include "daemon/open_listeners.h"
#include "daemon/persistence.h"
#include "engine/runtime/saved_prints.h"

namespace thalweg::daemon {
namespace {

std::string label_of(const plan::Node& node) {
  std::string op(plan::operator_name(node.params));
  return node.label.empty() ? op : node.label + " (" + op + ")";
}

bool is_output(const plan::Node& node) { return std::holds_alternative<plan::Output>(node.params); }

std::string absolute(const std::string& path) {
  std::error_code error;
  std::filesystem::path whole = std::filesystem::weakly_canonical(path, error);
  return error ? std::filesystem::path(path).lexically_normal().string() : whole.string();
}

bool is_within(const std::string& path, const std::string& folder) {
  std::string base = absolute(folder);
  while (base.ends_with('/') && base.size() > 1) base.pop_back();
  return path == base || path.starts_with(base == "/" ? base : base + "/");
}

}  // namespace

Instance::~Instance() {
  if (served && served->run) served->run->stop();  // it may not have begun
}

InstanceMaker::InstanceMaker(const ServeConfig& config, Env env, ConnectorServices services)
    : config_(config),
      env_(std::move(env)),
      catalog_(std::make_unique<ConnectorCatalog>(
          env_, FunctionPolicy{.allow_exec = config.allow_exec, .egress = config.egress})),
      services_(std::move(services)) {}

bool InstanceMaker::path_allowed(const std::string& pipeline_path, const std::string& path) const {
  std::string whole = absolute(path);
  std::string folder = std::filesystem::path(pipeline_path).parent_path().string();
  if (is_within(whole, folder.empty() ? "." : folder)) return true;
  if (!config_.secrets_dir.empty() && is_within(whole, config_.secrets_dir)) return true;
  return std::ranges::any_of(config_.allow_paths,
                             [&](const std::string& allowed) { return is_within(whole, allowed); });
}

std::optional<Prepared> InstanceMaker::prepare(Definition definition, Outcome& outcome, const plan::Plan* running) {
  std::set<Key> kept;
  if (running)
    for (const Key& print : plan::fingerprints(*running)) kept.insert(print);
  return prepare(std::move(definition), outcome, std::move(kept));
}

std::optional<Prepared> InstanceMaker::prepare(Definition definition, Outcome& outcome, std::set<Key> kept) {
  lang::CompileOptions options;
  options.catalog = catalog_.get();
  options.disk = env_.disk.get();
  options.environment = [this](const std::string& name) -> std::optional<std::string> {
    if (name.starts_with("llm.")) {
      auto setting = config_.llm.find(name);
      return setting == config_.llm.end() ? std::nullopt : std::optional(setting->second);
    }
    const auto& names = config_.secret_names;
    if (names && std::ranges::find(*names, name) == names->end()) return std::nullopt;
    return env_.variable(name);
  };
  options.path_allowed = [&](const std::string& path) { return path_allowed(definition.path, path); };
  options.running = std::move(kept);
  functions::NewAnswerPlaces answers;
  lang::CompileResult compiled = lang::compile_text(definition.path, definition.text, options);
  Prepared out;
  out.name = compiled.settings.name && !compiled.settings.name->empty() ? *compiled.settings.name : definition.key;
  out.durability = check_persistence(compiled, {.pipeline = out.name, .state_dir = config_.state_dir, .env = &env_});
  if (!compiled.ok()) {
    compiled.diagnostics.sort();
    outcome.result = Outcome::Result::kFailed;
    outcome.code = "invalid_pipeline";
    outcome.diagnostics = lang::render_text(compiled.diagnostics, *compiled.files);
    for (const lang::Diagnostic& first : compiled.diagnostics.all()) {
      if (first.severity != lang::Severity::kError) continue;
      LineColumn at = compiled.files->locate(first.span);
      outcome.reason =
          definition.path + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) + ": " + first.message;
      outcome.line = at.line;
      outcome.column = at.column;
      break;
    }
    return std::nullopt;
  }
  if (config_.require_pipeline_auth)
    for (const OpenListener& open : open_listeners(compiled.plan)) {
      LineColumn at = compiled.files->locate(open.span);
      outcome.result = Outcome::Result::kFailed;
      outcome.code = "pipeline_auth_required";
      outcome.reason =
          definition.path + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) + ": " + open.refusal;
      outcome.line = at.line;
      outcome.column = at.column;
      outcome.diagnostics = outcome.reason + "\n";
      return std::nullopt;
    }
  if (!out.durability || !out.durability->replay)
    keep_answers(answers, compiled.settings, {.pipeline = out.name, .state_dir = config_.state_dir, .env = &env_});
  plan::Plan plan = std::move(compiled.plan);
  plan.name = out.name;
  plan.terminate_on_error = compiled.settings.terminate_on_error.value_or(false);  // a daemon goes on; `run` does not
  out.workers = plan.workers > 0 ? plan.workers : std::max<std::uint32_t>(1, config_.workers);
  plan.workers = out.workers;
  out.fingerprint = plan::fingerprint(plan);
  out.plan = std::make_shared<const plan::Plan>(std::move(plan));
  out.files = compiled.files;
  for (FileId id = kNoFile + 1; !compiled.files->name(id).empty(); ++id)
    if (compiled.files->name(id) != definition.path) out.imports.emplace_back(compiled.files->name(id));
  out.definition = std::move(definition);
  return out;
}

std::shared_ptr<durable::DeadLetters> InstanceMaker::dead_letters_of(const std::string& pipeline) {
  if (config_.state_dir.empty()) return nullptr;
  std::lock_guard lock(mutex_);
  std::shared_ptr<durable::DeadLetters>& store = letters_[pipeline];
  if (store) return store;
  auto opened = durable::DeadLetters::open(env_.disk, env_.clock,
                                           config_.state_dir + "/dead-letters/" + folder_name(pipeline), {}, false);
  if (opened)
    store = std::move(*opened);
  else
    log(LogLevel::kWarning, "dead letters are not kept: " + opened.error().message, {{"pipeline", pipeline}});
  return store;
}

RunOptions InstanceMaker::options_of(const Prepared& prepared) {
  RunOptions options;
  options.workers = prepared.workers;
  options.durability = prepared.durability;
  if (prepared.plan->autocommit_ms > 0) options.autocommit_ms = prepared.plan->autocommit_ms;
  options.locate = [files = prepared.files](const SourceSpan& span, std::string& file, std::int64_t& line,
                                            std::int64_t& column) {
    if (!span.known()) return;
    LineColumn at = files->locate(span);
    file = files->name(span.file);
    line = at.line;
    column = at.column;
  };
  return options;
}

RunOptions InstanceMaker::run_options(const Prepared& prepared) {
  RunOptions options = options_of(prepared);
  if (!options.durability) options.dead_letters = dead_letters_of(prepared.name);
  if (on_commit_)
    options.on_commit = [told = on_commit_, name = prepared.name](Commit time, std::int64_t opened_ns,
                                                                  std::int64_t visible_ns) {
      told(name, time, opened_ns, visible_ns);
    };
  return options;
}

namespace {

std::vector<std::string> output_identities(const plan::Plan& plan) {
  std::vector<std::string> out;
  for (const plan::Node& node : plan.nodes)
    if (const auto* output = std::get_if<plan::Output>(&node.params))
      out.push_back(output_identity(*output, plan.node(node.inputs[0]).schema));
  std::ranges::sort(out);
  return out;
}

}  // namespace

std::unique_ptr<Instance> InstanceMaker::make(Prepared prepared, const Instance* beside) {
  auto instance = std::make_unique<Instance>();
  instance->served = std::make_shared<ServedPipeline>();
  ConnectorServices services = services_;
  services.pipeline = prepared.name;
  services.run = instance->served.get();
  instance->connectors = make_connector_factory(std::move(services));
  for (const OpenListener& open : open_listeners(*prepared.plan))
    if (open.reachable) log(LogLevel::kWarning, open.warning, {{"pipeline", prepared.name}});
  instance->sinks =
      std::make_unique<SwitchFactory>(*instance->connectors, beside != nullptr, config_.limits.reload_bytes);
  if (beside) {
    // An output that is closed at the switch may be in the way of one that is opened: only without any is early safe.
    std::vector<std::string> before = output_identities(*beside->prepared.plan);
    if (std::ranges::includes(output_identities(*prepared.plan), before)) instance->sinks->open_early_except(before);
  }
  ServedPipeline& served = *instance->served;
  served.name = prepared.name;
  served.plan = prepared.plan;
  served.files = prepared.files;
  served.workers = prepared.workers;
  served.started_wall_ns = env_.clock->wall_ns();
  instance->prepared = std::move(prepared);
  return instance;
}

Result<std::unique_ptr<Instance>> InstanceMaker::start(Prepared prepared, const Instance* beside) {
  std::unique_ptr<Instance> instance = make(std::move(prepared), beside);
  auto start_run = [&] {
    return Run::start(*instance->prepared.plan, run_options(instance->prepared), *instance->sinks, env_);
  };
  auto run = start_run();
  if (!run) {
    auto before = planned_as_before(instance->prepared, run.error());
    if (!before) return fail(std::move(run).error());
    instance = make(std::move(*before), beside);
    auto again = start_run();
    if (!again) return fail(std::move(run).error());
    run = std::move(again);
  }
  instance->served->run = std::move(*run);
  return instance;
}

// State that is not that of the plan may be that of the same pipeline planned as the run before it was.
std::optional<Prepared> InstanceMaker::planned_as_before(const Prepared& prepared, const Error& refusal) {
  if (!prepared.durability || refusal.code != Code::kBadData) return std::nullopt;
  auto kept = saved_fingerprints(*prepared.durability, env_);
  if (!kept || kept->empty()) return std::nullopt;
  Outcome ignored;
  auto again = prepare(prepared.definition, ignored, std::move(*kept));
  if (!again || again->fingerprint == prepared.fingerprint) return std::nullopt;
  return again;
}

Result<std::unique_ptr<Instance>> InstanceMaker::start_in_place_of(const Instance& old, Prepared prepared,
                                                                   const Takeover& takeover) {
  std::unique_ptr<Instance> instance = make(std::move(prepared), &old);
  instance->served->started_wall_ns = old.served->started_wall_ns;
  const plan::Plan& plan = *instance->prepared.plan;
  instance->served->run =
      TRY(Run::start_in_place_of(*old.served->run, plan, run_options(instance->prepared), *instance->sinks, env_));
  std::vector<bool> taken(old.sinks->sinks().size());
  for (const plan::Node& node : plan.nodes) {
    const auto* output = std::get_if<plan::Output>(&node.params);
    if (!output || !takeover.kept[node.id.value]) continue;
    std::string identity = output_identity(*output, plan.node(node.inputs[0]).schema);
    for (std::size_t i = 0; i < taken.size(); ++i) {
      if (taken[i] || old.sinks->sinks()[i].identity != identity) continue;
      taken[i] = true;
      instance->sinks->keep(old.sinks->sinks()[i]);
      break;
    }
  }
  return instance;
}

namespace {

// What becomes of the operators: `outcome.kept` and the like.
void describe_operators(const Instance& old, const Prepared& now, const Takeover& takeover, Outcome& outcome) {
  std::vector<Key> old_prints = plan::fingerprints(*old.prepared.plan);
  std::vector<Key> new_prints = plan::fingerprints(*now.plan);
  std::vector<std::string> old_labels;
  for (const plan::Node& node : old.prepared.plan->nodes) old_labels.push_back(label_of(node));
  std::string again = "the same, computed again from its sources: " + takeover.why_not;
  for (const plan::Node& node : now.plan->nodes) {
    if (is_output(node) || std::holds_alternative<plan::Export>(node.params)) continue;
    std::size_t id = node.id.value;
    bool same = std::ranges::find(old_prints, new_prints[id]) != old_prints.end();
    if (takeover.possible && takeover.kept[id])
      outcome.kept.push_back({label_of(node), takeover.filled[id]
                                                  ? "keeps its state, and tells its rows to what is rebuilt"
                                                  : "keeps its state"});
    else if (same && takeover.possible)
      outcome.kept.push_back({label_of(node), "the same; it holds no state"});
    else if (same)
      outcome.rebuilt.push_back({label_of(node), again});
    else if (std::ranges::find(old_labels, label_of(node)) != old_labels.end())
      outcome.rebuilt.push_back(
          {label_of(node), takeover.possible ? "changed, or what it reads has; filled from what is kept"
                                             : "changed, or what it reads has; filled by reading the sources again"});
    else
      outcome.added.push_back(
          {label_of(node), takeover.possible ? "filled from what is kept" : "filled by reading the sources again"});
  }
  for (const plan::Node& node : old.prepared.plan->nodes) {
    if (is_output(node) || std::holds_alternative<plan::Export>(node.params)) continue;
    std::string label = label_of(node);
    bool gone =
        std::ranges::find(new_prints, old_prints[node.id.value]) == new_prints.end() &&
        std::ranges::none_of(now.plan->nodes, [&](const plan::Node& other) { return label_of(other) == label; });
    if (gone) outcome.removed.push_back({label, ""});
  }
}

}  // namespace

bool describe_change(const Instance& old, const Prepared& now, const Takeover& takeover, Outcome& outcome) {
  describe_operators(old, now, takeover, outcome);
  bool from_now_on = false;
  std::vector<bool> taken(old.sinks->sinks().size());
  for (const plan::Node& node : now.plan->nodes) {
    const auto* output = std::get_if<plan::Output>(&node.params);
    if (!output) continue;
    std::string identity = output_identity(*output, now.plan->node(node.inputs[0]).schema);
    const auto& sinks = old.sinks->sinks();
    std::size_t at = 0;
    while (at < sinks.size() && (taken[at] || sinks[at].identity != identity)) ++at;
    if (at == sinks.size()) {
      outcome.outputs.push_back({output->name, "opened anew, gets all rows"});
      continue;
    }
    taken[at] = true;
    if (takeover.possible && takeover.kept[node.id.value]) {
      outcome.outputs.push_back({output->name, "goes on, nothing changes for it"});
      continue;
    }
    bool known = sinks[at].sink->discards() || sinks[at].sink->contents().known();
    from_now_on = from_now_on || !known;
    outcome.outputs.push_back({output->name, known ? "gets the difference between the new and the old rows"
                                                   : "goes on from now on: what it got before is not known any more"});
  }
  for (std::size_t i = 0; i < taken.size(); ++i)
    if (!taken[i]) outcome.outputs.push_back({old.sinks->sinks()[i].name, "closed"});
  return from_now_on;
}

}  // namespace thalweg::daemon
