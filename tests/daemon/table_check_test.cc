#include "daemon/testing/table_check.h"

#include <catch2/catch.hpp>
#include <limits>

namespace thalweg::testing {
namespace {

const Schema kSchema{{{"word", Kind::kStr}, {"n", Type(Kind::kFloat, true)}}};

Change row(std::string word, double n, std::uint64_t time = 0, std::int64_t diff = 1, std::int64_t label = 0) {
  return {key_of_values({Value::of(label)}), {Value::str(std::move(word)), Value::of(n)}, time, diff};
}

std::optional<std::string> compare(ExpectKind kind, const std::string& text, std::vector<Change> got) {
  FileTable files;
  Labels labels;
  collect_labels(text, labels);
  auto result = compare_table({kind, {"t", text, {}}}, files, kSchema, std::move(got), labels);
  return result ? *result : std::optional("error: " + result.error().message);
}

}  // namespace

TEST_CASE("final tables are multisets: order does not matter, copies do") {
  const std::string text = "word | n\na | 1\nb | 2\nb | 2\n";
  CHECK_FALSE(compare(ExpectKind::kFinal, text, {row("b", 2), row("a", 1), row("b", 2)}));
  auto missing = compare(ExpectKind::kFinal, text, {row("b", 2), row("a", 1)});
  REQUIRE(missing);
  CHECK_THAT(*missing, Catch::Contains("- b"));
  CHECK(compare(ExpectKind::kFinal, text, {row("b", 2), row("a", 1), row("b", 2), row("c", 3)}));
}

TEST_CASE("floats agree within 1e-9 relative, and NaN with NaN") {
  const std::string text = "word | n\na | 0.3\nb | nan\n";
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_FALSE(compare(ExpectKind::kFinal, text, {row("a", 0.1 + 0.2), row("b", nan)}));
  CHECK(compare(ExpectKind::kFinal, text, {row("a", 0.3000001), row("b", nan)}));
  CHECK(compare(ExpectKind::kFinal, text, {row("a", 0.3), row("b", 1)}));
}

TEST_CASE("columns match by name; a missing or an extra one fails") {
  CHECK_FALSE(compare(ExpectKind::kFinal, "n | word\n1 | a\n", {row("a", 1)}));
  CHECK(compare(ExpectKind::kFinal, "word\na\n", {row("a", 1)}));
  CHECK(compare(ExpectKind::kFinal, "word | n | m\na | 1 | 2\n", {row("a", 1)}));
}

TEST_CASE("keyed tables compare labels, too") {
  const std::string text = "  | word | n\n7 | a | 1\n";
  CHECK_FALSE(compare(ExpectKind::kKeyed, text, {row("a", 1, 0, 1, 7)}));
  CHECK(compare(ExpectKind::kKeyed, text, {row("a", 1, 0, 1, 8)}));
}

TEST_CASE("streams compare net changes per time") {
  const std::string text = "word | n | __time__ | __diff__\na | 1 | 2 | 1\na | 1 | 4 | -1\na | 2 | end | 1\n";
  const std::uint64_t end = 18446744073709551614ULL;
  CHECK_FALSE(compare(ExpectKind::kStream, text, {row("a", 1, 2), row("a", 1, 4, -1), row("a", 2, end)}));
  CHECK_FALSE(compare(ExpectKind::kStream, text,
                      {row("a", 1, 2), row("x", 1, 2), row("x", 1, 2, -1), row("a", 1, 4, -1), row("a", 2, end)}));
  auto late = compare(ExpectKind::kStream, text, {row("a", 1, 2), row("a", 1, 6, -1), row("a", 2, end)});
  REQUIRE(late);
  CHECK_THAT(*late, Catch::Contains("- a") && Catch::Contains("+ a"));
}

TEST_CASE("an empty expected table is a header alone") {
  CHECK_FALSE(compare(ExpectKind::kFinal, "word | n\n", {}));
  CHECK(compare(ExpectKind::kFinal, "word | n\n", {row("a", 1)}));
}

}  // namespace thalweg::testing
