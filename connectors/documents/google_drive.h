// connectors/documents/google_drive.h
//
// A file of Google Drive, or all files below a folder, by version 3 of its API, as a service account.
//
// G1  Google's own documents are exported as DOCX, XLSX and PPTX. Links to other files are rows without data, with the
//     status `skipped_symlinks_not_supported`. What is in the bin is gone.
#pragma once

#include <memory>
#include <string>

#include "connectors/documents/access_token.h"
#include "connectors/documents/document_tree.h"

namespace thalweg::documents {

struct DriveSettings {
  std::string object_id;
  std::string credentials;  // the JSON file of a service account
  std::string endpoint;     // empty: Google's
  std::size_t documents_max = 1'000'000;
};

class GoogleDrive final : public DocumentTree {
 public:
  // Connects nowhere. kInvalidPipeline: the credentials are none.
  [[nodiscard]] static Result<std::unique_ptr<GoogleDrive>> make(DriveSettings settings,
                                                                 const std::shared_ptr<objects::Requester>& requester);
  [[nodiscard]] Result<std::vector<Document>> list() override;
  [[nodiscard]] Result<std::string> fetch(const Document& document) override;
  [[nodiscard]] std::string name() const override { return "Google Drive"; }

 private:
  GoogleDrive(DriveSettings settings, TokenClient client)
      : settings_(std::move(settings)), client_(std::move(client)) {}
  [[nodiscard]] std::string url_of(const std::string& id, const std::string& rest) const;
  [[nodiscard]] Result<void> list_folder(const std::string& id, std::vector<std::string>& folders,
                                         std::vector<Document>& out);
  const DriveSettings settings_;
  TokenClient client_;
};

}  // namespace thalweg::documents
