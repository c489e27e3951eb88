// `!sql`: a query over tables of the file.

#include <map>

#include "pipeline_lang/builder.h"
#include "pipeline_lang/component.h"
#include "pipeline_lang/scalar_map.h"
#include "pipeline_lang/sql/sql.h"

namespace thalweg::lang {
namespace {

// The tables a query may name: arguments by name, then the `$names` of the file.
class QueryTables {
 public:
  QueryTables(Builder& builder, const Call& call) : builder_(builder), scope_(call.at("query").scope) {
    for (const NamedNode& other : call.others()) {
      std::optional<Table> table = builder.table(other.value);
      if (table)
        tables_.emplace(other.name, std::move(*table));
      else
        complete_ = false;
      names_.push_back(other.name);
    }
    if (scope_ == nullptr) return;
    for (const std::string& name : builder.variable_names(scope_)) variables_.push_back(name);
  }
  [[nodiscard]] bool complete() const { return complete_; }

  std::optional<sql::TableInfo> find(const std::string& name) {
    auto it = tables_.find(name);
    if (it == tables_.end() && scope_ != nullptr) {
      ObjectPtr object = builder_.variable(name, scope_);
      if (object && object->is_error()) complete_ = false;  // reported already
      if (object && object->as_table()) it = tables_.emplace(name, *object->as_table()).first;
    }
    if (it == tables_.end()) return std::nullopt;
    return sql::TableInfo{it->second.schema, it->second.append_only};
  }
  [[nodiscard]] const Table& table(const std::string& name) const { return tables_.at(name); }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> all = names_;
    all.insert(all.end(), variables_.begin(), variables_.end());
    return all;
  }

 private:
  Builder& builder_;
  Scope* scope_;
  std::map<std::string, Table> tables_;
  std::vector<std::string> names_;
  std::vector<std::string> variables_;
  bool complete_ = true;
};

// The nodes of the fragment as nodes of the plan under construction.
Table insert(Builder& builder, const Call& call, const sql::Planned& planned, const QueryTables& tables) {
  std::vector<Table> made;
  for (const plan::Node& node : planned.fragment.nodes) {
    if (const auto* input = std::get_if<plan::LoopInput>(&node.params)) {
      made.push_back(tables.table(planned.tables[input->input]));
      continue;
    }
    std::vector<Table> inputs;
    for (NodeId id : node.inputs) inputs.push_back(made[id.value]);
    NodeOptions options;
    options.span = call.span();
    options.label = node.id == planned.output ? call.label() : call.label() + " " + node.label;
    options.append_only = node.append_only;
    made.push_back(builder.add(node.params, inputs, node.schema, std::move(options)));
  }
  return made[planned.output.value];
}

ObjectPtr build_sql(Builder& builder, const Call& call) {
  std::optional<std::string> text = call.text("query");
  QueryTables tables(builder, call);
  if (!text || !tables.complete()) return error_object();
  Located query = builder.follow(call.at("query"));
  if (holds_secret(*call.object("query"))) {
    builder.error(call.span_of("query"), "a secret cannot be part of a query's text")
        .note("give it to a column by `!with_columns` and compare with that");
    return error_object();
  }
  const ast::Node* node = query.node;
  // Text that the file spells otherwise (interpolated, from the environment) is one place.
  bool as_written = node != nullptr && node->is_scalar() && node->text == *text;
  ScalarMap map(*text, as_written ? node->span : call.span_of("query"), as_written ? &builder.files() : nullptr);
  sql::Request request;
  request.text = *text;
  request.span_of = [&](sql::Place place) { return map.at(place.begin, place.end); };
  request.find_table = [&](const std::string& name) { return tables.find(name); };
  request.table_names = tables.names();
  Result<sql::Planned> planned = sql::plan_query(request);
  if (!planned) {
    if (tables.complete()) builder.diagnostics().report(std::move(planned).error());
    return error_object();
  }
  return table_object(insert(builder, call, *planned, tables));
}

}  // namespace

void add_sql_components(Components& out) {
  Component sql;
  sql.name = "sql";
  sql.aliases = {"sql.processing"};
  sql.kind = ComponentKind::kTable;
  sql.open = true;
  sql.doc =
      "The answer of a SQL query, kept up to date. Every further argument is a table by the name that the query "
      "uses; a name that is no argument is looked up as `$name`.";
  ArgSpec query;
  query.name = "query";
  query.kind = ArgKind::kText;
  query.required = true;
  query.doc = "One SELECT statement: joins, subqueries, WITH, GROUP BY, set operations, ORDER BY with LIMIT.";
  query.example = "SELECT word, COUNT(*) AS n FROM words GROUP BY word";
  sql.args = {query};
  sql.example = "!sql {query: \"SELECT word, COUNT(*) AS n FROM words GROUP BY word\", words: $words}";
  sql.build = build_sql;
  out.push_back(std::move(sql));
}

}  // namespace thalweg::lang
