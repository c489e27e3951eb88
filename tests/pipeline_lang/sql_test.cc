// Queries to plans: what is accepted compiles, what is not says why and where.
#include "pipeline_lang/sql/sql.h"

#include <catch2/catch.hpp>

#include <map>
#include <random>

#include "engine/expr/program.h"

using namespace thalweg;

namespace {

const std::map<std::string, Schema>& tables() {
  static const Type kMaybeInt(Kind::kInt, true);
  static const std::map<std::string, Schema> all = {
      {"staff",
       {{{"sid", Kind::kInt},
         {"name", Kind::kStr},
         {"team", Type(Kind::kStr, true)},
         {"pay", kMaybeInt},
         {"boss", kMaybeInt}}}},
      {"squad", {{{"team", Type(Kind::kStr, true)}, {"city", Type(Kind::kStr, true)}, {"budget", Kind::kFloat}}}},
      {"sale", {{{"sid", kMaybeInt}, {"item", Kind::kStr}, {"qty", kMaybeInt}, {"price", Kind::kFloat}}}},
      {"events",
       {{{"at", Kind::kDateTimeNaive}, {"who", Kind::kStr}, {"ok", Kind::kBool}, {"took", Kind::kDuration}}}}};
  return all;
}

Result<sql::Planned> plan_of(std::string_view text) {
  sql::Request request;
  request.text = text;
  request.span_of = [](sql::Place place) { return SourceSpan{1, place.begin, place.end}; };
  request.find_table = [](const std::string& name) -> std::optional<sql::TableInfo> {
    auto it = tables().find(name);
    if (it == tables().end()) return std::nullopt;
    return sql::TableInfo{it->second, false};
  };
  for (const auto& [name, schema] : tables()) request.table_names.push_back(name);
  return sql::plan_query(request);
}

// All expressions of a fragment have kernels.
std::string compile_all(const plan::Plan& fragment) {
  for (const plan::Node& node : fragment.nodes) {
    std::vector<plan::ExprPtr> exprs;
    if (const auto* project = std::get_if<plan::Project>(&node.params)) {
      exprs = project->exprs;
      if (exprs.size() != node.schema.size()) return "a project has other columns than its schema";
    }
    if (const auto* filter = std::get_if<plan::Filter>(&node.params)) exprs = {filter->condition};
    auto program = expr::Program::compile(exprs);
    if (!program) return program.error().message;
    const Schema* input = node.inputs.empty() ? nullptr : &fragment.node(node.inputs[0]).schema;
    for (const plan::ExprPtr& expr : exprs) {
      std::vector<bool> used;
      bool uses_key = false;
      plan::collect_columns(*expr, used, uses_key);
      for (std::size_t i = 0; i < used.size(); ++i)
        if (used[i] && (!input || i >= input->size())) return "a column beyond those of the input";
    }
  }
  return {};
}

std::string columns(std::string_view text) {
  auto planned = plan_of(text);
  if (!planned) return "error: " + planned.error().message;
  std::string fault = compile_all(planned->fragment);
  if (!fault.empty()) return "does not compile: " + fault;
  std::string out;
  for (const auto& column : planned->fragment.node(planned->output).schema.columns)
    out += (out.empty() ? "" : ", ") + column.name + ": " + column.type.to_text();
  return out;
}

// The message, the text underlined and the first note.
std::string fault(std::string_view text) {
  auto planned = plan_of(text);
  if (planned) return "accepted";
  const Error& error = planned.error();
  std::string out =
      error.message + " @" + std::string(text.substr(error.span.begin, error.span.end - error.span.begin));
  if (!error.notes.empty()) out += " (" + error.notes[0].text + ")";
  return out;
}

std::size_t count(const sql::Planned& planned, std::string_view op) {
  std::size_t n = 0;
  for (const plan::Node& node : planned.fragment.nodes) n += plan::operator_name(node.params) == op ? 1 : 0;
  return n;
}

}  // namespace

