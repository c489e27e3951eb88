#include "daemon/persistence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>

#include "config/decode.h"
#include "connectors/registry.h"
#include "connectors/state_backends.h"
#include "engine/durable/memory_disk.h"
#include "engine/types/from_text.h"

namespace thalweg::daemon {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kPeriodNs = 300'000 * kMs;
constexpr std::int64_t kShortestNs = 1000 * kMs;

// What stands in `persistence_config`, or beside it as a plain key of the file.
class Reader {
 public:
  explicit Reader(const lang::PipelineSettings& settings) : settings_(settings) {}

  [[nodiscard]] bool asked() const {
    return !settings_.persistence.is_null() || other("persistence_backend") || other("snapshot_path");
  }
  [[nodiscard]] SourceSpan span() const {
    if (!settings_.persistence.is_null()) return settings_.persistence.span;
    for (const char* name : {"persistence_backend", "snapshot_path"})
      if (const Setting* found = other(name)) return found->span;
    return {};
  }
  [[nodiscard]] const Setting* find(const char* name) const {
    if (const Setting* found = settings_.persistence.find(name); found && !found->is_null()) return found;
    return other(name);
  }
  [[nodiscard]] std::optional<std::string> text(const char* name) const {
    const Setting* found = find(name);
    return found ? config::as_text(*found) : std::nullopt;
  }
  [[nodiscard]] const Setting* backend() const {
    if (settings_.persistence.tag.starts_with("persistence.Backend")) return &settings_.persistence;
    if (const Setting* found = find("backend")) return found;
    return other("persistence_backend");
  }

