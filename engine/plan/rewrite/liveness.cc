#include "engine/plan/rewrite/liveness.h"

#include <algorithm>

namespace thalweg::plan {

bool reads_row_key(ReducerKind kind) {
  switch (kind) {
    case ReducerKind::kCount:
    case ReducerKind::kCountDistinct:
    case ReducerKind::kCountDistinctApproximate:
    case ReducerKind::kSum:
    case ReducerKind::kAvg:
    case ReducerKind::kMin:
    case ReducerKind::kMax:
    case ReducerKind::kArgMin:
    case ReducerKind::kArgMax:
    case ReducerKind::kUnique:
    case ReducerKind::kSortedTuple:
    case ReducerKind::kStddev:
    case ReducerKind::kStddevPop:
    case ReducerKind::kVarSamp:
    case ReducerKind::kVarPop:
    case ReducerKind::kMedian:
    case ReducerKind::kQuantile:
    case ReducerKind::kBoolAnd:
    case ReducerKind::kBoolOr: return false;
    case ReducerKind::kAny:
    case ReducerKind::kTuple:
    case ReducerKind::kNdArray:
    case ReducerKind::kEarliest:
    case ReducerKind::kLatest:
    case ReducerKind::kFirst:
    case ReducerKind::kLast:
    case ReducerKind::kStringAgg:
    case ReducerKind::kFold:
    case ReducerKind::kUser: return true;
  }
  return true;
}

namespace {

// Writers of streams of changes print rows; those that keep a table current need to know the rows apart.
bool output_reads_keys(const Output& output) {
  constexpr std::string_view kStreamWriters[] = {"io.null.write", "io.csv.write", "io.jsonlines.write", "io.fs.write",
                                                 "io.stdout.write"};
  if (std::ranges::find(kStreamWriters, output.connector) == std::end(kStreamWriters)) return true;
  const Setting* kind = output.args.find("output_table_type");
  return kind && kind->as_text() && *kind->as_text() != "stream_of_changes";
}

class Liveness {
 public:
  // `results`: nodes that are read from outside, as their `used` and `keys_needed` say.
  explicit Liveness(Plan& plan, const std::vector<NodeId>& results = {})
      : plan_(plan), results_(results), in_loop_(!results.empty()) {
    for (Node& node : plan_.nodes) {
      if (std::ranges::find(results_, node.id) != results_.end()) continue;
      node.used.assign(node.schema.size(), false);
      node.keys_needed = false;
    }
  }

  void run() {
    // What a log is kept of is computed, whoever else reads it.
    for (const Node& node : plan_.nodes)
      if (const auto* log = std::get_if<ErrorLog>(&node.params); log != nullptr && !log->all)
        for (const NodeId watched : log->operators) use_all(plan_.nodes[watched.value]);
    for (std::size_t i = plan_.nodes.size(); i-- > 0;) visit(plan_.nodes[i]);
    for (Node& node : plan_.nodes) {
      auto* source = std::get_if<Source>(&node.params);
      if (!source) continue;
      source->needs_keys = node.keys_needed;
      for (std::size_t c = 0; c < source->fields.size() && c < node.used.size(); ++c)
        source->fields[c].used = node.used[c];
    }
  }

 private:
  Node& input(const Node& node, std::size_t port) { return plan_.nodes[node.inputs[port].value]; }
  void use_all(Node& node) {
    node.used.assign(node.schema.size(), true);
    node.keys_needed = true;
  }
  static void use(Node& node, const Columns& columns) {
    for (std::uint32_t column : columns) node.used[column] = true;
  }
  void use_expr(Node& from, const Expr& expr) {
    bool key = false;
    std::vector<bool> used(from.schema.size(), false);
    collect_columns(expr, used, key);
    for (std::size_t c = 0; c < used.size() && c < from.used.size(); ++c)
      if (used[c]) from.used[c] = true;
    from.keys_needed = from.keys_needed || key;
  }
  void pass_through(const Node& node, Node& from) {
    for (std::size_t c = 0; c < node.used.size() && c < from.used.size(); ++c)
      if (node.used[c]) from.used[c] = true;
    from.keys_needed = from.keys_needed || node.keys_needed;
  }

