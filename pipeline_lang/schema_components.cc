// Schemas: `!schema`, `!schema_from_types`, `!schema_from_dict`, `!schema_builder`, `!column_definition`,
// `!schema_from_csv`.
#include <algorithm>
#include <set>

#include "config/decode.h"
#include "pipeline_lang/csv_sample.h"
#include "pipeline_lang/evaluate.h"
#include "pipeline_lang/scalar.h"
#include "pipeline_lang/tag_call.h"

namespace thalweg::lang {
namespace {

// What a column's settings are called, in every form of schema.
const std::vector<ArgSpec>& column_args() {
  static const std::vector<ArgSpec> kArgs = {
      {.name = "type",
       .kind = ArgKind::kType,
       .doc = "The type of the column; any if absent.",
       .aliases = {"type_", "dtype"},
       .example = "int | None"},
      {.name = "primary_key",
       .kind = ArgKind::kBool,
       .fallback = "false",
       .doc = "The row key is made of the primary key columns."},
      {.name = "default",
       .kind = ArgKind::kLiteral,
       .doc = "The value where a record lacks the field.",
       .aliases = {"default_value"}},
      {.name = "description", .kind = ArgKind::kText, .doc = "For documentation and OpenAPI."},
      {.name = "example", .kind = ArgKind::kLiteral, .doc = "For documentation and OpenAPI."},
      {.name = "metadata", .kind = ArgKind::kLiteral, .doc = "Anything; it is not read."},
      {.name = "append_only", .kind = ArgKind::kBool, .doc = "Values of this column never change."},
      {.name = "source",
       .kind = ArgKind::kEnum,
       .fallback = "payload",
       .doc = "Where the field comes from: the record, its key, its time, its partition.",
       .aliases = {"source_component"},
       .choices = {"payload", "key", "time", "partition", "metadata", "USB"}},
      {.name = "name",
       .kind = ArgKind::kText,
       .doc = "The field's name in the record, where it is another.",
       .aliases = {"external_name"}},
      {.name = "id_dtype", .kind = ArgKind::kAny, .doc = "Accepted for the peer's sake."},
  };
  return kArgs;
}

plan::SourceField::From schema_source(std::string_view text) {
  if (text == "key") return plan::SourceField::From::kKey;
  if (text == "time") return plan::SourceField::From::kTime;
  if (text == "partition") return plan::SourceField::From::kPartition;
  if (text == "metadata") return plan::SourceField::From::kMetadata;
  return plan::SourceField::From::kPayload;
}

// `{type: OPTIONAL, wrapped: {type: INT}}`: types of !schema_from_dict.
std::optional<Type> type_from_mapping(Evaluator& e, Located where) {
  if (!where.node->is_mapping() || !where.node->tag.empty()) return e.type(where);
  Scope* scope = e.enter(*where.node, where.scope);
  const auto part = [&](std::string_view name) -> Located {
    const ast::Entry* entry = where.node->find(name);
    return entry == nullptr ? Located{} : e.follow({entry->value.get(), scope});
  };
  const Located kind = part("type");
  if (!kind) {
    e.error(where.span(), "a type as a mapping needs `type`");
    return std::nullopt;
  }
  const auto name = e.text(kind);
  if (!name) return std::nullopt;
  const auto is = [&](std::string_view wanted) {
    return config::match_choice(*name, std::vector{std::string(wanted)}).has_value();
  };
  std::optional<Type> wrapped;
  if (const Located inner = part("wrapped")) wrapped = type_from_mapping(e, inner);
  if (is("OPTIONAL") || is("LIST") || is("FUTURE")) {
    if (!wrapped) {
      if (!part("wrapped")) e.error(where.span(), "`" + *name + "` needs `wrapped`");
      return std::nullopt;
    }
    if (is("LIST")) return Type::list(*wrapped);
    return is("OPTIONAL") ? wrapped->as_optional() : *wrapped;
  }
  if (is("ARRAY")) {
    int dims = -1;
    if (const Located n = part("n_dim"); n)
      if (const auto text = e.text(n))
        if (const auto number = config::as_int(Setting(*text)))
          dims = static_cast<int>(std::clamp<std::int64_t>(*number, -1, 64));
    return Type::array(wrapped ? wrapped->kind() : Kind::kAny, dims);
  }
  if (is("TUPLE")) {
    std::vector<Type> elements;
    const Located args = part("args");
    if (args && args.node->is_sequence())
      for (const ast::NodePtr& item : args.node->items) {
        auto element = type_from_mapping(e, {item.get(), args.scope});
        if (!element) return std::nullopt;
        elements.push_back(*element);
      }
    if (wrapped) return Type::list(*wrapped);
    return Type::tuple(std::move(elements));
  }
  return e.type(kind);
}

// Reads one column: a type, a mapping of settings, or !column_definition.
class ColumnReader {
 public:
  ColumnReader(Evaluator& e, std::string what) : e_(e), what_(std::move(what)) {}

