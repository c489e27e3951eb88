// engine/plan/fingerprint.h
//
// What a node computes, as a hash: its kind, parameters, schema and the same of its inputs. Names, places in the file
// and numbers of nodes do not count, so that a renamed variable is the same and a changed filter makes all that comes
// after it different.
#pragma once

#include <string>
#include <vector>

#include "engine/plan/node.h"
#include "engine/types/key.h"

namespace thalweg::plan {

// By node. Secrets count by their values.
[[nodiscard]] std::vector<Key> fingerprints(const Plan& plan);
// Of everything that runs: nodes, and how errors end it.
[[nodiscard]] Key fingerprint(const Plan& plan);
// Operator, arguments and columns on one line, without inputs and names.
[[nodiscard]] std::string node_text(const Node& node);

}  // namespace thalweg::plan
