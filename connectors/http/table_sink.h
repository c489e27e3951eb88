// connectors/http/table_sink.h
//
// `io.http.write_server`: a route for an exported table. Rows, key lookup and changes are answered by whoever keeps
// exported tables (ConnectorServices::serve_table); the sink only holds the place.
//
//   GET ROUTE            rows: `?key=`, `?k.COLUMN=`, `where`, `select`, `order_by`, `limit`, `cursor`, `at`
//   GET ROUTE/changes    server-sent events; also /snapshot, /diff, /schema
#pragma once

#include <memory>

#include "connectors/http/web_host.h"
#include "connectors/services.h"
#include "engine/io/sink.h"

namespace thalweg::web {

class TableSink final : public Sink {
 public:
  TableSink(RouteSpec route, std::shared_ptr<WebHost> web) : spec_(std::move(route)), web_(std::move(web)) {}
  Result<void> open(const SinkContext& context) override;
  Result<void> write(std::uint64_t /*commit*/, const Batch& /*batch*/) override { return {}; }
  Result<void> end(std::uint64_t /*commit*/) override { return {}; }
  Result<void> close(bool complete) override;
  [[nodiscard]] bool discards() const override { return true; }

 private:
  RouteSpec spec_;
  const std::shared_ptr<WebHost> web_;
  std::unique_ptr<WebHost::Route> route_;
};

}  // namespace thalweg::web
