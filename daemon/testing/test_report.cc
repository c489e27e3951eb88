#include "daemon/testing/test_report.h"

#include <fmt/format.h>

#include "engine/types/from_text.h"

namespace thalweg::testing {
namespace {

std::string indented(const std::string& text) {
  std::string out;
  bool at_start = true;
  for (char c : text) {
    if (at_start && c != '\n') out += "    ";
    out += c;
    at_start = c == '\n';
  }
  if (!out.empty() && out.back() != '\n') out += '\n';
  return out;
}

std::string_view verdict_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPassed: return "passed";
    case Verdict::kFailed: return "failed";
    case Verdict::kSkipped: return "skipped";
  }
  return "";
}

// Characters that XML 1.0 cannot hold become `?`.
std::string xml_escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\n': out += "&#10;"; break;
      case '\t': out += "&#9;"; break;
      default: out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
    }
  }
  return out;
}

}  // namespace

Counts count(const std::vector<CaseResult>& results) {
  Counts counts;
  for (const CaseResult& result : results) {
    switch (result.verdict) {
      case Verdict::kPassed: ++counts.passed; break;
      case Verdict::kFailed: ++counts.failed; break;
      case Verdict::kSkipped: ++counts.skipped; break;
    }
  }
  return counts;
}

std::string text_line(const CaseResult& result) {
  const std::string place = result.line > 0 ? fmt::format("{}:{}", result.file, result.line) : result.file;
  switch (result.verdict) {
    case Verdict::kPassed: return fmt::format("ok    {} {}\n", place, result.name);
    case Verdict::kSkipped: return fmt::format("skip  {} {}: {}\n", place, result.name, result.message);
    case Verdict::kFailed: return fmt::format("FAIL  {} {}\n{}", place, result.name, indented(result.message));
  }
  return "";
}

std::string summary_line(const Counts& counts) {
  return fmt::format("{} passed, {} failed", counts.passed, counts.failed);
}

std::string junit_document(const std::vector<CaseResult>& results) {
  const Counts counts = count(results);
  double seconds = 0;
  for (const CaseResult& result : results) seconds += result.seconds;
  std::string out = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
      "<testsuite name=\"thalweg\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3f}\">\n",
      results.size(), counts.failed, counts.skipped, seconds);
  for (const CaseResult& result : results) {
    out += fmt::format("<testcase classname=\"{}\" name=\"{}\" file=\"{}\" line=\"{}\" time=\"{:.3f}\"",
                       xml_escaped(result.file), xml_escaped(result.name), xml_escaped(result.file), result.line,
                       result.seconds);
    const std::string message = xml_escaped(result.message);
    switch (result.verdict) {
      case Verdict::kPassed: out += "/>\n"; break;
      case Verdict::kFailed: out += fmt::format("><failure message=\"{}\"/></testcase>\n", message); break;
      case Verdict::kSkipped: out += fmt::format("><skipped message=\"{}\"/></testcase>\n", message); break;
    }
  }
  return out + "</testsuite>\n</testsuites>\n";
}

std::string json_document(const std::vector<CaseResult>& results) {
  const Counts counts = count(results);
  std::string out = fmt::format("{{\"passed\":{},\"failed\":{},\"skipped\":{},\"tests\":[", counts.passed,
                                counts.failed, counts.skipped);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const CaseResult& result = results[i];
    out +=
        fmt::format("{}\n{{\"file\":{},\"line\":{},\"name\":{},\"result\":\"{}\",\"seconds\":{:.3f},\"message\":{}}}",
                    i == 0 ? "" : ",", json_quoted(result.file), result.line, json_quoted(result.name),
                    verdict_text(result.verdict), result.seconds, json_quoted(result.message));
  }
  return out + "\n]}\n";
}

}  // namespace thalweg::testing
