// daemon/query/ad_hoc.h
//
// A SQL query over the exported tables of a pipeline, answered once.
//
// AQ1  All tables are read at one frontier.
// AQ2  Time, memory and the rows of the answer are bounded; whatever goes beyond ends the query and nothing else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/query/limits.h"
#include "daemon/rest/pipelines.h"
#include "daemon/rest/problem.h"
#include "engine/runtime/run.h"

namespace thalweg::daemon {

struct SqlQuery {
  std::string sql;
  std::optional<Frontier> at;  // nothing: the newest that all its tables have reached
  std::uint64_t rows_max = 10'000;
};

struct SqlAnswer {
  Frontier frontier;
  Schema schema;
  Batch rows;              // in the order of the query, else by row key
  bool truncated = false;  // there were more than rows_max
};

[[nodiscard]] Checked<SqlAnswer> run_sql(const SqlQuery& query, const ServedPipeline& pipeline,
                                         const QueryLimits& limits, const Env& env);

}  // namespace thalweg::daemon
