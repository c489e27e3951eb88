// select with_columns rename without cast filter split flatten and the like: row by row, keys as they are.
#include <algorithm>

#include "pipeline_lang/tables/lowering.h"

namespace thalweg::lang {
namespace {

ObjectPtr build_select(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table) return error_object();
  const auto exprs = lower.expressions("columns", *table);
  if (!exprs) return error_object();
  return lower.result(lower.project(*table, *exprs));
}

ObjectPtr build_with_columns(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table) return error_object();
  auto exprs = lower.expressions("columns", *table);
  if (!exprs) return error_object();
  std::vector<NamedExpr> all = all_columns(table->schema);
  for (auto& expr : *exprs) {
    const auto old =
        std::find_if(all.begin(), all.end(), [&](const NamedExpr& other) { return other.name == expr.name; });
    if (old == all.end())
      all.push_back(std::move(expr));
    else
      old->expr = std::move(expr.expr);
  }
  return lower.result(lower.project(*table, all));
}

ObjectPtr build_rename(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  const auto nodes = call.expressions("columns");
  if (!table || !nodes) return error_object();
  std::vector<NamedExpr> all = all_columns(table->schema);
  std::vector<bool> renamed(all.size(), false);
  bool fine = true;
  for (const NamedNode& node : *nodes) {
    const auto input = expr_input(builder, node.value);
    if (!input) return error_object();
    std::string old = input->text;
    if (input->literal && !input->secret && input->literal->tag() == Value::Tag::kStr)
      old = input->literal->as_text();
    else if (const auto column = as_column_name(*input))
      old = column->name;
    if (node.name.empty())
      return lower.wrong(node.value.span(), "`columns` of `!rename` is a mapping of new names to old ones");
    const auto index = lower.column({old, node.value.span()}, *table);
    if (!index) {
      fine = false;
      continue;
    }
    if (renamed[*index]) return lower.wrong(node.value.span(), "column `" + old + "` is renamed twice");
    renamed[*index] = true;
    all[*index].name = node.name;
    all[*index].span = node.name_span;
  }
  if (!fine) return error_object();
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = 0; j < all.size(); ++j)
      if (i != j && renamed[i] && all[i].name == all[j].name)
        return lower.wrong(all[i].span, "there is a column `" + all[i].name + "` already");
  return lower.result(lower.project(*table, all));
}

ObjectPtr build_without(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table) return error_object();
  const auto columns = lower.columns("columns", *table);
  if (!columns) return error_object();
  std::vector<NamedExpr> kept;
  for (auto& column : all_columns(table->schema))
    if (std::find(columns->begin(), columns->end(), column.expr->column) == columns->end())
      kept.push_back(std::move(column));
  return lower.result(lower.project(*table, kept));
}

ObjectPtr build_cast(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  const auto types = call.type_map("columns");
  if (!table || !types) return error_object();
  std::vector<NamedExpr> all = all_columns(table->schema);
  bool fine = true;
  for (const auto& [name, type] : *types) {
    const auto index = lower.column(name, *table);
    if (!index) {
      fine = false;
      continue;
    }
    auto cast = cast_to(all[*index].expr, type, name.span);
    if (!cast) {
      lower.report(std::move(cast).error());
      fine = false;
      continue;
    }
    all[*index].expr = std::move(*cast);
  }
  if (!fine) return error_object();
  return lower.result(lower.project(*table, all));
}

// Rows where `condition` holds; what it rules out is no longer optional.
Table filtered(const Lowering& lower, const Table& table, plan::ExprPtr condition) {
  Schema schema = table.schema;
  for (const std::uint32_t column : not_none_where(*condition))
    if (column < schema.size()) schema.columns[column].type = schema.columns[column].type.without_optional();
  return lower.builder().add(plan::Filter{std::move(condition)}, {table}, std::move(schema),
                             lower.options(table.append_only));
}

ObjectPtr build_filter(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  const Located where = call.at("where");
  if (!table || !where) return error_object();
  auto condition = lower.condition(where, lower.scope(*table, where.scope), "where");
  if (!condition) return error_object();
  return lower.result(filtered(lower, *table, std::move(condition)));
}

ObjectPtr build_split(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  const auto part = call.choice("part");
  const Located where = call.at("where");
  if (!table || !where || (call.has("part") && !part)) return error_object();
  auto condition = lower.condition(where, lower.scope(*table, where.scope), "where");
  if (!condition) return error_object();
  const bool rest = part && *part == "rest";
  if (rest) condition = plan::call("not", {condition}, Kind::kBool, condition->span);
  return lower.result(filtered(lower, *table, std::move(condition)));
}

std::optional<Type> element_of(const Type& type) {
  switch (type.kind()) {
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kArray: return type.element();
    case Kind::kStr: return Type(Kind::kStr);
    case Kind::kJson: return Type(Kind::kJson);
    case Kind::kAny: return Type(Kind::kAny);
    case Kind::kNone:
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
    case Kind::kPointer:
    case Kind::kBytes:
    case Kind::kDateTimeNaive:
    case Kind::kDateTimeUtc:
    case Kind::kDuration:
    case Kind::kUuid: return std::nullopt;
  }
  return std::nullopt;
}

