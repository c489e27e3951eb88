// daemon/testing/read_file.h
//
// A whole YAML file through the disk interface; larger than the language allows is an error.
#pragma once

#include <string>

#include "engine/base/env.h"

namespace thalweg::testing {

[[nodiscard]] Result<std::string> read_whole_file(Disk& disk, const std::string& path);

}  // namespace thalweg::testing
