// pipeline_lang/sql/functions.h
//
// SQL's functions by name (upper case): aggregates as rows of a table, scalar functions as typed calls.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/plan/node.h"
#include "pipeline_lang/sql/typed.h"

namespace thalweg::sql {

enum class AggregateType : std::uint8_t { kInt, kFloat, kBool, kArgument, kSecond, kList, kText, kSum, kAny };

struct AggregateRow {
  std::string_view name;
  plan::ReducerKind kind;
  std::size_t args_min = 1;
  std::size_t args_max = 1;
  AggregateType type = AggregateType::kArgument;
  bool numeric = false;  // takes numbers; bool counts as 0 and 1
  bool keeps_nulls = false;
  bool distinct_is_idle = false;  // the same with DISTINCT
};

[[nodiscard]] const AggregateRow* find_aggregate(std::string_view name);
// Type of the result without None.
[[nodiscard]] Type aggregate_type(const AggregateRow& row, const std::vector<ExprPtr>& args);

[[nodiscard]] bool is_scalar_function(std::string_view name);
[[nodiscard]] Result<ExprPtr> call_scalar(std::string_view name, std::vector<ExprPtr> args, SourceSpan span);
[[nodiscard]] Result<ExprPtr> extract_field(std::string_view field, ExprPtr from, SourceSpan span);
// All names, for "did you mean".
[[nodiscard]] std::vector<std::string> function_names();

}  // namespace thalweg::sql
