// pipeline_lang/expr_check.h
//
// From the text of an expression (language.md 3) to a typed plan::Expr: names resolved, implicit casts written out,
// columns narrowed where None was ruled out. Expressions over reducers are split into what is computed before the
// grouping, the reducers, and what is computed after it.
//
// X1  No input crashes or recurses without bound: 200 levels, 1 MiB of text.
// X2  Every error has a span; inside the scalar if the file's text is at hand, else the whole scalar.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/file_table.h"
#include "engine/base/result.h"
#include "engine/plan/expr.h"
#include "engine/plan/node.h"
#include "engine/types/schema.h"

namespace thalweg::lang {

// What stands in an expression position.
struct ExprInput {
  std::string text;                  // decoded scalar
  SourceSpan span;                   // of the scalar in its file, quotes included
  std::optional<Value> literal;      // a YAML number, bool or null, or the value of a lone `$name`: never parsed
  const FileTable* files = nullptr;  // to point into the scalar
  bool secret = false;               // `literal` is one
};

// The type a literal has by itself: `int`, `str`, `tuple[int, str]`, None.
[[nodiscard]] Type type_of_literal(const Value& value);

struct FunctionObject;  // object.h

// What `$name` inside an expression is.
struct ExprVariable {
  enum class Kind : std::uint8_t { kUnknown, kLiteral, kFunction, kOther } kind = Kind::kUnknown;
  Value value;                                     // kLiteral
  std::shared_ptr<const FunctionObject> function;  // kFunction
  std::string what;                                // kOther: `a table`, `a schema`; for the message
  std::string qualifier;                           // kOther: a table, by the name it was defined under: `$orders`
  std::vector<std::string> names;                  // kUnknown: the names there are, for suggestions
  bool secret = false;                             // kLiteral: it is one
};
using VariableLookup = std::function<ExprVariable(std::string_view name)>;

// The names an expression may use, and what they mean for its row.
class NameScope {
 public:
  struct Name {
    std::string name;
    plan::ExprPtr expr;
    std::optional<Type> present;  // the type where the side's row is known to exist (outer joins); default: expr's
  };
  // One table or role. `left.c`, `this.c`, `$orders.c` reach it by a qualifier, bare names if `bare`.
  struct Side {
    std::vector<std::string> qualifiers;  // `left`; `$orders` for the variable of the operand
    std::vector<Name> names;
    plan::ExprPtr key;  // `id` of this side; null: it has none
    bool bare = true;
  };

  // Columns 0… of `schema` and the row's key, as `this.` (and `$name.` for each of `qualifiers`).
  [[nodiscard]] static NameScope of_table(const Schema& schema, std::vector<std::string> qualifiers = {});

  void add_side(Side side) { sides_.push_back(std::move(side)); }
  // A bare (or dotted: `window.start`) name that wins over the sides.
  void bind(std::string name, plan::ExprPtr expr) { bound_.push_back({std::move(name), std::move(expr), {}}); }
  // The bare `id` and `_id`; without it they are the key of the only side that has one.
  void set_key(plan::ExprPtr key) { key_ = std::move(key); }
  void set_variables(VariableLookup lookup) { variables_ = std::move(lookup); }

  [[nodiscard]] const std::vector<Side>& sides() const { return sides_; }
  [[nodiscard]] const std::vector<Name>& bound() const { return bound_; }
  [[nodiscard]] const plan::ExprPtr& key() const { return key_; }
  [[nodiscard]] const VariableLookup& variables() const { return variables_; }

