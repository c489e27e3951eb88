// connectors/http/openapi.h
//
// `/_schema`: an OpenAPI 3.0 description of the routes of a listener, as YAML or, with `?format=json`, as JSON.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "connectors/http/web_host.h"

namespace thalweg::web {

[[nodiscard]] net::HttpResponse describe_routes(const std::vector<const RouteSpec*>& routes,
                                                const net::HttpRequest& request,
                                                const std::vector<std::pair<std::string, std::string>>& query);

}  // namespace thalweg::web
