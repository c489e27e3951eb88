// daemon/rest/page.h
//
// The built-in pages: self-contained, nothing loaded from elsewhere.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/rest/route.h"

namespace thalweg::daemon {

[[nodiscard]] std::string_view status_page();
[[nodiscard]] std::string docs_page(const std::vector<Route>& routes);

}  // namespace thalweg::daemon
