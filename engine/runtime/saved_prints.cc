#include "engine/runtime/saved_prints.h"

#include "engine/runtime/durability.h"

namespace thalweg {

Result<std::set<Key>> saved_fingerprints(const DurabilityOptions& options, const Env& env) {
  std::unique_ptr<Durability> durability = TRY(Durability::open(options, std::make_shared<Env>(env)));
  std::set<Key> out;
  std::vector<SavedNode> nodes;
  if (durability->saved())
    nodes = TRY(durability->saved_plan());
  else if (auto plan = TRY(durability->log_plan()); plan && durability->has_replays())
    nodes = std::move(plan->nodes);
  for (const SavedNode& node : nodes) out.insert(node.print);
  return out;
}

}  // namespace thalweg
