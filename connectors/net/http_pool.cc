#include "connectors/net/http_pool.h"

#include <algorithm>
#include <cctype>

namespace thalweg::net {

namespace {

std::string lower_name(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// A URL as messages show it: without user and password.
std::string shown_url(std::string_view text) {
  std::string out(text);
  const std::size_t scheme_end = out.find("://");
  const std::size_t begin = scheme_end == std::string::npos ? 0 : scheme_end + 3;
  const std::size_t end = std::min(out.find_first_of("/?#", begin), out.size());
  const std::size_t at = out.substr(begin, end - begin).rfind('@');
  if (at != std::string::npos) out.replace(begin, at, "***");
  return out;
}

// What every request has.
void complete_request(const Url& url, HttpRequest& request) {
  request.target = url.target;
  if (!request.headers.find("Host")) request.headers.add("Host", url.host);
  if (!request.headers.find("User-Agent")) request.headers.add("User-Agent", "thalweg");
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  const auto wrong = [&](const std::string& why) {
    return fail(Code::kInvalidArgument, "`" + shown_url(text) + "` is no URL: " + why);
  };
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7F) return wrong("it has a blank or a control character");
  const std::size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) return wrong("it begins with http:// or https://");
  const std::string scheme = lower_name(text.substr(0, scheme_end));
  if (scheme != "http" && scheme != "https") return wrong("it begins with http:// or https://");
  Url out;
  out.tls = scheme == "https";
  std::string_view rest = text.substr(scheme_end + 3);
  rest = rest.substr(0, rest.find('#'));
  const std::size_t authority_end = std::min(rest.find_first_of("/?"), rest.size());
  const std::string_view authority = rest.substr(0, authority_end);
  const std::string_view target = rest.substr(authority_end);
  if (authority.find('@') != std::string_view::npos) return wrong("give user and password in a header");
  if (authority.empty()) return wrong("there is no host");
  const bool bracketed = authority.front() == '[';
  const std::size_t host_end = bracketed ? authority.find(']') : std::string_view::npos;
  if (bracketed && host_end == std::string_view::npos) return wrong("`]` is missing");
  const std::size_t colon = authority.find(':', bracketed ? host_end : 0);
  const std::string port = out.tls ? "443" : "80";
  std::string with_port(authority);
  if (colon == std::string_view::npos)
    with_port += ":" + port;
  else if (colon + 1 == authority.size())
    with_port += port;
  const auto address = parse_address(with_port);
  if (!address || address->host.empty()) return wrong("there is no host, or the port is no number");
  out.address = *address;
  out.host = std::string(authority);
  out.target = target.empty() || target.front() != '/' ? "/" + std::string(target) : std::string(target);
  return out;
}

std::unique_ptr<HttpClient> HttpPool::make(const Url& url) const {
  HttpClientOptions options;
  options.connect_ms_max = options_.connect_ms_max;
  options.limits = options_.limits;
  options.tls = url.tls;
  options.tls_options = options_.tls;
  options.policy = options_.policy;
  options.cancelled = options_.cancelled;
  return std::make_unique<HttpClient>(url.address, options);
}

Result<HttpResponse> HttpPool::stream(const Url& url, HttpRequest request, std::int64_t silence_ms,
                                      const std::function<bool(std::string_view)>& on_bytes,
                                      const std::function<bool(const HttpResponse&)>& on_head) {
  const auto client = make(url);
  client->limit_time(silence_ms);
  complete_request(url, request);
  return client->stream(request, on_bytes, on_head);
}

Result<HttpResponse> HttpPool::request(const Url& url, HttpRequest request, std::int64_t timeout_ms) {
  const std::string origin = (url.tls ? "https://" : "http://") + url.address.to_text();
  std::unique_ptr<HttpClient> client = take(origin);
  if (!client) client = make(url);
  client->limit_time(timeout_ms);
  complete_request(url, request);
  Result<HttpResponse> response = client->request(request);
  if (response) give_back(origin, std::move(client));
  return response;
}

std::unique_ptr<HttpClient> HttpPool::take(const std::string& origin) {
  const std::lock_guard lock(mutex_);
  const auto it = idle_.find(origin);
  if (it == idle_.end() || it->second.empty()) return nullptr;
  auto client = std::move(it->second.back());
  it->second.pop_back();
  --num_idle_;
  return client;
}

void HttpPool::give_back(const std::string& origin, std::unique_ptr<HttpClient> client) {
  if (!client->is_open()) return;
  const std::lock_guard lock(mutex_);
  if (num_idle_ >= options_.idle_max) return;
  idle_[origin].push_back(std::move(client));
  ++num_idle_;
}

}  // namespace thalweg::net
