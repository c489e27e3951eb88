#include "tests/property/random_plan.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "tests/property/random_expr.h"
#include "tests/property/random_reducer.h"
#include "tests/support/reference_eval.h"

namespace thalweg::testing {
namespace {

using plan::Node;
using plan::Plan;

struct Made {
  plan::Params params;
  std::vector<NodeId> inputs;
  Schema schema;
  bool unique = true;  // no two rows have one key
  bool leaf = false;   // nobody may read it: its floats are only nearly right
};

const std::vector<Type>& cell_types() {
  static const std::vector<Type> kTypes = {Kind::kInt, Type(Kind::kInt, true), Kind::kFloat, Type(Kind::kFloat, true),
                                           Kind::kStr, Type(Kind::kStr, true), Kind::kBool,  Kind::kPointer};
  return kTypes;
}

// What the LoopInput nodes of a loop's body read in its first round, by time.
using LoopInputs = std::map<std::uint64_t, std::vector<reference::Table>>;

class PlanMaker {
 public:
  PlanMaker(Random& random, const RandomPlanOptions& options) : random_(random), options_(options) {}
  // Of the body of a loop.
  PlanMaker(Random& random, const RandomPlanOptions& options, LoopInputs inputs)
      : random_(random), options_(options), loop_inputs_(std::move(inputs)) {}

  Plan make() {
    const std::size_t inputs = 1 + random_.below(options_.inputs_max);
    for (std::size_t i = 0; i < inputs; ++i) push(make_input());
    const std::size_t nodes = 1 + random_.below(options_.nodes_max);
    for (std::size_t tries = 0; tries < nodes * 4 && plan_.nodes.size() < inputs + nodes; ++tries)
      if (std::optional<Made> made = make_operator()) push_if_small(std::move(*made));
    add_exports();
    return std::move(plan_);
  }

 private:
  void push(Made made) {
    Node node;
    node.inputs = std::move(made.inputs);
    node.schema = std::move(made.schema);
    node.params = std::move(made.params);
    node.label = std::string(plan::operator_name(node.params));
    for (NodeId input : node.inputs) read_.insert(input.value);
    plan_.add(std::move(node));
    unique_.push_back(made.unique);
    if (!made.leaf) readable_.push_back(NodeId{static_cast<std::uint32_t>(plan_.nodes.size() - 1)});
  }

  void push_if_small(Made made) {
    push(std::move(made));
    std::int64_t peak = 0;
    for (std::uint64_t time : times()) peak = std::max(peak, reference::num_rows(tables_at(time).back()));
    peaks_[static_cast<std::uint32_t>(plan_.nodes.size() - 1)] = peak;
    if (peak <= options_.rows_max) return;
    if (!readable_.empty() && readable_.back().value + 1 == plan_.nodes.size()) readable_.pop_back();
    plan_.nodes.pop_back();
    unique_.pop_back();
  }

  std::vector<std::uint64_t> times() const {
    if (loop_inputs_.empty()) return commit_times(plan_);
    std::vector<std::uint64_t> out;
    for (const auto& [time, tables] : loop_inputs_) out.push_back(time);
    return out;
  }
  std::vector<reference::Table> tables_at(std::uint64_t time) const {
    auto inputs = loop_inputs_.find(time);
    if (inputs == loop_inputs_.end()) return reference::evaluate(plan_, time);
    return reference::evaluate(plan_, time, inputs->second);
  }

  void add_exports() {
    const std::size_t nodes = plan_.nodes.size();
    for (std::size_t i = 0; i < nodes; ++i) {
      if (!options_.export_all && read_.count(static_cast<std::uint32_t>(i)) > 0) continue;
      Node node;
      node.inputs = {NodeId{static_cast<std::uint32_t>(i)}};
      node.params = plan::Export{"n" + std::to_string(i), {}, {}};
      plan_.add(std::move(node));
    }
  }

  // ---------------------------------------------------------------- inputs

  Schema random_schema(std::size_t columns_max) {
    Schema schema;
    const std::size_t columns = 1 + random_.below(columns_max);
    for (std::size_t i = 0; i < columns; ++i) {
      Type type = random_.chance(12) ? Type::list(Kind::kInt) : random_.one_of(cell_types());
      schema.columns.push_back({"c" + std::to_string(i), std::move(type)});
    }
    return schema;
  }

