// pipeline_lang/sql/planner.h
//
// The planner's class, shared by its files: expressions.cc (names and typing), from.cc and join.cc, temporal.cc,
// select.cc, aggregate.cc, subquery.cc, set_operations.cc.
//
// L1  Row multiplicities are those of SQL; row keys are unique if those of the tables are.
// L2  A node is added for every step; what nobody uses is left out when the fragment is cut (planner.cc).
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline_lang/sql/functions.h"
#include "pipeline_lang/sql/scope.h"
#include "pipeline_lang/sql/sql.h"

namespace thalweg::sql {

// Queries of WITH, innermost first.
struct Environment {
  const Environment* outer = nullptr;
  std::map<std::string, Relation> queries;
};

class Planner {
 public:
  explicit Planner(const Request& request) : request_(request) {}
  Result<Planned> run();

 private:
  // ---- planner.cc
  [[nodiscard]] SourceSpan span(Place place) const { return request_.span_of(place); }
  [[nodiscard]] std::unexpected<Error> error(std::string message, Place place) const {
    return fail(Code::kInvalidPipeline, std::move(message), span(place));
  }
  NodeId add(plan::Params params, std::vector<NodeId> inputs, std::vector<ColumnSpec> columns, std::string label = {});
  Result<Relation> table(const std::string& name, const Environment* env, Place place);
  Planned cut(NodeId output);
  // The exprs as columns of a new node.
  NodeId project(NodeId input, std::vector<ExprPtr> exprs, const std::vector<std::string>& names);
  static std::vector<ExprPtr> all_columns(const std::vector<ColumnSpec>& columns);
  static std::vector<std::string> names_of(const std::vector<ColumnSpec>& columns);
  Result<void> check_size(const ExprPtr& expr) const;

  // ---- expressions.cc: from tree to typed expression over the columns of a SELECT
  Result<ExprPtr> value(Context& ctx, const Ast& ast);
  Result<Logic> logic(Context& ctx, const Ast& ast, std::string_view what);
  Result<ExprPtr> condition(Context& ctx, const Ast& ast, std::string_view what);  // three-valued
  Result<ExprPtr> column(Context& ctx, const Ast& ast);
  // Nothing where no column of this SELECT is called so.
  Result<std::optional<ExprPtr>> find_column(Context& ctx, const Ast& ast);
  Result<ExprPtr> star_column(const Scope& scope, const StarEntry& entry, SourceSpan where) const;
  [[nodiscard]] Error unknown_column(const Context& ctx, const Ast& ast) const;
  Result<ExprPtr> binary(Context& ctx, const Ast& ast);
  Result<Logic> between(Context& ctx, const Ast& ast);
  Result<Logic> in_list(Context& ctx, const Ast& ast);
  Result<Logic> equal(Context& ctx, const Ast& a, const Ast& b);
  Result<ExprPtr> compare_rows(Context& ctx, const Ast& ast);
  Result<ExprPtr> like(Context& ctx, const Ast& ast);
  Result<ExprPtr> is_truth(Context& ctx, const Ast& ast);
  Result<ExprPtr> case_when(Context& ctx, const Ast& ast);
  Result<ExprPtr> cast(Context& ctx, const Ast& ast);
  Result<ExprPtr> typed_literal(const Ast& ast);
  Result<ExprPtr> interval(const Ast& ast);
  Result<ExprPtr> call(Context& ctx, const Ast& ast);
  Result<ExprPtr> row_number(Context& ctx, const Ast& ast);
  Result<Type> type_named(const std::string& name, Place place) const;

  // ---- aggregate.cc
  Result<ExprPtr> aggregate(Context& ctx, const Ast& ast, const AggregateRow& row);
  Result<Stage> group(const Context& ctx, const Stage& stage, const std::vector<ExprPtr>& by, bool one_row);
  struct Grouped {  // a GroupBy with its columns
    NodeId node;
    std::vector<ColumnSpec> columns;
  };
  Result<Grouped> plain_group(const Context& ctx, const Stage& stage, const std::vector<ExprPtr>& by,
                              const std::vector<std::uint32_t>& aggregates, bool one_row);
  Result<Grouped> special_group(const Context& ctx, const Stage& stage, const std::vector<ExprPtr>& by,
                                const Aggregate& aggregate);
  // The value of an aggregate expression over no rows.
  Result<ExprPtr> over_no_rows(const Context& ctx, const ExprPtr& expr) const;

