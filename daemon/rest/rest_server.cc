#include "daemon/rest/rest_server.h"

namespace thalweg::daemon {
namespace {

// Handlers read tables and write text; three keep a slow query from holding up a fast one.
constexpr unsigned kHandlerThreads = 3;

}  // namespace

Result<std::unique_ptr<RestServer>> RestServer::listen(const net::Address& address, const PipelineSet& pipelines,
                                                       const Env& env, const net::HttpServerOptions& options,
                                                       ApiOptions api_options) {
  std::unique_ptr<RestServer> out(new RestServer);
  api_options.check_host = api_options.check_host && address.is_loopback() && address.unix_path.empty();
  out->loop_ = std::make_unique<net::EventLoop>(kHandlerThreads);
  out->api_ = std::make_unique<Api>(pipelines, *out->loop_, env, api_options);
  Api* api = out->api_.get();
  out->server_ = TRY(net::HttpServer::listen(
      *out->loop_, address, options,
      [api](net::HttpRequest request, net::HttpReply reply) { api->handle(std::move(request), std::move(reply)); }));
  net::HttpServer* server = out->server_.get();
  api->set_server_stats([server] { return server->stats(); });
  return out;
}

RestServer::~RestServer() {
  server_.reset();  // no new requests, no running handlers
  if (api_) api_->cancel_waits();
  loop_.reset();
  api_.reset();
}

}  // namespace thalweg::daemon
