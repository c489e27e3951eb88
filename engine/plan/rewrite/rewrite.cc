#include "engine/plan/rewrite/rewrite.h"

#include <algorithm>
#include <map>
#include <string>

#include "engine/plan/fingerprint.h"
#include "engine/plan/rewrite/arrange.h"

namespace thalweg::plan {

std::vector<std::vector<NodeId>> readers_of(const Plan& plan) {
  std::vector<std::vector<NodeId>> readers(plan.nodes.size());
  for (const Node& node : plan.nodes)
    for (NodeId input : node.inputs) readers[input.value].push_back(node.id);
  return readers;
}

std::vector<bool> nodes_kept(const Plan& plan, const std::set<Key>& kept) {
  std::vector<bool> out(plan.nodes.size(), false);
  if (kept.empty()) return out;
  for (Secrets secrets : {Secrets::kCount, Secrets::kLeftOut}) {
    const std::vector<Key> prints = fingerprints(plan, secrets);
    for (std::size_t i = 0; i < prints.size(); ++i) out[i] = out[i] || kept.contains(prints[i]);
  }
  return out;
}

void renumber(Node& node, const std::vector<NodeId>& now) {
  for (NodeId& input : node.inputs) input = now[input.value];
  if (auto* log = std::get_if<ErrorLog>(&node.params))
    for (NodeId& id : log->operators) id = now[id.value];
}

namespace {

// What may stand for another node like it: it computes from its inputs, and nothing else.
bool may_be_shared(const Node& node) {
  return std::holds_alternative<Project>(node.params) || std::holds_alternative<Filter>(node.params) ||
         std::holds_alternative<Join>(node.params) || std::holds_alternative<GroupBy>(node.params) ||
         std::holds_alternative<TopK>(node.params) || std::holds_alternative<Flatten>(node.params) ||
         std::holds_alternative<Rekey>(node.params) || std::holds_alternative<Keyed>(node.params) ||
         std::holds_alternative<Ix>(node.params) || std::holds_alternative<Concat>(node.params);
}

// Nodes whose own errors somebody asks for.
std::vector<bool> watched_for_errors(const Plan& plan) {
  std::vector<bool> watched(plan.nodes.size(), false);
  for (const Node& node : plan.nodes)
    if (const auto* log = std::get_if<ErrorLog>(&node.params))
      for (NodeId id : log->operators) watched[id.value] = true;
  return watched;
}

}  // namespace

std::vector<NodeId> merge_equal_nodes(Plan& plan) {
  std::vector<bool> watched = watched_for_errors(plan);
  std::vector<NodeId> now(plan.nodes.size());
  std::map<std::string, NodeId> first_of;
  std::vector<Node> nodes = std::exchange(plan.nodes, {});
  for (Node& node : nodes) {
    NodeId old = node.id;
    renumber(node, now);
    bool shared = may_be_shared(node) && !watched[old.value];
    std::string text;
    if (shared) {
      text = node_identity(node) + (node.reports_errors ? "" : " quiet");
      for (NodeId input : node.inputs) text += ' ' + std::to_string(input.value);
      auto [at, fresh] = first_of.try_emplace(text, NodeId{static_cast<std::uint32_t>(plan.nodes.size())});
      if (!fresh) {
        now[old.value] = at->second;
        continue;
      }
    }
    now[old.value] = plan.add(std::move(node));
  }
  return now;
}

std::vector<NodeId> rewrite(Plan& plan, const std::set<Key>& kept) {
  std::vector<NodeId> now = settle_keys(plan);
  auto follow = [&](const std::vector<NodeId>& then) {
    for (NodeId& id : now) id = then[id.value];
  };
  follow(merge_equal_nodes(plan));
  for (auto step : {move_filters, join_by_bands, share_arrangements}) follow(step(plan, kept));
  return now;
}

}  // namespace thalweg::plan
