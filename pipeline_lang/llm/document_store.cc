// The tags of document stores, and the queries that a pipeline asks of one by itself.
#include <algorithm>

#include "pipeline_lang/catalog.h"
#include "pipeline_lang/evaluate.h"
#include "pipeline_lang/llm/models.h"
#include "pipeline_lang/llm/store.h"
#include "pipeline_lang/tag_call.h"

namespace thalweg::lang {
namespace {

constexpr std::string_view kStore = "xpacks.llm.document_store.DocumentStore";
constexpr std::string_view kSlides = "xpacks.llm.document_store.SlidesDocumentStore";
constexpr std::string_view kVectors = "xpacks.llm.vector_store.VectorStoreServer";
constexpr std::string_view kSlideVectors = "xpacks.llm.vector_store.SlidesVectorStoreServer";

bool is_store(std::string_view name) {
  return name == kStore || name == kSlides || name == kVectors || name == kSlideVectors;
}

// What a source is called in statistics: by its definition, else by its tag; no two alike.
std::string source_name(const Table& table, const std::vector<std::string>& taken) {
  std::string name = table.name;
  while (name.starts_with('$') || name.starts_with('!')) name.erase(0, 1);
  if (name.empty()) name = "docs";
  std::string out = name;
  for (int n = 2; std::ranges::find(taken, out) != taken.end(); ++n) out = name + "-" + std::to_string(n);
  return out;
}

// All sources as one table: data, metadata (json), source (a number).
std::optional<Table> documents_of(const Lowering& lower, const Writer& writer, std::vector<std::string>& sources) {
  const auto tables = lower.call().tables("docs");
  if (!tables) {
    if (!lower.call().has("docs")) lower.wrong(lower.call().span(), "`docs:` is missing: a table, or a list of them");
    return std::nullopt;
  }
  if (tables->empty()) {
    lower.wrong(lower.call().span_of("docs"), "there are no tables of documents");
    return std::nullopt;
  }
  std::vector<Table> parts;
  for (const Table& table : *tables) {
    const auto data = table.schema.find("data");
    const Type type = data ? table.schema.columns[*data].type : Type();
    if (!data || (!type.is(Kind::kBytes) && !type.is(Kind::kStr))) {
      lower.wrong(lower.call().span_of("docs"),
                  "a table of documents has a column `data` of bytes or text, and " +
                      (table.name.empty() ? "this one" : "`" + table.name + "`") + " has " +
                      names_text(table.column_names()),
                  "`!io.fs.read {path: ./documents, format: binary, with_metadata: true}`");
      return std::nullopt;
    }
    const auto metadata = table.schema.find("_metadata");
    const bool has_metadata = metadata && table.schema.columns[*metadata].type.is(Kind::kJson);
    const plan::ExprPtr given = writer.expr(table, "data");
    std::vector<NamedExpr> columns = {{"data", {}, plan::coerce(given, Kind::kAny)}};
    columns.push_back({"metadata", {}, writer.expr(table, has_metadata ? "coalesce(_metadata, {})" : "{}")});
    columns.push_back({"source", {}, writer.expr(table, std::to_string(sources.size()))});
    sources.push_back(source_name(table, sources));
    parts.push_back(lower.project(table, columns));
  }
  if (parts.size() == 1) return parts.front();
  const bool append_only = std::ranges::all_of(parts, [](const Table& part) { return part.append_only; });
  return lower.builder().add(plan::Concat{.reindex = true}, parts, parts.front().schema, lower.options(append_only));
}

// The function in argument `name`, else one of kind `kind`. False after an error.
bool define_step(Writer& writer, const Call& call, std::string_view name, std::string_view what,
                 const std::string& kind) {
  const FunctionObject* given = function_argument(writer.lower().builder(), call, name, what);
  if (call.has(name) && given == nullptr) return false;
  if (given != nullptr) {
    writer.define(std::string(name), given->function, given->returns);
    return true;
  }
  auto made = make_llm_function(writer.lower().builder(), call, kind, chunks_type());
  if (made == nullptr) return false;
  writer.define(std::string(name), std::move(made), chunks_type());
  return true;
}

// A table of (text, metadata) out of a column of lists of them, in `pieces`, beside `metadata`.
Table unpacked(const Writer& writer, const Table& table) {
  const Type list = table.schema.columns[0].type;
  const bool typed = list.is(Kind::kList) && list.element().is(Kind::kTuple);
  const Table flat = writer.flatten(table, 0, typed ? list.element() : Type(Kind::kJson));
  return writer.project(flat, {{"text", typed ? "pieces[0]" : "unwrap(pieces[0].as_str())"},
                               {"metadata", "call($merge_metadata, metadata, pieces[1])"}});
}

plan::Reducer column_reducer(plan::ReducerKind kind, std::uint32_t column) {
  plan::Reducer out;
  out.kind = kind;
  out.args = {column};
  out.type = Type(Kind::kInt, true);
  out.skip_nones = true;
  out.none_if_empty = true;
  return out;
}

// Documents that are there, and those that are not any more.
Table counted_documents(const Writer& writer, const Table& inputs) {
  Table there = writer.project(inputs, {{"modified", "metadata.get(\"modified_at\").as_int()"},
                                        {"seen", "metadata.get(\"seen_at\").as_int()"},
                                        {"source", "source"},
                                        {"there", "1"},
                                        {"failed", "failed"},
                                        {"deleted", "0"}});
  if (inputs.append_only) return there;
  const Lowering& lower = writer.lower();
  const Table rows = writer.project(inputs, {{"source", "source"}});
  Schema schema = rows.schema;
  schema.columns.push_back({"is_upsert", Kind::kBool});
  const Table changes = lower.builder().add(plan::ToStream{}, {rows}, std::move(schema), lower.options(true));
  const Table gone =
      writer.project(writer.filter(changes, "not is_upsert"), {{"modified", "declare_type(int | None, None)"},
                                                               {"seen", "declare_type(int | None, None)"},
                                                               {"source", "source"},
                                                               {"there", "0"},
                                                               {"failed", "0"},
                                                               {"deleted", "1"}});
  return lower.builder().add(plan::Concat{.reindex = true}, {there, gone}, there.schema, lower.options(false));
}

Table statistics_of(const Writer& writer, const Table& inputs, std::size_t num_sources) {
  const Table documents = counted_documents(writer, inputs);
  std::vector<std::pair<std::string, std::string>> columns = {
      {"there", "there"}, {"modified", "modified"}, {"seen", "seen"}};
  plan::GroupBy group;
  group.always_one_row = true;
  group.reducers = {column_reducer(plan::ReducerKind::kSum, 0), column_reducer(plan::ReducerKind::kMax, 1),
                    column_reducer(plan::ReducerKind::kMax, 2)};
  Schema schema;
  for (const char* name : {"file_count", "last_modified", "last_indexed"})
    schema.columns.push_back({name, Type(Kind::kInt, true)});
  for (std::size_t source = 0; source < num_sources; ++source)
    for (const char* count : {"there", "failed", "deleted"}) {
      const std::string name = count + std::to_string(source);
      columns.emplace_back(name, "if_else(source == " + std::to_string(source) + ", " + count + ", 0)");
      group.reducers.push_back(
          column_reducer(plan::ReducerKind::kSum, static_cast<std::uint32_t>(group.reducers.size())));
      schema.columns.push_back({name, Type(Kind::kInt, true)});
    }
  const Table numbers = writer.project(documents, columns);
  return writer.lower().builder().add(std::move(group), {numbers}, std::move(schema), writer.lower().options(false));
}

std::optional<plan::IndexFactoryPtr> index_for(Builder& builder, const Call& call, bool vectors) {
  if (!vectors) {
    const Instance* factory = call.instance("retriever_factory");
    if (factory == nullptr) {
      if (!call.has("retriever_factory"))
        builder.error(call.span(), "`retriever_factory:` is missing: how chunks are found")
            .note("`!indexing.TantivyBM25Factory` needs no model");
      return std::nullopt;
    }
    const auto use = index_of(builder, *factory, call.span_of("retriever_factory"));
    if (!use) return std::nullopt;
    return use->factory;
  }
  const FunctionObject* embedder = function_argument(builder, call, "embedder", "llm.embedder.");
  if (embedder == nullptr) {
    if (!call.has("embedder")) builder.error(call.span(), "`embedder:` is missing");
    return std::nullopt;
  }
  plan::IndexSpec spec;
  spec.kind = "knn";
  spec.embed = embedder->function;
  spec.embedded = embedder->returns;
  auto made = static_cast<Evaluator&>(builder).registry().catalog()->make_index(spec);
  if (made) return *made;
  builder.error(call.span(), made.error().message);
  return std::nullopt;
}

ObjectPtr build_store(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  if (!lower.outside_loop()) return error_object();
  const std::string& name = call.component().name;
  auto store = std::make_shared<Store>();
  store->slides = name == kSlides || name == kSlideVectors;
  const auto index = index_for(builder, call, name == kVectors || name == kSlideVectors);
  Writer writer(lower);
  bool fine = index.has_value() && writer.need("llm.merge_metadata", Kind::kJson) &&
              define_step(writer, call, "parser", "llm.parser.", "llm.parser.utf8") &&
              define_step(writer, call, "splitter", "llm.splitter.", "llm.splitter.null");
  if (call.has("doc_post_processors")) {
    builder.error(call.span_of("doc_post_processors"), "post processors are Python functions; there are none here")
        .note("`parser:` and `splitter:` take a `!udf.lua` as well, which gives a list of [text, metadata]");
    fine = false;
  }
  if (!fine) return error_object();
  const auto documents = documents_of(lower, writer, store->sources);
  if (!documents) return error_object();
  store->index = *index;
  for (std::size_t part = 0; part < store->index->parts().size(); ++part) {
    const plan::IndexPart& how = store->index->parts()[part];
    const std::string objection = store->index->objection(part, how.embed ? how.embedded : Type(Kind::kStr));
    if (!objection.empty()) return lower.wrong(call.span(), objection);
  }
  plan::IndexSpec all;
  all.kind = "all";
  auto everything = static_cast<Evaluator&>(builder).registry().catalog()->make_index(all);
  if (!everything) return lower.wrong(call.span(), everything.error().message);
  store->everything = *everything;
  const Table parsed =
      writer.project(*documents, {{"pieces", "call($parser, data)"}, {"metadata", "metadata"}, {"source", "source"}});
  store->inputs = writer.project(
      parsed,
      {{"metadata", "metadata"}, {"failed", "fill_error(if_else(is_none(pieces), 1, 0), 1)"}, {"source", "source"}});
  store->parts = unpacked(writer, parsed);
  store->chunks =
      unpacked(writer, writer.project(store->parts, {{"pieces", "call($splitter, text)"}, {"metadata", "metadata"}}));
  store->statistics = statistics_of(writer, store->inputs, store->sources.size());
  Instance instance{&call.component(), static_cast<const TagCall&>(call).shared_from_this(), std::move(store)};
  return make_object({std::move(instance), call.span()});
}

// ---------------------------------------------------------------- queries of the pipeline itself

std::optional<std::pair<StorePtr, Table>> query_arguments(const Lowering& lower) {
  const StorePtr store = store_argument(lower.builder(), lower.call(), "store");
  const auto queries = lower.call().table("queries");
  if (store == nullptr || !queries) return std::nullopt;
  return std::pair{store, *queries};
}

// The text of column `name` where the queries have it, else `fallback`.
std::string column_or(const Table& queries, const std::string& name, const std::string& fallback) {
  return queries.schema.find(name) ? name : fallback;
}

ObjectPtr with_result(const Lowering& lower, const Writer& writer, const std::optional<Table>& answers,
                      const std::string& column) {
  if (!answers) return error_object();
  return lower.result(writer.project(*answers, {{"result", column}}));
}

ObjectPtr build_retrieve(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto given = query_arguments(lower);
  if (!given) return error_object();
  const auto& [store, queries] = *given;
  const auto query = queries.schema.find("query");
  if (!query || !queries.schema.columns[*query].type.is_plain(Kind::kStr))
    return lower.wrong(call.span_of("queries"),
                       "queries have a column `query: str`, and these have " + names_text(queries.column_names()));
  Writer writer(lower);
  const Table asked =
      writer.project(queries, {{"query", "query"},
                               {"k", column_or(queries, "k", "3")},
                               {"metadata_filter", column_or(queries, "metadata_filter", "None")},
                               {"filepath_globpattern", column_or(queries, "filepath_globpattern", "None")}});
  const auto filtered = with_filter(writer, asked, {"query", "k"}, "metadata_filter", "filepath_globpattern");
  if (!filtered) return error_object();
  return with_result(lower, writer, retrieved(writer, *store, *filtered), "docs");
}

ObjectPtr build_inputs(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto given = query_arguments(lower);
  if (!given) return error_object();
  const auto& [store, queries] = *given;
  Writer writer(lower);
  const Table asked =
      writer.project(queries, {{"return_status", column_or(queries, "return_status", "False")},
                               {"metadata_filter", column_or(queries, "metadata_filter", "None")},
                               {"filepath_globpattern", column_or(queries, "filepath_globpattern", "None")}});
  const auto filtered = with_filter(writer, asked, {"return_status"}, "metadata_filter", "filepath_globpattern");
  if (!filtered) return error_object();
  return with_result(lower, writer, listed(writer, *store, *filtered, false), "result");
}

ObjectPtr build_statistics(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto given = query_arguments(lower);
  if (!given) return error_object();
  Writer writer(lower);
  return with_result(lower, writer, counted(writer, *given->first, given->second, false), "result");
}

std::vector<ArgSpec> store_args(bool vectors) {
  std::vector<ArgSpec> out = {
      arg("docs", ArgKind::kTables, true,
          "tables with `data` (bytes or text) and, with `with_metadata: true`, `_metadata`", {"sources"}),
      arg("parser", ArgKind::kAny, false, "how documents become text; default `!xpacks.llm.parsers.Utf8Parser`"),
      arg("splitter", ArgKind::kAny, false, "how text becomes chunks; default one chunk per document"),
      arg("doc_post_processors", ArgKind::kAny, false, "not here: Python functions")};
  if (vectors)
    out.push_back(arg("embedder", ArgKind::kAny, true, "makes vectors of texts"));
  else
    out.push_back(arg("retriever_factory", ArgKind::kComponent, true, "`!indexing.TantivyBM25Factory` …"));
  return out;
}

void add_store(Components& out, std::string_view name, std::vector<std::string> aliases, std::string doc) {
  Component component;
  component.name = name;
  component.aliases = std::move(aliases);
  component.kind = ComponentKind::kServer;
  component.args = store_args(name == kVectors || name == kSlideVectors);
  component.doc = std::move(doc);
  component.example =
      "document_store: !" + component.name + "\n  docs: $sources\n  " +
      (name == kVectors || name == kSlideVectors ? "embedder: $embedder"
                                                 : "retriever_factory: !indexing.TantivyBM25Factory {}");
  component.build = build_store;
  out.push_back(std::move(component));
}

}  // namespace

StorePtr store_of(const Object& object) {
  const Instance* instance = object.as_instance();
  if (instance == nullptr || !is_store(instance->component->name)) return nullptr;
  return std::static_pointer_cast<const Store>(instance->made);
}

StorePtr store_argument(Builder& builder, const Call& call, std::string_view name) {
  const ObjectPtr object = call.object(name);
  if (object == nullptr || object->is_error()) return nullptr;
  StorePtr store = store_of(*object);
  if (store == nullptr) builder.error(call.span_of(name), "a document store is expected, found " + describe(*object));
  return store;
}

void add_store_components(Components& out) {
  add_store(out, kStore, {"xpacks.llm.DocumentStore"},
            "Documents, kept in an index that follows every change of them. Under a plain key it is served: "
            "`/v1/retrieve`, `/v1/statistics`, `/v1/inputs`.");
  add_store(out, kSlides, {}, "A document store of slides.");
  add_store(out, kVectors, {"xpacks.llm.VectorStoreServer"}, "A document store that finds chunks by vectors.");
  add_store(out, kSlideVectors, {}, "A document store of slides that finds them by vectors.");
  const std::vector<ArgSpec> args = {arg("store", ArgKind::kAny, true, "a document store"),
                                     arg("queries", ArgKind::kTable, true, "the table of queries", {"table"})};
  const std::string prefix = "xpacks.llm.document_store.";
  out.push_back(table_component(prefix + "retrieve_query", args,
                                "The chunks that a document store finds for each query (`query`, `k`, "
                                "`metadata_filter`, `filepath_globpattern`): `result`, a json list.",
                                "!" + prefix + "retrieve_query {store: $store, queries: $searches}", build_retrieve,
                                {prefix + "DocumentStore.retrieve_query", "DocumentStore.retrieve_query"}));
  out.push_back(table_component(prefix + "inputs_query", args,
                                "The metadata of the documents of a store, as `result`, for each query "
                                "(`metadata_filter`, `filepath_globpattern`, `return_status`).",
                                "!" + prefix + "inputs_query {store: $store, queries: $searches}", build_inputs,
                                {prefix + "DocumentStore.inputs_query", "DocumentStore.inputs_query"}));
  out.push_back(table_component(prefix + "statistics_query", args,
                                "How many documents a store has and how new they are, as `result`, for each query.",
                                "!" + prefix + "statistics_query {store: $store, queries: $searches}", build_statistics,
                                {prefix + "DocumentStore.statistics_query", "DocumentStore.statistics_query"}));
}

}  // namespace thalweg::lang
