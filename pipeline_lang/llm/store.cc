#include "pipeline_lang/llm/store.h"

#include <limits>

#include "engine/base/ensure.h"
#include "pipeline_lang/evaluate.h"
#include "pipeline_lang/llm/models.h"

namespace thalweg::lang {

// ---------------------------------------------------------------- writing nodes

void Writer::define(std::string name, plan::UserFunctionPtr function, Type returns) {
  auto object = std::make_shared<FunctionObject>();
  object->function = std::move(function);
  object->name = "$" + name;
  object->returns = std::move(returns);
  functions_[std::move(name)] = std::move(object);
}

bool Writer::need(const std::string& kind, const Type& returns, Setting::Map options,
                  std::vector<std::pair<std::string, plan::UserFunctionPtr>> functions) {
  std::string name = kind.substr(kind.find('.') + 1);
  for (char& c : name)
    if (c == '.') c = '_';
  if (functions_.contains(name)) return true;
  auto made =
      make_llm_function(lower_.builder(), lower_.call(), kind, returns, std::move(options), std::move(functions));
  if (made == nullptr) return false;
  define(std::move(name), std::move(made), returns);
  return true;
}

plan::ExprPtr Writer::expr(const Table& table, const std::string& text) const {
  NameScope scope = NameScope::of_table(table.schema);
  scope.set_variables([this](std::string_view name) {
    ExprVariable out;
    const auto it = functions_.find(name);
    if (it == functions_.end()) return out;
    out.kind = ExprVariable::Kind::kFunction;
    out.function = it->second;
    return out;
  });
  ExprInput input;
  input.text = text;
  input.span = lower_.call().span();
  auto checked = check_expression(input, scope);
  if (checked) return std::move(*checked);
  lower_.report(std::move(checked).error());
  return plan::literal(Value::error(), Kind::kAny);
}

Table Writer::project(const Table& table, const std::vector<std::pair<std::string, std::string>>& columns) const {
  std::vector<NamedExpr> exprs;
  for (const auto& [name, text] : columns) exprs.push_back({name, {}, expr(table, text)});
  return lower_.project(table, exprs);
}

Table Writer::filter(const Table& table, const std::string& condition) const {
  return lower_.builder().add(plan::Filter{expr(table, condition)}, {table}, table.schema,
                              lower_.options(table.append_only));
}

Table Writer::flatten(const Table& table, std::uint32_t column, const Type& element) const {
  Schema schema = table.schema;
  schema.columns[column].type = element;
  return lower_.builder().add(plan::Flatten{column, false}, {table}, std::move(schema),
                              lower_.options(table.append_only));
}

// ---------------------------------------------------------------- answers

namespace {

std::uint32_t column_of(const Table& table, std::string_view name) {
  const auto at = table.schema.find(name);
  ENSURE(at.has_value());
  return static_cast<std::uint32_t>(*at);
}

std::vector<std::pair<std::string, std::string>> names_of(const Schema& schema) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const ColumnSpec& column : schema.columns) out.emplace_back(column.name, column.name);
  return out;
}

// [columns of the queries | a list per reply column | pointers | scores].
Table ask_index(const Writer& writer, plan::IndexQuery query, const Table& data, const Table& queries) {
  Schema schema = queries.schema;
  for (const std::uint32_t column : query.reply)
    schema.columns.push_back({"_" + data.schema.columns[column].name, Type::list(data.schema.columns[column].type)});
  schema.columns.push_back({"_ids", Type::list(Kind::kPointer)});
  schema.columns.push_back({"_scores", Type::list(Kind::kFloat)});
  query.remember = !queries.append_only;
  return writer.lower().builder().add(std::move(query), {data, queries}, std::move(schema),
                                      writer.lower().options(queries.append_only, queries.universe));
}

// None: nobody is told of them.
Setting::Map names_of_sources(const Store& store, bool by_source) {
  Setting::List names;
  if (by_source)
    for (const std::string& name : store.sources) names.emplace_back(name);
  Setting::Map out;
  out.emplace_back("sources", Setting(std::move(names)));
  return out;
}

}  // namespace

