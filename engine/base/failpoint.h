// engine/base/failpoint.h
//
// Mistakes that a test build can make on purpose, to see whether the tests notice. In every other build none is made
// and nothing is left of the question.
#pragma once

#include <string>
#include <string_view>

namespace thalweg {

#ifdef THALWEG_FAILPOINTS
inline std::string& failpoint_now() {
  static std::string name;
  return name;
}
// The mistake of this name is to be made.
inline bool makes_mistake(std::string_view name) { return failpoint_now() == name; }
#else
constexpr bool makes_mistake(std::string_view /*name*/) { return false; }
#endif

}  // namespace thalweg
