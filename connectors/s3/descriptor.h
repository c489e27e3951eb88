// connectors/s3/descriptor.h
#pragma once

#include <vector>

#include "connectors/connector.h"

namespace thalweg {

[[nodiscard]] std::vector<ConnectorDescriptor> s3_connectors();

}  // namespace thalweg