 private:
  [[nodiscard]] const Setting* other(const char* name) const {
    for (const auto& [key, value] : settings_.others)
      if (key == name && !value.is_null()) return &value;
    return nullptr;
  }
  const lang::PipelineSettings& settings_;
};

std::optional<std::int64_t> interval_of(const Reader& read) {
  if (const Setting* ms = read.find("snapshot_interval_ms"))
    if (auto value = config::as_int(*ms)) return *value * kMs;
  if (const Setting* time = read.find("snapshot_interval")) {
    if (auto seconds = config::as_float(*time)) return static_cast<std::int64_t>(*seconds * 1e9);
    if (auto text = config::as_text(*time))
      if (auto ns = duration_from_text(*text)) return *ns;
  }
  return std::nullopt;
}

// `Backend.mock`: for as long as the process lives.
std::shared_ptr<Disk> mock_disk(const std::string& pipeline) {
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<durable::MemoryDisk>> disks;
  std::lock_guard lock(mutex);
  std::shared_ptr<durable::MemoryDisk>& disk = disks[pipeline];
  if (!disk) disk = std::make_shared<durable::MemoryDisk>();
  return disk;
}

Result<void> read_object_store(const Setting& backend, const std::string& folder, const PersistencePlace& place,
                               DurabilityOptions& out) {
  const Env env = place.env ? *place.env : real_env();
  StateBackend state =
      TRY(backend.tag.ends_with(".s3") ? s3_state(backend, folder, env) : azure_state(backend, folder, env));
  out.disk = std::move(state.disk);
  out.directory = std::move(state.directory);
  return {};
}

Result<void> read_backend(const Reader& read, const PersistencePlace& place, DurabilityOptions& out) {
  const Setting* backend = read.backend();
  std::string folder = folder_name(place.pipeline);
  std::optional<std::string> path = read.text("snapshot_path");
  if (backend && backend->tag.ends_with(".mock")) {
    out.disk = mock_disk(place.pipeline);
    out.directory = "/state/" + folder;
    return {};
  }
  if (backend && (backend->tag.ends_with(".s3") || backend->tag.ends_with(".azure")))
    return read_object_store(*backend, folder, place, out);
  if (backend && backend->find("path")) path = config::as_text(*backend->find("path"));
  if (backend && !path && backend->as_text()) path = *backend->as_text();
  if (path && !path->empty()) {
    out.directory = *path + "/" + folder;
    return {};
  }
  if (!place.state_dir.empty()) {
    out.directory = place.state_dir + "/pipelines/" + folder;
    return {};
  }
  return fail(Error{Code::kInvalidPipeline,
                    "`persistence_config` says nowhere where state is kept",
                    read.span(),
                    {{"write `backend: !persistence.Backend.filesystem {path: ./state}`", {}}}});
}

bool continues_after_replay(const Reader& read) {
  const Setting* asked = read.find("continue_after_replay");
  return !asked || config::as_bool(*asked).value_or(true);
}

Result<bool> read_mode(const Reader& read, DurabilityOptions& out) {
  std::string mode = read.text("persistence_mode").value_or("PERSISTING");
  std::optional<std::int64_t> interval = interval_of(read);
  if (interval && *interval < 0)
    return fail(Code::kInvalidPipeline, "the interval between snapshots is negative", read.span());
  if (mode == "UDF_CACHING") return false;  // answers are kept for as long as their rows are; nothing else is asked for
  const std::string access = read.text("snapshot_access").value_or("FULL");
  const bool replays = mode == "BATCH" || mode == "SPEEDRUN_REPLAY" || mode == "REALTIME_REPLAY";
  if (replays && (access == "RECORD" || access == "OFFSETS_ONLY"))
    return fail(
        Error{Code::kInvalidPipeline,
              fmt::format("`persistence_mode: {}` replays a recording, and `snapshot_access: {}` makes none of it",
                          mode, access),
              read.span(),
              {{"to replay, leave out `snapshot_access` or write REPLAY", {}}}});
  if (replays || access == "REPLAY") {
    using Pace = ReplayOptions::Pace;
    out.replay = ReplayOptions{.pace = mode == "BATCH"             ? Pace::kOneCommit
                                       : mode == "REALTIME_REPLAY" ? Pace::kOwn
                                                                   : Pace::kFast,
                               .continue_after = continues_after_replay(read)};
    return true;
  }
  if (access == "RECORD") {
    make_recording(out);
    return true;
  }
  out.positions_only = access == "OFFSETS_ONLY";
  if (mode == "MANUAL") {
    out.snapshots_on_command = true;
  } else if (mode == "PERIODIC" || mode == "SNAPSHOT") {
    out.snapshot_interval_ns = std::max(interval.value_or(kPeriodNs), kMs);
  } else if (interval && *interval >= kShortestNs) {
    // The log makes every commit durable: a shorter one, or 0 for every commit, needs no snapshots.
    out.snapshot_interval_ns = *interval;
  }
  return true;
}

void sources_of(const plan::Plan& plan, NodeId id, std::vector<bool>& seen, std::vector<const plan::Node*>& out) {
  if (seen[id.value]) return;
  seen[id.value] = true;
  const plan::Node& node = plan.node(id);
  if (std::holds_alternative<plan::Source>(node.params)) out.push_back(&node);
  for (NodeId input : node.inputs) sources_of(plan, input, seen, out);
}

Delivery delivery_of(const std::string& connector) {
  const ConnectorDescriptor* descriptor = find_connector(connector);
  return descriptor ? descriptor->delivery : Delivery::kAtLeastOnce;
}

}  // namespace

std::string folder_name(const std::string& pipeline) {
  std::string out;
  for (char c : pipeline) out += c == '/' || c == '\0' ? '_' : c;
  return out.empty() || out.starts_with('.') ? "_" + out : out;
}

Result<std::optional<DurabilityOptions>> durability_of(const lang::PipelineSettings& settings,
                                                       const PersistencePlace& place) {
  Reader read(settings);
  if (!read.asked()) return std::nullopt;
  DurabilityOptions out;
  if (!TRY(read_mode(read, out))) return std::nullopt;
  TRY(read_backend(read, place, out));
  out.visible_early = settings.visibility == "memory";
  out.exactly_once = settings.delivery == "exactly_once";
  return out;
}

