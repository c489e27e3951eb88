// sort, diff, interpolate: what goes by an order of the rows.
#include <algorithm>

#include "engine/expr/function_table.h"
#include "pipeline_lang/tables/temporal.h"

namespace thalweg::lang {
namespace {

// Collects columns that an operator needs beside those of the table.
class Extra {
 public:
  explicit Extra(const Table& table) : first_(static_cast<std::uint32_t>(table.schema.size())) {}
  std::uint32_t place(const plan::ExprPtr& expr) {
    if (expr->kind == plan::ExprKind::kColumn && expr->column < first_) return expr->column;
    exprs_.push_back(expr);
    return first_ + static_cast<std::uint32_t>(exprs_.size()) - 1;
  }
  [[nodiscard]] Table apply(const Lowering& lower, const Table& table) const {
    return exprs_.empty() ? table : lower.extended(table, exprs_);
  }

 private:
  std::uint32_t first_;
  std::vector<plan::ExprPtr> exprs_;
};

bool is_ordered(const Type& type) { return !type.is(Kind::kJson) && !type.is(Kind::kArray); }

// Own columns of `table`, then what the operator appended behind `sorted`'s first `width` columns.
ObjectPtr without_extra(const Lowering& lower, const Table& table, const Table& sorted, std::size_t width) {
  std::vector<NamedExpr> out = all_columns(sorted.schema);
  out.erase(out.begin() + static_cast<std::ptrdiff_t>(table.schema.size()),
            out.begin() + static_cast<std::ptrdiff_t>(width));
  return lower.result(lower.project(sorted, out));
}

bool free_name(const Lowering& lower, const Table& table, const std::string& name) {
  if (!table.schema.find(name)) return true;
  lower.wrong(lower.call().span(), "the result has a column `" + name + "`, and the table has one of that name",
              "rename it before");
  return false;
}

ObjectPtr build_sort(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table || !free_name(lower, *table, "prev") || !free_name(lower, *table, "next")) return error_object();
  const auto key = lower.argument("key", *table);
  if (!key) return error_object();
  const auto instance = lower.argument("instance", *table);
  if (call.has("instance") && !instance) return error_object();
  plan::Sort params;
  Extra extra(*table);
  std::vector<plan::ExprPtr> keys = {key};
  if (key->kind == plan::ExprKind::kCall && key->function == "make_tuple") keys = key->args;
  for (const auto& expr : keys) {
    if (!is_ordered(expr->type))
      return lower.wrong(call.span_of("key"), "`key` has an order; `" + expr->type.to_text() + "` has none");
    params.key.push_back(extra.place(expr));
  }
  if (instance) params.instance = extra.place(instance);
  const Table input = extra.apply(lower, *table);
  Schema schema = input.schema;
  schema.columns.push_back({"prev", Type(Kind::kPointer, true)});
  schema.columns.push_back({"next", Type(Kind::kPointer, true)});
  const Table sorted =
      builder.add(std::move(params), {input}, std::move(schema), lower.options(false, table->universe));
  return without_extra(lower, *table, sorted, input.schema.size());
}

ObjectPtr build_diff(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table) return error_object();
  const auto timestamp = lower.argument("timestamp", *table);
  const auto values = lower.columns("values", *table);
  const auto instance = lower.argument("instance", *table);
  if (!timestamp || !values || (call.has("instance") && !instance)) return error_object();
  if (timestamp->type.admits_none() || !is_ordered(timestamp->type))
    return lower.wrong(call.span_of("timestamp"),
                       "`timestamp` is a value with an order that is never None, the expression is `" +
                           timestamp->type.to_text() + "`");
  plan::OrderedDiff params;
  Extra extra(*table);
  params.timestamp = extra.place(timestamp);
  if (instance) params.instance = extra.place(instance);
  std::vector<ColumnSpec> previous;
  for (const std::uint32_t column : *values) {
    const auto& [name, type] = table->schema.columns[column];
    const Type plain = type.without_optional();
    const std::vector<expr::Argument> args = {{plain, nullptr, {}}, {plain, nullptr, {}}};
    const auto difference = expr::resolve("sub", args);
    if (!difference || type.is(Kind::kNone))
      return lower.wrong(call.span_of("values"),
                         "column `" + name + "` has no differences: it is `" + type.to_text() + "`",
                         "numbers, datetimes and durations have");
    if (!free_name(lower, *table, "diff_" + name)) return error_object();
    params.values.push_back(column);
    previous.push_back({"_before_" + name, type.as_optional()});
  }
  const Table input = extra.apply(lower, *table);
  const auto first = static_cast<std::uint32_t>(input.schema.size());
  Schema schema = input.schema;
  for (auto& column : previous) schema.columns.push_back(std::move(column));
  const Table out = builder.add(std::move(params), {input}, std::move(schema), lower.options(false, table->universe));
  // The operator appends the values of the row before; their differences are made here.
  std::vector<NamedExpr> exprs = all_columns(table->schema);
  for (std::uint32_t i = 0; i < values->size(); ++i) {
    const auto& [name, type] = table->schema.columns[(*values)[i]];
    const Type plain = type.without_optional();
    const plan::ExprPtr now = plan::column((*values)[i], type), before = plan::column(first + i, type.as_optional());
    // Neither is None where the difference is evaluated.
    const plan::ExprPtr difference =
        typed_call("sub", {plan::column((*values)[i], plain), plan::column(first + i, plain)});
    exprs.push_back(
        {"diff_" + name,
         {},
         plan::special(plan::ExprKind::kRequire, {difference, before, now}, difference->type.as_optional())});
  }
  return lower.result(lower.project(out, exprs));
}

