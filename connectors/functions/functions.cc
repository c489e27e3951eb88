#include "connectors/functions/functions.h"

#include "connectors/functions/lua_function.h"
#include "connectors/functions/remote_function.h"

namespace thalweg {

std::expected<plan::UserFunctionPtr, plan::FunctionError> make_function(const plan::FunctionSpec& spec, const FunctionPolicy& policy) {
  if (spec.kind == "lua") return functions::make_lua(spec);
  if (spec.kind == "http") return functions::make_http(spec);
  plan::FunctionError wrong;
  if (spec.kind == "exec" && policy.allow_exec) return functions::make_exec(spec);
  wrong.message = spec.kind == "exec" ? "pipelines may not start programs here" : "`udf." + spec.kind + "` is not built into this version";
  if (spec.kind == "exec") wrong.hint = "`allow_exec` in the daemon's configuration permits it";
  return std::unexpected(std::move(wrong));
}

}  // namespace thalweg
