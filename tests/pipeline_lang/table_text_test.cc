#include "pipeline_lang/table_text.h"

#include <catch2/catch.hpp>

using namespace thalweg;
using namespace thalweg::lang;

namespace {

TableText read(std::string_view text, TableTextOptions options = {}) {
  auto table = parse_table_text(text, options);
  INFO((table ? std::string() : table.error().message));
  REQUIRE(table.has_value());
  return *table;
}

std::string error_of(std::string_view text, TableTextOptions options = {}) {
  auto table = parse_table_text(text, options);
  REQUIRE_FALSE(table.has_value());
  return table.error().message;
}

Value cell(std::string_view text, const Type& type) {
  auto value = value_from_cell(text, type);
  INFO((value ? std::string() : value.error().message));
  REQUIRE(value.has_value());
  return *value;
}

}  // namespace

TEST_CASE("column types are inferred from the cells that are not empty") {
  const TableText table = read(
      "a | b    | c   | d | e\n"
      "1 | True | 1.5 | x | \n"
      "2 |      | 2   | 1 | '7'\n");
  std::vector<std::string> types;
  for (const auto& column : table.schema.columns) types.push_back(column.type.to_text());
  CHECK(types == std::vector<std::string>{"int", "bool | None", "float", "str", "str | None"});
  CHECK(table.rows[0].cells[2] == Value::of(1.5));
  CHECK(table.rows[1].cells[1].is_none());
  CHECK(table.rows[1].cells[4] == Value::str("7"));
}

TEST_CASE("labels give keys that do not depend on the table") {
  const TableText table = read("\n    | a\n  1 | x\n  k | y\n");
  REQUIRE(table.has_labels);
  CHECK(table.rows[0].key == key_of_values({Value::of(std::int64_t{1})}));
  CHECK(table.rows[1].key == key_of_values({Value::str("k")}));
}

TEST_CASE("quotes and brackets keep their bars") {
  const TableText table = read("a | b\n'x|y' | [\"p|q\"]\nit's | \"tab\\there\"\n");
  CHECK(table.rows[0].cells[0] == Value::str("x|y"));
  CHECK(table.rows[0].cells[1] == Value::str("[\"p|q\"]"));
  CHECK(table.rows[1].cells[0] == Value::str("it's"));
  CHECK(table.rows[1].cells[1] == Value::str("tab\there"));
}

TEST_CASE("updates come by time, deletions first, with the values they delete") {
  const TableText table = read(
      "  | a | __time__ | __diff__\n"
      "1 | 5 | 4        | 1\n"
      "1 | 4 | 2        | 1\n"
      "1 | 4 | 4        | -1\n");
  (void)table;
  const TableText labelled = read(
      "  | a | __time__ | __diff__\n"
      "1 | 4 | 2        | 1\n"
      "1 | 5 | 4        | 1\n"
      "1 | 4 | 4        | -1\n");
  REQUIRE(labelled.rows.size() == 3);
  CHECK(labelled.rows[1].diff == -1);
  CHECK(labelled.rows[1].cells[0] == Value::of(std::int64_t{4}));
  CHECK(labelled.rows[2].diff == 1);
}

TEST_CASE("without labels a deletion finds a row of equal values") {
  const TableText table = read("w | __time__ | __diff__\na | 2 | 1\nb | 2 | 1\na | 4 | -1\n");
  REQUIRE(table.rows.size() == 3);
  CHECK(table.rows[2].key == table.rows[0].key);
  CHECK(error_of("w | __time__ | __diff__\na | 2 | 1\nb | 4 | -1\n").find("not there") != std::string::npos);
  CHECK(error_of("  | w\n1 | a\n1 | b\n").find("there already") != std::string::npos);
}

TEST_CASE("cells are read by type") {
  CHECK(cell("null", Type(Kind::kJson)) == Value::json("null"));
  CHECK(cell("", Type(Kind::kJson, true)).is_none());
  CHECK(cell("{\"a\": [1, 2]}", Type(Kind::kJson)) == Value::json("{\"a\":[1,2]}"));
  CHECK(cell("(1, 'a')", Type::tuple({Kind::kInt, Kind::kStr})) ==
        Value::tuple({Value::of(std::int64_t{1}), Value::str("a")}));
  CHECK(cell("[1, None]", Type::list(Type(Kind::kInt, true))) ==
        Value::tuple({Value::of(std::int64_t{1}), Value::none()}));
  CHECK(cell("[[1, 2], [3, 4]]", Type::array()) ==
        Value::array(NdArray{{2, 2}, std::vector<std::int64_t>{1, 2, 3, 4}}));
  CHECK(cell("[1, 2.5]", Type::array()) == Value::array(NdArray{{2}, std::vector<double>{1, 2.5}}));
  CHECK(cell("-1h30m", Type(Kind::kDuration)) == Value::duration(-5'400'000'000'000));
  CHECK(cell("0x6162", Type(Kind::kBytes)) == Value::bytes("ab"));
  CHECK(cell("Error", Type(Kind::kInt)).is_error());
  CHECK(cell("'Error'", Type(Kind::kStr)) == Value::str("Error"));
  CHECK_FALSE(value_from_cell("x", Type(Kind::kInt)).has_value());
  CHECK_FALSE(value_from_cell("", Type(Kind::kInt)).has_value());
}

TEST_CASE("what does not fit says where") {
  CHECK(error_of("a | b\n1 | 2 | 3\n") == "this line has 3 cells, the header has 2 (line 2, column 1 of the table)");
  CHECK(error_of("a | __time__\n1 | 3\n").find("even") != std::string::npos);
  CHECK(error_of("").find("no header") != std::string::npos);
  std::vector<DeclaredColumn> declared = {{"word", Kind::kStr, {}}};
  TableTextOptions options;
  options.declared = &declared;
  CHECK(error_of("wrod\nx\n", options).find("did you mean `word`") != std::string::npos);
}

TEST_CASE("expectations read `end` and take any time") {
  TableTextOptions options;
  options.expected = true;
  const TableText table = read("a | __time__ | __diff__\n1 | end | 1\n1 | 3 | -1\n", options);
  CHECK(table.rows[0].time == kTimeOfEnd);
  CHECK(table.rows[1].time == 3);
}

TEST_CASE("tables print as they are written") {
  CHECK(format_table({"a", "long"}, {{"1", "x"}, {"22", ""}}) == "a  | long\n1  | x\n22 |\n");
  CHECK(cell_text(Value::str(" a|b'"), Type(Kind::kStr)) == "' a|b'''");
  CHECK(cell_text(Value::tuple({Value::of(std::int64_t{2}), Value::str("a"), Value::none()}),
                  Type::tuple({Kind::kInt, Kind::kStr, Type(Kind::kStr, true)})) == "(2, 'a', None)");
}