  std::vector<Value> random_cells(const Schema& schema) {
    std::vector<Value> cells;
    for (const ColumnSpec& column : schema.columns)
      cells.push_back(random_.chance(2) ? Value::error() : random_value(random_, column.type));
    return cells;
  }

  Made make_input() {
    Made made;
    made.schema = random_schema(5);
    auto rows = std::make_shared<std::vector<plan::StaticRow>>();
    std::map<Key, std::vector<Value>> live;
    const std::size_t commits = 1 + random_.below(options_.commits_max);
    std::uint64_t time = 2 + 2 * random_.below(3);
    for (std::size_t i = 0; i < commits; ++i, time += 2 * (1 + random_.below(2)))
      add_updates(made.schema, time, live, *rows);
    made.params = plan::StaticRows{std::move(rows), true};
    return made;
  }

  // Each label at most once in a commit; deletions first.
  void add_updates(const Schema& schema, std::uint64_t time, std::map<Key, std::vector<Value>>& live,
                   std::vector<plan::StaticRow>& rows) {
    std::vector<plan::StaticRow> deleted, inserted;
    std::set<std::int64_t> touched;
    for (std::size_t n = random_.below(options_.updates_max + 1); n > 0; --n) {
      const std::int64_t label = random_.between(0, options_.labels - 1);
      if (!touched.insert(label).second) continue;
      const Key key = key_of_values({Value::of(label)});
      auto old = live.find(key);
      const bool deletes = old != live.end(), inserts = old == live.end() || random_.chance(50);
      if (deletes) {
        deleted.push_back({time, -1, key, old->second});
        live.erase(old);
      }
      if (inserts) inserted.push_back({time, 1, key, live[key] = random_cells(schema)});
    }
    rows.insert(rows.end(), deleted.begin(), deleted.end());
    rows.insert(rows.end(), inserted.begin(), inserted.end());
  }

  // ---------------------------------------------------------------- operators

  NodeId any_table() { return random_.one_of(readable_); }
  const Schema& schema_of(NodeId id) const { return plan_.node(id).schema; }
  bool unique(NodeId id) const { return unique_[id.value]; }

  std::optional<Made> make_operator() {
    if (options_.loops_deep > 0 && random_.chance(loop_inputs_.empty() ? 40 : 15)) return make_iterate();
    switch (random_.below(18)) {
      case 0:
      case 1: return make_project(any_table());
      case 2: return make_filter(any_table());
      case 3:
      case 4:
      case 5: return make_groupby(any_table());
      case 6:
      case 7: return make_join();
      case 8: return make_concat();
      case 9: return make_keyed();
      case 10:
      case 16: return make_ix();
      case 11: return make_flatten();
      case 12: return make_rekey();
      case 13: return make_filtered_join();
      case 14:
      case 15: return make_rejoin();
      default: return make_remove_errors();
    }
  }

  Made make_project(NodeId input) {
    const Schema& from = schema_of(input);
    Made made{plan::Project{}, {input}, {}, unique(input)};
    plan::Project project;
    for (std::uint32_t i = 0; i < from.size(); ++i) {
      if (random_.chance(30)) continue;
      project.exprs.push_back(plan::column(i, from.columns[i].type));
      made.schema.columns.push_back({"c" + std::to_string(project.exprs.size()), from.columns[i].type});
    }
    const std::size_t computed = 1 + random_.below(3);
    for (std::size_t i = 0; i < computed; ++i) {
      const Type& type = random_.one_of(cell_types());
      project.exprs.push_back(random_expr(random_, from, type, 3));
      made.schema.columns.push_back({"c" + std::to_string(project.exprs.size()), type});
    }
    made.params = std::move(project);
    return made;
  }

  Made make_filter(NodeId input) {
    return {
        plan::Filter{random_expr(random_, schema_of(input), Kind::kBool, 3)}, {input}, schema_of(input), unique(input)};
  }

