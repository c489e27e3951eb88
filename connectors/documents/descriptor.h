// connectors/documents/descriptor.h
#pragma once

#include <vector>

#include "connectors/connector.h"

namespace thalweg {

[[nodiscard]] std::vector<ConnectorDescriptor> document_connectors();

}  // namespace thalweg
