#include "engine/runtime/takeover.h"

#include <algorithm>

#include "engine/plan/rewrite/arrange.h"
#include "engine/plan/rewrite/rewrite.h"
#include "engine/runtime/exports.h"

namespace thalweg {
namespace {

template <class... Kinds>
bool is_one_of(const plan::Params& params) {
  return (std::holds_alternative<Kinds>(params) || ...);
}

// Holds nothing: it can be made anew at no cost.
bool is_stateless(const plan::Node& node) {
  return is_one_of<plan::Project, plan::Filter, plan::Rekey, plan::Flatten, plan::RemoveErrors, plan::AssertAppendOnly,
                   plan::Concat, plan::FilterForgetting>(node.params);
}

// Can tell again what it has emitted (Operator::replay).
bool can_replay(const plan::Plan& plan, const plan::Node& node) {
  if (const auto* join = std::get_if<plan::Join>(&node.params))
    return join->how == plan::JoinHow::kInner ||
           (join->key != plan::JoinKey::kPair && !plan::settles_behind(plan, node.id));
  return is_one_of<plan::GroupBy>(node.params);
}

bool may_be_kept(const plan::Node& node) {
  return !is_one_of<plan::Iterate, plan::ErrorLog, plan::LoopInput>(node.params);
}

bool reads_no_more(const plan::Node& now, const plan::Node& before) {
  if (now.keys_needed && !before.keys_needed) return false;
  if (before.used.empty()) return true;
  for (std::size_t c = 0; c < before.used.size(); ++c)
    if (!before.used[c] && (now.used.empty() || now.used[c])) return false;
  return true;
}

class Planner {
 public:
  Planner(const plan::Plan& old, const std::vector<Key>& old_prints, plan::Plan& next,
          const std::vector<Key>& next_prints, std::uint32_t workers)
      : old_(old), old_prints_(old_prints), next_(next), next_prints_(next_prints), workers_(workers) {
    out_.kept.resize(next.nodes.size());
    out_.filled.resize(next.nodes.size());
    readers_.resize(next.nodes.size());
    for (const plan::Node& node : next.nodes)
      for (NodeId input : node.inputs) readers_[input.value].push_back(node.id);
  }

  Takeover run() {
    match();
    if (!same_sources()) return std::move(out_);
    for (const plan::Node& node : next_.nodes) {
      if (out_.kept[node.id.value]) continue;
      if (std::holds_alternative<plan::StaticRows>(node.params) && !impossible("rows written in the file are new"))
        return std::move(out_);
      for (NodeId input : node.inputs)
        if (!fill(input)) return std::move(out_);
    }
    out_.possible = true;
    return std::move(out_);
  }

 private:
  // An arrangement is kept with all that read it, or not at all: what is filled must not find its rows there already.
  void match() {
    std::vector<bool> anew(next_.nodes.size());
    for (bool settled = false; !settled;) {
      settled = true;
      match(anew);
      for (const plan::Node& node : next_.nodes)
        for (NodeId input : node.inputs)
          if (plan::is_arranged(next_, input) && out_.kept[input.value] && !out_.kept[node.id.value]) {
            anew[input.value] = true;
            settled = false;
          }
    }
    for (plan::Node& node : next_.nodes) {
      if (!out_.kept[node.id.value]) continue;
      const plan::Node& before = old_.node(*out_.kept[node.id.value]);
      node.used = before.used;
      node.keys_needed = before.keys_needed;
      if (std::holds_alternative<plan::Source>(node.params)) node.params = before.params;  // which fields are parsed
    }
  }
  // `anew`: nodes that are not to be kept.
  void match(const std::vector<bool>& anew) {
    std::vector<bool> taken(old_.nodes.size());
    for (const plan::Node& node : next_.nodes) {
      out_.kept[node.id.value] = std::nullopt;
      if (!may_be_kept(node) || anew[node.id.value]) continue;
      for (const plan::Node& before : old_.nodes) {
        if (taken[before.id.value] || old_prints_[before.id.value] != next_prints_[node.id.value]) continue;
        if (!reads_no_more(node, before) || !same_inputs(node, before)) continue;
        taken[before.id.value] = true;
        out_.kept[node.id.value] = before.id;
        break;
      }
    }
  }
  bool same_inputs(const plan::Node& node, const plan::Node& before) const {
    return std::ranges::equal(node.inputs, before.inputs, [&](NodeId now, NodeId then) {
      return out_.kept[now.value] && *out_.kept[now.value] == then;
    });
  }

  // Sources go on where they are; a new one starts from its beginning, and that takes a plan of its own.
  bool same_sources() {
    std::size_t kept = 0;
    for (const plan::Node& node : next_.nodes) {
      if (!std::holds_alternative<plan::Source>(node.params)) continue;
      if (!out_.kept[node.id.value]) return impossible("the source " + node.label + " is new, or has to read more");
      ++kept;
    }
    auto before = static_cast<std::size_t>(std::ranges::count_if(
        old_.nodes, [](const plan::Node& node) { return std::holds_alternative<plan::Source>(node.params); }));
    return kept == before || impossible("a source is gone");
  }

  // The rows of a node are wanted again by a reader that is rebuilt.
  bool fill(NodeId id) {
    const plan::Node& node = next_.node(id);
    if (!out_.kept[id.value] || out_.filled[id.value]) return true;
    bool exported =
        workers_ == 1 && !is_event_stream(next_, id) && std::ranges::any_of(readers_[id.value], [&](NodeId reader) {
          return out_.kept[reader.value] && std::holds_alternative<plan::Export>(next_.node(reader).params);
        });
    if (can_replay(next_, node) || exported || std::holds_alternative<plan::StaticRows>(node.params)) {
      out_.filled[id.value] = true;
      return true;
    }
    if (!is_stateless(node)) return impossible("nothing holds the rows of " + node.label);
    out_.kept[id.value] = std::nullopt;
    return std::ranges::all_of(node.inputs, [&](NodeId input) { return fill(input); });
  }

  bool impossible(std::string why) {
    out_.why_not = std::move(why);
    return false;
  }

  const plan::Plan& old_;
  const std::vector<Key>& old_prints_;
  plan::Plan& next_;
  const std::vector<Key>& next_prints_;
  const std::uint32_t workers_;
  std::vector<std::vector<NodeId>> readers_;
  Takeover out_;
};

}  // namespace

Takeover plan_takeover(const plan::Plan& old, const std::vector<Key>& old_prints, plan::Plan& next,
                       const std::vector<Key>& next_prints, std::uint32_t workers) {
  return Planner(old, old_prints, next, next_prints, workers).run();
}

std::optional<NodeId> export_of(const plan::Plan& plan, NodeId table) {
  for (const plan::Node& node : plan.nodes)
    if (std::holds_alternative<plan::Export>(node.params) && node.inputs[0] == table) return node.id;
  return std::nullopt;
}

}  // namespace thalweg
