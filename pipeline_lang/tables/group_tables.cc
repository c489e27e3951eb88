// groupby, reduce, deduplicate, and the reducers as components.
#include <algorithm>

#include "pipeline_lang/tables/grouping.h"

namespace thalweg::lang {

std::optional<GroupColumn> instance_column(const Lowering& lower, const Table& table) {
  plan::ExprPtr expr = lower.argument("instance", table);
  if (!expr) return std::nullopt;
  std::string name = "_pw_instance";
  if (expr->kind == plan::ExprKind::kColumn) name = table.schema.columns[expr->column].name;
  return GroupColumn{{std::move(name)}, std::move(expr)};
}

// ---------------------------------------------------------------- what `reduce:` and `reducers:` say

namespace {

const Instance* reducer_instance(const Lowering& lower, Located value) {
  const Located target = lower.builder().follow(value);
  if (target.node == nullptr || target.node->tag.empty()) return nullptr;
  const ObjectPtr object = lower.builder().evaluate(value);
  const Instance* instance = object->as_instance();
  if (instance == nullptr || instance->component->kind != ComponentKind::kReducer) return nullptr;
  return instance;
}

// `reducers.sum` → `sum`.
std::string reducer_of(const Instance& instance) {
  const std::string& name = instance.component->name;
  return name.substr(name.rfind('.') + 1);
}

// The call that a `!reducers.X {…}` stands for, as text.
std::optional<ExprInput> reducer_call(const Lowering& lower, const Instance& instance, std::string& default_name) {
  const Call& call = *instance.call;
  const std::string name = reducer_of(instance);
  default_name = name;
  ExprInput out;
  out.span = call.span();
  out.text = name + "(";
  bool first = true;
  const auto add = [&](std::string_view key, const std::string& text) {
    if (!first) out.text += ", ";
    first = false;
    if (!key.empty()) out.text += std::string(key) + "=";
    out.text += text;
  };
  for (const ArgSpec& spec : instance.component->args) {
    if (spec.name == "as" || !call.has(spec.name)) continue;
    if (spec.kind == ArgKind::kBool) {
      const auto flag = call.boolean(spec.name);
      if (!flag) return std::nullopt;
      add(spec.name, *flag ? "True" : "False");
      continue;
    }
    const auto input = expr_input(lower.builder(), call.at(spec.name));
    if (!input) return std::nullopt;
    std::string text = input->text;
    if (input->secret) {
      lower.wrong(input->span, "a secret is no column and no constant of a reducer");
      return std::nullopt;
    }
    if (input->literal) {
      if (input->literal->tag() != Value::Tag::kStr)
        text = input->literal->to_text();
      else if (spec.name == "sep")
        text = "'" + input->literal->as_text() + "'";
      else
        text = "`" + input->literal->as_text() + "`";
    } else if (spec.kind == ArgKind::kText) {
      std::string quoted = "\"";
      for (const char c : text) quoted += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
      text = quoted + "\"";
    }
    if (spec.name == "column" || spec.name == "by") {
      add({}, text);
      if (name == "count") continue;
      if (const auto column = as_column_name(*input); column || input->literal)
        default_name = name + "_" + (column ? column->name : input->literal->to_text());
      else
        default_name.clear();
      continue;
    }
    add(spec.name, text);
  }
  out.text += ")";
  return out;
}

}  // namespace

bool take_reductions(const Lowering& lower, std::string_view name, Reduction& reduction, std::vector<NamedExpr>& out) {
  if (!lower.call().has(name)) return true;
  const auto nodes = lower.call().expressions(name);
  if (!nodes) return false;
  bool fine = true;
  for (const NamedNode& node : *nodes) {
    NamedExpr item{node.name, node.name.empty() ? node.value.span() : node.name_span, nullptr};
    std::optional<ExprInput> input;
    bool by_default = false;
    if (const Instance* instance = reducer_instance(lower, node.value)) {
      std::string default_name;
      input = reducer_call(lower, *instance, default_name);
      if (input && item.name.empty()) {
        if (instance->call->has("as")) {
          const auto as = instance->call->text("as");
          if (!as)
            input.reset();
          else
            item.name = *as;
        } else {
          item.name = default_name;
          by_default = true;
        }
        if (item.name.empty() && input) {
          lower.builder().error(item.span, "this reducer's column needs a name").note("give it one with `as:`");
          fine = false;
          continue;
        }
      }
    } else {
      input = expr_input(lower.builder(), node.value);
      if (input && item.name.empty()) {
        const auto column = as_column_name(*input);
        if (!column) {
          lower.builder()
              .error(item.span, "an expression in a list needs a name")
              .note("write `{name: " + input->text + "}`");
          fine = false;
          continue;
        }
        item.name = column->name;
      }
    }
    if (!input) {
      fine = false;
      continue;
    }
    auto expr = reduction.add(*input);
    if (!expr) {
      lower.report(std::move(expr).error());
      fine = false;
      continue;
    }
    item.expr = std::move(*expr);
    const auto same =
        std::find_if(out.begin(), out.end(), [&](const NamedExpr& other) { return other.name == item.name; });
    if (same == out.end()) {
      out.push_back(std::move(item));
    } else if (by_default || !same->expr || plan::identity(*same->expr) != plan::identity(*item.expr)) {
      lower.builder()
          .error(item.span, "column `" + item.name + "` is given twice")
          .note("name one of them differently, `as:` in a reducer's arguments");
      fine = false;
    }
  }
  return fine;
}

Table add_grouping(const Lowering& lower, const Table& input, const Reduction& reduction, plan::GroupBy group,
                   const std::vector<NamedExpr>& result, const plan::ExprPtr& having) {
  std::vector<NamedExpr> before;
  for (std::size_t i = 0; i < reduction.pre().size(); ++i)
    before.push_back({"_" + std::to_string(i), {}, reduction.pre()[i]});
  const Table prepared = lower.project(input, before);
  group.by = reduction.by();
  group.instance = reduction.instance();
  group.sort_by = reduction.sort_by();
  group.reducers = reduction.reducers();
  Table grouped = lower.builder().add(std::move(group), {prepared}, reduction.post(), lower.options(false));
  if (having) grouped = lower.builder().add(plan::Filter{having}, {grouped}, grouped.schema, lower.options(false));
  return lower.project(grouped, result);
}

namespace {

// ---------------------------------------------------------------- groupby

// `by:`; nothing after an error.
std::optional<std::vector<GroupColumn>> grouping_columns(const Lowering& lower, const Table& table) {
  std::vector<GroupColumn> out;
  if (!lower.call().has("by")) return out;
  const auto exprs = lower.expressions("by", table);
  if (!exprs) return std::nullopt;
  for (const auto& expr : *exprs) out.push_back({{expr.name}, expr.expr});
  return out;
}

// What stands for `by:` where it is wrong, so that the rest of the tag is checked all the same: each name that it
// gives, and every column of the table.
std::vector<GroupColumn> assumed_columns(const Lowering& lower, const Table& table) {
  std::vector<GroupColumn> out;
  const auto add = [&](const std::string& name, plan::ExprPtr expr) {
    const bool known = std::ranges::any_of(out, [&](const GroupColumn& column) { return column.names[0] == name; });
    if (!known) out.push_back({{name}, std::move(expr)});
  };
  for (std::uint32_t i = 0; i < table.schema.columns.size(); ++i)
    add(table.schema.columns[i].name, plan::column(i, table.schema.columns[i].type));
  const Located by = lower.call().at("by");
  if (by.node == nullptr || !by.node->is_sequence()) return out;
  for (const ast::NodePtr& item : by.node->items) {
    if (item->is_scalar()) add(item->text, plan::literal(Value::none(), Type(Kind::kAny)));
    for (const ast::Entry& entry : item->entries) add(entry.key, plan::literal(Value::none(), Type(Kind::kAny)));
  }
  return out;
}

// The column that `id:` names becomes the key: it is the one pointer column in `by`.
bool check_group_id(const Lowering& lower, const Table& table, std::vector<GroupColumn>& by) {
  const Call& call = lower.call();
  const SourceSpan at = call.span_of("id");
  const auto input = expr_input(lower.builder(), call.at("id"));
  if (!input) return false;
  const auto column = as_column_name(*input);
  if (!column) {
    lower.wrong(at, "`id` names the pointer column in `by` that becomes the key");
    return false;
  }
  if (by.empty()) {
    const auto index = lower.column({column->name, at}, table);
    if (!index) return false;
    by.push_back({{column->name}, plan::column(*index, table.schema.columns[*index].type)});
  }
  if (by.size() != 1 || by[0].names[0] != column->name) {
    lower.wrong(at, "`id` names the only column in `by`; here `by` is something else");
    return false;
  }
  if (!by[0].expr->type.is_plain(Kind::kPointer)) {
    lower.wrong(at,
                "`id` is a pointer that is never None; `" + column->name + "` is `" + by[0].expr->type.to_text() + "`");
    return false;
  }
  return true;
}

std::optional<std::vector<plan::ExprPtr>> sort_columns(const Lowering& lower, const Table& table) {
  std::vector<plan::ExprPtr> out;
  if (!lower.call().has("sort_by")) return out;
  const auto nodes = lower.call().expressions("sort_by");
  if (!nodes) return std::nullopt;
  for (const NamedNode& node : *nodes) {
    auto expr = lower.expression(node.value, lower.scope(table, node.value.scope));
    if (!expr) return std::nullopt;
    const bool tuple = expr->kind == plan::ExprKind::kCall && expr->function == "make_tuple";
    if (tuple)
      out.insert(out.end(), expr->args.begin(), expr->args.end());
    else
      out.push_back(std::move(expr));
  }
  return out;
}

// `having:` over the columns of the result, and reducers. What it rules None out of is no longer optional.
plan::ExprPtr having_condition(const Lowering& lower, Reduction& reduction, std::vector<NamedExpr>& result) {
  const auto input = expr_input(lower.builder(), lower.call().at("having"));
  if (!input) return nullptr;
  std::vector<NameScope::Name> names;
  for (const auto& item : result) names.push_back({item.name, item.expr, {}});
  auto condition = reduction.add(*input, names);
  if (!condition) {
    lower.report(std::move(condition).error());
    return nullptr;
  }
  const Type& type = (*condition)->type;
  if (!type.is_plain(Kind::kBool)) {
    lower.wrong(input->span, "`having` must be a bool that is never None, the expression is `" + type.to_text() + "`");
    return nullptr;
  }
  const auto present = not_none_where(**condition);
  for (auto& item : result)
    if (item.expr->kind == plan::ExprKind::kColumn && present.contains(item.expr->column))
      item.expr = plan::column(item.expr->column, item.expr->type.without_optional());
  return std::move(*condition);
}

// `columns`: nothing if `by:` is wrong. What stands beside a wrong argument is checked all the same.
ObjectPtr group(const Lowering& lower, const Table& table, std::optional<std::vector<GroupColumn>> columns,
                std::string_view reduce) {
  const Call& call = lower.call();
  plan::GroupBy params;
  bool sound = columns.has_value();
  std::vector<GroupColumn> by = sound ? std::move(*columns) : assumed_columns(lower, table);
  if (call.has("id") && sound) {
    sound = check_group_id(lower, table, by);
    params.key_is_column = true;
  }
  auto instance = instance_column(lower, table);
  if (call.has("instance") && !instance) return error_object();
  auto sort_by = sort_columns(lower, table);
  if (!sort_by) return error_object();
  const Located body = call.at(call.has(reduce) ? reduce : "table");
  ReductionOptions options;
  options.append_only = table.append_only;
  options.in_iterate = lower.builder().in_loop();
  Reduction reduction(lower.scope(table, body.scope), by, std::move(instance), std::move(*sort_by), options);
  std::vector<NamedExpr> result;
  for (std::size_t i = 0; i < by.size(); ++i)
    result.push_back({by[i].names[0], {}, plan::column(static_cast<std::uint32_t>(i), by[i].expr->type)});
  const bool fine = take_reductions(lower, reduce, reduction, result);
  if (!take_reductions(lower, "reducers", reduction, result) || !fine || !sound) return error_object();
  plan::ExprPtr having;
  if (call.has("having")) {
    having = having_condition(lower, reduction, result);
    if (!having) return error_object();
  }
  return lower.result(add_grouping(lower, table, reduction, std::move(params), result, having));
}

ObjectPtr build_groupby(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table) return error_object();
  return group(lower, *table, grouping_columns(lower, *table), "reduce");
}

ObjectPtr build_reduce(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table) return error_object();
  if (!call.has("columns") && !call.has("reducers"))
    return lower.wrong(call.span(), "`!reduce` needs `columns:`", "for example `columns: {n: count()}`");
  return group(lower, *table, std::vector<GroupColumn>(), "columns");
}

