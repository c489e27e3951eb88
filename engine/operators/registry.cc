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
    &kProject, &kFilter, &kRekey,  &kFlatten, &kRemoveErrors, &kAssertAppendOnly, &kFilterForgetting, &kUpsert,
    &kKeyed,   &kIx,     &kConcat, &kGroupBy, &kDeduplicate,  &kTopK,             &kJoin,             &kToStream,
    &kStreamToTable, &kIterate,
};

// The keyed operators are one implementation with a kind.
constexpr std::string_view kKeyedNames[] = {"update_rows", "update_cells", "intersect", "difference", "restrict"};

}  // namespace

}  // namespace operators

const OperatorDescriptor* find_operator(std::string_view name) {
  for (std::string_view keyed : operators::kKeyedNames)
    if (keyed == name) return &operators::kKeyed;
  for (const OperatorDescriptor* descriptor : operators::kAll)
    if (descriptor->name == name) return descriptor;
  return nullptr;
}

}  // namespace thalweg
