// iterate: a body that is applied until nothing changes.
#include <algorithm>

#include "pipeline_lang/tables/lowering.h"

namespace thalweg::lang {
namespace {

// The next value in the columns of its variable, as a node of the body; nothing after an error.
std::optional<NodeId> fitted(const Lowering& lower, plan::Plan& body, const std::string& name, const Table& variable,
                             const Table& next) {
  const SourceSpan at = next.span.known() ? next.span : lower.call().span_of("body");
  std::string missing, extra;
  for (const auto& column : variable.schema.columns)
    if (!next.schema.find(column.name)) missing += (missing.empty() ? "`" : ", `") + column.name + "`";
  for (const auto& column : next.schema.columns)
    if (!variable.schema.find(column.name)) extra += (extra.empty() ? "`" : ", `") + column.name + "`";
  if (!missing.empty() || !extra.empty()) {
    lower.wrong(at,
                "the next value of `" + name + "`" + (missing.empty() ? "" : " lacks " + missing) +
                    (extra.empty()
                         ? ""
                         : std::string(missing.empty() ? "" : " and") + " has " + extra + ", which the input has not"),
                "each round has the columns of the input");
    return std::nullopt;
  }
  plan::Project project;
  bool same = true, fine = true;
  for (std::size_t i = 0; i < variable.schema.size(); ++i) {
    const auto& [column, type] = variable.schema.columns[i];
    const auto from = static_cast<std::uint32_t>(*next.schema.find(column));
    const Type& given = next.schema.columns[from].type;
    same = same && from == i && given == type;
    if (!is_subtype(given, type)) {
      lower.wrong(at,
                  "column `" + column + "` of `" + name + "` is `" + type.to_text() + "`, and `" + given.to_text() +
                      "` after a round",
                  "cast the input, or the next value, to one type");
      fine = false;
      continue;
    }
    project.exprs.push_back(plan::coerce(plan::column(from, given), type));
  }
  if (!fine) return std::nullopt;
  if (same) return next.node;
  plan::Node node;
  node.params = std::move(project);
  node.inputs = {next.node};
  node.schema = variable.schema;
  node.span = next.span;
  node.label = next.name;
  return body.add(std::move(node));
}

ObjectPtr build_iterate(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  LoopRequest request;
  request.span = call.span();
  request.body = call.at("body");
  const auto inputs = call.table_map("inputs");
  if (!inputs || !request.body) return error_object();
  if (inputs->empty()) return lower.wrong(call.span_of("inputs"), "`!iterate` needs at least one input");
  for (const auto& [name, table] : *inputs) request.inputs.emplace_back(name.name, table);
  if (call.has("constants")) {
    const auto constants = call.table_map("constants");
    if (!constants) return error_object();
    for (const auto& [name, table] : *constants) {
      const bool taken =
          std::any_of(inputs->begin(), inputs->end(), [&](const auto& input) { return input.first.name == name.name; });
      if (taken) return lower.wrong(name.span, "`" + name.name + "` is an input already");
      request.constants.emplace_back(name.name, table);
    }
  }
  const auto universe = call.choice("universe");
  const auto limit = call.integer("limit");
  if ((call.has("universe") && !universe) || (call.has("limit") && !limit)) return error_object();
  if (limit && *limit < 1)
    return lower.wrong(call.span_of("limit"), "`limit` counts applications of the body: at least 1");
  const bool fixed = !universe || *universe == "fixed";

  std::size_t output = 0;
  if (call.has("output")) {
    const auto name = call.text("output");
    if (!name) return error_object();
    while (output < inputs->size() && (*inputs)[output].first.name != *name) ++output;
    if (output == inputs->size()) {
      std::vector<std::string> names;
      for (const auto& input : *inputs) names.push_back(input.first.name);
      suggest(builder.error(call.span_of("output"),
                            "`" + *name + "` is no input of this loop; `output` names one of " + names_text(names)),
              *name, names);
      return error_object();
    }
  } else if (inputs->size() > 1) {
    return lower.wrong(call.span(), "`!iterate` with several inputs needs `output:`, the name of the one it yields");
  }

  const auto loop = builder.loop(request);
  if (!loop) return error_object();
  auto body = std::make_shared<plan::Plan>(*loop->plan);
  plan::Iterate params;
  bool fine = true;
  for (std::size_t i = 0; i < inputs->size(); ++i) {
    const std::string& name = (*inputs)[i].first.name;
    const auto& next = loop->next[i];
    if (!next) {
      lower.wrong(call.span_of("body"), "the body gives no next value for `" + name + "`",
                  "a table that does not change belongs into `constants:`");
      fine = false;
      continue;
    }
    const Table& variable = loop->variables[i];
    if (fixed && next->universe != variable.universe) {
      lower.wrong(next->span.known() ? next->span : call.span_of("body"),
                  "the keys of the next `" + name + "` are not provably those of its input",
                  "set `universe: changing` if they may change; select, with_columns, rename, cast, update_cells, "
                  "sort, ix and a left join with `id: left.id` keep them");
      fine = false;
      continue;
    }
    const auto node = fitted(lower, *body, name, variable, *next);
    fine = fine && node.has_value();
    if (node) params.next.push_back(*node);
  }
  if (!fine) return error_object();
  params.body = std::move(body);
  params.loop_inputs = loop->loop_inputs;
  params.output = static_cast<std::uint32_t>(output);
  if (limit) params.limit = static_cast<std::uint64_t>(*limit);
  std::vector<Table> tables;
  for (const auto& input : *inputs) tables.push_back(input.second);
  for (const auto& constant : request.constants) tables.push_back(constant.second);
  tables.insert(tables.end(), loop->captured.begin(), loop->captured.end());
  std::optional<UniverseId> keys;
  if (fixed) keys = tables[output].universe;
  Schema schema = tables[output].schema;
  return lower.result(builder.add(std::move(params), tables, std::move(schema), lower.options(false, keys)));
}

}  // namespace

void add_loop_tables(Components& out) {
  ArgSpec universe = arg("universe", ArgKind::kEnum, false, "whether the keys may change from round to round");
  universe.choices = {"fixed", "changing"};
  universe.fallback = "fixed";
  out.push_back(table_component(
      "iterate",
      {arg("inputs", ArgKind::kTableMap, true, "name: table; `$name` in the body is the value of the round"),
       arg("constants", ArgKind::kTableMap, false, "name: table, the same in every round"),
       arg("body", ArgKind::kScope, true, "a mapping whose plain keys are the next values of the inputs"),
       arg("limit", ArgKind::kInt, false, "at most so many applications of the body", {"iteration_limit"}), universe,
       arg("output", ArgKind::kText, false, "the input whose last value is the result")},
      "A body applied until nothing changes any more.",
      "!iterate\ninputs: {n: $numbers}\nbody:\n  n: !select {table: $n, columns: {v: \"v // 2 if v > 1 else v\"}}",
      build_iterate));
}

}  // namespace thalweg::lang
