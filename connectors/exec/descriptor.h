// connectors/exec/descriptor.h
#pragma once

#include <vector>

#include "connectors/connector.h"

namespace thalweg {

[[nodiscard]] std::vector<ConnectorDescriptor> exec_connectors();

}  // namespace thalweg