  void visit(const Node& node) {
    if (const auto* output = std::get_if<Output>(&node.params)) {
      Node& from = input(node, 0);
      from.used.assign(from.schema.size(), true);
      from.keys_needed = from.keys_needed || output_reads_keys(*output);
    } else if (const auto* project = std::get_if<Project>(&node.params)) {
      Node& from = input(node, 0);
      for (std::size_t c = 0; c < project->exprs.size(); ++c)
        if (node.used[c]) use_expr(from, *project->exprs[c]);
      from.keys_needed = from.keys_needed || node.keys_needed;
    } else if (const auto* remember = std::get_if<Remember>(&node.params)) {
      Node& from = input(node, 0);
      pass_through(node, from);
      for (std::size_t i = 0; i < remember->exprs.size(); ++i)
        if (node.used[from.schema.size() + i]) use_expr(from, *remember->exprs[i]);
      from.keys_needed = true;
    } else if (std::holds_alternative<Arrange>(node.params)) {
      pass_through(node, input(node, 0));
    } else if (const auto* filter = std::get_if<Filter>(&node.params)) {
      pass_through(node, input(node, 0));
      use_expr(input(node, 0), *filter->condition);
    } else if (const auto* concat = std::get_if<Concat>(&node.params)) {
      for (std::size_t port = 0; port < node.inputs.size(); ++port) {
        pass_through(node, input(node, port));
        if (concat->reindex && node.keys_needed) input(node, port).keys_needed = true;
      }
    } else if (const auto* groupby = std::get_if<GroupBy>(&node.params)) {
      visit_groupby(*groupby, input(node, 0));
    } else if (const auto* windows = std::get_if<SlidingGroupBy>(&node.params)) {
      visit_sliding(*windows, input(node, 0));
    } else if (const auto* join = std::get_if<Join>(&node.params)) {
      visit_join(node, *join);
    } else if (auto* iterate = std::get_if<Iterate>(&plan_.nodes[node.id.value].params)) {
      visit_iterate(node, *iterate);
    } else {
      for (std::size_t port = 0; port < node.inputs.size(); ++port) use_all(input(node, port));
    }
  }

  void visit_groupby(const GroupBy& groupby, Node& from) {
    use(from, groupby.by);
    use(from, groupby.sort_by);
    if (groupby.instance) from.used[*groupby.instance] = true;
    for (const Reducer& reducer : groupby.reducers) {
      use(from, reducer.args);
      if (reads_row_key(reducer.kind)) from.keys_needed = true;
      if (reducer.kind == ReducerKind::kFold || reducer.kind == ReducerKind::kUser) use_all(from);
    }
  }

  // With a behavior the changes of a commit are added up by key.
  void visit_sliding(const SlidingGroupBy& windows, Node& from) {
    from.used[windows.windows.time] = true;
    use(from, windows.sort_by);
    if (windows.instance) from.used[*windows.instance] = true;
    for (const Reducer& reducer : windows.reducers) {
      use(from, reducer.args);
      if (reads_row_key(reducer.kind)) from.keys_needed = true;
    }
    bool behaves = !windows.delay.is_none() || !windows.emit_after.is_none() || !windows.cutoff.is_none();
    if (behaves) use_all(from);
  }

