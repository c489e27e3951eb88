// daemon/testing/test_case.h
//
// The `tests:` of a file as data (language.md 9). Reading never stops at the first mistake: a test that is written
// wrongly carries its diagnostics and fails with them, the others run.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/file_table.h"
#include "pipeline_lang/ast.h"
#include "pipeline_lang/diagnostics.h"

namespace thalweg::testing {

// A table written in the test, under the name of a table of the pipeline.
struct NamedText {
  std::string name;
  std::string text;
  SourceSpan span;  // of the scalar
};

enum class ExpectKind : std::uint8_t { kFinal, kKeyed, kStream };
struct Expectation {
  ExpectKind kind = ExpectKind::kFinal;
  NamedText table;
};

struct ExpectedError {
  std::string pattern;  // searched in each diagnostic, case-insensitive; empty: any error
  std::optional<std::uint32_t> line;
};

struct TestCase {
  std::string name;
  SourceSpan span;
  ast::NodePtr inline_pipeline;              // a mapping, or
  std::optional<std::string> pipeline_file;  // a path relative to the test's file, or neither: the file itself
  std::map<std::string, std::string> env;
  std::vector<std::uint32_t> workers = {1, 2};
  std::vector<NamedText> inputs;
  std::vector<Expectation> expectations;
  std::optional<ExpectedError> expect_error;
  std::optional<std::string> expect_failure;  // the pattern
  std::int64_t clock_start_ns = 0;
  std::int64_t clock_per_time_ns = 1'000'000;
  double timeout_s = 30;
  std::vector<std::uint64_t> restarts;  // after the batches of these times; rising
  std::optional<std::string> skip;
  lang::Diagnostics problems;           // of the test itself
  lang::Diagnostics pipeline_problems;  // of the text of the inline pipeline: duplicate keys and their like
};

struct TestFile {
  std::string path;
  std::shared_ptr<FileTable> files = std::make_shared<FileTable>();
  ast::NodePtr tree;         // null if the file is no YAML
  bool is_pipeline = false;  // it has keys beside `tests:`
  lang::Diagnostics problems;
  std::vector<TestCase> cases;
};

// Reads a file whose text was loaded already.
void read_test_file(std::string path, std::string text, TestFile& out);

}  // namespace thalweg::testing
