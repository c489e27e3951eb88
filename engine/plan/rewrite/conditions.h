// engine/plan/rewrite/conditions.h
//
// What rewrites ask about conditions: of which parts they are made, what may go wrong in them, and what they look at.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/plan/node.h"

namespace thalweg::plan {

// Compares without ever raising an error of its own (ERROR cells only pass through).
[[nodiscard]] bool is_silent(const Expr& expr);

// The parts of a chain of `and`, in the order in which they are asked.
[[nodiscard]] std::vector<ExprPtr> conjuncts(const ExprPtr& condition);

inline constexpr std::uint32_t kNowhere = 0xFFFFFFFFU;

// The expression over other columns, if it looks at columns and each of them has a place there; else null.
[[nodiscard]] ExprPtr moved(const ExprPtr& expr, const std::vector<std::uint32_t>& place);
// Where the columns of a projection come from; kNowhere where they are computed.
[[nodiscard]] std::vector<std::uint32_t> places_before(const Project& project);
// Where the columns that a join emits lie in one of its sides: left columns are below `split`, right ones below `end`.
[[nodiscard]] std::vector<std::uint32_t> places_in_side(const Columns& emit, std::size_t side, std::size_t split,
                                                        std::size_t end);

}  // namespace thalweg::plan