TEST_CASE("columns have the names and types that SQL gives them") {
  CHECK(columns("SELECT * FROM staff") == "sid: int, name: str, team: str | None, pay: int | None, boss: int | None");
  CHECK(columns("SELECT s.sid, pay + 1, pay / 2 AS half, name || 'x' AS 'n x' FROM staff s") ==
        "sid: int, _col_1: int | None, half: float | None, n x: str");
  CHECK(columns("SELECT COUNT(*), SUM(pay), AVG(pay), MIN(name) FROM staff") ==
        "_col_0: int, _col_1: int | None, _col_2: float | None, _col_3: str | None");
  CHECK(
      columns(
          "SELECT CASE WHEN pay > 1 THEN 'a' END x, COALESCE(pay, 0) y, pay IS NULL z, NULLIF(sid, 1) w FROM staff") ==
      "x: str | None, y: int, z: bool, w: int | None");
  CHECK(columns("SELECT team, name, city FROM staff FULL JOIN squad USING (team)") ==
        "team: str | None, name: str | None, city: str | None");
  CHECK(columns("SELECT * FROM staff JOIN squad USING (team)") ==
        "team: str | None, sid: int, name: str, pay: int | None, boss: int | None, city: str | None, budget: float");
  CHECK(columns("SELECT * FROM staff s JOIN squad q ON s.team = q.team") ==
        "sid: int, name: str, team: str | None, pay: int | None, boss: int | None, city: str | None, budget: float");
  CHECK(columns("SELECT sid FROM staff UNION ALL SELECT price FROM sale") == "sid: float");
  CHECK(columns("SELECT 1 AS one, NULL AS nothing") == "one: int, nothing: None");
  CHECK(columns("VALUES (1, 'a'), (NULL, 'b')") == "_col_0: int | None, _col_1: str");
  CHECK(columns("SELECT EXTRACT(YEAR FROM at) y, DATE_TRUNC('hour', at) h, at - INTERVAL '5 minutes' e FROM events "
                "WHERE at >= '2024-01-01'") == "y: int, h: datetime_naive, e: datetime_naive");
}

