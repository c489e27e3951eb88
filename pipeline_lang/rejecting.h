// pipeline_lang/rejecting.h
//
// `dead_letter: NAME` of a source or an output: what it does not take is a table, which is `$NAME` in the file, too.
#pragma once

#include <string_view>

#include "pipeline_lang/evaluate.h"

namespace thalweg::lang {

// The definition of the top level that makes the table of this name; null: none does.
[[nodiscard]] Definition* find_rejecting(Scope* scope, std::string_view name);
// Columns of such a table.
[[nodiscard]] Schema rejected_records_schema();

}  // namespace thalweg::lang