ObjectPtr build_interpolate(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table) return error_object();
  const auto timestamp = lower.argument("timestamp", *table);
  const auto values = lower.columns("values", *table);
  if (!timestamp || !values) return error_object();
  const Type& time = timestamp->type;
  if (time.optional() || !(time.is_number() || time.is_datetime()))
    return lower.wrong(
        call.span_of("timestamp"),
        "`timestamp` is a number or a datetime that is never None, the expression is `" + time.to_text() + "`");
  std::vector<NamedExpr> columns = all_columns(table->schema);
  for (const std::uint32_t column : *values) {
    const Type& type = table->schema.columns[column].type;
    if (!type.is_number() && !type.is(Kind::kNone))
      return lower.wrong(call.span_of("values"), "column `" + table->schema.columns[column].name + "` is `" +
                                                     type.to_text() + "`; numbers are interpolated");
    columns[column].expr = plan::coerce(columns[column].expr, Type(Kind::kFloat, type.admits_none()));
  }
  plan::Interpolate params;
  params.values = *values;
  params.timestamp = timestamp->column;
  const bool own = timestamp->kind == plan::ExprKind::kColumn &&
                   std::find(values->begin(), values->end(), timestamp->column) == values->end();
  if (!own) {
    params.timestamp = static_cast<std::uint32_t>(columns.size());
    columns.push_back({"_time", {}, timestamp});
  }
  const Table input = lower.project(*table, columns);
  const Table out = builder.add(std::move(params), {input}, input.schema, lower.options(false, table->universe));
  return lower.result(lower.shortened(out, table->schema.size()));
}

}  // namespace

void add_order_tables(Components& out) {
  out.push_back(
      table_component("sort",
                      {table_arg(), arg("key", ArgKind::kExpr, true, "what rows are ordered by; then by their key"),
                       arg("instance", ArgKind::kExpr, false, "each instance has an order of its own")},
                      "All columns, and `prev` and `next`: the keys of the neighbours in the order.",
                      "!sort {table: $t, key: age, instance: city}", build_sort));
  out.push_back(table_component(
      "diff",
      {table_arg(), arg("timestamp", ArgKind::kExpr, true, "the order of the rows", {"time", "time_column"}),
       arg("values", ArgKind::kNames, true, "columns to subtract"),
       arg("instance", ArgKind::kExpr, false, "each instance has an order of its own")},
      "All columns, and `diff_<value>`: the difference to the row before.",
      "!diff {table: $t, timestamp: at, values: [count]}", build_diff));
  out.push_back(table_component(
      "interpolate",
      {table_arg(), arg("timestamp", ArgKind::kExpr, true, "the order of the rows", {"time", "time_column"}),
       arg("values", ArgKind::kNames, true, "columns to fill")},
      "Nones of the listed columns filled in, linear between their neighbours in time.",
      "!interpolate {table: $t, timestamp: at, values: [level]}", build_interpolate));
}

}  // namespace thalweg::lang
