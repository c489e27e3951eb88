// tests/property/random_expr.h
//
// Random typed expressions over the columns of a table, from the functions that the reference evaluator knows.
#pragma once

#include <optional>
#include <vector>

#include "engine/plan/expr.h"
#include "engine/types/schema.h"
#include "tests/support/random.h"

namespace thalweg::testing {

// Columns of exactly this type.
[[nodiscard]] std::vector<std::uint32_t> columns_of_type(const Schema& schema, const Type& type);

// Of bool, int, float, str or pointer, optional or not; at most `depth` calls deep.
[[nodiscard]] plan::ExprPtr random_expr(Random& random, const Schema& schema, const Type& type, int depth);

// A value of such a type, from a small domain.
[[nodiscard]] Value random_value(Random& random, const Type& type);

}  // namespace thalweg::testing