 private:
  std::vector<Side> sides_;
  std::vector<Name> bound_;
  plan::ExprPtr key_;
  VariableLookup variables_;
};

[[nodiscard]] Result<plan::ExprPtr> check_expression(const ExprInput& input, const NameScope& scope);
// A plain bool; `what` names the argument (`where`) in the error.
[[nodiscard]] Result<plan::ExprPtr> check_condition(const ExprInput& input, const NameScope& scope,
                                                    std::string_view what);
// As `type`, cast where the language does so by itself, else an error that prints both types.
[[nodiscard]] Result<plan::ExprPtr> check_as(const ExprInput& input, const NameScope& scope, const Type& type,
                                             std::string_view what);

// The column's name if the text is nothing but a column: `c`, `this.c`, `` `odd name` ``.
struct ColumnName {
  std::string qualifier;  // `left`, `this`, `$orders`, or empty
  std::string name;
};
[[nodiscard]] std::optional<ColumnName> as_column_name(const ExprInput& input);
// `*`, `this.*`, `left.*`, `left_table.star`: the qualifier (empty for a bare star).
[[nodiscard]] std::optional<std::string> as_star(std::string_view text);

// An unknown name with the nearest ones: ``unknown column `wrod`; did you mean `word`?``
[[nodiscard]] Error unknown_column(std::string_view name, const std::vector<std::string>& known, SourceSpan span);

// Columns of a row that are not None where `condition` is true.
[[nodiscard]] std::set<std::uint32_t> not_none_where(const plan::Expr& condition);

// `left.a == right.b` as two expressions, each over its own side; or one name that both have.
struct JoinPair {
  plan::ExprPtr left, right;  // each over the columns of its own table; of one type
  std::string shared;         // the name, if both are a plain column of this name
};
[[nodiscard]] Result<JoinPair> check_join_condition(const ExprInput& input, const NameScope& left,
                                                    const NameScope& right);

// ---------------------------------------------------------------- reductions

// One grouping column.
struct GroupColumn {
  std::vector<std::string> names;  // how expressions call it: `pet`; `_pw_window_start`, `window.start`
  plan::ExprPtr expr;              // over the input row
};

struct ReductionOptions {
  bool append_only = false;  // the input only grows: fold, earliest, latest are allowed
  bool in_iterate = false;   // earliest, latest, fold are refused
  plan::ExprPtr id;          // what `id` means under reducers; default: the row's key
};

// Collects the expressions of one `reduce:`. The plan is: Project(pre()) → GroupBy{by = the first columns, instance,
// reducers()} → Project(the expressions that add() returned, over post()).
class Reduction {
 public:
  // `by` come first in pre() and in the row after the grouping; then `instance`; then `sort_by` in pre() only.
  Reduction(NameScope rows, std::vector<GroupColumn> by, std::optional<GroupColumn> instance,
            std::vector<plan::ExprPtr> sort_by, ReductionOptions options = {});

  // A further name of the row after the grouping, over its columns: `_pw_window`.
  void bind(std::string name, plan::ExprPtr after) { bound_.push_back({std::move(name), std::move(after), {}}); }

  // An expression over reducers and grouping columns; the result is over the row after the grouping.
  // `more` are further names, over the same row: the columns of the result, in `having:`.
  [[nodiscard]] Result<plan::ExprPtr> add(const ExprInput& input, const std::vector<NameScope::Name>& more = {});
  // `!reducers.sum {column: amount}`: the reducer by name over one expression (none for count).
  [[nodiscard]] Result<plan::ExprPtr> add_reducer(std::string_view reducer, const std::optional<ExprInput>& argument,
                                                  SourceSpan span);

  [[nodiscard]] const std::vector<plan::ExprPtr>& pre() const { return pre_; }
  [[nodiscard]] const std::vector<plan::Reducer>& reducers() const { return reducers_; }
  [[nodiscard]] plan::Columns by() const;
  [[nodiscard]] std::optional<std::uint32_t> instance() const;
  [[nodiscard]] plan::Columns sort_by() const;
  // Grouping columns, the instance, one per reducer; names are made up for the reducers.
  [[nodiscard]] Schema post() const;

 private:
  friend class ReductionChecker;
  std::uint32_t pre_column(plan::ExprPtr expr);

  NameScope rows_;
  std::vector<GroupColumn> by_;
  std::optional<GroupColumn> instance_;
  std::size_t num_sort_by_ = 0;
  ReductionOptions options_;
  std::vector<plan::ExprPtr> pre_;
  std::vector<plan::Reducer> reducers_;
  std::vector<NameScope::Name> bound_;
};

[[nodiscard]] bool is_reducer_name(std::string_view name);  // aliases too
[[nodiscard]] std::vector<std::string> reducer_names();

}  // namespace thalweg::lang
