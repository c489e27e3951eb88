// connectors/http/descriptor.h
#pragma once

#include <vector>

#include "connectors/connector.h"

namespace thalweg {

[[nodiscard]] std::vector<ConnectorDescriptor> http_connectors();

}  // namespace thalweg