  std::optional<SchemaColumn> read(const std::string& name, SourceSpan name_span, Located where) {
    SchemaColumn column;
    column.field.name = column.field.external_name = name;
    column.field.type = Kind::kAny;
    column.span = name_span;
    const Located target = e_.follow(where);
    const ast::Node& node = *target.node;
    if (node.is_mapping() && node.tag.empty()) {
      std::vector<std::pair<const ArgSpec*, Located>> settings;
      Scope* scope = e_.enter(node, target.scope);
      bool fine = true;
      for (const ast::Entry& entry : node.entries)
        if (!entry.is_definition()) fine = take(settings, entry.key, entry.span, {entry.value.get(), scope}) && fine;
      if (!fine) return std::nullopt;
      return fill(std::move(column), settings);
    }
    const ObjectPtr object = node.tag.empty() ? nullptr : e_.evaluate(target);
    if (object != nullptr && object->is_error()) return std::nullopt;
    const Instance* instance = object != nullptr ? object->as_instance() : nullptr;
    if (instance != nullptr && instance->component->kind == ComponentKind::kColumn) {
      std::vector<std::pair<const ArgSpec*, Located>> settings;
      for (const auto& argument : static_cast<const TagCall&>(*instance->call).arguments()) {
        argument.asked = true;
        if (argument.spec == nullptr) continue;
        for (const ArgSpec& spec : column_args())
          if (spec.name == argument.spec->name) settings.emplace_back(&spec, argument.value);
      }
      return fill(std::move(column), settings);
    }
    auto type = e_.type(where);
    if (!type) return std::nullopt;
    column.field.type = *type;
    return column;
  }

 private:
  bool take(std::vector<std::pair<const ArgSpec*, Located>>& settings, const std::string& name, SourceSpan span,
            Located value) {
    for (const ArgSpec& spec : column_args()) {
      if (spec.name != name && std::find(spec.aliases.begin(), spec.aliases.end(), name) == spec.aliases.end())
        continue;
      for (const auto& [known, where] : settings)
        if (known == &spec) {
          e_.error(span, "`" + name + "` says the same as another setting of this column; give it once");
          return false;
        }
      settings.emplace_back(&spec, value);
      return true;
    }
    std::vector<std::string> names;
    for (const ArgSpec& spec : column_args()) {
      names.push_back(spec.name);
      names.insert(names.end(), spec.aliases.begin(), spec.aliases.end());
    }
    suggest(e_.error(span, "a column has no setting `" + name + "`"), name, names);
    return false;
  }

  std::optional<bool> flag(Located where, std::string_view name) {
    const ObjectPtr object = e_.evaluate(where);
    if (object->is_error() || object->is_null()) return std::nullopt;
    if (const Scalar* scalar = object->as_scalar())
      if (const auto value = config::as_bool(Setting(scalar->spelling))) return value;
    e_.error(where.span(), "`" + std::string(name) + "` is true or false, not " + describe(*object));
    return std::nullopt;
  }

  std::optional<SchemaColumn> fill(SchemaColumn column,
                                   const std::vector<std::pair<const ArgSpec*, Located>>& settings) {
    Located default_at;
    for (const auto& [spec, where] : settings) {
      if (spec->name == "type") {
        auto type = type_from_mapping(e_, e_.follow(where));
        if (!type) return std::nullopt;
        column.field.type = *type;
      } else if (spec->name == "primary_key") {
        column.field.primary_key = flag(where, spec->name).value_or(false);
      } else if (spec->name == "append_only") {
        column.append_only = flag(where, spec->name);
      } else if (spec->name == "default") {
        default_at = where;
      } else if (spec->name == "description") {
        column.description = e_.text(where).value_or("");
      } else if (spec->name == "name") {
        if (auto text = e_.text(where); text && !text->empty()) column.field.external_name = *text;
      } else if (spec->name == "source") {
        if (!take_source(column, where, *spec)) return std::nullopt;
      }
    }
    if (default_at && !take_default(column, default_at)) return std::nullopt;
    return column;
  }

