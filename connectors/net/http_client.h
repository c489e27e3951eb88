// connectors/net/http_client.h
//
// A blocking HTTP/1.1 client for one server: keep-alive, time limits, streamed answers. For commands, tests, and
// connectors that have a thread of their own.
// Threads  one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "connectors/net/address_policy.h"
#include "connectors/net/http_message.h"
#include "connectors/net/http_parser.h"
#include "connectors/net/tls.h"
#include "engine/base/result.h"

namespace thalweg::net {

struct HttpClientOptions {
  std::int64_t connect_ms_max = 5'000;
  std::int64_t request_ms_max = 60'000;  // from sending to the last byte; streams: between two pieces
  HttpLimits limits{.header_bytes = 64 * 1024, .body_bytes = 1ULL << 30};
  bool tls = false;
  TlsOptions tls_options;
  std::shared_ptr<const AddressPolicy> policy;  // null: anywhere
  std::function<bool()> cancelled;              // asked while waiting; true ends the request (kCancelled)
};

class HttpClient {
 public:
  explicit HttpClient(Address server, HttpClientOptions options = {});
  ~HttpClient();

  // Host, Content-Length and Connection are written by the client. A connection that the server closed while it was
  // idle is opened anew, once. kUnavailable: no connection, or it broke; kCancelled: a time limit.
  [[nodiscard]] Result<HttpResponse> request(const HttpRequest& request);
  [[nodiscard]] Result<HttpResponse> get(std::string target);
  // Hands over the body as it comes; `on_bytes` returns false to stop. Before it `on_head`, which may decline the body.
  // The response has no body.
  [[nodiscard]] Result<HttpResponse> stream(const HttpRequest& request,
                                            const std::function<bool(std::string_view)>& on_bytes,
                                            const std::function<bool(const HttpResponse&)>& on_head = {});
  void close();
  [[nodiscard]] bool is_open() const { return wire_ != nullptr; }
  // For the requests to come: connecting included, at most so long.
  void limit_time(std::int64_t ms);

 private:
  class Wire;
  Result<void> send(const HttpRequest& request, bool& reused);
  Result<HttpResponse> receive(const HttpRequest& request);
  Address server_;
  HttpClientOptions options_;
  std::unique_ptr<Wire> wire_;
};

}  // namespace thalweg::net
