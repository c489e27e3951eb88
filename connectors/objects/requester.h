// connectors/objects/requester.h
//
// Requests to object stores, repeated where that helps: no answer, 408, 429, 5xx. The caller makes every attempt anew,
// because signatures hold the time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "connectors/net/http_pool.h"
#include "engine/base/env.h"

namespace thalweg::objects {

struct RequesterOptions {
  std::shared_ptr<Clock> clock;
  std::shared_ptr<Rng> rng;
  std::shared_ptr<const net::AddressPolicy> policy;  // null: anywhere
  net::TlsOptions tls;
  std::function<bool()> cancelled;  // null: never; any thread
  int attempts_max = 8;
  std::int64_t first_pause_ms = 100;
  std::int64_t pause_ms_max = 5'000;
  std::int64_t connect_ms_max = 5'000;
  std::int64_t request_ms_max = 60'000;
};

class Requester {
 public:
  struct Attempt {
    net::Url url;
    net::HttpRequest request;
  };
  // What is to be done with an answer.
  enum class Verdict : std::uint8_t {
    kTake,
    kAgain,      // after a pause
    kAgainSoon,  // something was put right (region, clock, credentials): at once, a few times
  };
  explicit Requester(RequesterOptions options);

  // `make` gives the next attempt; `judge` may be empty: then is_passing() decides.
  [[nodiscard]] Result<net::HttpResponse> send(const std::function<Result<Attempt>()>& make,
                                               const std::function<Verdict(const net::HttpResponse&)>& judge = {});
  // Wall time as the servers see it.
  [[nodiscard]] std::int64_t server_ns() const { return options_.clock->wall_ns() + skew_ns_.load(); }
  // Takes over the time of an answer's Date field. False: it tells nothing new.
  bool learn_time(const net::HttpResponse& response);
  [[nodiscard]] static bool is_passing(unsigned status) { return status == 408 || status == 429 || status >= 500; }
  [[nodiscard]] const RequesterOptions& options() const { return options_; }

 private:
  [[nodiscard]] bool cancelled() const { return options_.cancelled && options_.cancelled(); }
  // False: it was cancelled.
  [[nodiscard]] bool pause(int attempt, const net::HttpResponse* answer);

  const RequesterOptions options_;
  net::HttpPool pool_;
  std::atomic<std::int64_t> skew_ns_{0};
  std::mutex rng_mutex_;
};

// `Sun, 06 Nov 1994 08:49:37 GMT`; and `2015-08-30T12:36:00.000Z`. Nanoseconds since the epoch.
[[nodiscard]] std::optional<std::int64_t> http_time_ns(std::string_view text);
[[nodiscard]] std::string http_time(std::int64_t wall_ns);
[[nodiscard]] std::optional<std::int64_t> iso_time_ns(std::string_view text);

}  // namespace thalweg::objects
