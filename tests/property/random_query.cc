#include "tests/property/random_query.h"

#include <algorithm>

namespace thalweg::testing {
namespace {

const Type kInt(Kind::kInt, true);
const Type kText(Kind::kStr, true);

const std::vector<RandomTable>& shapes() {
  static const std::vector<RandomTable> all = {
      {"staff", {{{"sid", Kind::kInt}, {"name", Kind::kStr}, {"team", kText}, {"pay", kInt}, {"boss", kInt}}}, {}},
      {"squad", {{{"team", kText}, {"city", kText}, {"budget", Kind::kFloat}}}, {}},
      {"sale", {{{"sid", kInt}, {"item", Kind::kStr}, {"qty", kInt}, {"price", Kind::kFloat}}}, {}}};
  return all;
}

Value random_value(Random& random, const ColumnSpec& column) {
  if (column.type.admits_none() && random.chance(25)) return Value::none();
  static const std::vector<std::string> kTexts = {"A", "B", "C", "Ann", "Bob", "Cy", ""};
  if (column.type.is(Kind::kStr)) return Value::str(random.one_of(kTexts));
  if (column.type.is(Kind::kFloat)) return Value::of(static_cast<double>(random.between(0, 12)) * 0.25);
  return Value::of(random.between(-1, 5));
}

// ---------------------------------------------------------------- queries

struct Column {
  std::string name;  // with its table
  char type;         // i, f, t
};
using Columns = std::vector<Column>;

char type_letter(const Type& type) { return type.is(Kind::kInt) ? 'i' : type.is(Kind::kFloat) ? 'f' : 't'; }

class Writer {
 public:
  explicit Writer(Random& random) : random_(random) {}

  std::string query() {
    switch (random_.below(10)) {
      case 0:
      case 1: return set_operation();
      case 2: return limited();
      case 3: return with();
      case 4: return chance(50) ? ranked() : band();
      default: return select(2, {});
    }
  }

 private:
  std::size_t below(std::size_t n) { return random_.below(n); }
  bool chance(int percent) { return random_.chance(percent); }
  std::string pick(const std::vector<std::string>& of) { return random_.one_of(of); }

  // ---- expressions

  std::string column(const Columns& columns, char type, const std::string& otherwise) {
    std::vector<std::string> fit;
    for (const Column& c : columns)
      if (c.type == type) fit.push_back(c.name);
    return fit.empty() ? otherwise : pick(fit);
  }

  std::string value(const Columns& columns, char type, int depth) {
    return type == 'i' ? integer(columns, depth) : type == 'f' ? real(columns, depth) : text(columns, depth);
  }

  std::string integer(const Columns& columns, int depth) {
    std::string literal = std::to_string(random_.between(-1, 4));
    if (depth <= 0 || chance(45)) return chance(80) ? column(columns, 'i', literal) : literal;
    auto sub = [&] { return integer(columns, depth - 1); };
    switch (below(10)) {
      case 0: return "(" + sub() + " + " + sub() + ")";
      case 1: return "(" + sub() + " - " + sub() + ")";
      case 2: return "(" + sub() + " * " + literal + ")";
      case 3: return "ABS(" + sub() + ")";
      case 4: return "COALESCE(" + sub() + ", " + sub() + ")";
      case 5: return "CASE WHEN " + condition(columns, depth - 1) + " THEN " + sub() + " ELSE " + sub() + " END";
      case 6: return "CASE " + sub() + " WHEN 1 THEN " + sub() + " WHEN " + sub() + " THEN 7 END";
      case 7: return "LENGTH(" + text(columns, depth - 1) + ")";
      case 8: return "NULLIF(" + sub() + ", " + sub() + ")";
      default: return "(" + sub() + " % 3)";
    }
  }

  std::string real(const Columns& columns, int depth) {
    std::string literal = pick({"0.5", "1.25", "2.0"});
    if (depth <= 0 || chance(60)) return chance(80) ? column(columns, 'f', literal) : literal;
    switch (below(4)) {
      case 0: return "(" + real(columns, depth - 1) + " + " + real(columns, depth - 1) + ")";
      case 1: return "(" + real(columns, depth - 1) + " * " + literal + ")";
      case 2: return "(" + integer(columns, depth - 1) + " * " + literal + ")";
      default: return "COALESCE(" + real(columns, depth - 1) + ", " + literal + ")";
    }
  }

