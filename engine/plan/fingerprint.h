// engine/plan/fingerprint.h
//
// What a node computes, as a hash: its kind, parameters, schema and the same of its inputs. Names, places in the file
// and numbers of nodes do not count, so that a renamed variable is the same and a changed filter makes all that comes
// after it different.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/plan/node.h"
#include "engine/types/key.h"

namespace thalweg::plan {

// Whether values of secrets count: they do where a running plan is changed, not for state that is kept (another
// password is the same source).
enum class Secrets : std::uint8_t { kCount, kLeftOut };
// By node.
[[nodiscard]] std::vector<Key> fingerprints(const Plan& plan, Secrets secrets = Secrets::kCount);
// Of everything that runs: nodes, and how errors end it.
[[nodiscard]] Key fingerprint(const Plan& plan);
// Operator, arguments and columns on one line, without inputs and names.
[[nodiscard]] std::string node_text(const Node& node);
// The same with the secrets of its expressions: equal texts compute the same. Never shown.
[[nodiscard]] std::string node_identity(const Node& node);

}  // namespace thalweg::plan
