#include "daemon/load.h"

#include <utility>

namespace thalweg::daemon {

lang::CompileResult Loader::load(const std::string& path, const Overrides& overrides, bool check_only,
                                 std::set<Key> running) const {
  lang::CompileOptions options;
  options.catalog = &catalog_;
  options.environment = env_.variable;
  options.overrides = overrides;
  options.check_only = check_only;
  options.running = std::move(running);
  options.disk = env_.disk.get();
  return lang::compile_file(path, options);
}

std::string pipeline_name(const lang::CompileResult& compiled, const std::string& path) {
  if (compiled.settings.name && !compiled.settings.name->empty()) return *compiled.settings.name;
  std::string name = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  for (std::string_view ending : {".yaml", ".yml"})
    if (name.ends_with(ending) && name.size() > ending.size()) name.resize(name.size() - ending.size());
  return name;
}

}  // namespace thalweg::daemon
