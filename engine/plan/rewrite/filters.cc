// R1 of rewrite.h.
#include <algorithm>
#include <map>
#include <optional>

#include "engine/plan/fingerprint.h"
#include "engine/plan/rewrite/conditions.h"
#include "engine/plan/rewrite/rewrite.h"

namespace thalweg::plan {

namespace {

// A filter that goes before one input of a node.
struct Before {
  std::vector<ExprPtr> parts;
  std::string label;
  SourceSpan span;
};

class FilterMover {
 public:
  FilterMover(const Plan& plan, const std::set<Key>& kept)
      : plan_(plan),
        kept_(kept),
        readers_(readers_of(plan)),
        prints_(kept.empty() ? std::vector<Key>() : fingerprints(plan)) {}

  void run() {
    for (std::size_t i = plan_.nodes.size(); i-- > 0;) {
      const Node& node = plan_.nodes[i];
      const auto* filter = std::get_if<Filter>(&node.params);
      if (!filter) continue;
      // A part may move as long as those before it raise nothing: they would be asked first.
      for (const ExprPtr& part : conjuncts(filter->condition)) {
        if (!is_silent(*part)) break;
        push(part, node.inputs[0], node);
      }
    }
  }
  [[nodiscard]] const Before* before(NodeId node, std::size_t port) const {
    auto found = before_.find({node.value, port});
    return found == before_.end() ? nullptr : &found->second;
  }

 private:
  // Puts the condition as deep below the output of `at` as it may go; false if it may not go below it at all.
  bool push(const ExprPtr& condition, NodeId at, const Node& filter) {
    const Node& node = plan_.node(at);
    if (readers_[at.value].size() != 1) return false;
    if (const auto* project = std::get_if<Project>(&node.params)) {
      bool silent = std::ranges::all_of(project->exprs, [](const ExprPtr& expr) { return is_silent(*expr); });
      if (!silent) return false;
      ExprPtr below = moved(condition, places_before(*project));
      return below && push(below, node.inputs[0], filter);
    }
    const auto* join = std::get_if<Join>(&node.params);
    return join && push_below_join(condition, node, *join, filter);
  }

  bool push_below_join(const ExprPtr& condition, const Node& node, const Join& join, const Node& filter) {
    if (!kept_.empty() && kept_.contains(prints_[node.id.value])) return false;
    if (join.key != JoinKey::kPair) return false;  // several partners of a row are an ERROR: they must stay several
    // A side whose missing rows are padded must keep all: without a partner the other side's row would look different.
    bool sides[2] = {join.how == JoinHow::kInner || join.how == JoinHow::kLeft,
                     join.how == JoinHow::kInner || join.how == JoinHow::kRight};
    std::size_t split_at = plan_.node(node.inputs[0]).schema.size();
    std::size_t end = split_at + plan_.node(node.inputs[1]).schema.size();
    for (std::size_t side : {std::size_t{0}, std::size_t{1}}) {
      if (!sides[side]) continue;
      ExprPtr below = moved(condition, places_in_side(join.emit, side, split_at, end));
      if (!below) continue;
      if (!push(below, node.inputs[side], filter)) {
        Before& place_here = before_[{node.id.value, side}];
        place_here.parts.push_back(below);
        place_here.label = filter.label;
        place_here.span = filter.span;
      }
      return true;
    }
    return false;
  }

  const Plan& plan_;
  const std::set<Key>& kept_;
  const std::vector<std::vector<NodeId>> readers_;
  const std::vector<Key> prints_;
  std::map<std::pair<std::uint32_t, std::size_t>, Before> before_;
};

// Passes what the condition does not refuse.
ExprPtr unless_refused(const Before& before) {
  ExprPtr all = before.parts[0];
  for (std::size_t i = 1; i < before.parts.size(); ++i)
    all = special(ExprKind::kAnd, {all, before.parts[i]}, all->type.optional() ? all->type : before.parts[i]->type,
                  before.span);
  if (all->type.optional())
    all = special(ExprKind::kCoalesce, {all, literal(Value::of(false), Type(Kind::kBool))}, Type(Kind::kBool),
                  before.span);
  return special(ExprKind::kFillError, {all, literal(Value::of(true), Type(Kind::kBool))}, Type(Kind::kBool),
                 before.span);
}

}  // namespace

std::vector<NodeId> move_filters(Plan& plan, const std::set<Key>& kept) {
  FilterMover mover(plan, kept);
  mover.run();
  std::vector<NodeId> now(plan.nodes.size());
  Plan out = plan;
  out.nodes.clear();
  for (Node node : plan.nodes) {
    NodeId old = node.id;
    renumber(node, now);
    for (std::size_t port = 0; port < node.inputs.size(); ++port) {
      const Before* before = mover.before(old, port);
      if (!before) continue;
      const Node& input = out.node(node.inputs[port]);
      Node filter;
      filter.inputs = {input.id};
      filter.schema = input.schema;
      filter.params = Filter{unless_refused(*before)};
      filter.span = before->span;
      filter.label = before->label;
      filter.append_only = input.append_only;
      filter.reports_errors = node.reports_errors;
      node.inputs[port] = out.add(std::move(filter));
    }
    now[old.value] = out.add(std::move(node));
  }
  plan = std::move(out);
  return now;
}

}  // namespace thalweg::plan