  Made make_remove_errors() {
    const NodeId input = any_table();
    return {plan::RemoveErrors{}, {input}, schema_of(input), unique(input)};
  }

  std::optional<Made> make_groupby(NodeId input) {
    const Schema& from = schema_of(input);
    plan::GroupBy group;
    Made made{plan::GroupBy{}, {input}, {}, true};
    for (std::uint32_t i = 0; i < from.size() && group.by.size() < 2; ++i)
      if (random_.chance(35)) group.by.push_back(i);
    if (random_.chance(15)) group.instance = static_cast<std::uint32_t>(random_.below(from.size()));
    if (random_.chance(40)) group.sort_by.push_back(static_cast<std::uint32_t>(random_.below(from.size())));
    for (std::uint32_t column : group.by)
      made.schema.columns.push_back({"c" + std::to_string(made.schema.size()), from.columns[column].type});
    if (group.instance) made.schema.columns.push_back({"instance", from.columns[*group.instance].type});
    const std::size_t reducers = random_.below(4);
    for (std::size_t i = 0; i < reducers; ++i) {
      std::optional<plan::Reducer> reducer = random_reducer(random_, from);
      if (!reducer) continue;
      made.leaf = made.leaf || is_rounded(reducer->kind);
      made.schema.columns.push_back({"c" + std::to_string(made.schema.size()), reducer->type});
      group.reducers.push_back(std::move(*reducer));
    }
    if (made.schema.size() == 0) return std::nullopt;
    made.params = std::move(group);
    return made;
  }

  // Rows that a table has at most; inputs and what is made of them in passing are small.
  std::int64_t peak_of(NodeId table) const {
    const auto known = peaks_.find(table.value);
    return known == peaks_.end() ? 1 : known->second;
  }

  // A side of a join that was made before: its table and columns, for another join to read in the same way.
  struct JoinSide {
    NodeId table;
    plan::Columns on;
    bool none_matches = true;
  };
  std::optional<JoinSide> known_side() {
    std::vector<JoinSide> known;
    for (const Node& node : plan_.nodes)
      if (const auto* join = std::get_if<plan::Join>(&node.params))
        for (std::size_t side : {0U, 1U})
          known.push_back({node.inputs[side], side == 0 ? join->left_on : join->right_on, join->none_matches});
    if (known.empty()) return std::nullopt;
    return random_.one_of(known);
  }

  // Of a table by columns by which it is joined already; sometimes with itself.
  std::optional<Made> make_rejoin() {
    const std::optional<JoinSide> side = known_side();
    if (!side) return make_join();
    const bool with_itself = random_.chance(20);
    const NodeId other = with_itself ? side->table : any_table();
    constexpr std::int64_t kPairsMax = 3'000'000;  // that the reference may have to look at
    if (peak_of(side->table) * peak_of(other) > kPairsMax) return std::nullopt;
    plan::Columns partners;
    for (std::uint32_t column : side->on) {
      const std::vector<std::uint32_t> fitting =
          columns_of_type(schema_of(other), schema_of(side->table).columns[column].type);
      if (fitting.empty()) return std::nullopt;
      partners.push_back(with_itself && random_.chance(80) ? column : random_.one_of(fitting));
    }
    plan::Join join;
    join.none_matches = random_.chance(90) ? side->none_matches : !side->none_matches;
    const bool is_left = random_.chance(50);
    join.left_on = is_left ? side->on : partners;
    join.right_on = is_left ? partners : side->on;
    return finish_join(std::move(join), is_left ? side->table : other, is_left ? other : side->table, false);
  }

  std::optional<Made> make_join() {
    NodeId left = any_table(), right = any_table();
    // Rows of one key on several workers, and results that have that key.
    const bool keys_spread = options_.colliding_keys && random_.chance(20);
    if (keys_spread) left = rekeyed(left);
    const Schema &a = schema_of(left), &b = schema_of(right);
    plan::Join join;
    join.none_matches = random_.chance(70);
    const std::size_t keys = random_.chance(10) ? 0 : 1 + random_.below(2);
    for (std::size_t i = 0; i < keys; ++i) {
      const auto column = static_cast<std::uint32_t>(random_.below(a.size()));
      const std::vector<std::uint32_t> partners = columns_of_type(b, a.columns[column].type);
      if (partners.empty()) continue;
      join.left_on.push_back(column);
      join.right_on.push_back(random_.one_of(partners));
    }
    if (join.left_on.empty() && keys > 0) return std::nullopt;
    return finish_join(std::move(join), left, right, keys_spread);
  }

