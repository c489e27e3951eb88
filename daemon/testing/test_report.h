// daemon/testing/test_report.h
//
// Results of tests as text (one line per test, a diff under a failed one), JUnit XML or JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace thalweg::testing {

enum class Verdict : std::uint8_t { kPassed, kFailed, kSkipped };

struct CaseResult {
  std::string file;
  std::uint32_t line = 0;
  std::string name;
  Verdict verdict = Verdict::kPassed;
  std::string message;  // why it failed or was skipped
  double seconds = 0;
};

struct Counts {
  std::size_t passed = 0;
  std::size_t failed = 0;
  std::size_t skipped = 0;
};
[[nodiscard]] Counts count(const std::vector<CaseResult>& results);

[[nodiscard]] std::string text_line(const CaseResult& result);
[[nodiscard]] std::string summary_line(const Counts& counts);  // `N passed, M failed`
[[nodiscard]] std::string junit_document(const std::vector<CaseResult>& results);
[[nodiscard]] std::string json_document(const std::vector<CaseResult>& results);

}  // namespace thalweg::testing
