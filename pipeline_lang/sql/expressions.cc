// From the tree of an expression to a typed one over the columns of a SELECT.

#include <algorithm>

#include "engine/base/edit_distance.h"
#include "engine/types/duration.h"
#include "pipeline_lang/sql/lexer.h"
#include "pipeline_lang/sql/planner.h"

namespace thalweg::sql {

using plan::ExprKind;

// ---------------------------------------------------------------- names

Result<ExprPtr> Planner::star_column(const Scope& scope, const StarEntry& entry, SourceSpan where) const {
  std::vector<ExprPtr> sources;
  for (std::uint32_t source : entry.sources) sources.push_back(plan::column(source, scope.columns[source].type, where));
  if (sources.size() == 1) return sources[0];
  Type type = TRY(unify(sources, "USING", where));
  bool optional = std::all_of(sources.begin(), sources.end(), [](const ExprPtr& e) { return e->type.admits_none(); });
  for (std::size_t i = 0; i < sources.size(); ++i)  // what cannot be None ends the search
    if (scope.columns[entry.sources[i]].type.without_optional() == type.without_optional())
      sources[i] = plan::column(entry.sources[i], scope.columns[entry.sources[i]].type, where);
  return plan::special(ExprKind::kCoalesce, std::move(sources), optional ? type.as_optional() : type.without_optional(),
                       where);
}

Result<std::optional<ExprPtr>> Planner::find_column(Context& ctx, const Ast& ast) {
  std::optional<ExprPtr> found;
  bool twice = false;
  if (ast.qualifier.empty()) {
    for (const StarEntry& entry : ctx.scope.star) {
      if (entry.name != ast.name) continue;
      twice = found.has_value();
      if (!twice) found = TRY(star_column(ctx.scope, entry, span(ast.place)));
    }
  } else {
    for (std::size_t i = 0; i < ctx.scope.columns.size(); ++i) {
      const ScopeColumn& column = ctx.scope.columns[i];
      if (column.table != ast.qualifier || column.name != ast.name) continue;
      twice = found.has_value();
      if (!twice) found = plan::column(static_cast<std::uint32_t>(i), column.type, span(ast.place));
    }
  }
  if (!twice) return found;
  std::string tables;
  for (const ScopeColumn& column : ctx.scope.columns)
    if (column.name == ast.name) tables += (tables.empty() ? "`" : ", `") + column.table + "." + column.name + "`";
  return error("`" + ast.name + "` is ambiguous: " + tables, ast.place);
}

Error Planner::unknown_column(const Context& ctx, const Ast& ast) const {
  std::string written = ast.qualifier.empty() ? ast.name : ast.qualifier + "." + ast.name;
  std::vector<std::string> names;
  std::vector<std::string> tables;
  for (const Context* c = &ctx; c != nullptr; c = c->outer) {
    for (const ScopeColumn& column : c->scope.columns) {
      if (ast.qualifier.empty() || column.table == ast.qualifier) names.push_back(column.name);
      if (std::find(tables.begin(), tables.end(), column.table) == tables.end()) tables.push_back(column.table);
    }
  }
  bool table_known = ast.qualifier.empty() || std::find(tables.begin(), tables.end(), ast.qualifier) != tables.end();
  Error fault{Code::kInvalidPipeline, {}, span(ast.place), {}};
  if (!table_known) {
    fault.message = "unknown table `" + ast.qualifier + "` in `" + written + "`";
    if (auto near = nearest_name(ast.qualifier, tables))
      return std::move(fault).with_note("did you mean `" + *near + "`?");
    return fault;
  }
  fault.message = "unknown column `" + written + "`";
  if (auto near = nearest_name(ast.name, names)) return std::move(fault).with_note("did you mean `" + *near + "`?");
  if (ast.quoted && ast.qualifier.empty())
    return std::move(fault).with_note("double quotes are for names; a text stands in single ones: '" + ast.name + "'");
  std::string all;
  for (std::size_t i = 0; i < names.size() && i < 20; ++i) all += (i == 0 ? "" : ", ") + names[i];
  if (!all.empty()) return std::move(fault).with_note("there are: " + all);
  return fault;
}

Result<ExprPtr> Planner::column(Context& ctx, const Ast& ast) {
  const ExprPtr* alias = nullptr;
  if (ast.qualifier.empty() && !ctx.inside_aggregate)
    for (const auto& [name, expr] : ctx.aliases)
      if (name == ast.name && !alias) alias = &expr;
  for (Context* c = &ctx; c != nullptr; c = c->outer) {
    std::optional<ExprPtr> found = TRY(find_column(*c, ast));
    if (alias && c == &ctx) {
      auto is_grouped = [&](const ExprPtr& expr) { return same_expr(*expr, **found); };
      bool column_wins = found && (!ctx.grouped || std::any_of(ctx.grouped->begin(), ctx.grouped->end(), is_grouped));
      if (!column_wins) return *alias;
    }
    if (!found) {
      // A table of this SELECT hides one of the same name around it.
      bool is_ours = std::any_of(c->scope.columns.begin(), c->scope.columns.end(),
                                 [&](const ScopeColumn& column) { return column.table == ast.qualifier; });
      if (!ast.qualifier.empty() && is_ours) break;
      continue;
    }
    if (c == &ctx) return *found;
    if (c != ctx.outer)
      return error("correlation over more than one level of subqueries is not supported: `" + ast.name +
                       "` is a column two or more levels out",
                   ast.place);
    Virtual outer;
    outer.kind = Virtual::Kind::kOuter;
    outer.type = (*found)->type;
    outer.place = ast.place;
    outer.text = ast.qualifier.empty() ? ast.name : ast.qualifier + "." + ast.name;
    outer.outer = *found;
    return ctx.add_virtual(std::move(outer), span(ast.place));
  }
  return fail(unknown_column(ctx, ast));
}

Result<Type> Planner::type_named(const std::string& name, Place place) const {
  std::string upper = upper_case(name);
  struct Spelling {
    std::string_view name;
    Kind kind;
  };
  static constexpr Spelling kSpellings[] = {{"INT", Kind::kInt},
                                            {"INTEGER", Kind::kInt},
                                            {"BIGINT", Kind::kInt},
                                            {"SMALLINT", Kind::kInt},
                                            {"TINYINT", Kind::kInt},
                                            {"INT2", Kind::kInt},
                                            {"INT4", Kind::kInt},
                                            {"INT8", Kind::kInt},
                                            {"SIGNED", Kind::kInt},
                                            {"FLOAT", Kind::kFloat},
                                            {"REAL", Kind::kFloat},
                                            {"DOUBLE", Kind::kFloat},
                                            {"DOUBLE PRECISION", Kind::kFloat},
                                            {"NUMERIC", Kind::kFloat},
                                            {"DECIMAL", Kind::kFloat},
                                            {"FLOAT4", Kind::kFloat},
                                            {"FLOAT8", Kind::kFloat},
                                            {"TEXT", Kind::kStr},
                                            {"VARCHAR", Kind::kStr},
                                            {"CHAR", Kind::kStr},
                                            {"STRING", Kind::kStr},
                                            {"STR", Kind::kStr},
                                            {"CHARACTER", Kind::kStr},
                                            {"CHARACTER VARYING", Kind::kStr},
                                            {"BOOL", Kind::kBool},
                                            {"BOOLEAN", Kind::kBool},
                                            {"TIMESTAMP", Kind::kDateTimeNaive},
                                            {"DATETIME", Kind::kDateTimeNaive},
                                            {"DATE", Kind::kDateTimeNaive},
                                            {"TIMESTAMP WITHOUT TIME ZONE", Kind::kDateTimeNaive},
                                            {"TIMESTAMPTZ", Kind::kDateTimeUtc},
                                            {"TIMESTAMP WITH TIME ZONE", Kind::kDateTimeUtc},
                                            {"INTERVAL", Kind::kDuration},
                                            {"UUID", Kind::kUuid},
                                            {"JSON", Kind::kJson},
                                            {"JSONB", Kind::kJson},
                                            {"BYTES", Kind::kBytes},
                                            {"BLOB", Kind::kBytes},
                                            {"BYTEA", Kind::kBytes}};
  for (const Spelling& known : kSpellings)
    if (known.name == upper) return Type(known.kind);
  if (auto type = type_from_text(name)) return *type;
  std::vector<std::string> names;
  for (const Spelling& known : kSpellings) names.emplace_back(known.name);
  Error fault{Code::kInvalidPipeline, "unknown type `" + name + "`", span(place), {}};
  if (auto near = nearest_name(upper, names)) return fail(std::move(fault).with_note("did you mean `" + *near + "`?"));
  return fail(std::move(fault));
}

// ---------------------------------------------------------------- conditions

Result<Logic> Planner::logic(Context& ctx, const Ast& ast, std::string_view what) {
  switch (ast.kind) {
    case AstKind::kAnd:
    case AstKind::kOr: {
      Logic chain;
      chain.kind = ast.kind == AstKind::kAnd ? Logic::Kind::kAnd : Logic::Kind::kOr;
      for (const AstPtr& arg : ast.args)
        chain.parts.push_back(
            TRY(logic(ctx, *arg, ast.kind == AstKind::kAnd ? "an operand of AND" : "an operand of OR")));
      return chain;
    }
    case AstKind::kNot: return Logic::negation(TRY(logic(ctx, *ast.args[0], "the operand of NOT")));
    case AstKind::kBetween: {
      Logic both = TRY(between(ctx, ast));
      return ast.negated ? Logic::negation(std::move(both)) : std::move(both);
    }
    case AstKind::kInList: {
      Logic any = TRY(in_list(ctx, ast));
      return ast.negated ? Logic::negation(std::move(any)) : std::move(any);
    }
    case AstKind::kInQuery:
    case AstKind::kLike: {
      ExprPtr found = ast.kind == AstKind::kLike ? TRY(like(ctx, ast)) : TRY(subquery(ctx, ast));
      return ast.negated ? Logic::negation(Logic::of(found)) : Logic::of(found);
    }
    case AstKind::kLiteral:
    case AstKind::kInterval:
    case AstKind::kTyped:
    case AstKind::kColumn:
    case AstKind::kStar:
    case AstKind::kNegate:
    case AstKind::kPlus:
    case AstKind::kBinary:
    case AstKind::kIs:
    case AstKind::kIsTruth:
    case AstKind::kIsNull:
    case AstKind::kExists:
    case AstKind::kScalar:
    case AstKind::kCase:
    case AstKind::kCast:
    case AstKind::kExtract:
    case AstKind::kCall:
    case AstKind::kRow: break;
  }
  ExprPtr leaf = TRY(value(ctx, ast));
  leaf = TRY(as_condition(leaf, what, span(ast.place)));
  TRY(check_size(leaf));
  return Logic::of(leaf);
}

Result<ExprPtr> Planner::condition(Context& ctx, const Ast& ast, std::string_view what) {
  return value_of(TRY(logic(ctx, ast, what)), span(ast.place));
}

Result<Logic> Planner::between(Context& ctx, const Ast& ast) {
  ExprPtr x = TRY(value(ctx, *ast.args[0]));
  ExprPtr low = TRY(value(ctx, *ast.args[1]));
  ExprPtr high = TRY(value(ctx, *ast.args[2]));
  Logic both;
  both.kind = Logic::Kind::kAnd;
  both.parts.push_back(Logic::of(TRY(compare_sql(">=", x, low, span(ast.place)))));
  both.parts.push_back(Logic::of(TRY(compare_sql("<=", x, high, span(ast.place)))));
  return both;
}

Result<Logic> Planner::in_list(Context& ctx, const Ast& ast) {
  if (ast.args.size() == 1) return Logic::of(bool_literal(false, span(ast.place)));
  Logic any;
  any.kind = Logic::Kind::kOr;
  if (ast.args[0]->kind == AstKind::kRow) {
    for (std::size_t i = 1; i < ast.args.size(); ++i) {
      const Ast& row = *ast.args[i];
      if (row.kind != AstKind::kRow || row.args.size() != ast.args[0]->args.size())
        return error("expected a row of " + std::to_string(ast.args[0]->args.size()) + " values", row.place);
      Logic all;
      all.kind = Logic::Kind::kAnd;
      for (std::size_t k = 0; k < row.args.size(); ++k)
        all.parts.push_back(TRY(equal(ctx, *ast.args[0]->args[k], *row.args[k])));
      any.parts.push_back(std::move(all));
    }
    return any;
  }
  ExprPtr x = TRY(value(ctx, *ast.args[0]));
  for (std::size_t i = 1; i < ast.args.size(); ++i) {
    ExprPtr item = TRY(value(ctx, *ast.args[i]));
    any.parts.push_back(Logic::of(TRY(compare_sql("=", x, item, span(ast.args[i]->place)))));
  }
  return any;
}

Result<Logic> Planner::equal(Context& ctx, const Ast& a, const Ast& b) {
  ExprPtr left = TRY(value(ctx, a));
  ExprPtr right = TRY(value(ctx, b));
  return Logic::of(TRY(compare_sql("=", left, right, span({a.place.begin, b.place.end}))));
}

// (a, b) = (c, d)
Result<ExprPtr> Planner::compare_rows(Context& ctx, const Ast& ast) {
  const Ast& left = *ast.args[0];
  const Ast& right = *ast.args[1];
  if (left.kind != right.kind || left.args.size() != right.args.size() || (ast.name != "=" && ast.name != "<>"))
    return error("rows compare with rows of as many values, by = or <>", ast.place);
  Logic all;
  all.kind = Logic::Kind::kAnd;
  for (std::size_t i = 0; i < left.args.size(); ++i)
    all.parts.push_back(TRY(equal(ctx, *left.args[i], *right.args[i])));
  if (ast.name == "<>") all = Logic::negation(std::move(all));
  return value_of(all, span(ast.place));
}

Result<ExprPtr> Planner::like(Context& ctx, const Ast& ast) {
  std::vector<ExprPtr> args;
  for (const AstPtr& arg : ast.args) {
    ExprPtr text = TRY(value(ctx, *arg));
    if (!is_null_literal(*text) && !text->type.is(Kind::kStr)) text = TRY(cast_sql(text, Kind::kStr, span(arg->place)));
    if (ast.name == "ILIKE") text = lifted("str.lower", {text}, Kind::kStr, span(arg->place));
    args.push_back(text);
  }
  if (args.size() == 2) args.push_back(plan::literal(Value::str(""), Kind::kStr, span(ast.place)));
  return lifted("sql.like", std::move(args), Kind::kBool, span(ast.place));
}

Result<ExprPtr> Planner::is_truth(Context& ctx, const Ast& ast) {
  Logic inner = TRY(logic(ctx, *ast.args[0], "the operand of IS " + ast.name));
  ExprPtr answer;
  if (ast.name == "TRUE")
    answer = sql::is_true(inner);
  else if (ast.name == "FALSE")
    answer = sql::is_false(inner);
  else
    answer = is_null(value_of(inner, span(ast.place)), span(ast.place));
  return ast.negated ? sql::is_false(Logic::of(answer)) : answer;
}

// ---------------------------------------------------------------- values

Result<ExprPtr> Planner::value(Context& ctx, const Ast& ast) {
  SourceSpan where = span(ast.place);
  switch (ast.kind) {
    case AstKind::kLiteral:
      switch (ast.literal.tag()) {
        case Value::Tag::kBool: return plan::literal(ast.literal, Kind::kBool, where);
        case Value::Tag::kInt: return plan::literal(ast.literal, Kind::kInt, where);
        case Value::Tag::kFloat: return plan::literal(ast.literal, Kind::kFloat, where);
        case Value::Tag::kStr: return plan::literal(ast.literal, Kind::kStr, where);
        default: return null_literal(Kind::kNone, where);
      }
    case AstKind::kInterval: return interval(ast);
    case AstKind::kTyped: return typed_literal(ast);
    case AstKind::kColumn: return column(ctx, ast);
    case AstKind::kStar: return error("`*` stands in select lists and in COUNT(*) only", ast.place);
    case AstKind::kNegate: return negate(TRY(value(ctx, *ast.args[0])), where);
    case AstKind::kPlus: return value(ctx, *ast.args[0]);
    case AstKind::kAnd:
    case AstKind::kOr:
    case AstKind::kNot:
    case AstKind::kBetween:
    case AstKind::kInList:
    case AstKind::kInQuery:
    case AstKind::kLike: {
      ExprPtr whole = TRY(condition(ctx, ast, "an operand"));
      TRY(check_size(whole));
      return whole;
    }
    case AstKind::kBinary: return binary(ctx, ast);
    case AstKind::kIs: {
      ExprPtr a = TRY(value(ctx, *ast.args[0]));
      ExprPtr b = TRY(value(ctx, *ast.args[1]));
      ExprPtr same = TRY(same_value(a, b, where));
      return ast.negated ? sql::is_false(Logic::of(same)) : same;
    }
    case AstKind::kIsTruth: return is_truth(ctx, ast);
    case AstKind::kIsNull: {
      ExprPtr operand = TRY(value(ctx, *ast.args[0]));
      ExprPtr null = is_null(operand, where);
      return ast.negated ? sql::is_false(Logic::of(null)) : null;
    }
    case AstKind::kExists:
    case AstKind::kScalar: return subquery(ctx, ast);
    case AstKind::kCase: return case_when(ctx, ast);
    case AstKind::kCast: return cast(ctx, ast);
    case AstKind::kExtract: return extract_field(ast.name, TRY(value(ctx, *ast.args[0])), where);
    case AstKind::kCall: return call(ctx, ast);
    case AstKind::kRow: return error("a row of values stands only beside = and IN", ast.place);
  }
  return error("this expression is not supported", ast.place);
}

Result<ExprPtr> Planner::binary(Context& ctx, const Ast& ast) {
  static constexpr std::string_view kComparisons[] = {"=", "<>", "<", "<=", ">", ">="};
  bool compares = std::find(std::begin(kComparisons), std::end(kComparisons), ast.name) != std::end(kComparisons);
  if (compares && (ast.args[0]->kind == AstKind::kRow || ast.args[1]->kind == AstKind::kRow))
    return compare_rows(ctx, ast);
  ExprPtr a = TRY(value(ctx, *ast.args[0]));
  ExprPtr b = TRY(value(ctx, *ast.args[1]));
  return compares ? compare_sql(ast.name, a, b, span(ast.place)) : arithmetic(ast.name, a, b, span(ast.place));
}

Result<ExprPtr> Planner::case_when(Context& ctx, const Ast& ast) {
  std::size_t at = 0;
  ExprPtr operand;
  if (ast.has_operand) operand = TRY(value(ctx, *ast.args[at++]));
  std::vector<ExprPtr> tests;
  std::vector<ExprPtr> results;
  std::size_t end = ast.args.size() - (ast.has_else ? 1 : 0);
  for (; at < end; at += 2) {
    const Ast& when = *ast.args[at];
    if (operand) {
      ExprPtr choice = TRY(value(ctx, when));
      tests.push_back(truth(TRY(compare_sql("=", operand, choice, span(when.place)))));
    } else {
      tests.push_back(sql::is_true(TRY(logic(ctx, when, "WHEN"))));
    }
    results.push_back(TRY(value(ctx, *ast.args[at + 1])));
  }
  if (tests.size() > kQueryDepthMax)
    return error("more than " + std::to_string(kQueryDepthMax) + " branches in one CASE", ast.place);
  results.push_back(ast.has_else ? TRY(value(ctx, *ast.args[end])) : null_literal(Kind::kNone, span(ast.place)));
  TRY(unify(results, "CASE", span(ast.place)));
  ExprPtr whole = results.back();
  for (std::size_t i = tests.size(); i-- > 0;) whole = if_then(tests[i], results[i], whole, span(ast.place));
  TRY(check_size(whole));
  return whole;
}

Result<ExprPtr> Planner::cast(Context& ctx, const Ast& ast) {
  Type type = TRY(type_named(ast.name, ast.place));
  ExprPtr from = TRY(value(ctx, *ast.args[0]));
  ExprPtr out = TRY(cast_sql(from, type, span(ast.place)));
  if (upper_case(ast.name) != "DATE" || is_null_literal(*out)) return out;
  return call_scalar("DATE_TRUNC", {plan::literal(Value::str("day"), Kind::kStr, span(ast.place)), out},
                     span(ast.place));
}

Result<ExprPtr> Planner::typed_literal(const Ast& ast) {
  if (ast.name == "TIME") return error("TIME literals are not supported; use INTERVAL or TIMESTAMP", ast.place);
  Kind kind = ast.name == "TIMESTAMPTZ" ? Kind::kDateTimeUtc : Kind::kDateTimeNaive;
  ExprPtr text = plan::literal(Value::str(ast.text), Kind::kStr, span(ast.place));
  Result<ExprPtr> naive = convert(text, kind, span(ast.place));
  if (naive || ast.name != "TIMESTAMP") return naive;
  return convert(text, Kind::kDateTimeUtc, span(ast.place));  // with an offset
}

Result<ExprPtr> Planner::interval(const Ast& ast) {
  std::string text = ast.text;
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  for (std::string_view calendar : {"month", "year"})
    if (text.find(calendar) != std::string::npos)
      return error("an INTERVAL of months or years has no fixed length; use days", ast.place);
  if (auto ns = parse_duration(text)) return plan::literal(Value::duration(*ns), Kind::kDuration, span(ast.place));
  return error("the INTERVAL '" + ast.text.substr(0, 60) + "' does not read as a duration such as '5 minutes'",
               ast.place);
}

Result<ExprPtr> Planner::call(Context& ctx, const Ast& ast) {
  if (ast.window) return row_number(ctx, ast);
  const AggregateRow* row = find_aggregate(ast.name);
  bool scalar = row && (row->name == "MIN" || row->name == "MAX") && ast.args.size() > 1;
  if (row && !scalar) return aggregate(ctx, ast, *row);
  if (ast.star || ast.distinct || ast.filter || !ast.order.empty()) {
    if (is_scalar_function(ast.name))
      return error("`" + ast.name + "` is no aggregate: it takes no `*`, DISTINCT, FILTER or ORDER BY", ast.place);
  } else {
    static constexpr std::string_view kNumbering[] = {"ROW_NUMBER", "RANK", "DENSE_RANK", "NTILE", "LAG", "LEAD"};
    if (std::find(std::begin(kNumbering), std::end(kNumbering), ast.name) != std::end(kNumbering))
      return error("`" + ast.name + "` needs OVER (…)", ast.place);
    if (ast.name == "NOW")
      return error("the current time changes by itself; use the table that `!temporal.utc_now` makes", ast.place);
  }
  if (!is_scalar_function(ast.name)) {
    Error fault{Code::kInvalidPipeline, "unknown function `" + ast.name + "`", span(ast.place), {}};
    if (auto near = nearest_name(ast.name, function_names()))
      return fail(std::move(fault).with_note("did you mean `" + *near + "`?"));
    return fail(std::move(fault));
  }
  std::vector<ExprPtr> args;
  for (const AstPtr& arg : ast.args) args.push_back(TRY(value(ctx, *arg)));
  ExprPtr result = TRY(call_scalar(ast.name, std::move(args), span(ast.place)));
  TRY(check_size(result));
  return result;
}

Result<ExprPtr> Planner::row_number(Context& ctx, const Ast& ast) {
  if (ast.name != "ROW_NUMBER")
    return error("the window function `" + ast.name + "` is not supported; there is ROW_NUMBER() OVER (…)", ast.place);
  if (!ast.args.empty() || ast.star || ast.filter) return error("ROW_NUMBER takes no arguments", ast.place);
  RowNumber rows;
  for (const AstPtr& by : ast.window->partition) rows.partition.push_back(TRY(value(ctx, *by)));
  for (const OrderItem& item : ast.window->order) {
    rows.order.push_back(TRY(value(ctx, *item.expr)));
    bool first = item.nulls == NullsOrder::kDefault ? !item.descending : item.nulls == NullsOrder::kFirst;
    rows.how.push_back({0, item.descending, first});
  }
  Virtual number;
  number.kind = Virtual::Kind::kRowNumber;
  number.type = Kind::kInt;
  number.place = ast.place;
  number.row_number = std::move(rows);
  return ctx.add_virtual(std::move(number), span(ast.place));
}

}  // namespace thalweg::sql