  std::optional<Made> finish_join(plan::Join join, NodeId left, NodeId right, bool keys_spread) {
    const Schema &a = schema_of(left), &b = schema_of(right);
    join.how = random_.one_of(
        std::vector{plan::JoinHow::kInner, plan::JoinHow::kLeft, plan::JoinHow::kRight, plan::JoinHow::kOuter});
    const bool pads_left = join.how == plan::JoinHow::kRight || join.how == plan::JoinHow::kOuter;
    const bool pads_right = join.how == plan::JoinHow::kLeft || join.how == plan::JoinHow::kOuter;
    Made made{plan::Join{}, {left, right}, {}, unique(left) && unique(right)};
    if (keys_spread || (options_.colliding_keys && random_.chance(40))) {
      if (!pads_left)
        join.key = plan::JoinKey::kLeft, made.unique = false;
      else if (!pads_right)
        join.key = plan::JoinKey::kRight, made.unique = false;
    }
    auto emit = [&](std::uint32_t column, Type type) {
      join.emit.push_back(column);
      made.schema.columns.push_back({"c" + std::to_string(made.schema.size()), std::move(type)});
    };
    for (std::uint32_t i = 0; i < a.size(); ++i)
      if (random_.chance(60)) emit(i, pads_left ? a.columns[i].type.as_optional() : a.columns[i].type);
    for (std::uint32_t i = 0; i < b.size(); ++i)
      if (random_.chance(60))
        emit(static_cast<std::uint32_t>(a.size() + i),
             pads_right ? b.columns[i].type.as_optional() : b.columns[i].type);
    if (random_.chance(30)) emit(static_cast<std::uint32_t>(a.size() + b.size()), Type(Kind::kPointer, true));
    if (random_.chance(30)) emit(static_cast<std::uint32_t>(a.size() + b.size() + 1), Type(Kind::kPointer, true));
    if (made.schema.size() == 0) return std::nullopt;
    made.params = std::move(join);
    return made;
  }

  // A join that only a filter reads, whose condition compares columns: parts of it may move below the join.
  std::optional<Made> make_filtered_join() {
    std::optional<Made> join = make_join();
    if (!join) return std::nullopt;
    const std::size_t before = plan_.nodes.size();
    push_if_small(std::move(*join));
    if (plan_.nodes.size() == before) return std::nullopt;
    readable_.pop_back();
    NodeId input{static_cast<std::uint32_t>(plan_.nodes.size() - 1)};
    if (random_.chance(30)) input = copied(input);
    for (std::size_t more = random_.chance(30) ? 1 + random_.below(2) : 0; more > 0; --more)
      push_if_small(filter_of_join(input));
    return filter_of_join(input);
  }
  Made filter_of_join(NodeId input) {
    const Schema& from = schema_of(input);
    plan::ExprPtr condition = random_.chance(50) ? comparison(from) : band(from);
    for (std::size_t n = random_.below(3); n > 0; --n)
      condition = plan::special(
          plan::ExprKind::kAnd,
          {condition, random_.chance(20) ? random_expr(random_, from, Kind::kBool, 2) : comparison(from)}, Kind::kBool);
    return {plan::Filter{condition}, {input}, from, unique(input)};
  }

  // All columns of a table that nobody else reads, in another order.
  NodeId copied(NodeId input) {
    plan::Project project;
    Schema schema;
    for (std::uint32_t i = static_cast<std::uint32_t>(schema_of(input).size()); i-- > 0;) {
      project.exprs.push_back(plan::column(i, schema_of(input).columns[i].type));
      schema.columns.push_back(schema_of(input).columns[i]);
    }
    push({std::move(project), {input}, std::move(schema), unique(input)});
    readable_.pop_back();
    return NodeId{static_cast<std::uint32_t>(plan_.nodes.size() - 1)};
  }

