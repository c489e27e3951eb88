#include "engine/plan/rewrite/conditions.h"

#include <algorithm>
#include <string_view>

namespace thalweg::plan {

namespace {

bool is_silent_call(std::string_view name) {
  constexpr std::string_view kNames[] = {"eq", "ne", "lt", "le", "gt", "ge", "is_none", "is_not_none", "not"};
  return std::ranges::find(kNames, name) != std::end(kNames);
}

void split(const ExprPtr& condition, std::vector<ExprPtr>& parts) {
  if (condition->kind != ExprKind::kAnd) {
    parts.push_back(condition);
    return;
  }
  for (const ExprPtr& arg : condition->args) split(arg, parts);
}

}  // namespace

bool is_silent(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kColumn:
    case ExprKind::kKey:
    case ExprKind::kLiteral: return true;
    case ExprKind::kCall:
      if (!is_silent_call(expr.function)) return false;
      break;
    case ExprKind::kAnd:
    case ExprKind::kOr:
    case ExprKind::kIf:
    case ExprKind::kCoalesce:
    case ExprKind::kRequire:
    case ExprKind::kFillError: break;
  }
  return std::ranges::all_of(expr.args, [](const ExprPtr& arg) { return is_silent(*arg); });
}

std::vector<ExprPtr> conjuncts(const ExprPtr& condition) {
  std::vector<ExprPtr> parts;
  split(condition, parts);
  return parts;
}

ExprPtr moved(const ExprPtr& expr, const std::vector<std::uint32_t>& place) {
  std::vector<bool> used(place.size(), false);
  bool key = false;
  collect_columns(*expr, used, key);
  if (key) return nullptr;
  bool any = false;
  for (std::size_t c = 0; c < place.size(); ++c) {
    if (used[c] && place[c] == kNowhere) return nullptr;
    any |= used[c];
  }
  return any ? remap_columns(expr, place) : nullptr;
}

std::vector<std::uint32_t> places_before(const Project& project) {
  std::vector<std::uint32_t> place;
  for (const ExprPtr& expr : project.exprs) place.push_back(expr->kind == ExprKind::kColumn ? expr->column : kNowhere);
  return place;
}

std::vector<std::uint32_t> places_in_side(const Columns& emit, std::size_t side, std::size_t split, std::size_t end) {
  std::vector<std::uint32_t> place;
  for (std::uint32_t index : emit) {
    bool mine = side == 0 ? index < split : index >= split && index < end;
    place.push_back(mine ? index - static_cast<std::uint32_t>(side == 0 ? 0 : split) : kNowhere);
  }
  return place;
}

}  // namespace thalweg::plan