// ---------------------------------------------------------------- deduplicate

// `new` and `current` are the values; the accepted one is never None when it is compared.
plan::ExprPtr acceptor_of(const Lowering& lower, const Type& value) {
  const Located where = lower.call().at("acceptor");
  NameScope names;
  names.bind("new", plan::column(0, value));
  names.bind("current", plan::column(1, value.is(Kind::kAny) ? value : value.without_optional()));
  names.set_variables(variables_of(lower.builder(), where.scope));
  return lower.condition(where, names, "acceptor");
}

ObjectPtr build_deduplicate(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table || !lower.outside_loop()) return error_object();
  const auto keep = call.choice("keep");
  if (call.has("keep") && !keep) return error_object();
  if (keep && call.has("acceptor"))
    return lower.wrong(call.span_of("keep"), "`keep` and `acceptor` both say which row stays; give one of them");
  if (!keep && !call.has("acceptor"))
    return lower.wrong(call.span(), "`!deduplicate` needs `acceptor:` or `keep:`",
                       "for example `acceptor: new > current`");
  plan::ExprPtr value = lower.argument("value", *table);
  if (!value) {
    if (call.has("value")) return error_object();
    if (!keep) return lower.wrong(call.span(), "`!deduplicate` needs `value:`, what `acceptor` compares");
  }
  std::vector<NamedExpr> instance;
  if (call.has("instance")) {
    auto exprs = lower.expressions("instance", *table);
    if (!exprs) return error_object();
    instance = std::move(*exprs);
  }
  plan::Deduplicate params;
  params.keep_last = keep && *keep == "last";
  std::vector<plan::ExprPtr> more;
  const auto place = [&](const plan::ExprPtr& expr) -> std::uint32_t {
    if (expr->kind == plan::ExprKind::kColumn) return expr->column;
    more.push_back(expr);
    return static_cast<std::uint32_t>(table->schema.size() + more.size() - 1);
  };
  if (value) params.value.push_back(place(value));
  for (const auto& item : instance) params.instance.push_back(place(item.expr));
  if (!keep) {
    params.acceptor = acceptor_of(lower, value->type);
    if (!params.acceptor) return error_object();
  }
  const Table input = more.empty() ? *table : lower.extended(*table, more);
  const Table out = builder.add(std::move(params), {input}, input.schema, lower.options(false));
  return lower.result(lower.shortened(out, table->schema.size()));
}

}  // namespace

