#include "engine/base/crash_point.h"

namespace thalweg {

// Weak, so that the form of thalweg-failpoints counts wherever this one is compiled to.
[[gnu::weak]] void crash_point(std::string_view /*name*/) {}

}  // namespace thalweg
