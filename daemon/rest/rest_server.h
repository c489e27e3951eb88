// daemon/rest/rest_server.h
//
// A listener with the REST surface behind it: loop, routes and sockets, ended in the right order.
#pragma once

#include <memory>

#include "connectors/net/http_server.h"
#include "daemon/rest/api.h"

namespace thalweg::daemon {

class RestServer {
 public:
  // `pipelines` and `control` must outlive the server.
  [[nodiscard]] static Result<std::unique_ptr<RestServer>> listen(const net::Address& address,
                                                                  const PipelineSet& pipelines, const Env& env,
                                                                  const net::HttpServerOptions& options = {},
                                                                  ApiOptions api_options = {},
                                                                  PipelineControl* control = nullptr);
  ~RestServer();
  [[nodiscard]] const net::Address& address() const { return server_->address(); }
  [[nodiscard]] Result<void> reload_certificates() { return server_->reload_certificates(); }

 private:
  RestServer() = default;
  std::unique_ptr<net::EventLoop> loop_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<net::HttpServer> server_;
};

}  // namespace thalweg::daemon
