// connectors/sqlite/descriptor.h
//
// `io.sqlite.read`, `io.sqlite.write`.
#pragma once

#include <vector>

#include "connectors/connector.h"

namespace thalweg {

[[nodiscard]] std::vector<ConnectorDescriptor> sqlite_connectors();

}  // namespace thalweg
