// pipeline_lang/sql/scope.h
//
// What the names of one SELECT mean, and what its expressions ask for beyond the columns of FROM.
//
// Expressions of a SELECT are over numbered columns: those of FROM in the order written, and from kVirtual on what is
// only computed on the way: aggregates, subqueries, row numbers, columns of the enclosing query. A Stage knows in
// which column of a node each of them has arrived.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline_lang/sql/ast.h"
#include "pipeline_lang/sql/typed.h"
#include "engine/plan/node.h"

namespace thalweg::sql {

inline constexpr std::uint32_t kVirtual = 1U << 24;

struct ScopeColumn {
  std::string table;  // alias
  std::string name;
  Type type;
};

// A name that `*` and an unqualified reference see: one column, or the merged ones of USING.
struct StarEntry {
  std::string name;
  std::vector<std::uint32_t> sources;  // the first that is not None
};

struct Scope {
  std::vector<ScopeColumn> columns;
  std::vector<StarEntry> star;
};

// A node whose columns are the answer of a query.
struct Relation {
  NodeId node;
  std::vector<ColumnSpec> columns;
};

// A row number that a filter on it may bound: nothing but this query sees the node.
struct RankColumn {
  std::uint32_t column = 0;  // of the relation
  NodeId topk;
};

// What planning a query gives. Columns: `width` outputs, then one per correlation.
struct Output {
  Relation relation;
  std::size_t width = 0;
  std::vector<ExprPtr> outer_keys;                 // over the enclosing SELECT; equal to the trailing columns
  bool one_row = false;                            // an aggregate without GROUP BY: one row (per correlation key)
  std::optional<std::vector<ExprPtr>> if_missing;  // of a correlated one: its outputs for a key without rows
  ExprPtr row_if_missing;                          // of a correlated one: true where such a key has a row at all
  std::vector<RankColumn> ranks;
};

struct Aggregate {
  plan::ReducerKind kind = plan::ReducerKind::kCount;
  std::vector<ExprPtr> args;  // over FROM
  Type type;                  // of the result, optional where it may be NULL
  bool skip_nones = true;
  bool distinct = false;
  double parameter = 0;
  std::string separator;
  std::vector<ExprPtr> order;
  bool is_count = false;
};

struct Subquery {
  enum class Use : std::uint8_t { kScalar, kExists, kIn } use = Use::kScalar;
  std::shared_ptr<Output> output;
  std::vector<ExprPtr> operands;  // kIn: over this SELECT, of the types of the outputs
};

struct RowNumber {
  std::vector<ExprPtr> partition;
  std::vector<ExprPtr> order;
  std::vector<plan::TopK::Order> how;  // column is not used
};

struct Virtual {
  enum class Kind : std::uint8_t { kAggregate, kSubquery, kRowNumber, kOuter } kind = Kind::kOuter;
  Type type;
  Place place;
  std::string text;  // kOuter: the column as written
  Aggregate aggregate;
  Subquery subquery;
  RowNumber row_number;
  ExprPtr outer;
};

struct Environment;  // the queries of WITH

// One SELECT while it is planned.
struct Context {
  Scope scope;
  Context* outer = nullptr;  // the enclosing SELECT of a subquery
  const Environment* env = nullptr;
  std::vector<Virtual> virtuals;
  // Aliases of the select list, where they may be used. A column of FROM wins, unless `grouped` is given and lacks it.
  std::vector<std::pair<std::string, ExprPtr>> aliases;
  const std::vector<ExprPtr>* grouped = nullptr;
  bool inside_aggregate = false;

  [[nodiscard]] const Virtual* find_virtual(std::uint32_t column) const {
    return column < kVirtual ? nullptr : &virtuals[column - kVirtual];
  }
  ExprPtr add_virtual(Virtual what, SourceSpan span) {
    Type type = what.type;
    virtuals.push_back(std::move(what));
    return plan::column(kVirtual + static_cast<std::uint32_t>(virtuals.size() - 1), type, span);
  }
};

// A node under way through a SELECT.
struct Stage {
  NodeId node;
  std::vector<ColumnSpec> columns;                        // of the node
  std::map<std::uint32_t, std::uint32_t> where;           // column of the SELECT → column of the node
  std::vector<std::pair<ExprPtr, std::uint32_t>> groups;  // after grouping: expression → column of the node
  bool grouped = false;
};

// A part of FROM: inner joins are kept apart until WHERE is known, so that it can say how to join them.
struct FromPart {
  Scope scope;
  struct Leaf {
    NodeId node;
    std::uint32_t first = 0;  // column of the scope
    std::vector<ColumnSpec> columns;
    std::vector<RankColumn> ranks;
  };
  std::vector<Leaf> leaves;
  std::vector<ExprPtr> conditions;  // over the scope
};

}  // namespace thalweg::sql
