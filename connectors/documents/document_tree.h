// connectors/documents/document_tree.h
//
// Documents that somebody keeps for us (Google Drive, SharePoint): found by lists, told apart by ids.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/base/result.h"

namespace thalweg::documents {

using Json = nlohmann::ordered_json;
inline constexpr std::int64_t kSecondNs = 1'000'000'000;

// Empty where there is no such text.
[[nodiscard]] inline std::string text_member(const Json& object, const char* member) {
  const auto found = object.find(member);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

struct Document {
  std::string id;
  std::string name;
  std::string content_version;  // changes with the content
  std::uint64_t size = 0;       // 0: not known before it is fetched
  bool fetched = true;          // false: there is nothing to fetch (a link to another document)
  std::string status;           // of what is not fetched
  Json metadata;                // without seen_at and status
  std::string place;            // what fetch() needs to know
};

class DocumentTree {
 public:
  virtual ~DocumentTree() = default;
  // All of it, or an error: what is missing in a list is gone.
  [[nodiscard]] virtual Result<std::vector<Document>> list() = 0;
  [[nodiscard]] virtual Result<std::string> fetch(const Document& document) = 0;
  [[nodiscard]] virtual std::string name() const = 0;  // for messages
};

}  // namespace thalweg::documents