  std::string text(const Columns& columns, int depth) {
    std::string literal = pick({"'A'", "'B'", "'Ann'", "''", "'y'"});
    if (depth <= 0 || chance(50)) return chance(85) ? column(columns, 't', literal) : literal;
    auto sub = [&] { return text(columns, depth - 1); };
    switch (below(7)) {
      case 0: return "(" + sub() + " || " + sub() + ")";
      case 1: return "UPPER(" + sub() + ")";
      case 2: return "LOWER(" + sub() + ")";
      case 3:
        return "SUBSTR(" + sub() + ", " + std::to_string(random_.between(-2, 3)) + ", " +
               std::to_string(random_.between(0, 2)) + ")";
      case 4: return "TRIM(' ' || " + sub() + " || '  ')";
      case 5: return "REPLACE(" + sub() + ", 'n', 'mm')";
      default: return "COALESCE(" + sub() + ", " + literal + ")";
    }
  }

  std::string condition(const Columns& columns, int depth) {
    static const std::vector<std::string> kOrder = {"=", "<>", "<", "<=", ">", ">="};
    if (depth > 0 && chance(45)) {
      std::string a = condition(columns, depth - 1);
      switch (below(4)) {
        case 0: return "(" + a + " AND " + condition(columns, depth - 1) + ")";
        case 1: return "(" + a + " OR " + condition(columns, depth - 1) + ")";
        case 2: return "NOT (" + a + ")";
        default: return "((" + a + ") IS " + pick({"", "NOT "}) + pick({"TRUE", "FALSE", "NULL"}) + ")";
      }
    }
    char type = "iift"[below(4)];
    std::string x = value(columns, type, depth - 1);
    switch (below(6)) {
      case 0:
      case 1: return x + " " + pick(kOrder) + " " + value(columns, type, depth - 1);
      case 2: return x + " IS " + pick({"", "NOT "}) + "NULL";
      case 3: return x + pick({"", " NOT"}) + " BETWEEN " + value(columns, type, 0) + " AND " + value(columns, type, 0);
      case 4:
        return x + pick({"", " NOT"}) + " IN (" + value(columns, type, 0) + ", " + value(columns, type, 0) +
               pick({"", ", NULL"}) + ")";
      default:
        return text(columns, depth - 1) + pick({"", " NOT"}) + " LIKE " +
               pick({"'A%'", "'%n'", "'_'", "'%b%'", "'a%'"});
    }
  }

  // ---- tables

  struct From {
    std::string text;
    Columns columns;
  };

  From table() {
    const RandomTable& shape = shapes()[below(shapes().size())];
    std::string alias = "t" + std::to_string(aliases_++);
    From from{shape.name + " " + alias, {}};
    for (const ColumnSpec& c : shape.schema.columns)
      from.columns.push_back({alias + "." + c.name, type_letter(c.type)});
    return from;
  }

  From derived() {
    std::string alias = "d" + std::to_string(aliases_++);
    Columns outputs;
    std::string inner = select(1, {}, &outputs);
    From from{"(" + inner + ") " + alias, {}};
    for (const Column& c : outputs) from.columns.push_back({alias + "." + c.name, c.type});
    return from;
  }

  std::string equality(const Columns& a, const Columns& b) {
    char type = "iit"[below(3)];
    std::string otherwise = type == 'i' ? "1" : "'A'";
    return column(a, type, otherwise) + " = " + column(b, type, otherwise);
  }

