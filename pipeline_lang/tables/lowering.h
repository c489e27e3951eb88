// pipeline_lang/tables/lowering.h
//
// What the table operators share: reading expressions of their arguments, projections, and messages.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline_lang/builder.h"
#include "pipeline_lang/expr_bridge.h"
#include "pipeline_lang/expr_check.h"

namespace thalweg::lang {

struct NamedExpr {
  std::string name;
  SourceSpan span;
  plan::ExprPtr expr;
};

// One operator being lowered.
class Lowering {
 public:
  Lowering(Builder& builder, const Call& call) : builder_(builder), call_(call) {}

  [[nodiscard]] Builder& builder() const { return builder_; }
  [[nodiscard]] const Call& call() const { return call_; }
  // Names of a table's columns and key, with `$name.` where the table has one and the variables seen from `scope`.
  [[nodiscard]] NameScope scope(const Table& table, Scope* at) const;

  // Null after an error, which is reported.
  [[nodiscard]] plan::ExprPtr expression(Located where, const NameScope& names) const;
  [[nodiscard]] plan::ExprPtr condition(Located where, const NameScope& names, std::string_view what) const;
  // The expression of argument `name` over `table`; null where it is absent, too.
  [[nodiscard]] plan::ExprPtr argument(std::string_view name, const Table& table) const;
  // A mapping, or a list of names and mappings; `names` for the items of each is made by `scope_of`. Stars are handed
  // to `star`, which appends what they stand for.
  using StarExpander = std::function<void(const std::string& qualifier, SourceSpan, std::vector<NamedExpr>&)>;
  [[nodiscard]] std::optional<std::vector<NamedExpr>> expressions(std::string_view name,
                                                                  const std::function<NameScope(Scope*)>& names,
                                                                  const StarExpander& star) const;
  [[nodiscard]] std::optional<std::vector<NamedExpr>> expressions(std::string_view name, const Table& table) const;
  // Column indices of a list of names.
  [[nodiscard]] std::optional<plan::Columns> columns(std::string_view name, const Table& table) const;
  [[nodiscard]] std::optional<std::uint32_t> column(const Named& name, const Table& table) const;

  // Reports; for `return lower.wrong(…)`.
  ObjectPtr wrong(SourceSpan span, std::string message, std::string note = {}) const;
  void report(Error error) const;

  [[nodiscard]] NodeOptions options(bool append_only, std::optional<UniverseId> universe = {}) const;
  [[nodiscard]] Table project(const Table& table, const std::vector<NamedExpr>& exprs) const;
  // `table` with further columns behind its own: their indices are table.schema.size()….
  [[nodiscard]] Table extended(const Table& table, const std::vector<plan::ExprPtr>& exprs) const;
  // The first `count` columns of `table`, with the names and facts of `like`.
  [[nodiscard]] Table shortened(const Table& table, std::size_t count) const;
  // `table` with the columns of `schema`, in its order, cast where the language does so by itself.
  [[nodiscard]] Table arranged(const Table& table, const Schema& schema) const;
  // Whether the operator may stand in a loop; reports if not.
  [[nodiscard]] bool outside_loop() const;

  // The table itself, with the place and name of this tag.
  [[nodiscard]] ObjectPtr result(Table table) const { return table_object(std::move(table)); }

 private:
  Builder& builder_;
  const Call& call_;
};

// All columns of a table as expressions.
[[nodiscard]] std::vector<NamedExpr> all_columns(const Schema& schema);
[[nodiscard]] Schema schema_of(const std::vector<NamedExpr>& exprs);
// `expr` cast to `type` as `cast(type, expr)` does.
[[nodiscard]] Result<plan::ExprPtr> cast_to(plan::ExprPtr expr, const Type& type, SourceSpan span);
// Columns of both, in the order of the first, with the least types both fit; an error names what is missing or extra.
[[nodiscard]] Result<Schema> common_schema(const Schema& first, const Schema& second, std::string_view first_name,
                                           std::string_view second_name, SourceSpan span);
[[nodiscard]] std::string names_text(const std::vector<std::string>& names);

// The rows of each family of operators.
void add_row_tables(Components& out);
void add_group_tables(Components& out);
void add_join_tables(Components& out);
void add_key_tables(Components& out);
void add_order_tables(Components& out);
void add_stream_tables(Components& out);
void add_loop_tables(Components& out);
void add_literal_tables(Components& out);

using BuildTable = ObjectPtr (*)(Builder& builder, const Call& call);
[[nodiscard]] Component table_component(std::string name, std::vector<ArgSpec> args, std::string doc,
                                        std::string example, BuildTable build, std::vector<std::string> aliases = {});
// Short forms for the tables of arguments.
[[nodiscard]] ArgSpec table_arg();
[[nodiscard]] ArgSpec arg(std::string name, ArgKind kind, bool required, std::string doc,
                          std::vector<std::string> aliases = {});

}  // namespace thalweg::lang