  void visit_join(const Node& node, const Join& join) {
    Node& left = input(node, 0);
    Node& right = input(node, 1);
    use(left, join.left_on);
    use(right, join.right_on);
    // Rows that are only matched need no keys: equal rows add up.
    bool adds_up = in_loop_ ? join.how == JoinHow::kInner : !join_reads_keys(plan_, node);
    left.keys_needed |= !adds_up || (node.keys_needed && join.key != JoinKey::kRight);
    right.keys_needed |= !adds_up || (node.keys_needed && join.key != JoinKey::kLeft);
    for (std::size_t c = 0; c < join.emit.size(); ++c) {
      if (!node.used[c]) continue;
      std::size_t index = join.emit[c];
      std::size_t end = left.schema.size() + right.schema.size();
      if (index < left.schema.size())
        left.used[index] = true;
      else if (index < end)
        right.used[index - left.schema.size()] = true;
      else
        (index == end ? left : right).keys_needed = true;
    }
  }

  // What is read of a variable is read of its next value, and that may read more of the variables.
  void visit_iterate(const Node& node, Iterate& iterate) {
    auto body = std::make_shared<Plan>(*iterate.body);
    for (NodeId next : iterate.next) {
      body->nodes[next.value].used.assign(body->nodes[next.value].schema.size(), false);
      body->nodes[next.value].keys_needed = false;
    }
    add_reads(node, body->nodes[iterate.next[iterate.output].value]);
    for (bool more = true; more;) {
      more = false;
      Liveness(*body, iterate.next).run();
      for (std::size_t v = 0; v < iterate.next.size(); ++v)
        more |= add_reads(Node(body->nodes[iterate.loop_inputs[v].value]), body->nodes[iterate.next[v].value]);
    }
    for (std::size_t port = 0; port < node.inputs.size(); ++port) {
      Node& inner = body->nodes[iterate.loop_inputs[port].value];
      if (port < iterate.next.size())
        add_reads(Node(body->nodes[iterate.next[port].value]), inner);  // what the loop yields of round 0
      add_reads(inner, input(node, port));
    }
    iterate.body = std::move(body);
  }
  // Says whether that is more than was read before.
  static bool add_reads(const Node& reader, Node& of) {
    bool more = reader.keys_needed && !of.keys_needed;
    of.keys_needed |= reader.keys_needed;
    for (std::size_t c = 0; c < of.used.size() && c < reader.used.size(); ++c) {
      more |= reader.used[c] && !of.used[c];
      if (reader.used[c]) of.used[c] = true;
    }
    return more;
  }

  Plan& plan_;
  const std::vector<NodeId> results_;
  const bool in_loop_;
};

}  // namespace

void mark_liveness(Plan& plan) { Liveness(plan).run(); }

Columns columns_shown(const Plan& plan, const Node& node, std::size_t side) {
  const auto* join = std::get_if<Join>(&node.params);
  const Columns& emit = join != nullptr ? join->emit : std::get<Ix>(node.params).emit;
  const std::size_t split = plan.node(node.inputs[0]).schema.size();
  const std::size_t begin = side == 0 ? 0 : split;
  const std::size_t end = side == 0 ? split : split + plan.node(node.inputs[1]).schema.size();
  Columns out;
  for (std::size_t c = 0; c < emit.size(); ++c) {
    const std::size_t index = emit[c];
    if (index < begin || index >= end || (c < node.used.size() && !node.used[c])) continue;
    const auto column = static_cast<std::uint32_t>(index - begin);
    if (std::ranges::find(out, column) == out.end()) out.push_back(column);
  }
  return out;
}

bool join_reads_keys(const Plan& plan, const Node& node) {
  const auto& join = std::get<Join>(node.params);
  if (node.keys_needed || join.how != JoinHow::kInner || join.key != JoinKey::kPair) return true;
  std::size_t width = plan.node(node.inputs[0]).schema.size() + plan.node(node.inputs[1]).schema.size();
  for (std::size_t c = 0; c < join.emit.size(); ++c)
    if (join.emit[c] >= width && (c >= node.used.size() || node.used[c])) return true;
  return std::ranges::any_of(plan.nodes,
                             [](const Node& other) { return std::holds_alternative<ErrorLog>(other.params); });
}

}  // namespace thalweg::plan