  bool take_source(SchemaColumn& column, Located where, const ArgSpec& spec) {
    std::string written;
    if (!where.node->tag.empty() && where.node->is_scalar() && where.node->text.empty()) {
      written = where.node->tag;
    } else if (auto text = e_.text(where)) {
      written = std::move(*text);
    } else {
      return false;
    }
    if (const auto match = config::match_choice(written, spec.choices)) {
      column.field.from = schema_source(*match);
      return true;
    }
    for (std::string_view engine : {"NewId", "PSEUDO", "Computed", "Pointer"})
      if (config::match_choice(written, std::vector{std::string(engine)})) {
        e_.error(where.span(), "`" + written +
                                   "` fields belong to the engine; a column of a source comes from "
                                   "payload, key, time, partition or metadata");
        return false;
      }
    suggest(e_.error(where.span(), "`" + written +
                                       "` is no source of a field; payload, key, time, partition and "
                                       "metadata are"),
            written, spec.choices);
    return false;
  }

  bool take_default(SchemaColumn& column, Located where) {
    const ObjectPtr object = e_.evaluate(where);
    if (object->is_error()) return false;
    if (object->is_null() && !column.field.type.admits_none() && !column.field.type.is(Kind::kJson)) {
      e_.error(where.span(),
               "the default of `" + column.field.name + "` is None, its type is " + column.field.type.to_text());
      return false;
    }
    auto value = value_as(*object, column.field.type);
    if (!value) {
      e_.error(where.span(), "the default of `" + column.field.name + "` does not fit its type: expected " +
                                 column.field.type.to_text() + ", found " + describe(*object));
      return false;
    }
    column.field.default_value = std::move(*value);
    return true;
  }

