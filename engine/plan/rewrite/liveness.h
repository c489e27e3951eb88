// engine/plan/rewrite/liveness.h
//
// Which columns and keys anybody reads. Marks them on the plan (Node::used, Node::keys_needed, SourceField::used,
// Source::needs_keys); column numbers do not change, what is not read is neither parsed, computed, stored nor hashed.
#pragma once

#include "engine/plan/node.h"

namespace thalweg::plan {

void mark_liveness(Plan& plan);
// The order or the choice of such a reducer goes by row keys.
[[nodiscard]] bool reads_row_key(ReducerKind kind);

// Whether a join looks at the row keys of its inputs, once liveness is marked. Those that only match rows do not; where
// there is an error log, errors tell the key of their row.
[[nodiscard]] bool join_reads_keys(const Plan& plan, const Node& node);
// Columns of a side of a join or a lookup (0: left) that are in its results and read there.
[[nodiscard]] Columns columns_shown(const Plan& plan, const Node& join, std::size_t side);

}  // namespace thalweg::plan
