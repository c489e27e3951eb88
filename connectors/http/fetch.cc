#include "connectors/http/fetch.h"

#include <algorithm>
#include <cmath>

#include "connectors/setting_reader.h"

namespace thalweg::web {
namespace {

using config::OptionSpec;
using config::OptionType;

constexpr int kRedirectsMax = 5;
constexpr std::int64_t kDelayMsMax = 60'000;
constexpr std::size_t kBodyShown = 200;

bool is_header(std::string_view name, std::string_view value) {
  if (name.empty() || name.find_first_of(" :\t") != std::string_view::npos) return false;
  const auto printable = [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != 0x7F; };
  return std::ranges::all_of(name, printable) && std::ranges::all_of(value, printable);
}

RetryPolicy policy_from(const Setting& args) {
  RetryPolicy out;
  const Setting* given = args.find("retry_policy");
  if (given == nullptr || given->as_map() == nullptr) return out;
  const SettingReader read(*given);
  out.first_delay_ms = read.integer("first_delay_ms", out.first_delay_ms);
  out.backoff_factor = std::max(1.0, read.number("backoff_factor", out.backoff_factor));
  out.jitter_ms = std::max<std::int64_t>(0, read.integer("jitter_ms", out.jitter_ms));
  return out;
}

bool same_origin(const net::Url& a, const net::Url& b) {
  return a.tls == b.tls && a.address.port == b.address.port && net::same_field_name(a.address.host, b.address.host);
}

std::int64_t retry_after_ms(const net::HttpResponse& answer) {
  const std::string* after = answer.headers.find("Retry-After");
  if (after == nullptr) return 0;
  std::int64_t seconds = 0;
  for (const char c : *after) seconds = c >= '0' && c <= '9' && seconds < 3600 ? seconds * 10 + (c - '0') : 0;
  return std::min(seconds * 1000, kDelayMsMax);
}

}  // namespace

std::int64_t RetryPolicy::delay_ms(std::int64_t attempt, Rng& rng) const {
  const double grown = static_cast<double>(first_delay_ms) * std::pow(backoff_factor, static_cast<double>(attempt - 1));
  const auto base = static_cast<std::int64_t>(std::min(grown, static_cast<double>(kDelayMsMax)));
  const std::uint64_t jitter = jitter_ms > 0 ? rng.next() % static_cast<std::uint64_t>(jitter_ms + 1) : 0;
  return base + static_cast<std::int64_t>(jitter);
}

std::vector<OptionSpec> fetch_options(const std::string& default_method) {
  return {
      {.name = "method",
       .type = OptionType::kEnum,
       .fallback = default_method,
       .doc = "of the request",
       .choices = {"GET", "POST", "PUT", "PATCH", "DELETE"}},
      {.name = "headers", .type = OptionType::kTextMap, .doc = "header fields", .secret = true},
      {.name = "api_key", .doc = "sent as `Authorization: Bearer KEY`, or in `api_key_header`", .secret = true},
      {.name = "api_key_header", .doc = "the header field that carries the key as it is"},
      {.name = "n_retries",
       .type = OptionType::kInt,
       .fallback = "0",
       .doc = "how often a request that failed is repeated",
       .min = 0,
       .max = 1e6},
      {.name = "retry_policy",
       .type = OptionType::kMap,
       .doc = "pauses before repetitions: `!io.http.RetryPolicy {first_delay_ms: 1000, backoff_factor: 1.5, jitter_ms: "
              "300}`",
       .fields =
           {{.name = "first_delay_ms", .type = OptionType::kInt, .doc = "the first", .min = 0},
            {.name = "backoff_factor", .type = OptionType::kFloat, .doc = "how much longer each next one is", .min = 1},
            {.name = "jitter_ms", .type = OptionType::kInt, .doc = "up to so much more, at random", .min = 0}}},
      {.name = "retry_codes", .type = OptionType::kList, .doc = "answers that are repeated; 429, 500, 502, 503, 504"},
      {.name = "connect_timeout_ms", .type = OptionType::kInt, .fallback = "10000", .doc = "for connecting", .min = 1},
      {.name = "request_timeout_ms",
       .type = OptionType::kInt,
       .fallback = "60000",
       .doc = "for a request and its answer; of a stream: between two pieces",
       .min = 1},
      {.name = "allow_redirects",
       .type = OptionType::kBool,
       .fallback = "true",
       .doc = "go where the answer leads, at most five times"},
      {.name = "tls",
       .type = OptionType::kMap,
       .doc = "for https",
       .fields = {{.name = "ca_file", .type = OptionType::kPath, .doc = "authorities beside the system's (PEM)"},
                  {.name = "cert", .type = OptionType::kPath, .doc = "our certificate (PEM)"},
                  {.name = "key", .type = OptionType::kPath, .doc = "its private key (PEM)"},
                  {.name = "verify", .type = OptionType::kBool, .doc = "false: trust anybody (for tests)"}}}};
}

Result<FetchOptions> fetch_from(const Setting& args, const ConnectorServices& services) {
  const SettingReader read(args);
  FetchOptions out;
  auto url = net::parse_url(read.text("url"));
  if (!url) return fail(Code::kInvalidPipeline, url.error().message, read.span("url"));
  out.url = std::move(*url);
  out.method = read.text("method", "GET");
  if (const Setting* payload = args.find("payload"); payload != nullptr && !payload->is_null())
    out.payload = payload->as_text() != nullptr ? *payload->as_text() : payload->spelling;
  if (const Setting* headers = read.map("headers"))
    for (const auto& [name, value] : *headers->as_map()) {
      std::string content = value.as_text() != nullptr ? *value.as_text() : value.spelling;
      if (!is_header(name, content))
        return fail(Code::kInvalidPipeline, "`" + name + "` is no header field", read.span("headers"));
      out.headers.emplace_back(name, std::move(content));
    }
  if (const std::string key = read.text("api_key"); !key.empty()) {
    const std::string header = read.text("api_key_header");
    if (!is_header(header.empty() ? "Authorization" : header, key))
      return fail(Code::kInvalidPipeline, "`api_key` cannot be sent in a header field", read.span("api_key"));
    out.headers.emplace_back(header.empty() ? "Authorization" : header, header.empty() ? "Bearer " + key : key);
  } else if (read.has("api_key_header")) {
    return fail(Code::kInvalidPipeline, "`api_key_header` needs an `api_key`", read.span("api_key_header"));
  }
  out.retries_max = read.integer("n_retries", 0);
  out.retry = policy_from(args);
  out.retry_codes = {429, 500, 502, 503, 504};
  if (const Setting* codes = args.find("retry_codes"); codes != nullptr && codes->as_list() != nullptr) {
    out.retry_codes.clear();
    for (const Setting& code : *codes->as_list()) {
      if (code.as_int() == nullptr)
        return fail(Code::kInvalidPipeline, "`retry_codes` is a list of ints", read.span("retry_codes"));
      out.retry_codes.push_back(*code.as_int());
    }
  }
  out.connect_ms_max = read.integer("connect_timeout_ms", out.connect_ms_max);
  out.request_ms_max = read.integer("request_timeout_ms", out.request_ms_max);
  out.follow_redirects = read.flag("allow_redirects", true);
  if (const Setting* tls = read.map("tls")) {
    const SettingReader of_tls(*tls);
    out.tls.ca_file = of_tls.text("ca_file");
    out.tls.cert_file = of_tls.text("cert");
    out.tls.key_file = of_tls.text("key");
    out.tls.verify = of_tls.flag("verify", true);
  }
  out.policy = services.egress;
  return out;
}

Result<void> check_fetch(const Setting& args) {
  TRY(fetch_from(args, {}));
  return {};
}

Fetcher::Fetcher(FetchOptions options, std::shared_ptr<Rng> rng, std::function<bool(std::int64_t)> wait,
                 std::function<bool()> cancelled)
    : options_(std::move(options)),
      rng_(std::move(rng)),
      wait_(std::move(wait)),
      cancelled_(std::move(cancelled)),
      pool_({.connect_ms_max = options_.connect_ms_max,
             .tls = options_.tls,
             .policy = options_.policy,
             .cancelled = cancelled_}) {}

net::HttpRequest Fetcher::request() const {
  net::HttpRequest out;
  out.method = options_.method;
  out.body = options_.payload;
  for (const auto& [name, value] : options_.headers) out.headers.set(name, value);
  return out;
}

bool Fetcher::is_retry_code(unsigned status) const {
  return std::ranges::find(options_.retry_codes, static_cast<std::int64_t>(status)) != options_.retry_codes.end();
}

bool Fetcher::pause(std::int64_t attempt, const net::HttpResponse* answer) {
  std::int64_t ms = options_.retry.delay_ms(attempt, *rng_);
  if (answer != nullptr) ms = std::max(ms, retry_after_ms(*answer));
  return wait_(ms * 1'000'000);
}

Result<bool> Fetcher::redirect(const net::HttpResponse& answer, net::Url& url, net::HttpRequest& request) const {
  const unsigned status = answer.status;
  const bool leads = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
  const std::string* location = answer.headers.find("Location");
  if (!options_.follow_redirects || !leads || location == nullptr) return false;
  std::string target = *location;
  if (target.starts_with("//"))
    target = (url.tls ? "https:" : "http:") + target;
  else if (target.starts_with('/'))
    target = (url.tls ? "https://" : "http://") + url.host + target;
  else if (target.find("://") == std::string::npos)
    target = (url.tls ? "https://" : "http://") + url.host +
             url.target.substr(0, url.target.substr(0, url.target.find('?')).rfind('/') + 1) + target;
  net::Url next = TRY(net::parse_url(target));
  if (!same_origin(url, next)) {
    // What was said to one server in confidence is not for another.
    net::HttpFields kept;
    for (const auto& [name, value] : request.headers.all())
      if (std::ranges::none_of(options_.headers,
                               [&](const auto& own) { return net::same_field_name(own.first, name); }))
        kept.add(name, value);
    request.headers = std::move(kept);
  }
  if (status == 303 || (request.method == "POST" && (status == 301 || status == 302))) {
    request.method = "GET";
    request.body.clear();
  }
  url = std::move(next);
  return true;
}

Result<net::HttpResponse> Fetcher::fetch(net::HttpRequest request) {
  for (std::int64_t attempt = 1;; ++attempt) {
    net::Url url = options_.url;
    net::HttpRequest current = request;
    Result<net::HttpResponse> answer = pool_.request(url, current, options_.request_ms_max);
    for (int hops = 0; answer && TRY(redirect(*answer, url, current)); ++hops) {
      if (hops == kRedirectsMax) return fail(Code::kUnavailable, "too many redirects");
      answer = pool_.request(url, current, options_.request_ms_max);
    }
    if (cancelled_ && cancelled_()) return fail(Code::kCancelled, "the run stops");
    const bool again = answer ? is_retry_code(answer->status) : answer.error().code != Code::kPermission;
    if (!again || attempt > options_.retries_max) {
      if (!answer && attempt > 1) answer.error().message += " (after " + std::to_string(attempt) + " attempts)";
      return answer;
    }
    if (!pause(attempt, answer ? &*answer : nullptr)) return fail(Code::kCancelled, "the run stops");
  }
}

Result<net::HttpResponse> Fetcher::stream(net::HttpRequest request,
                                          const std::function<bool(std::string_view)>& on_bytes,
                                          const std::function<bool(const net::HttpResponse&)>& on_head) {
  net::Url url = options_.url;
  for (int hops = 0; hops <= kRedirectsMax; ++hops) {
    net::HttpClientOptions client;
    client.connect_ms_max = options_.connect_ms_max;
    client.request_ms_max = options_.request_ms_max;
    client.limits.body_bytes = 1ULL << 62;  // a stream has no end
    client.tls = url.tls;
    client.tls_options = options_.tls;
    client.policy = options_.policy;
    client.cancelled = cancelled_;
    net::HttpClient connection(url.address, client);
    net::HttpRequest current = request;
    current.target = url.target;
    current.headers.set("Host", url.host);
    if (current.headers.find("User-Agent") == nullptr) current.headers.add("User-Agent", "thalweg");
    bool leads = false;
    net::Url next = url;
    net::HttpRequest redirected = request;
    Error wrong;
    auto answer = connection.stream(current, on_bytes, [&](const net::HttpResponse& head) {
      auto goes_on = redirect(head, next, redirected);
      if (!goes_on) wrong = goes_on.error();
      leads = goes_on && *goes_on;
      return goes_on && !leads && on_head(head);
    });
    if (!wrong.message.empty()) return fail(std::move(wrong));
    if (!leads) return answer;
    url = std::move(next);
    request = std::move(redirected);
  }
  return fail(Code::kUnavailable, "too many redirects");
}

std::string answer_text(const net::HttpResponse& answer) {
  std::string out = std::to_string(answer.status) + " " + std::string(net::reason_phrase(answer.status));
  std::string body = answer.body.substr(0, answer.body.find('\n'));
  if (body.size() > kBodyShown) body.resize(kBodyShown);
  if (!body.empty()) out += ": " + body;
  return out;
}

}  // namespace thalweg::web
