// connectors/azure/blob_store.h
//
// A container of Azure Blob Storage, with the account's key (SharedKey) or a shared access signature.
#pragma once

#include <memory>
#include <string>

#include "connectors/objects/http_store.h"
#include "connectors/objects/requester.h"

namespace thalweg::azure {

struct ContainerSettings {
  std::string account;
  std::string key;  // base64, or a signature that begins with `?` or `sv=`
  std::string container;
  std::string endpoint;  // empty: https://ACCOUNT.blob.core.windows.net
};

class BlobStore final : public objects::HttpStore {
 public:
  // Connects nowhere. kInvalidPipeline: the settings are wrong.
  static Result<std::unique_ptr<BlobStore>> make(ContainerSettings settings, objects::RequesterOptions options);
  Result<objects::ListPage> list(const std::string& prefix, bool by_folder, const std::string& page) override;
  Result<objects::Written> put(const std::string& key, const std::string& bytes,
                               const objects::Condition& condition) override;
  Result<void> remove(const std::string& key) override;
  Result<std::unique_ptr<objects::Upload>> upload(const std::string& key) override;
  [[nodiscard]] std::string name() const override { return "azure://" + settings_.account + "/" + settings_.container; }

 private:
  class BlockUpload;
  BlobStore(ContainerSettings settings, std::string key, objects::RequesterOptions options);
  Result<net::HttpResponse> call(const Call& call) override;
  [[nodiscard]] std::string_view range_field() const override { return "x-ms-range"; }
  Result<objects::Requester::Attempt> attempt(const Call& call);
  [[nodiscard]] std::string signature(const net::HttpRequest& request, const std::string& path,
                                      const std::string& query) const;
  [[nodiscard]] Error error_of(const net::HttpResponse& answer, const std::string& key) const override;

  const ContainerSettings settings_;
  const std::string key_;  // decoded; empty: a shared access signature
  objects::Requester requester_;
};

// What SharedKey signs; `path` is that of the URL, `query` escaped.
[[nodiscard]] std::string string_to_sign(const net::HttpRequest& request, const std::string& account,
                                         const std::string& path, const std::string& query);

}  // namespace thalweg::azure
