// concat update_rows update_cells intersect difference restrict having ix with_id with_id_from: what goes by key.
#include <algorithm>

#include "pipeline_lang/tables/joining.h"

namespace thalweg::lang {
namespace {

std::string name_of(const Table& table) { return table.name.empty() ? "the table" : "`" + table.name + "`"; }

// ---------------------------------------------------------------- concat

ObjectPtr concat(const Lowering& lower, bool reindex) {
  const auto tables = lower.call().tables("tables");
  if (!tables) return error_object();
  if (tables->empty()) return lower.wrong(lower.call().span_of("tables"), "`!concat` needs at least one table");
  Schema schema = tables->front().schema;
  bool append_only = true;
  for (const Table& table : *tables) {
    auto common =
        common_schema(schema, table.schema, name_of(tables->front()), name_of(table), lower.call().span_of("tables"));
    if (!common) {
      lower.report(std::move(common).error());
      return error_object();
    }
    schema = std::move(*common);
    append_only = append_only && table.append_only;
  }
  std::vector<Table> inputs;
  for (const Table& table : *tables) inputs.push_back(lower.arranged(table, schema));
  if (inputs.size() == 1 && !reindex) return lower.result(lower.project(inputs[0], all_columns(schema)));
  return lower.result(lower.builder().add(plan::Concat{reindex}, inputs, schema, lower.options(append_only)));
}

ObjectPtr build_concat(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto reindex = call.boolean("reindex");
  if (call.has("reindex") && !reindex) return error_object();
  return concat(lower, reindex.value_or(false));
}
ObjectPtr build_concat_reindex(Builder& builder, const Call& call) { return concat(Lowering(builder, call), true); }

// ---------------------------------------------------------------- two tables by key

// `other` and `others`, whichever is given.
std::optional<std::vector<Table>> other_tables(const Lowering& lower) {
  std::vector<Table> out;
  for (const std::string_view name : {"other", "others"}) {
    if (!lower.call().has(name)) continue;
    const auto tables = lower.call().tables(name);
    if (!tables) return std::nullopt;
    out.insert(out.end(), tables->begin(), tables->end());
  }
  return out;
}

std::optional<Table> one_other(const Lowering& lower) {
  const auto others = other_tables(lower);
  if (!others) return std::nullopt;
  if (others->size() == 1) return others->front();
  lower.wrong(lower.call().span(), "`!" + lower.call().component().name + "` takes one other table in `other:`");
  return std::nullopt;
}

ObjectPtr build_update_rows(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  const auto other = one_other(lower);
  if (!table || !other) return error_object();
  auto common = common_schema(table->schema, other->schema, name_of(*table), name_of(*other), call.span_of("other"));
  if (!common) {
    lower.report(std::move(common).error());
    return error_object();
  }
  const Table left = lower.arranged(*table, *common), right = lower.arranged(*other, *common);
  std::optional<UniverseId> universe;
  if (table->universe == other->universe) universe = table->universe;
  return lower.result(builder.add(plan::Keyed{plan::KeyedKind::kUpdateRows, {}}, {left, right}, *common,
                                  lower.options(false, universe)));
}

ObjectPtr build_update_cells(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  const auto other = one_other(lower);
  if (!table || !other) return error_object();
  Schema schema = table->schema, other_schema = other->schema;
  plan::Keyed params{plan::KeyedKind::kUpdateCells, std::vector<std::int32_t>(schema.size(), -1)};
  bool fine = true;
  for (std::size_t i = 0; i < other_schema.size(); ++i) {
    auto& column = other_schema.columns[i];
    const auto at = schema.find(column.name);
    if (!at) {
      Error error = unknown_column(column.name, schema.names(), call.span_of("other"));
      error.message = "column `" + column.name + "` of " + name_of(*other) + " is none of " + name_of(*table);
      lower.report(std::move(error));
      fine = false;
      continue;
    }
    const Type& own = schema.columns[*at].type;
    const auto common = common_supertype(own, column.type);
    if (!common || (common->is(Kind::kAny) && !own.is(Kind::kAny) && !column.type.is(Kind::kAny))) {
      lower.wrong(call.span_of("other"), "column `" + column.name + "` is `" + own.to_text() + "` in " +
                                             name_of(*table) + " and `" + column.type.to_text() + "` in " +
                                             name_of(*other));
      fine = false;
      continue;
    }
    schema.columns[*at].type = *common;
    column.type = *common;
    params.from_other[*at] = static_cast<std::int32_t>(i);
  }
  if (!fine) return error_object();
  const Table left = lower.arranged(*table, schema), right = lower.arranged(*other, other_schema);
  return lower.result(builder.add(std::move(params), {left, right}, schema, lower.options(false, table->universe)));
}

// Keeps the columns of `table`; keys as `kind` says of each of the others.
ObjectPtr by_key(Builder& builder, const Call& call, plan::KeyedKind kind) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  const auto others = other_tables(lower);
  if (!table || !others) return error_object();
  const bool needs_other = kind != plan::KeyedKind::kIntersect;
  if (needs_other && others->empty())
    return lower.wrong(call.span(), "`!" + call.component().name + "` needs `other:`");
  Table out = *table;
  if (others->empty()) out = lower.project(out, all_columns(out.schema));
  for (const Table& other : *others) {
    const bool grows = kind != plan::KeyedKind::kDifference && out.append_only && other.append_only;
    std::optional<UniverseId> universe;
    if (kind != plan::KeyedKind::kDifference && other.universe == out.universe) universe = out.universe;
    const Table keys = lower.project(other, {});
    out = builder.add(plan::Keyed{kind, {}}, {out, keys}, out.schema, lower.options(grows, universe));
  }
  return lower.result(std::move(out));
}

ObjectPtr build_intersect(Builder& builder, const Call& call) {
  return by_key(builder, call, plan::KeyedKind::kIntersect);
}
ObjectPtr build_difference(Builder& builder, const Call& call) {
  return by_key(builder, call, plan::KeyedKind::kDifference);
}
ObjectPtr build_restrict(Builder& builder, const Call& call) {
  return by_key(builder, call, plan::KeyedKind::kRestrict);
}

// Rows whose key occurs among the keys of others, or among the pointers that `keys` gives over `other`.
ObjectPtr build_having(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  if (!call.has("keys")) return by_key(builder, call, plan::KeyedKind::kIntersect);
  const auto table = call.table("table");
  const auto other = one_other(lower);
  if (!table || !other) return error_object();
  auto pointer = lower.argument("keys", *other);
  if (!pointer) return error_object();
  if (!pointer->type.is(Kind::kPointer))
    return lower.wrong(call.span_of("keys"),
                       "`keys` gives pointers, the expression is `" + pointer->type.to_text() + "`");
  Table pointers = lower.project(*other, {{"key", {}, pointer}});
  if (pointer->type.optional()) {
    auto present = plan::call("is_not_none", {plan::column(0, pointer->type)}, Kind::kBool);
    pointers = builder.add(plan::Filter{std::move(present)}, {pointers}, Schema{{{"key", Kind::kPointer}}},
                           lower.options(pointers.append_only));
  }
  plan::GroupBy group;
  group.by = {0};
  group.key_is_column = true;
  const Table distinct = builder.add(std::move(group), {pointers}, pointers.schema, lower.options(false));
  const Table keys = lower.project(distinct, {});
  return lower.result(
      builder.add(plan::Keyed{plan::KeyedKind::kIntersect, {}}, {*table, keys}, table->schema, lower.options(false)));
}

// ---------------------------------------------------------------- ix

ObjectPtr build_ix(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  const auto from = call.table("from");
  const auto optional_given = call.boolean("optional");
  if (!table || !from || (call.has("optional") && !optional_given)) return error_object();
  const bool optional = optional_given.value_or(false);
  auto key = lower.argument("keys", *table);
  if (!key) return error_object();
  if (!key->type.is(Kind::kPointer))
    return lower.wrong(call.span_of("keys"), "`keys` gives pointers, the expression is `" + key->type.to_text() + "`",
                       "`pointer_from(…)` makes the key of a table from its key columns");
  if (key->type.optional() && !optional)
    return lower.wrong(call.span_of("keys"), "`keys` may be None (its type is `" + key->type.to_text() + "`)",
                       "set `optional: true` for Nones in such rows, or filter them out");
  JoinSides sides{*table, *from, {}, {}, {}};
  sides.left_columns = table->schema.size();
  sides.right_columns = from->schema.size();
  plan::Ix params;
  params.optional = optional;
  if (key->kind == plan::ExprKind::kColumn) {
    params.key = key->column;
  } else {
    params.key = static_cast<std::uint32_t>(table->schema.size());
    sides.left = lower.extended(*table, {key});
    sides.left.name = table->name;
  }
  JoinedNames names(lower, sides, false, optional);
  names.set_key(true, plan::key());
  names.set_key(false, plan::column(params.key, key->type));
  std::vector<NamedExpr> selection;
  if (call.has("select")) {
    auto chosen = names.selection("select");
    if (!chosen) return error_object();
    selection = std::move(*chosen);
  } else {
    const auto first = static_cast<std::uint32_t>(sides.left.schema.size());
    for (std::uint32_t i = 0; i < from->schema.size(); ++i) {
      const Type& type = from->schema.columns[i].type;
      selection.push_back(
          {from->schema.columns[i].name, {}, plan::column(first + i, optional ? type.as_optional() : type)});
    }
  }
  const std::size_t width = sides.left.schema.size() + sides.right.schema.size();
  std::vector<plan::ExprPtr> exprs;
  for (const auto& item : selection) exprs.push_back(item.expr);
  std::vector<Type> types = joined_types(sides, false, optional);
  types.resize(width);
  const Emission emission(width, exprs);
  params.emit = emission.columns();
  const bool append_only = table->append_only && from->append_only;
  const Table looked = builder.add(std::move(params), {sides.left, sides.right}, emission.schema(types),
                                   lower.options(append_only, table->universe));
  for (auto& item : selection) item.expr = emission.remapped(item.expr);
  return lower.result(lower.project(looked, selection));
}

// ---------------------------------------------------------------- keys

ObjectPtr rekeyed(const Lowering& lower, const Table& table, plan::ExprPtr key) {
  return lower.result(
      lower.builder().add(plan::Rekey{std::move(key)}, {table}, table.schema, lower.options(table.append_only)));
}

ObjectPtr build_with_id_from(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table) return error_object();
  const auto nodes = call.expressions("columns");
  if (!nodes) return error_object();
  std::vector<plan::ExprPtr> args;
  for (const NamedNode& node : *nodes) {
    auto expr = lower.expression(node.value, lower.scope(*table, node.value.scope));
    if (!expr) return error_object();
    args.push_back(std::move(expr));
  }
  std::string function = "pointer_from";
  if (call.has("instance")) {
    auto instance = lower.argument("instance", *table);
    if (!instance) return error_object();
    args.push_back(std::move(instance));
    function = "pointer_from.instance";
  }
  return rekeyed(lower, *table, plan::call(function, std::move(args), Kind::kPointer, call.span_of("columns")));
}

