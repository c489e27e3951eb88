// daemon/testing/find_tests.h
//
// The files that `thalweg test PATH…` means: a file as it is; of a directory, at any depth, every `*.test.yaml` and
// every other YAML file that has a `tests:` key.
#pragma once

#include <string>
#include <vector>

#include "engine/base/result.h"

namespace thalweg::testing {

struct TestPath {
  std::string path;
  bool named = false;  // given by the user, not found in a directory
};

inline constexpr std::size_t kTestFilesMax = 100'000;

// In order of the arguments, then by name. An argument that is neither file nor directory is an error.
[[nodiscard]] Result<std::vector<TestPath>> find_test_files(const std::vector<std::string>& paths);

}  // namespace thalweg::testing
