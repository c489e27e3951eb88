// Tags of language models that are functions: chats, embedders, splitters, parsers. Each may be called on any table,
// `call($llm, prompt)`, and is handed to the components that are made of them.
#include <algorithm>
#include <tuple>

#include "pipeline_lang/catalog.h"
#include "pipeline_lang/evaluate.h"
#include "pipeline_lang/llm/models.h"
#include "pipeline_lang/tag_call.h"

namespace thalweg::lang {

Type chunks_type() { return Type::list(Type::tuple({Type(Kind::kStr), Type(Kind::kJson)})); }

namespace {

enum class Role : std::uint8_t { kChat, kEmbedder, kReranker, kSplitter, kParser };

Type returns_of(Role role) {
  switch (role) {
    case Role::kChat: return {Kind::kStr, true};
    case Role::kEmbedder: return Type::list(Kind::kFloat);
    case Role::kReranker: return Kind::kFloat;
    case Role::kSplitter:
    case Role::kParser: break;
  }
  return chunks_type();
}

struct Row {
  std::string_view name;  // behind `xpacks.llm.`
  std::initializer_list<std::string_view> aliases;
  Role role;
  std::string_view kind;   // of the function; `llm.missing.…`: it answers with an ERROR that says why
  std::string_view model;  // default
  std::string_view key;    // the variable of the environment with its key
  std::string_view url;    // the variable with its URL
  std::string_view doc;
};

constexpr std::string_view kNotLocal =
    "runs a model inside of the process, which this version does not; serve it (Ollama, vLLM, llama.cpp, TEI) and name "
    "the server with `base_url:`";

const Row kRows[] = {
    {"llms.OpenAIChat",
     {"OpenAILanguageModel", "OpenAIChat"},
     Role::kChat,
     "llm.chat.openai",
     "gpt-3.5-turbo",
     "OPENAI_API_KEY",
     "OPENAI_BASE_URL",
     "A chat model of OpenAI, or of any server that speaks its language (`base_url`)."},
    {"llms.LiteLLMChat",
     {"LiteLLMChat"},
     Role::kChat,
     "llm.chat.litellm",
     "",
     "",
     "",
     "A chat model by LiteLLM's names: `ollama/mistral`, `anthropic/claude-…`, `gemini/…`, `mistral/…`."},
    {"llms.AnthropicChat",
     {"AnthropicLanguageModel"},
     Role::kChat,
     "llm.chat.anthropic",
     "claude-3-5-sonnet-latest",
     "ANTHROPIC_API_KEY",
     "ANTHROPIC_BASE_URL",
     "A chat model of Anthropic."},
    {"llms.CohereChat",
     {"CohereChat"},
     Role::kChat,
     "llm.chat.cohere",
     "command",
     "COHERE_API_KEY",
     "",
     "A chat model of Cohere."},
    {"llms.GeminiChat",
     {"GeminiChat"},
     Role::kChat,
     "llm.chat.gemini",
     "gemini-1.5-flash",
     "GOOGLE_API_KEY",
     "",
     "A chat model of Google."},
    {"llms.OllamaChat",
     {"OllamaChat", "OllamaLanguageModel"},
     Role::kChat,
     "llm.chat.ollama",
     "llama3",
     "",
     "OLLAMA_BASE_URL",
     "A chat model that Ollama serves."},
    {"llms.AzureOpenAIChat",
     {"AzureOpenAILanguageModel"},
     Role::kChat,
     "llm.chat.azure",
     "",
     "AZURE_OPENAI_API_KEY",
     "AZURE_OPENAI_ENDPOINT",
     "A chat model of OpenAI on Azure: `endpoint`, `deployment`, `api_version`."},
    {"llms.HFPipelineChat",
     {"HFPipelineChat"},
     Role::kChat,
     "llm.missing.chat",
     "gpt2",
     "",
     "",
     "A model of Hugging Face in the process itself: not in this version."},
    {"llms.BedrockChat",
     {"BedrockChat"},
     Role::kChat,
     "llm.chat.bedrock",
     "",
     "",
     "",
     "A chat model on Amazon Bedrock, by the Converse API."},
    {"llms.CustomChat",
     {"CustomChat"},
     Role::kChat,
     "llm.chat.custom",
     "",
     "",
     "",
     "A chat model behind a REST API of one's own: `template` is the body of a request, `answer` where the answer is."},
    {"embedders.OpenAIEmbedder",
     {"OpenAIEmbedder"},
     Role::kEmbedder,
     "llm.embedder.openai",
     "text-embedding-3-small",
     "OPENAI_API_KEY",
     "OPENAI_BASE_URL",
     "Vectors by OpenAI, or by any server that speaks its language (`base_url`)."},
    {"embedders.LiteLLMEmbedder",
     {"LiteLLMEmbedder"},
     Role::kEmbedder,
     "llm.embedder.litellm",
     "",
     "",
     "",
     "Vectors by LiteLLM's names: `ollama/nomic-embed-text`, `gemini/…`, `cohere/…`."},
    {"embedders.GeminiEmbedder",
     {"GeminiEmbedder"},
     Role::kEmbedder,
     "llm.embedder.gemini",
     "models/embedding-001",
     "GOOGLE_API_KEY",
     "",
     "Vectors by Google."},
    {"embedders.CohereEmbedder",
     {"CohereEmbedder"},
     Role::kEmbedder,
     "llm.embedder.cohere",
     "embed-v4.0",
     "COHERE_API_KEY",
     "",
     "Vectors by Cohere."},
    {"embedders.OllamaEmbedder",
     {"OllamaEmbedder"},
     Role::kEmbedder,
     "llm.embedder.ollama",
     "nomic-embed-text",
     "",
     "OLLAMA_BASE_URL",
     "Vectors by a model that Ollama serves."},
    {"embedders.AzureOpenAIEmbedder",
     {"AzureOpenAIEmbedder"},
     Role::kEmbedder,
     "llm.embedder.azure",
     "",
     "AZURE_OPENAI_API_KEY",
     "AZURE_OPENAI_ENDPOINT",
     "Vectors by OpenAI on Azure."},
    {"embedders.HuggingFaceEmbedder",
     {"HuggingFaceEmbedder"},
     Role::kEmbedder,
     "llm.embedder.huggingface",
     "",
     "HF_TOKEN",
     "TEI_BASE_URL",
     "Vectors by a server of Hugging Face's text-embeddings-inference (`base_url`)."},
    {"embedders.SentenceTransformerEmbedder",
     {"SentenceTransformerEmbedder", "embedders.LocalEmbedder", "LocalEmbedder"},
     Role::kEmbedder,
     "llm.local.embedder",
     "",
     "",
     "",
     "Vectors by a model in this process: a folder with config.json, tokenizer.json and model.safetensors, looked up "
     "in "
     "`models_dir`, the variable THALWEG_MODELS_DIR, /var/lib/thalweg/models and the cache of Hugging Face. BERT, "
     "RoBERTa, XLM-RoBERTa, DistilBERT, and static models (model2vec)."},
    {"embedders.BedrockEmbedder",
     {"BedrockEmbedder"},
     Role::kEmbedder,
     "llm.embedder.bedrock",
     "amazon.titan-embed-text-v2:0",
     "",
     "",
     "Vectors by Amazon Bedrock: models of Titan and Cohere."},
    {"embedders.CustomEmbedder",
     {"CustomEmbedder"},
     Role::kEmbedder,
     "llm.embedder.custom",
     "",
     "",
     "",
     "Vectors behind a REST API of one's own: `template` is the body of a request, `answer` where the vectors are."},
    {"embedders.MarengoEmbedder",
     {},
     Role::kEmbedder,
     "llm.missing.marengo",
     "marengo3.0",
     "",
     "",
     "Vectors by TwelveLabs: not in this version."},
    {"rerankers.CrossEncoderReranker",
     {"CrossEncoderReranker"},
     Role::kReranker,
     "llm.local.cross_encoder",
     "",
     "",
     "",
     "Scores a document for a query (0 to 1) by a cross-encoder in this process, looked up as an embedder's model is."},
    {"rerankers.FlashRankReranker",
     {"FlashRankReranker"},
     Role::kReranker,
     "llm.local.cross_encoder",
     "ms-marco-TinyBERT-L-2-v2",
     "",
     "",
     "Scores a document for a query (0 to 1) by a small cross-encoder in this process."},
    {"rerankers.EncoderReranker",
     {"EncoderReranker"},
     Role::kReranker,
     "llm.local.encoder_reranker",
     "",
     "",
     "",
     "Scores a document for a query by the cosine of their vectors, by a model in this process."},
    {"splitters.TokenCountSplitter",
     {"TokenSplitter", "splitters.TokenSplitter", "splitters.DefaultTokenCountSplitter"},
     Role::kSplitter,
     "llm.splitter.token_count",
     "",
     "",
     "",
     "Chunks of at most `max_tokens` tokens that end with a sentence where that leaves at least `min_tokens`."},
    {"splitters.RecursiveSplitter",
     {"RecursiveSplitter"},
     Role::kSplitter,
     "llm.splitter.recursive",
     "",
     "",
     "",
     "Chunks of at most `chunk_size`, split by the first of `separators` that helps. Sizes are tokens with "
     "`encoding_name` or `model_name`, else characters."},
    {"splitters.SentenceSplitter",
     {"SentenceSplitter"},
     Role::kSplitter,
     "llm.splitter.sentence",
     "",
     "",
     "",
     "Whole sentences, as many as fit into `chunk_size`."},
    {"splitters.NullSplitter",
     {"splitters.null_splitter"},
     Role::kSplitter,
     "llm.splitter.null",
     "",
     "",
     "",
     "The text as one chunk."},
    {"parsers.Utf8Parser",
     {"parsers.ParseUtf8"},
     Role::kParser,
     "llm.parser.utf8",
     "",
     "",
     "",
     "Documents that are text."},
    {"parsers.UnstructuredParser",
     {"parsers.ParseUnstructured"},
     Role::kParser,
     "llm.parser.document",
     "",
     "",
     "",
     "PDF, DOCX, PPTX, XLSX, HTML and text, by what their bytes say; by the parsers that are built in."},
    {"parsers.DoclingParser",
     {},
     Role::kParser,
     "llm.parser.document",
     "",
     "",
     "",
     "PDF, DOCX, PPTX, XLSX, HTML and text; by the parsers that are built in."},
    {"parsers.PypdfParser",
     {"parsers.OpenParse"},
     Role::kParser,
     "llm.parser.document",
     "",
     "",
     "",
     "PDF, one part per page; other documents as well."},
    {"parsers.AutoParser",
     {},
     Role::kParser,
     "llm.parser.document",
     "",
     "",
     "",
     "PDF, DOCX, PPTX, XLSX, HTML and text, by what their bytes say."},
    {"parsers.MarkdownParser",
     {},
     Role::kParser,
     "llm.parser.markdown",
     "",
     "",
     "",
     "Markdown: a part per section, with the headings that it stands under."},
    {"parsers.EmailParser",
     {},
     Role::kParser,
     "llm.parser.mail",
     "",
     "",
     "",
     "E-mails: subject, people and text; each attachment as a document of its own."},
    {"parsers.ImageParser",
     {},
     Role::kParser,
     "llm.parser.ocr",
     "",
     "",
     "",
     "Pictures: the text in them, by `tesseract`; descriptions by a vision model are not in this version."},
    {"parsers.SlideParser",
     {},
     Role::kParser,
     "llm.parser.document",
     "",
     "",
     "",
     "Slides, one part each; their text, in this version."},
    {"parsers.PaddleOCRParser",
     {},
     Role::kParser,
     "llm.parser.ocr",
     "",
     "",
     "",
     "Text in pictures and scans, by `tesseract`."},
    {"parsers.AudioParser", {}, Role::kParser, "llm.missing.audio", "", "", "", "Speech: not in this version."},
    {"parsers.TwelveLabsVideoParser",
     {},
     Role::kParser,
     "llm.missing.video",
     "",
     "",
     "",
     "Video: not in this version."},
};

// A pipeline whose model is not on this machine loads all the same: what is asked of it is answered with an ERROR.
bool is_local(const Row& row) { return row.kind.starts_with("llm.local."); }

// The options that a function is made with. Nothing after an error.
std::optional<Setting::Map> options_of(Evaluator& evaluator, const Call& call, const Row& row,
                                       std::vector<std::pair<std::string, plan::UserFunctionPtr>>& functions) {
  const auto& tag = static_cast<const TagCall&>(call);
  Setting::Map options;
  bool fine = true;
  for (const TagCall::Argument& argument : tag.arguments()) {
    const std::string& name = argument.spec != nullptr ? argument.spec->name : argument.written;
    argument.asked = true;
    const ObjectPtr value = evaluator.evaluate(argument.value);
    if (value->is_error()) {
      fine = false;
      continue;
    }
    if (value->is_null()) continue;
    if (const FunctionObject* function = value->as_function()) {
      functions.emplace_back(name, function->function);
      continue;
    }
    if (value->as_schema() != nullptr) continue;  // of details that a vision model is asked for
    auto one = evaluator.to_setting(*value, argument.value.span());
    fine = fine && one;
    if (!one) continue;
    tag.check_value(argument);
    one->secret = one->secret || (argument.spec != nullptr && argument.spec->secret);
    options.emplace_back(name, std::move(*one));
  }
  if (!fine) return std::nullopt;
  const auto has = [&](std::string_view name) {
    return std::ranges::any_of(options, [&](const auto& option) { return option.first == name; });
  };
  const auto from_environment = [&](std::string_view variable, const char* option, bool secret) {
    if (variable.empty() || !evaluator.options().environment) return;
    auto value = evaluator.options().environment(std::string(variable));
    if (!value || value->empty()) return;
    Setting setting(std::move(*value), call.span());
    setting.secret = secret;
    options.emplace_back(option, std::move(setting));
  };
  if (is_local(row) && !has("models_dir")) from_environment("THALWEG_MODELS_DIR", "models_dir", false);
  if (!has("model") && !row.model.empty() && !has("model_name") && !has("model_id"))
    options.emplace_back("model", Setting(std::string(row.model), call.span()));
  // What the daemon's configuration says of a service stands between the arguments and the environment.
  const std::string service = "llm." + std::string(row.kind.substr(row.kind.rfind('.') + 1)) + ".";
  if (row.role == Role::kChat || row.role == Role::kEmbedder) {
    if (!has("api_key")) from_environment(service + "api_key", "api_key", true);
    if (!has("base_url") && !has("api_base") && !has("endpoint") && !has("azure_endpoint"))
      from_environment(service + "base_url", "base_url", false);
    for (const char* option : {"api_version", "deployment"})
      if (!has(option)) from_environment(service + option, option, false);
  }
  if (!has("api_key")) from_environment(row.key, "api_key", true);
  if (!has("base_url") && !has("api_base") && !has("endpoint") && !has("azure_endpoint"))
    from_environment(row.url, "base_url", false);
  if (row.kind.ends_with(".litellm") && !has("api_key")) {
    const auto* model = std::ranges::find(options, "model", &Setting::Map::value_type::first) == options.end()
                            ? nullptr
                            : std::ranges::find(options, "model", &Setting::Map::value_type::first)->second.as_text();
    const std::string name = model != nullptr ? *model : "";
    const std::string maker = name.substr(0, name.find('/'));
    const std::string_view variable = maker == "anthropic" || name.starts_with("claude") ? "ANTHROPIC_API_KEY"
                                      : maker == "gemini"                                ? "GOOGLE_API_KEY"
                                      : maker == "cohere"                                ? "COHERE_API_KEY"
                                      : maker == "mistral"                               ? "MISTRAL_API_KEY"
                                      : maker == "groq"                                  ? "GROQ_API_KEY"
                                      : maker == "ollama" || maker == "ollama_chat"      ? ""
                                                                                         : "OPENAI_API_KEY";
    from_environment(variable, "api_key", true);
  }
  const auto* named = std::ranges::find(options, "model", &Setting::Map::value_type::first) == options.end()
                          ? nullptr
                          : std::ranges::find(options, "model", &Setting::Map::value_type::first)->second.as_text();
  const bool bedrock_by_name = row.kind.ends_with(".litellm") && named != nullptr && named->starts_with("bedrock/");
  if (row.kind.ends_with(".bedrock") || bedrock_by_name) {
    for (const auto& [option, variable, secret] :
         {std::tuple{"region_name", "AWS_REGION", false}, std::tuple{"region_name", "AWS_DEFAULT_REGION", false},
          std::tuple{"aws_access_key_id", "AWS_ACCESS_KEY_ID", false},
          std::tuple{"aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", true},
          std::tuple{"aws_session_token", "AWS_SESSION_TOKEN", true}})
      if (!has(option)) from_environment(variable, option, secret);
  }
  if (row.kind == "llm.embedder.openai" && !has("batch_size"))
    options.emplace_back("batch_size", Setting(std::int64_t{128}, call.span()));
  if (row.kind.starts_with("llm.missing.")) {
    const bool local = row.kind == "llm.missing.chat";
    std::string why = "`" + call.component().name + "` " +
                      (local ? std::string(kNotLocal) : std::string("is not built into this version"));
    evaluator.warning(call.span(), why).note("what is asked of it is answered with an ERROR");
    options.emplace_back("why", Setting(std::move(why), call.span()));
  }
  return options;
}

// A function that answers everything with an ERROR that says why; warns.
plan::UserFunctionPtr make_missing(Builder& builder, const Call& call, const Catalog& catalog, plan::FunctionSpec spec,
                                   std::string why) {
  builder.warning(call.span(), why).note("what is asked of it is answered with an ERROR");
  spec.kind = "llm.missing.model";
  Setting::Map options = {{"why", Setting(std::move(why), call.span())}};
  spec.options = Setting(std::move(options), call.span());
  auto function = catalog.make_function(spec);
  return function ? std::move(*function) : nullptr;
}

plan::UserFunctionPtr make(Builder& builder, const Call& call, plan::FunctionSpec spec) {
  const Catalog* catalog = static_cast<Evaluator&>(builder).registry().catalog();
  if (catalog == nullptr) {
    builder.error(call.span(), "language models are not available here");
    return nullptr;
  }
  auto function = catalog->make_function(spec);
  if (function) return std::move(*function);
  const plan::FunctionError& why = function.error();
  if (spec.kind.starts_with("llm.local.") && why.option == "model")
    return make_missing(builder, call, *catalog, std::move(spec), why.message);
  Diagnostic& diagnostic =
      builder.error(why.option.empty() || !call.has(why.option) ? call.span() : call.span_of(why.option), why.message);
  if (!why.hint.empty()) diagnostic.notes.push_back({why.hint, {}});
  return nullptr;
}

ObjectPtr build(Builder& builder, const Call& call, const Row& row) {
  plan::FunctionSpec spec;
  auto options = options_of(static_cast<Evaluator&>(builder), call, row, spec.functions);
  if (!options) return error_object();
  spec.kind = row.kind;
  spec.returns = returns_of(row.role);
  if (row.role == Role::kReranker && call.has("base_url")) {  // not in the process, but of a server
    spec.kind = "llm.reranker.http";
    spec.returns = Type::list(Kind::kFloat);
  }
  spec.name = row.name.substr(row.name.rfind('.') + 1);
  spec.deterministic = row.role == Role::kSplitter || row.role == Role::kParser;
  spec.options = Setting(std::move(*options), call.span());
  FunctionObject out;
  out.name = call.label();
  out.returns = spec.returns;
  out.kind = spec.kind;
  out.options = spec.options;
  out.function = make(builder, call, std::move(spec));
  return make_object({std::move(out), call.span()});
}

ArgSpec with_fallback(std::string name, ArgKind kind, std::string fallback, std::string doc) {
  return {.name = std::move(name), .kind = kind, .fallback = std::move(fallback), .doc = std::move(doc)};
}

// Arguments that the peer's classes have as well, with its defaults.
struct More {
  std::string_view name;  // of the tag
  std::initializer_list<std::pair<std::string_view, std::string_view>> args;
};
const More kMore[] = {
    {"llms.OpenAIChat", {{"async_mode", "batch_async"}}},
    {"llms.LiteLLMChat", {{"async_mode", "batch_async"}}},
    {"llms.BedrockChat", {{"async_mode", "batch_async"}}},
    {"llms.HFPipelineChat", {{"call_kwargs", "{}"}, {"device", "cpu"}, {"batch_size", "32"}}},
    {"embedders.SentenceTransformerEmbedder", {{"call_kwargs", "{}"}, {"device", "cpu"}}},
    {"embedders.MarengoEmbedder", {{"embedding_dimension", "512"}}},
    {"parsers.UnstructuredParser",
     {{"chunking_mode", "single"},
      {"partition_kwargs", "{}"},
      {"post_processors", ""},
      {"chunking_kwargs", "{}"},
      {"cache_strategy", ""}}},
    {"parsers.DoclingParser",
     {{"image_parsing_strategy", ""},
      {"table_parsing_strategy", "docling"},
      {"multimodal_llm", ""},
      {"cache_strategy", ""},
      {"pdf_pipeline_options", "{}"},
      {"chunk", "true"},
      {"async_mode", "batch_async"}}},
    {"parsers.PypdfParser", {{"apply_text_cleanup", "true"}, {"cache_strategy", ""}}},
    {"parsers.ImageParser",
     {{"llm", ""},
      {"parse_prompt", ""},
      {"detail_parse_schema", ""},
      {"include_schema_in_text", "false"},
      {"downsize_horizontal_width", "1280"},
      {"max_image_size", "15728640"},
      {"run_mode", "parallel"},
      {"retry_strategy", ""},
      {"cache_strategy", ""},
      {"async_mode", "batch_async"}}},
    {"parsers.SlideParser",
     {{"llm", ""},
      {"parse_prompt", ""},
      {"detail_parse_schema", ""},
      {"include_schema_in_text", "false"},
      {"intermediate_image_format", "jpg"},
      {"image_size", "[1280, 720]"},
      {"run_mode", "parallel"},
      {"retry_strategy", ""},
      {"cache_strategy", ""},
      {"async_mode", "batch_async"}}},
    {"parsers.PaddleOCRParser",
     {{"pipeline", ""},
      {"concatenate_pages", "false"},
      {"intermediate_image_format", "jpg"},
      {"max_image_size", "15728640"},
      {"downsize_horizontal_width", "1920"},
      {"cache_strategy", ""},
      {"async_mode", "batch_async"}}},
    {"parsers.AudioParser",
     {{"audio_format", "mp3"},
      {"model", "whisper-1"},
      {"api_key", ""},
      {"base_url", ""},
      {"capacity", ""},
      {"retry_strategy", ""},
      {"cache_strategy", ""},
      {"async_mode", "batch_async"}}},
    {"parsers.TwelveLabsVideoParser",
     {{"prompt", ""},
      {"model", "pegasus1.5"},
      {"api_key", ""},
      {"max_tokens", "2048"},
      {"temperature", ""},
      {"video_format", "mp4"},
      {"asset_poll_interval", "5.0"},
      {"asset_timeout", "600.0"},
      {"delete_assets", "true"},
      {"capacity", ""},
      {"retry_strategy", ""},
      {"on_error", "raise"},
      {"cache_strategy", ""},
      {"async_mode", "batch_async"}}},
    {"parsers.Utf8Parser", {{"cache_strategy", ""}}},
    {"rerankers.FlashRankReranker", {{"model_cache_dir", "flashrank_cache"}, {"max_length", "512"}}},
    {"splitters.NullSplitter", {{"cache_strategy", ""}}},
    {"splitters.RecursiveSplitter", {{"hf_tokenizer", ""}}},
};

void add_peers_args(const Row& row, std::vector<ArgSpec>& out) {
  for (const More& more : kMore) {
    if (more.name != row.name) continue;
    for (const auto& [name, fallback] : more.args) {
      if (std::ranges::any_of(out, [&](const ArgSpec& known) { return known.name == name; })) continue;
      out.push_back(with_fallback(std::string(name), ArgKind::kAny, std::string(fallback), "As the peer's."));
      out.back().secret = name == "api_key";
    }
  }
}

std::vector<ArgSpec> args_of(const Row& row) {
  std::vector<ArgSpec> out;
  if (row.role == Role::kChat || row.role == Role::kEmbedder) {
    out.push_back(with_fallback("model", ArgKind::kText, std::string(row.model), "The model's name."));
    out.back().aliases = {"model_name", "model_id"};
    out.push_back(with_fallback("api_key", ArgKind::kText,
                                row.key.empty() ? "" : "the variable " + std::string(row.key), "The key."));
    out.back().secret = true;
    out.push_back(with_fallback("base_url", ArgKind::kText,
                                row.url.empty() ? "" : "the variable " + std::string(row.url),
                                "Where the model is served."));
    out.back().aliases = {"api_base", "endpoint", "azure_endpoint"};
    out.push_back(with_fallback("capacity", ArgKind::kInt, "16", "Calls under way at once."));
    out.push_back(
        with_fallback("timeout", ArgKind::kDurationOrNumber, "60", "Seconds, or a duration, of one attempt."));
    out.push_back(with_fallback("max_retries", ArgKind::kInt, "3", "Accepted; `retry_strategy` says more."));
    out.push_back(with_fallback("retry_strategy", ArgKind::kComponent, "exponential", "How often and when."));
    out.push_back(
        with_fallback("cache_strategy", ArgKind::kAny, "none", "Whether answers to equal questions are kept."));
    out.push_back(with_fallback("headers", ArgKind::kLiteral, "", "Further header fields."));
    out.back().secret = true;
    out.push_back(with_fallback("requests_per_minute", ArgKind::kInt, "", "Who comes too early waits."));
    out.push_back(with_fallback("tokens_per_minute", ArgKind::kInt, "", "Who comes too early waits."));
  }
  if (row.role == Role::kChat)
    out.push_back(with_fallback("price_per_million_tokens", ArgKind::kLiteral, "",
                                "`{input: 0.15, output: 0.6}`: for the cost in receipts and metrics."));
  if (row.kind.ends_with(".custom")) {
    out.push_back(
        with_fallback("template", ArgKind::kLiteral, "",
                      "The body of a request: `{prompt}`, `{messages}`, `{text}`, `{texts}` and `{model}` are "
                      "put into it."));
    out.push_back(with_fallback("answer", ArgKind::kText, "", "A JSON pointer to the answer in the reply."));
  }
  if (row.kind.ends_with(".bedrock")) {
    for (const char* name : {"region_name", "aws_access_key_id", "aws_secret_access_key", "aws_session_token"}) {
      out.push_back(with_fallback(name, ArgKind::kText, "a variable of AWS's", "Whose requests these are."));
      out.back().secret =
          std::string_view(name).find("secret") != std::string_view::npos || std::string_view(name).ends_with("token");
    }
  }
  if (is_local(row)) {
    out.push_back(with_fallback("models_dir", ArgKind::kText, "the variable THALWEG_MODELS_DIR",
                                "The folder that models are looked up in."));
    if (row.role == Role::kReranker) {
      out.push_back(with_fallback("model", ArgKind::kText, std::string(row.model), "The model's name."));
      out.back().aliases = {"model_name"};
      out.push_back(with_fallback("cache_strategy", ArgKind::kAny, "none", "Whether scores are kept."));
      out.push_back(with_fallback("base_url", ArgKind::kText, "",
                                  "A server with `/rerank` is asked (text-embeddings-inference, Cohere, Jina)."));
      out.push_back(with_fallback("api_key", ArgKind::kText, "", "Its key."));
      out.back().secret = true;
    }
  }
  if (row.role == Role::kEmbedder) {
    const bool local = row.name == "embedders.SentenceTransformerEmbedder";
    out.push_back(with_fallback("batch_size", ArgKind::kInt,
                                row.kind == "llm.embedder.openai" ? "128"
                                : local                           ? "1024"
                                                                  : "32",
                                "Texts of one request."));
    out.push_back(with_fallback("normalize", ArgKind::kBool, "false", "Whether vectors are given the length 1."));
    out.push_back(with_fallback("truncation_keep_strategy", ArgKind::kText,
                                row.kind == "llm.embedder.openai" ? "start" : "",
                                "`start` or `end`: which part stays of a text that is too long."));
  }
  if (row.kind == "llm.splitter.token_count") {
    out.push_back(with_fallback("min_tokens", ArgKind::kInt, "50", "The least size of a chunk."));
    out.push_back(with_fallback("max_tokens", ArgKind::kInt, "500", "The largest size of a chunk."));
    out.back().aliases = {"chunk_size"};
    out.push_back(with_fallback("encoding_name", ArgKind::kText, "cl100k_base", "Whose tokens: or `o200k_base`."));
  }
  if (row.kind == "llm.splitter.recursive" || row.kind == "llm.splitter.sentence") {
    out.push_back(with_fallback("chunk_size", ArgKind::kInt, "500", "The largest size of a chunk."));
    out.push_back(with_fallback("chunk_overlap", ArgKind::kInt, "0", "How much of a chunk the next one begins with."));
    out.push_back(with_fallback("encoding_name", ArgKind::kText, "", "Sizes are tokens of this encoding."));
    out.push_back(with_fallback("model_name", ArgKind::kText, "", "Sizes are tokens of this model."));
  }
  if (row.kind == "llm.splitter.recursive") {
    out.push_back(
        with_fallback("separators", ArgKind::kAny, R"(["\n\n", "\n", " ", ""])", "What chunks are split by."));
    out.push_back(with_fallback("separator", ArgKind::kText, "", "The first of the separators."));
    out.push_back(with_fallback("is_separator_regex", ArgKind::kBool, "false", "Not in this version."));
  }
  add_peers_args(row, out);
  return out;
}

}  // namespace

plan::UserFunctionPtr make_llm_function(Builder& builder, const Call& call, std::string kind, Type returns,
                                        Setting::Map options,
                                        std::vector<std::pair<std::string, plan::UserFunctionPtr>> functions) {
  plan::FunctionSpec spec;
  spec.kind = std::move(kind);
  spec.name = spec.kind.substr(spec.kind.rfind('.') + 1);
  spec.returns = std::move(returns);
  spec.deterministic = true;
  spec.options = Setting(std::move(options), call.span());
  spec.functions = std::move(functions);
  return make(builder, call, std::move(spec));
}

const FunctionObject* function_argument(Builder& builder, const Call& call, std::string_view name,
                                        std::string_view what) {
  if (!call.has(name)) return nullptr;
  const ObjectPtr object = call.object(name);
  if (object == nullptr || object->is_error()) return nullptr;
  const FunctionObject* function = object->as_function();
  // A user's own function may stand for any of them.
  const bool fits = function != nullptr && (function->kind.starts_with(what) || !function->kind.starts_with("llm.") ||
                                            function->kind.starts_with("llm.missing."));
  if (fits) return function->function != nullptr ? function : nullptr;
  builder.error(call.span_of(name), "`" + std::string(name) + "` is another component, found " +
                                        (function != nullptr ? "`" + function->name + "`" : describe(*object)));
  return nullptr;
}

void add_model_components(Components& out) {
  for (const Row& row : kRows) {
    Component component;
    component.name = "xpacks.llm." + std::string(row.name);
    for (const std::string_view alias : row.aliases) component.aliases.push_back("xpacks.llm." + std::string(alias));
    component.kind = ComponentKind::kFunction;
    component.args = args_of(row);
    component.doc = row.doc;
    component.open = true;  // further members of a request, further settings of the peer
    component.example = "$it: !" + component.name + (row.role == Role::kChat ? " {model: gpt-4o-mini}" : " {}");
    component.build = [&row](Builder& builder, const Call& call) { return build(builder, call, row); };
    out.push_back(std::move(component));
  }
}

}  // namespace thalweg::lang
