#include "engine/base/huge_pages.h"

#include <unistd.h>

#include <array>
#include <climits>
#include <cstdlib>
#include <cstring>

namespace thalweg {

namespace {

constexpr const char* kVariable = "GLIBC_TUNABLES";
constexpr const char* kWish = "glibc.malloc.hugetlb=1";

constexpr bool sanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#else
  return false;
#endif
}

}  // namespace

void use_huge_pages(char** argv) {
  if (sanitized()) return;
  if (const char* tunables = std::getenv(kVariable)) {
    if (std::strcmp(tunables, kWish) == 0) ::unsetenv(kVariable);
    return;
  }
  std::array<char, PATH_MAX> program{};  // by its path, so that the process keeps its name
  if (::readlink("/proc/self/exe", program.data(), program.size() - 1) < 0) return;
  if (::setenv(kVariable, kWish, 1) != 0) return;
  ::execv(program.data(), argv);
  ::unsetenv(kVariable);  // the file is gone or may not be run: the program goes on as it is
}

}  // namespace thalweg
