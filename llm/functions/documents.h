// llm/functions/documents.h
//
// The small functions that a document store is made of.
//
//   llm.merge_metadata(json, json)            one object; members of the second win
//   llm.filters(filter, glob)                 one filter for the index, or None
//   llm.documents(texts, metadata, scores)    [{"text", "metadata", "dist"}], nearest first
//   llm.inputs(metadata, with_status, …)      the metadata of documents, with `_indexing_status` on demand
//   llm.statistics(counts …)                  {"file_count", "last_modified", "last_indexed", "sources"?}
// The last two tell of sources where they have the option `sources`: their names.
#pragma once

#include "llm/functions/functions.h"

namespace thalweg::llm {

// Null: no such kind.
[[nodiscard]] plan::UserFunctionPtr make_document_function(const plan::FunctionSpec& spec, const std::string& text);

}  // namespace thalweg::llm
