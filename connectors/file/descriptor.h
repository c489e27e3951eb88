// connectors/file/descriptor.h
//
// io.fs, io.csv, io.jsonlines, io.plaintext.
#pragma once

#include <vector>

#include "connectors/connector.h"

namespace thalweg {

[[nodiscard]] std::vector<ConnectorDescriptor> file_connectors();

}  // namespace thalweg
