// Indexes over tables, and the tables of what they find.
#include <algorithm>

#include "pipeline_lang/evaluate.h"
#include "pipeline_lang/llm/indexes.h"
#include "pipeline_lang/tables/joining.h"

namespace thalweg::lang {
namespace {

constexpr std::string_view kIndexing = "indexing.";

enum class IndexTag : std::uint8_t { kNone, kKnn, kGraph, kLsh, kBm25, kHybrid };

IndexTag index_tag(const Component& component) {
  const std::string_view name = component.name;
  if (!name.starts_with(kIndexing)) return IndexTag::kNone;
  if (name.find("Lsh") != std::string_view::npos) return IndexTag::kLsh;
  for (const std::string_view graph : {"search", "Hnsw", "Leann"})
    if (name.find(graph) != std::string_view::npos) return IndexTag::kGraph;
  if (name.find("Knn") != std::string_view::npos) return IndexTag::kKnn;
  if (name.find("BM25") != std::string_view::npos) return IndexTag::kBm25;
  return name.find("Hybrid") != std::string_view::npos ? IndexTag::kHybrid : IndexTag::kNone;
}

std::string lower_case(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

// False after an error.
bool read_embedder(Builder& builder, const Call& call, plan::IndexSpec& spec) {
  if (!call.has("embedder")) return true;
  const ObjectPtr object = call.object("embedder");
  if (object == nullptr || object->is_error()) return false;
  const FunctionObject* function = object->as_function();
  if (function == nullptr) {
    builder.error(call.span_of("embedder"), "an embedder is expected, found " + describe(*object));
    return false;
  }
  if (function->function == nullptr) return false;
  spec.embed = function->function;
  spec.embedded = function->returns;
  return true;
}

bool read_metric(Builder& builder, const Call& call, bool lsh, Setting::Map& options) {
  const std::string_view name = lsh ? "distance_type" : "metric";
  std::string metric = "cos";
  if (call.has(name)) {
    const auto given = call.text(name);
    if (!given) return false;
    metric = lower_case(*given);
    metric.erase(0, metric.rfind('.') + 1);
  }
  if (metric == "cosine") metric = "cos";
  if (metric == "euclidean" || metric == "l2" || (lsh && !call.has(name))) metric = "l2sq";
  if (metric != "cos" && metric != "l2sq" && metric != "ip") {
    builder.error(call.span_of(name), "`" + metric + "` is not built into this version")
        .note("there are `COS`, `L2SQ` and `IP`");
    return false;
  }
  options.emplace_back("metric", Setting(std::move(metric)));
  return true;
}

std::optional<plan::IndexSpec> read_spec(Builder& builder, const Instance& instance, SourceSpan at,
                                         std::vector<const Instance*>& leaves);

bool read_parts(Builder& builder, const Call& call, plan::IndexSpec& spec, std::vector<const Instance*>& leaves) {
  const ObjectPtr list = call.object("retriever_factories");
  if (list == nullptr || list->is_error()) return false;
  if (list->as_list() == nullptr) {
    builder.error(call.span_of("retriever_factories"), "a list of indexes is expected, found " + describe(*list));
    return false;
  }
  for (const ObjectPtr& item : list->as_list()->items) {
    if (item->is_error()) return false;
    const Instance* part = item->as_instance();
    if (part == nullptr || index_tag(*part->component) == IndexTag::kNone) {
      builder.error(item->span, "an index is expected, found " + describe(*item))
          .note("`!indexing.TantivyBM25Factory`, `!indexing.BruteForceKnnFactory` …");
      return false;
    }
    auto read = read_spec(builder, *part, item->span, leaves);
    if (!read) return false;
    spec.parts.push_back(std::move(*read));
  }
  return true;
}

std::optional<plan::IndexSpec> read_spec(Builder& builder, const Instance& instance, SourceSpan at,
                                         std::vector<const Instance*>& leaves) {
  const Call& call = *instance.call;
  plan::IndexSpec spec;
  Setting::Map options;
  const IndexTag tag = index_tag(*instance.component);
  const auto whole = [&](std::string_view name) {
    if (!call.has(name)) return true;
    const auto value = call.setting(name);
    if (value) options.emplace_back(name, *value);
    return value.has_value();
  };
  bool fine = true;
  switch (tag) {
    case IndexTag::kBm25:
      spec.kind = "bm25";
      fine = whole("language");
      break;
    case IndexTag::kKnn:
    case IndexTag::kGraph:
    case IndexTag::kLsh:
      spec.kind = tag == IndexTag::kGraph ? "hnsw" : "knn";
      fine = read_metric(builder, call, tag == IndexTag::kLsh, options) && whole("dimensions") &&
             read_embedder(builder, call, spec);
      for (const char* name : {"connectivity", "expansion_add", "expansion_search"})
        if (tag == IndexTag::kGraph) fine = whole(name) && fine;
      break;
    case IndexTag::kHybrid:
      spec.kind = "hybrid";
      fine = whole("k") && read_parts(builder, call, spec, leaves);
      break;
    case IndexTag::kNone:
      builder.error(at, "an index is expected, found " + instance.component->name);
      return std::nullopt;
  }
  if (!fine) return std::nullopt;
  if (tag != IndexTag::kHybrid) leaves.push_back(&instance);
  spec.options = Setting(std::move(options), call.span());
  return spec;
}

}  // namespace

std::optional<IndexUse> index_of(Builder& builder, const Instance& instance, SourceSpan at) {
  IndexUse out;
  const auto spec = read_spec(builder, instance, at, out.leaves);
  if (!spec) return std::nullopt;
  const Catalog* catalog = static_cast<Evaluator&>(builder).registry().catalog();
  if (catalog == nullptr) {
    builder.error(at, "indexes are not available here");
    return std::nullopt;
  }
  auto made = catalog->make_index(*spec);
  if (!made) {
    const plan::FunctionError& why = made.error();
    const Call& call = *instance.call;
    builder.error(why.option.empty() || !call.has(why.option) ? call.span() : call.span_of(why.option), why.message);
    return std::nullopt;
  }
  out.factory = std::move(*made);
  return out;
}

namespace {

// ---------------------------------------------------------------- the data

// Which table an index is over, and where its columns are named.
struct DataPlace {
  Table table;
  const Instance* index = nullptr;  // a factory or an inner index
  SourceSpan at;
};

// `retriever:` is a `!indexing.DataIndex`, or an index with the table beside it.
std::optional<DataPlace> data_place(const Lowering& lower) {
  const Call& call = lower.call();
  const Instance* given = call.instance("retriever");
  if (given == nullptr) return std::nullopt;
  DataPlace out;
  out.at = call.span_of("retriever");
  if (given->component->name == "indexing.DataIndex") {
    if (call.has("data")) {
      lower.wrong(call.span_of("data"), "the table of a `!indexing.DataIndex` is named there");
      return std::nullopt;
    }
    const auto table = given->call->table("data_table");
    out.index = given->call->instance("inner_index");
    if (!table || out.index == nullptr) return std::nullopt;
    out.table = *table;
    return out;
  }
  out.index = given;
  if (!call.has("data")) {
    lower.wrong(call.span(), "`data:` is missing: the table that the index is over");
    return std::nullopt;
  }
  const auto table = call.table("data");
  if (!table) return std::nullopt;
  out.table = *table;
  return out;
}

// Argument `name` of the index itself, else of the query.
plan::ExprPtr data_argument(const Lowering& lower, const Instance& leaf, std::string_view name, const Table& table) {
  if (leaf.call->has(name)) return Lowering(lower.builder(), *leaf.call).argument(name, table);
  return lower.argument(name, table);
}

std::optional<IndexedTable> indexed_table(const Lowering& lower, const DataPlace& place, const IndexUse& use) {
  IndexedTable out;
  out.own = place.table.schema.size();
  std::vector<plan::ExprPtr> more;
  for (std::size_t part = 0; part < use.leaves.size(); ++part) {
    const Instance& leaf = *use.leaves[part];
    const plan::ExprPtr expr = data_argument(lower, leaf, "data_column", place.table);
    if (!expr) {
      if (!leaf.call->has("data_column") && !lower.call().has("data_column"))
        lower.wrong(leaf.call->span(), "`data_column:` is missing: what the index is over");
      return std::nullopt;
    }
    const plan::IndexPart& how = use.factory->parts()[part];
    const std::string objection = use.factory->objection(part, how.embed ? how.embedded : expr->type);
    if (!objection.empty()) {
      lower.wrong(expr->span.known() ? expr->span : leaf.call->span(),
                  objection + ", and this is `" + expr->type.to_text() + "`");
      return std::nullopt;
    }
    out.data.push_back(static_cast<std::uint32_t>(out.own + more.size()));
    more.push_back(expr);
  }
  for (const Instance* leaf : use.leaves) {
    if (out.metadata || (!leaf->call->has("metadata_column") && !lower.call().has("metadata_column"))) continue;
    const plan::ExprPtr expr = data_argument(lower, *leaf, "metadata_column", place.table);
    if (!expr) return std::nullopt;
    if (!expr->type.is(Kind::kJson)) {
      lower.wrong(expr->span, "metadata are json, and this is `" + expr->type.to_text() + "`");
      return std::nullopt;
    }
    out.metadata = static_cast<std::uint32_t>(out.own + more.size());
    more.push_back(expr);
  }
  const std::string name = place.table.name;
  out.table = lower.extended(place.table, more);
  out.table.name = name;
  return out;
}

// ---------------------------------------------------------------- the query

struct QueryColumns {
  Table table;
  std::size_t own = 0;
  std::optional<std::uint32_t> filter, limit;
  std::uint64_t fixed_limit = 3;
};

std::optional<QueryColumns> query_columns(const Lowering& lower, const IndexUse& use, plan::IndexQuery& query) {
  const Call& call = lower.call();
  const auto table = call.table("queries");
  if (!table) return std::nullopt;
  QueryColumns out;
  out.own = table->schema.size();
  const plan::ExprPtr asked = lower.argument("query_column", *table);
  if (!asked) return std::nullopt;
  for (std::size_t part = 0; part < use.leaves.size(); ++part) {
    const plan::IndexPart& how = use.factory->parts()[part];
    const std::string objection = use.factory->objection(part, how.embed ? how.embedded : asked->type);
    if (objection.empty()) continue;
    lower.wrong(asked->span, objection + ", and this query is `" + asked->type.to_text() + "`");
    return std::nullopt;
  }
  std::vector<plan::ExprPtr> more = {asked};
  query.query.assign(use.leaves.size(), static_cast<std::uint32_t>(out.own));
  if (call.has("number_of_matches")) {
    const plan::ExprPtr limit = lower.argument("number_of_matches", *table);
    if (!limit) return std::nullopt;
    if (!limit->type.is_plain(Kind::kInt)) {
      lower.wrong(call.span_of("number_of_matches"),
                  "the number of matches is an int, and this is `" + limit->type.to_text() + "`");
      return std::nullopt;
    }
    query.limit = static_cast<std::uint32_t>(out.own + more.size());
    more.push_back(limit);
  }
  if (call.has("metadata_filter")) {
    const plan::ExprPtr filter = lower.argument("metadata_filter", *table);
    if (!filter) return std::nullopt;
    if (!filter->type.is(Kind::kStr) && !filter->type.is(Kind::kNone)) {
      lower.wrong(call.span_of("metadata_filter"),
                  "a metadata filter is a text, and this is `" + filter->type.to_text() + "`");
      return std::nullopt;
    }
    query.filter = static_cast<std::uint32_t>(out.own + more.size());
    more.push_back(plan::coerce(filter, Type(Kind::kStr, true)));
  }
  const std::string name = table->name;
  out.table = lower.extended(*table, more);
  out.table.name = name;
  return out;
}

// Names over [columns of the queries | columns of the data | pointers | scores].
ObjectPtr answers(const Lowering& lower, plan::IndexQuery query, const QueryColumns& asked, const IndexedTable& data) {
  const bool collapse = query.collapse;
  JoinSides sides{asked.table, data.table, {}, {}, {}, asked.own, data.own};
  const auto num_query = static_cast<std::uint32_t>(asked.table.schema.size());
  const auto num_data = static_cast<std::uint32_t>(data.table.schema.size());
  std::vector<Type> reply_types;
  for (ColumnSpec& column : sides.right.schema.columns) {
    column.type = collapse ? Type::list(column.type) : column.type.as_optional();
    reply_types.push_back(column.type);
  }
  const Type pointers = collapse ? Type::list(Kind::kPointer) : Type(Kind::kPointer, true);
  const Type scores = collapse ? Type::list(Kind::kFloat) : Type(Kind::kFloat, true);
  JoinedNames names(lower, sides, false, false);
  names.set_key(true, plan::key());
  names.set_key(false, plan::column(num_query + num_data, pointers));
  for (const char* name : {"_pw_index_reply_id"}) names.bind(name, plan::column(num_query + num_data, pointers));
  for (const char* name : {"_pw_index_reply_score", "score"})
    names.bind(name, plan::column(num_query + num_data + 1, scores));
  auto selection = names.selection("select");
  if (!selection) return error_object();
  if (!lower.call().has("select"))
    selection->push_back({"_pw_index_reply_score", {}, plan::column(num_query + num_data + 1, scores)});
  // What of the data is selected is what is appended.
  std::vector<bool> used(num_query + num_data + 2, false);
  bool key = false;
  for (const NamedExpr& item : *selection) plan::collect_columns(*item.expr, used, key);
  Schema schema = asked.table.schema;
  std::vector<std::uint32_t> map(used.size(), 0);
  for (std::uint32_t i = 0; i < num_query; ++i) map[i] = i;
  for (std::uint32_t i = 0; i < num_data; ++i) {
    if (!used[num_query + i]) continue;
    map[num_query + i] = static_cast<std::uint32_t>(schema.size());
    query.reply.push_back(i);
    schema.columns.push_back({"_reply_" + std::to_string(i), reply_types[i]});
  }
  map[num_query + num_data] = static_cast<std::uint32_t>(schema.size());
  map[num_query + num_data + 1] = map[num_query + num_data] + 1;
  schema.columns.push_back({"_pw_index_reply_id", pointers});
  schema.columns.push_back({"_pw_index_reply_score", scores});
  query.data = data.data;
  query.metadata = data.metadata;
  query.remember = !asked.table.append_only;
  const bool append_only = asked.table.append_only && !query.live;
  std::optional<UniverseId> universe;
  if (collapse) universe = asked.table.universe;
  const Table found = lower.builder().add(std::move(query), {data.table, asked.table}, std::move(schema),
                                          lower.options(append_only, universe));
  std::vector<NamedExpr> result;
  for (const NamedExpr& item : *selection)
    result.push_back({item.name, item.span, plan::remap_columns(item.expr, map)});
  return lower.result(lower.project(found, result));
}

ObjectPtr build_query(Builder& builder, const Call& call, bool live) {
  const Lowering lower(builder, call);
  if (!lower.outside_loop()) return error_object();
  const auto place = data_place(lower);
  if (!place) return error_object();
  const auto use = index_of(builder, *place->index, place->at);
  if (!use) return error_object();
  plan::IndexQuery query;
  query.index = use->factory;
  query.live = live;
  query.collapse = call.boolean("collapse_rows").value_or(true);
  const auto data = indexed_table(lower, *place, *use);
  const auto asked = query_columns(lower, *use, query);
  if (!data || !asked) return error_object();
  return answers(lower, std::move(query), *asked, *data);
}

// ---------------------------------------------------------------- rows

ArgSpec with_index_fallback(ArgSpec spec, std::string fallback) {
  spec.fallback = std::move(fallback);
  return spec;
}

std::vector<ArgSpec> knn_args(bool inner) {
  std::vector<ArgSpec> out;
  if (inner) {
    out.push_back(arg("data_column", ArgKind::kExpr, false, "the vectors, or texts where there is an embedder"));
    out.push_back(arg("metadata_column", ArgKind::kExpr, false, "json that filters look at"));
  }
  out.push_back(arg("dimensions", ArgKind::kInt, false, "of the vectors; default: those of the first one"));
  out.push_back(arg("embedder", ArgKind::kAny, false, "makes vectors of texts"));
  out.push_back(arg("reserved_space", ArgKind::kInt, false, "accepted; memory grows as it is needed"));
  return out;
}

void add(Components& out, std::string name, std::vector<std::string> aliases, std::vector<ArgSpec> args,
         std::string doc, std::string example) {
  Component component;
  component.name = std::string(kIndexing) + std::move(name);
  for (const std::string& alias : aliases) component.aliases.push_back(std::string(kIndexing) + alias);
  component.kind = ComponentKind::kSettings;
  component.args = std::move(args);
  component.doc = std::move(doc);
  component.example = std::move(example);
  out.push_back(std::move(component));
}

void add_indexes(Components& out, bool inner) {
  const std::string end = inner ? "" : "Factory";
  const auto metric = with_index_fallback(
      arg("metric", ArgKind::kText, false, "`COS`, `L2SQ` or `IP`: cos(a, b) - 1, -|a - b|², a·b - 1 are the scores"),
      "COS");
  std::vector<ArgSpec> exact = knn_args(inner);
  exact.push_back(metric);
  exact.push_back(arg("auxiliary_space", ArgKind::kInt, false, "accepted"));
  std::vector<std::string> names = {"nearest_neighbors.BruteForceKnn" + end};
  if (!inner) names.insert(names.end(), {"DefaultKnnFactory", "nearest_neighbors.DefaultKnnFactory"});
  add(out, "BruteForceKnn" + end, std::move(names), std::move(exact), "The nearest vectors, exactly.",
      "!indexing.BruteForceKnn" + end + " {embedder: $embedder}");
  std::vector<ArgSpec> graph = knn_args(inner);
  graph.push_back(metric);
  graph.push_back(with_index_fallback(
      arg("connectivity", ArgKind::kInt, false, "links of a row; twice as many in the layer of all rows"), "16"));
  graph.push_back(with_index_fallback(arg("expansion_add", ArgKind::kInt, false, "rows that are looked at to link one",
                                          {"expansion_construction", "ef_construction"}),
                                      "128"));
  graph.push_back(
      with_index_fallback(arg("expansion_search", ArgKind::kInt, false,
                              "rows that a search keeps in sight: more find better, and take longer", {"ef"}),
                          "64"));
  graph.push_back(arg("backend_name", ArgKind::kText, false, "accepted"));
  const std::string usearch = inner ? "USearchKnn" : "UsearchKnnFactory";
  std::vector<std::string> other = {"nearest_neighbors." + usearch, "HnswKnn" + end, "LeannKnn" + end};
  if (!inner) other.insert(other.end(), {"USearchKnnFactory", "nearest_neighbors.USearchKnnFactory"});
  if (inner) other.insert(other.end(), {"UsearchKnn", "nearest_neighbors.UsearchKnn"});
  add(out, usearch, std::move(other), std::move(graph),
      "The nearest vectors by a graph (HNSW): nearly always the right ones, in a time that hardly grows with the "
      "table. "
      "Few rows, and few that a filter admits, are searched exactly.",
      "!indexing." + usearch + " {embedder: $embedder, metric: COS}");
  std::vector<ArgSpec> lsh = knn_args(inner);
  for (const char* name : {"n_or", "n_and"})
    lsh.push_back(arg(name, ArgKind::kInt, false, "accepted; this version searches exactly"));
  lsh.push_back(arg("bucket_length", ArgKind::kFloat, false, "accepted"));
  lsh.push_back(
      with_index_fallback(arg("distance_type", ArgKind::kText, false, "`euclidean` or `cosine`"), "euclidean"));
  add(out, "LshKnn" + end, {"nearest_neighbors.LshKnn" + end}, std::move(lsh),
      "The nearest vectors; this version searches exactly.", "!indexing.LshKnn" + end + " {dimensions: 3}");
  std::vector<ArgSpec> words;
  if (inner) {
    words.push_back(arg("data_column", ArgKind::kExpr, false, "the texts"));
    words.push_back(arg("metadata_column", ArgKind::kExpr, false, "json that filters look at"));
  }
  words.push_back(arg("ram_budget", ArgKind::kInt, false, "accepted"));
  words.push_back(arg("in_memory_index", ArgKind::kBool, false, "accepted; the index is in memory"));
  words.push_back(with_index_fallback(
      arg("language", ArgKind::kText, false, "words of one stem are one word: `english`, `german` …"), "none"));
  add(out, "TantivyBM25" + end, {"bm25.TantivyBM25" + end, "BM25" + end}, std::move(words),
      "Full-text search: BM25 over words. A query finds rows with any of its words; `+word` and \"phrases\" are "
      "required, `-word` is excluded.",
      "!indexing.TantivyBM25" + end + " {language: english}");
  ArgSpec parts =
      arg("retriever_factories", ArgKind::kAny, true, "a list of two or more indexes", {"inner_indexes", "retrievers"});
  ArgSpec k = with_index_fallback(arg("k", ArgKind::kNumber, false, "the constant of the ranks"), "60");
  add(out, "HybridIndex" + end, {"hybrid_index.HybridIndex" + end}, {std::move(parts), std::move(k)},
      "Several indexes as one, by reciprocal rank: a row scores the sum of 1 / (k + rank).",
      "!indexing.HybridIndex" + end + " {retriever_factories: [$bm25, $knn]}");
}

}  // namespace

void add_index_components(Components& out) {
  add_indexes(out, false);
  add_indexes(out, true);
  add(out, "DataIndex", {"data_index.DataIndex"},
      {arg("data_table", ArgKind::kTable, true, "the table that the index is over", {"table"}),
       arg("inner_index", ArgKind::kComponent, true, "`!indexing.TantivyBM25 {data_column: text}` …")},
      "An index over a table.", "!indexing.DataIndex {data_table: $docs, inner_index: $index}");
  const std::vector<ArgSpec> args = {
      arg("retriever", ArgKind::kComponent, true,
          "`!indexing.DataIndex`, or an index with `data` and `data_column` beside it", {"data_index", "inner_index"}),
      arg("queries", ArgKind::kTable, true, "the table of queries", {"query_table", "table"}),
      arg("query_column", ArgKind::kExpr, true, "what is asked: a text, or a vector where there is no embedder"),
      arg("data", ArgKind::kTable, false, "the table that the index is over", {"data_table"}),
      arg("data_column", ArgKind::kExpr, false, "what of it the index is over"),
      arg("metadata_column", ArgKind::kExpr, false, "json that filters look at"),
      with_index_fallback(arg("number_of_matches", ArgKind::kExpr, false, "how many rows are found", {"k"}), "3"),
      with_index_fallback(
          arg("collapse_rows", ArgKind::kBool, false, "one row per query, with lists; else one per row found"), "true"),
      arg("metadata_filter", ArgKind::kExpr, false, "a JMESPath condition on the metadata, or None"),
      arg("select", ArgKind::kExprList, false,
          "the columns of the result: `left.` is the query, `right.` what was found, `score`; default all",
          {"columns"})};
  out.push_back(table_component(
      "indexing.query_as_of_now", args, "What an index finds for each query when it comes; never revised.",
      "!indexing.query_as_of_now {retriever: $index, queries: $queries, query_column: word, select: [word, {found: "
      "right.title}]}",
      [](Builder& b, const Call& call) { return build_query(b, call, false); }, {"DataIndex.query_as_of_now"}));
  out.push_back(table_component(
      "indexing.query", args, "What an index finds for each query, kept up to date as its table changes.",
      "!indexing.query {retriever: !indexing.TantivyBM25Factory {}, data: $docs, data_column: text, queries: $queries, "
      "query_column: word}",
      [](Builder& b, const Call& call) { return build_query(b, call, true); }, {"DataIndex.query"}));
}

}  // namespace thalweg::lang