// ---------------------------------------------------------------- rows

void add_group_tables(Components& out) {
  const ArgSpec reducers = arg("reducers", ArgKind::kReducers, false, "a list of `!reducers.X {column, as}`");
  const ArgSpec sort_by =
      arg("sort_by", ArgKind::kExprList, false, "order for first, last, tuple, string_agg, ndarray");
  const ArgSpec instance =
      arg("instance", ArgKind::kExpr, false, "one more grouping column: one instance is one shard");
  out.push_back(table_component(
      "groupby",
      {table_arg(), arg("by", ArgKind::kExprList, false, "columns, or {name: expression}", {"columns", "group_by"}),
       arg("reduce", ArgKind::kExprMap, false, "name: expression over reducers and the columns of `by`"), reducers,
       arg("having", ArgKind::kExpr, false, "groups of the result for which this holds stay"), sort_by, instance,
       arg("id", ArgKind::kExpr, false, "the one pointer column in `by`, which becomes the key")},
      "One row per group: the columns of `by`, then those of `reduce`.",
      "!groupby {table: $t, by: [category], reduce: {total: sum(amount), n: count()}}", build_groupby));
  out.push_back(table_component(
      "reduce",
      {table_arg(), arg("columns", ArgKind::kExprMap, false, "name: expression over reducers", {"reduce"}), reducers,
       sort_by},
      "One row over the whole table; none if it is empty.", "!reduce {table: $t, columns: {n: count()}}",
      build_reduce));
  ArgSpec keep = arg("keep", ArgKind::kEnum, false, "in place of an acceptor: the first row, or the last");
  keep.choices = {"first", "last"};
  out.push_back(table_component(
      "deduplicate",
      {table_arg(), arg("value", ArgKind::kExpr, false, "what is compared", {"col"}),
       arg("instance", ArgKind::kExprList, false, "one row is kept per instance"),
       arg("acceptor", ArgKind::kExpr, false, "whether `new` replaces `current`"), keep,
       arg("name", ArgKind::kText, false, "under which its state is stored")},
      "The rows that an acceptor lets through, the latest of each instance. Deletions of the input are ignored.",
      "!deduplicate {table: $t, value: v, instance: [sensor], acceptor: new > current + 2}", build_deduplicate));
}