  plan::ExprPtr comparison(const Schema& from) {
    const auto index = static_cast<std::uint32_t>(random_.below(from.size()));
    const Type& type = from.columns[index].type;
    const plan::ExprPtr column = plan::column(index, type);
    if (type.optional() || type.is(Kind::kList))
      return plan::call(random_.chance(50) ? "is_none" : "is_not_none", {column}, Kind::kBool);
    const bool ordered = type.is(Kind::kInt) || type.is(Kind::kFloat) || type.is(Kind::kStr);
    const std::string name = ordered ? random_.one_of(std::vector<std::string>{"eq", "ne", "lt", "le", "gt", "ge"})
                                     : random_.one_of(std::vector<std::string>{"eq", "ne"});
    const std::vector<std::uint32_t> same = columns_of_type(from, type);
    const plan::ExprPtr other = random_.chance(30) ? plan::column(random_.one_of(same), type)
                                                   : plan::literal(random_value(random_, type), type);
    return plan::call(name, {column, other}, Kind::kBool);
  }

  // One column between two others, or two ranges that overlap: where they are of both sides, an interval join.
  plan::ExprPtr band(const Schema& from) {
    std::vector<std::uint32_t> ordered;
    for (std::uint32_t i = 0; i < from.size(); ++i)
      if (from.columns[i].type.is_number()) ordered.push_back(i);
    if (ordered.empty()) return comparison(from);
    const Kind kind = from.columns[random_.one_of(ordered)].type.kind();
    std::erase_if(ordered, [&](std::uint32_t i) { return from.columns[i].type.kind() != kind; });
    const auto end = [&] {
      const std::uint32_t index = random_.one_of(ordered);
      const Type& type = from.columns[index].type;
      const plan::ExprPtr column = plan::column(index, type);
      if (random_.chance(60)) return column;
      return plan::call("add", {column, plan::literal(random_value(random_, Type(kind)), Type(kind))}, type);
    };
    const plan::ExprPtr middle = end();
    const plan::ExprPtr second = random_.chance(70) ? middle : end();
    const auto at_most = [&](const plan::ExprPtr& low, const plan::ExprPtr& high) {
      const bool optional = low->type.optional() || high->type.optional();
      const plan::ExprPtr holds =
          plan::call(random_.chance(80) ? "le" : "lt", {low, high}, Type(Kind::kBool, optional));
      if (!optional) return holds;
      return plan::special(plan::ExprKind::kCoalesce, {holds, plan::literal(Value::of(false), Kind::kBool)},
                           Kind::kBool);
    };
    return plan::special(plan::ExprKind::kAnd, {at_most(end(), middle), at_most(second, end())}, Kind::kBool);
  }

  // The table seen through expressions that give exactly these types.
  NodeId shaped(NodeId input, const Schema& schema) {
    plan::Project project;
    for (const ColumnSpec& column : schema.columns) {
      const std::vector<std::uint32_t> same = columns_of_type(schema_of(input), column.type);
      project.exprs.push_back(!same.empty() && random_.chance(70)
                                  ? plan::column(random_.one_of(same), column.type)
                                  : random_expr(random_, schema_of(input), column.type, 1));
    }
    push({std::move(project), {input}, schema, unique(input)});
    return NodeId{static_cast<std::uint32_t>(plan_.nodes.size() - 1)};
  }

  static bool shapeable(const Schema& schema) {
    return std::all_of(schema.columns.begin(), schema.columns.end(), [](const ColumnSpec& column) {
      return std::find(cell_types().begin(), cell_types().end(), column.type) != cell_types().end();
    });
  }

  std::optional<Made> make_concat() {
    const NodeId first = any_table();
    const Schema schema = schema_of(first);
    if (!shapeable(schema)) return std::nullopt;
    plan::Concat concat;
    concat.reindex = !options_.colliding_keys || random_.chance(60);
    std::vector<NodeId> inputs = {first};
    bool all_unique = unique(first);
    for (std::size_t n = 1 + random_.below(2); n > 0; --n) {
      inputs.push_back(shaped(any_table(), schema));
      all_unique = all_unique && unique(inputs.back());
    }
    return Made{concat, std::move(inputs), schema, all_unique && concat.reindex};
  }