TEST_CASE("what language.md 6 lists is planned, with kernels for every call") {
  for (std::string_view text : {
           "SELECT DISTINCT item FROM sale WHERE NOT (qty = 2) OR price BETWEEN 1 AND 2",
           "SELECT name FROM staff WHERE name LIKE 'A%' AND name NOT LIKE '%y' AND name ILIKE '_nn' ESCAPE '!'",
           "SELECT UPPER(name), LOWER(name), LENGTH(name), SUBSTR(name, 1, 2), SUBSTRING(name FROM 2 FOR 1), "
           "TRIM(name),"
           " LTRIM(name), RTRIM(name, 'x'), REPLACE(name, 'a', 'b'), CONCAT(name, team, pay), POSITION('a' IN name) "
           "FROM staff",
           "SELECT ABS(pay), ROUND(price, 1), ROUND(price), FLOOR(price), CEIL(price), MOD(sale.sid, 2), POWER(price, "
           "2),"
           " SQRT(price), GREATEST(qty, 1, 2), LEAST(price, qty), pay % 3, pay DIV 2 FROM sale, staff",
           "SELECT CAST(price AS INT), CAST(qty AS TEXT), '12'::int, CAST(item AS FLOAT), qty::varchar(10) FROM sale",
           "SELECT s.sid FROM staff s LEFT JOIN sale a ON a.sid = s.sid AND a.qty > s.pay WHERE a.sid IS NULL",
           "SELECT s.sid FROM staff s FULL OUTER JOIN sale a ON a.sid = s.sid AND a.qty > 1 AND s.pay < 3",
           "SELECT s.sid FROM staff s RIGHT JOIN sale a ON a.qty > s.pay",
           "SELECT s.sid FROM staff s LEFT JOIN sale a ON TRUE",
           "SELECT s.sid FROM staff s CROSS JOIN sale a, squad",
           "SELECT boss, COUNT(DISTINCT team), SUM(DISTINCT pay), SUM(pay) FILTER (WHERE pay > 2), STRING_AGG(name, "
           "'-' ORDER BY sid)"
           " FROM staff GROUP BY boss HAVING COUNT(*) > 1 AND MIN(pay) IS NOT NULL",
           "SELECT SUBSTR(name, 1, 1) AS letter, COUNT(*) FROM staff GROUP BY letter HAVING letter <> 'A'",
           "SELECT SUBSTR(name, 1, 1), COUNT(*) FROM staff GROUP BY 1",
           "SELECT team, SUM(pay) AS pay FROM staff GROUP BY team HAVING pay > 3 ORDER BY pay DESC NULLS LAST LIMIT 2 "
           "OFFSET 1",
           "SELECT STDDEV(pay), STDDEV_POP(pay), VAR_SAMP(pay), VAR_POP(pay), MEDIAN(pay), QUANTILE(pay, 0.9), "
           "ARGMIN(pay, name),"
           " MAX_BY(name, pay), ANY_VALUE(name), BOOL_AND(pay > 1), BOOL_OR(pay > 1), ARRAY_AGG(pay), FIRST(name) FROM "
           "staff",
           "SELECT sid FROM staff WHERE sid NOT IN (SELECT sid FROM sale) AND team IN (SELECT team FROM squad)",
           "SELECT sid FROM staff s WHERE EXISTS (SELECT 1 FROM sale a WHERE a.sid = s.sid AND a.qty > 1)",
           "SELECT sid, EXISTS (SELECT 1 FROM sale WHERE qty > 5) AS any_sale FROM staff",
           "SELECT sid FROM staff s WHERE NOT EXISTS (SELECT * FROM sale a WHERE s.sid = a.sid)",
           "SELECT q.city, (SELECT SUM(s.pay) FROM staff s WHERE s.team = q.team) AS payroll FROM squad q",
           "SELECT q.city, (SELECT COUNT(*) + 1 FROM staff s WHERE s.team = q.team HAVING COUNT(*) > 1) AS n FROM "
           "squad q",
           "SELECT sid FROM staff s WHERE pay > (SELECT AVG(pay) FROM staff t WHERE t.team = s.team)",
           "SELECT sid FROM staff s WHERE pay = (SELECT MAX(pay) FROM staff)",
           "SELECT team FROM staff GROUP BY team HAVING SUM(pay) > (SELECT AVG(budget) FROM squad)",
           "SELECT team, (SELECT city FROM squad q WHERE q.team = s.team) FROM staff s GROUP BY team",
           "SELECT sid FROM staff s WHERE (SELECT item FROM sale a WHERE a.sid = s.sid ORDER BY price LIMIT 1) = 'pen'",
           "SELECT item, qty FROM sale EXCEPT SELECT item, qty FROM sale WHERE qty IS NULL",
           "SELECT sid FROM staff UNION SELECT sid FROM sale INTERSECT SELECT boss FROM staff ORDER BY sid LIMIT 3",
           "SELECT item FROM sale INTERSECT ALL SELECT item FROM sale WHERE qty > 1",
           "(SELECT sid FROM staff ORDER BY pay LIMIT 1) UNION ALL (SELECT sid FROM sale LIMIT 2)",
           "WITH a AS (SELECT sid FROM staff), b(x) AS (SELECT sid FROM a) SELECT x FROM b JOIN a ON a.sid = b.x",
           "SELECT x FROM (WITH q AS (SELECT 1 AS x) SELECT x FROM q)",
           "SELECT team, ROW_NUMBER() OVER (PARTITION BY team ORDER BY pay DESC) AS rn FROM staff QUALIFY rn <= 2",
           "SELECT GREATEST(CASE pay WHEN 1 THEN 2 ELSE 3 END, sid), (pay > 1) = (sid > 1), pay IS DISTINCT FROM boss,"
           " (pay > 1) IS NOT TRUE, (sid, pay) IN ((1, 2), (3, NULL)) FROM staff",
           "SELECT SUM(pay > 10), pay > 10 AND boss IS NULL FROM staff GROUP BY pay, boss",
           "SELECT a.sid FROM staff a, (sale b LEFT JOIN squad c ON b.item = c.city) WHERE a.sid = b.sid",
           "SELECT a.sid FROM squad, staff a JOIN sale b ON a.sid IN (SELECT sid FROM sale WHERE price > 1) AND a.sid "
           "= b.sid",
       }) {
    INFO(text);
    CHECK(columns(text).find("error: ") == std::string::npos);
    CHECK(columns(text).find("does not compile") == std::string::npos);
  }
}