std::optional<Table> with_filter(Writer& writer, const Table& queries, const std::vector<std::string>& keep,
                                 const std::string& filter, const std::string& glob) {
  if (!writer.need("llm.filters", Type(Kind::kStr, true))) return std::nullopt;
  std::vector<std::pair<std::string, std::string>> columns;
  for (const std::string& name : keep) columns.emplace_back(name, name);
  columns.emplace_back("filter", "call($filters, " + filter + ", " + glob + ")");
  return writer.project(queries, columns);
}

std::optional<Table> retrieved(Writer& writer, const Store& store, const Table& queries) {
  if (!writer.need("llm.documents", Kind::kJson)) return std::nullopt;
  plan::IndexQuery query;
  query.index = store.index;
  query.data.assign(store.index->parts().size(), column_of(store.chunks, "text"));
  query.query.assign(store.index->parts().size(), column_of(queries, "query"));
  query.metadata = column_of(store.chunks, "metadata");
  query.filter = column_of(queries, "filter");
  query.limit = column_of(queries, "k");
  query.reply = {column_of(store.chunks, "text"), column_of(store.chunks, "metadata")};
  const Table found = ask_index(writer, std::move(query), store.chunks, queries);
  auto columns = names_of(queries.schema);
  columns.emplace_back("docs", "call($documents, _text, _metadata, _scores)");
  return writer.project(found, columns);
}

std::optional<Table> listed(Writer& writer, const Store& store, const Table& queries, bool by_source) {
  if (!writer.need("llm.inputs", Kind::kJson, names_of_sources(store, by_source))) return std::nullopt;
  plan::IndexQuery query;
  const Table& data = store.slides ? store.parts : store.inputs;
  query.index = store.everything;
  query.data = {column_of(data, "metadata")};
  query.query = {column_of(queries, "return_status")};
  query.metadata = query.data[0];
  query.filter = column_of(queries, "filter");
  query.fixed_limit = std::numeric_limits<std::int64_t>::max();
  query.reply = query.data;
  if (store.slides) {
    const Table found = ask_index(writer, std::move(query), data, queries);
    return writer.project(found, {{"result", "call($inputs, _metadata, return_status)"}});
  }
  query.reply.push_back(column_of(data, "failed"));
  query.reply.push_back(column_of(data, "source"));
  const Table found = ask_index(writer, std::move(query), data, queries);
  return writer.project(found, {{"result", "call($inputs, _metadata, return_status, _failed, _source)"}});
}

std::optional<Table> counted(Writer& writer, const Store& store, const Table& queries, bool by_source) {
  if (!writer.need("llm.statistics", Kind::kJson, names_of_sources(store, by_source))) return std::nullopt;
  plan::AsofNowJoin join;
  join.how = plan::JoinHow::kLeft;
  join.key = plan::JoinKey::kLeft;
  join.remember = !queries.append_only;
  const auto first = static_cast<std::uint32_t>(queries.schema.size());
  Schema schema;
  for (std::uint32_t i = 0; i < store.statistics.schema.size(); ++i) {
    join.emit.push_back(first + i);
    const ColumnSpec& column = store.statistics.schema.columns[i];
    schema.columns.push_back({column.name, column.type.as_optional()});
  }
  const Table joined = writer.lower().builder().add(std::move(join), {queries, store.statistics}, std::move(schema),
                                                    writer.lower().options(queries.append_only, queries.universe));
  std::string counts;
  for (const ColumnSpec& column : store.statistics.schema.columns) counts += ", " + column.name;
  return writer.project(joined, {{"result", "call($statistics" + counts + ")"}});
}

// ---------------------------------------------------------------- routes

