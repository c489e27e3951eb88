// daemon/rest/auth.h
//
// Who may do what: bearer tokens and basic passwords, kept as SHA-256 only, each with a role. Comparisons take the same
// time whatever they find.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "connectors/net/http_message.h"
#include "daemon/rest/problem.h"
#include "daemon/rest/route.h"
#include "engine/base/result.h"

namespace thalweg::daemon {

struct Credential {
  std::string name;    // for the log
  std::string sha256;  // 64 hex digits, lower case; of the token or the password
  Role role = Role::kRead;
  bool basic = false;  // `name` is the user
};

struct AuthConfig {
  std::vector<Credential> credentials;
  [[nodiscard]] bool enabled() const { return !credentials.empty(); }
};

struct Caller {
  std::string name;  // empty: nobody in particular
  Role role = Role::kNone;
};

// Nothing wrong with the request as such; whether the role suffices is for the caller. 401 with a challenge otherwise.
[[nodiscard]] Checked<Caller> authenticate(const AuthConfig& auth, const net::HttpRequest& request);

[[nodiscard]] std::optional<Role> role_from_text(std::string_view text);
[[nodiscard]] std::string_view role_text(Role role);
// 64 lower-case hex digits.
[[nodiscard]] std::string sha256_hex(std::string_view bytes);
[[nodiscard]] std::optional<std::string> base64_decoded(std::string_view text);

}  // namespace thalweg::daemon
