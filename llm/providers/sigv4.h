// llm/providers/sigv4.h
//
// AWS Signature Version 4 of a POST with a body.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace thalweg::llm {

struct AwsKeys {
  std::string region, access_key, secret_key, session_token;
};

// The header fields that sign a POST of `body` to `url` (https://host/path, already percent-encoded once) at
// `unix_seconds`.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> sign_post(const AwsKeys& keys,
                                                                         const std::string& service,
                                                                         const std::string& url,
                                                                         const std::string& body,
                                                                         std::int64_t unix_seconds);

}  // namespace thalweg::llm
