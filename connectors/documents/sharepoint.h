// connectors/documents/sharepoint.h
//
// The files below a folder of a SharePoint site, by its REST API, as an application with a certificate or a secret.
#pragma once

#include <memory>
#include <string>

#include "connectors/documents/access_token.h"
#include "connectors/documents/document_tree.h"

namespace thalweg::documents {

struct SharePointSettings {
  std::string url;  // of the site
  std::string tenant, client_id;
  std::string private_key;  // PEM; with `thumbprint`
  std::string thumbprint;   // of the certificate, in hexadecimal
  std::string secret;       // instead of a certificate
  std::string root_path;    // below the site, or from the server's root
  bool recursive = true;
  std::string login_url;  // empty: Microsoft's
  std::size_t documents_max = 1'000'000;
};

class SharePoint final : public DocumentTree {
 public:
  // Connects nowhere. kInvalidPipeline: the settings are wrong.
  [[nodiscard]] static Result<std::unique_ptr<SharePoint>> make(SharePointSettings settings,
                                                                const std::shared_ptr<objects::Requester>& requester);
  [[nodiscard]] Result<std::vector<Document>> list() override;
  [[nodiscard]] Result<std::string> fetch(const Document& document) override;
  [[nodiscard]] std::string name() const override { return "SharePoint"; }

 private:
  SharePoint(SharePointSettings settings, std::string root, TokenClient client)
      : settings_(std::move(settings)), root_(std::move(root)), client_(std::move(client)) {}
  // All pages of `what` of a folder: `Files`, `Folders`.
  [[nodiscard]] Result<std::vector<Json>> children(const std::string& folder, const std::string& what);
  [[nodiscard]] Document document_of(const Json& file) const;

  const SharePointSettings settings_;
  const std::string root_;  // from the server's root
  TokenClient client_;
};

}  // namespace thalweg::documents
