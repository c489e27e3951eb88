#include "daemon/testing/find_tests.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace thalweg::testing {
namespace {

namespace fs = std::filesystem;

bool is_yaml(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".yaml" || extension == ".yml";
}

Result<void> add_directory(const std::string& directory, std::vector<TestPath>& out) {
  std::error_code error;
  std::vector<std::string> found;
  auto walk = fs::recursive_directory_iterator(directory, fs::directory_options::skip_permission_denied, error);
  for (; !error && walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    std::error_code ignored;
    if (!walk->is_regular_file(ignored) || !is_yaml(walk->path())) continue;
    if (found.size() >= kTestFilesMax) return fail(Code::kTooLarge, "more than 100,000 files in " + directory);
    found.push_back(walk->path().lexically_normal().string());
  }
  if (error) return fail(Code::kIo, "cannot read " + directory + ": " + error.message());
  std::sort(found.begin(), found.end());
  for (std::string& path : found) out.push_back({std::move(path), false});
  return {};
}

}  // namespace

Result<std::vector<TestPath>> find_test_files(const std::vector<std::string>& paths) {
  std::vector<TestPath> out;
  for (const std::string& path : paths) {
    std::error_code error;
    if (fs::is_directory(path, error)) {
      TRY(add_directory(path, out));
    } else if (fs::exists(path, error)) {
      out.push_back({path, true});
    } else {
      return fail(Code::kNotFound, "no such file or directory: " + path);
    }
  }
  return out;
}

}  // namespace thalweg::testing