TEST_CASE("time in SQL: windows, asof joins, bands") {
  CHECK(columns("SELECT window_start, window_end, COUNT(*) AS n FROM TUMBLE(TABLE events, DESCRIPTOR(at), INTERVAL '10 "
                "minutes') "
                "GROUP BY window_start, window_end") ==
        "window_start: datetime_naive, window_end: datetime_naive, n: int");
  CHECK(columns(
            "SELECT who, window_end FROM HOP(events, at, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE) AS h WHERE h.ok") ==
        "who: str, window_end: datetime_naive");
  CHECK(columns("SELECT who, window_start FROM TABLE(SESSION(TABLE events PARTITION BY who, DESCRIPTOR(at), INTERVAL "
                "'30s'))") == "who: str, window_start: datetime_naive");
  CHECK(columns("SELECT window_start FROM TUMBLE(sale, sid, 10)") == "window_start: int");
  CHECK(fault("SELECT * FROM TUMBLE(events, who, INTERVAL '1m')")
            .starts_with("the time of `TUMBLE` is a number or a datetime"));
  CHECK(fault("SELECT * FROM TUMBLE(events, at, 5)").starts_with("the size must be a constant `duration`"));
  CHECK(fault("SELECT * FROM TUMBEL(events, at, 5)").starts_with("unknown table function `TUMBEL`"));
  CHECK(columns("SELECT a.sid, b.item FROM staff a ASOF JOIN sale b ON a.sid = b.sid AND a.pay >= b.qty") ==
        "sid: int, item: str");
  CHECK(columns("SELECT a.sid, b.item FROM staff a ASOF LEFT JOIN sale b ON a.pay > b.qty") ==
        "sid: int, item: str | None");
  CHECK(fault("SELECT 1 FROM staff a ASOF JOIN sale b ON a.sid = b.sid").starts_with("ON of an ASOF JOIN needs"));
  auto planned = plan_of("SELECT a.sid FROM staff a, sale b WHERE a.pay BETWEEN b.qty - 1 AND b.qty + 1");
  REQUIRE(planned);
  CHECK(count(*planned, "join") == 0);
  CHECK(count(*planned, "interval_join") == 1);
}

TEST_CASE("a bound on ROW_NUMBER becomes the bound of its node") {
  auto planned = plan_of(
      "SELECT sid FROM (SELECT sid, ROW_NUMBER() OVER (PARTITION BY team ORDER BY pay) AS rn FROM staff) "
      "WHERE rn <= 3 AND sid > 1");
  REQUIRE(planned);
  bool found = false;
  for (const plan::Node& node : planned->fragment.nodes)
    if (const auto* topk = std::get_if<plan::TopK>(&node.params)) {
      CHECK(topk->limit == std::optional<std::uint64_t>(3));
      found = true;
    }
  CHECK(found);
}

TEST_CASE("equalities of WHERE are the keys of joins in FROM") {
  auto planned =
      plan_of("SELECT s.sid FROM staff s, squad q, sale a WHERE a.sid = s.sid AND q.team = s.team AND a.qty > 1");
  REQUIRE(planned);
  CHECK(count(*planned, "join") == 2);
  for (const plan::Node& node : planned->fragment.nodes)
    if (const auto* join = std::get_if<plan::Join>(&node.params)) {
      CHECK(join->left_on.size() == 1);
      CHECK_FALSE(join->none_matches);
    }
}