  From joined(int depth) {
    From left = depth > 1 && chance(15) ? derived() : table();
    int joins = chance(50) ? 0 : chance(70) ? 1 : 2;
    // SQLite 3.40 loses rows of RIGHT and FULL JOIN after an ON with a constant part that is not true.
    bool plain = joins > 1 && chance(60);
    for (int i = 0; i < joins; ++i) {
      From right = table();
      Columns both = left.columns;
      both.insert(both.end(), right.columns.begin(), right.columns.end());
      std::string how = pick({"JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN", ","});
      if (i > 0 && !plain && (how == "RIGHT JOIN" || how == "FULL JOIN")) how = "LEFT JOIN";
      // A comma binds looser than JOIN here and not in SQLite; it can only come last.
      if (how == "," && i + 1 < joins) how = "CROSS JOIN";
      std::string on;
      if (i == 0 && how != "CROSS JOIN" && how != "," && !plain && chance(15)) {
        std::string shared;
        for (const Column& l : left.columns)
          for (const Column& r : right.columns)
            if (l.name.substr(l.name.find('.')) == r.name.substr(r.name.find('.')))
              shared = r.name.substr(r.name.find('.') + 1);
        if (!shared.empty()) {
          left.text += " " + how + " " + right.text + " USING (" + shared + ")";
          char type = 't';
          for (const Column& r : right.columns)
            if (r.name.substr(r.name.find('.') + 1) == shared) type = r.type;
          left.columns = std::move(both);
          // The merged column has no table; one of the same name in a third table would be ambiguous.
          if (joins == 1) left.columns.push_back({shared, type});
          continue;
        }
      }
      if (how != "CROSS JOIN" && how != ",") {
        on = " ON " + (plain || chance(85) ? equality(left.columns, right.columns) : condition(both, 1));
        if (plain && chance(30))
          on += " AND " + column(right.columns, 't', "") + pick({" > 'A'", " IS NOT NULL", " <> 'B'"});
        if (!plain && chance(30))
          on += " AND " + condition(chance(50) ? both : chance(50) ? left.columns : right.columns, 1);
      }
      left.text += (how == "," ? ", " : " " + how + " ") + right.text + on;
      left.columns = std::move(both);
    }
    return left;
  }

  // ---- subqueries

  // A condition with a subquery in it, three-valued.
  std::string subquery_condition(const Columns& outer) {
    std::string one = subquery_predicate(outer);
    switch (below(6)) {
      case 0: return "NOT (" + one + ")";
      case 1: return "(" + one + " OR " + condition(outer, 1) + ")";
      case 2: return "((" + one + ") IS " + pick({"", "NOT "}) + pick({"TRUE", "FALSE", "NULL"}) + ")";
      default: return one;
    }
  }

  std::string subquery_predicate(const Columns& outer) {
    From from = table();
    std::string where;
    if (chance(60)) where = " WHERE " + equality(from.columns, outer);
    if (!where.empty() && chance(20)) where += " AND " + equality(outer, from.columns);
    if (chance(50)) where += (where.empty() ? " WHERE " : " AND ") + condition(from.columns, 1);
    std::string source = " FROM " + from.text + where;
    char type = "it"[below(2)];
    switch (below(6)) {
      case 0: return pick({"", "NOT "}) + "EXISTS (SELECT 1" + source + ")";
      case 1: return pick({"", "NOT "}) + "EXISTS (SELECT COUNT(*)" + source + group_tail(from.columns) + ")";
      case 2:
      case 3: {
        std::string item = value(from.columns, type, 1);
        std::string tail = chance(20) ? " UNION SELECT " + column(shape_columns(1), 't', "") + " FROM squad" : "";
        bool plain = source.find("WHERE") == std::string::npos;
        return value(outer, type, 1) + pick({"", " NOT"}) + " IN (SELECT " + item + source +
               (type == 't' && plain ? tail : "") + ")";
      }
      case 4: {
        std::string key = column(from.columns, type, "");
        if (key.empty()) return "TRUE";
        return value(outer, type, 1) + pick({"", " NOT"}) + " IN (SELECT " + key + source + " GROUP BY " + key +
               " HAVING COUNT(*) > 1)";
      }
      default: return integer(outer, 1) + " " + pick({"=", "<", ">="}) + " " + scalar(from.columns, source);
    }
  }

  std::string group_tail(const Columns& columns) {
    switch (below(3)) {
      case 0: return " HAVING COUNT(*) > " + std::to_string(below(2));
      case 1: {
        std::string key = column(columns, 't', "");
        return key.empty() ? "" : " GROUP BY " + key;
      }
      default: return "";
    }
  }

  static Columns shape_columns(std::size_t which) {
    Columns columns;
    for (const ColumnSpec& c : shapes()[which].schema.columns) columns.push_back({c.name, type_letter(c.type)});
    return columns;
  }

  std::string scalar(const Columns& columns, const std::string& source) {
    if (chance(20)) {
      std::string item = integer(columns, 0);
      return "(SELECT " + item + source + " ORDER BY 1 " + pick({"", "DESC "}) + "LIMIT 1)";
    }
    std::string aggregate =
        pick({"COUNT(*)", "SUM(" + integer(columns, 1) + ")", "MAX(" + integer(columns, 1) + ")",
              "COALESCE(SUM(" + integer(columns, 0) + "), 0) + COUNT(*)", "COUNT(" + integer(columns, 0) + ")",
              "CASE WHEN COUNT(*) > 1 THEN MIN(" + integer(columns, 0) + ") END"});
    return "(SELECT " + aggregate + source + (chance(15) ? " HAVING COUNT(*) > 0" : "") + ")";
  }

