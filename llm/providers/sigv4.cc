#include "llm/providers/sigv4.h"

#include <array>
#include <ctime>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "connectors/net/http_message.h"

namespace thalweg::llm {

namespace {

std::string hex(const unsigned char* bytes, std::size_t size) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < size; ++i) {
    out += kDigits[bytes[i] >> 4];
    out += kDigits[bytes[i] & 15];
  }
  return out;
}

std::string hash_of(const std::string& text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return hex(digest.data(), digest.size());
}

std::string hmac(const std::string& key, const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  ::HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
         text.size(), digest.data(), &size);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

std::string timed(const char* format, std::int64_t unix_seconds) {
  const std::time_t time = unix_seconds;
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  std::array<char, 32> out{};
  return {out.data(), std::strftime(out.data(), out.size(), format, &parts)};
}

}  // namespace

std::vector<std::pair<std::string, std::string>> sign_post(const AwsKeys& keys, const std::string& service,
                                                           const std::string& url, const std::string& body,
                                                           std::int64_t unix_seconds) {
  const std::size_t host_begin = url.find("://") + 3;
  const std::size_t path_begin = std::min(url.find('/', host_begin), url.size());
  const std::string host = url.substr(host_begin, path_begin - host_begin);
  // Every segment of the path is encoded once more.
  std::string path;
  for (std::size_t at = path_begin; at < url.size();) {
    const std::size_t end = std::min(url.find('/', at + 1), url.size());
    path += "/" + net::percent_encode(url.substr(at + 1, end - at - 1));
    at = end;
  }
  if (path.empty()) path = "/";
  const std::string day = timed("%Y%m%d", unix_seconds), moment = timed("%Y%m%dT%H%M%SZ", unix_seconds);
  const std::string body_hash = hash_of(body);
  std::string fields = "content-type:application/json\nhost:" + host + "\nx-amz-content-sha256:" + body_hash +
                       "\nx-amz-date:" + moment + "\n";
  std::string names = "content-type;host;x-amz-content-sha256;x-amz-date";
  if (!keys.session_token.empty()) {
    fields += "x-amz-security-token:" + keys.session_token + "\n";
    names += ";x-amz-security-token";
  }
  const std::string canonical = "POST\n" + path + "\n\n" + fields + "\n" + names + "\n" + body_hash;
  const std::string scope = day + "/" + keys.region + "/" + service + "/aws4_request";
  const std::string to_sign = "AWS4-HMAC-SHA256\n" + moment + "\n" + scope + "\n" + hash_of(canonical);
  const std::string key = hmac(hmac(hmac(hmac("AWS4" + keys.secret_key, day), keys.region), service), "aws4_request");
  const std::string signature = hmac(key, to_sign);
  std::vector<std::pair<std::string, std::string>> out = {
      {"x-amz-content-sha256", body_hash},
      {"x-amz-date", moment},
      {"Authorization",
       "AWS4-HMAC-SHA256 Credential=" + keys.access_key + "/" + scope + ", SignedHeaders=" + names +
           ", Signature=" + hex(reinterpret_cast<const unsigned char*>(signature.data()), signature.size())}};
  if (!keys.session_token.empty()) out.emplace_back("x-amz-security-token", keys.session_token);
  return out;
}

}  // namespace thalweg::llm
