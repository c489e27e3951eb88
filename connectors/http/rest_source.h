// connectors/http/rest_source.h
//
// `io.http.rest_connector`: requests as rows, see query_server.h.
//
// R1  Where the pipeline keeps its state, queries that were not completed when the process ended are taken back at the
//     next start: whoever asked is gone.
#pragma once

#include <memory>

#include "connectors/http/query_server.h"
#include "engine/io/source.h"

namespace thalweg::web {

class RestSource final : public Source {
 public:
  RestSource(const plan::Source& source, std::unique_ptr<WebHost::Route> route, std::shared_ptr<QueryServer> server,
             bool delete_completed);
  ~RestSource() override;
  Result<void> run(SourceContext& context) override;

 private:
  [[nodiscard]] bool take_back_saved(SourceContext& context) const;
  [[nodiscard]] bool deliver(const std::vector<QueryServer::Change>& changes, SourceContext& context) const;
  const std::vector<plan::SourceField> fields_;
  const bool delete_completed_;
  const std::unique_ptr<WebHost::Route> route_;
  const std::shared_ptr<QueryServer> server_;
};

}  // namespace thalweg::web
