// daemon/dashboard/dashboard.h
//
// The files of the dashboard, as they are in daemon/dashboard/web and inside the program.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "connectors/net/http_message.h"

namespace thalweg::daemon {

struct DashboardFile {
  std::string_view name;  // `app.js`
  std::string_view type;  // media type
  std::string_view etag;  // with its quotes
  std::string_view plain;
  std::string_view gzip;
};

// Empty where the program was built with -Ddashboard=false. Made by embed.py.
[[nodiscard]] std::span<const DashboardFile> dashboard_files();

// The answer for a file: 304 where the reader has it, packed where it takes that. Nothing: there is no such file.
[[nodiscard]] std::optional<net::HttpResponse> dashboard_response(const net::HttpRequest& request,
                                                                  std::string_view name);

}  // namespace thalweg::daemon
