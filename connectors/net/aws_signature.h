// connectors/net/aws_signature.h
//
// Requests signed as Amazon's services ask for it: Signature Version 4 in the Authorization header.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "connectors/net/http_message.h"

namespace thalweg::net {

struct AwsCredentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token;    // empty: none
  std::int64_t expires_ns = 0;  // wall time; 0: never
};

struct AwsScope {
  std::string region;
  std::string service;  // `s3`, `sts`, `bedrock`
};

// Adds X-Amz-Date, X-Amz-Security-Token, for S3 X-Amz-Content-Sha256, and Authorization. What `request.headers` holds
// by now, Host among them, is signed; `request.target` is as it will be sent, escaped.
void sign_aws(HttpRequest& request, const AwsCredentials& credentials, const AwsScope& scope, std::int64_t wall_ns);

// A segment of a path, or a name or value of a query, escaped as the signature wants it; `/` stays if `path`.
[[nodiscard]] std::string aws_escape(std::string_view text, bool path = false);
// `20150830T123600Z`
[[nodiscard]] std::string aws_time(std::int64_t wall_ns);

}  // namespace thalweg::net
