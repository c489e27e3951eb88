#include "daemon/commands/commands.h"

#include <cstdio>

#include "daemon/version.h"

namespace thalweg::daemon {

int run_command(const VersionArgs& args) {
  if (args.json) {
    std::printf("%s\n", version_json().c_str());
  } else {
    std::printf("thalweg %.*s\n", static_cast<int>(version_text().size()), version_text().data());
  }
  return kExitOk;
}

}  // namespace thalweg::daemon
