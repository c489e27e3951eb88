#include "connectors/net/http_server.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <filesystem>
#include <future>
#include <optional>

#include "connectors/net/http_connection.h"

namespace thalweg::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Local = asio::local::stream_protocol;

// ---------------------------------------------------------------- replies

struct HttpReply::Shared {
  explicit Shared(Send s) : send(std::move(s)) {}
  ~Shared() {
    if (sent.exchange(true)) return;
    HttpResponse response;
    response.status = 500;
    response.headers.add("Content-Type", "application/problem+json");
    response.body =
        R"({"type":"about:blank","title":"Internal Server Error","status":500,"code":"internal","detail":"no answer"})"
        "\n";
    send(std::move(response));
  }
  Send send;
  std::atomic<bool> sent{false};
};

HttpReply::HttpReply(Send send) : shared_(std::make_shared<Shared>(std::move(send))) {}

void HttpReply::send(HttpResponse response) const {
  if (!shared_->sent.exchange(true)) shared_->send(std::move(response));
}

// ---------------------------------------------------------------- listening

struct HttpServer::Core : std::enable_shared_from_this<HttpServer::Core> {
  explicit Core(EventLoop& loop) : shared(std::make_shared<ServerShared>()), retry(loop.impl()->io) {
    shared->loop = loop.impl();
  }

  std::shared_ptr<ServerShared> shared;
  Address address;
  std::optional<tcp::acceptor> tcp_acceptor;      // loop thread only, once accepting has begun
  std::optional<Local::acceptor> local_acceptor;  // likewise
  asio::steady_timer retry;

  Result<void> open_tcp();
  Result<void> open_local();
  void accept_tcp();
  void accept_local();
  void accept_again(void (Core::*accept)());
  void take(Socket socket, std::string remote);
  void stop();
};

namespace {

Error cannot_listen(const Address& address, const error_code& error) {
  Code code = error == asio::error::access_denied ? Code::kPermission : Code::kUnavailable;
  return Error{code, "cannot listen on " + address.to_text() + ": " + error.message(), {}, {}};
}

Result<tcp::endpoint> resolve(asio::io_context& io, const Address& address) {
  std::string host = address.host.empty() || address.host == "localhost" ? "127.0.0.1" : address.host;
  if (host == "*") host = "0.0.0.0";
  error_code error;
  asio::ip::address ip = asio::ip::make_address(host, error);
  if (!error) return tcp::endpoint(ip, address.port);
  tcp::resolver resolver(io);
  auto found = resolver.resolve(host, std::to_string(address.port), error);
  if (error || found.empty()) return fail(cannot_listen(address, error));
  return found.begin()->endpoint();
}

std::string text_of(const tcp::endpoint& endpoint) {
  std::string host = endpoint.address().to_string();
  if (endpoint.address().is_v6()) host = "[" + host + "]";
  return host + ":" + std::to_string(endpoint.port());
}

// A socket file that nobody answers on is left over from a process that has died.
bool is_stale(asio::io_context& io, const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_socket(path, ignored)) return false;
  Local::socket probe(io);
  error_code error;
  probe.connect(Local::endpoint(path), error);
  return error == asio::error::connection_refused;
}

}  // namespace

Result<void> HttpServer::Core::open_tcp() {
  tcp::endpoint endpoint = TRY(resolve(shared->loop->io, address));
  tcp_acceptor.emplace(shared->loop->io);
  error_code error;
  tcp_acceptor->open(endpoint.protocol(), error);
  if (!error) tcp_acceptor->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) tcp_acceptor->bind(endpoint, error);
  if (!error) tcp_acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(cannot_listen(address, error));
  address.port = tcp_acceptor->local_endpoint(error).port();
  return {};
}

Result<void> HttpServer::Core::open_local() {
  if (address.unix_path.size() > 100) return fail(Code::kInvalidArgument, "the path of the unix socket is too long");
  error_code error;
  std::error_code ignored;
  if (is_stale(shared->loop->io, address.unix_path)) std::filesystem::remove(address.unix_path, ignored);
  local_acceptor.emplace(shared->loop->io);
  local_acceptor->open(Local(), error);
  if (!error) local_acceptor->bind(Local::endpoint(address.unix_path), error);
  if (!error) local_acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(cannot_listen(address, error));
  return {};
}