  // ---- select

  std::string aggregate(const Columns& columns, char& type) {
    type = 'i';
    std::string filter = chance(20) ? " FILTER (WHERE " + condition(columns, 1) + ")" : "";
    switch (below(9)) {
      case 0: return "COUNT(*)" + filter;
      case 1: return "COUNT(" + integer(columns, 1) + ")" + filter;
      case 2: return "SUM(" + integer(columns, 1) + ")" + filter;
      case 3: return "MIN(" + integer(columns, 1) + ")" + filter;
      case 4: return "COUNT(DISTINCT " + text(columns, 1) + ")" + filter;
      case 5: return "SUM(DISTINCT " + integer(columns, 0) + ")" + filter;
      case 6: type = 't'; return "MAX(" + text(columns, 1) + ")" + filter;
      case 7: type = 'f'; return "AVG(" + integer(columns, 1) + ")" + filter;
      default: type = 'f'; return "SUM(" + real(columns, 1) + ")" + filter;
    }
  }

  std::string select(int depth, const std::string& types, Columns* outputs = nullptr) {
    From from = joined(depth);
    std::string where;
    if (chance(50)) where = " WHERE " + condition(from.columns, 2);
    if (depth > 1 && chance(35)) where += (where.empty() ? " WHERE " : " AND ") + subquery_condition(from.columns);
    std::vector<std::string> items;
    std::string tail;
    Columns made;
    auto add = [&](const std::string& expr, char type) {
      std::string name = "c" + std::to_string(made.size());
      items.push_back(expr + " AS " + name);
      made.push_back({name, type});
    };
    if (types.empty() && chance(35)) {
      std::vector<std::string> groups;
      for (std::size_t i = 0, n = below(3); i < n; ++i) {
        char type = "it"[below(2)];
        groups.push_back(value(from.columns, type, chance(60) ? 0 : 1));
        if (groups.back().find("t") == std::string::npos ||
            std::isdigit(static_cast<unsigned char>(groups.back()[0])) || groups.back()[0] == '-' ||
            groups.back()[0] == '\'')  // a literal would be a position
          groups.back() = column(from.columns, type, "");
        if (groups.back().empty())
          groups.pop_back();
        else
          add(groups.back(), type);
      }
      for (std::size_t i = 0, n = 1 + below(2); i < n; ++i) {
        char type = 'i';
        std::string expr = aggregate(from.columns, type);
        add(expr, type);
      }
      for (std::size_t i = 0; i < groups.size(); ++i) tail += (i == 0 ? " GROUP BY " : ", ") + groups[i];
      if (chance(30))
        tail += " HAVING COUNT(*) > " + std::to_string(below(3)) +
                (chance(40) ? " AND MIN(" + integer(from.columns, 0) + ") IS NOT NULL" : "") +
                (depth > 1 && chance(40)
                     ? " AND COALESCE(SUM(" + integer(from.columns, 0) + "), 1) >= (SELECT MIN(sid) FROM sale)"
                     : "") +
                (depth > 1 && chance(30)
                     ? " AND MAX(" + integer(from.columns, 0) + ") " + pick({"", "NOT "}) + "IN (SELECT qty FROM sale)"
                     : "");
    } else {
      std::string wanted = types;
      if (wanted.empty())
        for (std::size_t i = 0, n = 1 + below(3); i < n; ++i) wanted += "itf"[below(3)];
      for (char type : wanted) add(value(from.columns, type, 2), type);
      if (types.empty() && depth > 1 && chance(15)) {
        From other = table();
        add(scalar(other.columns, " FROM " + other.text + " WHERE " + equality(other.columns, from.columns)), 'i');
      }
      if (types.empty() && chance(15)) add("(" + condition(from.columns, 1) + ")", 'b');
      if (types.empty() && depth > 1 && chance(15)) add("(" + subquery_condition(from.columns) + ")", 'b');
    }
    std::string out = chance(20) ? "SELECT DISTINCT " : "SELECT ";
    for (std::size_t i = 0; i < items.size(); ++i) out += (i == 0 ? "" : ", ") + items[i];
    if (outputs) *outputs = made;
    return out + " FROM " + from.text + where + tail;
  }

