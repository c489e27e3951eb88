#include "connectors/functions/functions.h"

#include <fmt/format.h>
#include <xxhash.h>

#include "connectors/functions/lua_function.h"
#include "connectors/functions/remote_function.h"

namespace thalweg {

namespace {

// All that a setting says, in order; for a hash.
void append(const Setting& setting, std::string& out) {
  out += setting.tag + '\0';
  if (const bool* v = setting.as_bool()) out += *v ? "true" : "false";
  if (const std::int64_t* v = setting.as_int()) out += fmt::format("i{}", *v);
  if (const double* v = setting.as_float()) out += fmt::format("f{}", *v);
  if (const std::string* v = setting.as_text()) out += fmt::format("t{}:{}", v->size(), *v);
  if (const Setting::List* list = setting.as_list()) {
    out += '[';
    for (const Setting& item : *list) append(item, out);
    out += ']';
  }
  if (const Setting::Map* map = setting.as_map()) {
    out += '{';
    for (const auto& [key, value] : *map) {
      out += fmt::format("{}:{}", key.size(), key);
      append(value, out);
    }
    out += '}';
  }
}

}  // namespace

std::string function_text(const plan::FunctionSpec& spec) {
  std::string all = spec.returns.to_text() + (spec.deterministic ? "d" : "") + (spec.propagate_none ? "n" : "");
  for (const std::string& name : spec.arg_names) all += '\0' + name;
  append(spec.options, all);
  for (const auto& [name, function] : spec.functions) all += '\0' + name + '\0' + function->text();
  return fmt::format("{}:{}@{:016x}", spec.kind, spec.name, XXH3_64bits(all.data(), all.size()));
}

std::expected<plan::UserFunctionPtr, plan::FunctionError> make_function(const plan::FunctionSpec& spec,
                                                                        const FunctionPolicy& policy) {
  if (spec.kind == "lua") return functions::make_lua(spec, function_text(spec));
  if (spec.kind == "http") return functions::make_http(spec, function_text(spec), policy.egress);
  plan::FunctionError wrong;
  if (spec.kind == "exec" && policy.allow_exec) return functions::make_exec(spec, function_text(spec));
  wrong.message = spec.kind == "exec" ? "pipelines may not start programs here"
                                      : "`udf." + spec.kind + "` is not built into this version";
  if (spec.kind == "exec") wrong.hint = "`allow_exec` in the daemon's configuration permits it";
  return std::unexpected(std::move(wrong));
}

}  // namespace thalweg
