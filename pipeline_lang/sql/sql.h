// pipeline_lang/sql/sql.h
//
// From the text of a query to nodes of a plan (language.md 6). The result is a fragment: nodes in topological order
// where LoopInput{i} stands for the i-th table that the query reads. Whoever asks puts it into a plan: `!sql` into
// the pipeline, the REST endpoint into a plan of its own.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/plan/node.h"
#include "engine/types/schema.h"
#include "pipeline_lang/sql/parser.h"

namespace thalweg::sql {

struct TableInfo {
  Schema schema;
  bool append_only = false;
};

struct Request {
  std::string_view text;
  SpanOf span_of;
  // Nothing where there is no such table. Called once per name.
  std::function<std::optional<TableInfo>(const std::string& name)> find_table;
  std::vector<std::string> table_names;  // for "did you mean"
  // The rows are read once, in order: an ORDER BY of the whole query counts even without LIMIT.
  bool ordered = false;
};

struct Planned {
  plan::Plan fragment;
  std::vector<std::string> tables;  // by LoopInput
  NodeId output;
  bool row_number = false;  // `ordered` was asked for: the last column of the output is the place of the row, from 1
};

[[nodiscard]] Result<Planned> plan_query(const Request& request);

}  // namespace thalweg::sql
