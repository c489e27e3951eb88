// connectors/generator/descriptor.h
//
// demo.range_stream, demo.noisy_linear_stream, demo.generate_custom_stream, demo.replay_csv, demo.replay_csv_with_time.
#pragma once

#include <vector>

#include "connectors/connector.h"

namespace thalweg {

[[nodiscard]] std::vector<ConnectorDescriptor> generator_connectors();

}  // namespace thalweg
