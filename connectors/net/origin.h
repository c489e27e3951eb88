// connectors/net/origin.h
//
// Where a request comes from, as far as a browser tells: pages of other sites must not reach what has no password.
#pragma once

#include <string_view>

#include "connectors/net/http_message.h"

namespace thalweg::net {

// A Host header that is an address or a name of this machine. Others lead here through a name that somebody else
// controls (DNS rebinding).
[[nodiscard]] bool names_this_machine(std::string_view host);
// A request that changes something or takes work, made by a page of another site.
[[nodiscard]] bool is_cross_origin(const HttpRequest& request);

}  // namespace thalweg::net
