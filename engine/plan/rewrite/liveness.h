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

}  // namespace thalweg::plan
