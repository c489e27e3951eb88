// Connectors as components: their options as arguments, and the Source and Output nodes they become.
#include <algorithm>
#include <set>

#include "config/decode.h"
#include "pipeline_lang/evaluate.h"
#include "pipeline_lang/rejecting.h"
#include "pipeline_lang/tag_call.h"

namespace thalweg::lang {
namespace {

ArgKind arg_kind(config::OptionType type) {
  using config::OptionType;
  switch (type) {
    case OptionType::kText: return ArgKind::kText;
    case OptionType::kPath: return ArgKind::kPath;
    case OptionType::kPathOrTable: return ArgKind::kText;
    case OptionType::kInt: return ArgKind::kInt;
    case OptionType::kFloat: return ArgKind::kNumber;
    case OptionType::kBool: return ArgKind::kBool;
    case OptionType::kDuration: return ArgKind::kDuration;
    case OptionType::kEnum: return ArgKind::kEnum;
    case OptionType::kTextList: return ArgKind::kNames;
    case OptionType::kMap:
    case OptionType::kTextMap:
    case OptionType::kList:
    case OptionType::kAny: return ArgKind::kLiteral;
    case OptionType::kTable: return ArgKind::kTable;
  }
  return ArgKind::kAny;
}

// What every reader takes beside its own options.
const std::vector<ArgSpec>& reader_args() {
  static const std::vector<ArgSpec> kArgs = {
      {.name = "schema",
       .kind = ArgKind::kSchema,
       .doc = "The columns; inferred from a sample where that is possible."},
      {.name = "name",
       .kind = ArgKind::kText,
       .doc = "What positions and metrics are kept under.",
       .aliases = {"persistent_id", "unique_name"}},
      {.name = "id_column",
       .kind = ArgKind::kNames,
       .doc = "Primary key columns.",
       .aliases = {"primary_key", "id_columns"}},
      {.name = "key_generation",
       .kind = ArgKind::kEnum,
       .fallback = "auto",
       .doc = "Row keys: generated, of one given column, or a hash of several.",
       .choices = {"auto", "manual", "composite"}},
      {.name = "session_type",
       .kind = ArgKind::kEnum,
       .doc = "upsert: a record replaces the row of its key; native: records are insertions and deletions.",
       .choices = {"native", "upsert"}},
  };
  return kArgs;
}

const std::vector<ArgSpec>& writer_args() {
  static const std::vector<ArgSpec> kArgs = {
      {.name = "table", .kind = ArgKind::kTable, .required = true, .doc = "What is written."},
      {.name = "name", .kind = ArgKind::kText, .doc = "What metrics are kept under.", .aliases = {"unique_name"}},
      {.name = "sort_by", .kind = ArgKind::kNames, .doc = "Columns that order the rows of one commit."},
  };
  return kArgs;
}

bool is_ours(std::string_view name, const std::vector<ArgSpec>& ours, const config::ConnectorSpec& connector) {
  const bool ours_too = std::any_of(ours.begin(), ours.end(), [&](const ArgSpec& spec) { return spec.name == name; }) ||
                        name == "export" || name == "index" || name == "retain";
  return ours_too && std::none_of(connector.options.begin(), connector.options.end(),
                                  [&](const config::OptionSpec& option) { return option.name == name; });
}

// What a connector knows a table by: its source, where it is one as it comes.
std::string name_of_table(const Evaluator& e, const Table& table) {
  const auto* source = std::get_if<plan::Source>(&e.node_of(table).params);
  return source != nullptr ? source->name : table.name;
}

// The connector's own options, checked. Nothing after an error.
std::optional<Setting> decoded_options(Evaluator& e, const Call& call, const config::ConnectorSpec& connector,
                                       const std::vector<ArgSpec>& ours) {
  Setting::Map given;
  bool fine = true;
  for (const TagCall::Argument& argument : static_cast<const TagCall&>(call).arguments()) {
    if (argument.spec == nullptr || is_ours(argument.spec->name, ours, connector)) {
      fine = fine && argument.spec != nullptr;
      continue;
    }
    argument.asked = true;
    const ObjectPtr value = e.evaluate(argument.value);
    std::optional<Setting> one;
    if (const Table* table = value->as_table(); table != nullptr && argument.spec->kind == ArgKind::kTable)
      one = Setting(name_of_table(e, *table), argument.value.span());
    else
      one = e.to_setting(*value, call.span_of(argument.spec->name));
    fine = fine && one;
    if (one) given.emplace_back(argument.spec->name, std::move(*one));
  }
  std::vector<Error> errors;
  config::DecodeOptions options;
  options.what = "`!" + connector.name + "`";
  options.required_checked = true;
  options.resolve_path = [&](const Setting& value) {
    return e.resolve_path(config::as_text(value).value_or(""), value.span.known() ? value.span : call.span());
  };
  Setting decoded = config::decode(Setting(std::move(given), call.span()), connector.options, options, errors);
  for (const config::OptionSpec& option : connector.options) {
    const bool may_be_path =
        option.type == config::OptionType::kPath || option.type == config::OptionType::kPathOrTable;
    const Setting* path = may_be_path ? decoded.find(option.name) : nullptr;
    if (path == nullptr || path->as_text() == nullptr || path->as_text()->find("://") != std::string::npos) continue;
    if (option.type == config::OptionType::kPathOrTable && !config::is_path(*path->as_text())) continue;
    if (!e.path_allowed(*path->as_text()))
      errors.push_back(
          {Code::kPermission, "`" + *path->as_text() + "` is outside of what `allow_paths` permits", path->span, {}});
  }
  for (Error& error : errors) e.diagnostics().report(std::move(error));
  for (const config::OptionSpec& option : connector.options)
    if (option.required && decoded.find(option.name) == nullptr) fine = false;
  if (!fine || !errors.empty()) return std::nullopt;
  return decoded;
}

std::string plain_label(const Call& call) {
  std::string label = call.label();
  if (label.starts_with('$') || label.starts_with('!')) label.erase(0, 1);
  return label;
}

// `id_column` and `key_generation` on top of the schema's primary key.
bool choose_keys(Evaluator& e, const Call& call, std::vector<plan::SourceField>& fields) {
  bool fine = true;
  if (const auto columns = call.names("id_column")) {
    for (plan::SourceField& field : fields) {
      const bool named =
          std::any_of(columns->begin(), columns->end(), [&](const Named& c) { return c.name == field.name; });
      if (field.primary_key && !named) {
        e.error(call.span_of("id_column"), "`id_column` and the schema's primary key (`" + field.name + "`) differ");
        fine = false;
      }
      field.primary_key = field.primary_key || named;
    }
    std::vector<std::string> names;
    for (const plan::SourceField& field : fields) names.push_back(field.name);
    for (const Named& column : *columns)
      if (std::find(names.begin(), names.end(), column.name) == names.end()) {
        suggest(e.error(column.span, "unknown column `" + column.name + "`"), column.name, names);
        fine = false;
      }
  }
  const auto num_keys =
      std::count_if(fields.begin(), fields.end(), [](const plan::SourceField& f) { return f.primary_key; });
  if (const auto how = call.choice("key_generation")) {
    std::string problem;
    if (*how == "auto" && num_keys > 0) problem = "`auto` generates keys, but a primary key is given";
    if (*how == "manual" && num_keys != 1)
      problem = "`manual` takes the key from one column, and " + std::to_string(num_keys) + " are given";
    if (*how == "composite" && num_keys < 2)
      problem = "`composite` makes the key of several columns, and " + std::to_string(num_keys) + " are given";
    if (!problem.empty()) {
      e.error(call.span_of("key_generation"), problem).note("primary key columns come from the schema or `id_column`");
      fine = false;
    }
  }
  return fine;
}

// Tables of what a source could not read or an output did not take, as options ask for (`dead_letter: name`), exported.
void export_rejected_records(Evaluator& e, const Call& call, const config::ConnectorSpec& connector,
                             const Setting& args, const Table& of) {
  for (const config::OptionSpec& option : connector.options) {
    if (option.type != config::OptionType::kPathOrTable) continue;
    const Setting* name = args.find(option.name);
    if (name == nullptr || config::is_path(*name->as_text())) continue;
    plan::ErrorLog log{.operators = {of.node}, .all = false, .rejected_records = true};
    const Table rejected = e.add(
        std::move(log), {}, rejected_records_schema(),
        {.span = call.span_of(option.name), .label = *name->as_text(), .append_only = true, .universe = std::nullopt});
    e.export_table({*name->as_text(), call.span_of(option.name)}, rejected);
  }
}

ObjectPtr build_source(Builder& b, const Call& call, const config::ConnectorSpec& connector) {
  auto& e = static_cast<Evaluator&>(b);
  if (b.in_loop()) {
    b.error(call.span(), "`!" + connector.name + "` cannot stand inside a loop; define it outside");
    return error_object();
  }
  auto args = decoded_options(e, call, connector, reader_args());
  const bool schema_given = call.has("schema");
  const SchemaObject* schema = call.schema("schema");
  if (schema_given && schema == nullptr) return error_object();
  if (!schema_given && connector.needs_schema) {
    b.error(call.span(), "`!" + connector.name + "` needs the argument `schema`");
    return error_object();
  }
  if (!args) return error_object();
  std::vector<plan::SourceField> fields;
  if (schema != nullptr)
    for (const SchemaColumn& column : schema->columns) fields.push_back(column.field);
  Result<plan::SourceShape> shape = e.registry().catalog()->describe_source(connector, *args, fields);
  if (!shape) {
    e.diagnostics().report(std::move(shape.error()).at(call.span()));
    return error_object();
  }
  for (const std::string& text : shape->warnings)
    b.warning(call.has("path") ? call.span_of("path") : call.span(), text);
  const bool inferred = schema == nullptr && shape->inferred;
  // Nothing is there to infer from: a check says so, and leaves alone whatever is made of these columns.
  if (inferred && shape->fields.empty() && e.options().check_only) return error_object();
  if (schema == nullptr) fields = std::move(shape->fields);
  for (plan::SourceField& field : shape->extra)
    if (std::none_of(fields.begin(), fields.end(), [&](const plan::SourceField& f) { return f.name == field.name; }))
      fields.push_back(std::move(field));
  if (!choose_keys(e, call, fields)) return error_object();

  const bool keyed =
      std::any_of(fields.begin(), fields.end(), [](const plan::SourceField& f) { return f.primary_key; });
  bool upsert = keyed && shape->upsert.value_or(connector.upsert_by_default);
  if (const auto session = call.choice("session_type")) {
    upsert = *session == "upsert";
    if (upsert && !keyed) {
      b.error(call.span_of("session_type"), "`upsert` replaces rows by their primary key, and there is none")
          .note("mark columns as `primary_key: true` in the schema, or give `id_column`");
      return error_object();
    }
  }
  bool append_only = shape->append_only && !upsert;
  // The next run of such a pipeline takes back what is no longer there.
  if (const Setting* mode = args->find("mode"); e.keeps_state() && mode != nullptr && mode->as_text() != nullptr)
    append_only = append_only && *mode->as_text() != "static";
  if (schema != nullptr) {
    append_only = append_only || schema->append_only.value_or(false);
    append_only = append_only || (!schema->columns.empty() &&
                                  std::all_of(schema->columns.begin(), schema->columns.end(),
                                              [](const SchemaColumn& c) { return c.append_only.value_or(false); }));
  }
  plan::Source source;
  source.connector = connector.name;
  source.args = *args;
  source.upsert = upsert;
  source.append_only = append_only;
  source.name = e.unique_source_name(call.text("name").value_or(plain_label(call)));
  Schema columns;
  std::vector<std::string> primary_key;
  for (const plan::SourceField& field : fields) {
    columns.columns.push_back({field.name, field.type});
    if (field.primary_key) primary_key.push_back(field.name);
  }
  source.fields = std::move(fields);
  Table table =
      b.add(std::move(source), {}, columns,
            {.span = call.span(), .label = call.label(), .append_only = append_only, .universe = std::nullopt});
  export_rejected_records(e, call, connector, *args, table);
  if (upsert)
    table = b.add(plan::Upsert{}, {table}, columns,
                  {.span = call.span(), .label = call.label(), .append_only = append_only, .universe = std::nullopt});
  table.primary_key = std::move(primary_key);
  table.inferred = inferred;
  if (inferred) e.note_inferred({table.name, table.schema, call.span()});
  return table_object(std::move(table));
}

// Sinks that keep rows by key and are told none take the table's own: they find it as `table_key`.
void give_table_key(const config::ConnectorSpec& connector, const Table& table, SourceSpan at, Setting& args) {
  const bool keyed = std::any_of(connector.options.begin(), connector.options.end(),
                                 [](const config::OptionSpec& option) { return option.name == "primary_key"; });
  if (!keyed || args.find("primary_key") != nullptr || table.primary_key.empty()) return;
  Setting::List columns;
  for (const std::string& name : table.primary_key) {
    if (!table.schema.find(name)) return;
    columns.push_back(Setting(name, at));
  }
  args.as_map()->emplace_back("table_key", Setting(std::move(columns), at));
}

// Connectors that are more to the language than a table from outside or rows for it: the answers of kQueryAnswers are
// made of the queries of kQuerySource, a table on kTableServer is exported.
constexpr std::string_view kQuerySource = "io.http.rest_connector";
constexpr std::string_view kQueryAnswers = "io.http.rest_response";
constexpr std::string_view kTableServer = "io.http.write_server";

// The sources of queries that a table is made of.
std::vector<std::string> query_sources(const Evaluator& e, const Table& table) {
  std::vector<std::string> out;
  std::vector<NodeId> todo = {table.node};
  std::set<std::uint32_t> seen;
  while (!todo.empty()) {
    const NodeId id = todo.back();
    todo.pop_back();
    if (!seen.insert(id.value).second) continue;
    Table at;
    at.node = id;
    const plan::Node& node = e.node_of(at);
    if (const auto* source = std::get_if<plan::Source>(&node.params);
        source != nullptr && source->connector == kQuerySource)
      out.push_back(source->name);
    todo.insert(todo.end(), node.inputs.begin(), node.inputs.end());
  }
  return out;
}

// What answers are read from: the result, and None in a second column where it is an ERROR.
std::optional<Table> answers_of(Evaluator& e, const Call& call, const Table& table, const Setting& args) {
  const std::vector<std::string> sources = query_sources(e, table);
  const bool given_as_rows = !e.options().inputs.empty();  // a test replaces sources
  if (const Setting* queries = args.find("queries"); queries != nullptr && !given_as_rows) {
    if (std::find(sources.begin(), sources.end(), *queries->as_text()) == sources.end()) {
      e.error(call.span_of("queries"), "`" + *queries->as_text() + "` are no queries that these answers are made of")
          .note("`queries` is a table of `!io.http.rest_connector`");
      return std::nullopt;
    }
  } else if (sources.empty() && !given_as_rows) {
    e.error(call.span_of("table"), "these are no answers: they are not made of queries of `!io.http.rest_connector`")
        .note("a row answers the query whose key it has");
    return std::nullopt;
  }
  auto column = table.schema.find("result");
  if (!column && table.schema.size() == 1) column = 0;
  if (!column) {
    suggest(e.error(call.span_of("table"), "answers are in a column `result`, which this table does not have"),
            "result", table.column_names());
    return std::nullopt;
  }
  const Type type = table.schema.columns[*column].type;
  const plan::ExprPtr cell = plan::column(static_cast<std::uint32_t>(*column), type, call.span());
  const Type shown = type.admits_none() ? type : type.as_optional();
  const Type flag = Type(Kind::kBool).as_optional();
  const auto or_none = [&](const plan::ExprPtr& value, const Type& as) {
    return plan::special(plan::ExprKind::kFillError,
                         {plan::coerce(value, as), plan::coerce(plan::literal(Value::none(), Kind::kNone), as)}, as);
  };
  plan::Project project;
  project.exprs = {or_none(cell, shown), or_none(plan::call("is_none", {cell}, Kind::kBool), flag)};
  Schema schema;
  schema.columns = {{"result", shown}, {"computed", flag}};
  return e.add(
      std::move(project), {table}, std::move(schema),
      {.span = call.span(), .label = call.label(), .append_only = table.append_only, .universe = table.universe});
}

ObjectPtr build_sink(Builder& b, const Call& call, const config::ConnectorSpec& connector) {
  auto& e = static_cast<Evaluator&>(b);
  if (b.in_loop()) {
    b.error(call.span(), "`!" + connector.name + "` cannot stand inside a loop");
    return error_object();
  }
  auto table = call.table("table");
  auto args = decoded_options(e, call, connector, writer_args());
  const auto sort_by = call.names("sort_by");
  if (!table || !args) return error_object();
  if (sort_by) {
    Setting::List columns;
    bool fine = true;
    for (const Named& column : *sort_by) {
      if (!table->schema.find(column.name)) {
        suggest(b.error(column.span, "unknown column `" + column.name + "`"), column.name, table->column_names());
        fine = false;
      }
      columns.push_back(Setting(column.name, column.span));
    }
    if (!fine) return error_object();
    args->as_map()->emplace_back("sort_by", Setting(std::move(columns), call.span_of("sort_by")));
  }
  give_table_key(connector, *table, call.span(), *args);
  if (const auto checked = e.registry().catalog()->check(connector, *args, table->schema); !checked) {
    Error error = checked.error();
    e.diagnostics().report(std::move(error).at(call.span()));
    return error_object();
  }
  if (connector.name == kQueryAnswers) table = answers_of(e, call, *table, *args);
  if (!table) return error_object();
  plan::Output output;
  output.connector = connector.name;
  output.args = std::move(*args);
  output.name = e.unique_source_name(call.text("name").value_or(plain_label(call)));
  const Table node =
      b.add(std::move(output), {*table}, {},
            {.span = call.span(), .label = call.label(), .append_only = false, .universe = std::nullopt});
  const Setting told = std::get<plan::Output>(e.node_of(node).params).args;
  export_rejected_records(e, call, connector, told, node);
  if (connector.name == kTableServer)
    e.export_table({std::get<plan::Output>(e.node_of(node).params).name, call.span()}, *table);
  return make_object({SinkObject{node.node}, call.span()});
}

}  // namespace

Component connector_component(const config::ConnectorSpec& connector) {
  const bool source = connector.role == config::ConnectorSpec::Role::kSource;
  Component out;
  out.name = connector.name;
  out.aliases = connector.aliases;
  out.kind = source ? ComponentKind::kSource : ComponentKind::kSink;
  out.doc = connector.doc;
  out.example = connector.example;
  for (const config::OptionSpec& option : connector.options) {
    ArgSpec arg;
    arg.name = option.name;
    arg.kind = arg_kind(option.type);
    arg.required = option.required;
    arg.fallback = option.fallback;
    arg.doc = option.doc;
    arg.aliases = option.aliases;
    arg.choices = option.choices;
    arg.example = option.example;
    arg.secret = option.secret;
    out.args.push_back(std::move(arg));
  }
  for (const ArgSpec& arg : source ? reader_args() : writer_args()) {
    if (arg.name == "schema" && !connector.takes_schema) continue;
    const bool own =
        std::any_of(out.args.begin(), out.args.end(), [&](const ArgSpec& a) { return a.name == arg.name; });
    if (own) continue;
    ArgSpec copy = arg;
    // A connector's own option keeps its name: `primary_key` of a sink is no alias of ours.
    std::erase_if(copy.aliases, [&](const std::string& alias) {
      return std::any_of(out.args.begin(), out.args.end(), [&](const ArgSpec& a) { return a.name == alias; });
    });
    out.args.push_back(std::move(copy));
  }
  const config::ConnectorSpec* spec = &connector;
  out.build = [spec, source](Builder& b, const Call& call) {
    return source ? build_source(b, call, *spec) : build_sink(b, call, *spec);
  };
  return out;
}

}  // namespace thalweg::lang
