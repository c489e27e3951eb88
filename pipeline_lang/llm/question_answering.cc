// Question answering over a document store, and the routes of both.
#include <algorithm>

#include "pipeline_lang/catalog.h"
#include "pipeline_lang/evaluate.h"
#include "pipeline_lang/llm/answerer.h"
#include "pipeline_lang/llm/models.h"
#include "pipeline_lang/llm/store.h"
#include "pipeline_lang/tag_call.h"

namespace thalweg::lang {
namespace {

constexpr std::string_view kBase = "xpacks.llm.question_answering.BaseRAGQuestionAnswerer";
constexpr std::string_view kAdaptive = "xpacks.llm.question_answering.AdaptiveRAGQuestionAnswerer";
constexpr std::string_view kSummary = "xpacks.llm.question_answering.SummaryQuestionAnswerer";
constexpr std::string_view kDecks = "xpacks.llm.question_answering.DeckRetriever";
constexpr std::string_view kReranker = "xpacks.llm.rerankers.LLMReranker";

void copy_text(const Call& call, std::string_view from, const char* to, Setting::Map& out) {
  if (!call.has(from)) return;
  if (auto value = call.setting(from)) out.emplace_back(to, std::move(*value));
}

// `prompt_template:` is a text, the name of one of the peer's, or a tag that names it. False after an error.
bool read_prompt(Builder& builder, const Call& call, Setting::Map& out) {
  copy_text(call, "no_answer_string", "no_answer_string", out);
  if (call.has("context_processor")) {
    const Instance* processor = call.instance("context_processor");
    if (processor == nullptr) return false;
    copy_text(*processor->call, "context_metadata_keys", "context_metadata_keys", out);
    copy_text(*processor->call, "context_joiner", "context_joiner", out);
  }
  if (!call.has("prompt_template")) return true;
  const ObjectPtr object = call.object("prompt_template");
  if (object == nullptr || object->is_error()) return false;
  if (const Scalar* text = object->as_scalar()) {
    out.emplace_back("prompt_template", Setting(text->spelling, call.span_of("prompt_template")));
    return true;
  }
  const Instance* named = object->as_instance();
  if (named == nullptr) {
    builder.error(call.span_of("prompt_template"),
                  "a prompt is a text with {context} and {query}, found " + describe(*object));
    return false;
  }
  const std::string& name = named->component->name;
  if (name.find("PromptTemplate") != std::string::npos) {
    copy_text(*named->call, "template", "prompt_template", out);
    return true;
  }
  out.emplace_back("prompt_template", Setting(name.substr(name.rfind('.') + 1), call.span_of("prompt_template")));
  for (const char* option : {"information_not_found_response", "additional_rules"})
    copy_text(*named->call, option, option, out);
  return true;
}

// `reranker` and `rerank_topk` are given together. False after an error.
bool read_reranker(Builder& builder, const Call& call, Answerer& out) {
  if (!call.has("reranker") && !call.has("rerank_topk")) return true;
  if (!call.has("reranker") || !call.has("rerank_topk")) {
    builder.warning(call.span_of(call.has("reranker") ? "reranker" : "rerank_topk"),
                    "`reranker` and `rerank_topk` are given together; nothing is reranked");
    return true;
  }
  const auto keep = call.setting("rerank_topk");
  const ObjectPtr given = call.object("reranker");
  if (!keep || given == nullptr || given->is_error()) return false;
  Setting::Map options;
  options.emplace_back("rerank_topk", *keep);
  copy_text(call, "on_unavailable", "on_unavailable", options);
  if (const FunctionObject* scorer = given->as_function()) {  // (document, query) → a number, or a server
    if (scorer->function == nullptr) return false;
    const char* how = scorer->kind.starts_with("llm.reranker.") ? "reranker" : "scorer";
    out.rerank =
        make_llm_function(builder, call, "llm.rag.rerank", Kind::kJson, std::move(options), {{how, scorer->function}});
    return out.rerank != nullptr;
  }
  const Instance* reranker = call.instance("reranker");
  if (reranker == nullptr) return false;
  if (reranker->component->name != kReranker) {
    builder.error(call.span_of("reranker"), "a reranker is expected, found `" + reranker->component->name + "`")
        .note("`!xpacks.llm.rerankers.LLMReranker {llm: $llm}` asks a chat model");
    return false;
  }
  const FunctionObject* chat = function_argument(builder, *reranker->call, "llm", "llm.chat.");
  if (chat == nullptr) return false;
  out.rerank =
      make_llm_function(builder, call, "llm.rag.rerank", Kind::kJson, std::move(options), {{"llm", chat->function}});
  return out.rerank != nullptr;
}

ObjectPtr build_answerer(Builder& builder, const Call& call) {
  auto out = std::make_shared<Answerer>();
  out->adaptive = call.component().name == kAdaptive;
  out->decks = call.component().name == kDecks;
  out->store = store_argument(builder, call, "indexer");
  bool fine = out->store != nullptr;
  if (!out->decks) {
    out->chat = function_argument(builder, call, "llm", "llm.chat.");
    fine = fine && out->chat != nullptr;
  }
  if (call.has("search_topk")) {
    const auto topk = call.integer("search_topk");
    fine = fine && topk;
    if (topk && *topk < 1) {
      builder.error(call.span_of("search_topk"), "`search_topk` is at least 1");
      fine = false;
    }
    out->search_topk = topk.value_or(6);
  }
  if (!fine || !read_prompt(builder, call, out->prompt) || !read_reranker(builder, call, *out)) return error_object();
  if (call.has("strict_prompt"))
    builder.warning(call.span_of("strict_prompt"),
                    "`strict_prompt` is no longer an argument of the peer's; it says nothing");
  if (call.has("default_llm_name")) out->model = call.text("default_llm_name").value_or("");
  copy_text(call, "on_unavailable", "on_unavailable", out->prompt);
  if (out->adaptive) {
    out->prompt.emplace_back("adaptive", Setting(true));
    std::int64_t count = call.integer("n_starting_documents").value_or(2);
    const std::int64_t factor = call.integer("factor").value_or(2);
    for (std::int64_t round = 1; round < call.integer("max_iterations").value_or(4) && count < 1000; ++round)
      count *= factor;
    out->search_topk = std::min<std::int64_t>(count, 1000);
    for (const char* option : {"n_starting_documents", "factor", "max_iterations"})
      copy_text(call, option, option, out->prompt);
  }
  Instance instance{&call.component(), static_cast<const TagCall&>(call).shared_from_this(), std::move(out)};
  return make_object({std::move(instance), call.span()});
}

// `queries` of the pipeline itself: prompt, filters, model, return_context_docs.
ObjectPtr build_answer_query(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const ObjectPtr object = call.object("question_answerer");
  const auto queries = call.table("queries");
  if (object == nullptr || object->is_error() || !queries) return error_object();
  const Instance* instance = object->as_instance();
  if (instance == nullptr || !is_answerer(instance->component->name))
    return lower.wrong(call.span_of("question_answerer"), "question answering is expected, found " + describe(*object));
  const auto answerer = std::static_pointer_cast<const Answerer>(instance->made);
  const auto prompt = queries->schema.find("prompt");
  if (!prompt || !queries->schema.columns[*prompt].type.is_plain(Kind::kStr))
    return lower.wrong(call.span_of("queries"),
                       "questions have a column `prompt: str`, and these have " + names_text(queries->column_names()));
  Writer writer(lower);
  const auto column_or = [&](const std::string& name, const std::string& fallback) {
    return queries->schema.find(name) ? name : fallback;
  };
  const Table asked = writer.project(*queries, {{"query", "prompt"},
                                                {"k", std::to_string(answerer->search_topk)},
                                                {"filters", column_or("filters", "None")},
                                                {"model", column_or("model", "declare_type(str | None, None)")},
                                                {"return_context_docs", column_or("return_context_docs", "False")},
                                                {"return_receipt", column_or("return_receipt", "False")},
                                                {"stream", "declare_type(str | None, None)"}});
  const auto filtered = with_filter(
      writer, asked, {"query", "k", "model", "return_context_docs", "return_receipt", "stream"}, "filters", "None");
  const auto found = filtered ? retrieved(writer, *answerer->store, *filtered) : std::nullopt;
  if (!found) return error_object();
  const auto answers = answered(writer, *answerer,
                                writer.project(*found, {{"prompt", "query"},
                                                        {"docs", "docs"},
                                                        {"model", "model"},
                                                        {"return_context_docs", "return_context_docs"},
                                                        {"return_receipt", "return_receipt"},
                                                        {"stream", "stream"}}));
  if (!answers) return error_object();
  return lower.result(*answers);
}

ArgSpec defaulted(ArgSpec spec, std::string fallback) {
  spec.fallback = std::move(fallback);
  return spec;
}

void add_answerer(Components& out, std::string_view name, std::vector<ArgSpec> more, std::string doc) {
  Component component;
  component.name = name;
  component.aliases = {"xpacks.llm." + std::string(name.substr(name.rfind('.') + 1))};
  component.kind = ComponentKind::kServer;
  component.args = {arg("indexer", ArgKind::kAny, true, "a document store")};
  if (name != kDecks) {
    component.args.push_back(arg("llm", ArgKind::kAny, true, "a chat model"));
    component.args.push_back(arg("default_llm_name", ArgKind::kText, false, "the model where a request names none"));
    component.args.push_back(arg("prompt_template", ArgKind::kAny, false,
                                 "a text with {context} and {query}, or one of the peer's by name"));
    component.args.push_back(
        arg("context_processor", ArgKind::kComponent, false, "how documents are shown to the model"));
    component.args.push_back(arg("summarize_template", ArgKind::kAny, false, "accepted"));
    component.args.push_back(arg("on_unavailable", ArgKind::kText, false,
                                 "`fail` (default), or `degrade`: a model that does not answer costs its part of the "
                                 "answer, which says so"));
  }
  component.args.insert(component.args.end(), more.begin(), more.end());
  component.doc = std::move(doc);
  component.example = "question_answerer: !" + component.name + "\n  indexer: $document_store" +
                      (name == kDecks ? "" : "\n  llm: $llm");
  component.build = build_answerer;
  out.push_back(std::move(component));
}

void add_settings(Components& out, std::string name, std::vector<std::string> aliases, std::vector<ArgSpec> args,
                  std::string doc) {
  Component component;
  component.name = "xpacks.llm." + std::move(name);
  for (const std::string& alias : aliases) component.aliases.push_back("xpacks.llm." + alias);
  component.kind = ComponentKind::kSettings;
  component.args = std::move(args);
  component.doc = std::move(doc);
  component.example = "!" + component.name + " {}";
  component.open = true;
  out.push_back(std::move(component));
}

}  // namespace

bool is_answerer(std::string_view name) {
  return name == kBase || name == kAdaptive || name == kSummary || name == kDecks;
}

// ---------------------------------------------------------------- answers

std::optional<Table> answered(Writer& writer, const Answerer& answerer, const Table& asked) {
  if (answerer.decks) {
    if (!writer.need("llm.rag.slides", Kind::kJson)) return std::nullopt;
    return writer.project(asked, {{"result", "call($rag_slides, docs)"}});
  }
  Table table = asked;
  if (answerer.rerank != nullptr) {
    writer.define("rerank", answerer.rerank, Kind::kJson);
    table = writer.project(table, {{"prompt", "prompt"},
                                   {"docs", "call($rerank, docs, prompt)"},
                                   {"model", "model"},
                                   {"return_context_docs", "return_context_docs"},
                                   {"return_receipt", "return_receipt"},
                                   {"stream", "stream"}});
  }
  if (!writer.need("llm.rag.respond", Kind::kJson, answerer.prompt, {{"llm", answerer.chat->function}}))
    return std::nullopt;
  return writer.project(
      table, {{"result", "call($rag_respond, docs, prompt, model, return_context_docs, return_receipt, stream)"}});
}

void add_rag_components(Components& out) {
  add_serving_components(out);
  add_operator_components(out);
  const ArgSpec topk =
      defaulted(arg("search_topk", ArgKind::kInt, false, "how many chunks a question is answered from"), "6");
  add_answerer(out, kBase,
               {topk, arg("reranker", ArgKind::kComponent, false, "puts the chunks in a better order"),
                arg("rerank_topk", ArgKind::kInt, false, "how many are left then")},
               "Answers questions from the documents of a store: `/v1/pw_ai_answer`, `/v2/answer`, `/v1/retrieve`, "
               "`/v1/statistics`, `/v2/list_documents`, `/v2/summarize`.");
  add_answerer(out, kSummary, {topk}, "The same as the base question answerer.");
  add_answerer(
      out, kAdaptive,
      {defaulted(arg("n_starting_documents", ArgKind::kInt, false, "with how many documents is asked first"), "2"),
       defaulted(arg("factor", ArgKind::kInt, false, "how many times more are taken each time"), "2"),
       defaulted(arg("max_iterations", ArgKind::kInt, false, "how often is asked at most"), "4"),
       defaulted(arg("no_answer_string", ArgKind::kText, false, "what the model says where it finds nothing"),
                 "No information found."),
       arg("strict_prompt", ArgKind::kBool, false, "says nothing any more")},
      "Answers questions from few documents, and from more where those do not hold the answer.");
  add_answerer(out, kDecks, {topk}, "Finds slides.");
  out.push_back(
      table_component("xpacks.llm.question_answering.answer_query",
                      {arg("question_answerer", ArgKind::kAny, true, "question answering"),
                       arg("queries", ArgKind::kTable, true,
                           "questions: `prompt`, `filters`, `model`, `return_context_docs`", {"table"})},
                      "The answers to a table of questions, as `result`.",
                      "!xpacks.llm.question_answering.answer_query {question_answerer: $answerer, queries: $questions}",
                      build_answer_query, {"xpacks.llm.question_answering.BaseRAGQuestionAnswerer.answer_query"}));
  add_settings(
      out, "question_answering.SimpleContextProcessor", {},
      {arg("context_metadata_keys", ArgKind::kNames, false, "what of the metadata the model sees; default path"),
       defaulted(arg("context_joiner", ArgKind::kText, false, "what stands between documents"), "\n\n")},
      "How documents are shown to the model.");
  add_settings(
      out, "rerankers.LLMReranker", {},
      {arg("llm", ArgKind::kAny, true, "a chat model"), arg("prompt_template", ArgKind::kAny, false, "accepted"),
       arg("response_parser", ArgKind::kAny, false, "accepted")},
      "Asks a chat model how well each document answers the question, from 1 to 5.");
  for (const char* name : {"prompt_qa", "prompt_short_qa", "prompt_qa_geometric_rag", "prompt_citing_qa",
                           "prompt_summarize", "prompt_query_rewrite", "prompt_rerank"})
    add_settings(
        out, std::string("prompts.") + name, {},
        {arg("information_not_found_response", ArgKind::kText, false, "what is answered where nothing is found"),
         arg("additional_rules", ArgKind::kText, false, "further rules")},
        "A prompt of the peer, by name.");
  for (const char* name : {"RAGPromptTemplate", "RAGFunctionPromptTemplate"})
    add_settings(out, std::string("prompts.") + name, {},
                 {arg("template", ArgKind::kText, true, "with {context} and {query}")}, "A prompt of one's own.");
}

}  // namespace thalweg::lang
