#include "daemon/rest/table_server.h"

#include <algorithm>
#include <array>

namespace thalweg::daemon {
namespace {

ApiOptions inner_options() {
  ApiOptions out;
  out.check_host = false;  // the route's listener has looked
  return out;
}

}  // namespace

TableServer::TableServer(const PipelineSet& pipelines, net::EventLoop& loop, const Env& env)
    : api_(pipelines, loop, env, inner_options()) {}

TableServer::~TableServer() { api_.cancel_waits(); }

void TableServer::handle(const std::string& pipeline, const std::string& table, const std::vector<std::string>& below,
                         net::HttpRequest request, net::HttpReply reply) {
  static constexpr std::array<std::string_view, 5> kBelow = {"schema", "rows", "changes", "snapshot", "diff"};
  const bool known = below.empty() || (below.size() == 1 && std::ranges::find(kBelow, below[0]) != kBelow.end());
  if (!known) return reply.send(to_response({404, "no_such_path", "there is nothing at this path", "", 0, 0}));
  std::string target = "/api/v1/pipelines/" + net::percent_encode(pipeline) + "/tables/" + net::percent_encode(table);
  if (below.empty())
    target += "/rows";
  else if (below[0] != "schema")
    target += "/" + below[0];
  if (const std::size_t mark = request.target.find('?'); mark != std::string::npos)
    target += request.target.substr(mark);
  request.target = std::move(target);
  api_.handle(std::move(request), std::move(reply));
}

}  // namespace thalweg::daemon
