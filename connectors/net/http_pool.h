// connectors/net/http_pool.h
//
// A blocking HTTP client for many servers and many threads: URLs, TLS, connections kept for the next request. Whoever
// calls waits on its own thread; as many requests are under way as threads call.
// Threads  any.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/net/http_client.h"

namespace thalweg::net {

struct Url {
  bool tls = false;
  Address address;
  std::string host;    // for the Host field: with the port where it is not the scheme's
  std::string target;  // path and query, `/` at least
};
// `http://host:port/path?query`, `https://…`; user and password are refused, a fragment is dropped.
[[nodiscard]] Result<Url> parse_url(std::string_view text);

struct HttpPoolOptions {
  HttpLimits limits{.header_bytes = 64 * 1024, .body_bytes = 64ULL << 20};
  std::int64_t connect_ms_max = 10'000;
  std::size_t idle_max = 64;                    // connections kept open, all servers together
  TlsOptions tls;                               // the host comes from the URL
  std::shared_ptr<const AddressPolicy> policy;  // null: anywhere
  std::function<bool()> cancelled;              // as HttpClientOptions::cancelled
};

class HttpPool {
 public:
  explicit HttpPool(HttpPoolOptions options = {}) : options_(std::move(options)) {}

  // `request.target` is that of the URL; Host, Content-Length and User-Agent are written here. Redirects are answers
  // like others. `timeout_ms` is for all of it, connecting included. Errors as HttpClient::request.
  [[nodiscard]] Result<HttpResponse> request(const Url& url, HttpRequest request, std::int64_t timeout_ms);
  // The body as it comes, on a connection of its own; `silence_ms` is how long nothing may come. As HttpClient::stream.
  [[nodiscard]] Result<HttpResponse> stream(const Url& url, HttpRequest request, std::int64_t silence_ms,
                                            const std::function<bool(std::string_view)>& on_bytes,
                                            const std::function<bool(const HttpResponse&)>& on_head);

 private:
  [[nodiscard]] std::unique_ptr<HttpClient> make(const Url& url) const;
  [[nodiscard]] std::unique_ptr<HttpClient> take(const std::string& origin);
  void give_back(const std::string& origin, std::unique_ptr<HttpClient> client);

  const HttpPoolOptions options_;
  std::mutex mutex_;
  std::map<std::string, std::vector<std::unique_ptr<HttpClient>>> idle_;
  std::size_t num_idle_ = 0;
};

}  // namespace thalweg::net
