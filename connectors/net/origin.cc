#include "connectors/net/origin.h"

namespace thalweg::net {
namespace {

bool is_address(std::string_view host) {
  if (host.starts_with('[')) return true;
  return !host.empty() && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

bool names_this_machine(std::string_view host) {
  if (!host.starts_with('[')) host = host.substr(0, host.rfind(':'));
  return is_address(host) || same_field_name(host, "localhost") || host.ends_with(".localhost") || host.empty();
}

bool is_cross_origin(const HttpRequest& request) {
  if (request.method == "GET" || request.method == "HEAD") return false;
  const std::string* origin = request.headers.find("Origin");
  const std::string* host = request.headers.find("Host");
  const std::string* site = request.headers.find("Sec-Fetch-Site");
  if (site != nullptr && *site != "same-origin" && *site != "none") return true;
  if (origin == nullptr || host == nullptr) return false;
  const std::size_t scheme = origin->find("://");
  return scheme == std::string::npos || origin->substr(scheme + 3) != *host;
}

}  // namespace thalweg::net
