#include "pipeline_lang/expr_check.h"

#include <catch2/catch.hpp>

#include "pipeline_lang/expr_syntax.h"

using namespace thalweg;
using namespace thalweg::lang;

namespace {

std::string parsed(std::string_view text) {
  auto syntax = parse_expression(text);
  return syntax ? to_text(**syntax) : "error: " + syntax.error().message;
}

Schema rows() {
  return {{{"a", Kind::kInt},
           {"b", Kind::kInt},
           {"f", Kind::kFloat},
           {"s", Kind::kStr},
           {"o", Type(Kind::kInt, true)},
           {"j", Kind::kJson},
           {"p", Type::tuple({Kind::kInt, Kind::kStr})},
           {"l", Type::list(Kind::kInt)},
           {"t", Kind::kDateTimeNaive},
           {"ok", Kind::kBool}}};
}

ExprInput input(std::string text) { return {std::move(text), {}, {}, nullptr}; }

NameScope scope() {
  NameScope out = NameScope::of_table(rows(), {"$t"});
  out.set_variables([](std::string_view name) -> ExprVariable {
    if (name == "n") return {ExprVariable::Kind::kLiteral, Value::of(std::int64_t{7}), {}};
    if (name == "other") return {ExprVariable::Kind::kOther, {}, nullptr, "a table"};
    return {};
  });
  return out;
}

std::string checked(std::string text) {
  auto expr = check_expression(input(std::move(text)), scope());
  if (!expr) {
    std::string out = "error: " + expr.error().message;
    for (const auto& note : expr.error().notes) out += " / " + note.text;
    return out;
  }
  return plan::to_text(**expr) + " : " + (*expr)->type.to_text();
}

bool refused(std::string text, std::string_view part) {
  const std::string out = checked(std::move(text));
  INFO(out);
  CHECK(out.find(part) != std::string::npos);
  return out.starts_with("error: ");
}

}  // namespace

TEST_CASE("precedence is that of Python") {
  CHECK(parsed("a + b * 2") == "(a + (b * 2))");
  CHECK(parsed("-2 ** 2") == "(- (2 ** 2))");
  CHECK(parsed("2 ** -1") == "(2 ** -1)");
  CHECK(parsed("2 ** 3 ** 2") == "(2 ** (3 ** 2))");
  CHECK(parsed("not a == b and c or d") == "(((not (a == b)) and c) or d)");
  CHECK(parsed("a | b ^ c & d << 1 + 2") == "(a | (b ^ (c & (d << (1 + 2)))))");
  CHECK(parsed("x if c else y if d else z") == "(x if c else (y if d else z))");
  CHECK(parsed("a is not None and b not in [1, 2,]") == "((a is not None) and (b not in [1, 2]))");
  CHECK(parsed("~a & b") == "((~ a) & b)");
  CHECK(parsed("x.str.slice(0, -1)[2].get('k', default=1)") == "x.str.slice(0, -1)[2].get('k', default=1)");
  CHECK(parsed("(a, b)") == "tuple(a, b)");
  CHECK(parsed("{'k': a, \"m\": 1}") == "{'k', a, 'm', 1}");
  CHECK(parsed("cast(float | None, x)") == "cast(<float | None>, x)");
  CHECK(parsed("cast(\"list[int]\", x)") == "cast(<list[int]>, x)");
  CHECK(parsed("`odd name` + $v") == "(`odd name` + $v)");
  CHECK(parsed("a = 1") == "(a == 1)");
  CHECK(parsed("a <> 1") == "(a != 1)");
  CHECK(parsed("1_000 + 0x1F + 1.5e-3 + .5 + 1.") == "((((1000 + 31) + 0.0015) + 0.5) + 1.0)");
  CHECK(parsed("-9223372036854775808") == "-9223372036854775808");
}

