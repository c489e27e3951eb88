// connectors/http/access.h
//
// Who may ask a route of a pipeline: API keys (bearer tokens, or in `X-API-Key`) and users with passwords. Comparing
// takes a time that depends on the lengths only.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connectors/net/http_message.h"
#include "engine/base/setting.h"

namespace thalweg::web {

struct Access {
  std::vector<std::string> api_keys;
  std::vector<std::pair<std::string, std::string>> users;  // and passwords
  [[nodiscard]] bool open() const { return api_keys.empty() && users.empty(); }
  [[nodiscard]] bool admits(const net::HttpRequest& request) const;
  [[nodiscard]] std::string_view challenge() const;  // of a 401 answer
};

// `auth: {api_keys: [..], basic: {user: password}}`; `basic` may be a list of {user, password}, too.
[[nodiscard]] Access access_from(const Setting& auth);

}  // namespace thalweg::web
