// Tables that several joins read: what the plan shares, what stays as it ran, and what is left when a join goes.
#include <catch2/catch.hpp>
#include <set>

#include "engine/plan/fingerprint.h"
#include "engine/plan/rewrite/arrange.h"
#include "engine/plan/rewrite/liveness.h"
#include "engine/plan/rewrite/rewrite.h"
#include "engine/runtime/graph.h"
#include "engine/runtime/takeover.h"
#include "engine/state/join_family.h"

namespace thalweg::tests {
namespace {

struct Shape {
  std::size_t joins = 2;     // of people with orders, with visits, with people
  bool second_more = false;  // the second join shows another column, too
};

// people(id, name, city), orders(id, amount), visits(id, page)
plan::Plan make(const Shape& shape) {
  plan::Plan out;
  auto table = [&](const std::string& name, std::vector<ColumnSpec> columns) {
    plan::Source source;
    source.connector = "io.csv.read";
    source.args = Setting(Setting::Map{{"path", Setting("./" + name)}});
    for (const ColumnSpec& column : columns)
      source.fields.push_back(
          {.name = column.name, .external_name = column.name, .type = column.type, .default_value = std::nullopt});
    return out.add({.schema = Schema{std::move(columns)}, .params = source, .label = "$" + name});
  };
  NodeId people = table("people", {{"id", Kind::kInt}, {"name", Kind::kStr}, {"city", Kind::kStr}});
  NodeId others[] = {table("orders", {{"id", Kind::kInt}, {"amount", Kind::kInt}}),
                     table("visits", {{"id", Kind::kInt}, {"page", Kind::kStr}}), people};
  for (std::size_t i = 0; i < shape.joins; ++i) {
    plan::Join join;
    join.left_on = join.right_on = {0};
    join.emit = {1, 4};
    if (i == 1 && shape.second_more) join.emit.push_back(2);
    Schema schema;
    for (std::uint32_t column : join.emit)
      schema.columns.push_back({"c" + std::to_string(column), column == 4 && i == 0 ? Kind::kInt : Kind::kStr});
    NodeId id = out.add({.inputs = {people, others[i]}, .schema = schema, .params = join, .label = "$join"});
    out.add({.inputs = {id}, .params = plan::Output{.connector = "io.csv.write", .name = "out" + std::to_string(i)}});
  }
  return out;
}

std::set<Key> prints_of(const plan::Plan& plan) {
  std::set<Key> out;
  for (const Key& print : plan::fingerprints(plan)) out.insert(print);
  return out;
}

plan::Plan rewritten(const Shape& shape, const std::set<Key>& kept = {}) {
  plan::Plan plan = make(shape);
  plan::rewrite(plan, kept);
  return plan;
}

// By join: A where a side is arranged, - where it is not.
std::string sides_text(const plan::Plan& plan) {
  std::string out;
  for (const plan::Node& node : plan.nodes) {
    if (!std::holds_alternative<plan::Join>(node.params)) continue;
    if (!out.empty()) out += ' ';
    for (NodeId input : node.inputs) out += plan::is_arranged(plan, input) ? 'A' : '-';
  }
  return out;
}

std::size_t arrangements(const plan::Plan& plan) {
  std::size_t out = 0;
  for (const plan::Node& node : plan.nodes) out += std::holds_alternative<plan::Arrange>(node.params) ? 1 : 0;
  return out;
}

}  // namespace

TEST_CASE("a table that several joins read by the same columns is arranged once") {
  CHECK(sides_text(rewritten({.joins = 1})) == "--");
  CHECK(arrangements(rewritten({.joins = 1})) == 0);
  CHECK(sides_text(rewritten({.joins = 2})) == "A- A-");
  const plan::Plan three = rewritten({.joins = 3});
  CHECK(sides_text(three) == "A- A- AA");
  CHECK(arrangements(three) == 1);
}

TEST_CASE("an arrangement stores what any of its joins shows") {
  plan::Plan plan = rewritten({.joins = 2, .second_more = true});
  plan::mark_liveness(plan);
  for (const plan::Node& node : plan.nodes) {
    if (!std::holds_alternative<plan::Arrange>(node.params)) continue;
    const plan::Arranged arranged = plan::arranged_for(plan, node.id);
    CHECK(arranged.kept == plan::Columns{1, 2});
    CHECK_FALSE(arranged.with_keys);
    CHECK_FALSE(arranged.counts);
  }
}

TEST_CASE("an arrangement gives its rows to a join with itself first, then to later joins before earlier ones") {
  const plan::Plan plan = rewritten({.joins = 3});
  Result<Graph> graph = build_graph(plan);
  REQUIRE(graph.has_value());
  for (const plan::Node& node : plan.nodes) {
    if (!std::holds_alternative<plan::Arrange>(node.params)) continue;
    std::vector<std::uint32_t> readers, ports;
    for (std::uint32_t e : graph->outgoing[node.id.value]) {
      CHECK_FALSE(graph->edges[e].exchanges);
      readers.push_back(graph->edges[e].to.value);
      ports.push_back(graph->edges[e].port);
    }
    REQUIRE(readers.size() == 4);
    CHECK(ports == std::vector<std::uint32_t>{0, 1, 0, 0});
    CHECK(readers[0] == readers[1]);
    CHECK(readers[1] > readers[2]);
    CHECK(readers[2] > readers[3]);
  }
}

TEST_CASE("what runs already keeps its arrangements, or goes on without") {
  CHECK(sides_text(rewritten({.joins = 2}, prints_of(rewritten({.joins = 1})))) == "-- A-");
  CHECK(sides_text(rewritten({.joins = 1}, prints_of(rewritten({.joins = 2})))) == "A-");
  CHECK(sides_text(rewritten({.joins = 2}, prints_of(rewritten({.joins = 2})))) == "A- A-");
  // A join that is new does not look into an arrangement that has its rows already.
  CHECK(sides_text(rewritten({.joins = 2, .second_more = true}, prints_of(rewritten({.joins = 2})))) == "A- --");
}

TEST_CASE("an arrangement is kept with all that read it, or not at all") {
  plan::Plan old = rewritten({.joins = 2});
  plan::Plan next = old;
  const std::vector<Key> prints = plan::fingerprints(old);
  std::vector<Key> next_prints = prints;
  plan::mark_liveness(old);
  plan::mark_liveness(next);
  const Takeover same = plan_takeover(old, prints, next, next_prints, 1);
  for (const plan::Node& node : next.nodes) CHECK(same.kept[node.id.value] == node.id);
  for (const plan::Node& node : next.nodes)
    if (std::holds_alternative<plan::Join>(node.params)) next_prints[node.id.value] = Key{1, 1};  // the last one is new
  next_prints[old.nodes.size() - 4] = prints[old.nodes.size() - 4];
  const Takeover changed = plan_takeover(old, prints, next, next_prints, 1);
  for (const plan::Node& node : next.nodes)
    if (std::holds_alternative<plan::Arrange>(node.params) || std::holds_alternative<plan::Join>(node.params))
      CHECK_FALSE(changed.kept[node.id.value].has_value());
  CHECK_FALSE(changed.possible);  // the rows of $people are nowhere
}

TEST_CASE("a side that leaves a family takes its rows and keys along") {
  JoinFamily family({Type(Kind::kInt)});
  JoinIndex& index = family.index();
  const std::vector<Type> types{Type(Kind::kInt)};
  SharedSide& shared = family.share(7, types, {0}, false, true);
  const int second = index.add_side(types, false);
  const int third = index.add_side(types, false);
  Column on = Column::from_vector<std::int64_t>(Phys::kI64, {1, 2, 3});
  const Column* columns[] = {&on};
  std::vector<std::uint64_t> hashes(3, 0);
  on.hash_into(hashes);
  std::vector<std::uint32_t> entries;
  index.find_or_add_all(columns, hashes, std::vector<std::uint8_t>(3, 1), entries);
  family.begin(2);
  index.change(third, entries[0], columns, 0, nullptr, 1);
  index.change(third, entries[1], columns, 1, nullptr, 2);
  index.change(second, entries[1], columns, 1, nullptr, 1);
  Batch chunk;
  chunk.num_rows = 3;
  chunk.columns = {on};
  shared.chunk = chunk;
  shared.entries = entries;
  family.hold(shared);
  CHECK(index.count(shared.side, entries[2]) == 0);
  family.store(shared);
  family.store(shared);
  CHECK(index.count(shared.side, entries[2]) == 1);
  CHECK(family.before(shared, entries[2]) == 0);
  CHECK(index.count(third, entries[1]) == 2);
  family.begin(4);
  CHECK(family.before(shared, entries[2]) == 1);
  family.leave(third);
  family.leave(shared.side);
  family.begin(6);
  CHECK(index.rows(third).size() == 0);
  CHECK(index.count(third, entries[1]) == 0);
  CHECK(index.head(third, entries[1]) == JoinIndex::kNone);
  CHECK(index.find(columns, 0, hashes[0]) == JoinIndex::kNone);
  CHECK(index.find(columns, 1, hashes[1]) == entries[1]);
  CHECK(index.count(second, entries[1]) == 1);
}

}  // namespace thalweg::tests
