// daemon/rest/table_server.h
//
// Exported tables on routes that pipelines choose (`io.http.write_server`): the same answers as below
// /api/v1/pipelines/{p}/tables/{t}. Who may ask was settled by the route.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "connectors/net/http_server.h"
#include "daemon/rest/api.h"

namespace thalweg::daemon {

class TableServer {
 public:
  // `pipelines` and `loop` must outlive it.
  TableServer(const PipelineSet& pipelines, net::EventLoop& loop, const Env& env);
  ~TableServer();
  // `below`: nothing for the rows, else `schema`, `rows`, `changes`, `snapshot` or `diff`.
  void handle(const std::string& pipeline, const std::string& table, const std::vector<std::string>& below,
              net::HttpRequest request, net::HttpReply reply);

 private:
  Api api_;
};

}  // namespace thalweg::daemon
