#include <algorithm>
#include <map>
#include <string>
#include <type_traits>
#include <utility>

#include "engine/plan/rewrite/rewrite.h"

namespace thalweg::plan {

namespace {

// Rows that are written down: whether some batch leaves a key with more than one.
bool repeats(const StaticRows& rows) {
  if (!rows.rows) return false;
  std::map<std::uint64_t, std::map<Key, Diff>> changes;
  for (const StaticRow& row : *rows.rows) changes[row.time][row.key] += row.diff;
  std::map<Key, Diff> live;
  for (const auto& [time, by_key] : changes)
    for (const auto& [key, diff] : by_key)
      if ((live[key] += diff) > 1) return true;
  return false;
}

// Two records may have the same primary key, where they do not replace one another.
bool repeats(const Source& source) {
  bool keyed = false;
  for (const SourceField& field : source.fields) keyed = keyed || field.primary_key;
  return keyed;
}

// `any`: those of some input may.
bool repeats(const Node& node, bool any) {
  return std::visit(
      [&]<class Kind>(const Kind& params) {
        if constexpr (std::is_same_v<Kind, StaticRows> || std::is_same_v<Kind, Source>)
          return repeats(params);
        else if constexpr (std::is_same_v<Kind, Concat>)
          return any || !params.reindex;
        else if constexpr (std::is_same_v<Kind, Join>)
          return params.key == JoinKey::kPair && any;  // R0
        else if constexpr (std::is_same_v<Kind, AsofNowJoin>)
          return any || params.key != JoinKey::kPair;
        else if constexpr (std::is_same_v<Kind, Rekey> || std::is_same_v<Kind, ToStream> ||
                           std::is_same_v<Kind, Iterate> || std::is_same_v<Kind, LoopInput> ||
                           std::is_same_v<Kind, IndexQuery>)
          return true;
        else if constexpr (std::is_same_v<Kind, Upsert> || std::is_same_v<Kind, Keyed> ||
                           std::is_same_v<Kind, GroupBy> || std::is_same_v<Kind, SlidingGroupBy> ||
                           std::is_same_v<Kind, StreamToTable>)
          return false;
        else
          return any;
      },
      node.params);
}

// Its results would have to be put together by a key whose rows lie on several workers.
bool must_settle(const Join& join, bool left_repeats, bool right_repeats) {
  if (join.key == JoinKey::kPair || join.left_on.empty()) return false;
  const bool left = join.key == JoinKey::kLeft;
  const bool pads_other = join.how == JoinHow::kOuter || join.how == (left ? JoinHow::kRight : JoinHow::kLeft);
  return (left ? left_repeats : right_repeats) || (pads_other && (left ? right_repeats : left_repeats));
}

}  // namespace

std::vector<bool> keys_repeat(const Plan& plan) {
  std::vector<bool> out(plan.nodes.size(), false);
  for (const Node& node : plan.nodes) {
    bool any = false;
    for (NodeId input : node.inputs) any = any || out[input.value];
    out[node.id.value] = repeats(node, any);
  }
  return out;
}

bool settles_behind(const Plan& plan, NodeId join) {
  return std::ranges::any_of(plan.nodes, [&](const Node& node) {
    return std::holds_alternative<Keyed>(node.params) && node.inputs.size() == 1 && node.inputs[0] == join;
  });
}

std::vector<NodeId> settle_keys(Plan& plan) {
  const std::vector<bool> repeated = keys_repeat(plan);
  std::vector<bool> is_settled_behind(plan.nodes.size(), false);
  for (const Node& node : plan.nodes) is_settled_behind[node.id.value] = settles_behind(plan, node.id);
  std::vector<NodeId> now(plan.nodes.size());
  std::map<std::uint32_t, NodeId> joins;  // by the node that settles them
  std::vector<Node> nodes = std::exchange(plan.nodes, {});
  for (Node& node : nodes) {
    const NodeId old = node.id;
    const std::vector<NodeId> inputs = node.inputs;
    renumber(node, now);
    if (auto* log = std::get_if<ErrorLog>(&node.params))
      for (std::size_t i = log->operators.size(); i-- > 0;)
        if (auto at = joins.find(log->operators[i].value); at != joins.end()) log->operators.push_back(at->second);
    const auto* join = std::get_if<Join>(&node.params);
    if (!join || is_settled_behind[old.value] ||
        !must_settle(*join, repeated[inputs[0].value], repeated[inputs[1].value])) {
      now[old.value] = plan.add(std::move(node));
      continue;
    }
    Node settled{.id = {},
                 .inputs = {},
                 .schema = node.schema,
                 .params = Keyed{KeyedKind::kUpdateRows, {}},
                 .span = node.span,
                 .label = node.label,
                 .append_only = node.append_only,
                 .reports_errors = node.reports_errors};
    const NodeId inner = plan.add(std::move(node));
    settled.inputs = {inner};
    now[old.value] = plan.add(std::move(settled));
    joins.emplace(now[old.value].value, inner);
  }
  return now;
}

}  // namespace thalweg::plan
