// connectors/http/rest_source.h
//
// `io.http.rest_connector`: requests as rows, see query_server.h.
#pragma once

#include <memory>

#include "connectors/http/query_server.h"
#include "engine/io/source.h"

namespace thalweg::web {

class RestSource final : public Source {
 public:
  RestSource(const plan::Source& source, std::unique_ptr<WebHost::Route> route, std::shared_ptr<QueryServer> server);
  ~RestSource() override;
  Result<void> run(SourceContext& context) override;

 private:
  [[nodiscard]] bool deliver(const std::vector<QueryServer::Change>& changes, SourceContext& context) const;
  const std::vector<plan::SourceField> fields_;
  const std::unique_ptr<WebHost::Route> route_;
  const std::shared_ptr<QueryServer> server_;
};

}  // namespace thalweg::web
