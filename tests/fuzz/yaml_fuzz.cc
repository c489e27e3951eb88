// Any bytes are a YAML text: the answer is a tree or errors, and every error can be printed.
#include <cstddef>
#include <cstdint>
#include <string>

#include "pipeline_lang/yaml_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thalweg;
  FileTable files;
  const FileId file = files.add("fuzz.yaml", std::string(reinterpret_cast<const char*>(data), size));
  lang::Diagnostics diagnostics;
  ast::NodePtr tree = read_yaml(files, file, diagnostics);
  diagnostics.sort();
  if (lang::render_text(diagnostics, files).empty() && diagnostics.has_errors()) __builtin_trap();
  if (!tree && !diagnostics.has_errors()) __builtin_trap();
  return 0;
}