  Evaluator& e_;
  std::string what_;
};

// What all forms check of the finished schema.
ObjectPtr finish(Evaluator& e, SchemaObject schema, SourceSpan span, bool fine) {
  std::set<std::string> names;
  for (const SchemaColumn& column : schema.columns) {
    if (!names.insert(column.field.name).second) {
      e.error(column.span, "the column `" + column.field.name + "` is given twice");
      fine = false;
    }
    if (schema.append_only && !*schema.append_only && column.append_only.value_or(false)) {
      e.error(column.span,
              "`append_only` of the schema is false, that of its column `" + column.field.name + "` is true");
      fine = false;
    }
  }
  if (!fine) return error_object();
  return make_object({std::move(schema), span});
}

std::optional<bool> scalar_flag(Evaluator& e, Located where, std::string_view name) {
  const ObjectPtr object = e.evaluate(where);
  if (object->is_error()) return std::nullopt;
  if (const Scalar* scalar = object->as_scalar())
    if (const auto value = config::as_bool(Setting(scalar->spelling))) return value;
  e.error(where.span(), "`" + std::string(name) + "` is true or false, not " + describe(*object));
  return std::nullopt;
}

// `_primary_key: [a, b]`
bool mark_primary_key(Evaluator& e, SchemaObject& schema, Located where) {
  std::vector<std::pair<std::string, SourceSpan>> names;
  const Located target = e.follow(where);
  if (target.node->is_sequence() && target.node->tag.empty()) {
    for (const ast::NodePtr& item : target.node->items)
      if (auto text = e.text({item.get(), target.scope})) names.emplace_back(*text, item->span);
  } else if (auto text = e.text(where)) {
    names.emplace_back(*text, where.span());
  }
  bool fine = true;
  for (const auto& [name, span] : names) {
    const auto found = std::find_if(schema.columns.begin(), schema.columns.end(),
                                    [&](const SchemaColumn& c) { return c.field.name == name; });
    if (found == schema.columns.end()) {
      suggest(e.error(span, "the primary key names `" + name + "`, which is no column"), name, schema.schema().names());
      fine = false;
      continue;
    }
    found->field.primary_key = true;
  }
  return fine;
}

// !schema, !schema_from_types: the columns are the arguments.
ObjectPtr build_open_schema(Builder& b, const Call& call, bool types_only) {
  auto& e = static_cast<Evaluator&>(b);
  SchemaObject schema;
  bool fine = true;
  Located primary_key;
  ColumnReader reader(e, call.component().name);
  for (const NamedNode& argument : call.others()) {
    const std::string& name = argument.name;
    if (name == "_name") {
      schema.name = e.text(argument.value).value_or("");
    } else if (name == "_append_only" && !types_only) {
      schema.append_only = scalar_flag(e, argument.value, "append_only");
    } else if (name == "_primary_key" && !types_only) {
      primary_key = argument.value;
    } else {
      if (types_only && argument.value.node->is_mapping() && argument.value.node->tag.empty()) {
        e.error(argument.value.span(), "`!schema_from_types` takes types only")
            .note("`!schema` takes settings of columns: `" + name + ": {type: int, primary_key: true}`");
        fine = false;
        continue;
      }
      if (auto column = reader.read(name, argument.name_span, argument.value))
        schema.columns.push_back(std::move(*column));
      else
        fine = false;
    }
  }
  if (primary_key && fine) fine = mark_primary_key(e, schema, primary_key);
  return finish(e, std::move(schema), call.span(), fine);
}

// The `properties: {append_only: …}` of the peer's builders.
bool take_properties(Evaluator& e, const Call& call, SchemaObject& schema) {
  const Located where = call.at("properties");
  if (!where || where.node->is_null()) return true;
  if (!where.node->is_mapping()) {
    e.error(where.span(), "`properties` is a mapping such as {append_only: true}");
    return false;
  }
  Scope* scope = e.enter(*where.node, where.scope);
  for (const ast::Entry& entry : where.node->entries) {
    if (entry.is_definition()) continue;
    if (entry.key == "append_only") {
      schema.append_only = scalar_flag(e, {entry.value.get(), scope}, "append_only");
    } else {
      suggest(e.error(entry.span, "a schema has no property `" + entry.key + "`"), entry.key,
              std::vector<std::string>{"append_only"});
      return false;
    }
  }
  return true;
}

// !schema_from_dict, !schema_builder: the columns are one argument.
ObjectPtr build_from_columns(Builder& b, const Call& call) {
  auto& e = static_cast<Evaluator&>(b);
  SchemaObject schema;
  schema.name = call.text("name").value_or("");
  bool fine = take_properties(e, call, schema);
  if (auto flag = call.boolean("append_only")) schema.append_only = flag;
  const Located columns = call.at("columns");
  if (!columns) return error_object();
  if (!columns.node->is_mapping() || !columns.node->tag.empty()) {
    e.error(columns.span(), "`columns` is a mapping of names to types or settings");
    return error_object();
  }
  Scope* scope = e.enter(*columns.node, columns.scope);
  ColumnReader reader(e, call.component().name);
  for (const ast::Entry& entry : columns.node->entries) {
    if (entry.is_definition()) continue;
    if (auto column = reader.read(entry.key, entry.span, {entry.value.get(), scope}))
      schema.columns.push_back(std::move(*column));
    else
      fine = false;
  }
  return finish(e, std::move(schema), call.span(), fine);
}

ObjectPtr build_from_csv(Builder& b, const Call& call) {
  auto& e = static_cast<Evaluator&>(b);
  const auto path = call.text("path");
  if (!path) return error_object();
  const std::string file = e.resolve_path(*path, call.span_of("path"));
  auto text = e.read_file(file);
  if (!text) {
    e.error(call.span_of("path"), "cannot read `" + file + "`: " + text.error().message);
    return error_object();
  }
  CsvSampleOptions options;
  const auto one_character = [&](std::string_view name, char& into) {
    if (auto value = call.text(name)) {
      if (value->size() == 1)
        into = (*value)[0];
      else
        e.error(call.span_of(name), "`" + std::string(name) + "` is one character");
    }
  };
  one_character("delimiter", options.delimiter);
  one_character("quote", options.quote);
  one_character("comment_character", options.comment);
  one_character("escape", options.escape);
  if (auto flag = call.boolean("double_quote_escapes")) options.double_quote_escapes = *flag;
  if (auto rows = call.integer("num_parsed_rows")) options.rows_max = *rows < 0 ? 0 : static_cast<std::size_t>(*rows);
  Result<Schema> columns = csv_sample_schema(*text, options);
  if (!columns) {
    e.error(call.span_of("path"), "cannot infer a schema from `" + file + "`: " + columns.error().message);
    return error_object();
  }
  SchemaObject schema;
  schema.name = call.text("name").value_or("");
  const bool fine = take_properties(e, call, schema);
  for (const ColumnSpec& column : columns->columns) {
    SchemaColumn one;
    one.field.name = one.field.external_name = column.name;
    one.field.type = column.type;
    one.span = call.span();
    schema.columns.push_back(std::move(one));
  }
  return finish(e, std::move(schema), call.span(), fine);
}

}  // namespace

void add_schema_components(Components& out) {
  out.push_back(
      {.name = "schema",
       .aliases = {"Schema"},
       .kind = ComponentKind::kSchema,
       .doc = "Columns with all their settings. `_name`, `_append_only` and `_primary_key` concern the whole.",
       .example = "$orders: !schema\n  id: {type: int, primary_key: true}\n  note: {type: str, default: \"\"}\n"
                  "  amount: float",
       .build = [](Builder& b, const Call& call) { return build_open_schema(b, call, false); },
       .open = true});
  out.push_back({.name = "schema_from_types",
                 .kind = ComponentKind::kSchema,
                 .doc = "Columns by name and type.",
                 .example = "$words: !schema_from_types {word: str, n: int | None}",
                 .build = [](Builder& b, const Call& call) { return build_open_schema(b, call, true); },
                 .open = true});
  const std::vector<ArgSpec> from_columns = {
      {.name = "columns", .kind = ArgKind::kAny, .required = true, .doc = "Names to types or settings."},
      {.name = "name", .kind = ArgKind::kText, .doc = "A name for messages."},
      {.name = "properties", .kind = ArgKind::kAny, .doc = "`{append_only: true}`"},
      {.name = "append_only", .kind = ArgKind::kBool, .aliases = {"id_append_only"}},
      {.name = "id_dtype", .kind = ArgKind::kAny, .doc = "Accepted for the peer's sake."},
  };
  out.push_back({.name = "schema_from_dict",
                 .kind = ComponentKind::kSchema,
                 .args = from_columns,
                 .doc = "Columns as a mapping, with `dtype` for the type.",
                 .example = "$s: !schema_from_dict\n  columns:\n    k: {dtype: int, primary_key: true}\n    v: str",
                 .build = build_from_columns});
  out.push_back(
      {.name = "schema_builder",
       .kind = ComponentKind::kSchema,
       .args = from_columns,
       .doc = "Columns by `!column_definition`.",
       .example = "$s: !schema_builder\n  columns:\n    k: !column_definition {dtype: int, primary_key: true}",
       .build = build_from_columns});
  out.push_back({.name = "column_definition",
                 .aliases = {"ColumnDefinition"},
                 .kind = ComponentKind::kColumn,
                 .args = column_args(),
                 .doc = "One column of a schema.",
                 .example = "k: !column_definition {type: int, primary_key: true}"});
  out.push_back({.name = "schema_from_csv",
                 .kind = ComponentKind::kSchema,
                 .args = {{.name = "path", .kind = ArgKind::kPath, .required = true, .doc = "The file to look into."},
                          {.name = "name", .kind = ArgKind::kText},
                          {.name = "properties", .kind = ArgKind::kAny, .doc = "`{append_only: true}`"},
                          {.name = "delimiter", .kind = ArgKind::kText, .fallback = ","},
                          {.name = "quote", .kind = ArgKind::kText, .fallback = "\""},
                          {.name = "comment_character", .kind = ArgKind::kText},
                          {.name = "escape", .kind = ArgKind::kText},
                          {.name = "double_quote_escapes", .kind = ArgKind::kBool, .fallback = "true"},
                          {.name = "num_parsed_rows", .kind = ArgKind::kInt, .doc = "Rows to look at; all if absent."}},
                 .doc = "Columns from the header of a CSV file, types int, float or str from its rows.",
                 .example = "$s: !schema_from_csv {path: ./orders.csv}",
                 .build = build_from_csv});
}

}  // namespace thalweg::lang
