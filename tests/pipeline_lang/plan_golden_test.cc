// Every tests/golden/plan/NAME.yaml is compiled; its plan must be NAME.expected. THALWEG_ACCEPT=1 writes the
// expectations anew.
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

TEST_CASE("pipelines become the plans that are written down") {
  const std::filesystem::path folder = std::filesystem::path(THALWEG_SOURCE_ROOT) / "tests/golden/plan";
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  REQUIRE_FALSE(files.empty());
  FakeCatalog catalog;
  CompileOptions options;
  options.catalog = &catalog;
  for (const auto& file : files) {
    const CompileResult result = compile_text(file.filename().string(), read_text(file), options);
    std::string found = render_text(result.diagnostics, *result.files);
    if (result.ok()) found += plan::to_text(result.plan);
    std::filesystem::path expected = file;
    expected.replace_extension(".expected");
    if (std::getenv("THALWEG_ACCEPT") != nullptr) {
      std::ofstream(expected, std::ios::binary) << found;
      continue;
    }
    INFO(file.filename().string());
    CHECK(result.ok());
    CHECK(found == read_text(expected));
  }
}