  std::optional<Made> make_keyed() {
    const NodeId first = any_table();
    const Schema schema = schema_of(first);
    plan::Keyed keyed;
    std::vector<NodeId> inputs = {first};
    switch (random_.below(5)) {
      case 0:
        if (!shapeable(schema)) return std::nullopt;
        keyed.kind = plan::KeyedKind::kUpdateRows;
        inputs.push_back(shaped(any_table(), schema));
        break;
      case 1: {
        keyed.kind = plan::KeyedKind::kUpdateCells;
        const NodeId other = any_table();
        inputs.push_back(other);
        for (const ColumnSpec& column : schema.columns) {
          const std::vector<std::uint32_t> same = columns_of_type(schema_of(other), column.type);
          keyed.from_other.push_back(
              same.empty() || random_.chance(30) ? -1 : static_cast<std::int32_t>(random_.one_of(same)));
        }
        break;
      }
      case 2:
        keyed.kind = plan::KeyedKind::kIntersect;
        inputs.push_back(any_table());
        break;
      case 3:
        keyed.kind = plan::KeyedKind::kDifference;
        inputs.push_back(any_table());
        break;
      default: keyed.kind = plan::KeyedKind::kRestrict; inputs.push_back(any_table());
    }
    return Made{std::move(keyed), std::move(inputs), schema, true};
  }

  // Often one into which others look already.
  NodeId table_to_look_into() {
    std::vector<NodeId> known;
    for (const Node& node : plan_.nodes)
      if (std::holds_alternative<plan::Ix>(node.params)) known.push_back(node.inputs[1]);
    return known.empty() || random_.chance(50) ? any_table() : random_.one_of(known);
  }

  std::optional<Made> make_ix() {
    NodeId table = any_table();
    if (columns_of_type(schema_of(table), Kind::kPointer).empty()) {
      const Schema& from = schema_of(table);
      plan::Project project;
      Made made{plan::Project{}, {table}, from, unique(table)};
      for (std::uint32_t i = 0; i < from.size(); ++i) project.exprs.push_back(plan::column(i, from.columns[i].type));
      project.exprs.push_back(random_expr(random_, from, Kind::kPointer, 1));
      made.schema.columns.push_back({"pointer", Kind::kPointer});
      made.params = std::move(project);
      push(std::move(made));
      table = NodeId{static_cast<std::uint32_t>(plan_.nodes.size() - 1)};
    }
    const NodeId from = table_to_look_into();
    const Schema &a = schema_of(table), &b = schema_of(from);
    plan::Ix ix;
    ix.key = random_.one_of(columns_of_type(a, Kind::kPointer));
    ix.optional = random_.chance(50);
    Made made{plan::Ix{}, {table, from}, {}, unique(table)};
    for (std::uint32_t i = 0; i < a.size() + b.size(); ++i) {
      if (random_.chance(30)) continue;
      const bool left = i < a.size();
      Type type = left ? a.columns[i].type : b.columns[i - a.size()].type;
      if (!left && ix.optional) type = type.as_optional();
      ix.emit.push_back(i);
      made.schema.columns.push_back({"c" + std::to_string(made.schema.size()), std::move(type)});
    }
    if (ix.emit.empty()) return std::nullopt;
    made.params = std::move(ix);
    return made;
  }

  std::optional<Made> make_flatten() {
    const NodeId input = any_table();
    Schema schema = schema_of(input);
    std::vector<std::uint32_t> candidates;
    for (std::uint32_t i = 0; i < schema.size(); ++i)
      if (schema.columns[i].type.is_plain(Kind::kList) || schema.columns[i].type.is_plain(Kind::kStr))
        candidates.push_back(i);
    if (candidates.empty()) return std::nullopt;
    plan::Flatten flatten;
    flatten.column = random_.one_of(candidates);
    flatten.origin_id = random_.chance(40);
    Type& type = schema.columns[flatten.column].type;
    if (type.is(Kind::kList)) type = type.element();
    if (flatten.origin_id) schema.columns.push_back({"origin", Kind::kPointer});
    return Made{flatten, {input}, std::move(schema), unique(input)};
  }

