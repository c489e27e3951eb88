#include "engine/operators/registry.h"

namespace thalweg {

namespace operators {

std::vector<Route> route_any(const plan::Node& node) { return std::vector<Route>(node.inputs.size()); }
std::vector<Route> route_by_key(const plan::Node& node) {
  return std::vector<Route>(node.inputs.size(), Route{Route::By::kKey, {}});
}
Route spread_unknown(const plan::Node&) { return {}; }
Route spread_by_key(const plan::Node&) { return {Route::By::kKey, {}}; }

namespace {

const OperatorDescriptor* const kAll[] = {
    &kProject,          &kFilter,           &kRekey,       &kFlatten,       &kRemoveErrors,
    &kAssertAppendOnly, &kFilterForgetting, &kUpsert,      &kKeyed,         &kIx,
    &kConcat,           &kGroupBy,          &kDeduplicate, &kTopK,          &kJoin,
    &kToStream,         &kIterate,          &kRemember,    &kStreamToTable, &kSort,
    &kOrderedDiff,      &kInterpolate,      &kTimeGate,    &kWindowAssign,  &kSlidingGroupBy,
    &kSessionAssign,    &kIntervalJoin,     &kAsofJoin,    &kAsofNowJoin,   &kUtcNow,
    &kInactivity,       &kUpdateTimestamp,  &kIndexQuery,  &kArrange,
};

// The keyed operators are one implementation with a kind, and so are the gates of event time.
constexpr std::string_view kKeyedNames[] = {"update_rows", "update_cells", "intersect", "difference", "restrict"};
constexpr std::string_view kGateNames[] = {"forget", "buffer", "freeze"};

}  // namespace

}  // namespace operators

const OperatorDescriptor* find_operator(std::string_view name) {
  for (std::string_view keyed : operators::kKeyedNames)
    if (keyed == name) return &operators::kKeyed;
  for (std::string_view gate : operators::kGateNames)
    if (gate == name) return &operators::kTimeGate;
  for (const OperatorDescriptor* descriptor : operators::kAll)
    if (descriptor->name == name) return descriptor;
  return nullptr;
}

}  // namespace thalweg
