#include "connectors/documents/access_token.h"

#include <algorithm>

#include <fmt/format.h>

#include "connectors/net/digest.h"

namespace thalweg::documents {

using objects::Requester;

namespace {

constexpr std::int64_t kTokenSecondNs = 1'000'000'000;
constexpr std::int64_t kSpareS = 120;  // a token is renewed so long before it ends

std::string shortened_reason(std::string text) {
  constexpr std::size_t kShown = 300;
  std::ranges::replace_if(text, [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  if (text.size() > kShown) text.resize(kShown);
  return text;
}

// What the bodies of Google's, Microsoft's and SharePoint's errors say.
std::string reason_of(const net::HttpResponse& answer) {
  const Json body = Json::parse(answer.body, nullptr, false);
  if (!body.is_object()) return {};
  for (const char* pointer :
       {"/error_description", "/error/message/value", "/error/message", "/odata.error/message/value", "/error"}) {
    const Json::json_pointer path{std::string(pointer)};
    if (body.contains(path) && body[path].is_string()) return shortened_reason(body[path].get<std::string>());
  }
  return {};
}

Error token_error(const net::HttpResponse& answer, const std::string& where) {
  Code code = Code::kIo;
  if (answer.status == 404) code = Code::kNotFound;
  if (answer.status == 401 || answer.status == 403) code = Code::kPermission;
  if (Requester::is_passing(answer.status)) code = Code::kUnavailable;
  const std::string reason = reason_of(answer);
  return {code,
          fmt::format("{}: {} {}{}", where, answer.status, net::reason_phrase(answer.status),
                      reason.empty() ? "" : ": " + reason),
          {},
          {}};
}

// Google says 403 where others say 429.
bool is_quota(const net::HttpResponse& answer) {
  return answer.status == 403 && (answer.body.find("ateLimitExceeded") != std::string::npos);
}

}  // namespace

Result<std::string> signed_token(const Json& header, const Json& claims, const std::string& private_key) {
  std::string out = net::base64url(header.dump()) + "." + net::base64url(claims.dump());
  const std::string signature = TRY(net::sign_rs256(private_key, out));
  return out + "." + net::base64url(signature);
}

Result<std::string> AccessToken::get() {
  const std::int64_t now_s = requester_->server_ns() / kTokenSecondNs;
  if (!token_.empty() && now_s + kSpareS < ends_s_) return token_;
  std::string body;
  for (const auto& [name, value] : TRY(make_form_(now_s)))
    body += (body.empty() ? "" : "&") + net::percent_encode(name) + "=" + net::percent_encode(value);
  const auto make = [&]() -> Result<Requester::Attempt> {
    Requester::Attempt out;
    out.url = TRY(net::parse_url(url_));
    out.request.method = "POST";
    out.request.headers.add("Content-Type", "application/x-www-form-urlencoded");
    out.request.headers.add("Accept", "application/json");
    out.request.body = body;
    return out;
  };
  const net::Url url = TRY(net::parse_url(url_));
  const net::HttpResponse answer = TRY(requester_->send(make));
  if (answer.status != 200) {
    Error error = token_error(answer, url.host + " gives no token");
    if (answer.status == 400) error.code = Code::kPermission;
    return fail(std::move(error));
  }
  const Json reply = Json::parse(answer.body, nullptr, false);
  if (!reply.is_object() || !reply.value("access_token", Json()).is_string())
    return fail(Code::kUnavailable, url.host + ": the answer has no token");
  token_ = reply["access_token"].get<std::string>();
  std::int64_t lasts_s = 3600;
  if (reply.contains("expires_in") && reply["expires_in"].is_number_integer())
    lasts_s = reply["expires_in"].get<std::int64_t>();
  ends_s_ = now_s + lasts_s;
  return token_;
}

Result<net::HttpResponse> TokenClient::get(const std::string& url, const std::string& accept) {
  const net::Url parsed = TRY(net::parse_url(url));
  bool renewed = false;
  const auto make = [&]() -> Result<Requester::Attempt> {
    Requester::Attempt out;
    out.url = parsed;
    out.request.method = "GET";
    out.request.headers.add("Authorization", "Bearer " + TRY(token_.get()));
    out.request.headers.add("Accept", accept.empty() ? accept_ : accept);
    return out;
  };
  const auto judge = [&](const net::HttpResponse& answer) {
    if (Requester::is_passing(answer.status) || is_quota(answer)) return Requester::Verdict::kAgain;
    if (answer.status != 401 || renewed) return Requester::Verdict::kTake;
    renewed = true;
    token_.refuse();
    return Requester::Verdict::kAgainSoon;
  };
  auto answer = requester_->send(make, judge);
  if (!answer)
    return fail(Error{answer.error().code, parsed.host + ": " + answer.error().message, {}, answer.error().notes});
  if (answer->status == 200) return answer;
  Error error = token_error(*answer, parsed.host + parsed.target.substr(0, parsed.target.find('?')));
  if (is_quota(*answer)) error.code = Code::kUnavailable;
  return fail(std::move(error));
}

Result<Json> TokenClient::get_json(const std::string& url) {
  const net::HttpResponse answer = TRY(get(url));
  Json out = Json::parse(answer.body, nullptr, false);
  if (!out.is_object())
    return fail(Code::kUnavailable, TRY(net::parse_url(url)).host + ": the answer is no JSON object");
  return out;
}

}  // namespace thalweg::documents
