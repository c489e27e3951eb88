// pipeline_lang/expr_bridge.h
//
// From places in the tree to the inputs of the expression checker.
#pragma once

#include <optional>

#include "pipeline_lang/builder.h"
#include "pipeline_lang/expr_check.h"

namespace thalweg::lang {

// What stands in an expression position. YAML numbers, bools and nulls and lone `$names` are literals; a YAML list of
// scalars is the list of their expressions. Nothing after an error.
[[nodiscard]] std::optional<ExprInput> expr_input(Builder& builder, Located where);

// `$name` inside expressions, as seen from `scope`. What is wrong already is a function without one behind it.
[[nodiscard]] VariableLookup variables_of(Builder& builder, Scope* scope);
// `$orders` for the table that this name defines, under whatever further names it is used; empty if it has none.
[[nodiscard]] std::string table_qualifier(const Table& table);

// NameScope::of_table with the variables of `scope` and, where `operand` is a plain reference, `$name.` as a qualifier.
[[nodiscard]] NameScope scope_of(Builder& builder, const Table& table, Scope* scope, Located operand = {});

}  // namespace thalweg::lang
