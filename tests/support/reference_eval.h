// tests/support/reference_eval.h
//
// What a plan means, said as plainly as possible: every node recomputed from scratch over sorted maps of values. It
// shares the types, keys and plan structs with the engine, and none of its operators, kernels or state.
//
// R1  evaluate(plan, t) is what a batch run over all inputs of times <= t gives.
// R2  Only functional operators: arrival-ordered ones have no batch meaning, and sources no rows here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/plan/node.h"

namespace thalweg::reference {

using Row = std::vector<Value>;

struct Fact {
  Key key;
  Row row;
};
struct FactLess {
  bool operator()(const Fact& a, const Fact& b) const;
};
// Rows and how often they are there; never zero.
using Table = std::map<Fact, std::int64_t, FactLess>;

void add(Table& table, Key key, Row row, std::int64_t count = 1);
[[nodiscard]] std::int64_t num_rows(const Table& table);
[[nodiscard]] bool same(const Table& a, const Table& b);
// One row per key: columns that are not unique are ERROR.
[[nodiscard]] Table collapse(const Table& table);

// The tables of all nodes, by node id. `loop_inputs` are what LoopInput nodes read.
[[nodiscard]] std::vector<Table> evaluate(const plan::Plan& plan, std::uint64_t time,
                                          const std::vector<Table>& loop_inputs = {});

// One expression over one row. Unknown functions are a bug of the test and end it.
[[nodiscard]] Value evaluate(const plan::Expr& expr, const Row& row, const Key& key);

// One reducer over the rows of a group; none: no row of the group is one of this reducer.
struct Member {
  const Row* row;
  Key key;
  std::int64_t count;
  Row order;  // sort_by columns
};
[[nodiscard]] std::optional<Value> reduce(const plan::Reducer& reducer, const std::vector<Member>& members);

}  // namespace thalweg::reference