TEST_CASE("what is no expression is an error, never more") {
  for (const char* text :
       {"",      " ",     "(",      ")",      "a +",        "a b", "a < b < c", "'x",     "`x",  "$",
        "a.",    "f(",    "[1",     "{1: 2}", "1x",         "\\",  "if",        "a if b", "not", "9223372036854775808",
        "'\\q'", "a ? b", "a[1:2]", "x is y", "\"\\ud800\""}) {
    INFO(text);
    CHECK(parsed(text).starts_with("error: "));
  }
  for (const char* piece :
       {"(", "[", "{\"k\":", "-", "not ", "f(", "~", "a if b else ", "1+", "a.b", "a or ", "x**", "a["}) {
    std::string text;
    for (int i = 0; i < 100'000; ++i) text += piece;
    INFO(piece);
    CHECK(parsed(text).starts_with("error: "));
  }
  std::string sum = "1";
  for (int i = 0; i < 500; ++i) sum += " + 1";
  CHECK_FALSE(parsed(sum).starts_with("error: "));
}

TEST_CASE("names and types") {
  CHECK(checked("a + 1") == "add(#0, 1) : int");
  CHECK(checked("this.a + pw.this.b") == "add(#0, #1) : int");
  CHECK(checked("$t.a") == "#0 : int");
  CHECK(checked("`a`") == "#0 : int");
  CHECK(checked("a + f") == "add(cast<float>(#0), #2) : float");
  CHECK(checked("a / b") == "truediv(#0, #1) : float");
  CHECK(checked("$n + 1") == "add(7, 1) : int");
  CHECK(checked("id") == "id : pointer");
  CHECK(checked("inf") == "inf : float");
  CHECK(checked("ok and a < b") == "and(#9, lt(#0, #1)) : bool");
  CHECK(checked("ok & ok") == "and(#9, #9) : bool");
  CHECK(checked("a & b") == "bit_and(#0, #1) : int");
  CHECK(checked("o == None") == "is_none(#4) : bool");
  CHECK(checked("o is not None") == "is_not_none(#4) : bool");
  CHECK(checked("[1, 2.5]") == "(1.0, 2.5) : list[float]");
  CHECK(checked("(a, 'x')") == "make_tuple(#0, 'x') : tuple[int, str]");
  CHECK(checked("p[0]").ends_with(": int"));
  CHECK(checked("l.get(0)").ends_with(": int | None"));
  CHECK(checked("j['k'][0]").ends_with(": json | None"));
  CHECK(checked("a in [1, 2]") == "contains((1, 2), #0) : bool");
  CHECK(checked("cast(float | None, o)").ends_with(": float | None"));
  CHECK(checked("a if ok else f").ends_with(": float"));
  CHECK(checked("coalesce(o, 0) + a").ends_with(": int"));
  CHECK(checked("pw.coalesce(o, 0)").ends_with(": int"));
  CHECK(checked("a == f") == "eq(cast<float>(#0), #2) : bool");
}

TEST_CASE("None is ruled out where it was tested") {
  CHECK(checked("o + 1 if o is not None else 0").ends_with(": int"));
  CHECK(checked("if_else(o.is_none(), 0, o)").ends_with(": int"));
  CHECK(checked("o is not None and o > 1").ends_with(": bool"));
  CHECK(checked("o is None or o > 1").ends_with(": bool"));
  CHECK(checked("require(o + 1, o)").ends_with(": int | None"));
  CHECK(refused("o + 1", "`o` may be None"));
  CHECK(refused("o + 1", "coalesce"));
  CHECK(refused("o < 1", "unwrap"));
  auto condition = check_condition(input("o is not None and a > 1"), scope(), "where");
  REQUIRE(condition.has_value());
  CHECK(not_none_where(**condition) == std::set<std::uint32_t>{4});
}

TEST_CASE("errors name what is wrong and what would be right") {
  CHECK(refused("aa + 1", "unknown column `aa`"));
  CHECK(refused("sss", "there are: `a`"));
  CHECK(refused("a + s", "`int` and `str`"));
  CHECK(refused("s[0]", ".str.slice"));
  CHECK(refused("a < b < 3", "do not chain"));
  CHECK(refused("now()", "temporal.utc_now"));
  CHECK(refused("$nope", "`$nope` is not defined"));
  CHECK(refused("$other.x", "not an operand"));
  CHECK(refused("sum(a)", "is a reducer"));
  CHECK(refused("p[2]", "out of range"));
  CHECK(refused("coalesc(o, 1)", "did you mean `coalesce`"));
  CHECK(refused("make_tuple(a, o) < make_tuple(o, a)", "tuple"));
  CHECK(refused("(1, 2) == (1, 2, 3)", "different numbers"));
  CHECK(refused("j + 1", "as_int"));
  CHECK(refused("left.a", "no `left` here"));
  CHECK(refused("j.k", "j[\"k\"]"));
  CHECK_FALSE(check_condition(input("a"), scope(), "where").has_value());
}

TEST_CASE("join conditions take a side each") {
  Schema left{{{"k", Kind::kInt}, {"x", Kind::kInt}}}, right{{{"k", Kind::kFloat}, {"y", Kind::kStr}}};
  const auto side = [](const Schema& schema, std::string name) {
    NameScope::Side out;
    out.qualifiers = {std::move(name)};
    for (std::uint32_t i = 0; i < schema.size(); ++i)
      out.names.push_back({schema.columns[i].name, plan::column(i, schema.columns[i].type), {}});
    out.key = plan::key();
    NameScope scope;
    scope.add_side(std::move(out));
    return scope;
  };
  const NameScope l = side(left, "left"), r = side(right, "right");
  const auto pair = [&](std::string text) -> std::string {
    auto out = check_join_condition(input(std::move(text)), l, r);
    if (!out)
      return "error: " + out.error().message + (out.error().notes.empty() ? "" : " / " + out.error().notes[0].text);
    return plan::to_text(*out->left) + " = " + plan::to_text(*out->right) +
           (out->shared.empty() ? "" : " shared " + out->shared);
  };
  CHECK(pair("left.k == right.k") == "cast<float>(#0) = #0 shared k");
  CHECK(pair("right.k == left.x") == "cast<float>(#1) = #0");
  CHECK(pair("k") == "cast<float>(#0) = #0 shared k");
  CHECK(pair("x == k") == "cast<float>(#1) = #0");
  CHECK(pair("left.id == right.id") == "id = id");
  CHECK(pair("left.k < right.k").find("where:") != std::string::npos);
  CHECK(pair("left.k == right.y").find("cannot be equal") != std::string::npos);
  CHECK(pair("left.k == left.x").find("left table") != std::string::npos);
  CHECK(pair("x").find("unknown column `x`") != std::string::npos);
}

TEST_CASE("reductions are split around the grouping") {
  std::vector<GroupColumn> by = {{{"s"}, plan::column(3, Kind::kStr)}};
  Reduction reduction(scope(), by, {}, {});
  const auto add = [&](std::string text) -> std::string {
    auto out = reduction.add(input(std::move(text)));
    if (!out)
      return "error: " + out.error().message + (out.error().notes.empty() ? "" : " / " + out.error().notes[0].text);
    return plan::to_text(**out) + " : " + (*out)->type.to_text();
  };
  CHECK(add("sum(a * b) / count()") == "truediv(#1, #2) : float");
  CHECK(add("sum(a * b)") == "#1 : int");
  CHECK(add("s + '!'") == "add(#0, '!') : str");
  CHECK(add("argmin(a)") == "#3 : pointer");
  CHECK(add("argmin(a, y=b)") == "#4 : int");
  CHECK(add("tuple(o)") == "#5 : list[int | None]");
  CHECK(add("tuple(o, skip_nones=True)") == "coalesce(#6, ()) : list[int]");
  CHECK(add("pw.reducers.max(f)") == "#7 : float");
  CHECK(add("tools.aggregate.avg(a)") == "#8 : float");
  CHECK(add("count(distinct=True, by=a)") == "#9 : int");
  CHECK(add("count_distinct()") == "1 : int");
  CHECK(add("quantile(a, 0.9)") == "#10 : float");
  CHECK(add("string_agg(s, '-')") == "#11 : str");
  CHECK(add("count(*)") == "#2 : int");
  CHECK(add("max(s)[0]").find("error") == 0);
  CHECK(add("sum(o)").find("skip_nones") != std::string::npos);
  CHECK(add("a").find("neither in `by` nor inside a reducer") != std::string::npos);
  CHECK(add("sum(sum(a))").find("inside a reducer") != std::string::npos);
  CHECK(add("sum(s)").find("takes numbers") != std::string::npos);
  CHECK(add("fold(0, acc + row.a)").find("append-only") != std::string::npos);
  std::vector<std::string> pre;
  for (const auto& expr : reduction.pre()) pre.push_back(plan::to_text(*expr));
  CHECK(pre == std::vector<std::string>{"#3", "mul(#0, #1)", "#0", "id", "#1", "#4", "#2"});
}

TEST_CASE("folds read the columns that come before the grouping") {
  ReductionOptions options;
  options.append_only = true;
  Reduction reduction(scope(), {{{"s"}, plan::column(3, Kind::kStr)}}, {}, {}, options);
  auto out = reduction.add(input("fold(0, acc + row.a * f)"));
  INFO((out ? "" : out.error().message));
  REQUIRE(out.has_value());
  CHECK((*out)->type == Type(Kind::kFloat));
  CHECK(plan::to_text(*reduction.reducers()[0].fold) == "add(#0, mul(cast<float>(#2), #3))");
  CHECK(reduction.reducers()[0].fold_init == Value::of(0.0));
}
