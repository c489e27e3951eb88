// engine/plan/node.h
//
// A plan is plain data: a list of nodes in topological order (inputs come before their users). pipeline_lang makes
// it, engine/plan/rewrite improves it, engine/runtime builds operators from it. A new operator is one struct here,
// one file pair in engine/operators, one line in its registry.
//
// Columns are indices into the input's schema (of input 0 unless said otherwise). Expressions that an operator needs
// are computed by a Project before it; what users write over reducers or joined rows is a Project after it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/base/setting.h"
#include "engine/base/strong_id.h"
#include "engine/plan/expr.h"
#include "engine/plan/index.h"
#include "engine/types/batch.h"
#include "engine/types/schema.h"

namespace thalweg::plan {

using Columns = std::vector<std::uint32_t>;

// ---------------------------------------------------------------- inputs

// Where a field of a record comes from, and how.
struct SourceField {
  std::string name;           // column name
  std::string external_name;  // name in the record
  Type type;
  enum class From : std::uint8_t { kPayload, kKey, kTime, kPartition, kMetadata } from = From::kPayload;
  std::optional<Value> default_value;
  bool primary_key = false;
  bool used = true;  // rewriting clears it: the field is never read
};

struct Source {
  std::string connector;  // `io.csv.read`; engine/io finds it by this name
  Setting args;           // a map, checked against the connector's table of options
  std::vector<SourceField> fields;
  bool needs_keys = true;  // cleared by rewriting where nobody asks
  bool upsert = false;     // records replace by key; an Upsert node follows
  bool append_only = false;
  std::string name;  // what positions and metrics are keyed by
};

// Rows written in the file itself, or given by a test.
struct StaticRow {
  std::uint64_t time = 2;  // even; rows of one time are one batch
  Diff diff = 1;
  Key key;
  std::vector<Value> cells;
};
struct StaticRows {
  std::shared_ptr<const std::vector<StaticRow>> rows;
  bool as_stream = false;  // its times are commits of their own; else all of it is in the first commit
  bool secret = false;     // a secret is among its cells: plans do not show them
};

// The error log as a table; schema: see language.md 8. With `operators`, only their errors.
// `rejected_records`: instead, what the sources among `operators` could not read and the outputs among them refused, as
// raw, reason, source, position (all str).
struct ErrorLog {
  std::vector<NodeId> operators;
  bool all = true;
  bool rejected_records = false;
};

// ---------------------------------------------------------------- row by row

struct Project {
  std::vector<ExprPtr> exprs;  // one per column of the schema
};
// Answers of functions that may answer otherwise when asked again: computed when a row comes, kept until it goes, so
// that a retraction carries what was inserted.
struct Remember {
  std::vector<ExprPtr> exprs;
};  // schema: that of the input, then one column per expression
struct Filter {
  ExprPtr condition;  // bool; an ERROR drops the row and is logged as skipped
};
struct Rekey {
  ExprPtr key;  // pointer; ERROR drops the row and is logged
};
struct Flatten {
  std::uint32_t column = 0;  // replaced by its elements
  bool origin_id = false;    // appends the source key
};
struct RemoveErrors {};
struct AssertAppendOnly {};
struct FilterForgetting {};  // drops what is stamped with an odd time

// ---------------------------------------------------------------- by key

// Sources that replace by key: +1 sets the row of the key, -1 deletes it, whatever the payload says.
struct Upsert {};

enum class KeyedKind : std::uint8_t { kUpdateRows, kUpdateCells, kIntersect, kDifference, kRestrict };
struct Keyed {
  KeyedKind kind = KeyedKind::kUpdateRows;
  // kUpdateCells: for each column, its column in input 1 or -1. Input 1 has the same schema for kUpdateRows.
  std::vector<std::int32_t> from_other;
};

// Rows of input 0 with the row of input 1 whose key is in pointer column `key`.
struct Ix {
  std::uint32_t key = 0;
  bool optional = false;  // a miss gives Nones, else ERRORs and a log entry
  Columns emit;           // into [columns of input 0 | columns of input 1]
};

struct Concat {
  bool reindex = false;  // keys become key_of_part(key, index of the input)
};

// ---------------------------------------------------------------- groups

enum class ReducerKind : std::uint8_t {
  kCount,
  kCountDistinct,
  kCountDistinctApproximate,
  kSum,
  kAvg,
  kMin,
  kMax,
  kArgMin,
  kArgMax,
  kUnique,
  kAny,
  kTuple,
  kSortedTuple,
  kNdArray,
  kEarliest,
  kLatest,
  kFirst,
  kLast,
  kStddev,
  kStddevPop,
  kVarSamp,
  kVarPop,
  kMedian,
  kQuantile,
  kStringAgg,
  kBoolAnd,
  kBoolOr,
  kFold,
  kUser,
};
struct Reducer {
  ReducerKind kind = ReducerKind::kCount;
  Columns args;             // argmin/argmax: value, result (a pointer column for the key)
  Type type;                // of the result
  bool skip_nones = false;  // tuple-like, sum-like, min, max, count, …: None arguments are not rows of this reducer
  bool skip_errors = true;
  bool none_if_empty = false;  // SQL: without a row of this reducer the group stays; the result is None, of counts 0
  double parameter = 0;        // quantile; precision of the approximate count
  std::string separator;       // string_agg
  ExprPtr fold;                // kFold: over [acc, columns of the input]
  Value fold_init;
  std::string text;  // as the user wrote it, for explain
};
struct GroupBy {
  Columns by;
  std::optional<std::uint32_t> instance;  // one more grouping column, and the shard
  bool key_is_column = false;             // the one pointer column in `by` is the row key
  Columns sort_by;                        // order of first, last, tuple, string_agg, ndarray: these columns, then key
  std::vector<Reducer> reducers;
  bool always_one_row = false;  // SQL: an aggregate without GROUP BY over no rows is a row
};  // schema: by columns, instance if any, one per reducer

struct Deduplicate {
  Columns value;     // what the acceptor compares; batch order is by value, then by row
  Columns instance;  // key of the result: hash of these
  ExprPtr acceptor;  // bool over [value of new…, value of current…]; null: keep by `keep_last`
  bool keep_last = false;
};  // schema: that of the input

struct TopK {
  struct Order {
    std::uint32_t column = 0;
    bool descending = false;
    bool nulls_first = true;
  };
  Columns partition;
  std::vector<Order> order;  // then by key
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> limit;
  bool rank_column = false;  // appends the row number within the partition, from 1
};

// ---------------------------------------------------------------- joins

enum class JoinHow : std::uint8_t { kInner, kLeft, kRight, kOuter };
enum class JoinKey : std::uint8_t { kPair, kLeft, kRight };
struct Join {
  JoinHow how = JoinHow::kInner;
  Columns left_on, right_on;  // of equal types; both empty: every row with every row
  bool none_matches = true;   // None equals None (SQL: not)
  JoinKey key = JoinKey::kPair;
  // Into [columns of left | columns of right | left key | right key]; keys are optional pointers.
  Columns emit;
};

// Gives on the rows of its input, and holds them by the cells of `on` for the joins that read it, or by row key for
// lookups. Nobody else reads it (rewriting puts it there, where they are several).
struct Arrange {
  Columns on;
  bool by_key = false;
  bool none_matches = true;  // as the joins say
};

// ---------------------------------------------------------------- order

struct Sort {
  Columns key;  // then by row key
  std::optional<std::uint32_t> instance;
};  // appends prev, next
struct OrderedDiff {
  std::uint32_t timestamp = 0;
  Columns values;
  std::optional<std::uint32_t> instance;
};  // appends, per value, that of the row before it (optional; None in the first row); a Project subtracts
struct Interpolate {
  std::uint32_t timestamp = 0;
  Columns values;  // replaced by float columns
};

// ---------------------------------------------------------------- time
//
// Times are int, float or datetime columns, never optional; a row whose time is ERROR is dropped and logged. Lengths
// (hop, threshold, …) are ints, floats or durations, of the kind that belongs to the time.

// Where a behavior lets rows through: see peer rules of forget, buffer and ignore_late. A row is due when the clock is
// at or past `time` + `threshold`. The clock is the maximum of column `clock` over the rows that reach the gate; of
// column `clock` of input 1 if the node has two inputs (nothing else of input 1 is used).
enum class GateKind : std::uint8_t { kForget, kBuffer, kFreeze };
struct TimeGate {
  GateKind kind = GateKind::kFreeze;
  std::uint32_t time = 0;
  Value threshold;
  std::optional<std::uint32_t> instance;        // one clock per instance
  bool mark = false;                            // kForget: retractions go to the odd time
  std::optional<std::uint32_t> clock;           // default: `time`
  std::optional<std::uint32_t> clock_instance;  // of input 1
  bool late = false;                            // kFreeze: emits the insertions that it would drop, and nothing else
};

// Tumbling and sliding windows: one row per window of the row, with start and end appended. Without `duration` windows
// end at origin + (k + ratio) · hop.
struct WindowAssign {
  std::uint32_t time = 0;
  Value hop;
  Value duration;  // None: by ratio
  double ratio = 1;
  Value origin;              // of the time's type
  bool from_origin = false;  // no window starts before the origin
};  // keys: key_of_part(key, index of the window) unless every row has one window

// Sliding windows and their groups in one: rows are reduced into panes, the stretches between neighbouring bounds of
// windows, and the panes of a window into its result. Means WindowAssign, gates, GroupBy by start, end and instance.
// Requires: merges_panes (plan/panes.h).
struct SlidingGroupBy {
  WindowAssign windows;
  std::optional<std::uint32_t> instance;
  Columns sort_by;
  std::vector<Reducer> reducers;
  Value delay;       // None, or: a window comes out when the clock is at or past start + delay
  Value emit_after;  // None, or: when it is at or past end + this (exactly once)
  Value cutoff;      // None, or: a window is closed when the clock of earlier batches is at or past end + cutoff
  bool keep_results = true;  // false: closed windows are taken back
  bool instance_clock = false;
};  // schema: start, end, instance if any, one per reducer

// Appends the session of a row: a pointer that stays while the session grows; with `bounds` its start and end, too.
struct SessionAssign {
  Columns instance;
  std::uint32_t time = 0;
  Value max_gap;      // neighbours merge if b - a < max_gap; or:
  ExprPtr predicate;  // bool over [a, b]
  bool bounds = false;
  Value delay;        // None, or: nothing of a session is emitted before the clock is at or past start + delay
  Value emit_after;   // None, or: before the clock is at or past end + max_gap + this (exactly once)
  Value cutoff;       // None, or: the session is dropped when the clock of earlier batches is at or past
                      // end + max_gap + cutoff
  bool mark = false;  // what a cutoff retracts goes to the odd time
  bool instance_clock = false;
};

// Rows whose ranges of time overlap, ends included. Bounds of a point are one column.
struct IntervalJoin {
  JoinHow how = JoinHow::kInner;
  Columns left_on, right_on;
  std::uint32_t left_lower = 0, left_upper = 0, right_lower = 0, right_upper = 0;
  Columns emit;  // into [columns of left | columns of right | left key | right key]
  // None, or: what gates behind drop anyway is not kept. The clock is the maximum of right_lower; a row of the left
  // goes when the clock of earlier commits is at or past left_upper + cutoff, one of the right at right_upper +
  // right_cutoff.
  Value cutoff, right_cutoff;
};

enum class AsofDirection : std::uint8_t { kBackward, kForward, kNearest };
// One row per row of the left (kLeft), of the right (kRight) or of either (kOuter), with its peer of the other side.
struct AsofJoin {
  JoinHow how = JoinHow::kLeft;
  AsofDirection direction = AsofDirection::kBackward;
  Columns left_on, right_on;
  std::uint32_t left_time = 0, right_time = 0;
  Value tolerance;               // None: any distance
  bool tolerance_closed = true;  // a peer at the very distance counts
  Columns emit;                  // into [columns of left | columns of right | left key | right key | side (bool) | t]
};

// Rows of the left with what the right is at their commit, right updates of the same commit included.
struct AsofNowJoin {
  JoinHow how = JoinHow::kInner;  // or kLeft
  Columns left_on, right_on;
  JoinKey key = JoinKey::kPair;
  bool remember = true;  // answers are kept until their left row goes; false for append-only lefts
  Columns emit;          // as Join
};

// Rows of input 1 (queries), each with the rows of input 0 that an index finds for it.
struct IndexQuery {
  IndexFactoryPtr index;
  Columns data, query;                    // of input 0, of input 1: one column per part of the index
  std::optional<std::uint32_t> metadata;  // of input 0: json, what filters look at
  std::optional<std::uint32_t> filter;    // of input 1: text or None
  std::optional<std::uint32_t> limit;     // of input 1: int
  std::uint64_t fixed_limit = 3;          // where there is no `limit`
  Columns reply;                          // of input 0: what is appended of the rows found
  bool collapse = true;                   // one row per query, with lists; else one per row found, None without any
  bool live = false;                      // answers follow the index; else they are given once
  bool remember = true;                   // answers are kept until their query goes; false for append-only queries
};  // schema: input 1, reply columns, pointers, scores

// One row per tick of the wall clock; ticks are `refresh_ns` apart, the first `initial_delay_ns` after the start. A
// commit has at most one: the newest that is due.
struct UtcNow {
  std::int64_t refresh_ns = 60'000'000'000;
  std::int64_t initial_delay_ns = 0;
};  // schema: timestamp_utc
// Pauses of a table that only grows, looked for at every tick: the last row's wall time before one, and the first one's
// after it (None until then).
struct Inactivity {
  std::int64_t period_ns = 0;
  std::int64_t refresh_ns = 1'000'000'000;
  std::optional<std::uint32_t> instance;
};  // schema: instance if any, inactivity_timestamp_utc, resumed_activity_timestamp_utc
// Appends the newest tick when the row came.
struct UpdateTimestamp {
  std::int64_t refresh_ns = 1'000'000'000;
};

// ---------------------------------------------------------------- streams

struct ToStream {};  // appends is_upsert
struct StreamToTable {
  std::uint32_t is_upsert = 0;
};

// ---------------------------------------------------------------- loops

struct Plan;
struct Iterate {
  std::shared_ptr<const Plan> body;  // its LoopInput nodes read the inputs
  std::vector<NodeId> next;          // in body: next value of variable i; inputs 0..n of this node are variables
  std::vector<NodeId> loop_inputs;   // in body: one LoopInput per input of this node (variables, then constants)
  std::uint32_t output = 0;          // which variable this node yields
  std::optional<std::uint64_t> limit;
};
struct LoopInput {
  std::uint32_t input = 0;
};

// ---------------------------------------------------------------- outputs

struct Output {
  std::string connector;
  Setting args;
  std::string name;
};
struct Export {
  std::string name;
  std::vector<Columns> indexes;
  std::optional<std::int64_t> retain_ns;
};

using Params = std::variant<Source, StaticRows, ErrorLog, Project, Remember, Filter, Rekey, Flatten, RemoveErrors,
                            AssertAppendOnly, FilterForgetting, Upsert, Keyed, Ix, Concat, GroupBy, Deduplicate, TopK,
                            Join, Arrange, Sort, OrderedDiff, Interpolate, TimeGate, WindowAssign, SlidingGroupBy,
                            SessionAssign, IntervalJoin, AsofJoin, AsofNowJoin, IndexQuery, UtcNow, Inactivity,
                            UpdateTimestamp, ToStream, StreamToTable, Iterate, LoopInput, Output, Export>;

struct Node {
  NodeId id;
  std::vector<NodeId> inputs;
  Schema schema;  // of what it emits; empty for Output and Export
  Params params;
  SourceSpan span;          // of the tag that made it
  std::string label;        // the user's name or tag: `$orders`, `!join`
  std::vector<bool> used;   // by column: somebody reads it (empty: all); what is not read may be anything
  bool keys_needed = true;  // somebody reads the row keys
  bool append_only = false;
  bool reports_errors = true;  // false for what depends on the error log
};

struct Plan {
  std::vector<Node> nodes;
  std::string name;
  bool terminate_on_error = false;
  std::int64_t autocommit_ms = 0;  // 0: default
  std::uint32_t workers = 0;       // 0: decided by the command

  [[nodiscard]] const Node& node(NodeId id) const { return nodes[id.value]; }
  NodeId add(Node node) {
    node.id = NodeId{static_cast<std::uint32_t>(nodes.size())};
    nodes.push_back(std::move(node));
    return nodes.back().id;
  }
};

[[nodiscard]] std::string_view operator_name(const Params& params);  // `join`, `groupby`, … stable
// Stable text of the whole plan, for explain and golden files.
[[nodiscard]] std::string to_text(const Plan& plan);

}  // namespace thalweg::plan
