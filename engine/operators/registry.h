// engine/operators/registry.h
//
// One line per operator. Each is defined in the file of its name.
#pragma once

#include "engine/operators/operator.h"

namespace thalweg::operators {

extern const OperatorDescriptor kProject;
extern const OperatorDescriptor kRemember;
extern const OperatorDescriptor kFilter;
extern const OperatorDescriptor kRekey;
extern const OperatorDescriptor kFlatten;
extern const OperatorDescriptor kRemoveErrors;
extern const OperatorDescriptor kAssertAppendOnly;
extern const OperatorDescriptor kFilterForgetting;
extern const OperatorDescriptor kUpsert;
extern const OperatorDescriptor kKeyed;
extern const OperatorDescriptor kIx;
extern const OperatorDescriptor kConcat;
extern const OperatorDescriptor kIterate;
extern const OperatorDescriptor kGroupBy;
extern const OperatorDescriptor kDeduplicate;
extern const OperatorDescriptor kTopK;
extern const OperatorDescriptor kJoin;
extern const OperatorDescriptor kArrange;
extern const OperatorDescriptor kIndexQuery;
extern const OperatorDescriptor kToStream;
extern const OperatorDescriptor kStreamToTable;
// temporal/
extern const OperatorDescriptor kSort;
extern const OperatorDescriptor kOrderedDiff;
extern const OperatorDescriptor kInterpolate;
extern const OperatorDescriptor kTimeGate;
extern const OperatorDescriptor kWindowAssign;
extern const OperatorDescriptor kSlidingGroupBy;
extern const OperatorDescriptor kSessionAssign;
extern const OperatorDescriptor kIntervalJoin;
extern const OperatorDescriptor kAsofJoin;
extern const OperatorDescriptor kAsofNowJoin;
extern const OperatorDescriptor kUtcNow;
extern const OperatorDescriptor kInactivity;
extern const OperatorDescriptor kUpdateTimestamp;

// Routes that many share.
std::vector<Route> route_any(const plan::Node& node);     // every port stays
std::vector<Route> route_by_key(const plan::Node& node);  // every port by row key
Route spread_unknown(const plan::Node& node);
Route spread_by_key(const plan::Node& node);

}  // namespace thalweg::operators
