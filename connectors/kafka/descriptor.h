// connectors/kafka/descriptor.h
#pragma once

#include <vector>

#include "connectors/connector.h"

namespace thalweg {

[[nodiscard]] std::vector<ConnectorDescriptor> kafka_connectors();

}  // namespace thalweg
