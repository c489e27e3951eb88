// connectors/http/rest_source.h
//
// `io.http.rest_connector`: requests as rows, see query_server.h.
//
// R1  Where the pipeline keeps its state, queries that were not completed when the process ended are taken back at the
//     next start: whoever asked is gone.
#pragma once

#include <memory>

#include "connectors/http/mcp_server.h"
#include "connectors/http/query_server.h"
#include "engine/io/source.h"

namespace thalweg::web {

class RestSource final : public Source {
 public:
  // Where its requests come from: a route, or a tool of an MCP server.
  struct Front {
    std::unique_ptr<WebHost::Route> route;
    std::unique_ptr<McpOffer> tool;
    void close() const;
  };
  RestSource(const plan::Source& source, Front front, std::shared_ptr<QueryServer> server, bool delete_completed);
  ~RestSource() override;
  Result<void> run(SourceContext& context) override;

 private:
  [[nodiscard]] bool take_back_saved(SourceContext& context) const;
  [[nodiscard]] bool deliver(const std::vector<QueryServer::Change>& changes, SourceContext& context) const;
  const std::vector<plan::SourceField> fields_;
  const bool delete_completed_;
  const Front front_;
  const std::shared_ptr<QueryServer> server_;
};

}  // namespace thalweg::web
