// Every tests/golden/check_fail/NAME.yaml is checked; what is reported must be NAME.expected. THALWEG_ACCEPT=1 writes
// the expectations anew.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "pipeline_lang/compile.h"
#include "tests/pipeline_lang/fake_catalog.h"

using namespace thalweg;
using namespace thalweg::lang;

namespace {

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

}  // namespace

TEST_CASE("errors of wrong pipelines are as written down") {
  const std::filesystem::path folder = std::filesystem::path(THALWEG_SOURCE_ROOT) / "tests/golden/check_fail";
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  REQUIRE_FALSE(files.empty());
  FakeCatalog catalog;
  CompileOptions options;
  options.catalog = &catalog;
  options.environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "HOME_DIRECTORY") return "/home/user";
    return std::nullopt;
  };
  for (const auto& file : files) {
    const CompileResult result = compile_text(file.filename().string(), read_text(file), options);
    const std::string found = render_text(result.diagnostics, *result.files);
    std::filesystem::path expected = file;
    expected.replace_extension(".expected");
    if (std::getenv("THALWEG_ACCEPT") != nullptr) {
      std::ofstream(expected, std::ios::binary) << found;
      continue;
    }
    INFO(file.filename().string());
    CHECK(found == read_text(expected));
  }
}
