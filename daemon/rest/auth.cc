#include "daemon/rest/auth.h"

namespace thalweg::daemon {
namespace {

// Equal, in a time that does not depend on where they differ.
bool same_digest(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char differs = 0;
  for (std::size_t i = 0; i < a.size(); ++i) differs |= static_cast<unsigned char>(a[i] ^ b[i]);
  return differs == 0;
}

// What follows the scheme in an Authorization header; the scheme's name is case-insensitive.
std::optional<std::string_view> after_scheme(std::string_view header, std::string_view scheme) {
  if (header.size() <= scheme.size() || header[scheme.size()] != ' ') return std::nullopt;
  if (!net::same_field_name(header.substr(0, scheme.size()), scheme)) return std::nullopt;
  header.remove_prefix(scheme.size());
  while (header.starts_with(' ')) header.remove_prefix(1);
  return header;
}

Problem unauthorized(std::string detail) { return Problem{401, "unauthorized", std::move(detail), "", 0, 0}; }

}  // namespace

std::optional<std::string> base64_decoded(std::string_view text) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  std::uint32_t bits = 0;
  int held = 0;
  for (char c : text) {
    std::size_t digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out.push_back(static_cast<char>(bits >> held & 0xFFU));
  }
  return out;
}

std::optional<Role> role_from_text(std::string_view text) {
  for (Role role : {Role::kIngest, Role::kRead, Role::kOperate, Role::kAdmin})
    if (role_text(role) == text) return role;
  return std::nullopt;
}

std::string_view role_text(Role role) {
  switch (role) {
    case Role::kNone: return "none";
    case Role::kIngest: return "ingest";
    case Role::kRead: return "read";
    case Role::kOperate: return "operate";
    case Role::kAdmin: return "admin";
  }
  return "none";
}

Checked<Caller> authenticate(const AuthConfig& auth, const net::HttpRequest& request) {
  if (!auth.enabled()) return Caller{"", Role::kAdmin};
  const std::string* header = request.headers.find("Authorization");
  if (!header) return Caller{"", Role::kNone};
  std::string user;
  std::string secret;
  bool basic = false;
  if (auto token = after_scheme(*header, "Bearer")) {
    secret = *token;
  } else if (auto encoded = after_scheme(*header, "Basic")) {
    auto decoded = base64_decoded(*encoded);
    std::size_t colon = decoded ? decoded->find(':') : std::string::npos;
    if (colon == std::string::npos) return std::unexpected(unauthorized("the credentials are malformed"));
    user = decoded->substr(0, colon);
    secret = decoded->substr(colon + 1);
    basic = true;
  } else {
    return std::unexpected(unauthorized("a bearer token or basic credentials are asked for"));
  }
  std::string digest = sha256_hex(secret);
  const Credential* found = nullptr;
  for (const Credential& credential : auth.credentials)  // all of them: the time tells nothing
    if (credential.basic == basic && same_digest(credential.sha256, digest) && (!basic || credential.name == user))
      found = &credential;
  if (found == nullptr) return std::unexpected(unauthorized("the token or password is not known"));
  return Caller{found->name, found->role};
}

}  // namespace thalweg::daemon
