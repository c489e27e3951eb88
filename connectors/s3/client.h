// connectors/s3/client.h
//
// A bucket of S3 or of a server that speaks like it, over our own HTTP. What goes wrong and is put right here:
// throttling and 5xx (pauses), another region than was said, a clock that is off, keys that ended.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "connectors/objects/http_store.h"
#include "connectors/objects/requester.h"
#include "connectors/s3/credentials.h"

namespace thalweg::s3 {

struct BucketSettings {
  std::string bucket;
  std::string endpoint;            // `https://host[:port]`, without a scheme https; empty: Amazon's of the region
  std::string region;              // empty: environment, profile, `us-east-1`
  std::optional<bool> path_style;  // nothing: for endpoints of one's own
  CredentialSettings credentials;
};

class S3Store final : public objects::HttpStore {
 public:
  // Connects nowhere. kInvalidPipeline: the settings are wrong.
  static Result<std::unique_ptr<S3Store>> make(BucketSettings settings, const Env& env,
                                               objects::RequesterOptions options);
  Result<objects::ListPage> list(const std::string& prefix, bool by_folder, const std::string& page) override;
  Result<objects::Written> put(const std::string& key, const std::string& bytes,
                               const objects::Condition& condition) override;
  Result<void> remove(const std::string& key) override;
  Result<std::unique_ptr<objects::Upload>> upload(const std::string& key) override;
  [[nodiscard]] std::string name() const override { return "s3://" + settings_.bucket; }

 private:
  class MultipartUpload;
  S3Store(BucketSettings settings, std::string region, std::shared_ptr<objects::Requester> requester, const Env& env);
  Result<net::HttpResponse> call(const Call& call) override;
  Result<objects::Requester::Attempt> attempt(const Call& call);
  objects::Requester::Verdict judge(const net::HttpResponse& answer);
  [[nodiscard]] std::string region() const;
  // True: it is news.
  bool learn_region(const std::string& region);
  [[nodiscard]] Error error_of(const net::HttpResponse& answer, const std::string& key) const override;

  const BucketSettings settings_;
  const std::shared_ptr<objects::Requester> requester_;
  Credentials credentials_;
  mutable std::mutex mutex_;
  std::string region_;  // guarded by mutex_
};

}  // namespace thalweg::s3
