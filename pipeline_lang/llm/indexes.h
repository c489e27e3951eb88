// pipeline_lang/llm/indexes.h
//
// What a pipeline says of an index, read: `indexing.…Factory` tags, and the inner indexes that name their columns.
#pragma once

#include <optional>
#include <vector>

#include "pipeline_lang/tables/lowering.h"

namespace thalweg::lang {

struct IndexUse {
  plan::IndexFactoryPtr factory;
  std::vector<const Instance*> leaves;  // the tag behind each part
};

// The instance is a factory or an inner index. Nothing after an error.
[[nodiscard]] std::optional<IndexUse> index_of(Builder& builder, const Instance& instance, SourceSpan at);

// A table, its columns that an index is over, and its metadata, as columns behind its own.
struct IndexedTable {
  Table table;
  std::size_t own = 0;  // columns of the table itself
  plan::Columns data;   // one per part
  std::optional<std::uint32_t> metadata;
};

}  // namespace thalweg::lang
