#include "daemon/testing/test_case.h"

#include <array>
#include <charconv>
#include <span>
#include <string_view>

#include "engine/types/from_text.h"
#include "pipeline_lang/yaml_reader.h"

namespace thalweg::testing {
namespace {

using ast::Entry;
using ast::Node;
using lang::Diagnostics;

constexpr std::uint32_t kTestWorkersMax = 64;
constexpr double kTimeoutMaxS = 3600;

std::optional<std::string> read_text(const Node& node, std::string_view what, Diagnostics& problems) {
  if (node.is_scalar() && node.tag.empty() && !node.is_null()) return node.text;
  problems.error(node.whole_span(), std::string(what) + " must be text");
  return std::nullopt;
}

template <class T>
std::optional<T> read_number(const Node& node) {
  T value{};
  const std::string& text = node.text;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (!node.is_plain() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool expect_mapping(const Node& node, std::string_view what, Diagnostics& problems) {
  if (node.is_mapping() && node.tag.empty()) return true;
  problems.error(node.whole_span(), std::string(what) + " must be a mapping");
  return false;
}

void refuse_others(const Node& mapping, std::span<const std::string_view> known, std::string_view where,
                   Diagnostics& problems) {
  for (const Entry& entry : mapping.entries) {
    bool is_known = false;
    for (std::string_view name : known) is_known = is_known || name == entry.key;
    if (is_known) continue;
    lang::Diagnostic& found = problems.error(entry.span, "unknown key `" + entry.key + "` " + std::string(where));
    lang::suggest(found, entry.key, std::vector<std::string>(known.begin(), known.end()));
  }
}

void read_pipeline(const Node& node, const ast::NodePtr& shared, TestCase& test) {
  if (node.is_mapping()) {
    test.inline_pipeline = shared;
  } else if (auto path = read_text(node, "`pipeline` (a path, or the pipeline as a mapping)", test.problems)) {
    test.pipeline_file = *path;
  }
}

void read_env(const Node& node, TestCase& test) {
  if (!expect_mapping(node, "`env`", test.problems)) return;
  for (const Entry& entry : node.entries)
    if (entry.value->is_scalar())
      test.env[entry.key] = entry.value->text;
    else
      test.problems.error(entry.value->span, "`env." + entry.key + "` must be text");
}

void read_workers(const Node& node, TestCase& test) {
  auto add = [&](const Node& item) {
    auto count = read_number<std::uint32_t>(item);
    if (count && *count >= 1 && *count <= kTestWorkersMax)
      test.workers.push_back(*count);
    else
      test.problems.error(item.whole_span(), "`workers` are numbers from 1 to " + std::to_string(kTestWorkersMax));
  };
  test.workers.clear();
  if (node.is_sequence()) {
    for (const ast::NodePtr& item : node.items) add(*item);
    if (node.items.empty()) test.problems.error(node.span, "`workers` is empty");
  } else {
    add(node);
  }
}

std::vector<NamedText> read_tables(const Node& node, std::string_view what, Diagnostics& problems) {
  std::vector<NamedText> out;
  if (!expect_mapping(node, what, problems)) return out;
  for (const Entry& entry : node.entries) {
    std::string name = entry.is_definition() ? entry.key.substr(1) : entry.key;
    if (auto text = read_text(*entry.value, "a table", problems))
      out.push_back({std::move(name), std::move(*text), entry.value->span});
  }
  return out;
}

void read_expectations(const Node& node, std::string_view key, ExpectKind kind, TestCase& test) {
  for (NamedText& table : read_tables(node, "`" + std::string(key) + "`", test.problems))
    test.expectations.push_back({kind, std::move(table)});
}

void read_expect_error(const Node& node, TestCase& test) {
  ExpectedError expected;
  if (node.is_scalar()) {
    expected.pattern = node.text;
  } else if (expect_mapping(node, "`expect_error`", test.problems)) {
    static constexpr std::array<std::string_view, 2> kKnown = {"match", "line"};
    refuse_others(node, kKnown, "of `expect_error`", test.problems);
    if (const Entry* match = node.find("match"))
      expected.pattern = read_text(*match->value, "`match`", test.problems).value_or("");
    if (const Entry* line = node.find("line")) {
      expected.line = read_number<std::uint32_t>(*line->value);
      if (!expected.line) test.problems.error(line->value->span, "`line` must be a number");
    }
  }
  test.expect_error = std::move(expected);
}

void read_expect_failure(const Node& node, TestCase& test) {
  test.expect_failure = "";
  if (node.is_scalar()) {
    test.expect_failure = node.is_null() ? "" : node.text;
  } else if (expect_mapping(node, "`expect_failure`", test.problems)) {
    static constexpr std::array<std::string_view, 1> kKnown = {"match"};
    refuse_others(node, kKnown, "of `expect_failure`", test.problems);
    if (const Entry* match = node.find("match"))
      test.expect_failure = read_text(*match->value, "`match`", test.problems).value_or("");
  }
}

void read_clock(const Node& node, TestCase& test) {
  if (!expect_mapping(node, "`clock`", test.problems)) return;
  static constexpr std::array<std::string_view, 2> kKnown = {"start", "per_time"};
  refuse_others(node, kKnown, "of `clock`", test.problems);
  if (const Entry* start = node.find("start")) {
    if (auto at = datetime_from_text(start->value->text))
      test.clock_start_ns = at->ns;
    else
      test.problems.error(start->value->span, "`start` must be a datetime");
  }
  if (const Entry* per_time = node.find("per_time")) {
    auto step = duration_from_text(per_time->value->text);
    if (step && *step >= 0)
      test.clock_per_time_ns = *step;
    else
      test.problems.error(per_time->value->span, "`per_time` must be a duration that is not negative");
  }
}

void read_timeout(const Node& node, TestCase& test) {
  auto seconds = read_number<double>(node);
  if (!seconds) {
    if (auto span = duration_from_text(node.text)) seconds = static_cast<double>(*span) / 1e9;
  }
  if (seconds && *seconds > 0 && *seconds <= kTimeoutMaxS)
    test.timeout_s = *seconds;
  else
    test.problems.error(node.whole_span(), "`timeout` must be a number of seconds, at most 3600");
}

void read_restarts(const Node& node, TestCase& test) {
  std::vector<const Node*> items;
  if (node.is_sequence())
    for (const auto& item : node.items) items.push_back(item.get());
  else
    items.push_back(&node);
  for (const Node* item : items) {
    auto time = read_number<std::uint64_t>(*item);
    bool rises = time && (test.restarts.empty() || *time > test.restarts.back());
    if (rises)
      test.restarts.push_back(*time);
    else
      test.problems.error(item->whole_span(), "`restart` is a list of times of batches, such as [2, 6], that rise");
  }
}

struct KeyReader {
  std::string_view key;
  void (*read)(const Entry& entry, TestCase& test);
};

// The keys of a test. `source`, `departs` and `tags` are notes for readers.
constexpr std::array kKeys = {
    KeyReader{"name",
              [](const Entry& e, TestCase& t) {
                if (auto name = read_text(*e.value, "`name`", t.problems)) t.name = *name;
              }},
    KeyReader{"pipeline", [](const Entry& e, TestCase& t) { read_pipeline(*e.value, e.value, t); }},
    KeyReader{"env", [](const Entry& e, TestCase& t) { read_env(*e.value, t); }},
    KeyReader{"workers", [](const Entry& e, TestCase& t) { read_workers(*e.value, t); }},
    KeyReader{"inputs", [](const Entry& e, TestCase& t) { t.inputs = read_tables(*e.value, "`inputs`", t.problems); }},
    KeyReader{"expect", [](const Entry& e, TestCase& t) { read_expectations(*e.value, e.key, ExpectKind::kFinal, t); }},
    KeyReader{"expect_keyed",
              [](const Entry& e, TestCase& t) { read_expectations(*e.value, e.key, ExpectKind::kKeyed, t); }},
    KeyReader{"expect_stream",
              [](const Entry& e, TestCase& t) { read_expectations(*e.value, e.key, ExpectKind::kStream, t); }},
    KeyReader{"expect_error", [](const Entry& e, TestCase& t) { read_expect_error(*e.value, t); }},
    KeyReader{"expect_failure", [](const Entry& e, TestCase& t) { read_expect_failure(*e.value, t); }},
    KeyReader{"clock", [](const Entry& e, TestCase& t) { read_clock(*e.value, t); }},
    KeyReader{"timeout", [](const Entry& e, TestCase& t) { read_timeout(*e.value, t); }},
    KeyReader{"restart", [](const Entry& e, TestCase& t) { read_restarts(*e.value, t); }},
    KeyReader{"skip",
              [](const Entry& e, TestCase& t) {
                t.skip = e.value->is_scalar() && !e.value->text.empty() ? e.value->text : "no reason given";
              }},
    KeyReader{"source", [](const Entry&, TestCase&) {}},
    KeyReader{"departs", [](const Entry&, TestCase&) {}},
    KeyReader{"tags", [](const Entry&, TestCase&) {}},
};

void refuse_contradictions(const Node& node, bool is_pipeline, TestCase& test) {
  const bool has_tables = !test.expectations.empty();
  if (test.expect_error && (has_tables || test.expect_failure))
    test.problems.error(node.span, "`expect_error` stands alone: a pipeline with errors does not run");
  if (!test.inline_pipeline && !test.pipeline_file && !is_pipeline && node.find("pipeline") == nullptr)
    test.problems.error(node.span, "the test has no `pipeline`, and the file it stands in is none");
}

TestCase read_case(const Node& node, std::size_t index, bool is_pipeline) {
  TestCase test;
  test.name = "test " + std::to_string(index + 1);
  test.span = node.span;
  if (!expect_mapping(node, "a test", test.problems)) return test;
  std::vector<std::string> known;
  for (const KeyReader& reader : kKeys) known.emplace_back(reader.key);
  for (const Entry& entry : node.entries) {
    bool is_known = false;
    for (const KeyReader& reader : kKeys) {
      if (reader.key != entry.key) continue;
      reader.read(entry, test);
      is_known = true;
    }
    if (is_known) continue;
    lang::suggest(test.problems.error(entry.span, "unknown key `" + entry.key + "` of a test"), entry.key, known);
  }
  refuse_contradictions(node, is_pipeline, test);
  return test;
}

bool is_within(const SourceSpan& inner, const SourceSpan& outer) {
  return inner.file == outer.file && inner.begin >= outer.begin && inner.end <= outer.end;
}

// An inline pipeline is checked by itself: what is wrong with its text is a matter of its test.
void hand_out(const Diagnostics& found, TestFile& out) {
  for (const lang::Diagnostic& diagnostic : found.all()) {
    lang::Diagnostics* where = &out.problems;
    for (TestCase& test : out.cases) {
      if (!is_within(diagnostic.span, test.span)) continue;
      const bool inside = test.inline_pipeline && is_within(diagnostic.span, test.inline_pipeline->span);
      where = inside ? &test.pipeline_problems : &test.problems;
    }
    lang::Diagnostic& copy = diagnostic.severity == lang::Severity::kError
                                 ? where->error(diagnostic.span, diagnostic.message)
                                 : where->warning(diagnostic.span, diagnostic.message);
    copy.notes = diagnostic.notes;
  }
}

void read_cases(TestFile& out) {
  const Entry* tests = out.tree->find("tests");
  out.is_pipeline = out.tree->entries.size() > (tests != nullptr ? 1U : 0U);
  if (tests == nullptr || tests->value->is_null()) return;
  if (!tests->value->is_sequence()) {
    out.problems.error(tests->value->whole_span(), "`tests` must be a list");
    return;
  }
  for (std::size_t i = 0; i < tests->value->items.size(); ++i)
    out.cases.push_back(read_case(*tests->value->items[i], i, out.is_pipeline));
}

}  // namespace

void read_test_file(std::string path, std::string text, TestFile& out) {
  out.path = std::move(path);
  const FileId file = out.files->add(out.path, std::move(text));
  Diagnostics reading;
  out.tree = read_yaml(*out.files, file, reading);
  if (out.tree && !out.tree->is_mapping()) out.problems.error(out.tree->span, "the file must be a mapping");
  if (out.tree && out.tree->is_mapping()) read_cases(out);
  hand_out(reading, out);
}

}  // namespace thalweg::testing
