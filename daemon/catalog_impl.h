// daemon/catalog_impl.h
//
// The registries of connectors as the language sees them.
#pragma once

#include "connectors/functions/functions.h"
#include "engine/base/env.h"
#include "pipeline_lang/catalog.h"

namespace thalweg::daemon {

class ConnectorCatalog : public lang::Catalog {
 public:
  explicit ConnectorCatalog(Env& env, FunctionPolicy policy = {}) : env_(env), policy_(policy) {}
  [[nodiscard]] std::vector<const config::ConnectorSpec*> connectors() const override;
  [[nodiscard]] Result<plan::SourceShape> describe_source(const config::ConnectorSpec& connector, const Setting& args,
                                                          const std::vector<plan::SourceField>& schema) const override;
  [[nodiscard]] Result<void> check(const config::ConnectorSpec& connector, const Setting& args,
                                   const Schema& schema) const override;
  [[nodiscard]] std::expected<plan::UserFunctionPtr, plan::FunctionError> make_function(
      const plan::FunctionSpec& spec) const override;
  [[nodiscard]] std::expected<plan::IndexFactoryPtr, plan::FunctionError> make_index(
      const plan::IndexSpec& spec) const override;

 private:
  [[nodiscard]] Result<void> allowed(const config::ConnectorSpec& connector, const Setting& args) const;
  Env& env_;
  FunctionPolicy policy_;  // whether pipelines may start programs
};

}  // namespace thalweg::daemon
