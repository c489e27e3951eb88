// connectors/http/fetch.h
//
// Requests of connectors to other servers: options, redirects, repetitions.
//
//   request ─► answer ─┬► redirect: again elsewhere, without credentials if that is another origin
//                      ├► a code of `retry_codes`, or no answer: again after a pause, `n_retries` times
//                      └► the rest is the caller's
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/option_spec.h"
#include "connectors/net/http_pool.h"
#include "connectors/services.h"
#include "engine/base/env.h"
#include "engine/base/setting.h"

namespace thalweg::web {

struct RetryPolicy {
  std::int64_t first_delay_ms = 1000;
  double backoff_factor = 1.5;
  std::int64_t jitter_ms = 300;
  [[nodiscard]] std::int64_t delay_ms(std::int64_t attempt, Rng& rng) const;  // before attempt 1, 2, …
};

struct FetchOptions {
  net::Url url;
  std::string method = "GET";
  std::string payload;
  std::vector<std::pair<std::string, std::string>> headers;
  std::int64_t retries_max = 0;
  RetryPolicy retry;
  std::vector<std::int64_t> retry_codes;
  std::int64_t connect_ms_max = 10'000;
  std::int64_t request_ms_max = 60'000;
  bool follow_redirects = true;
  net::TlsOptions tls;
  std::shared_ptr<const net::AddressPolicy> policy;
};

// `method` … `retry_codes`, `headers`, `api_key`, `tls`: of all clients.
[[nodiscard]] std::vector<config::OptionSpec> fetch_options(const std::string& default_method);
[[nodiscard]] Result<FetchOptions> fetch_from(const Setting& args, const ConnectorServices& services);
// The same without connecting anywhere: a URL that is none, a header that is none.
[[nodiscard]] Result<void> check_fetch(const Setting& args);

class Fetcher {
 public:
  // `wait` sleeps so many nanoseconds and is false if the run stops; `cancelled` as in HttpClientOptions.
  Fetcher(FetchOptions options, std::shared_ptr<Rng> rng, std::function<bool(std::int64_t)> wait,
          std::function<bool()> cancelled = {});
  // The answer, whatever its status. kUnavailable after the last repetition; kPermission for an address that is not
  // allowed; kCancelled if the run stops.
  [[nodiscard]] Result<net::HttpResponse> fetch(net::HttpRequest request);
  // With body and headers of the options.
  [[nodiscard]] net::HttpRequest request() const;
  // One answer that comes bit by bit; not repeated.
  [[nodiscard]] Result<net::HttpResponse> stream(net::HttpRequest request,
                                                 const std::function<bool(std::string_view)>& on_bytes,
                                                 const std::function<bool(const net::HttpResponse&)>& on_head);
  // Sleeps as the policy says, or as the answer asks for. False: the run stops.
  [[nodiscard]] bool pause(std::int64_t attempt, const net::HttpResponse* answer);
  [[nodiscard]] bool is_retry_code(unsigned status) const;
  [[nodiscard]] const FetchOptions& options() const { return options_; }

 private:
  // The next request of a redirect, or none.
  [[nodiscard]] Result<bool> redirect(const net::HttpResponse& answer, net::Url& url, net::HttpRequest& request) const;

  const FetchOptions options_;
  const std::shared_ptr<Rng> rng_;
  const std::function<bool(std::int64_t)> wait_;
  const std::function<bool()> cancelled_;
  net::HttpPool pool_;
};

// `500 Internal Server Error: first line of the body`.
[[nodiscard]] std::string answer_text(const net::HttpResponse& answer);

}  // namespace thalweg::web
