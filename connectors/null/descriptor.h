// connectors/null/descriptor.h
//
// io.null.write, io.stdout.write.
#pragma once

#include <vector>

#include "connectors/connector.h"

namespace thalweg {

[[nodiscard]] std::vector<ConnectorDescriptor> null_connectors();

}  // namespace thalweg
