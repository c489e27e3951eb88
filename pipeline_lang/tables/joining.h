// pipeline_lang/tables/joining.h
//
// What joins share, in time or not: the sides, their keys, the names over joined rows, the columns they emit.
//
// A joined row is [columns of left | columns of right | left key | right key | …]. Columns that only the condition
// needs stand behind a side's own.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline_lang/tables/lowering.h"

namespace thalweg::lang {

struct JoinSides {
  Table left, right;
  std::vector<JoinPair> pairs;
  plan::Columns left_on, right_on;                  // after place_conditions
  std::size_t left_columns = 0, right_columns = 0;  // own columns of each, before those of the conditions
};

// Arguments `left` and `right`.
[[nodiscard]] std::optional<JoinSides> join_sides(const Lowering& lower);
// One side alone: `left.c` or bare.
[[nodiscard]] NameScope side_scope(const Lowering& lower, const JoinSides& sides, bool left, Scope* at);
[[nodiscard]] std::vector<std::string> side_qualifiers(const JoinSides& sides, bool left);
// Argument `on` into sides.pairs. False after an error.
[[nodiscard]] bool take_conditions(const Lowering& lower, JoinSides& sides);
// Puts the expressions of the pairs into columns of the sides, and fills left_on, right_on, left_columns,
// right_columns.
void place_conditions(const Lowering& lower, JoinSides& sides);
// Argument `id`; nothing after an error.
[[nodiscard]] std::optional<plan::JoinKey> join_key(const Lowering& lower, const JoinSides& sides,
                                                    std::string_view how);

// Names over joined rows. Requires: place_conditions was called.
class JoinedNames {
 public:
  // A padded side has Nones where it has no row.
  JoinedNames(const Lowering& lower, const JoinSides& sides, bool left_padded, bool right_padded);
  // A further bare name, unless a column has it: `side`, `t` of an asof join.
  void bind(std::string name, plan::ExprPtr expr);
  // Another type for own column `column` of a side: one with a default is never None.
  void set_type(bool left, std::uint32_t column, Type type);
  // Another expression for `left.id` or `right.id`.
  void set_key(bool left, plan::ExprPtr key) { (left ? left_ : right_).key = std::move(key); }
  // Rows for which `condition` does not hold are gone.
  void narrow(const plan::Expr& condition);
  [[nodiscard]] NameScope scope(Scope* at) const;
  // The columns of the result as argument `select` lists them; without it all of both, a key of one shared name once.
  [[nodiscard]] std::optional<std::vector<NamedExpr>> selection(std::string_view argument) const;

 private:
  void bind_shared(const std::string& name, bool left_padded, bool right_padded);
  [[nodiscard]] bool all(SourceSpan at, std::vector<NamedExpr>& out) const;

  const Lowering& lower_;
  const JoinSides& sides_;
  NameScope::Side left_, right_;
  std::vector<NameScope::Name> shared_;
  std::vector<NameScope::Name> further_;
};

// Which columns of a joined row of `width` columns the expressions use, and the expressions over those alone.
class Emission {
 public:
  Emission(std::size_t width, const std::vector<plan::ExprPtr>& exprs);
  [[nodiscard]] plan::Columns columns() const;
  [[nodiscard]] plan::ExprPtr remapped(const plan::ExprPtr& expr) const;
  [[nodiscard]] Schema schema(const std::vector<Type>& types) const;

 private:
  std::vector<std::uint32_t> map_;
  plan::Columns emit_;
};

// Types of a joined row: columns of both, then the keys.
[[nodiscard]] std::vector<Type> joined_types(const JoinSides& sides, bool left_padded, bool right_padded);

}  // namespace thalweg::lang