  std::optional<Made> make_rekey() {
    if (!options_.colliding_keys) return std::nullopt;
    return rekey_of(any_table());
  }
  Made rekey_of(NodeId input) {
    return {plan::Rekey{random_expr(random_, schema_of(input), Kind::kPointer, 2)}, {input}, schema_of(input), false};
  }
  NodeId rekeyed(NodeId input) {
    push(rekey_of(input));
    return NodeId{static_cast<std::uint32_t>(plan_.nodes.size() - 1)};
  }

  // ---------------------------------------------------------------- loops

  // Either any body and few rounds, or a body over (k, d) that keeps the least d of every k, and so comes to an end.
  std::optional<Made> make_iterate() {
    const bool limited = random_.chance(60);
    std::vector<NodeId> inputs;
    for (std::size_t n = 1 + random_.below(2); n > 0; --n) {
      const NodeId table = any_table();
      if (!limited)
        inputs.push_back(shaped(table, least_schema()));
      else if (shapeable(schema_of(table)))
        inputs.push_back(table);
    }
    if (inputs.empty()) return std::nullopt;
    plan::Iterate iterate;
    const std::size_t variables = inputs.size();
    for (std::size_t n = random_.below(3); n > 0; --n) inputs.push_back(any_table());
    if (limited) iterate.limit = 1 + random_.below(5);
    iterate.output = static_cast<std::uint32_t>(random_.below(variables));
    LoopInputs first;
    for (std::uint64_t time : times()) {
      const std::vector<reference::Table> tables = tables_at(time);
      for (NodeId input : inputs) first[time].push_back(tables[input.value]);
    }
    if (first.empty()) return std::nullopt;
    RandomPlanOptions options = options_;
    --options.loops_deep;
    PlanMaker body(random_, options, first);
    if (!body.make_body(*this, inputs, variables, limited, iterate)) return std::nullopt;
    if (!stays_small(iterate, first)) return std::nullopt;
    bool all_unique = true;
    for (std::size_t v = 0; v < variables; ++v) all_unique = all_unique && unique(inputs[v]);
    Schema schema = schema_of(inputs[iterate.output]);
    return Made{std::move(iterate), std::move(inputs), std::move(schema), all_unique || !limited};
  }

  static Schema least_schema() {
    Schema schema;
    schema.columns = {{"k", Kind::kInt}, {"d", Kind::kInt}};
    return schema;
  }

  bool make_body(const PlanMaker& outer, const std::vector<NodeId>& inputs, std::size_t variables, bool limited,
                 plan::Iterate& iterate) {
    for (std::uint32_t i = 0; i < inputs.size(); ++i) {
      push({plan::LoopInput{i}, {}, outer.schema_of(inputs[i]), outer.unique(inputs[i])});
      iterate.loop_inputs.push_back(NodeId{i});
    }
    for (std::size_t n = 1 + random_.below(4), tries = 0; n > 0 && tries < 12; ++tries) {
      const std::size_t before = plan_.nodes.size();
      if (std::optional<Made> made = make_operator()) push_if_small(std::move(*made));
      if (plan_.nodes.size() > before) --n;
    }
    for (std::uint32_t v = 0; v < variables; ++v) {
      std::optional<NodeId> from = table_as_unique_as(outer.unique(inputs[v]) || !limited);
      if (!from) return false;
      iterate.next.push_back(limited ? shaped(*from, outer.schema_of(inputs[v])) : least_of(NodeId{v}, *from));
    }
    iterate.body = std::make_shared<plan::Plan>(std::move(plan_));
    return true;
  }

  std::optional<NodeId> table_as_unique_as(bool must_be) {
    for (int tries = 0; tries < 10; ++tries) {
      const NodeId table = readable_[readable_.size() - 1 - random_.below(std::min<std::size_t>(readable_.size(), 4))];
      if (!must_be || unique(table)) return table;
    }
    return std::nullopt;
  }

