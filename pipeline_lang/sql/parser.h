// pipeline_lang/sql/parser.h
//
// Query text to tree, by recursive descent. The grammar is that of language.md 6 with the spellings people bring from
// SQLite and Postgres; what is known but not supported (DML, DDL, NATURAL, RECURSIVE, …) is named in the error.
//
// P1  No text crashes it: at most kQueryBytesMax bytes, kQueryDepthMax levels.
#pragma once

#include <functional>
#include <string_view>

#include "engine/base/result.h"
#include "pipeline_lang/sql/ast.h"

namespace thalweg::sql {

inline constexpr std::size_t kQueryBytesMax = 64 * 1024;
inline constexpr std::uint32_t kQueryDepthMax = 200;
inline constexpr std::size_t kTablesMax = 256;  // in one FROM

// Where bytes of the query are in the user's file.
using SpanOf = std::function<SourceSpan(Place)>;

[[nodiscard]] Result<QueryPtr> parse_query(std::string_view text, const SpanOf& span_of);

}  // namespace thalweg::sql