ObjectPtr build_with_id(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table) return error_object();
  auto key = lower.argument("key", *table);
  if (!key) return error_object();
  if (!key->type.is(Kind::kPointer))
    return lower.wrong(call.span_of("key"), "`key` gives pointers, the expression is `" + key->type.to_text() + "`",
                       "`pointer_from(…)` makes a key from values; `!with_id_from` does it for columns");
  if (key->type.optional())
    return lower.wrong(call.span_of("key"), "`key` may be None (its type is `" + key->type.to_text() + "`)",
                       "filter such rows out, or use `unwrap`");
  return rekeyed(lower, *table, std::move(key));
}

ObjectPtr build_copy(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table) return error_object();
  return lower.result(lower.project(*table, all_columns(table->schema)));
}

}  // namespace

void add_key_tables(Components& out) {
  const ArgSpec tables = arg("tables", ArgKind::kTables, true, "tables with the same columns in any order", {"others"});
  const ArgSpec other = arg("other", ArgKind::kTables, false, "the other table");
  const ArgSpec others = arg("others", ArgKind::kTables, false, "the other tables");
  ArgSpec reindex = arg("reindex", ArgKind::kBool, false, "new keys, for tables that share keys");
  reindex.fallback = "false";
  out.push_back(table_component("concat", {tables, reindex}, "The rows of all tables.", "!concat {tables: [$a, $b]}",
                                build_concat));
  out.push_back(table_component("concat_reindex", {tables}, "The rows of all tables under new keys.",
                                "!concat_reindex {tables: [$a, $b]}", build_concat_reindex));
  out.push_back(table_component("update_rows", {table_arg(), other, others},
                                "The rows of both; where both have a key, the row of `other`.",
                                "!update_rows {table: $old, other: $new}", build_update_rows));
  out.push_back(table_component("update_cells", {table_arg(), other, others},
                                "The table with the cells that `other` has for a key in place of its own.",
                                "!update_cells {table: $t, other: $corrections}", build_update_cells));
  out.push_back(table_component("intersect", {table_arg(), other, others}, "Rows whose key all others have.",
                                "!intersect {table: $t, other: $active}", build_intersect));
  out.push_back(table_component("difference", {table_arg(), other, others}, "Rows whose key `other` has not.",
                                "!difference {table: $t, other: $done}", build_difference));
  out.push_back(table_component("restrict", {table_arg(), other, others},
                                "The rows under the keys of `other`; a key that the table lacks is a data error.",
                                "!restrict {table: $t, other: $some}", build_restrict));
  out.push_back(table_component(
      "having",
      {table_arg(), other, others, arg("keys", ArgKind::kExpr, false, "pointers over `other`; default its keys")},
      "Rows whose key occurs among the keys, or pointers, of `other`.",
      "!having {table: $people, other: $orders, keys: person}", build_having));
  ArgSpec optional = arg("optional", ArgKind::kBool, false, "Nones where a key is None or missing, in place of ERROR",
                         {"allow_misses"});
  optional.fallback = "false";
  out.push_back(
      table_component("ix",
                      {table_arg(), arg("keys", ArgKind::kExpr, true, "pointers over `table`", {"key", "expression"}),
                       arg("from", ArgKind::kTable, true, "the table looked into", {"source", "other"}), optional,
                       arg("select", ArgKind::kExprList, false,
                           "over `left` (table) and `right` (from); default the columns of `from`", {"columns"})},
                      "For each row of `table` the row of `from` under a key.",
                      "!ix {table: $orders, keys: person, from: $people}", build_ix));
  out.push_back(table_component("with_id_from",
                                {table_arg(), arg("columns", ArgKind::kExprList, true, "what the key is made from"),
                                 arg("instance", ArgKind::kExpr, false, "what decides the shard")},
                                "The rows under `pointer_from(columns…)`.",
                                "!with_id_from {table: $t, columns: [country, city]}", build_with_id_from));
  out.push_back(table_component(
      "with_id", {table_arg(), arg("key", ArgKind::kExpr, true, "a pointer", {"id", "new_index", "new_id"})},
      "The rows under other keys.", "!with_id {table: $t, key: pointer_from(name)}", build_with_id));
  out.push_back(
      table_component("copy", {table_arg()}, "The same rows as a table of its own.", "!copy {table: $t}", build_copy));
}

}  // namespace thalweg::lang
