#include "pipeline_lang/settings.h"

#include <algorithm>

#include "config/decode.h"

namespace thalweg::lang {
namespace {

using config::OptionSpec;
using config::OptionType;

OptionSpec row(std::string name, OptionType type, std::string doc) {
  OptionSpec out;
  out.name = std::move(name);
  out.type = type;
  out.doc = std::move(doc);
  return out;
}

std::vector<OptionSpec> make_specs() {
  std::vector<OptionSpec> out = {
      row("name", OptionType::kText, "The pipeline's name."),
      row("description", OptionType::kText, "What it is for."),
      row("terminate_on_error", OptionType::kBool, "Whether an ERROR value ends the run."),
      row("autocommit_duration_ms", OptionType::kInt, "The longest time that arrived rows wait for a commit."),
      row("host", OptionType::kText, "Where the pipeline's own routes listen."),
      row("with_cache", OptionType::kBool, "Whether answers of language models are kept."),
      row("error_table", OptionType::kText, "The name under which the error log is exported."),
      row("persistence_config", OptionType::kAny, "`!persistence.Config`"),
      row("persistence_backend", OptionType::kAny, "`!persistence.Backend.filesystem`"),
      row("snapshot_interval", OptionType::kDuration, "Time between snapshots."),
      row("snapshot_path", OptionType::kPath, "A folder for snapshots."),
      row("imports", OptionType::kTextList, "Files whose definitions are visible here."),
      row("tests", OptionType::kAny, "Tests of this pipeline."),
      row("auth", OptionType::kAny, "Who may use the pipeline's own routes."),
      row("history", OptionType::kAny, "How far back exported tables go."),
  };
  OptionSpec workers = row("workers", OptionType::kInt, "Worker threads.");
  workers.min = 1;
  workers.max = 256;
  out.push_back(workers);
  OptionSpec port = row("port", OptionType::kInt, "Where the pipeline's own routes listen.");
  port.min = 0;
  port.max = 65535;
  out.push_back(port);
  OptionSpec interval = row("snapshot_interval_ms", OptionType::kInt, "Time between snapshots.");
  interval.min = 0;
  out.push_back(interval);
  const auto choice = [&](std::string name, std::vector<std::string> choices, std::string doc) {
    OptionSpec spec = row(std::move(name), OptionType::kEnum, std::move(doc));
    spec.choices = std::move(choices);
    out.push_back(std::move(spec));
  };
  choice("monitoring_level", {"OFF", "ERROR", "WARN", "INFO", "DEBUG", "NONE", "IN_OUT", "ALL", "AUTO", "AUTO_ALL"},
         "What is logged, or shown on the terminal.");
  choice("delivery", {"exactly_once", "at_least_once"}, "What sinks guarantee.");
  choice("visibility", {"durable", "memory"}, "Whether readers see what is not on disk yet.");
  choice("persistence_mode",
         {"PERSISTING", "OPERATOR_PERSISTING", "SELECTIVE_PERSISTING", "UDF_CACHING", "BATCH", "SPEEDRUN_REPLAY",
          "REALTIME_REPLAY", "ON_STARTUP", "MANUAL", "PERIODIC", "SNAPSHOT"},
         "What is kept, and when.");
  choice("snapshot_access", {"FULL", "RECORD", "REPLAY", "OFFSETS_ONLY"}, "How snapshots are used.");
  out.push_back(row("monitoring", OptionType::kBool, "true: monitoring_level AUTO."));
  // What the RAG applications of the peer read.
  for (const char* name : {"sources", "llm", "embedder", "splitter", "parser", "retriever_factory", "question_answerer",
                           "document_store", "mcp_http", "search_topk", "details_schema", "allow_exec", "allow_paths"})
    out.push_back(row(name, OptionType::kAny, "Read by RAG applications."));
  return out;
}

template <class T>
void put(std::optional<T>& into, const std::optional<T>& value) {
  if (value) into = *value;
}

}  // namespace

const std::vector<OptionSpec>& setting_specs() {
  static const std::vector<OptionSpec> kSpecs = make_specs();
  return kSpecs;
}

bool is_setting_name(std::string_view name) {
  return std::any_of(setting_specs().begin(), setting_specs().end(),
                     [&](const OptionSpec& s) { return s.name == name; });
}

std::vector<std::string> setting_names() {
  std::vector<std::string> out;
  for (const OptionSpec& spec : setting_specs()) out.push_back(spec.name);
  return out;
}

std::optional<Served> SettingsReader::read(const ast::Entry& entry, Scope& scope) {
  // Through the definition, so that `$name` of the same key is the same object.
  const auto found = scope.plain.find(entry.key);
  if (found == scope.plain.end()) return std::nullopt;
  const ObjectPtr value = evaluator_.value_of(*found->second);
  if (value->is_error() || value->is_null()) return std::nullopt;
  const Instance* instance = value->as_instance();
  if (instance != nullptr && instance->made != nullptr) {
    components_.emplace_back(&entry, value);
    return std::nullopt;
  }
  // Parts of applications are for whoever refers to them.
  constexpr std::string_view kParts[] = {"llm",      "embedder",          "splitter",          "parser",
                                         "mcp_http", "retriever_factory", "question_answerer", "document_store"};
  if (value->as_function() != nullptr ||
      (instance != nullptr && std::ranges::find(kParts, entry.key) != std::end(kParts)))
    return std::nullopt;
  if (instance != nullptr && instance->component->kind == ComponentKind::kServer) {
    auto component = evaluator_.to_setting(*value, entry.value->whole_span());
    if (!component) return std::nullopt;
    return Served{entry.key, std::move(*component)};
  }
  // Lists of tables (`sources:`) and schemas are for whoever refers to them.
  if (value->as_table() != nullptr || value->as_schema() != nullptr || value->as_sink() != nullptr) return std::nullopt;
  if (const ListObject* list = value->as_list())
    for (const ObjectPtr& item : list->items)
      if (item->as_table() != nullptr) return std::nullopt;
  if (auto setting = evaluator_.to_setting(*value, entry.value->whole_span()))
    take(entry.key, std::move(*setting), entry.span);
  return std::nullopt;
}

void SettingsReader::take(const std::string& name, Setting value, SourceSpan at) {
  const auto spec =
      std::find_if(setting_specs().begin(), setting_specs().end(), [&](const OptionSpec& s) { return s.name == name; });
  // `monitoring_level: true` is AUTO; OFF is a text here, not false.
  if (name == "monitoring_level" && value.as_bool() != nullptr)
    value = Setting(std::string(*value.as_bool() ? "AUTO" : "OFF"), value.span);
  std::vector<Error> errors;
  Setting::Map one;
  one.emplace_back(name, std::move(value));
  config::DecodeOptions options;
  options.what = "a pipeline";
  options.resolve_path = [&](const Setting& path) {
    return evaluator_.resolve_path(config::as_text(path).value_or(""), path.span);
  };
  const Setting decoded = config::decode(Setting(std::move(one), at), std::span(&*spec, 1), options, errors);
  for (Error& error : errors) evaluator_.diagnostics().report(std::move(error));
  const Setting* result = decoded.find(name);
  if (result == nullptr) return;
  if (name == "name")
    into_.name = config::as_text(*result);
  else if (name == "description")
    into_.description = config::as_text(*result);
  else if (name == "host")
    into_.host = config::as_text(*result);
  else if (name == "monitoring_level")
    into_.monitoring_level = config::as_text(*result);
  else if (name == "monitoring")
    into_.monitoring_level = *config::as_bool(*result) ? "AUTO" : "OFF";
  else if (name == "error_table")
    into_.error_table = config::as_text(*result);
  else if (name == "delivery")
    into_.delivery = config::as_text(*result);
  else if (name == "visibility")
    into_.visibility = config::as_text(*result);
  else if (name == "terminate_on_error")
    put(into_.terminate_on_error, config::as_bool(*result));
  else if (name == "with_cache")
    put(into_.with_cache, config::as_bool(*result));
  else if (name == "workers")
    put(into_.workers, config::as_int(*result));
  else if (name == "port")
    put(into_.port, config::as_int(*result));
  else if (name == "autocommit_duration_ms")
    put(into_.autocommit_duration_ms, config::as_int(*result));
  else if (name == "persistence_config")
    into_.persistence = *result;
  else
    into_.others.emplace_back(name, *result);
}

}  // namespace thalweg::lang
