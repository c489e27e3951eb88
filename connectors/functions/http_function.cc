// `!udf.http`: a server that answers lines of JSON for lines of JSON by POST.
#include <fmt/format.h>

#include "connectors/functions/remote_function.h"
#include "connectors/net/http_pool.h"
#include "connectors/setting_reader.h"

namespace thalweg::functions {

namespace {

constexpr std::size_t kBodyShown = 200;

class HttpTransport final : public Transport {
 public:
  HttpTransport(net::Url url, std::vector<std::pair<std::string, std::string>> headers, net::HttpPoolOptions options)
      : url_(std::move(url)), headers_(std::move(headers)), pool_(std::move(options)) {}

  std::expected<std::vector<std::string>, Refusal> exchange(const std::vector<std::string>& lines,
                                                            std::int64_t timeout_ms) override {
    net::HttpRequest request;
    request.method = "POST";
    request.headers.add("Content-Type", "application/x-ndjson");
    request.headers.add("Accept", "application/x-ndjson, application/json");
    for (const auto& [name, value] : headers_) request.headers.set(name, value);
    for (const std::string& line : lines) request.body += line + "\n";
    auto response = pool_.request(url_, std::move(request), timeout_ms);
    if (!response) return std::unexpected(Refusal{response.error().message, true, 0});
    if (response->status / 100 != 2) return std::unexpected(refusal(*response));
    return lines_of(response->body);
  }

 private:
  static Refusal refusal(const net::HttpResponse& response) {
    Refusal out;
    out.message = fmt::format("the server answered {} {}", response.status, net::reason_phrase(response.status));
    std::string body = response.body.substr(0, response.body.find('\n'));
    if (body.size() > kBodyShown) body.resize(kBodyShown);
    if (!body.empty()) out.message += ": " + body;
    // What the other side calls its own trouble or a matter of time; the rest would be refused again.
    out.again = response.status >= 500 || response.status == 429 || response.status == 408;
    if (const std::string* after = response.headers.find("Retry-After")) {
      std::int64_t seconds = 0;
      for (const char c : *after) seconds = c >= '0' && c <= '9' && seconds < 3600 ? seconds * 10 + (c - '0') : 0;
      out.after_ms = seconds * 1000;
    }
    return out;
  }
  static std::vector<std::string> lines_of(std::string_view body) {
    std::vector<std::string> out;
    while (!body.empty()) {
      const std::size_t end = std::min(body.find('\n'), body.size());
      std::string_view line = body.substr(0, end);
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.find_first_not_of(" \t") != std::string_view::npos) out.emplace_back(line);
      body.remove_prefix(std::min(body.size(), end + 1));
    }
    return out;
  }

  const net::Url url_;
  const std::vector<std::pair<std::string, std::string>> headers_;
  net::HttpPool pool_;
};

std::unexpected<plan::FunctionError> wrong(std::string message, std::string option) {
  plan::FunctionError out;
  out.message = std::move(message);
  out.option = std::move(option);
  return std::unexpected(std::move(out));
}

bool is_header(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) < ' ' && c != '\t') return false;
  return true;
}

}  // namespace

std::expected<plan::UserFunctionPtr, plan::FunctionError> make_http(const plan::FunctionSpec& spec, std::string text,
                                                                    std::shared_ptr<const net::AddressPolicy> egress) {
  const SettingReader read(spec.options);
  auto options = remote_options(spec.options, {});
  if (!options) return std::unexpected(std::move(options.error()));
  auto url = net::parse_url(read.text("url"));
  if (!url) return wrong(url.error().message, "url");
  std::vector<std::pair<std::string, std::string>> headers;
  if (const Setting* map = read.map("headers"))
    for (const auto& [name, value] : *map->as_map()) {
      std::string content = value.as_text() != nullptr ? *value.as_text() : value.spelling;
      if (name.empty() || !is_header(name) || !is_header(content) || name.find_first_of(" :") != std::string::npos)
        return wrong("`" + name + "` is no header field", "headers");
      headers.emplace_back(name, std::move(content));
    }
  net::HttpPoolOptions pool;
  pool.tls.ca_file = read.text("ca_file");
  pool.idle_max = options->capacity;
  pool.policy = std::move(egress);
  return make_remote(spec, *options,
                     std::make_unique<HttpTransport>(std::move(*url), std::move(headers), std::move(pool)),
                     std::move(text));
}

}  // namespace thalweg::functions
