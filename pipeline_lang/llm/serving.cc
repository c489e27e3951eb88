// What is served of document stores and question answering: routes, and tools of MCP servers. All requests of one kind
// are one table, however they come: a store has one index.
#include <algorithm>

#include "pipeline_lang/catalog.h"
#include "pipeline_lang/evaluate.h"
#include "pipeline_lang/llm/answerer.h"
#include "pipeline_lang/llm/models.h"
#include "pipeline_lang/llm/store.h"
#include "pipeline_lang/tag_call.h"

namespace thalweg::lang {
namespace {

constexpr std::string_view kMcp = "xpacks.llm.mcp_server.PathwayMcp";

constexpr const char* kRetrieveDoc =
    "Finds the parts of the indexed documents that fit `query` best, `k` of them, best first, with their metadata. "
    "`metadata_filter` is a JMESPath condition on the metadata, `filepath_globpattern` a pattern for paths.";
constexpr const char* kStatisticsDoc = "How many documents are indexed, and how new they are.";
constexpr const char* kInputsDoc =
    "The metadata of the indexed documents, as far as `metadata_filter` and `filepath_globpattern` admit them.";
constexpr const char* kAnswerDoc =
    "Answers the question in `prompt` from the indexed documents; `filters` is a JMESPath condition on their metadata.";
constexpr const char* kSummaryDoc = "One summary of the texts in `text_list`.";

// One store with all that asks it.
struct Serving {
  const Instance* owner = nullptr;  // of whose tag errors are
  StorePtr store;
  std::shared_ptr<const Answerer> answerer;  // null: the store alone
  bool routes = false;
  std::vector<McpPlace> store_tools, answerer_tools;

