// The plan side of the evaluator: nodes, frames, loops, the error log, inputs that a test replaces.
#include <algorithm>

#include "pipeline_lang/evaluate.h"
#include "pipeline_lang/table_text.h"
#include "pipeline_lang/tag_call.h"

namespace thalweg::lang {

// Nodes whose expressions ask a function that may answer otherwise next time read the answers of a Remember node.
Table Evaluator::add(plan::Params params, const std::vector<Table>& inputs, Schema schema, NodeOptions options) {
  const auto asks = [](const plan::ExprPtr& expr) { return expr != nullptr && plan::asks_anew(*expr); };
  const auto hint = [](Diagnostic& diagnostic) {
    diagnostic.notes.push_back({"say `deterministic: true` if it gives the same answer to the same arguments", {}});
  };
  const auto anywhere = [&](const plan::ExprPtr& expr, SourceSpan& at) {
    if (!asks(expr)) return false;
    at = expr->span;
    return true;
  };
  SourceSpan at;
  if (const auto* dedup = std::get_if<plan::Deduplicate>(&params); dedup != nullptr && anywhere(dedup->acceptor, at))
    hint(error(at, "an acceptor cannot call a function that may answer otherwise the next time"));
  if (const auto* session = std::get_if<plan::SessionAssign>(&params);
      session != nullptr && anywhere(session->predicate, at))
    hint(error(at, "the predicate of a session cannot call a function that may answer otherwise the next time"));
  if (const auto* group = std::get_if<plan::GroupBy>(&params))
    for (const plan::Reducer& reducer : group->reducers)
      if (anywhere(reducer.fold, at))
        hint(error(at, "`fold` cannot call a function that may answer otherwise the next time"));

  // A sketch takes nothing back: where rows may leave, every value is kept.
  if (auto* group = std::get_if<plan::GroupBy>(&params); group != nullptr && !inputs.front().append_only)
    for (plan::Reducer& reducer : group->reducers)
      if (reducer.kind == plan::ReducerKind::kCountDistinctApproximate) {
        reducer.kind = plan::ReducerKind::kCountDistinct;
        reducer.parameter = 0;
      }

  std::vector<plan::ExprPtr*> exprs;
  if (auto* project = std::get_if<plan::Project>(&params))
    for (plan::ExprPtr& expr : project->exprs) exprs.push_back(&expr);
  if (auto* filter = std::get_if<plan::Filter>(&params)) exprs.push_back(&filter->condition);
  if (auto* rekey = std::get_if<plan::Rekey>(&params)) exprs.push_back(&rekey->key);
  std::erase_if(exprs, [&](plan::ExprPtr* expr) { return !asks(*expr); });
  if (exprs.empty()) return add_node(std::move(params), inputs, std::move(schema), std::move(options));
  if (frame_->id != 0)
    hint(error((*exprs.front())->span,
               "a function that may answer otherwise the next time cannot be called inside a loop"));

  plan::Remember remember;
  const Table& input = inputs.front();
  Schema remembered = input.schema;
  for (plan::ExprPtr* expr : exprs) {
    const auto column = static_cast<std::uint32_t>(remembered.size());
    remembered.columns.push_back({"_answer_" + std::to_string(remember.exprs.size()), (*expr)->type});
    remember.exprs.push_back(*expr);
    *expr = plan::column(column, (*expr)->type, (*expr)->span);
  }
  const Table answered = add_node(
      std::move(remember), {input}, remembered,
      {.span = options.span, .label = options.label, .append_only = input.append_only, .universe = input.universe});
  if (std::holds_alternative<plan::Project>(params))
    return add_node(std::move(params), {answered}, std::move(schema), std::move(options));
  const Table wide = add_node(std::move(params), {answered}, std::move(remembered), options);
  plan::Project narrow;
  for (std::uint32_t i = 0; i < schema.size(); ++i) narrow.exprs.push_back(plan::column(i, schema.columns[i].type));
  options.universe = wide.universe;
  return add_node(std::move(narrow), {wide}, std::move(schema), std::move(options));
}

Table Evaluator::add_node(plan::Params params, const std::vector<Table>& inputs, Schema schema, NodeOptions options) {
  const TagCall* call = calls_.empty() ? nullptr : calls_.back();
  plan::Node node;
  node.schema = schema;
  node.params = std::move(params);
  node.span = options.span.known() || call == nullptr ? options.span : call->span();
  node.label = !options.label.empty() || call == nullptr ? options.label : call->label();
  node.append_only = options.append_only;
  for (const Table& input : inputs) {
    const Table here = import(input, *frame_);
    node.inputs.push_back(here.node);
    if (!frame_->plan->node(here.node).reports_errors) node.reports_errors = false;
  }
  if (std::holds_alternative<plan::ErrorLog>(node.params)) node.reports_errors = false;
  Table out;
  out.schema = std::move(schema);
  out.append_only = options.append_only;
  out.universe = options.universe ? *options.universe : new_universe();
  out.name = node.label;
  out.span = node.span;
  out.frame = frame_->id;
  out.node = frame_->plan->add(std::move(node));
  return out;
}

const plan::Node& Evaluator::node_of(const Table& table) const { return frames_[table.frame].plan->node(table.node); }

// An outer table inside a loop body is one more input of the loop, once.
Table Evaluator::import(const Table& table, Frame& into) {
  if (table.frame == into.id || into.parent == nullptr) return table;
  const Table outer = import(table, *into.parent);
  for (std::size_t i = 0; i < into.captured.size(); ++i)
    if (into.captured[i].node == outer.node) return into.captured_here[i];
  const plan::Node& origin = into.parent->plan->node(outer.node);
  if (!origin.reports_errors) error(table.span, "the error table cannot be used inside a loop");
  plan::Node node;
  node.params = plan::LoopInput{into.num_inputs++};
  node.schema = outer.schema;
  node.label = outer.name;
  node.span = outer.span;
  node.append_only = false;
  Table here = outer;
  here.frame = into.id;
  here.append_only = false;
  here.node = into.plan->add(std::move(node));
  into.captured.push_back(outer);
  into.captured_here.push_back(here);
  return here;
}

std::optional<LoopBody> Evaluator::loop(const LoopRequest& request) {
  const ast::Node& body = *request.body.node;
  if (!body.is_mapping() || !body.tag.empty()) {
    error(request.body.span(), "the body of a loop is a mapping whose keys are the next values of its inputs");
    return std::nullopt;
  }
  auto plan = std::make_shared<plan::Plan>();
  Frame& frame = frames_.emplace_back();
  frame.id = static_cast<std::uint32_t>(frames_.size() - 1);
  frame.parent = frame_;
  frame.plan = plan.get();
  Scope& scope = scopes_.emplace_back(request.body.scope, &frame);
  LoopBody out;
  const auto bind = [&](const std::string& name, const Table& outer, bool variable) {
    plan::Node node;
    node.params = plan::LoopInput{frame.num_inputs++};
    node.schema = outer.schema;
    node.label = "$" + name;
    node.span = outer.span;
    Table table = outer;
    table.frame = frame.id;
    table.append_only = false;
    table.name = "$" + name;
    if (variable) table.universe = new_universe();
    table.node = plan->add(std::move(node));
    out.loop_inputs.push_back(table.node);
    if (variable) out.variables.push_back(table);
    Definition definition;
    definition.name = name;
    definition.where = {nullptr, &scope};
    definition.state = Definition::State::kDone;
    definition.used = true;
    definition.value = table_object(table);
    scope.define(std::move(definition), false);
  };
  for (const auto& [name, table] : request.inputs) bind(name, table, true);
  for (const auto& [name, table] : request.constants) bind(name, table, false);
  for (const ast::Entry& entry : body.entries) {
    if (!entry.is_definition()) continue;
    const std::string name = entry.key.substr(1);
    if (scope.variables.contains(name)) {
      error(entry.span, "`$" + name + "` is an input of the loop already");
      continue;
    }
    Definition definition;
    definition.name = name;
    definition.span = entry.span;
    definition.where = {entry.value.get(), &scope};
    scope.define(std::move(definition), false);
  }
  out.next.resize(request.inputs.size());
  bool fine = true;
  Frame* const outside = frame_;
  frame_ = &frame;
  for (const ast::Entry& entry : body.entries) {
    if (entry.is_definition()) continue;
    std::vector<std::string> names;
    std::size_t index = 0;
    for (const auto& [name, table] : request.inputs) names.push_back(name);
    while (index < names.size() && names[index] != entry.key) ++index;
    if (index == names.size()) {
      suggest(error(entry.span,
                    "`" + entry.key + "` is no input of this loop; a key of its body is the next value of an input"),
              entry.key, names);
      fine = false;
      continue;
    }
    if (const auto value = table({entry.value.get(), &scope}))
      out.next[index] = import(*value, frame);
    else
      fine = false;
  }
  frame_ = outside;
  for (std::size_t i = 0; i < frame.captured.size(); ++i) out.loop_inputs.push_back(frame.captured_here[i].node);
  out.captured = frame.captured;
  out.plan = std::move(plan);
  if (!fine) return std::nullopt;
  return out;
}

void Evaluator::export_table(const Named& name, const Table& table) {
  if (table.frame != 0) {
    error(name.span, "a table inside a loop cannot be exported");
    return;
  }
  exports_.emplace_back(name, table);
}

Schema error_log_schema() {
  Schema schema;
  schema.columns = {
      {"time", Kind::kInt},    {"kind", Kind::kStr}, {"message", Kind::kStr}, {"operator", Kind::kStr},
      {"file", Kind::kStr},    {"line", Kind::kInt}, {"column", Kind::kInt},  {"key", Type(Kind::kPointer, true)},
      {"pipeline", Kind::kStr}};
  return schema;
}

Table Evaluator::error_log(SourceSpan at) {
  if (error_log_) return *error_log_;
  Schema schema = error_log_schema();
  Frame* const here = frame_;
  frame_ = &frames_.front();
  error_log_ = add(plan::ErrorLog{}, {}, std::move(schema),
                   {.span = at, .label = "$" + error_table_, .append_only = true, .universe = std::nullopt});
  frame_ = here;
  return *error_log_;
}

std::string Evaluator::unique_source_name(const std::string& wanted) {
  std::string name = wanted;
  for (std::size_t n = 2; !source_names_.insert(name).second; ++n) name = wanted + "-" + std::to_string(n);
  return name;
}

// The table that a source would be, built into a plan that is thrown away; nothing if that fails, without a word.
std::optional<Table> Evaluator::as_if_built(Located where) {
  const std::size_t mark = diagnostics_.all().size();
  plan::Plan scratch;
  Frame* const here = frame_;
  plan::Plan* const plan = frames_.front().plan;
  frames_.front().plan = &scratch;
  const auto names = source_names_;
  const auto inferred = inferred_;
  const ObjectPtr object = evaluate(where);
  source_names_ = names;
  inferred_ = inferred;
  frames_.front().plan = plan;
  frame_ = here;
  values_.erase({where.node, where.scope});
  diagnostics_.drop_after(mark);
  if (const Table* table = object->as_table()) return *table;
  return std::nullopt;
}

// A test gives the rows that a source would read; the types stay those that its schema declares.
ObjectPtr Evaluator::replaced(const Definition& definition) {
  const ReplacedInput& input = options_.inputs.at(definition.name);
  const Located where = follow(definition.where);
  std::vector<DeclaredColumn> columns;
  TableTextOptions options;
  bool append_only = true;
  if (where.node != nullptr && where.node->is_mapping() && !where.node->tag.empty()) {
    Scope* scope = enter(*where.node, where.scope);
    for (const ast::Entry& entry : where.node->entries) {
      if (entry.key != "schema" || entry.is_definition()) continue;
      const ObjectPtr object = evaluate({entry.value.get(), scope});
      if (object->is_error()) return error_object();
      if (const SchemaObject* schema = object->as_schema()) {
        for (const SchemaColumn& column : schema->columns) {
          columns.push_back({column.field.name, column.field.type, column.field.default_value});
          if (column.field.primary_key) options.primary_key.push_back(column.field.name);
        }
        options.declared = &columns;
      }
    }
    check_shape(*where.node, where.scope);
    const Component* component = registry_.find(where.node->tag);
    if (options.declared == nullptr && component != nullptr && component->kind == ComponentKind::kSource) {
      // The columns may be fixed by the connector's format (`data: str`).
      const auto table = as_if_built(where);
      if (table && !table->inferred) {
        for (const ColumnSpec& column : table->schema.columns)
          columns.push_back({column.name, column.type, Value::none()});
        options.primary_key = table->primary_key;
        options.declared = &columns;
      }
    }
    mark_used(*where.node, where.scope);
  }
  options.source = 0x7E57'0000ULL + universes_;
  options.span = input.span;
  options.files = &files_;
  Result<TableText> table = parse_table_text(input.text, options);
  if (!table) {
    diagnostics_.report(std::move(table.error()).at(input.span));
    return error_object();
  }
  for (const TableTextRow& row : table->rows) append_only = append_only && row.diff > 0;
  plan::StaticRows rows;
  rows.rows = std::make_shared<const std::vector<plan::StaticRow>>(static_rows(*table));
  rows.as_stream = true;
  Table out = add(std::move(rows), {}, table->schema,
                  {.span = definition.span,
                   .label = (definition.variable ? "$" : "") + definition.name,
                   .append_only = append_only,
                   .universe = std::nullopt});
  out.primary_key = options.primary_key;
  return table_object(std::move(out));
}

}  // namespace thalweg::lang
