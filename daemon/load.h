// daemon/load.h
//
// From a file's path to a checked pipeline, with everything of this machine that a pipeline may see.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "daemon/args.h"
#include "daemon/catalog_impl.h"
#include "pipeline_lang/compile.h"

namespace thalweg::daemon {

class Loader {
 public:
  explicit Loader(Env& env) : env_(env), catalog_(env) {}
  // Errors and warnings are in the result; nothing is printed.
  // `running`: fingerprints of what has state that should go on.
  [[nodiscard]] lang::CompileResult load(const std::string& path, const Overrides& overrides, bool check_only = false,
                                         std::set<Key> running = {}) const;
  [[nodiscard]] const ConnectorCatalog& catalog() const { return catalog_; }

 private:
  Env& env_;
  ConnectorCatalog catalog_;
};

// `name:` of the file, else the file's name without directories and `.yaml`.
[[nodiscard]] std::string pipeline_name(const lang::CompileResult& compiled, const std::string& path);

}  // namespace thalweg::daemon
