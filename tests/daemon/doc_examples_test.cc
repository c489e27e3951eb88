// Every tag in the registry has a line of documentation and an example, and every example is built; those of tables
// are run.
#include <catch2/catch.hpp>

#include <memory>

#include "connectors/registry.h"
#include "daemon/catalog_impl.h"
#include "daemon/testing/run_case.h"
#include "engine/base/env.h"
#include "pipeline_lang/registry.h"

namespace thalweg::testing {
namespace {

using lang::Component;
using lang::ComponentKind;

// Tables under the names that examples use, with the columns that they use.
constexpr std::string_view kTables = R"(
  $t: !table_from_rows
    schema: !schema {name: str, price: float, quantity: int, amount: int, category: str, at: datetime_naive, count: int,
                     level: float | None, words: "list[str]", age: int, city: str, country: str, secret: str, v: int,
                     sensor: str, at_number: int}
    rows: [[a, 1.5, 2, 30, x, "2024-01-01T00:00:00", 3, null, [p, q], 30, c, d, s, 7, k, 1]]
  $rows: !select {table: $t, columns: [amount, name, at]}
  $orders: !select {table: $t, columns: {order: name, at: at, amount: amount, person: id, customer: name}}
  $shipments: !select {table: $t, columns: {order: name, at: at, by: name}}
  $people: !select {table: $t, columns: [name, city]}
  $trades: !select {table: $t, columns: {symbol: name, at: at, price: price}}
  $quotes: !select {table: $t, columns: {symbol: name, at: at, bid: price}}
  $queries: !select {table: $t, columns: {word: name}}
  $data: !select {table: $t, columns: {word: name, meaning: city}}
  $events: !to_stream {table: $people}
  $counts: !groupby {table: $t, by: [name], reduce: {n: count()}}
  $probes: !select {table: $t, columns: {time: at}}
  $numbers: !select {table: $t, columns: {v: v}}
  $a: !select {table: $t, columns: {at: at, x: amount}}
  $b: !select {table: $t, columns: {at: at, x: amount}}
  $done: !filter {table: $t, where: amount > 100}
  $active: !filter {table: $t, where: amount > 1}
  $some: !filter {table: $t, where: amount > 1}
  $corrections: !select {table: $t, columns: {price: 2.5}}
  $old: $people
  $new: !filter {table: $people, where: city == "c"}
  $set: $people
  $gone: !filter {table: $people, where: city == "d"}
  $words: !select {table: $t, columns: {word: name}}
  $docs: !table_from_rows {schema: !schema {title: str, text: str, data: str}, rows: [[a, b, c]]}
  $searches: !select {table: $t, columns: {query: name}}
  $questions: !select {table: $t, columns: {prompt: name}}
  $index: !indexing.DataIndex {data_table: $docs, inner_index: !indexing.TantivyBM25 {data_column: text}}
  $store: !xpacks.llm.DocumentStore {docs: $docs, retriever_factory: !indexing.TantivyBM25Factory {}}
  $model: !udf.lua {source: "function model(messages, options) return 'x' end", returns: str | None}
  $llm: !udf.lua
    source: |
      function llm(messages, options)
        if string.find(messages[1].content, "JSON:") then return '{"price": 2.5}' end
        return "good"
      end
    returns: str | None
  $embedder: !udf.lua {source: "function embedder(text) return {1.0, 2.0} end", returns: "list[float]"}
  $answerer: !xpacks.llm.BaseRAGQuestionAnswerer {indexer: $store, llm: $model}
  $schema: !schema {a: str, b: int}
  $s: !schema {id: int, w: str}
)";

std::string indented(std::string_view text, std::string_view by) {
  std::string out;
  for (const char c : text) {
    out += c;
    if (c == '\n') out += by;
  }
  return out;
}

// The value that an example shows: without the key it may stand under.
std::string value_of_example(const std::string& example) {
  const std::size_t tag = example.find('!');
  return tag == std::string::npos ? example : example.substr(tag);
}

// A pipeline that uses the example as what it is; empty if it is only built by what takes it.
std::string pipeline_of(const Component& component) {
  const std::string value = indented(value_of_example(component.example), "    ");
  const std::string under_reduce = "  result: !windowby\n    table: $t\n    time: at\n    reduce: {n: count()}\n";
  switch (component.kind) {
    case ComponentKind::kTable: return "  result: " + value + "\n";
    case ComponentKind::kSchema: return "  $made: " + value + "\n  result: !empty {schema: $made}\n";
    case ComponentKind::kColumn:
      return "  result: !empty\n    schema: !schema_builder\n      columns:\n        k: " + value + "\n";
    case ComponentKind::kWindow: return under_reduce + "    window: " + value + "\n";
    case ComponentKind::kBehavior:
      return under_reduce + "    window: !temporal.tumbling {duration: 5m}\n    behavior: " + value + "\n";
    case ComponentKind::kReducer:
      return "  result: !groupby\n    table: $rows\n    by: [name]\n    reducers: [" + value + "]\n";
    default: return {};
  }
}

std::string failure_of(const std::string& pipeline) {
  static Env env = real_env();
  static const daemon::ConnectorCatalog catalog(env);
  static const std::unique_ptr<ConnectorFactory> connectors = make_connector_factory();
  TestFile file;
  read_test_file("example.test.yaml", "tests:\n- pipeline:" + indented(std::string(kTables) + "\n" + pipeline, "  "),
                 file);
  REQUIRE_FALSE(file.problems.has_errors());
  REQUIRE(file.cases.size() == 1);
  const CaseResult result = run_case(file, file.cases[0], {&catalog, connectors.get(), env, {1}});
  return result.verdict == Verdict::kPassed ? "" : result.message;
}

}  // namespace

TEST_CASE("every tag has a line of documentation and an example that is built and run") {
  Env env = real_env();
  const daemon::ConnectorCatalog catalog(env);
  const lang::Registry registry(&catalog);
  for (const Component* component : registry.all()) {
    if (component->kind == ComponentKind::kKnown || component->kind == ComponentKind::kConstant) continue;
    INFO("!" << component->name << "\n" << component->example);
    CHECK_FALSE(component->doc.empty());
    CHECK_FALSE(component->example.empty());
    // Reads a file of its own, or the wall clock without an end.
    if (component->name == "schema_from_csv" || component->name == "temporal.utc_now") continue;
    const std::string pipeline = pipeline_of(*component);
    if (!pipeline.empty()) CHECK(failure_of(pipeline) == "");
  }
}

}  // namespace thalweg::testing
