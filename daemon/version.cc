#include "daemon/version.h"

#include "engine/types/key.h"

#ifndef THALWEG_VERSION
#define THALWEG_VERSION "unknown"
#endif

namespace thalweg::daemon {

std::string_view version_text() { return THALWEG_VERSION; }

std::string version_json() {
  return std::string(R"({"name":"thalweg","version":")") + THALWEG_VERSION + R"(","compiler":"g++ )" + __VERSION__ +
         R"(","key_hash_version":)" + std::to_string(kKeyHashVersion) + "}";
}

}  // namespace thalweg::daemon