namespace {

Setting::Map listener_of(const std::optional<std::string>& host, const std::optional<std::int64_t>& port,
                         const std::string& route) {
  Setting::Map out;
  if (host) out.emplace_back("host", Setting(*host));
  if (port) out.emplace_back("port", Setting(*port));
  out.emplace_back("route", Setting(route));
  return out;
}

Setting::Map answer_args(const ServePlace& place, const ServedRoute& route, const std::string& path) {
  Setting::Map out = listener_of(place.host, place.port, path);
  Setting::List methods;
  for (const std::string& method : route.methods) methods.emplace_back(method);
  out.emplace_back("methods", Setting(std::move(methods)));
  out.emplace_back("with_cors", Setting(true));
  for (const RouteField& field : route.fields)
    if (field.names_stream) out.emplace_back("stream_column", Setting(field.name));
  return out;
}

Setting::Map answer_args(const ServedTool& tool) {
  Setting::Map out = listener_of(tool.server.host, tool.server.port, "/mcp");
  Setting::Map mcp;
  mcp.emplace_back("server", Setting(tool.server.name));
  mcp.emplace_back("transport", Setting(tool.server.transport));
  mcp.emplace_back("tool", Setting(tool.name));
  mcp.emplace_back("description", Setting(tool.doc));
  out.emplace_back("mcp", Setting(std::move(mcp)));
  return out;
}

Table requests_by(const Writer& writer, Setting::Map args, const std::vector<RouteField>& fields, std::string name) {
  auto& evaluator = static_cast<Evaluator&>(writer.lower().builder());
  plan::Source source;
  source.connector = "io.http.rest_connector";
  source.args = Setting(std::move(args), writer.lower().call().span());
  Schema schema;
  for (const RouteField& field : fields) {
    plan::SourceField made;
    made.name = made.external_name = field.name;
    if (field.names_stream) made.external_name = "__" + field.name;  // nobody gives it
    made.type = field.type;
    made.default_value = field.fallback;
    source.fields.push_back(std::move(made));
    schema.columns.push_back({field.name, field.type});
  }
  NodeOptions options = writer.lower().options(false);
  options.label = name;
  for (char& c : name)
    if (c == '/') c = '.';
  source.name = evaluator.unique_source_name(name.starts_with('.') ? name.substr(1) : name);
  return evaluator.add(std::move(source), {}, std::move(schema), std::move(options));
}

}  // namespace

Table requests_of(Writer& writer, const ServePlace& place, const ServedRoute& route) {
  std::vector<Table> sources;
  for (const std::string& path : route.paths)
    sources.push_back(requests_by(writer, answer_args(place, route, path), route.fields, path));
  for (const ServedTool& tool : route.tools)
    sources.push_back(requests_by(writer, answer_args(tool), route.fields, "/mcp/" + tool.name));
  ENSURE(!sources.empty());
  if (sources.size() == 1) return sources.front();
  const Schema schema = sources.front().schema;
  return writer.lower().builder().add(plan::Concat{}, sources, schema, writer.lower().options(false));
}

void answer_requests(Writer& writer, const Table& answers) {
  Builder& builder = writer.lower().builder();
  const Type type = answers.schema.columns[column_of(answers, "result")].type.as_optional();
  const Type flag(Kind::kBool, true);
  const plan::ExprPtr cell =
      plan::column(column_of(answers, "result"), answers.schema.columns[column_of(answers, "result")].type);
  const auto or_none = [](const plan::ExprPtr& value, const Type& as) {
    return plan::special(plan::ExprKind::kFillError,
                         {plan::coerce(value, as), plan::coerce(plan::literal(Value::none(), Kind::kNone), as)}, as);
  };
  plan::Project project;
  project.exprs = {or_none(cell, type), or_none(plan::call("is_none", {cell}, Kind::kBool), flag)};
  Schema schema;
  schema.columns = {{"result", type}, {"computed", flag}};
  const Table shown = builder.add(std::move(project), {answers}, std::move(schema),
                                  writer.lower().options(answers.append_only, answers.universe));
  plan::Output output;
  output.connector = "io.http.rest_response";
  output.args = Setting(Setting::Map{}, writer.lower().call().span());
  output.name = static_cast<Evaluator&>(builder).unique_source_name("answers");
  (void)builder.add(std::move(output), {shown}, {}, writer.lower().options(false));
}

}  // namespace thalweg::lang
