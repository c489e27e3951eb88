// connectors/documents/document_source.h
//
// A tree of documents as a table: one row per document, its bytes in `data`, what is known of it in `_metadata`.
//
// D1  Row keys come from the document's id: a document that is renamed or moved stays the same row.
// D2  Only what changed is fetched. What came, changed and went since the last list is one transaction.
// D3  A list that fails changes nothing. A document that cannot be fetched keeps what was known of it; one that was
// never
//     fetched is a row without data and with the status `download_error`; both are tried again with the next list.
// D4  Where the pipeline keeps its state, documents are kept with it: a restart fetches what changed meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connectors/documents/document_tree.h"
#include "engine/io/source.h"

namespace thalweg::documents {

struct DocumentSettings {
  bool is_static = false;
  bool only_metadata = false;
  std::int64_t refresh_ns = 30'000'000'000;
  std::optional<std::uint64_t> size_limit;
  std::vector<std::string> name_patterns;  // of the document's name; empty: all
  int failures_in_row_max = 0;             // 0: lists may fail for ever, after the first
};

class DocumentSource final : public Source {
 public:
  // `stops` is told the context for as long as the run lasts, for requests that wait.
  DocumentSource(const plan::Source& source, DocumentSettings settings, std::unique_ptr<DocumentTree> tree,
                 std::function<void(const SourceContext*)> stops);
  Result<void> run(SourceContext& context) override;
  [[nodiscard]] bool is_static() const override { return settings_.is_static; }

 private:
  struct Known {
    std::string version;  // of content; empty: to be fetched again
    Json metadata;        // as shown
    Blob data;
  };
  enum class Looked : std::uint8_t { kDone, kStopping };
  [[nodiscard]] Result<void> follow(SourceContext& context);
  [[nodiscard]] Result<Looked> look(SourceContext& context);
  [[nodiscard]] Result<Known> read(const Document& document, const Known* before, SourceContext& context);
  [[nodiscard]] bool takes(const Document& document) const;
  [[nodiscard]] Key key_of(const std::string& id) const;
  [[nodiscard]] bool deliver(const std::string& id, const Known& known, Diff diff, SourceContext& context);
  void keep(const std::string& id, const Known* known, SourceContext& context) const;
  void restore(const SourceContext& context);

  const std::string name_;
  const std::vector<plan::SourceField> fields_;
  const DocumentSettings settings_;
  const std::unique_ptr<DocumentTree> tree_;
  const std::function<void(const SourceContext*)> stops_;
  std::map<std::string, Known> known_;  // by id
  bool first_ = true;
};

}  // namespace thalweg::documents
