#include <cstdio>

#include "connectors/registry.h"
#include "daemon/commands/commands.h"
#include "daemon/console.h"
#include "daemon/environment.h"
#include "daemon/json_writer.h"
#include "daemon/load.h"
#include "daemon/persistence.h"

namespace thalweg::daemon {
namespace {

// Arrays of diagnostics, one per file, as one array.
void append_list(std::string_view array, std::string& out) {
  std::size_t begin = array.find('[');
  std::size_t end = array.rfind(']');
  if (begin == std::string_view::npos || end == std::string_view::npos) return;
  std::string_view inside = array.substr(begin + 1, end - begin - 1);
  if (inside.find('{') == std::string_view::npos) return;
  if (!out.empty()) out += ",";
  out += inside;
}

// The columns that were guessed from a sample: what to write into `schema:`, should they be right.
void print_inferred(const lang::CompileResult& compiled) {
  for (const lang::InferredSchema& guess : compiled.inferred) {
    std::string columns;
    for (const ColumnSpec& column : guess.schema.columns)
      columns += (columns.empty() ? "" : ", ") + column.name + ": " + column.type.to_text();
    const LineColumn at = compiled.files->locate(guess.span);
    std::printf("%s:%u: `%s` has the inferred schema {%s}\n",
                std::string(compiled.files->name(guess.span.file)).c_str(), at.line, guess.name.c_str(),
                columns.c_str());
  }
}

// Reaches what arguments name; true if all can be. With `json` the answers go there, else to the console.
bool probe_all(const lang::CompileResult& compiled, JsonWriter* json, Env& env) {
  bool reached = true;
  for (const plan::Node& node : compiled.plan.nodes) {
    const auto* source = std::get_if<plan::Source>(&node.params);
    const auto* output = std::get_if<plan::Output>(&node.params);
    if (!source && !output) continue;
    const std::string& name = source ? source->connector : output->connector;
    const ConnectorDescriptor* connector = find_connector(name);
    if (!connector || !connector->probe) continue;
    auto probed = connector->probe(source ? source->args : output->args, env);
    reached = reached && probed;
    std::string text = name + " " + (source ? source->name : output->name) + ": " +
                       (probed ? std::string("reached") : probed.error().message);
    if (json) {
      json->begin_object().field("connector", name).field("name", source ? source->name : output->name);
      json->field("reached", probed.has_value());
      if (!probed) json->field("error", probed.error().message);
      json->end_object();
    } else if (!probed) {
      complain(text);
    } else {
      std::printf("%s\n", text.c_str());
    }
  }
  return reached;
}

}  // namespace

int run_command(const CheckArgs& args) {
  Env env = real_env();
  if (auto added = add_env_file(args.env_file, env); !added) {
    complain(added.error().message);
    return kExitUsage;
  }
  Loader loader(env);
  bool valid = true;
  bool reached = true;
  std::string json;
  std::string probes;
  JsonWriter probes_json(probes);
  probes_json.begin_array();
  for (const std::string& path : args.files) {
    lang::CompileResult compiled = loader.load(path, args.overrides, true);
    (void)check_persistence(compiled, {.pipeline = pipeline_name(compiled, path), .state_dir = ".", .env = &env});
    valid = valid && compiled.ok();
    if (args.probe && compiled.ok()) reached = probe_all(compiled, args.json ? &probes_json : nullptr, env) && reached;
    if (args.json) {
      append_list(lang::render_json(compiled.diagnostics, *compiled.files), json);
      continue;
    }
    print_diagnostics(compiled.diagnostics, *compiled.files);
    print_inferred(compiled);
    if (compiled.ok())
      std::printf("%s: ok\n", path.c_str());
    else
      std::printf("%s: %zu error%s\n", path.c_str(), compiled.diagnostics.num_errors(),
                  compiled.diagnostics.num_errors() == 1 ? "" : "s");
  }
  probes_json.end_array();
  if (args.json)
    std::printf("{\"valid\":%s,\"diagnostics\":[%s]%s%s}\n", valid ? "true" : "false", json.c_str(),
                args.probe ? ",\"probes\":" : "", args.probe ? probes.c_str() : "");
  if (!valid) return kExitInvalid;
  return reached ? kExitOk : kExitFailed;
}

}  // namespace thalweg::daemon
