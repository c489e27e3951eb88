#include "engine/plan/node.h"

namespace thalweg::plan {

namespace {

struct NameOf {
  std::string_view operator()(const Source&) const { return "source"; }
  std::string_view operator()(const StaticRows&) const { return "static_rows"; }
  std::string_view operator()(const ErrorLog&) const { return "error_log"; }
  std::string_view operator()(const Project&) const { return "project"; }
  std::string_view operator()(const Filter&) const { return "filter"; }
  std::string_view operator()(const Rekey&) const { return "rekey"; }
  std::string_view operator()(const Flatten&) const { return "flatten"; }
  std::string_view operator()(const RemoveErrors&) const { return "remove_errors"; }
  std::string_view operator()(const AssertAppendOnly&) const { return "assert_append_only"; }
  std::string_view operator()(const FilterForgetting&) const { return "filter_forgetting"; }
  std::string_view operator()(const Upsert&) const { return "upsert"; }
  std::string_view operator()(const Keyed&) const { return "keyed"; }
  std::string_view operator()(const Ix&) const { return "ix"; }
  std::string_view operator()(const Concat&) const { return "concat"; }
  std::string_view operator()(const GroupBy&) const { return "groupby"; }
  std::string_view operator()(const Deduplicate&) const { return "deduplicate"; }
  std::string_view operator()(const TopK&) const { return "topk"; }
  std::string_view operator()(const Join&) const { return "join"; }
  std::string_view operator()(const Sort&) const { return "sort"; }
  std::string_view operator()(const OrderedDiff&) const { return "diff"; }
  std::string_view operator()(const Interpolate&) const { return "interpolate"; }
  std::string_view operator()(const TimeGate&) const { return "time_gate"; }
  std::string_view operator()(const WindowAssign&) const { return "window_assign"; }
  std::string_view operator()(const SessionAssign&) const { return "session_assign"; }
  std::string_view operator()(const IntervalJoin&) const { return "interval_join"; }
  std::string_view operator()(const AsofJoin&) const { return "asof_join"; }
  std::string_view operator()(const AsofNowJoin&) const { return "asof_now_join"; }
  std::string_view operator()(const ToStream&) const { return "to_stream"; }
  std::string_view operator()(const StreamToTable&) const { return "stream_to_table"; }
  std::string_view operator()(const Iterate&) const { return "iterate"; }
  std::string_view operator()(const LoopInput&) const { return "loop_input"; }
  std::string_view operator()(const Output&) const { return "output"; }
  std::string_view operator()(const Export&) const { return "export"; }
};

}  // namespace

std::string_view operator_name(const Params& params) { return std::visit(NameOf{}, params); }

}  // namespace thalweg::plan