void add_reducer_components(Components& out) {
  struct Row {
    const char* name;
    const char* doc;
    const char* aliases[3];
    const char* example = "{column: amount, as: x}";
  };
  static constexpr Row kRows[] = {
      {"count", "How many rows.", {}, "{as: n}"},
      {"count_distinct", "How many different values.", {}},
      {"count_distinct_approximate", "How many different values, about.", {}},
      {"sum", "Sum of numbers or arrays.", {}},
      {"avg", "Mean of numbers or arrays.", {"mean", "average", nullptr}},
      {"min", "Smallest value.", {}},
      {"max", "Largest value.", {}},
      {"argmin", "Key (or another value) of the row with the smallest value.", {}},
      {"argmax", "Key (or another value) of the row with the largest value.", {}},
      {"unique", "The value all rows have; ERROR if they differ.", {}},
      {"any", "The value of the row with the smallest key.", {}},
      {"tuple", "All values, by `sort_by`, else by key.", {"collect", nullptr}},
      {"sorted_tuple", "All values in their order.", {}},
      {"ndarray", "All values as an array.", {}},
      {"earliest", "The value that arrived first.", {}},
      {"latest", "The value that arrived last.", {}},
      {"first", "The first value by `sort_by`, else by key.", {}},
      {"last", "The last value by `sort_by`, else by key.", {}},
      {"stddev", "Standard deviation of the sample.", {"stddev_samp", nullptr}},
      {"stddev_pop", "Standard deviation of the population.", {}},
      {"var_samp", "Variance of the sample.", {"variance", nullptr}},
      {"var_pop", "Variance of the population.", {}},
      {"median", "The middle value, linear between two.", {}},
      {"quantile",
       "The value below which the share q of the rows is, linear between two.",
       {},
       "{column: amount, q: 0.9, as: x}"},
      {"string_agg", "Texts put together.", {}, "{column: name, sep: \", \", as: names}"},
      {"bool_and", "Whether all hold.", {}, "{column: amount > 0, as: x}"},
      {"bool_or", "Whether any holds.", {}, "{column: amount > 0, as: x}"},
  };
  for (const Row& row : kRows) {
    Component component;
    const std::string name = row.name;
    component.name = "reducers." + name;
    component.aliases = {"tools." + name};
    for (const char* alias : row.aliases) {
      if (alias == nullptr) break;
      component.aliases.push_back(std::string("reducers.") + alias);
    }
    component.kind = ComponentKind::kReducer;
    component.doc = row.doc;
    component.example = "!reducers." + name + " " + row.example;
    component.args = {arg("column", ArgKind::kExpr, name != "count" && name != "count_distinct", "what is reduced",
                          {"expression", "x", "arg"}),
                      arg("as", ArgKind::kText, false, "the name of the result", {"name", "alias"})};
    if (name == "argmin" || name == "argmax")
      component.args.push_back(arg("y", ArgKind::kExpr, false, "what is returned; default the row's key", {"id"}));
    if (name == "quantile") component.args.push_back(arg("q", ArgKind::kNumber, true, "between 0 and 1"));
    if (name == "string_agg")
      component.args.push_back(arg("sep", ArgKind::kText, false, "between the texts", {"separator"}));
    if (name == "count_distinct_approximate")
      component.args.push_back(arg("precision", ArgKind::kInt, false, "4 to 18"));
    if (name == "count") component.args.push_back(arg("distinct", ArgKind::kBool, false, "each value once"));
    component.args.push_back(arg("skip_nones", ArgKind::kBool, false, "rows with None do not count"));
    out.push_back(std::move(component));
  }
}

}  // namespace thalweg::lang