TEST_CASE("errors say what was found, where, and what is near") {
  CHECK(fault("SELECT wrod FROM staff") == "unknown column `wrod` @wrod (there are: sid, name, team, pay, boss)");
  CHECK(fault("SELECT nme FROM staff") == "unknown column `nme` @nme (did you mean `name`?)");
  CHECK(fault("SELECT 1 FROM staff WHERE name = \"Gus Gas\"").find("a text stands in single ones: 'Gus Gas'") !=
        std::string::npos);
  CHECK(fault("SELECT x FROM stafff") == "unknown table `stafff` @stafff (did you mean `staff`?)");
  CHECK(fault("SELECT z.sid FROM staff s").starts_with("unknown table `z` in `z.sid` @z.sid"));
  CHECK(fault("SELECT team FROM staff JOIN squad ON TRUE") == "`team` is ambiguous: `staff.team`, `squad.team` @team");
  CHECK(fault("DELETE FROM staff").starts_with("`DELETE` changes data (DML)"));
  CHECK(fault("CREATE TABLE x (a int)").starts_with("`CREATE` is a statement of DDL"));
  CHECK(fault("WITH a AS (SELECT 1) INSERT INTO t SELECT 1").starts_with("`INSERT` changes data (DML)"));
  CHECK(fault("SELECT 1; DROP TABLE staff").starts_with("`DROP` is a statement of DDL"));
  CHECK(fault("SELECT * FROM staff NATURAL JOIN squad").starts_with("NATURAL JOIN is not supported"));
  CHECK(fault("SELECT sid FROM staff s WHERE EXISTS (SELECT 1 FROM sale a WHERE a.sid > s.sid)")
            .starts_with("correlation other than by equality: `s.sid`"));
  CHECK(fault("SELECT (SELECT s.pay + budget FROM squad q WHERE q.team = s.team) FROM staff s")
            .starts_with("correlation other than by equality: `s.pay`"));
  CHECK(fault("SELECT name, COUNT(*) FROM staff GROUP BY team").starts_with("column `name` is neither in GROUP BY"));
  CHECK(
      fault("SELECT sid FROM staff WHERE COUNT(*) > 1").starts_with("an aggregate cannot stand in WHERE; use HAVING"));
  CHECK(fault("SELECT SUM(COUNT(*)) FROM staff") == "`SUM` cannot contain another aggregate @SUM(COUNT(*))");
  CHECK(fault("SELECT SUM(name) FROM staff") == "`SUM` takes numbers, found `str` @SUM(name)");
  CHECK(fault("SELECT name + 1 FROM staff").find("@name + 1") != std::string::npos);
  CHECK(fault("SELECT name > 1 FROM staff") == "cannot compare `str` with `int`; CAST one of them @name > 1");
  CHECK(fault("SELECT UPER(name) FROM staff") == "unknown function `UPER` @UPER(name) (did you mean `UPPER`?)");
  CHECK(fault("SELECT a, FROM staff") == "expected an expression, found `FROM` @FROM");
  CHECK(fault("SELECT sid FROM staff WHERE") == "expected an expression, found the end of the query @");
  CHECK(fault("SELECT sid FROM staff UNION SELECT sid, item FROM sale")
            .starts_with("UNION: the left side has 1 columns"));
  CHECK(
      fault("SELECT name FROM staff UNION SELECT sid FROM sale").starts_with("UNION, column `name`: `str` and `int`"));
  CHECK(
      fault("SELECT RANK() OVER (ORDER BY sid) FROM staff").starts_with("the window function `RANK` is not supported"));
  CHECK(fault("SELECT s.team, q.team FROM staff s, squad q").starts_with("two columns of the result are named `team`"));
  CHECK(fault("SELECT 'abc FROM staff").starts_with("a text that does not end"));
  CHECK(fault("WITH RECURSIVE a AS (SELECT 1) SELECT * FROM a").find("!iterate") != std::string::npos);
  CHECK(fault("SELECT CAST(sid AS intt) FROM staff").starts_with("unknown type `intt`"));
  CHECK(fault("") == "expected SELECT, found the end of the query @");
}

