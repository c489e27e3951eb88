// pipeline_lang/llm/store.h
//
// A document store as tables: documents are parsed and split into chunks, an index finds chunks; queries are tables
// whose answers come beside them. And routes, whose requests are such tables.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline_lang/llm/indexes.h"
#include "pipeline_lang/tables/lowering.h"

namespace thalweg::lang {

// Nodes written as expressions of the language, over columns by name and functions by `$name`.
class Writer {
 public:
  explicit Writer(const Lowering& lower) : lower_(lower) {}

  void define(std::string name, plan::UserFunctionPtr function, Type returns);
  [[nodiscard]] plan::ExprPtr expr(const Table& table, const std::string& text) const;
  // Exactly these columns.
  [[nodiscard]] Table project(const Table& table,
                              const std::vector<std::pair<std::string, std::string>>& columns) const;
  [[nodiscard]] Table filter(const Table& table, const std::string& condition) const;
  [[nodiscard]] Table flatten(const Table& table, std::uint32_t column, const Type& element) const;
  [[nodiscard]] const Lowering& lower() const { return lower_; }
  // A function made where it is first asked for, and defined under its name without `llm.` and dots: `rag_answer`.
  bool need(const std::string& kind, const Type& returns, Setting::Map options = {},
            std::vector<std::pair<std::string, plan::UserFunctionPtr>> functions = {});

 private:
  const Lowering& lower_;
  std::map<std::string, std::shared_ptr<const FunctionObject>, std::less<>> functions_;
};

struct Store {
  Table inputs;      // one row per document; metadata: json, failed: 1 if it could not be parsed, source: which table
  Table parts;       // text, metadata: of the parsed documents
  Table chunks;      // text, metadata
  Table statistics;  // one row: file_count, last_modified, last_indexed; of each source: there, failed, deleted
  std::vector<std::string> sources;  // what they are called
  plan::IndexFactoryPtr index;
  plan::IndexFactoryPtr everything;
  bool slides = false;
};
using StorePtr = std::shared_ptr<const Store>;

// What the tag of a document store made; null after an error, and where the object is none.
[[nodiscard]] StorePtr store_argument(Builder& builder, const Call& call, std::string_view name);
[[nodiscard]] StorePtr store_of(const Object& object);

// `queries` with one more column, `docs`: json `[{text, metadata, dist}]`. They have columns query: str, k: int,
// filter: str | None.
[[nodiscard]] std::optional<Table> retrieved(Writer& writer, const Store& store, const Table& queries);
// `queries` → result: json. They have columns filter: str | None, return_status: bool. `by_source`: with which source a
// document is of, beside its status.
[[nodiscard]] std::optional<Table> listed(Writer& writer, const Store& store, const Table& queries, bool by_source);
// `queries` → result: json, of the moment. `by_source`: with counts of each source as well.
[[nodiscard]] std::optional<Table> counted(Writer& writer, const Store& store, const Table& queries, bool by_source);
// metadata_filter and filepath_globpattern of `queries` as one column `filter` behind its own.
[[nodiscard]] std::optional<Table> with_filter(Writer& writer, const Table& queries,
                                               const std::vector<std::string>& keep, const std::string& filter,
                                               const std::string& glob);

struct RouteField {
  std::string name;
  Type type;
  std::optional<Value> fallback;  // none: required
  bool names_stream = false;      // of the answer, where the request asks for one
};
// An MCP server of the pipeline, and one of its tools.
struct McpPlace {
  std::string name = "pathway-mcp-server", transport = "streamable-http";
  std::optional<std::string> host;
  std::optional<std::int64_t> port;
};
struct ServedTool {
  McpPlace server;
  std::string name, doc;
};
struct ServedRoute {
  std::vector<std::string> paths;
  std::vector<std::string> methods;
  std::vector<RouteField> fields;
  std::vector<ServedTool> tools;
};
// Where routes of a pipeline listen.
struct ServePlace {
  std::optional<std::string> host;
  std::optional<std::int64_t> port;
};
// The requests of a route as one table, whichever of its paths and tools they come by; there is at least one.
[[nodiscard]] Table requests_of(Writer& writer, const ServePlace& place, const ServedRoute& route);
// The rows of `answers` (with column `result`) answer the requests that they are made of.
void answer_requests(Writer& writer, const Table& answers);

// Routes and tools of the components under plain keys. Of a document store and the question answering over it the
// second is served, which has the routes of the first.
void serve_components(Builder& builder, const std::vector<ObjectPtr>& components, const ServePlace& place);
// For question_answering.cc, which registers all that stands above stores.
void add_serving_components(Components& out);   // serving.cc
void add_operator_components(Components& out);  // operator_tables.cc

}  // namespace thalweg::lang
