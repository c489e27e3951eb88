#include "connectors/net/aws_signature.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <vector>

#include "connectors/net/digest.h"

namespace thalweg::net {

namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

std::string canonical_query(std::string_view query) {
  std::vector<std::string> pairs;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    std::string pair(query.substr(0, end));
    if (pair.find('=') == std::string::npos) pair += '=';
    if (pair != "=") pairs.push_back(std::move(pair));
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  // By name, then by value; `=` sorts after some characters of names, so names are compared by themselves.
  std::ranges::sort(pairs, [](const std::string& a, const std::string& b) {
    const std::size_t a_end = a.find('=');
    const std::size_t b_end = b.find('=');
    const int names = a.compare(0, a_end, b, 0, b_end);
    return names != 0 ? names < 0 : a.compare(a_end, a.npos, b, b_end, b.npos) < 0;
  });
  std::string out;
  for (const std::string& pair : pairs) out += (out.empty() ? "" : "&") + pair;
  return out;
}

// Blanks around a value do not count, those within it as one.
std::string trimmed(std::string_view value) {
  std::string out;
  for (char c : value) {
    const bool blank = c == ' ' || c == '\t';
    if (!blank)
      out += c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

struct CanonicalHeaders {
  std::string lines;
  std::string names;
};

CanonicalHeaders canonical_headers(const HttpFields& fields) {
  std::vector<std::pair<std::string, std::string>> sorted;
  for (const auto& [name, value] : fields.all()) {
    std::string lower = name;
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    sorted.emplace_back(std::move(lower), trimmed(value));
  }
  std::ranges::stable_sort(sorted, {}, &std::pair<std::string, std::string>::first);
  CanonicalHeaders out;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const bool again = i > 0 && sorted[i].first == sorted[i - 1].first;
    if (again) {
      out.lines.back() = ',';
      out.lines += sorted[i].second + "\n";
      continue;
    }
    out.lines += sorted[i].first + ":" + sorted[i].second + "\n";
    out.names += (out.names.empty() ? "" : ";") + sorted[i].first;
  }
  return out;
}

}  // namespace

std::string aws_escape(std::string_view text, bool path) {
  if (!path) return percent_encode(text);
  std::string out;
  while (true) {
    const std::size_t slash = text.find('/');
    out += percent_encode(text.substr(0, slash));
    if (slash == std::string_view::npos) return out;
    out += '/';
    text.remove_prefix(slash + 1);
  }
}

std::string aws_time(std::int64_t wall_ns) {
  const std::time_t seconds = wall_ns / 1'000'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec);
}

void sign_aws(HttpRequest& request, const AwsCredentials& credentials, const AwsScope& scope, std::int64_t wall_ns) {
  const std::string time = aws_time(wall_ns);
  const std::string day = time.substr(0, 8);
  const std::string payload = hex(sha256(request.body));
  request.headers.set("X-Amz-Date", time);
  const bool s3 = scope.service == "s3";
  if (s3) request.headers.set("X-Amz-Content-Sha256", payload);
  if (!credentials.session_token.empty()) request.headers.set("X-Amz-Security-Token", credentials.session_token);
  const std::size_t question = std::min(request.target.find('?'), request.target.size());
  std::string path = request.target.substr(0, question);
  if (!s3) path = aws_escape(path, true);  // every service but S3 wants it escaped twice
  const std::string_view query =
      question < request.target.size() ? std::string_view(request.target).substr(question + 1) : std::string_view{};
  const CanonicalHeaders headers = canonical_headers(request.headers);
  const std::string canonical = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, path, canonical_query(query),
                                            headers.lines, headers.names, payload);
  const std::string within = fmt::format("{}/{}/{}/aws4_request", day, scope.region, scope.service);
  const std::string to_sign = fmt::format("{}\n{}\n{}\n{}", kAlgorithm, time, within, hex(sha256(canonical)));
  std::string key = hmac_sha256("AWS4" + credentials.secret_key, day);
  for (std::string_view part :
       {std::string_view(scope.region), std::string_view(scope.service), std::string_view("aws4_request")})
    key = hmac_sha256(key, part);
  request.headers.set("Authorization",
                      fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", kAlgorithm,
                                  credentials.access_key, within, headers.names, hex(hmac_sha256(key, to_sign))));
}

}  // namespace thalweg::net
