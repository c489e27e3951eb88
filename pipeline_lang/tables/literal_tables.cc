// Tables written in the file: table_from_markdown, table_from_rows, empty.
#include "engine/expr/function_table.h"
#include "engine/types/from_text.h"
#include "engine/types/batch.h"
#include "pipeline_lang/table_text.h"
#include "pipeline_lang/tables/lowering.h"

namespace thalweg::lang {
namespace {

// Rows without labels need keys that no other table has, and the same ones in every run.
std::uint64_t source_of(const Lowering& lower, std::string_view text) {
  const SourceSpan span = lower.call().span();
  const std::string_view file = span.known() ? lower.builder().files().name(span.file) : std::string_view();
  return key_of_bytes(std::string(file) + "\n" + std::to_string(span.begin) + "\n" + lower.call().label() + "\n" +
                      std::string(text))
      .hi;
}

std::vector<DeclaredColumn> declared_columns(const SchemaObject& schema, std::vector<std::string>& primary_key) {
  std::vector<DeclaredColumn> out;
  for (const auto& column : schema.columns) {
    out.push_back({column.field.name, column.field.type, column.field.default_value});
    if (column.field.primary_key) primary_key.push_back(column.field.name);
  }
  return out;
}

ObjectPtr static_table(const Lowering& lower, Schema schema, std::vector<plan::StaticRow> rows, bool as_stream,
                       std::vector<std::string> primary_key, bool secret = false) {
  bool append_only = true;
  for (const auto& row : rows) append_only = append_only && row.diff > 0;
  plan::StaticRows params;
  params.rows = std::make_shared<const std::vector<plan::StaticRow>>(std::move(rows));
  params.as_stream = as_stream;
  params.secret = secret;
  Table out = lower.builder().add(std::move(params), {}, std::move(schema), lower.options(append_only));
  out.primary_key = std::move(primary_key);
  return lower.result(std::move(out));
}

ObjectPtr build_markdown(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto text = call.text("table");
  const auto stream = call.boolean("stream");
  if (!text || (call.has("stream") && !stream)) return error_object();
  TableTextOptions options;
  std::vector<DeclaredColumn> declared;
  if (call.has("schema")) {
    const SchemaObject* schema = call.schema("schema");
    if (schema == nullptr) return error_object();
    declared = declared_columns(*schema, options.primary_key);
    options.declared = &declared;
  }
  const auto ids = call.names("id_from");
  if (call.has("id_from")) {
    if (!ids) return error_object();
    options.primary_key.clear();
    for (const auto& name : *ids) options.primary_key.push_back(name.name);
  }
  options.stream = stream.value_or(false);
  options.source = source_of(lower, *text);
  options.span = call.span_of("table");
  options.files = &builder.files();
  if (const Located where = call.at("table"); where && where.node->is_scalar() && where.node->text == *text)
    options.span = where.node->span;
  else
    options.files = nullptr;
  auto table = parse_table_text(*text, options);
  if (!table) {
    lower.report(std::move(table).error());
    return error_object();
  }
  const bool as_stream = table->has_time || options.stream;
  return static_table(lower, table->schema, static_rows(*table), as_stream, options.primary_key,
                      holds_secret(*call.object("table")));
}

// ---------------------------------------------------------------- rows as YAML data

std::optional<Value> value_of_setting(const Setting& setting, const Type& type);

std::string json_of_setting(const Setting& setting) {
  if (setting.is_null()) return "null";
  if (const bool* b = setting.as_bool()) return *b ? "true" : "false";
  if (const auto* n = setting.as_int()) return std::to_string(*n);
  if (const auto* x = setting.as_float()) return Value::of(*x).to_text();
  if (const auto* text = setting.as_text()) return json_quoted(*text);
  std::string out;
  if (const auto* list = setting.as_list()) {
    for (const auto& item : *list) out += (out.empty() ? "" : ",") + json_of_setting(item);
    return "[" + out + "]";
  }
  for (const auto& [key, value] : *setting.as_map())
    out += (out.empty() ? "" : ",") + json_quoted(key) + ":" + json_of_setting(value);
  return "{" + out + "}";
}

// A text for value_from_cell: nested lists in Python's spelling.
std::string literal_text(const Setting& setting) {
  if (setting.is_null()) return "None";
  if (const auto* list = setting.as_list()) {
    std::string out;
    for (const auto& item : *list) out += (out.empty() ? "" : ", ") + literal_text(item);
    return "[" + out + "]";
  }
  return json_of_setting(setting);
}

std::optional<Value> value_of_setting(const Setting& setting, const Type& type) {
  if (setting.is_null()) return type.admits_none() ? std::optional(Value::none()) : std::nullopt;
  if (type.is(Kind::kJson)) return Value::json(json_of_setting(setting));
  if (setting.as_list() != nullptr) {
    auto value = value_from_cell(literal_text(setting), type);
    if (!value) return std::nullopt;
    return std::move(*value);
  }
  if (const bool* b = setting.as_bool()) {
    if (type.is(Kind::kBool) || type.is(Kind::kAny)) return Value::of(*b);
    return std::nullopt;
  }
  if (const auto* n = setting.as_int()) {
    if (type.is(Kind::kInt) || type.is(Kind::kAny)) return Value::of(*n);
    if (type.is(Kind::kFloat)) return Value::of(static_cast<double>(*n));
    if (type.is(Kind::kStr)) return Value::str(std::to_string(*n));
    if (type.is(Kind::kPointer)) return Value::of(key_of_label(std::to_string(*n)));
    return std::nullopt;
  }
  if (const auto* x = setting.as_float()) {
    if (type.is(Kind::kFloat) || type.is(Kind::kAny)) return Value::of(*x);
    return std::nullopt;
  }
  const auto* text = setting.as_text();
  if (text == nullptr) return std::nullopt;
  if (type.is(Kind::kStr) || type.is(Kind::kAny)) return Value::str(*text);
  auto value = value_from_cell(*text, type);
  if (!value) return std::nullopt;
  return std::move(*value);
}

// One row: a list in the order of the columns, or a mapping.
bool read_row(const Lowering& lower, const Setting& row, const std::vector<DeclaredColumn>& columns,
              std::vector<Value>& cells) {
  const SourceSpan at = row.span.known() ? row.span : lower.call().span_of("rows");
  if (const auto* list = row.as_list(); list != nullptr && list->size() != columns.size()) {
    lower.wrong(at, "this row has " + std::to_string(list->size()) + " cells, the schema has " +
                        std::to_string(columns.size()));
    return false;
  }
  if (row.as_list() == nullptr && row.as_map() == nullptr) {
    lower.wrong(at, "a row is a list of cells, or a mapping of columns to cells");
    return false;
  }
  if (const auto* map = row.as_map())
    for (const auto& [key, value] : *map) {
      bool known = false;
      for (const auto& column : columns) known = known || column.name == key;
      if (known) continue;
      std::vector<std::string> names;
      for (const auto& column : columns) names.push_back(column.name);
      lower.report(unknown_column(key, names, value.span.known() ? value.span : at));
      return false;
    }
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const Setting* cell = row.as_list() != nullptr ? &(*row.as_list())[i] : row.find(columns[i].name);
    if (cell == nullptr) {
      if (!columns[i].default_value) {
        lower.wrong(at, "this row lacks column `" + columns[i].name + "`");
        return false;
      }
      cells.push_back(*columns[i].default_value);
      continue;
    }
    auto value = value_of_setting(*cell, columns[i].type);
    if (!value) {
      lower.wrong(cell->span.known() ? cell->span : at,
                  "column `" + columns[i].name + "`: this does not read as `" + columns[i].type.to_text() + "`");
      return false;
    }
    cells.push_back(std::move(*value));
  }
  return true;
}

// Without a schema: mappings name their columns; types are those of the cells.
std::optional<std::vector<DeclaredColumn>> inferred_columns(const Lowering& lower, const Setting::List& rows) {
  std::vector<DeclaredColumn> out;
  for (const auto& row : rows) {
    const auto* map = row.as_map();
    if (map == nullptr) {
      lower.wrong(lower.call().span(), "`!table_from_rows` needs `schema:`, or rows that are mappings");
      return std::nullopt;
    }
    for (const auto& [name, cell] : *map) {
      Type type;
      if (cell.as_bool() != nullptr)
        type = Kind::kBool;
      else if (cell.as_int() != nullptr)
        type = Kind::kInt;
      else if (cell.as_float() != nullptr)
        type = Kind::kFloat;
      else if (cell.as_text() != nullptr)
        type = Kind::kStr;
      else if (!cell.is_null())
        type = Kind::kJson;
      DeclaredColumn* known = nullptr;
      for (auto& column : out)
        if (column.name == name) known = &column;
      if (known == nullptr)
        out.push_back({name, type, {}});
      else
        known->type = common_supertype(known->type, type).value_or(Type(Kind::kAny));
    }
  }
  return out;
}

ObjectPtr build_rows(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto setting = call.setting("rows");
  if (!setting) return error_object();
  const auto* rows = setting->as_list();
  if (rows == nullptr) return lower.wrong(call.span_of("rows"), "`rows` is a list of rows");
  std::vector<std::string> primary_key;
  std::vector<DeclaredColumn> columns;
  if (call.has("schema")) {
    const SchemaObject* schema = call.schema("schema");
    if (schema == nullptr) return error_object();
    columns = declared_columns(*schema, primary_key);
  } else {
    auto inferred = inferred_columns(lower, *rows);
    if (!inferred) return error_object();
    columns = std::move(*inferred);
  }
  Schema out;
  for (const auto& column : columns) out.columns.push_back({column.name, column.type});
  const std::uint64_t source = source_of(lower, "rows");
  std::vector<plan::StaticRow> cells;
  bool fine = true;
  for (const auto& row : *rows) {
    plan::StaticRow made;
    if (!read_row(lower, row, columns, made.cells)) {
      fine = false;
      continue;
    }
    std::vector<Value> key;
    for (const auto& name : primary_key) key.push_back(made.cells[*out.find(name)]);
    made.key = primary_key.empty() ? sequence_key(source, cells.size()) : key_of_values(key);
    cells.push_back(std::move(made));
  }
  if (!fine) return error_object();
  return static_table(lower, std::move(out), std::move(cells), false, std::move(primary_key),
                      holds_secret(*call.object("rows")));
}

ObjectPtr build_empty(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  if (!call.has("schema")) return static_table(lower, {}, {}, false, {});
  const SchemaObject* schema = call.schema("schema");
  if (schema == nullptr) return error_object();
  std::vector<std::string> primary_key;
  (void)declared_columns(*schema, primary_key);
  return static_table(lower, schema->schema(), {}, false, std::move(primary_key));
}

}  // namespace

void add_literal_tables(Components& out) {
  const ArgSpec schema = arg("schema", ArgKind::kSchema, false, "columns and types; else they come from the rows");
  ArgSpec stream = arg("stream", ArgKind::kBool, false, "every line is an event; labels may repeat");
  stream.fallback = "false";
  out.push_back(table_component(
      "table_from_markdown",
      {arg("table", ArgKind::kText, true, "the text: a header, then a line per row", {"text", "table_def"}), schema,
       stream, arg("id_from", ArgKind::kNames, false, "columns that make the key")},
      "A table written as text. `__time__` and `__diff__` make it change over time.",
      "!table_from_markdown\ntable: |\n  word | n\n  a    | 1", build_markdown));
  out.push_back(table_component(
      "table_from_rows", {arg("rows", ArgKind::kLiteral, true, "a list of rows: lists of cells, or mappings"), schema},
      "A table written as YAML data.", "!table_from_rows {rows: [[a, 1], [b, 2]], schema: $schema}", build_rows));
  out.push_back(table_component("empty", {schema}, "A table without rows.",
                                "!empty {schema: !schema_from_types {a: int}}", build_empty));
}

}  // namespace thalweg::lang