  std::string set_operation() {
    std::string types;
    for (std::size_t i = 0, n = 1 + below(2); i < n; ++i) types += "it"[below(2)];
    std::string out = select(1, types);
    // SQLite has no precedence among them: one kind per query, or only two parts.
    std::string op = pick({"UNION", "UNION ALL", "INTERSECT", "EXCEPT"});
    for (std::size_t i = 0, n = 1 + below(2); i < n; ++i) out += " " + op + " " + select(1, types);
    return out;
  }

  std::string limited() {
    Columns outputs;
    std::string inner = select(2, "", &outputs);
    std::string out = "SELECT * FROM (" + inner + ") d ORDER BY ";
    for (std::size_t i = 0; i < outputs.size(); ++i)
      out += (i == 0 ? "" : ", ") + outputs[i].name + pick({"", " DESC", " ASC NULLS LAST", " DESC NULLS FIRST"});
    out += " LIMIT " + std::to_string(1 + below(4));
    if (chance(30)) out += " OFFSET " + std::to_string(below(3));
    return out;
  }

  std::string band() {
    return "SELECT s.sid, a.qty, q.budget FROM staff s, sale a, squad q WHERE " +
           pick({"s.pay BETWEEN a.qty - 1 AND a.qty + 1", "a.qty >= s.pay AND a.qty <= s.boss",
                 "s.sid + 1 >= a.sid AND s.sid <= a.sid"}) +
           " AND " +
           pick({"q.budget BETWEEN a.price - 0.5 AND a.price", "a.price <= q.budget AND q.team = s.team",
                 "q.team = s.name"}) +
           (chance(50) ? " AND a.sid = s.boss" : "");
  }

  std::string with() {
    Columns outputs;
    std::string inner = select(1, "", &outputs);
    const Column& key = outputs[below(outputs.size())];
    if (key.type == 'f' || key.type == 'b') return "WITH q AS (" + inner + ") SELECT COUNT(*) AS n FROM q";
    From from = table();
    return "WITH q AS (" + inner + ") SELECT q." + key.name + ", " + integer(from.columns, 1) + " AS x FROM " +
           from.text + " " + pick({"JOIN", "LEFT JOIN", "FULL JOIN"}) + " q ON q." + key.name + " = " +
           column(from.columns, key.type, key.type == 'i' ? "1" : "'A'") +
           (chance(30) ? " UNION ALL SELECT q." + key.name + ", 1 FROM q" : "");
  }

  // Ranks over whole rows, so that ties are equal rows.
  std::string ranked() {
    return "SELECT sid, item, rn FROM (SELECT sid, item, ROW_NUMBER() OVER (PARTITION BY " +
           pick({"item", "sid", "item, sid"}) + " ORDER BY sid, item) AS rn FROM sale) r WHERE rn " +
           pick({"<=", "<", "="}) + " " + std::to_string(1 + below(3));
  }

  Random& random_;
  int aliases_ = 0;
};

}  // namespace

std::vector<RandomTable> random_tables(Random& random, std::size_t num_times) {
  std::vector<RandomTable> tables = shapes();
  for (RandomTable& table : tables) {
    std::vector<std::pair<std::size_t, std::vector<Value>>> live;
    std::size_t next_label = 0;
    for (std::size_t t = 1; t <= num_times; ++t) {
      std::uint64_t time = 2 * t;
      std::size_t takes = t == 1 ? 0 : random.below(4);
      for (std::size_t i = 0; i < takes && !live.empty(); ++i) {
        std::size_t at = random.below(live.size());
        table.events.push_back({time, -1, live[at].first, live[at].second});
        live.erase(live.begin() + static_cast<std::ptrdiff_t>(at));
      }
      std::size_t adds = t == 1 ? random.below(9) : random.below(4);
      for (std::size_t i = 0; i < adds; ++i) {
        std::vector<Value> row;
        if (!live.empty() && random.chance(20))
          row = live[random.below(live.size())].second;
        else
          for (const ColumnSpec& column : table.schema.columns) row.push_back(random_value(random, column));
        table.events.push_back({time, 1, next_label, row});
        live.emplace_back(next_label++, std::move(row));
      }
    }
  }
  return tables;
}

std::string random_query(Random& random) { return Writer(random).query(); }

}  // namespace thalweg::testing
