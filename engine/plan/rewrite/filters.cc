// R1 of rewrite.h.
#include <algorithm>
#include <map>
#include <optional>

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
      : plan_(plan), readers_(readers_of(plan)), kept_(nodes_kept(plan, kept)) {}

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
    for (std::size_t i = plan_.nodes.size(); i-- > 0;)
      if (readers_[i].size() > 1) push_of_all(plan_.nodes[i]);
  }
  [[nodiscard]] const Before* before(NodeId node, std::size_t port) const {
    auto found = before_.find({node.value, port});
    return found == before_.end() ? nullptr : &found->second;
  }

 private:
  using Parts = std::vector<ExprPtr>;

  // Where several filters read a join and nobody else does, a row that all of them refuse for sure is dropped early.
  void push_of_all(const Node& node) {
    std::vector<Parts> by_reader;
    for (NodeId reader : readers_[node.id.value]) {
      const auto* filter = std::get_if<Filter>(&plan_.node(reader).params);
      if (!filter) return;
      Parts& parts = by_reader.emplace_back();
      for (const ExprPtr& part : conjuncts(filter->condition)) {
        if (!is_silent(*part)) break;
        parts.push_back(part);
      }
    }
    push_of_all(std::move(by_reader), node, plan_.node(readers_[node.id.value][0]));
  }

  void push_of_all(std::vector<Parts> by_reader, const Node& node, const Node& filter) {
    if (const auto* project = std::get_if<Project>(&node.params)) {
      if (readers_[node.inputs[0].value].size() != 1 || !is_silent_throughout(*project)) return;
      for (Parts& parts : by_reader) parts = all_moved(parts, places_before(*project));
      return push_of_all(std::move(by_reader), plan_.node(node.inputs[0]), filter);
    }
    const auto* join = std::get_if<Join>(&node.params);
    if (!join) return;
    std::size_t split_at = plan_.node(node.inputs[0]).schema.size();
    std::size_t end = split_at + plan_.node(node.inputs[1]).schema.size();
    for (std::size_t side : {std::size_t{0}, std::size_t{1}}) {
      ExprPtr any;
      for (const Parts& parts : by_reader) {
        ExprPtr all = all_of(of_side(parts, places_in_side(join->emit, side, split_at, end)));
        if (!all) {  // this reader wants the rows of the side whatever they are
          any = nullptr;
          break;
        }
        any = any ? either(ExprKind::kOr, any, all) : all;
      }
      if (any) push_below_join(any, node, *join, filter);
    }
  }

  static bool is_silent_throughout(const Project& project) {
    return std::ranges::all_of(project.exprs, [](const ExprPtr& expr) { return is_silent(*expr); });
  }
  // Those that can move, moved.
  static Parts all_moved(const Parts& parts, const std::vector<std::uint32_t>& place) {
    Parts out;
    for (const ExprPtr& part : parts)
      if (ExprPtr below = moved(part, place)) out.push_back(std::move(below));
    return out;
  }
  // Those that can move, as they are.
  static Parts of_side(const Parts& parts, const std::vector<std::uint32_t>& place) {
    Parts out;
    for (const ExprPtr& part : parts)
      if (moved(part, place)) out.push_back(part);
    return out;
  }
  static ExprPtr either(ExprKind kind, const ExprPtr& a, const ExprPtr& b) {
    return special(kind, {a, b}, a->type.optional() ? a->type : b->type, a->span);
  }
  static ExprPtr all_of(const Parts& parts) {
    ExprPtr out;
    for (const ExprPtr& part : parts) out = out ? either(ExprKind::kAnd, out, part) : part;
    return out;
  }

  // Puts the condition as deep below the output of `at` as it may go; false if it may not go below it at all.
  bool push(const ExprPtr& condition, NodeId at, const Node& filter) {
    const Node& node = plan_.node(at);
    if (readers_[at.value].size() != 1) return false;
    if (const auto* project = std::get_if<Project>(&node.params)) {
      if (!is_silent_throughout(*project)) return false;
      ExprPtr below = moved(condition, places_before(*project));
      return below && push(below, node.inputs[0], filter);
    }
    const auto* join = std::get_if<Join>(&node.params);
    return join && push_below_join(condition, node, *join, filter);
  }

  bool push_below_join(const ExprPtr& condition, const Node& node, const Join& join, const Node& filter) {
    if (kept_[node.id.value]) return false;
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
  const std::vector<std::vector<NodeId>> readers_;
  const std::vector<bool> kept_;
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