  // The least d by k of `variable` and of the table seen as such rows, of few k and d.
  NodeId least_of(NodeId variable, NodeId table) {
    auto below = [&](std::int64_t n) {
      return plan::call(
          "mod", {random_expr(random_, schema_of(table), Kind::kInt, 2), plan::literal(Value::of(n), Kind::kInt)},
          Kind::kInt);
    };
    push({plan::Project{{below(6), below(40)}}, {table}, least_schema(), unique(table)});
    const NodeId more{static_cast<std::uint32_t>(plan_.nodes.size() - 1)};
    push({plan::Concat{true}, {variable, more}, least_schema(), unique(variable) && unique(table)});
    const NodeId both{static_cast<std::uint32_t>(plan_.nodes.size() - 1)};
    plan::GroupBy group;
    group.by = {0};
    plan::Reducer least;
    least.kind = random_.chance(80) ? plan::ReducerKind::kMin : plan::ReducerKind::kArgMin;
    least.args = {1};
    if (least.kind == plan::ReducerKind::kArgMin) least.args.push_back(1);
    least.type = Kind::kInt;
    group.reducers = {least};
    push({std::move(group), {both}, least_schema(), true});
    return NodeId{static_cast<std::uint32_t>(plan_.nodes.size() - 1)};
  }

  bool stays_small(const plan::Iterate& iterate, const LoopInputs& first) const {
    constexpr std::uint64_t kRoundsMax = 300;
    for (const auto& [time, inputs] : first) {
      std::vector<reference::Table> values = inputs;
      for (std::uint64_t round = 0; round < iterate.limit.value_or(kRoundsMax); ++round) {
        std::vector<reference::Table> tables = reference::evaluate(*iterate.body, time, values);
        for (const reference::Table& table : tables)
          if (reference::num_rows(table) > options_.rows_max) return false;
        bool changed = false;
        for (std::size_t v = 0; v < iterate.next.size(); ++v) {
          const reference::Table& next = tables[iterate.next[v].value];
          changed = changed || !reference::same(next, values[v]);
          values[v] = next;
        }
        if (!changed) break;
        if (round + 1 == kRoundsMax) return false;
      }
    }
    return true;
  }

  Random& random_;
  const RandomPlanOptions& options_;
  const LoopInputs loop_inputs_;  // empty outside of loops
  Plan plan_;
  std::map<std::uint32_t, std::int64_t> peaks_;  // by node
  std::vector<bool> unique_;                     // by node
  std::vector<NodeId> readable_;                 // nodes that others may read
  std::set<std::uint32_t> read_;
};

// Gives every row of every input a new time.
template <class Renew>
Plan with_times(const Plan& plan, Renew renew) {
  Plan out = plan;
  for (Node& node : out.nodes) {
    auto* input = std::get_if<plan::StaticRows>(&node.params);
    if (input == nullptr) continue;
    auto rows = std::make_shared<std::vector<plan::StaticRow>>(*input->rows);
    renew(*rows);
    input->rows = std::move(rows);
  }
  return out;
}

}  // namespace

plan::Plan random_plan(Random& random, const RandomPlanOptions& options) { return PlanMaker(random, options).make(); }

std::vector<std::uint64_t> commit_times(const plan::Plan& plan) {
  std::set<std::uint64_t> times;
  for (const Node& node : plan.nodes)
    if (const auto* input = std::get_if<plan::StaticRows>(&node.params))
      for (const plan::StaticRow& row : *input->rows) times.insert(row.time);
  return {times.begin(), times.end()};
}

plan::Plan with_merged_commits(const plan::Plan& plan, Random& random) {
  const std::uint64_t span = 4 * (1 + random.below(4));
  return with_times(plan, [&](std::vector<plan::StaticRow>& rows) {
    for (plan::StaticRow& row : rows) row.time = 2 + row.time / span * span;
  });
}

plan::Plan with_split_commits(const plan::Plan& plan, Random& random) {
  return with_times(plan, [&](std::vector<plan::StaticRow>& rows) {
    std::uint64_t time = 0;
    std::size_t cut = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].time != time) {  // the first row of its commit
        time = rows[i].time;
        cut = i + random.below(5);
      }
      rows[i].time = time * 2 + (i >= cut ? 2 : 0);
    }
  });
}

}  // namespace thalweg::testing
