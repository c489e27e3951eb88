// connectors/documents/access_token.h
//
// OAuth 2.0 for services that act by themselves: a signed assertion, or a secret, becomes a token for an hour.
// Threads  one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "connectors/objects/requester.h"

namespace thalweg::documents {

using Json = nlohmann::ordered_json;

// A JSON web token, signed with RS256.
[[nodiscard]] Result<std::string> signed_token(const Json& header, const Json& claims, const std::string& private_key);

class AccessToken {
 public:
  using Form = std::vector<std::pair<std::string, std::string>>;
  // `make_form` gives the body of a request for a token; `now_s` is the time for its claims.
  AccessToken(std::string url, std::shared_ptr<objects::Requester> requester,
              std::function<Result<Form>(std::int64_t now_s)> make_form)
      : url_(std::move(url)), requester_(std::move(requester)), make_form_(std::move(make_form)) {}
  // A token that is good for some more minutes. kPermission: who we are is not believed, and why.
  [[nodiscard]] Result<std::string> get();
  void refuse() { token_.clear(); }  // the service did not take it

 private:
  const std::string url_;
  const std::shared_ptr<objects::Requester> requester_;
  const std::function<Result<Form>(std::int64_t)> make_form_;
  std::string token_;
  std::int64_t ends_s_ = 0;
};

// GET requests with such a token. 401 asks for another one, once; quotas are waited for as the requester does.
class TokenClient {
 public:
  TokenClient(std::shared_ptr<objects::Requester> requester, AccessToken token, std::string accept)
      : requester_(std::move(requester)), token_(std::move(token)), accept_(std::move(accept)) {}
  // The answer of status 200. Errors: kPermission, kNotFound, kUnavailable, kIo, with what the service says.
  [[nodiscard]] Result<net::HttpResponse> get(const std::string& url, const std::string& accept = {});
  [[nodiscard]] Result<Json> get_json(const std::string& url);

 private:
  const std::shared_ptr<objects::Requester> requester_;
  AccessToken token_;
  const std::string accept_;
};

}  // namespace thalweg::documents
