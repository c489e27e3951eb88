#include "daemon/rest/rest_server.h"

namespace thalweg::daemon {
namespace {

// Handlers read tables and write text, run queries, and wait for reloads: a slow one must not hold up a fast one.
constexpr unsigned kHandlerThreads = 6;

}  // namespace

Result<std::unique_ptr<RestServer>> RestServer::listen(const net::Address& address, const PipelineSet& pipelines,
                                                       const Env& env, const net::HttpServerOptions& options,
                                                       ApiOptions api_options, PipelineControl* control) {
  std::unique_ptr<RestServer> out(new RestServer);
  api_options.check_host =
      api_options.check_host && !api_options.auth.enabled() && address.is_loopback() && address.unix_path.empty();
  out->loop_ = std::make_unique<net::EventLoop>(kHandlerThreads);
  out->api_ = std::make_unique<Api>(pipelines, *out->loop_, env, api_options);
  Api* api = out->api_.get();
  api->set_control(control);
  out->server_ =
      TRY(net::HttpServer::listen(*out->loop_, address, options, [api](net::HttpRequest request, net::HttpReply reply) {
        api->handle(std::move(request), std::move(reply));
      }));
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
