// daemon/version.h
#pragma once

#include <string>
#include <string_view>

namespace thalweg::daemon {

[[nodiscard]] std::string_view version_text();  // `0.1.0`
// Compiler, build type and key hash version beside it.
[[nodiscard]] std::string version_json();

}  // namespace thalweg::daemon
