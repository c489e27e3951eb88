#include "llm/filter/jmespath.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace thalweg::llm {
namespace {

using nlohmann::json;

json search(const std::string& path, const char* document) {
  auto parsed = JmesPath::parse(path);
  INFO(path);
  REQUIRE(parsed);
  auto found = parsed->search(json::parse(document));
  return found ? *found : json("error: " + found.error().message);
}

struct Case {
  const char* path;
  const char* document;
  const char* expected;
};

// In the words of the language's specification.
const Case kCases[] = {
    {"a", R"({"a": 1})", "1"},
    {"a.b", R"({"a": {"b": [1]}})", "[1]"},
    {"a.x.y", R"({"a": 1})", "null"},
    {"\"with space\"", R"({"with space": 1})", "1"},
    {"[1]", "[1, 2]", "2"},
    {"[-1]", "[1, 2]", "2"},
    {"[5]", "[1, 2]", "null"},
    {"a[0].b", R"({"a": [{"b": 1}]})", "1"},
    {"[1:3]", "[0, 1, 2, 3]", "[1, 2]"},
    {"[::-1]", "[0, 1, 2]", "[2, 1, 0]"},
    {"[::2]", "[0, 1, 2]", "[0, 2]"},
    {"a[*].b", R"({"a": [{"b": 1}, {"c": 2}, {"b": 3}]})", "[1, 3]"},
    {"*.a", R"({"x": {"a": 1}, "y": {"a": 2}, "z": 3})", "[1, 2]"},
    {"[][]", "[[1, [2]], [3]]", "[1, 2, 3]"},
    {"a[].b[]", R"({"a": [{"b": [1, 2]}, {"b": [3]}]})", "[1, 2, 3]"},
    {"a[?b > `1`].b", R"({"a": [{"b": 1}, {"b": 2}, {"b": 3}]})", "[2, 3]"},
    {"a[?b == 'x' || c].c", R"({"a": [{"b": "x"}, {"c": 1}]})", "[1]"},
    {"a[*].b | [0]", R"({"a": [{"b": 1}, {"b": 2}]})", "1"},
    {"[a, b]", R"({"a": 1, "b": 2})", "[1, 2]"},
    {"{x: a, y: b.c}", R"({"a": 1, "b": {"c": 2}})", R"({"x": 1, "y": 2})"},
    {"a || b", R"({"b": 2})", "2"},
    {"a && b", R"({"a": [], "b": 2})", "[]"},
    {"!a", R"({"a": []})", "true"},
    {"`\"x\"`", "{}", "\"x\""},
    {"'it\\'s'", "{}", "\"it's\""},
    {"@", "3", "3"},
    {"length(@)", "\"äöü\"", "3"},
    {"sort(@)", "[3, 1, 2]", "[1, 2, 3]"},
    {"sort_by(@, &a)[*].b", R"([{"a": 2, "b": 1}, {"a": 1, "b": 2}])", "[2, 1]"},
    {"max_by(@, &a).b", R"([{"a": 2, "b": 1}, {"a": 1, "b": 2}])", "1"},
    {"map(&a, @)", R"([{"a": 2}, {}])", "[2, null]"},
    {"sum(@)", "[1, 2]", "3"},
    {"avg(@)", "[1, 2]", "1.5"},
    {"join('-', @)", R"(["a", "b"])", "\"a-b\""},
    {"contains(@, 'b')", R"(["a", "b"])", "true"},
    {"contains(a, 'ell')", R"({"a": "hello"})", "true"},
    {"starts_with(a, 'he') && ends_with(a, 'lo')", R"({"a": "hello"})", "true"},
    {"keys(@)", R"({"a": 1, "b": 2})", R"(["a", "b"])"},
    {"merge(a, b)", R"({"a": {"x": 1}, "b": {"x": 2}})", R"({"x": 2})"},
    {"not_null(a, b)", R"({"b": 2})", "2"},
    {"to_number('1.5')", "{}", "1.5"},
    {"to_string(a)", R"({"a": [1]})", "\"[1]\""},
    {"type(@)", "[]", "\"array\""},
    {"reverse(@)", "\"abc\"", "\"cba\""},
    {"abs(@)", "-3", "3"},
    {"ceil(@)", "1.2", "2"},
    // What filters on documents add.
    {"a >= 5", R"({"a": 5})", "true"},
    {"a == `albert`", R"({"a": "albert"})", "true"},
    {"a < b", R"({"a": 1})", "null"},
    {"globmatch('*.md', path)", R"({"path": "x/y.md"})", "true"},
    {"globmatch('*.md', path)", "{}", "false"},
    {"contains(owner, 'x')", "{}", "false"},
};

TEST_CASE("JMESPath says what its specification says") {
  for (const Case& one : kCases) {
    INFO(one.path << " of " << one.document);
    CHECK(search(one.path, one.document) == json::parse(one.expected));
  }
}

TEST_CASE("what is no JMESPath is an error and no crash") {
  for (const std::string path : {"",   "a.",     "a[",       "a[?b", "(a",   "a b", "[a",  "{a}", "'x",  "\"x",
                                 "`1", "foo(a)", "length()", "a..b", "a ==", "&",   "a[1", "#",   "a.1", "sort_by(@)"})
    CHECK_FALSE(JmesPath::parse(path));
  CHECK_FALSE(JmesPath::parse(std::string(500, '(') + "a" + std::string(500, ')')));
  CHECK_FALSE(JmesPath::parse(std::string(70'000, 'a')));
  CHECK_FALSE(JmesPath::parse("abs('x')")->search(json()));
  CHECK_FALSE(JmesPath::parse("[::0]")->search(json::array({1})));
}

TEST_CASE("globs") {
  const auto is = [](const char* pattern, const char* path) { return glob_match(pattern, path); };
  CHECK(is("*.txt", "a.txt"));
  CHECK(is("*.txt", "a/b.txt"));
  CHECK(is("**/*.txt", "a.txt"));
  CHECK(is("**/*.txt", "x/y/a.txt"));
  CHECK(is("x/**/a.txt", "x/a.txt"));
  CHECK_FALSE(is("x/**/a.txt", "xa.txt"));
  CHECK(is("a?c", "abc"));
  CHECK_FALSE(is("a?c", "ac"));
  CHECK(is("[ab].md", "b.md"));
  CHECK_FALSE(is("[!ab].md", "b.md"));
  CHECK(is("[a-c].md", "b.md"));
  CHECK(is("*.{md,txt}", "x.txt"));
  CHECK_FALSE(is("*.{md,txt}", "x.pdf"));
  CHECK(is("", ""));
  CHECK(is("*", ""));
  CHECK_FALSE(is("a", ""));
  CHECK_FALSE(is("", "a"));
  // As long as it takes, and no longer.
  CHECK_FALSE(glob_match("**/**/**/**/**/**/**/**/x*y*z*", std::string(3000, 'a')));
}

TEST_CASE("a pattern cannot change the filter") {
  auto merged = merge_filters("owner == 'a'", "it's') || ('a' == 'a");
  REQUIRE(merged);
  CHECK(JmesPath::parse(*merged)->search(json::parse(R"({"owner": "a", "path": "x"})")) == json(false));
  CHECK_FALSE(merge_filters("a) || (b", "*"));
  CHECK(*merge_filters("", "") == "");
  CHECK(*merge_filters("a == 'b'", "") == "a == 'b'");
}

}  // namespace
}  // namespace thalweg::llm
