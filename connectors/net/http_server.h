// connectors/net/http_server.h
//
// An HTTP/1.1 server on TCP or a unix socket.
//
//   read head → read body → handler → write ─┬→ read head (keep-alive, pipelined requests wait their turn)
//                                             └→ close
//
// H1  One request of a connection is in work at a time; its answer goes out before the next is read.
// H2  Memory of a connection is bounded: one request (header_bytes + body_bytes), one response or one stream piece.
// H3  Every wait has an end: an idle, slow or silent peer is dropped, never waited for by anyone else.
// Threads  handlers run on the handler threads of the loop; replies may be sent from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "connectors/net/event_loop.h"
#include "connectors/net/http_message.h"
#include "connectors/net/http_parser.h"
#include "connectors/net/tls_server.h"
#include "engine/base/result.h"

namespace thalweg::net {

struct HttpServerOptions {
  HttpLimits limits;
  std::uint32_t connections_max = 1024;  // more are answered 503 and closed
  std::int64_t header_ms_max = 10'000;   // from the first byte of a head to its end
  std::int64_t body_ms_max = 60'000;
  std::int64_t idle_ms_max = 75'000;   // between requests
  std::int64_t stall_ms_max = 30'000;  // a reader that takes nothing for this long is dropped
  std::int64_t heartbeat_ms = 15'000;  // a waiting stream is asked for a sign of life
  TlsServerOptions tls;                // with a certificate: TLS only
};

struct HttpServerStats {
  std::uint64_t open_connections = 0;
  std::uint64_t accepted_connections = 0;
  std::uint64_t refused_connections = 0;  // over connections_max
  std::uint64_t malformed_requests = 0;
  std::uint64_t stalled_readers = 0;
  std::uint64_t sent_bytes = 0;
};

// The one answer to a request. Copies share it; only the first send counts. If all copies go without an answer, the
// answer is 500.
class HttpReply {
 public:
  using Send = std::function<void(HttpResponse)>;
  explicit HttpReply(Send send);
  void send(HttpResponse response) const;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

class HttpServer {
 public:
  using Handler = std::function<void(HttpRequest, HttpReply)>;
  // Listens at once; a taken port, an unknown host or a refused path is an error.
  [[nodiscard]] static Result<std::unique_ptr<HttpServer>> listen(EventLoop& loop, const Address& address,
                                                                  const HttpServerOptions& options, Handler handler);
  // Closes every connection; waits for handlers that are running. Call before the loop ends.
  ~HttpServer();
  [[nodiscard]] const Address& address() const;  // with the port that was chosen for port 0
  [[nodiscard]] HttpServerStats stats() const;
  // Reads the files of `tls` again, for connections to come. On an error those of before stay in use.
  [[nodiscard]] Result<void> reload_certificates();

  struct Core;  // http_server.cc

 private:
  explicit HttpServer(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  std::shared_ptr<Core> core_;
};

}  // namespace thalweg::net
