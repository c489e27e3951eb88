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
  constexpr std::string_view kStreamWriters[] = {"io.null.write", "io.csv.write", "io.jsonlines.write", "io.fs.write", "io.stdout.write"};
  if (std::ranges::find(kStreamWriters, output.connector) == std::end(kStreamWriters)) return true;
  const Setting* kind = output.args.find("output_table_type");
  return kind && kind->as_text() && *kind->as_text() != "stream_of_changes";
}

class Liveness {
 public:
  explicit Liveness(Plan& plan) : plan_(plan) {
    for (Node& node : plan_.nodes) {
      node.used.assign(node.schema.size(), false);
      node.keys_needed = false;
    }
  }

  void run() {
    for (std::size_t i = plan_.nodes.size(); i-- > 0;) visit(plan_.nodes[i]);
    for (Node& node : plan_.nodes) {
      auto* source = std::get_if<Source>(&node.params);
      if (!source) continue;
      source->needs_keys = node.keys_needed;
      for (std::size_t c = 0; c < source->fields.size() && c < node.used.size(); ++c) source->fields[c].used = node.used[c];
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
    } else if (const auto* join = std::get_if<Join>(&node.params)) {
      visit_join(node, *join);
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

  void visit_join(const Node& node, const Join& join) {
    Node& left = input(node, 0);
    Node& right = input(node, 1);
    use(left, join.left_on);
    use(right, join.right_on);
    left.keys_needed = true;  // rows are told apart by them
    right.keys_needed = true;
    for (std::size_t c = 0; c < join.emit.size(); ++c) {
      if (!node.used[c]) continue;
      std::size_t index = join.emit[c];
      if (index < left.schema.size()) left.used[index] = true;
      else if (index < left.schema.size() + right.schema.size()) right.used[index - left.schema.size()] = true;
    }
  }

  Plan& plan_;
};

}  // namespace

void mark_liveness(Plan& plan) { Liveness(plan).run(); }

}  // namespace thalweg::plan
