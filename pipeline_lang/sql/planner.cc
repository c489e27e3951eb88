#include "pipeline_lang/sql/planner.h"

#include <algorithm>

#include "engine/base/edit_distance.h"
#include "pipeline_lang/sql/sql.h"

namespace thalweg::sql {

NodeId Planner::add(plan::Params params, std::vector<NodeId> inputs, std::vector<ColumnSpec> columns,
                    std::string label) {
  plan::Node node;
  node.params = std::move(params);
  node.schema.columns = std::move(columns);
  node.label = std::move(label);
  bool row_by_row =
      std::holds_alternative<plan::Project>(node.params) || std::holds_alternative<plan::Filter>(node.params) ||
      std::holds_alternative<plan::Concat>(node.params) || std::holds_alternative<plan::StaticRows>(node.params);
  const auto* join = std::get_if<plan::Join>(&node.params);
  node.append_only = (row_by_row || (join && join->how == plan::JoinHow::kInner)) &&
                     std::all_of(inputs.begin(), inputs.end(), [&](NodeId id) { return plan_.node(id).append_only; });
  node.inputs = std::move(inputs);
  return plan_.add(std::move(node));
}

std::vector<ExprPtr> Planner::all_columns(const std::vector<ColumnSpec>& columns) {
  std::vector<ExprPtr> exprs;
  for (std::uint32_t i = 0; i < columns.size(); ++i) exprs.push_back(plan::column(i, columns[i].type));
  return exprs;
}

std::vector<std::string> Planner::names_of(const std::vector<ColumnSpec>& columns) {
  std::vector<std::string> names;
  for (const ColumnSpec& column : columns) names.push_back(column.name);
  return names;
}

NodeId Planner::project(NodeId input, std::vector<ExprPtr> exprs, const std::vector<std::string>& names) {
  std::vector<ColumnSpec> columns;
  for (std::size_t i = 0; i < exprs.size(); ++i) columns.push_back({names[i], exprs[i]->type});
  return add(plan::Project{std::move(exprs)}, {input}, std::move(columns), "select");
}

Result<void> Planner::check_size(const ExprPtr& expr) const {
  if (tree_size(*expr) <= kTreeSizeMax) return {};
  return fail(Code::kTooLarge, "the expression is too large", expr->span);
}

Result<Relation> Planner::table(const std::string& name, const Environment* env, Place place) {
  std::vector<std::string> names = request_.table_names;
  for (const Environment* e = env; e != nullptr; e = e->outer) {
    auto it = e->queries.find(name);
    if (it != e->queries.end()) return it->second;
    for (const auto& [known, relation] : e->queries) names.push_back(known);
  }
  if (auto it = known_tables_.find(name); it != known_tables_.end()) return it->second;
  std::optional<TableInfo> found = request_.find_table(name);
  if (!found) {
    Error fault{Code::kInvalidPipeline, "unknown table `" + name + "`", span(place), {}};
    if (auto near = nearest_name(name, names)) return fail(std::move(fault).with_note("did you mean `" + *near + "`?"));
    std::string all;
    for (std::size_t i = 0; i < names.size() && i < 20; ++i) all += (i == 0 ? "" : ", ") + names[i];
    if (!all.empty()) return fail(std::move(fault).with_note("there are: " + all));
    return fail(std::move(fault));
  }
  Relation relation;
  relation.columns = found->schema.columns;
  relation.node = add(plan::LoopInput{static_cast<std::uint32_t>(tables_.size())}, {}, relation.columns, name);
  plan_.nodes.back().append_only = found->append_only;
  tables_.push_back(name);
  known_tables_[name] = relation;
  return relation;
}

// Only what the output needs, renumbered.
Planned Planner::cut(NodeId output) {
  std::vector<bool> used(plan_.nodes.size());
  used[output.value] = true;
  for (std::size_t i = plan_.nodes.size(); i-- > 0;)
    if (used[i])
      for (NodeId input : plan_.nodes[i].inputs) used[input.value] = true;
  Planned planned;
  std::vector<NodeId> now(plan_.nodes.size());
  for (std::size_t i = 0; i < plan_.nodes.size(); ++i) {
    if (!used[i]) continue;
    plan::Node node = std::move(plan_.nodes[i]);
    for (NodeId& input : node.inputs) input = now[input.value];
    if (auto* table = std::get_if<plan::LoopInput>(&node.params)) {
      planned.tables.push_back(tables_[table->input]);
      table->input = static_cast<std::uint32_t>(planned.tables.size() - 1);
    }
    now[i] = planned.fragment.add(std::move(node));
  }
  planned.output = now[output.value];
  return planned;
}

void Planner::number_rows(const Query* tail, plan::TopK& topk, std::vector<ColumnSpec>& columns) const {
  if (!tail || tail != ordered_) return;
  topk.rank_column = true;
  columns.push_back({"_row_number", Kind::kInt});
}

Result<Planned> Planner::run() {
  QueryPtr parsed = TRY(parse_query(request_.text, request_.span_of));
  if (request_.ordered && !parsed->order.empty()) ordered_ = parsed.get();
  Output output = TRY(query(*parsed, nullptr, nullptr, true));
  Planned planned = cut(output.relation.node);
  planned.row_number = ordered_ != nullptr;
  return planned;
}

Result<Planned> plan_query(const Request& request) { return Planner(request).run(); }

}  // namespace thalweg::sql
