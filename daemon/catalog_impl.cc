#include "daemon/catalog_impl.h"

#include <algorithm>

#include "connectors/registry.h"
#include "engine/base/ensure.h"
#include "llm/functions/functions.h"
#include "llm/index/factory.h"

namespace thalweg::daemon {
namespace {

const ConnectorDescriptor& descriptor_of(const config::ConnectorSpec& spec) {
  for (const ConnectorDescriptor& descriptor : all_connectors())
    if (descriptor.spec.name == spec.name && descriptor.spec.role == spec.role) return descriptor;
  UNREACHABLE();
}

// Passwords may come from a program (`password_command`), flat or in a block of settings.
bool starts_program(const Setting& args) {
  const Setting::Map* map = args.as_map();
  if (map == nullptr) return false;
  return std::ranges::any_of(*map, [](const auto& argument) {
    return (argument.first == "password_command" && !argument.second.is_null()) || starts_program(argument.second);
  });
}

}  // namespace

std::vector<const config::ConnectorSpec*> ConnectorCatalog::connectors() const {
  std::vector<const config::ConnectorSpec*> out;
  for (const ConnectorDescriptor& descriptor : all_connectors()) out.push_back(&descriptor.spec);
  return out;
}

Result<void> ConnectorCatalog::allowed(const config::ConnectorSpec& connector, const Setting& args) const {
  if (policy_.allow_exec || !(connector.name.starts_with("io.exec.") || starts_program(args))) return {};
  return fail(Error{Code::kPermission, "pipelines may not start programs here", args.span, {}}.with_note(
      "`allow_exec` in the daemon's configuration permits it"));
}

Result<plan::SourceShape> ConnectorCatalog::describe_source(const config::ConnectorSpec& connector, const Setting& args,
                                                            const std::vector<plan::SourceField>& schema) const {
  TRY(allowed(connector, args));
  const ConnectorDescriptor& descriptor = descriptor_of(connector);
  if (!descriptor.describe) return plan::SourceShape{.fields = schema};
  return descriptor.describe(args, schema, env_);
}

Result<void> ConnectorCatalog::check(const config::ConnectorSpec& connector, const Setting& args,
                                     const Schema& schema) const {
  TRY(allowed(connector, args));
  const ConnectorDescriptor& descriptor = descriptor_of(connector);
  if (!descriptor.check) return {};
  return descriptor.check(args, schema);
}

std::expected<plan::UserFunctionPtr, plan::FunctionError> ConnectorCatalog::make_function(
    const plan::FunctionSpec& spec) const {
  if (spec.kind.starts_with("llm.")) return llm::make_function(spec, policy_.egress);
  return thalweg::make_function(spec, policy_);
}

std::expected<plan::IndexFactoryPtr, plan::FunctionError> ConnectorCatalog::make_index(
    const plan::IndexSpec& spec) const {
  return llm::make_index(spec);
}

}  // namespace thalweg::daemon