  // ---- from.cc
  Result<FromPart> from(Context& ctx, const Select& select);
  Result<FromPart> from_item(Context& ctx, const FromItem& item);
  Result<FromPart> factor(Context& ctx, const Factor& factor);
  Result<FromPart> leaf(const Factor& factor, Relation relation, std::vector<RankColumn> ranks);
  Result<FromPart> join_step(Context& ctx, FromPart left, const JoinStep& step);
  Result<void> join_condition(Context& ctx, const FromPart& left, const FromPart& right, const JoinStep& step,
                              FromPart& both, std::vector<ExprPtr>& on);
  static FromPart side_by_side(Context& ctx, FromPart left, FromPart right);
  Result<Stage> join_leaves(const Context& ctx, const FromPart& part, std::vector<ExprPtr> conditions,
                            const std::set<std::uint32_t>& used);
  Result<FromPart> join_outer(const Context& ctx, JoinKind kind, FromPart left, FromPart right, std::vector<ExprPtr> on,
                              FromPart both);

  // ---- temporal.cc
  Result<FromPart> window_function(Context& ctx, const Factor& factor);
  Result<Value> constant_length(const Ast& ast, const Type& time, std::string_view what, bool positive);
  Result<FromPart> join_asof(const Context& ctx, const JoinStep& step, FromPart left, FromPart right,
                             std::vector<ExprPtr> on, FromPart both);

  // ---- join.cc: steps over stages
  // `expr` over the columns of the stage's node; an error where a part of it has not arrived.
  Result<ExprPtr> place(const Context& ctx, const Stage& stage, const ExprPtr& expr) const;
  Result<std::vector<ExprPtr>> place_all(const Context& ctx, const Stage& stage,
                                         const std::vector<ExprPtr>& exprs) const;
  // Virtual columns that `expr` needs and the stage lacks.
  void collect_missing(const Stage& stage, const plan::Expr& expr, std::set<std::uint32_t>& out) const;
  Result<Stage> filter(const Context& ctx, Stage stage, const std::vector<ExprPtr>& conditions);
  Stage keep_columns(const Stage& stage, const std::set<std::uint32_t>& used);
  struct JoinSpec {
    plan::JoinHow how = plan::JoinHow::kInner;
    plan::JoinKey key = plan::JoinKey::kPair;
    bool none_matches = false;
    bool left_key = false;   // appends the left row key
    bool right_key = false;  // then the right one
  };
  struct Side {
    NodeId node;
    std::vector<ColumnSpec> columns;
  };
  // All columns of both sides, left first; `left_on` and `right_on` are over the columns of their side.
  Side join(const Side& left, std::vector<ExprPtr> left_on, const Side& right, std::vector<ExprPtr> right_on,
            const JoinSpec& spec);
  Side with_key_columns(const Side& side, const std::vector<ExprPtr>& keys, plan::Columns& at);
  Side with_plain_columns(const Side& side, const std::vector<ExprPtr>& exprs, plan::Columns& at);  // temporal.cc
  struct Band {
    std::size_t low_at, high_at;  // of the conditions
    ExprPtr point, low, high;
    bool point_left = true;
  };
  static std::optional<Band> find_band(const std::vector<ExprPtr>& conditions, const Stage& left, const Stage& right);
  Result<Side> join_band(const Context& ctx, const Stage& left, const std::vector<ExprPtr>& left_on, const Stage& right,
                         const std::vector<ExprPtr>& right_on, const Band& band);