void make_recording(DurabilityOptions& options) {
  options.is_recording = true;
  options.snapshots_on_command = true;
  options.snapshot_at_end = false;
}

std::string_view delivery_text(Delivery delivery) {
  switch (delivery) {
    case Delivery::kBestEffort: return "best effort";
    case Delivery::kAtLeastOnce: return "at least once";
    case Delivery::kEffectivelyOnce: return "effectively once";
    case Delivery::kExactlyOnce: return "exactly once";
  }
  return "";
}

std::vector<OutputGuarantee> guarantees_of(const plan::Plan& plan, bool keeps_state) {
  std::vector<OutputGuarantee> out;
  for (const plan::Node& node : plan.nodes) {
    const auto* output = std::get_if<plan::Output>(&node.params);
    if (!output) continue;
    OutputGuarantee one{.name = node.label, .connector = output->connector};
    one.span = node.span;
    one.delivery = delivery_of(output->connector);
    const Setting* asked = output->args.find("delivery");
    const bool less = asked && asked->as_text() && *asked->as_text() == "at_least_once";
    if (less && one.delivery > Delivery::kAtLeastOnce) {
      one.delivery = Delivery::kAtLeastOnce;
      one.because = "the output is told so (`delivery`)";
    }
    if (one.delivery < Delivery::kEffectivelyOnce && one.because.empty())
      one.because = fmt::format("`{}` has nothing that tells a repeated commit from a new one", output->connector);
    std::vector<bool> seen(plan.nodes.size());
    std::vector<const plan::Node*> sources;
    sources_of(plan, node.id, seen, sources);
    for (const plan::Node* source : sources) {
      const auto& params = std::get<plan::Source>(source->params);
      Delivery given = delivery_of(params.connector);
      if (given >= one.delivery) continue;
      one.delivery = given;
      one.because =
          fmt::format("the source {} (`{}`) cannot be gone on with where it was", source->label, params.connector);
    }
    if (!keeps_state && one.delivery > Delivery::kAtLeastOnce) {
      one.delivery = Delivery::kAtLeastOnce;
      one.because = "no state is kept (`persistence_config`)";
    }
    out.push_back(std::move(one));
  }
  return out;
}

Result<void> check_delivery(const lang::PipelineSettings& settings, const plan::Plan& plan, bool keeps_state) {
  if (settings.delivery != "exactly_once") return {};
  for (const OutputGuarantee& one : guarantees_of(plan, keeps_state)) {
    if (one.delivery >= Delivery::kEffectivelyOnce) continue;
    return fail(Error{Code::kInvalidPipeline,
                      fmt::format("`delivery: exactly_once` cannot be kept for the output {}: it gives {}", one.name,
                                  delivery_text(one.delivery)),
                      one.span,
                      {{one.because, {}}}});
  }
  return {};
}

void keep_answers(functions::NewAnswerPlaces& places, const lang::PipelineSettings& settings,
                  const PersistencePlace& place) {
  const Reader read(settings);
  const Setting* backend = read.backend();
  if (!read.asked() && !settings.with_cache.value_or(false)) return;
  if (backend && (backend->tag.ends_with(".s3") || backend->tag.ends_with(".azure"))) return;
  DurabilityOptions out;
  if (!read_backend(read, place, out) || !place.env) return;
  places.keep_at(out.disk ? out.disk : place.env->disk, out.directory);
}

std::optional<DurabilityOptions> check_persistence(lang::CompileResult& compiled, const PersistencePlace& place) {
  if (!compiled.ok()) return std::nullopt;
  auto options = durability_of(compiled.settings, place);
  if (!options) {
    compiled.diagnostics.report(std::move(options).error());
    return std::nullopt;
  }
  if (auto checked = check_delivery(compiled.settings, compiled.plan, options->has_value()); !checked)
    compiled.diagnostics.report(std::move(checked).error());
  return std::move(*options);
}

}  // namespace thalweg::daemon
