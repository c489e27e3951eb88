// pipeline_lang/sql/ast.h
//
// The tree of a query, as written. Chains that a user may make long (AND, OR, joins, set operations, lists) are
// flat vectors, so the depth of the tree is what the parser counts and bounds.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/types/value.h"

namespace thalweg::sql {

// Bytes [begin, end) of the query text.
struct Place {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
};

struct Ast;
using AstPtr = std::unique_ptr<Ast>;
struct Query;
using QueryPtr = std::unique_ptr<Query>;

enum class AstKind : std::uint8_t {
  kLiteral,   // literal
  kInterval,  // text: `5 minutes`
  kTyped,     // name: the type, text: the literal (`DATE '2024-01-01'`)
  kColumn,    // qualifier (or empty), name
  kStar,      // qualifier (or empty); only in select lists and COUNT(*)
  kNot,
  kNegate,
  kPlus,
  kAnd,
  kOr,       // two or more args
  kBinary,   // name: `+ - * / % DIV || = <> < <= > >=`
  kIs,       // args: two; IS [NOT] DISTINCT FROM turned around
  kIsTruth,  // args: one; name: TRUE, FALSE, UNKNOWN
  kIsNull,
  kBetween,  // value, low, high
  kInList,   // value, items…
  kInQuery,  // value (or a row of values), query
  kExists,   // query
  kScalar,   // query
  kLike,     // value, pattern, [escape]; name: LIKE or ILIKE
  kCase,     // operand first if `has_operand`, then pairs (when, then), then ELSE if `has_else`
  kCast,     // args: one; name: the type
  kExtract,  // args: one; name: the field
  kCall,     // name in upper case, args; star, distinct, filter, order, window
  kRow,      // (a, b)
};

enum class NullsOrder : std::uint8_t { kDefault, kFirst, kLast };

struct OrderItem {
  AstPtr expr;
  bool descending = false;
  NullsOrder nulls = NullsOrder::kDefault;
};

struct Window {
  std::vector<AstPtr> partition;
  std::vector<OrderItem> order;
};

struct Ast {
  AstKind kind = AstKind::kLiteral;
  Place place;
  std::uint32_t depth = 1;
  bool negated = false;  // NOT IN, NOT LIKE, NOT BETWEEN, IS NOT …
  bool has_operand = false;
  bool has_else = false;
  bool star = false;
  bool distinct = false;
  bool quoted = false;  // a column in quotes
  std::string name;
  std::string qualifier;
  std::string text;
  Value literal;
  std::vector<AstPtr> args;
  AstPtr filter;
  std::vector<OrderItem> order;
  std::unique_ptr<Window> window;
  QueryPtr query;
};

enum class JoinKind : std::uint8_t { kFirst, kInner, kLeft, kRight, kFull, kCross, kAsof, kAsofLeft };

struct FromItem;
using FromItemPtr = std::unique_ptr<FromItem>;

// A table, a derived table, a table function or a parenthesised join.
struct Factor {
  enum class Kind : std::uint8_t { kTable, kQuery, kFunction, kJoin } kind = Kind::kTable;
  Place place;
  std::string name;  // table or function
  std::string alias;
  std::vector<std::string> column_aliases;
  QueryPtr query;
  std::vector<AstPtr> args;       // of a function; `TABLE t` and `DESCRIPTOR(c)` are plain columns here
  std::vector<AstPtr> partition;  // SESSION(TABLE t PARTITION BY …, …)
  FromItemPtr join;
};

struct JoinStep {
  JoinKind kind = JoinKind::kFirst;
  Place place;  // of the words that say how
  Factor factor;
  AstPtr on;
  std::vector<std::string> using_columns;
  std::vector<Place> using_places;
};

// `a JOIN b … JOIN c …`, left to right; one element of the comma list.
struct FromItem {
  std::vector<JoinStep> steps;
};

struct SelectItem {
  AstPtr expr;
  std::string alias;
  Place place;
};

struct Select {
  Place place;
  bool distinct = false;
  std::vector<SelectItem> items;
  std::vector<FromItem> from;
  AstPtr where;
  std::vector<AstPtr> group_by;
  bool grouped = false;
  AstPtr having;
  AstPtr qualify;
};

enum class SetOp : std::uint8_t { kUnion, kUnionAll, kIntersect, kIntersectAll, kExcept, kExceptAll };

struct Body {
  enum class Kind : std::uint8_t { kSelect, kValues, kQuery, kChain } kind = Kind::kSelect;
  Place place;
  std::unique_ptr<Select> select;
  std::vector<std::vector<AstPtr>> rows;     // VALUES
  QueryPtr query;                            // in parentheses
  std::vector<std::unique_ptr<Body>> parts;  // one more than ops
  std::vector<SetOp> ops;
};

struct Cte {
  std::string name;
  Place place;
  std::vector<std::string> columns;
  QueryPtr query;
};

struct Query {
  Place place;
  std::vector<Cte> ctes;
  std::unique_ptr<Body> body;
  std::vector<OrderItem> order;
  std::optional<std::uint64_t> limit;
  std::optional<std::uint64_t> offset;
};

}  // namespace thalweg::sql
