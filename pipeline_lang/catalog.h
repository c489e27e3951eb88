// pipeline_lang/catalog.h
//
// What the language knows of the world outside: connectors and further components. The composition root implements
// it; without one only tables written in the file can be read.
#pragma once

#include <vector>

#include "config/option_spec.h"
#include "engine/base/result.h"
#include "engine/plan/index.h"
#include "engine/plan/source_shape.h"
#include "engine/plan/user_function.h"
#include "pipeline_lang/component.h"

namespace thalweg::lang {

class Catalog {
 public:
  virtual ~Catalog() = default;
  [[nodiscard]] virtual std::vector<const config::ConnectorSpec*> connectors() const = 0;
  // Servers, LLM components.
  [[nodiscard]] virtual std::vector<const Component*> components() const { return {}; }
  // The columns of a source: `schema` is what the pipeline declares (maybe nothing).
  [[nodiscard]] virtual Result<plan::SourceShape> describe_source(
      const config::ConnectorSpec& connector, const Setting& args,
      const std::vector<plan::SourceField>& schema) const = 0;
  // Arguments that contradict each other or the columns.
  [[nodiscard]] virtual Result<void> check(const config::ConnectorSpec& /*connector*/, const Setting& /*args*/,
                                           const Schema& /*schema*/) const {
    return {};
  }
  // A user's function; nothing outside this process is started for it.
  [[nodiscard]] virtual std::expected<plan::UserFunctionPtr, plan::FunctionError> make_function(
      const plan::FunctionSpec& spec) const {
    return std::unexpected(plan::FunctionError{.message = "`udf." + spec.kind + "` is not available here"});
  }
  // An index over texts or vectors.
  [[nodiscard]] virtual std::expected<plan::IndexFactoryPtr, plan::FunctionError> make_index(
      const plan::IndexSpec& /*spec*/) const {
    return std::unexpected(plan::FunctionError{.message = "indexes are not available here"});
  }
};

}  // namespace thalweg::lang
