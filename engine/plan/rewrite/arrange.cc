#include "engine/plan/rewrite/arrange.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "engine/plan/rewrite/liveness.h"
#include "engine/plan/rewrite/rewrite.h"

namespace thalweg::plan {

namespace {

// One side of a join, as far as others may have the same. Joins that look at row keys hold rows one by one, the others
// add equal rows up: they do not share, or an added up row would be many.
struct Side {
  NodeId input;
  Arrange by;
  bool with_keys = true;
  [[nodiscard]] auto order() const { return std::tie(input, by.on, by.by_key, by.none_matches, with_keys); }
  friend bool operator<(const Side& a, const Side& b) { return a.order() < b.order(); }
};

using Choice = std::array<bool, 2>;  // which sides of a join are shared

Arrange arranged_by(const Node& node, std::size_t side) {
  if (const auto* join = std::get_if<Join>(&node.params))
    return {side == 0 ? join->left_on : join->right_on, false, join->none_matches};
  return {{}, true, true};
}

bool reads_keys(const Plan& plan, const Node& node) {
  return std::holds_alternative<Ix>(node.params) || join_reads_keys(plan, node);
}

class Sharing {
 public:
  Sharing(Plan& plan, const std::set<Key>& kept) : plan_(plan), kept_(kept), marked_(plan) {
    mark_liveness(marked_);
    for (const Node& node : plan.nodes)
      if (const auto* log = std::get_if<ErrorLog>(&node.params))
        watched_.insert(log->operators.begin(), log->operators.end());
    for (const Node& node : marked_.nodes)
      if (holds_sides(node))
        for (std::size_t side : {0U, 1U})
          if (may_share(node, side)) ++readers_[side_of(node, side)];
  }

  std::vector<NodeId> run() {
    std::vector<NodeId> now(plan_.nodes.size());
    std::vector<Node> nodes = std::exchange(plan_.nodes, {});
    for (Node& node : nodes) {
      const NodeId old = node.id;
      renumber(node, now);
      if (holds_sides(node)) share(node, marked_.node(old));
      now[old.value] = plan_.add(std::move(node));
    }
    return now;
  }

 private:
  Side side_of(const Node& node, std::size_t side) const {
    return {node.inputs[side], arranged_by(node, side), reads_keys(marked_, node)};
  }
  // Of a side whose rows are only counted there is little to hold. Lookups share what they look into, unless somebody
  // asks for the errors of one: keys that collide are told of by who holds them.
  bool may_share(const Node& node, std::size_t side) const {
    if (std::holds_alternative<Ix>(node.params)) return side == 1 && !watched_.contains(node.id);
    return join_reads_keys(marked_, node) || !columns_shown(marked_, node, side).empty();
  }

  // `node` with its inputs in the new plan, `old` as it was.
  void share(Node& node, const Node& old) {
    const std::array<Side, 2> sides{side_of(old, 0), side_of(old, 1)};
    const Choice choice = choose(node, old, sides);
    for (std::size_t side : {0U, 1U}) {
      if (!choice[side]) continue;
      auto [at, fresh] = made_.try_emplace(sides[side]);
      if (fresh) at->second = plan_.add(arrange(node, side));
      node.inputs[side] = at->second;
    }
  }

  // What runs already stays as it is; what is new shares with others that are.
  Choice choose(const Node& node, const Node& old, const std::array<Side, 2>& sides) const {
    if (!kept_.empty())
      for (const Choice& choice : {Choice{}, Choice{true, false}, Choice{false, true}, Choice{true, true}})
        if (runs(node, sides, choice)) return choice;
    Choice out{};
    for (std::size_t side : {0U, 1U}) {
      auto count = readers_.find(sides[side]);
      out[side] = count != readers_.end() && count->second > 1 && may_share(old, side) &&
                  (kept_.empty() || !arrangement_runs(node, side));
    }
    return out;
  }

  bool runs(const Node& node, const std::array<Side, 2>& sides, const Choice& choice) const {
    Plan trial = plan_;
    Node join = node;
    for (std::size_t side : {0U, 1U}) {
      if (!choice[side]) continue;
      auto made = made_.find(sides[side]);
      if (made != made_.end())
        join.inputs[side] = made->second;
      else
        join.inputs[side] = trial.add(arrange(node, side));
    }
    trial.add(std::move(join));
    return nodes_kept(trial, kept_).back();
  }
  bool arrangement_runs(const Node& node, std::size_t side) const {
    Plan trial = plan_;
    trial.add(arrange(node, side));
    return nodes_kept(trial, kept_).back();
  }

  Node arrange(const Node& node, std::size_t side) const {
    const Node& input = plan_.node(node.inputs[side]);
    return {.id = {},
            .inputs = {input.id},
            .schema = input.schema,
            .params = arranged_by(node, side),
            .span = input.span,
            .label = input.label,
            .append_only = input.append_only,
            .reports_errors = input.reports_errors};
  }

  Plan& plan_;
  const std::set<Key>& kept_;
  Plan marked_;  // as it was, with liveness
  std::set<NodeId> watched_;
  std::map<Side, std::size_t> readers_;
  std::map<Side, NodeId> made_;
};

}  // namespace

std::vector<NodeId> share_arrangements(Plan& plan, const std::set<Key>& kept) { return Sharing(plan, kept).run(); }

Arranged arranged_for(const Plan& plan, NodeId arrange) {
  Arranged out;
  for (const Node& node : plan.nodes) {
    if (!holds_sides(node)) continue;
    const auto* join = std::get_if<Join>(&node.params);
    for (std::size_t side : {0U, 1U}) {
      if (node.inputs[side] != arrange) continue;
      for (std::uint32_t column : columns_shown(plan, node, side))
        if (std::ranges::find(out.kept, column) == out.kept.end()) out.kept.push_back(column);
      out.with_keys = out.with_keys || reads_keys(plan, node);
      out.counts = out.counts || join == nullptr || join->how != JoinHow::kInner;
    }
  }
  return out;
}

NodeId family_of(const Plan& plan, NodeId arrange) {
  std::vector<std::uint32_t> first(plan.nodes.size());
  std::iota(first.begin(), first.end(), 0U);
  for (bool more = true; more;) {
    more = false;
    for (const Node& node : plan.nodes) {
      if (!std::holds_alternative<Join>(node.params)) continue;
      const NodeId left = node.inputs[0];
      const NodeId right = node.inputs[1];
      if (!is_arranged(plan, left) || !is_arranged(plan, right) || first[left.value] == first[right.value]) continue;
      first[left.value] = first[right.value] = std::min(first[left.value], first[right.value]);
      more = true;
    }
  }
  return NodeId{first[arrange.value]};
}

}  // namespace thalweg::plan
