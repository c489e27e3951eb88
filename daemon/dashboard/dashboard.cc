#include "daemon/dashboard/dashboard.h"

#include <algorithm>

namespace thalweg::daemon {
namespace {

// Whether a comma-separated field names `word`, whatever its parameters; `gzip;q=0` is a refusal.
bool names(const std::string* field, std::string_view word) {
  if (!field) return false;
  std::string_view rest = *field;
  while (!rest.empty()) {
    std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(item.size() + 1, rest.size()));
    while (item.starts_with(' ')) item.remove_prefix(1);
    std::string_view name = item.substr(0, item.find(';'));
    while (name.ends_with(' ')) name.remove_suffix(1);
    if (name != word) continue;
    std::size_t weight = item.find("q=0");
    return weight == std::string_view::npos || item.find_first_of("123456789", weight + 3) != std::string_view::npos;
  }
  return false;
}

}  // namespace

std::optional<net::HttpResponse> dashboard_response(const net::HttpRequest& request, std::string_view name) {
  auto files = dashboard_files();
  auto file = std::ranges::find(files, name, &DashboardFile::name);
  if (file == files.end()) return std::nullopt;
  net::HttpResponse response;
  response.headers.add("Cache-Control", "no-cache");  // asked for again each time, answered 304 mostly
  response.headers.add("ETag", std::string(file->etag));
  response.headers.add("Vary", "Accept-Encoding");
  const std::string* known = request.headers.find("If-None-Match");
  if (names(known, file->etag) || names(known, "W/" + std::string(file->etag))) {
    response.status = 304;
    return response;
  }
  response.headers.add("Content-Type", std::string(file->type));
  // Nothing is loaded from elsewhere, nothing in a page runs but these files: what tables hold is only ever shown.
  response.headers.add("Content-Security-Policy",
                       "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
                       "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
  response.headers.add("Referrer-Policy", "no-referrer");
  bool packed = names(request.headers.find("Accept-Encoding"), "gzip");
  if (packed) response.headers.add("Content-Encoding", "gzip");
  response.body = packed ? file->gzip : file->plain;
  return response;
}

}  // namespace thalweg::daemon