void HttpServer::Core::accept_tcp() {
  tcp_acceptor->async_accept([self = shared_from_this()](const error_code& error, tcp::socket socket) {
    if (error == asio::error::operation_aborted || !self->tcp_acceptor->is_open()) return;
    if (error) return self->accept_again(&Core::accept_tcp);
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    std::string remote = text_of(socket.remote_endpoint(ignored));
    self->take(Socket(std::move(socket)), std::move(remote));
    self->accept_tcp();
  });
}

void HttpServer::Core::accept_local() {
  local_acceptor->async_accept([self = shared_from_this()](const error_code& error, Local::socket socket) {
    if (error == asio::error::operation_aborted || !self->local_acceptor->is_open()) return;
    if (error) return self->accept_again(&Core::accept_local);
    self->take(Socket(std::move(socket)), "unix");
    self->accept_local();
  });
}

// Out of file descriptors: trying again at once would spin.
void HttpServer::Core::accept_again(void (Core::*accept)()) {
  retry.expires_after(std::chrono::milliseconds(50));
  retry.async_wait([self = shared_from_this(), accept](const error_code& error) {
    if (!error) (self.get()->*accept)();
  });
}

void HttpServer::Core::take(Socket socket, std::string remote) {
  if (shared->connections.size() >= shared->options.connections_max) {
    ++shared->refused;
    static constexpr std::string_view kFull =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n";
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(kFull.data(), kFull.size()), ignored);
    return;
  }
  ++shared->accepted;
  std::make_shared<Connection>(shared, std::move(socket), std::move(remote))->start();
}

void HttpServer::Core::stop() {
  error_code ignored;
  if (tcp_acceptor) tcp_acceptor->close(ignored);
  if (local_acceptor) {
    local_acceptor->close(ignored);
    std::error_code removed;
    std::filesystem::remove(address.unix_path, removed);
  }
  retry.cancel();
  auto connections = shared->connections;  // close() takes them out of the set
  for (const auto& connection : connections) connection->close();
}

Result<std::unique_ptr<HttpServer>> HttpServer::listen(EventLoop& loop, const Address& address,
                                                       const HttpServerOptions& options, Handler handler) {
  auto core = std::make_shared<Core>(loop);
  core->shared->options = options;
  core->shared->handler = std::move(handler);
  core->address = address;
  if (options.tls.enabled()) core->shared->tls = TRY(TlsContext::make(options.tls));
  bool local = !address.unix_path.empty();
  if (local)
    TRY(core->open_local());
  else
    TRY(core->open_tcp());
  loop.post([core, local] { local ? core->accept_local() : core->accept_tcp(); });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(core)));
}

HttpServer::~HttpServer() {
  std::promise<void> closed;
  asio::post(core_->shared->loop->io, [&] {
    core_->stop();
    closed.set_value();
  });
  closed.get_future().wait();
  ServerShared& shared = *core_->shared;
  std::unique_lock lock(shared.mutex);
  shared.stopped = true;
  shared.idle.wait(lock, [&] { return shared.running == 0; });
}

Result<void> HttpServer::reload_certificates() {
  ServerShared& shared = *core_->shared;
  if (!shared.options.tls.enabled()) return {};
  std::shared_ptr<TlsContext> fresh = TRY(TlsContext::make(shared.options.tls));
  std::lock_guard lock(shared.mutex);
  shared.tls = std::move(fresh);
  return {};
}

const Address& HttpServer::address() const { return core_->address; }

HttpServerStats HttpServer::stats() const {
  const ServerShared& s = *core_->shared;
  return {.open_connections = s.open,
          .accepted_connections = s.accepted,
          .refused_connections = s.refused,
          .malformed_requests = s.malformed,
          .stalled_readers = s.stalled,
          .sent_bytes = s.sent_bytes};
}

}  // namespace thalweg::net