ObjectPtr build_flatten(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table) return error_object();
  const auto columns = lower.columns("column", *table);
  if (!columns) return error_object();
  if (columns->size() != 1) return lower.wrong(call.span_of("column"), "`!flatten` takes one column");
  const std::uint32_t column = columns->front();
  Schema schema = table->schema;
  const ColumnSpec& spec = schema.columns[column];
  if (spec.type.optional())
    return lower.wrong(call.span_of("column"),
                       "column `" + spec.name + "` may be None (its type is `" + spec.type.to_text() + "`)",
                       "filter on `" + spec.name + " is not None` before, or use `coalesce`");
  const auto element = element_of(spec.type);
  if (!element)
    return lower.wrong(call.span_of("column"), "`!flatten` takes lists, tuples, arrays, text or json; column `" +
                                                   spec.name + "` is `" + spec.type.to_text() + "`");
  schema.columns[column].type = *element;
  plan::Flatten flatten{column, false};
  if (call.has("origin_id")) {
    const auto origin = call.text("origin_id");
    if (!origin) return error_object();
    if (schema.find(*origin))
      return lower.wrong(call.span_of("origin_id"), "there is a column `" + *origin + "` already");
    flatten.origin_id = true;
    schema.columns.push_back({*origin, Kind::kPointer});
  }
  return lower.result(builder.add(flatten, {*table}, std::move(schema), lower.options(table->append_only)));
}

ObjectPtr build_remove_errors(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table) return error_object();
  return lower.result(builder.add(plan::RemoveErrors{}, {*table}, table->schema, lower.options(table->append_only)));
}

ObjectPtr build_await_futures(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table) return error_object();
  return lower.result(lower.project(*table, all_columns(table->schema)));
}

ObjectPtr build_assert_append_only(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table) return error_object();
  return lower.result(
      builder.add(plan::AssertAppendOnly{}, {*table}, table->schema, lower.options(true, table->universe)));
}

}  // namespace

void add_row_tables(Components& out) {
  out.push_back(table_component(
      "select",
      {table_arg(), arg("columns", ArgKind::kExprList, true, "name: expression, or a list of names and mappings")},
      "Exactly the listed columns, under the same keys.",
      "!select {table: $t, columns: {name: name, total: price * quantity}}", build_select));
  out.push_back(table_component("with_columns",
                                {table_arg(), arg("columns", ArgKind::kExprList, true, "name: expression")},
                                "All columns, with those listed added or replaced.",
                                "!with_columns {table: $t, columns: {total: price * quantity}}", build_with_columns));
  out.push_back(table_component("rename", {table_arg(), arg("columns", ArgKind::kRename, true, "new name: old name")},
                                "Other names for columns.", "!rename {table: $t, columns: {cost: price}}", build_rename,
                                {"rename_columns"}));
  out.push_back(table_component("without", {table_arg(), arg("columns", ArgKind::kNames, true, "columns to leave out")},
                                "All columns but those listed.", "!without {table: $t, columns: [secret]}",
                                build_without, {"drop"}));
  out.push_back(table_component("cast", {table_arg(), arg("columns", ArgKind::kTypeMap, true, "column: type")},
                                "Columns cast to other types, as `cast(type, column)`.",
                                "!cast {table: $t, columns: {price: float}}", build_cast, {"cast_to_types"}));
  out.push_back(table_component(
      "filter",
      {table_arg(),
       arg("where", ArgKind::kExpr, true, "rows for which this holds stay", {"condition", "expression", "predicate"})},
      "Rows for which a condition holds. A column that it rules None out of is no longer optional.",
      "!filter {table: $t, where: amount > 10 and name is not None}", build_filter));
  ArgSpec part = arg("part", ArgKind::kEnum, false, "which of the two halves");
  part.choices = {"matching", "rest"};
  part.fallback = "matching";
  out.push_back(table_component("split", {table_arg(), arg("where", ArgKind::kExpr, true, "the condition"), part},
                                "The rows for which a condition holds, or the others.",
                                "!split {table: $t, where: amount > 10, part: rest}", build_split));
  out.push_back(table_component(
      "flatten",
      {table_arg(), arg("column", ArgKind::kNames, true, "the column to take apart", {"to_flatten"}),
       arg("origin_id", ArgKind::kText, false, "a name for a column with the key of the row it came from")},
      "One row per element of a list, tuple, array, json array, or per character of a text; other columns are "
      "repeated.",
      "!flatten {table: $t, column: words}", build_flatten));
  out.push_back(table_component("remove_errors", {table_arg()}, "Rows without an ERROR in any column.",
                                "!remove_errors {table: $t}", build_remove_errors));
  out.push_back(table_component("await_futures", {table_arg()}, "Rows whose asynchronous values have arrived.",
                                "!await_futures {table: $t}", build_await_futures));
  out.push_back(table_component("assert_append_only", {table_arg()},
                                "The table, which never takes a row back; the run stops if it does.",
                                "!assert_append_only {table: $events}", build_assert_append_only));
}

}  // namespace thalweg::lang
