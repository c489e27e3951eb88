// connectors/registry.h
//
// The table of connectors: checking, documentation and building all start here.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "connectors/connector.h"
#include "engine/io/connectors.h"

namespace thalweg {

[[nodiscard]] const std::vector<ConnectorDescriptor>& all_connectors();
// By name or alias; null if there is none. A module may have a source and a sink: `io.csv.read`, `io.csv.write`.
[[nodiscard]] const ConnectorDescriptor* find_connector(std::string_view name);
// Names that are known but not built into this version, for better messages than "unknown".
[[nodiscard]] const std::vector<std::string>& known_but_not_built();

// What the engine is given.
[[nodiscard]] std::unique_ptr<ConnectorFactory> make_connector_factory(ConnectorServices services = {});

}  // namespace thalweg
