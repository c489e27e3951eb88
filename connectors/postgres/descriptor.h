// connectors/postgres/descriptor.h
//
// `io.postgres.read`, `io.postgres.write`, `io.postgres.write_snapshot`.
#pragma once

#include <vector>

#include "connectors/connector.h"

namespace thalweg {

[[nodiscard]] std::vector<ConnectorDescriptor> postgres_connectors();

}  // namespace thalweg