  // The tools of one kind: what it is called by a store, and by question answering; empty: it has none.
  [[nodiscard]] std::vector<ServedTool> tools(const std::string& of_store, const std::string& of_answerer,
                                              const std::string& doc) const {
    std::vector<ServedTool> out;
    if (!of_store.empty())
      for (const McpPlace& server : store_tools) out.push_back({server, of_store, doc});
    if (!of_answerer.empty())
      for (const McpPlace& server : answerer_tools) out.push_back({server, of_answerer, doc});
    return out;
  }
  [[nodiscard]] std::vector<std::string> paths(std::vector<std::string> all) const {
    return routes ? std::move(all) : std::vector<std::string>();
  }
  [[nodiscard]] std::vector<std::string> methods() const {
    return answerer ? std::vector<std::string>{"POST"} : std::vector<std::string>{"GET", "POST"};
  }
};

Type optional_text() { return {Kind::kStr, true}; }
RouteField optional_field(std::string name) { return {std::move(name), optional_text(), Value::none()}; }
RouteField stream_field() { return {"stream", optional_text(), Value::none(), true}; }

const std::vector<RouteField>& retrieve_fields() {
  static const std::vector<RouteField> kFields = {{"query", Kind::kStr, {}},
                                                  {"k", Kind::kInt, {}},
                                                  optional_field("metadata_filter"),
                                                  optional_field("filepath_globpattern")};
  return kFields;
}
const std::vector<RouteField>& inputs_fields() {
  static const std::vector<RouteField> kFields = {optional_field("metadata_filter"),
                                                  optional_field("filepath_globpattern"),
                                                  {"return_status", Kind::kBool, Value::of(false)}};
  return kFields;
}

std::optional<Table> requests(Writer& writer, const ServePlace& place, ServedRoute route) {
  if (route.paths.empty() && route.tools.empty()) return std::nullopt;
  return requests_of(writer, place, route);
}

void serve_inputs(Writer& writer, const Serving& what, const ServePlace& place) {
  const std::vector<std::string> paths =
      what.answerer ? std::vector<std::string>{"/v1/pw_list_documents", "/v2/list_documents", "/v1/inputs"}
                    : std::vector<std::string>{"/v1/inputs"};
  const auto asked = requests(
      writer, place,
      {what.paths(paths), what.methods(), inputs_fields(), what.tools("inputs_query", "list_documents", kInputsDoc)});
  if (!asked) return;
  const auto filtered = with_filter(writer, *asked, {"return_status"}, "metadata_filter", "filepath_globpattern");
  const auto answers = filtered ? listed(writer, *what.store, *filtered, true) : std::nullopt;
  if (answers) answer_requests(writer, *answers);
}

void serve_statistics(Writer& writer, const Serving& what, const ServePlace& place) {
  // A row needs a column.
  const auto asked = requests(writer, place,
                              {what.paths({"/v1/statistics"}),
                               what.methods(),
                               {optional_field("_")},
                               what.tools("statistics_query", "statistics", kStatisticsDoc)});
  if (!asked) return;
  const auto answers = counted(writer, *what.store, *asked, true);
  if (answers) answer_requests(writer, *answers);
}

void serve_summaries(Writer& writer, const Serving& what, const ServePlace& place) {
  const Answerer& answerer = *what.answerer;
  const auto asked =
      requests(writer, place,
               {what.paths({"/v1/pw_ai_summary", "/v2/summarize"}),
                {"POST"},
                {{"text_list", Type::list(Kind::kStr), {}},
                 {"model", optional_text(), answerer.model.empty() ? Value::none() : Value::str(answerer.model)},
                 stream_field()},
                what.tools("", "summarize", kSummaryDoc)});
  if (!asked || !writer.need("llm.rag.summary", Kind::kJson) || !writer.need("llm.rag.options", Kind::kJson)) return;
  writer.define("chat", answerer.chat->function, optional_text());
  answer_requests(writer, writer.project(*asked, {{"result",
                                                   "call($chat, call($rag_summary, text_list), "
                                                   "call($rag_options, model, stream))"}}));
}

using Columns = std::vector<std::pair<std::string, std::string>>;

// Searches as rows of what the index is asked.
std::optional<Table> searches_of(Writer& writer, const Serving& what, const ServePlace& place) {
  const auto asked = requests(writer, place,
                              {what.paths({"/v1/retrieve"}), what.methods(), retrieve_fields(),
                               what.tools("retrieve_query", "retrieve", kRetrieveDoc)});
  if (!asked) return std::nullopt;
  const auto filtered = with_filter(writer, *asked, {"query", "k"}, "metadata_filter", "filepath_globpattern");
  if (!filtered) return std::nullopt;
  return writer.project(*filtered, {{"query", "query"},
                                    {"k", "k"},
                                    {"filter", "filter"},
                                    {"is_question", "False"},
                                    {"model", "declare_type(str | None, None)"},
                                    {"return_context_docs", "False"},
                                    {"return_receipt", "False"},
                                    {"stream", "declare_type(str | None, None)"}});
}

std::optional<Table> questions_of(Writer& writer, const Serving& what, const ServePlace& place) {
  const Answerer& answerer = *what.answerer;
  std::vector<RouteField> fields = {{"prompt", Kind::kStr, {}}, optional_field("filters")};
  if (!answerer.decks) {
    fields.push_back({"model", optional_text(), answerer.model.empty() ? Value::none() : Value::str(answerer.model)});
    fields.push_back({"return_context_docs", Type(Kind::kBool, true), Value::of(false)});
    fields.push_back({"return_receipt", Type(Kind::kBool, true), Value::of(false)});
    fields.push_back(stream_field());
  }
  const auto asked = requests(writer, place,
                              {what.paths({"/v1/pw_ai_answer", "/v2/answer"}),
                               {"POST"},
                               std::move(fields),
                               what.tools("", "answer", kAnswerDoc)});
  if (!asked) return std::nullopt;
  const auto filtered = with_filter(
      writer,
      writer.project(*asked,
                     {{"query", "prompt"},
                      {"k", std::to_string(answerer.search_topk)},
                      {"filters", "filters"},
                      {"model", answerer.decks ? "declare_type(str | None, None)" : "model"},
                      {"return_context_docs", answerer.decks ? "False" : "coalesce(return_context_docs, False)"},
                      {"return_receipt", answerer.decks ? "False" : "coalesce(return_receipt, False)"},
                      {"stream", answerer.decks ? "declare_type(str | None, None)" : "stream"}}),
      {"query", "k", "model", "return_context_docs", "return_receipt", "stream"}, "filters", "None");
  if (!filtered) return std::nullopt;
  return writer.project(*filtered, {{"query", "query"},
                                    {"k", "k"},
                                    {"filter", "filter"},
                                    {"is_question", "True"},
                                    {"model", "model"},
                                    {"return_context_docs", "return_context_docs"},
                                    {"return_receipt", "return_receipt"},
                                    {"stream", "stream"}});
}

// Questions and searches ask one index: they are one table, told apart by `is_question`.
void serve_searches(Writer& writer, const Serving& what, const ServePlace& place) {
  std::vector<Table> parts;
  const auto questions = what.answerer ? questions_of(writer, what, place) : std::nullopt;
  if (questions) parts.push_back(*questions);
  if (const auto searches = searches_of(writer, what, place)) parts.push_back(*searches);
  if (parts.empty()) return;
  const Table asked = parts.size() == 1 ? parts.front()
                                        : writer.lower().builder().add(plan::Concat{}, parts, parts.front().schema,
                                                                       writer.lower().options(false));
  const auto found = retrieved(writer, *what.store, asked);
  if (!found) return;
  answer_requests(writer, writer.project(writer.filter(*found, "not is_question"), {{"result", "docs"}}));
  if (!questions) return;
  const Table open =
      writer.project(writer.filter(*found, "is_question"), {{"prompt", "query"},
                                                            {"docs", "docs"},
                                                            {"model", "model"},
                                                            {"return_context_docs", "return_context_docs"},
                                                            {"return_receipt", "return_receipt"},
                                                            {"stream", "stream"}});
  const auto answers = answered(writer, *what.answerer, open);
  if (answers) answer_requests(writer, *answers);
}

// ---------------------------------------------------------------- who is served

StorePtr store_behind(const Instance& instance) {
  if (is_answerer(instance.component->name)) return std::static_pointer_cast<const Answerer>(instance.made)->store;
  return std::static_pointer_cast<const Store>(instance.made);
}

// The one that asks this store already, else a new one.
Serving& serving_of(std::vector<Serving>& all, const Instance& instance) {
  const StorePtr store = store_behind(instance);
  const bool answers = is_answerer(instance.component->name);
  for (Serving& known : all) {
    if (known.store != store) continue;
    if (answers && known.answerer != nullptr && known.answerer != instance.made) continue;
    if (answers && known.answerer == nullptr) {
      known.answerer = std::static_pointer_cast<const Answerer>(instance.made);
      known.owner = &instance;
    }
    return known;
  }
  Serving made;
  made.owner = &instance;
  made.store = store;
  if (answers) made.answerer = std::static_pointer_cast<const Answerer>(instance.made);
  all.push_back(std::move(made));
  return all.back();
}

struct McpTag {
  McpPlace place;
  std::vector<ObjectPtr> serve;
};

ObjectPtr build_mcp(Builder& builder, const Call& call) {
  auto out = std::make_shared<McpTag>();
  McpPlace& place = out->place;
  if (call.has("name")) place.name = call.text("name").value_or(place.name);
  if (call.has("transport")) place.transport = call.text("transport").value_or(place.transport);
  if (call.has("host")) place.host = call.text("host");
  if (call.has("port")) place.port = call.integer("port");
  if (place.transport != "streamable-http" && place.transport != "stdio") {
    builder.error(call.span_of("transport"), "`transport` is `streamable-http` or `stdio`");
    return error_object();
  }
  if (place.transport == "stdio" && (place.host || place.port)) {
    builder.error(call.span_of(place.port ? "port" : "host"), "`transport: stdio` has neither `host` nor `port`");
    return error_object();
  }
  if (place.port && (*place.port < 1 || *place.port > 65535)) {
    builder.error(call.span_of("port"), "`port` is between 1 and 65535");
    return error_object();
  }
  const ObjectPtr given = call.has("serve") ? call.object("serve") : nullptr;
  if (given != nullptr && given->is_error()) return error_object();
  if (given != nullptr && given->as_list() != nullptr) out->serve = given->as_list()->items;
  if (given != nullptr && given->as_instance() != nullptr) out->serve = {given};
  for (const ObjectPtr& one : out->serve) {
    if (one->is_error()) return error_object();
    const Instance* instance = one->as_instance();
    if (instance != nullptr && instance->made != nullptr &&
        (is_answerer(instance->component->name) || store_of(*one) != nullptr))
      continue;
    builder.error(call.span_of("serve"), "document stores and question answering are served, found " + describe(*one));
    return error_object();
  }
  if (out->serve.empty()) builder.warning(call.span(), "`serve` is empty: the server has no tools");
  return make_object(
      {Instance{&call.component(), static_cast<const TagCall&>(call).shared_from_this(), std::move(out)}, call.span()});
}

}  // namespace

void serve_components(Builder& builder, const std::vector<ObjectPtr>& components, const ServePlace& given) {
  constexpr std::int64_t kPeersPort = 8000;
  ServePlace place = given;
  if (place.host && !place.port) place.port = kPeersPort;
  std::vector<Serving> all;
  const auto is_one = [](const ObjectPtr& object) { return is_answerer(object->as_instance()->component->name); };
  const bool any_answers = std::ranges::any_of(components, is_one);
  for (const ObjectPtr& object : components) {
    const Instance& instance = *object->as_instance();
    const bool is_mcp = instance.component->name == kMcp;
    if (!is_mcp && !is_one(object) && store_of(*object) == nullptr) continue;
    if (!is_mcp && (is_one(object) || !any_answers)) serving_of(all, instance).routes = true;
  }
  for (const ObjectPtr& object : components) {
    const Instance& instance = *object->as_instance();
    if (instance.component->name != kMcp) continue;
    const auto tag = std::static_pointer_cast<const McpTag>(instance.made);
    for (const ObjectPtr& one : tag->serve) {
      Serving& what = serving_of(all, *one->as_instance());
      (is_one(one) ? what.answerer_tools : what.store_tools).push_back(tag->place);
    }
  }
  if (all.empty()) return;
  const Catalog* catalog = static_cast<Evaluator&>(builder).registry().catalog();
  const bool serves = catalog != nullptr && std::ranges::any_of(catalog->connectors(), [](const auto* spec) {
                        return spec->name == "io.http.rest_connector";
                      });
  for (const Serving& what : all) {
    if (!serves) {
      builder.warning(what.owner->call->span(), "routes are not served here");
      continue;
    }
    const Lowering lower(builder, *what.owner->call);
    Writer writer(lower);
    serve_searches(writer, what, place);
    serve_statistics(writer, what, place);
    serve_inputs(writer, what, place);
    if (what.answerer != nullptr && what.answerer->chat != nullptr) serve_summaries(writer, what, place);
  }
}

void add_serving_components(Components& out) {
  Component mcp;
  mcp.name = kMcp;
  mcp.aliases = {"xpacks.llm.mcp_server.McpServer"};
  mcp.kind = ComponentKind::kServer;
  mcp.args = {arg("name", ArgKind::kText, false, "what the server calls itself; default pathway-mcp-server"),
              arg("transport", ArgKind::kText, false,
                  "`streamable-http`, at `/mcp` of `host` and `port`, or `stdio`, for `thalweg run`"),
              arg("host", ArgKind::kText, false, "where it listens"),
              arg("port", ArgKind::kInt, false, "where it listens; without it below `/p/` of the daemon's listener"),
              arg("serve", ArgKind::kAny, false, "document stores and question answering")};
  mcp.args[0].fallback = McpPlace().name;
  mcp.args[1].fallback = McpPlace().transport;
  mcp.doc =
      "A server of the Model Context Protocol, whose tools are the queries of document stores and question "
      "answering.";
  mcp.example = "mcp_http: !xpacks.llm.mcp_server.PathwayMcp {port: 8123, serve: [$document_store]}";
  mcp.build = build_mcp;
  out.push_back(std::move(mcp));
}

}  // namespace thalweg::lang
