#include "engine/runtime/saved_prints.h"

#include "engine/runtime/durability.h"

namespace thalweg {

Result<std::set<Key>> saved_fingerprints(const DurabilityOptions& options, const Env& env) {
  std::unique_ptr<Durability> durability = TRY(Durability::open(options, std::make_shared<Env>(env)));
  std::set<Key> out;
  if (!durability->saved()) return out;
  for (const SavedNode& node : TRY(durability->saved_plan())) out.insert(node.print);
  return out;
}

}  // namespace thalweg
