// connectors/s3/credentials.h
//
// Where the keys for Amazon's services come from, in this order: the arguments; the environment (AWS_ACCESS_KEY_ID …);
// a web identity (AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN); the profile of ~/.aws/credentials and ~/.aws/config; the
// container (AWS_CONTAINER_CREDENTIALS_…); the machine (instance metadata, version 2).
//
// Keys that end are fetched anew five minutes before; if that fails, the old ones serve until they end.
// Threads  any.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "connectors/net/aws_signature.h"
#include "connectors/objects/requester.h"
#include "engine/base/env.h"

namespace thalweg::s3 {

struct CredentialSettings {
  std::string access_key, secret_key, session_token;
  std::string profile;  // empty: AWS_PROFILE, else `default`
  std::string region;   // for the token service
};

class Credentials {
 public:
  Credentials(CredentialSettings settings, Env env, std::shared_ptr<objects::Requester> requester);
  // kPermission: there are none; the message says what was looked at.
  [[nodiscard]] Result<net::AwsCredentials> get();
  // The server does not take them any more.
  void refuse();

 private:
  using Keys = Result<std::optional<net::AwsCredentials>>;
  [[nodiscard]] Keys find();
  [[nodiscard]] Keys from_environment() const;
  [[nodiscard]] Keys from_web_identity(const std::string& token_file, const std::string& role,
                                       const std::string& session);
  [[nodiscard]] Keys from_profile();
  [[nodiscard]] Keys from_container();
  [[nodiscard]] Keys from_instance();
  [[nodiscard]] Result<std::string> fetch(const std::string& method, const std::string& url,
                                          const net::HttpFields& headers, const std::string& body = {});

  const CredentialSettings settings_;
  const Env env_;
  const std::shared_ptr<objects::Requester> requester_;
  std::mutex mutex_;
  std::optional<net::AwsCredentials> kept_;  // guarded by mutex_
  bool fixed_ = false;                       // guarded by mutex_: asking again gives the same
};

// Sections of an INI file as Amazon's tools write it: `[default]`, `[profile name]`.
using IniSections = std::map<std::string, std::map<std::string, std::string>>;
[[nodiscard]] IniSections parse_ini(std::string_view text);
// What the profile's section says in either file; the credentials file wins.
[[nodiscard]] std::map<std::string, std::string> read_profile(const Env& env, const std::string& name);

}  // namespace thalweg::s3
