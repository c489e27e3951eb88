// daemon/rest/route.h
//
// The table of routes: what a path means, which query parameters it takes, and its documentation. Handlers, the
// check of parameters and /openapi.json come from the same rows.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connectors/net/http_message.h"
#include "daemon/rest/problem.h"

namespace thalweg::daemon {

class Api;

struct QueryParameter {
  std::string_view name;  // ends in `.`: a prefix, the rest is a column
  std::string_view type;  // of JSON schema: string, integer, boolean
  std::string_view doc;
  std::string_view example = "";
  std::string_view schema = "";  // further members of its JSON schema: `"minimum":1`
};

// Who may ask: each role may do what those before it may, but for reading, which is no right to send rows.
enum class Role : std::uint8_t { kNone, kIngest, kRead, kOperate, kAdmin };
[[nodiscard]] inline bool may_ingest(Role role) { return role != Role::kNone && role != Role::kRead; }

// A request after matching.
struct Call {
  const net::HttpRequest* request = nullptr;
  std::vector<std::pair<std::string_view, std::string>> path;  // `p` → the pipeline's name
  std::vector<std::pair<std::string, std::string>> query;
  Role role = Role::kAdmin;  // of who asks
  std::string caller;        // by name; empty: nobody in particular

  [[nodiscard]] const std::string& in_path(std::string_view name) const;
  [[nodiscard]] const std::string* find(std::string_view name) const;
  [[nodiscard]] Checked<std::uint64_t> number(std::string_view name, std::uint64_t fallback, std::uint64_t max) const;
  [[nodiscard]] Checked<bool> flag(std::string_view name) const;
};

struct Route {
  std::string_view method;
  std::string_view path;  // `/api/v1/pipelines/{p}`
  std::string_view id;    // operationId
  std::string_view summary;
  std::string_view content;  // media type of a good answer
  std::vector<QueryParameter> query;
  Answer (Api::*handler)(const Call&);
  Role role = Role::kRead;
  std::string_view body = "";  // media type of what is sent
  std::string_view body_doc = "";
  std::string_view body_schema = "";  // JSON
};

// The row for a request and its path parameters. No path: 404; another method: 405 with `allow` filled.
struct Match {
  const Route* route = nullptr;
  std::vector<std::pair<std::string_view, std::string>> path;
  std::string allow;  // `GET, HEAD`, where the path exists with other methods
};
[[nodiscard]] Match match(const std::vector<Route>& routes, std::string_view method,
                          const std::vector<std::string>& segments);
// Unknown and repeated parameters are errors.
[[nodiscard]] std::optional<Problem> check_query(const Route& route,
                                                 const std::vector<std::pair<std::string, std::string>>& query);
// OpenAPI 3.1, JSON.
[[nodiscard]] std::string openapi_document(const std::vector<Route>& routes);

}  // namespace thalweg::daemon
