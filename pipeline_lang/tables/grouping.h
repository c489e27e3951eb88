// pipeline_lang/tables/grouping.h
//
// Groups from the arguments of a tag: for `!groupby`, `!reduce` and `!windowby`.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "pipeline_lang/tables/lowering.h"

namespace thalweg::lang {

// `instance:` as a grouping column; nothing where it is absent and after an error.
[[nodiscard]] std::optional<GroupColumn> instance_column(const Lowering& lower, const Table& table);

// The expressions of argument `name` (a mapping, a list, `!reducers.X {…}` in either), appended to `out`: over the row
// after the grouping. A name that is there already with the same expression is not repeated. False after an error.
[[nodiscard]] bool take_reductions(const Lowering& lower, std::string_view name, Reduction& reduction,
                                   std::vector<NamedExpr>& out);

// Project(pre) → GroupBy → Filter(having) → Project(result). `group` holds what the reduction does not say
// (key_is_column).
[[nodiscard]] Table add_grouping(const Lowering& lower, const Table& input, const Reduction& reduction,
                                 plan::GroupBy group, const std::vector<NamedExpr>& result,
                                 const plan::ExprPtr& having = nullptr);

}  // namespace thalweg::lang
