#include "daemon/testing/test_case.h"

#include <catch2/catch.hpp>

namespace thalweg::testing {
namespace {

void read(const std::string& text, TestFile& file) { read_test_file("some.test.yaml", text, file); }

std::string problems_of(const TestFile& file, std::size_t index) {
  return lang::render_text(file.cases.at(index).problems, *file.files);
}

}  // namespace

TEST_CASE("a test is read with all its keys") {
  TestFile file;
  read(R"(
tests:
  - name: counts
    pipeline: {result: $t}
    env: {A: "1"}
    workers: [1, 3]
    inputs:
      $words: |
        a
        1
    expect:
      result: |
        a
        1
    expect_stream:
      result: |
        a | __time__
        1 | 2
    clock: {start: "2024-01-01T00:00:00Z", per_time: 5ms}
    timeout: 2.5
    tags: [x]
)",
       file);
  REQUIRE_FALSE(file.problems.has_errors());
  REQUIRE(file.cases.size() == 1);
  CHECK_FALSE(file.is_pipeline);
  const TestCase& test = file.cases[0];
  CHECK(problems_of(file, 0).empty());
  CHECK(test.name == "counts");
  CHECK(test.inline_pipeline != nullptr);
  CHECK(test.env.at("A") == "1");
  CHECK(test.workers == std::vector<std::uint32_t>{1, 3});
  REQUIRE(test.inputs.size() == 1);
  CHECK(test.inputs[0].name == "words");
  CHECK(test.expectations.size() == 2);
  CHECK(test.clock_start_ns == 1704067200000000000);
  CHECK(test.clock_per_time_ns == 5'000'000);
  CHECK(test.timeout_s == 2.5);
}

TEST_CASE("a wrong key of a test names the nearest one, and the other tests are read") {
  TestFile file;
  read("tests:\n  - {name: a, pipeline: {}, expct: {}}\n  - {name: b, pipeline: {}, workers: [0]}\n  - {name: c}\n",
       file);
  REQUIRE(file.cases.size() == 3);
  CHECK_THAT(problems_of(file, 0), Catch::Contains("unknown key `expct`") && Catch::Contains("expect"));
  CHECK_THAT(problems_of(file, 1), Catch::Contains("workers"));
  CHECK_THAT(problems_of(file, 2), Catch::Contains("no `pipeline`"));
}

TEST_CASE("tests of a pipeline file are about that pipeline") {
  TestFile file;
  read("$t: !empty {schema: $s}\nresult: $t\ntests:\n  - {name: a, expect_error: {match: schema, line: 1}}\n", file);
  REQUIRE(file.cases.size() == 1);
  CHECK(file.is_pipeline);
  CHECK_FALSE(file.cases[0].problems.has_errors());
  REQUIRE(file.cases[0].expect_error);
  CHECK(file.cases[0].expect_error->line == 1U);
}

TEST_CASE("restart names times, tests that are no list are an error") {
  TestFile file;
  read("tests:\n  - {name: a, pipeline: {}, restart: [2, 6]}\n", file);
  CHECK(file.cases.at(0).restarts == std::vector<std::uint64_t>{2, 6});
  CHECK_FALSE(file.cases[0].skip);
  TestFile broken;
  read("tests: 5\n", broken);
  CHECK(broken.problems.has_errors());
}

}  // namespace thalweg::testing
