// join: keys, padding, what bare names mean, and which columns are kept.
#include <algorithm>

#include "pipeline_lang/tables/joining.h"

namespace thalweg::lang {
namespace {

constexpr std::string_view kHow[] = {"inner", "left", "right", "outer", "cross"};

}  // namespace

std::optional<JoinSides> join_sides(const Lowering& lower) {
  const auto left = lower.call().table("left");
  const auto right = lower.call().table("right");
  if (!left || !right) return std::nullopt;
  return JoinSides{*left, *right, {}, {}, {}};
}

NameScope side_scope(const Lowering& lower, const JoinSides& sides, bool left, Scope* at) {
  const Table& table = left ? sides.left : sides.right;
  NameScope::Side side;
  side.qualifiers = side_qualifiers(sides, left);
  for (std::uint32_t i = 0; i < table.schema.size(); ++i)
    side.names.push_back({table.schema.columns[i].name, plan::column(i, table.schema.columns[i].type), {}});
  side.key = plan::key();
  NameScope out;
  out.add_side(std::move(side));
  out.set_variables(variables_of(lower.builder(), at));
  return out;
}

std::vector<std::string> side_qualifiers(const JoinSides& sides, bool left) {
  std::vector<std::string> out =
      left ? std::vector<std::string>{"left", "left_table"} : std::vector<std::string>{"right", "right_table"};
  const std::string name = table_qualifier(left ? sides.left : sides.right);
  if (!name.empty() && table_qualifier(sides.left) != table_qualifier(sides.right)) out.push_back(name);
  return out;
}

namespace {

// `left_instance` and `right_instance` are one more equality, the last.
bool take_instances(const Lowering& lower, JoinSides& sides) {
  const Call& call = lower.call();
  const bool has_left = call.has("left_instance"), has_right = call.has("right_instance");
  if (!has_left && !has_right) return true;
  if (!has_left || !has_right) {
    lower.wrong(call.span_of(has_left ? "left_instance" : "right_instance"),
                "`left_instance` and `right_instance` are given together");
    return false;
  }
  const Located where = call.at("left_instance");
  const auto left = expr_input(lower.builder(), where);
  const auto right = expr_input(lower.builder(), call.at("right_instance"));
  if (!left || !right) return false;
  ExprInput input;
  input.text = "(" + left->text + ") == (" + right->text + ")";
  input.span = call.span_of("left_instance");
  auto pair = check_join_condition(input, side_scope(lower, sides, true, where.scope),
                                   side_scope(lower, sides, false, where.scope));
  if (!pair) {
    lower.report(std::move(pair).error());
    return false;
  }
  sides.pairs.push_back(std::move(*pair));
  return true;
}

}  // namespace

bool take_conditions(const Lowering& lower, JoinSides& sides) {
  if (!lower.call().has("on")) return take_instances(lower, sides);
  const auto nodes = lower.call().expressions("on");
  if (!nodes) return false;
  bool fine = true;
  for (const NamedNode& node : *nodes) {
    if (!node.name.empty()) {
      lower.builder().error(node.name_span,
                            "`on` takes a list of comparisons: `left.a == right.b`, or names that both sides have");
      fine = false;
      continue;
    }
    auto input = expr_input(lower.builder(), node.value);
    if (!input) {
      fine = false;
      continue;
    }
    if (input->literal && !input->secret &&
        input->literal->tag() == Value::Tag::kStr) {  // a variable that holds a name
      input->text = input->literal->as_text();
      input->literal.reset();
      input->files = nullptr;
    }
    auto pair = check_join_condition(*input, side_scope(lower, sides, true, node.value.scope),
                                     side_scope(lower, sides, false, node.value.scope));
    if (!pair) {
      lower.report(std::move(pair).error());
      fine = false;
      continue;
    }
    sides.pairs.push_back(std::move(*pair));
  }
  return take_instances(lower, sides) && fine;
}

void place_conditions(const Lowering& lower, JoinSides& sides) {
  const auto place = [&](bool left) {
    Table& table = left ? sides.left : sides.right;
    plan::Columns& on = left ? sides.left_on : sides.right_on;
    std::vector<plan::ExprPtr> more;
    for (const auto& pair : sides.pairs) {
      const plan::ExprPtr& expr = left ? pair.left : pair.right;
      if (expr->kind == plan::ExprKind::kColumn) {
        on.push_back(expr->column);
      } else {
        on.push_back(static_cast<std::uint32_t>(table.schema.size() + more.size()));
        more.push_back(expr);
      }
    }
    if (more.empty()) return;
    const std::string name = table.name;
    table = lower.extended(table, more);
    table.name = name;
  };
  sides.left_columns = sides.left.schema.size();
  sides.right_columns = sides.right.schema.size();
  place(true);
  place(false);
}

JoinedNames::JoinedNames(const Lowering& lower, const JoinSides& sides, bool left_padded, bool right_padded)
    : lower_(lower), sides_(sides) {
  const auto add = [&](bool left) {
    const Schema& schema = (left ? sides.left : sides.right).schema;
    const std::size_t own = left ? sides.left_columns : sides.right_columns;
    const bool padded = left ? left_padded : right_padded;
    const auto first = static_cast<std::uint32_t>(left ? 0 : sides.left.schema.size());
    NameScope::Side side;
    side.qualifiers = side_qualifiers(sides, left);
    for (std::uint32_t i = 0; i < own; ++i) {
      const Type& type = schema.columns[i].type;
      NameScope::Name name{schema.columns[i].name, plan::column(first + i, padded ? type.as_optional() : type), {}};
      if (padded) name.present = type;
      side.names.push_back(std::move(name));
    }
    const auto key = static_cast<std::uint32_t>(sides.left.schema.size() + sides.right.schema.size() + (left ? 0 : 1));
    side.key = plan::column(key, Type(Kind::kPointer, padded));
    (left ? left_ : right_) = std::move(side);
  };
  add(true);
  add(false);
  for (const auto& pair : sides.pairs) {
    if (pair.shared.empty()) continue;
    bind_shared(pair.shared, left_padded, right_padded);
  }
}

// The left value of a key, else the right one.
void JoinedNames::bind_shared(const std::string& name, bool left_padded, bool right_padded) {
  const auto find = [&](const NameScope::Side& side) {
    return std::find_if(side.names.begin(), side.names.end(), [&](const auto& known) { return known.name == name; });
  };
  const auto left = find(left_), right = find(right_);
  if (left == left_.names.end() || right == right_.names.end()) return;
  for (const auto& known : shared_)
    if (known.name == name) return;
  plan::ExprPtr expr = left->expr;
  if (left_padded) {
    const Type left_type = left->present.value_or(left->expr->type),
               right_type = right->present.value_or(right->expr->type);
    Type type = common_supertype(left_type, right_type).value_or(Type(Kind::kAny));
    // A row has the left side's key or the right one's: None only if that may be None.
    const bool optional = right_type.admits_none() || (right_padded && left_type.admits_none());
    type = optional ? type.as_optional() : type.without_optional();
    expr = plan::special(plan::ExprKind::kCoalesce,
                         {plan::coerce(left->expr, type.as_optional()), plan::coerce(right->expr, type.as_optional())},
                         type);
  }
  shared_.push_back({name, std::move(expr), {}});
}

void JoinedNames::bind(std::string name, plan::ExprPtr expr) {
  further_.push_back({std::move(name), std::move(expr), {}});
}

void JoinedNames::set_type(bool left, std::uint32_t column, Type type) {
  auto& name = (left ? left_ : right_).names[column];
  name.expr = plan::column(name.expr->column, std::move(type));
  name.present.reset();
}

void JoinedNames::narrow(const plan::Expr& condition) {
  const auto present = not_none_where(condition);
  for (NameScope::Side* side : {&left_, &right_}) {
    const bool exists = side->key->kind == plan::ExprKind::kColumn && present.contains(side->key->column);
    for (auto& name : side->names) {
      Type type = name.expr->type;
      if (exists && name.present) type = *name.present;
      if (present.contains(name.expr->column)) type = type.without_optional();
      if (exists || present.contains(name.expr->column)) name.expr = plan::column(name.expr->column, type);
    }
    if (exists) side->key = plan::column(side->key->column, Kind::kPointer);
  }
}

NameScope JoinedNames::scope(Scope* at) const {
  NameScope out;
  for (const auto& name : shared_) out.bind(name.name, name.expr);
  // A name that both sides have says nothing by itself, so the further meaning may have it.
  const auto known = [&](const std::string& name) {
    int sides = 0;
    for (const NameScope::Side* side : {&left_, &right_})
      for (const auto& column : side->names) sides += column.name == name ? 1 : 0;
    const bool key =
        std::any_of(shared_.begin(), shared_.end(), [&](const auto& shared) { return shared.name == name; });
    return sides == 1 || key;
  };
  for (const auto& name : further_)
    if (!known(name.name)) out.bind(name.name, name.expr);
  out.add_side(left_);
  out.add_side(right_);
  out.set_key(plan::key());
  out.set_variables(variables_of(lower_.builder(), at));
  return out;
}

// All columns of both, a shared key once.
bool JoinedNames::all(SourceSpan at, std::vector<NamedExpr>& out) const {
  bool fine = true;
  const auto shared = [&](const std::string& name) -> const NameScope::Name* {
    for (const auto& known : shared_)
      if (known.name == name) return &known;
    return nullptr;
  };
  for (const auto& name : left_.names) {
    const auto* key = shared(name.name);
    out.push_back({name.name, at, key != nullptr ? key->expr : name.expr});
  }
  for (const auto& name : right_.names) {
    if (shared(name.name) != nullptr) continue;
    const bool clash =
        std::any_of(left_.names.begin(), left_.names.end(), [&](const auto& other) { return other.name == name.name; });
    if (clash) {
      lower_.builder()
          .error(at, "column `" + name.name + "` is in both tables")
          .note("say which with `select:`, for example `{" + name.name + "_right: right." + name.name + "}`");
      fine = false;
      continue;
    }
    out.push_back({name.name, at, name.expr});
  }
  return fine;
}

std::optional<std::vector<NamedExpr>> JoinedNames::selection(std::string_view argument) const {
  const Call& call = lower_.call();
  std::vector<NamedExpr> out;
  if (!call.has(argument)) {
    if (!all(call.span(), out)) return std::nullopt;
    return out;
  }
  bool fine = true;
  auto exprs = lower_.expressions(
      argument, [&](Scope* at) { return scope(at); },
      [&](const std::string& qualifier, SourceSpan span, std::vector<NamedExpr>& into) {
        if (qualifier.empty() || qualifier == "this") {
          fine = all(span, into) && fine;
          return;
        }
        for (const NameScope::Side* side : {&left_, &right_}) {
          if (std::find(side->qualifiers.begin(), side->qualifiers.end(), qualifier) == side->qualifiers.end())
            continue;
          for (const auto& name : side->names) {
            const bool key =
                std::any_of(shared_.begin(), shared_.end(), [&](const auto& known) { return known.name == name.name; });
            const auto given =
                std::find_if(into.begin(), into.end(), [&](const auto& other) { return other.name == name.name; });
            if (key && given != into.end()) continue;  // a key of one shared name once
            into.push_back({name.name, span, name.expr});
          }
          return;
        }
        lower_.builder()
            .error(span, "there is no `" + qualifier + "` here")
            .note("`left.*` and `right.*` are all columns of a side");
        fine = false;
      });
  if (!exprs || !fine) return std::nullopt;
  return exprs;
}

// ---------------------------------------------------------------- emitting only what is used

plan::Columns Emission::columns() const { return emit_; }

Emission::Emission(std::size_t width, const std::vector<plan::ExprPtr>& exprs) : map_(width, 0) {
  std::vector<bool> used(width, false);
  bool uses_key = false;
  for (const auto& expr : exprs)
    if (expr) plan::collect_columns(*expr, used, uses_key);
  for (std::size_t i = 0; i < width; ++i) {
    if (!used[i]) continue;
    map_[i] = static_cast<std::uint32_t>(emit_.size());
    emit_.push_back(static_cast<std::uint32_t>(i));
  }
}

plan::ExprPtr Emission::remapped(const plan::ExprPtr& expr) const { return plan::remap_columns(expr, map_); }

Schema Emission::schema(const std::vector<Type>& types) const {
  Schema out;
  for (const std::uint32_t column : emit_) out.columns.push_back({"_" + std::to_string(column), types[column]});
  return out;
}

std::vector<Type> joined_types(const JoinSides& sides, bool left_padded, bool right_padded) {
  std::vector<Type> out;
  for (const auto& column : sides.left.schema.columns)
    out.push_back(left_padded ? column.type.as_optional() : column.type);
  for (const auto& column : sides.right.schema.columns)
    out.push_back(right_padded ? column.type.as_optional() : column.type);
  out.emplace_back(Kind::kPointer, left_padded);
  out.emplace_back(Kind::kPointer, right_padded);
  return out;
}

// ---------------------------------------------------------------- id:

std::optional<plan::JoinKey> join_key(const Lowering& lower, const JoinSides& sides, std::string_view how) {
  const Call& call = lower.call();
  if (!call.has("id")) return plan::JoinKey::kPair;
  const SourceSpan at = call.span_of("id");
  const auto input = expr_input(lower.builder(), call.at("id"));
  if (!input) return std::nullopt;
  const auto column = as_column_name(*input);
  const auto is = [&](bool left) {
    const auto names = side_qualifiers(sides, left);
    return column && (column->name == "id" || column->name == "_id") &&
           std::find(names.begin(), names.end(), column->qualifier) != names.end();
  };
  if (!is(true) && !is(false)) {
    lower.wrong(at, "`id` of a join is `left.id` or `right.id`", "for another key use `!with_id` after the join");
    return std::nullopt;
  }
  const bool left = is(true);
  const bool allowed = how == "inner" || how == "cross" || how == (left ? "left" : "right");
  if (!allowed) {
    lower.wrong(at,
                std::string("`id: ") + (left ? "left.id" : "right.id") + "` does not go with `how: " +
                    std::string(how) + "`: a row may have no " + (left ? "left" : "right") + " side",
                left ? "it goes with inner, left and cross" : "it goes with inner, right and cross");
    return std::nullopt;
  }
  return left ? plan::JoinKey::kLeft : plan::JoinKey::kRight;
}

namespace {

// ---------------------------------------------------------------- the operator

ObjectPtr build_join(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  auto sides = join_sides(lower);
  const auto given = call.choice("how");
  if (!sides || (call.has("how") && !given)) return error_object();
  const std::string how = given.value_or("inner");
  bool fine = take_conditions(lower, *sides);
  if (how == "cross" && !sides->pairs.empty()) {
    lower.wrong(call.span_of("on"), "`how: cross` joins every row with every row; `on` does not go with it",
                "leave out `how`, or `on`");
    fine = false;
  }
  const auto key = join_key(lower, *sides, how);
  if (!fine) return error_object();
  const bool left_padded = how == "right" || how == "outer", right_padded = how == "left" || how == "outer";
  const UniverseId left_universe = sides->left.universe, right_universe = sides->right.universe;
  place_conditions(lower, *sides);
  JoinedNames names(lower, *sides, left_padded, right_padded);

  plan::ExprPtr where;
  if (call.has("where")) {
    const Located at = call.at("where");
    where = lower.condition(at, names.scope(at.scope), "where");
    if (where) names.narrow(*where);
  }
  const auto selection = names.selection("select");
  if (!selection || !key || (call.has("where") && !where)) return error_object();

  std::vector<plan::ExprPtr> exprs = {where};
  for (const auto& item : *selection) exprs.push_back(item.expr);
  const std::vector<Type> types = joined_types(*sides, left_padded, right_padded);
  const Emission emission(types.size(), exprs);
  plan::Join join;
  join.how = how == "left"    ? plan::JoinHow::kLeft
             : how == "right" ? plan::JoinHow::kRight
             : how == "outer" ? plan::JoinHow::kOuter
                              : plan::JoinHow::kInner;
  join.left_on = sides->left_on;
  join.right_on = sides->right_on;
  join.key = *key;
  join.emit = emission.columns();
  const bool inner = !left_padded && !right_padded;
  const bool append_only = inner && sides->left.append_only && sides->right.append_only;
  std::optional<UniverseId> universe;
  if (how == "left" && *key == plan::JoinKey::kLeft) universe = left_universe;
  if (how == "right" && *key == plan::JoinKey::kRight) universe = right_universe;
  Table joined = builder.add(std::move(join), {sides->left, sides->right}, emission.schema(types),
                             lower.options(append_only, universe));
  if (where) {
    Schema schema = joined.schema;
    const plan::ExprPtr condition = emission.remapped(where);
    joined = builder.add(plan::Filter{condition}, {joined}, std::move(schema), lower.options(append_only));
  }
  std::vector<NamedExpr> result;
  for (const auto& item : *selection) result.push_back({item.name, item.span, emission.remapped(item.expr)});
  return lower.result(lower.project(joined, result));
}

}  // namespace

void add_join_tables(Components& out) {
  ArgSpec how = arg("how", ArgKind::kEnum, false, "which rows without a partner stay, padded with None");
  for (const auto name : kHow) how.choices.emplace_back(name);
  how.fallback = "inner";
  out.push_back(table_component(
      "join",
      {arg("left", ArgKind::kTable, true, "the left table", {"left_table", "table"}),
       arg("right", ArgKind::kTable, true, "the right table", {"right_table", "other"}),
       arg("on", ArgKind::kExprList, false, "`left.a == right.b`, `a == b`, or a name that both have"), how,
       arg("left_instance", ArgKind::kExpr, false, "one more equality, with `right_instance`"),
       arg("right_instance", ArgKind::kExpr, false, "what `left_instance` is to be equal to"),
       arg("where", ArgKind::kExpr, false, "any further condition on the joined rows"),
       arg("id", ArgKind::kExpr, false, "`left.id` or `right.id`: whose keys the result has"),
       arg("select", ArgKind::kExprList, false, "the columns of the result; default all of both", {"columns"})},
      "Rows of two tables side by side.",
      "!join {left: $orders, right: $people, on: [left.person == right.id], how: left}", build_join));
}

}  // namespace thalweg::lang
