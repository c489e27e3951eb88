// daemon/rest/page.h
//
// The built-in pages: self-contained, nothing loaded from elsewhere.
#pragma once

#include <string>
#include <vector>

#include "daemon/rest/route.h"

namespace thalweg::daemon {

// Where the dashboard would be, if it had been built in.
[[nodiscard]] std::string no_dashboard_page();
[[nodiscard]] std::string docs_page(const std::vector<Route>& routes);

}  // namespace thalweg::daemon
