// tests/property/random_reducer.h
//
// A random reducer over the columns of a table, with a type that the language would give it.
#pragma once

#include <optional>

#include "engine/plan/node.h"
#include "tests/support/random.h"

namespace thalweg::testing {

// None: the table has no column that the chosen reducer could take.
[[nodiscard]] std::optional<plan::Reducer> random_reducer(Random& random, const Schema& schema);

// The last bits of its result depend on how it is computed, so that nothing may be grouped or joined by it.
[[nodiscard]] bool is_rounded(plan::ReducerKind kind);

}  // namespace thalweg::testing