  // ---- select.cc
  struct Item {
    std::string name;
    ExprPtr expr;
    Place place;
    bool from_star = false;
  };
  struct Order {
    ExprPtr expr;
    bool descending = false;
    bool nulls_first = true;
    std::optional<std::size_t> output;  // the select item that it is
  };
  struct Correlation {
    ExprPtr inner, outer;
  };
  // One SELECT as expressions, before any node of it but those of FROM.
  struct Parts {
    FromPart from;
    std::vector<ExprPtr> conditions;
    std::vector<Item> items;
    std::vector<ExprPtr> groups;
    std::vector<ExprPtr> having, qualify;
    std::vector<Order> order;
    std::vector<Correlation> correlations;
    bool aggregated = false;
    bool limited = false;  // LIMIT or OFFSET
  };
  Result<Output> select(const Select& select, const Query* tail, Context* outer, const Environment* env, bool top);
  Result<Parts> parts(Context& ctx, const Select& select, const Query* tail, bool top);
  Result<std::vector<Item>> items(Context& ctx, const Select& select);
  Result<void> expand_star(const Context& ctx, const Ast& ast, std::vector<Item>& out) const;
  Result<void> one_name_each(std::vector<Item>& items, const std::vector<ExprPtr>& conditions) const;
  Result<std::vector<ExprPtr>> group_exprs(Context& ctx, const Select& select, const std::vector<Item>& items);
  Result<std::vector<Order>> order_exprs(Context& ctx, const Query& tail, const std::vector<Item>& items,
                                         bool distinct);
  Result<void> split_correlations(const Context& ctx, Parts& parts) const;
  Result<void> refuse(const Context& ctx, const std::vector<ExprPtr>& exprs, Virtual::Kind kind,
                      std::string_view where) const;
  static std::set<std::uint32_t> used_columns(const Context& ctx, const Parts& parts);
  Result<Stage> rows(const Context& ctx, Parts& parts);
  Result<Stage> grouped_rows(const Context& ctx, const Select& select, const Parts& parts, Stage stage);
  // Makes the virtual columns arrive that the exprs need and that can be made here.
  Result<Stage> attach(const Context& ctx, Stage stage, const std::vector<ExprPtr>& exprs);
  Result<Stage> attach_row_number(const Context& ctx, Stage stage, std::uint32_t column);
  Result<Stage> filter_all(const Context& ctx, Stage stage, const std::vector<ExprPtr>& conditions);
  // `rank <= k` bounds the node that numbers the rows.
  void bound_ranks(const std::vector<ExprPtr>& conditions, const std::map<std::uint32_t, NodeId>& ranks);
  Result<Output> finish(const Context& ctx, const Parts& parts, Stage stage, bool distinct, const Query* tail);
  NodeId distinct_rows(NodeId node, const std::vector<ColumnSpec>& columns);

  // ---- subquery.cc
  Result<ExprPtr> subquery(Context& ctx, const Ast& ast);
  Result<Stage> attach_subquery(const Context& ctx, Stage stage, std::uint32_t column);
  Result<Stage> attach_scalar(const Context& ctx, Stage stage, std::uint32_t column);
  Result<Stage> attach_exists(const Context& ctx, Stage stage, std::uint32_t column);
  Result<Stage> attach_in(const Context& ctx, Stage stage, std::uint32_t column);
  // Keeps the rows for which an EXISTS or IN is true, without a column for it.
  Result<Stage> semi_join(const Context& ctx, Stage stage, std::uint32_t column);
  Result<Stage> with_column(Stage stage, const Side& joined, ExprPtr value, std::uint32_t column);

  // ---- set_operations.cc
  Result<Output> query(const Query& query, Context* outer, const Environment* env, bool top);
  Result<Output> body(const Body& body, const Query* tail, Context* outer, const Environment* env, bool top);
  Result<Relation> closed_body(const Body& body, const Environment* env, Context* outer);
  Result<Relation> chain(const Body& body, const Environment* env, Context* outer);
  Result<Relation> combine(SetOp op, const Relation& left, const Relation& right, Place place);
  Result<Relation> values(const Body& body, const Environment* env);
  Result<Relation> order_and_limit(Relation relation, const Query& tail);

  [[nodiscard]] bool limits(const Query* tail) const {
    return tail && (tail->limit || tail->offset || tail == ordered_);
  }
  // For a TopK over `columns`: numbers the rows if `tail` is the query whose order the reader sees.
  void number_rows(const Query* tail, plan::TopK& topk, std::vector<ColumnSpec>& columns) const;

  const Request& request_;
  const Query* ordered_ = nullptr;  // the whole query, if the order of its rows counts
  plan::Plan plan_;
  std::vector<std::string> tables_;
  std::map<std::string, Relation> known_tables_;
};

}  // namespace thalweg::sql
