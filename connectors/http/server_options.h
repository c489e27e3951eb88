// connectors/http/server_options.h
//
// Options that connectors with routes have in common, and what they mean.
#pragma once

#include <string>
#include <vector>

#include "config/option_spec.h"
#include "connectors/http/web_host.h"
#include "connectors/services.h"

namespace thalweg::web {

// `webserver`, `host`, `port`, `route`, `auth`, `tls`, `with_cors`, `documentation`.
[[nodiscard]] std::vector<config::OptionSpec> server_options();
// Arguments that contradict each other, with their place.
[[nodiscard]] Result<void> check_server(const Setting& args);
// Place, path, access, documentation; methods and handler are for the connector.
[[nodiscard]] Result<RouteSpec> route_from(const Setting& args, const ConnectorServices& services);
[[nodiscard]] Result<std::vector<std::string>> methods_from(const Setting& args, std::string_view fallback);

// A listener of a pipeline's own, as far as its arguments say.
struct OwnListener {
  std::string host;  // as written; empty: not given
  std::uint16_t port = 0;
  bool has_auth = false;
};
// Nothing if the connector has none (no port given, or no server at all).
[[nodiscard]] std::optional<OwnListener> own_listener(const std::string& connector, const Setting& args);

}  // namespace thalweg::web
