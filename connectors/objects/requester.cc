#include "connectors/objects/requester.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>
#include <thread>

namespace thalweg::objects {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr int kSoonMax = 4;

net::HttpPoolOptions pool_options(const RequesterOptions& options) {
  net::HttpPoolOptions out;
  out.limits.body_bytes = 256ULL << 20;
  out.connect_ms_max = options.connect_ms_max;
  out.tls = options.tls;
  out.policy = options.policy;
  out.cancelled = options.cancelled;
  return out;
}

std::optional<std::int64_t> from_parts(std::tm parts, std::int64_t extra_ns) {
  const std::time_t seconds = timegm(&parts);
  if (seconds == static_cast<std::time_t>(-1)) return std::nullopt;
  return static_cast<std::int64_t>(seconds) * kSecond + extra_ns;
}

}  // namespace

std::optional<std::int64_t> http_time_ns(std::string_view text) {
  std::tm parts{};
  const std::string copy(text);
  const char* end = strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S", &parts);
  return end == nullptr ? std::nullopt : from_parts(parts, 0);
}

std::string http_time(std::int64_t wall_ns) {
  const std::time_t seconds = wall_ns / kSecond;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  const std::size_t size = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text, size};
}

std::optional<std::int64_t> iso_time_ns(std::string_view text) {
  std::tm parts{};
  const std::string copy(text);
  const char* end = strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (end == nullptr) return std::nullopt;
  std::int64_t fraction = 0;
  if (*end == '.') {
    std::int64_t unit = kSecond;
    for (++end; *end >= '0' && *end <= '9'; ++end) fraction += (*end - '0') * (unit /= 10);
  }
  return from_parts(parts, fraction);
}

Requester::Requester(RequesterOptions options) : options_(std::move(options)), pool_(pool_options(options_)) {}

bool Requester::learn_time(const net::HttpResponse& response) {
  const std::string* date = response.headers.find("Date");
  const auto theirs = date ? http_time_ns(*date) : std::nullopt;
  if (!theirs) return false;
  const std::int64_t skew = *theirs - options_.clock->wall_ns();
  const std::int64_t before = skew_ns_.exchange(skew);
  return std::abs(skew - before) > 2 * kSecond;
}

bool Requester::pause(int attempt, const net::HttpResponse* answer) {
  std::int64_t ms = options_.first_pause_ms;
  for (int i = 0; i < attempt && ms < options_.pause_ms_max; ++i) ms *= 2;
  ms = std::min(ms, options_.pause_ms_max);
  {
    // Half of it by chance, so that those who failed together do not come back together.
    const std::lock_guard lock(rng_mutex_);
    ms = ms / 2 + static_cast<std::int64_t>(options_.rng->next() % static_cast<std::uint64_t>(ms / 2 + 1));
  }
  if (const std::string* after = answer ? answer->headers.find("Retry-After") : nullptr) {
    std::int64_t seconds = 0;
    auto [end, error] = std::from_chars(after->data(), after->data() + after->size(), seconds);
    if (error == std::errc() && seconds > 0) ms = std::min(seconds * 1000, options_.pause_ms_max);
  }
  for (; ms > 0; ms -= 20) {
    if (cancelled()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(std::min<std::int64_t>(ms, 20)));
  }
  return !cancelled();
}

Result<net::HttpResponse> Requester::send(const std::function<Result<Attempt>()>& make,
                                          const std::function<Verdict(const net::HttpResponse&)>& judge) {
  int soon = 0;
  for (int attempt = 0;; ++attempt) {
    if (cancelled()) return fail(Code::kCancelled, "the run is stopping");
    Attempt next = TRY(make());
    Result<net::HttpResponse> answer = pool_.request(next.url, std::move(next.request), options_.request_ms_max);
    if (!answer && answer.error().code == Code::kPermission) return answer;
    if (!answer && cancelled()) return fail(Code::kCancelled, "the run is stopping");
    if (answer) {
      Verdict verdict = is_passing(answer->status) ? Verdict::kAgain : Verdict::kTake;
      if (judge) verdict = judge(*answer);
      if (verdict == Verdict::kTake) return answer;
      if (verdict == Verdict::kAgainSoon && ++soon <= kSoonMax) {
        --attempt;
        continue;
      }
    }
    if (attempt + 1 >= options_.attempts_max) {
      if (answer) return answer;
      return fail(Code::kUnavailable, std::move(answer).error().message);
    }
    if (!pause(attempt, answer ? &*answer : nullptr)) return fail(Code::kCancelled, "the run is stopping");
  }
}

}  // namespace thalweg::objects