TEST_CASE("depth and size are bounded") {
  std::string deep = "SELECT " + std::string(5000, '(') + "1" + std::string(5000, ')');
  CHECK(fault(deep).starts_with("the query is nested deeper than 200 levels"));
  std::string sum = "SELECT 1";
  for (int i = 0; i < 5000; ++i) sum += "+1";
  CHECK(fault(sum).starts_with("the query is nested deeper than 200 levels"));
  std::string nested = "1";
  for (int i = 0; i < 150; ++i) nested = "(" + nested + " BETWEEN 0 AND 1)";
  CHECK(fault("SELECT " + nested + " FROM staff").starts_with("the expression is too large"));
  std::string queries = "SELECT 1";
  for (int i = 0; i < 3000; ++i) queries = "SELECT * FROM (" + queries;
  CHECK_FALSE(plan_of(queries));
  std::string nots = "SELECT ";
  for (int i = 0; i < 10000; ++i) nots += "NOT ";
  CHECK(fault(nots + "TRUE").starts_with("the query is nested deeper than 200 levels"));
  std::string many = "SELECT sid FROM staff WHERE sid IN (0";
  for (int i = 0; i < 8000; ++i) many += "," + std::to_string(i);
  CHECK(columns(many + ")") == "sid: int");
  CHECK(fault(std::string(70000, ' ')).starts_with("the query is longer than"));
}

TEST_CASE("no tokens in any order crash the planner") {
  static constexpr std::string_view kWords[] = {
      "SELECT", "FROM",      "WHERE",      "GROUP",  "BY",     "HAVING", "ORDER",   "LIMIT",    "JOIN",  "LEFT",
      "FULL",   "ON",        "USING",      "(",      ")",      ",",      ".",       "*",        "=",     "<",
      "+",      "-",         "||",         "AND",    "OR",     "NOT",    "IN",      "EXISTS",   "CASE",  "WHEN",
      "THEN",   "ELSE",      "END",        "NULL",   "TRUE",   "1",      "2.5",     "'x'",      "staff", "sale",
      "sid",    "pay",       "name",       "item",   "s",      "COUNT",  "SUM",     "DISTINCT", "UNION", "ALL",
      "EXCEPT", "INTERSECT", "WITH",       "AS",     "IS",     "LIKE",   "BETWEEN", "CAST",     "::",    "INTERVAL",
      "OVER",   "PARTITION", "ROW_NUMBER", "FILTER", "VALUES", "OFFSET", "DESC",    "NULLS",    "FIRST", ";",
      "\"q\"",  "--\n",      "/*",         "é"};
  std::mt19937 random(7);
  auto pick = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  for (int round = 0; round < 3000; ++round) {
    std::string text = pick(2) == 0 ? "SELECT " : "";
    for (std::size_t i = 0, n = 1 + pick(25); i < n; ++i) text += std::string(kWords[pick(std::size(kWords))]) + " ";
    if (auto planned = plan_of(text)) CHECK(compile_all(planned->fragment).empty());
  }
  static constexpr std::string_view kGood =
      "WITH x AS (SELECT sid, COUNT(*) AS n FROM sale GROUP BY sid) SELECT s.name, x.n, CASE WHEN x.n > 1 THEN 'a' "
      "ELSE 'b' END "
      "FROM staff s LEFT JOIN x ON x.sid = s.sid AND s.pay > 1 WHERE s.pay IN (1, 2, NULL) OR EXISTS (SELECT 1 FROM "
      "squad q "
      "WHERE q.team = s.team) ORDER BY 1 DESC LIMIT 3";
  for (int round = 0; round < 3000; ++round) {
    std::string text(kGood);
    for (std::size_t i = 0, n = 1 + pick(3); i < n; ++i) {
      std::size_t at = pick(text.size());
      if (pick(2) == 0)
        text.erase(at, 1 + pick(8));
      else
        text.insert(at, kWords[pick(std::size(kWords))]);
    }
    if (auto planned = plan_of(text)) {
      INFO(text);
      CHECK(compile_all(planned->fragment).empty());
    }
  }
}
