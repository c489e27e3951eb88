#include "pipeline_lang/tables/lowering.h"

#include <algorithm>
#include <span>

#include "engine/base/edit_distance.h"
#include "engine/expr/function_table.h"

namespace thalweg::lang {

NameScope Lowering::scope(const Table& table, Scope* at) const {
  std::vector<std::string> qualifiers;
  if (std::string name = table_qualifier(table); !name.empty()) qualifiers.push_back(std::move(name));
  NameScope out = NameScope::of_table(table.schema, std::move(qualifiers));
  out.set_variables(variables_of(builder_, at));
  return out;
}

void Lowering::report(Error error) const { builder_.diagnostics().report(std::move(error).at(call_.span())); }

ObjectPtr Lowering::wrong(SourceSpan span, std::string message, std::string note) const {
  Diagnostic& diagnostic = builder_.error(span, std::move(message));
  if (!note.empty()) diagnostic.note(std::move(note));
  return error_object();
}

plan::ExprPtr Lowering::expression(Located where, const NameScope& names) const {
  const auto input = expr_input(builder_, where);
  if (!input) return nullptr;
  auto expr = check_expression(*input, names);
  if (expr) return std::move(*expr);
  report(std::move(expr).error());
  return nullptr;
}

plan::ExprPtr Lowering::condition(Located where, const NameScope& names, std::string_view what) const {
  const auto input = expr_input(builder_, where);
  if (!input) return nullptr;
  auto expr = check_condition(*input, names, what);
  if (expr) return std::move(*expr);
  report(std::move(expr).error());
  return nullptr;
}

plan::ExprPtr Lowering::argument(std::string_view name, const Table& table) const {
  const Located where = call_.at(name);
  if (!where || !call_.has(name)) return nullptr;
  return expression(where, scope(table, where.scope));
}

std::optional<std::vector<NamedExpr>> Lowering::expressions(std::string_view name,
                                                            const std::function<NameScope(Scope*)>& names,
                                                            const StarExpander& star) const {
  const auto nodes = call_.expressions(name);
  if (!nodes) return std::nullopt;
  std::vector<NamedExpr> out;
  std::vector<std::string> own;      // names that the list gives by itself
  std::vector<std::string> starred;  // names that came by a star, and may be given anew
  for (const NamedNode& node : *nodes)
    if (!node.name.empty()) own.push_back(node.name);
  bool fine = true;
  for (const NamedNode& node : *nodes) {
    if (node.name.empty() && node.value.node->is_scalar() && node.value.node->tag.empty()) {
      if (const auto qualifier = as_star(node.value.node->text)) {
        const std::size_t before = out.size();
        star(*qualifier, node.value.span(), out);
        for (std::size_t i = before; i < out.size();) {
          const auto given = std::ranges::find(own, out[i].name);
          if (given == own.end()) {
            ++i;
            continue;
          }
          // Its place is kept for what is given, unless it has one.
          const bool placed = std::ranges::any_of(std::span(out).first(i),
                                                  [&](const NamedExpr& known) { return known.name == *given; });
          if (placed) {
            out.erase(out.begin() + static_cast<std::ptrdiff_t>(i));
          } else {
            starred.push_back(*given);
            ++i;
          }
        }
        continue;
      }
    }
    auto input = expr_input(builder_, node.value);
    if (!input) {
      fine = false;
      continue;
    }
    NamedExpr item{node.name, node.name.empty() ? node.value.span() : node.name_span, nullptr};
    if (item.name.empty()) {
      // A list item from a variable is the name that the variable holds.
      if (input->literal && !input->secret && input->literal->tag() == Value::Tag::kStr) {
        input->text = "`" + input->literal->as_text() + "`";
        input->literal.reset();
        input->files = nullptr;
      }
      const auto column = as_column_name(*input);
      if (!column && check_expression(*input, names(node.value.scope))) {
        builder_.error(item.span, "an expression in a list needs a name").note("write `{name: " + input->text + "}`");
        fine = false;
        continue;
      }
      if (column) item.name = column->name;
    }
    auto expr = check_expression(*input, names(node.value.scope));
    if (!expr) {
      report(std::move(expr).error());
      fine = false;
      continue;
    }
    item.expr = std::move(*expr);
    if (const auto kept = std::ranges::find(starred, item.name); !node.name.empty() && kept != starred.end()) {
      starred.erase(kept);
      *std::ranges::find(out, item.name, &NamedExpr::name) = std::move(item);
      continue;
    }
    out.push_back(std::move(item));
  }
  for (std::size_t i = 0; i < out.size() && fine; ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (out[i].name == out[j].name) {
        builder_.error(out[i].span, "column `" + out[i].name + "` is given twice").note("first here", out[j].span);
        fine = false;
        break;
      }
  if (!fine) return std::nullopt;
  return out;
}

std::optional<std::vector<NamedExpr>> Lowering::expressions(std::string_view name, const Table& table) const {
  return expressions(
      name, [&](Scope* at) { return scope(table, at); },
      [&](const std::string& qualifier, SourceSpan span, std::vector<NamedExpr>& out) {
        if (!qualifier.empty() && qualifier != "this" && qualifier != table.name) {
          builder_.error(span, "there is no `" + qualifier + "` here");
          return;
        }
        for (auto& column : all_columns(table.schema)) {
          column.span = span;
          out.push_back(std::move(column));
        }
      });
}

std::optional<std::uint32_t> Lowering::column(const Named& name, const Table& table) const {
  if (const auto index = table.schema.find(name.name)) return static_cast<std::uint32_t>(*index);
  Error error = unknown_column(name.name, table.column_names(), name.span);
  report(std::move(error));
  return std::nullopt;
}

std::optional<plan::Columns> Lowering::columns(std::string_view name, const Table& table) const {
  const auto names = call_.names(name);
  if (!names) return std::nullopt;
  plan::Columns out;
  bool fine = true;
  for (const Named& one : *names) {
    const auto index = column(one, table);
    if (index) out.push_back(*index);
    fine = fine && index.has_value();
  }
  if (!fine) return std::nullopt;
  return out;
}

NodeOptions Lowering::options(bool append_only, std::optional<UniverseId> universe) const {
  return {.span = call_.span(), .label = call_.label(), .append_only = append_only, .universe = universe};
}

std::vector<NamedExpr> all_columns(const Schema& schema) {
  std::vector<NamedExpr> out;
  for (std::size_t i = 0; i < schema.size(); ++i)
    out.push_back({schema.columns[i].name, {}, plan::column(static_cast<std::uint32_t>(i), schema.columns[i].type)});
  return out;
}

Schema schema_of(const std::vector<NamedExpr>& exprs) {
  Schema out;
  for (const auto& expr : exprs) out.columns.push_back({expr.name, expr.expr->type});
  return out;
}

Table Lowering::project(const Table& table, const std::vector<NamedExpr>& exprs) const {
  plan::Project project;
  for (const auto& expr : exprs) project.exprs.push_back(expr.expr);
  return builder_.add(std::move(project), {table}, schema_of(exprs), options(table.append_only, table.universe));
}

Table Lowering::extended(const Table& table, const std::vector<plan::ExprPtr>& exprs) const {
  std::vector<NamedExpr> all = all_columns(table.schema);
  for (std::size_t i = 0; i < exprs.size(); ++i) all.push_back({"_" + std::to_string(i), {}, exprs[i]});
  return project(table, all);
}

Table Lowering::shortened(const Table& table, std::size_t count) const {
  if (table.schema.size() == count) return table;
  std::vector<NamedExpr> all = all_columns(table.schema);
  all.resize(count);
  return project(table, all);
}

Table Lowering::arranged(const Table& table, const Schema& schema) const {
  bool same = table.schema.size() == schema.size();
  std::vector<NamedExpr> exprs;
  for (std::size_t i = 0; i < schema.size(); ++i) {
    const auto& [name, type] = schema.columns[i];
    const auto from = table.schema.find(name);
    if (!from) return table;  // the caller compared the names
    same = same && *from == i && table.schema.columns[i].type == type;
    auto expr = plan::coerce(plan::column(static_cast<std::uint32_t>(*from), table.schema.columns[*from].type), type);
    exprs.push_back({name, {}, std::move(expr)});
  }
  if (same) return table;
  plan::Project project;
  for (const auto& expr : exprs) project.exprs.push_back(expr.expr);
  return builder_.add(std::move(project), {table}, schema, options(table.append_only, table.universe));
}

bool Lowering::outside_loop() const {
  if (!builder_.in_loop()) return true;
  builder_
      .error(call_.span(),
             "`!" + call_.component().name + "` goes by the order of arrival, which rounds of a loop have not")
      .note("put it before or after the `!iterate`");
  return false;
}

Result<plan::ExprPtr> cast_to(plan::ExprPtr expr, const Type& type, SourceSpan span) {
  if (expr->type == type) return expr;
  if (is_subtype(expr->type, type)) return plan::coerce(std::move(expr), type);
  const Value text = Value::str(type.to_text());
  const std::vector<expr::Argument> args = {{Type(Kind::kStr), &text, {}}, {expr->type, nullptr, {}}};
  auto resolved = expr::resolve("cast", args);
  if (!resolved) return fail(std::move(resolved).error().at(span));
  return plan::call("cast", {std::move(expr)}, resolved->result, span);
}

std::string names_text(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "`" : ", `") + name + "`";
  return out;
}

Result<Schema> common_schema(const Schema& first, const Schema& second, std::string_view first_name,
                             std::string_view second_name, SourceSpan span) {
  std::vector<std::string> missing, extra;
  for (const auto& column : first.columns)
    if (!second.find(column.name)) missing.push_back(column.name);
  for (const auto& column : second.columns)
    if (!first.find(column.name)) extra.push_back(column.name);
  if (!missing.empty() || !extra.empty()) {
    std::string message = std::string(second_name);
    if (!missing.empty()) message += " lacks " + names_text(missing);
    if (!extra.empty())
      message += std::string(missing.empty() ? " has" : ", and has") + " " + names_text(extra) + ", which " +
                 std::string(first_name) + " lacks";
    return fail(Error{Code::kInvalidPipeline, std::move(message), span, {}}.with_note(
        "the tables need the same columns, in any order"));
  }
  Schema out;
  for (const auto& [name, type] : first.columns) {
    const Type& other = second.columns[*second.find(name)].type;
    const auto common = common_supertype(type, other);
    if (!common || (common->is(Kind::kAny) && !type.is(Kind::kAny) && !other.is(Kind::kAny)))
      return fail(Code::kInvalidPipeline,
                  "column `" + name + "` is `" + type.to_text() + "` in " + std::string(first_name) + " and `" +
                      other.to_text() + "` in " + std::string(second_name),
                  span);
    out.columns.push_back({name, *common});
  }
  return out;
}

ArgSpec arg(std::string name, ArgKind kind, bool required, std::string doc, std::vector<std::string> aliases) {
  ArgSpec out;
  out.name = std::move(name);
  out.kind = kind;
  out.required = required;
  out.doc = std::move(doc);
  out.aliases = std::move(aliases);
  return out;
}

Component table_component(std::string name, std::vector<ArgSpec> args, std::string doc, std::string example,
                          BuildTable build, std::vector<std::string> aliases) {
  Component out;
  out.name = std::move(name);
  out.aliases = std::move(aliases);
  out.args = std::move(args);
  out.doc = std::move(doc);
  out.example = std::move(example);
  out.build = build;
  return out;
}

ArgSpec table_arg() { return arg("table", ArgKind::kTable, true, "the table to work on"); }

void add_table_components(Components& out) {
  add_row_tables(out);
  add_group_tables(out);
  add_join_tables(out);
  add_key_tables(out);
  add_order_tables(out);
  add_stream_tables(out);
  add_loop_tables(out);
  add_literal_tables(out);
}

}  // namespace thalweg::lang
