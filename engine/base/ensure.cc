#include "engine/base/ensure.h"

#include <cstdio>
#include <cstdlib>

namespace thalweg::detail {

void ensure_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "thalweg: invariant broken at %s:%d: %s\n", file, line, condition);
  std::abort();
}

}  // namespace thalweg::detail
