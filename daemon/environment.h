// daemon/environment.h
//
// The environment variables that a command sees: the process's own, then those of a file.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/base/env.h"

namespace thalweg::daemon {

using Variables = std::vector<std::pair<std::string, std::string>>;

// NAME=VALUE lines, `#` comments, `export` before a name, quotes around a value. The error names the line.
[[nodiscard]] Result<Variables> read_env_file(const std::string& path, Disk& disk);
// Adds the variables of `path`; without a path those of `.env` in the working directory, if there is one. What the
// process has itself wins.
[[nodiscard]] Result<void> add_env_file(const std::string& path, Env& env);

}  // namespace thalweg::daemon
