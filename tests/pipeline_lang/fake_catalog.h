// tests/pipeline_lang/fake_catalog.h
//
// Connectors that only exist as descriptions, for tests of the language.
#pragma once

#include <string>
#include <vector>

#include "pipeline_lang/catalog.h"

namespace thalweg::lang {

class FakeCatalog : public Catalog {
 public:
  FakeCatalog();
  [[nodiscard]] std::vector<const config::ConnectorSpec*> connectors() const override;
  // Without a schema every source has the column `data: str`.
  [[nodiscard]] Result<plan::SourceShape> describe_source(const config::ConnectorSpec& connector, const Setting& args,
                                                          const std::vector<plan::SourceField>& schema) const override;

 private:
  std::vector<config::ConnectorSpec> specs_;
};

}  // namespace thalweg::lang
