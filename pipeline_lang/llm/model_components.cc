// Tags of language models that are functions: chats, embedders, splitters, parsers. Each may be called on any table,
// `call($llm, prompt)`, and is handed to the components that are made of them.
#include <algorithm>
#include <tuple>

#include "pipeline_lang/catalog.h"
#include "pipeline_lang/evaluate.h"
#include "pipeline_lang/llm/model_family.h"
#include "pipeline_lang/llm/models.h"
#include "pipeline_lang/tag_call.h"

namespace thalweg::lang {

Type chunks_type() { return Type::list(Type::tuple({Type(Kind::kStr), Type(Kind::kJson)})); }

namespace {

Type returns_of(ModelRole role) {
  switch (role) {
    case ModelRole::kChat: return {Kind::kStr, true};
    case ModelRole::kEmbedder: return Type::list(Kind::kFloat);
    case ModelRole::kReranker: return Kind::kFloat;
    case ModelRole::kSplitter:
    case ModelRole::kParser: break;
  }
  return chunks_type();
}

constexpr std::string_view kNotLocal =
    "runs a model inside of the process, which this version does not; serve it (Ollama, vLLM, llama.cpp, TEI) and name "
    "the server with `base_url:`";

// In a list or a map, however deep.
bool holds_function(const Object& object) {
  if (object.as_function() != nullptr) return true;
  if (const ListObject* list = object.as_list())
    return std::ranges::any_of(list->items, [](const ObjectPtr& item) { return holds_function(*item); });
  const MapObject* map = object.as_map();
  return map != nullptr &&
         std::ranges::any_of(map->entries, [](const auto& entry) { return holds_function(*entry.second); });
}

// The options that a function is made with. Nothing after an error.
std::optional<Setting::Map> options_of(Evaluator& evaluator, const Call& call, ModelRole role, const ModelRow& row,
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
    if (argument.spec == nullptr && holds_function(*value)) {
      evaluator.warning(argument.value.span(), "`" + name + "` holds a model, which is not asked for it here");
      continue;
    }
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
  if (row.is_local() && !has("models_dir")) from_environment("THALWEG_MODELS_DIR", "models_dir", false);
  if (!has("model") && !row.model.empty() && !has("model_name") && !has("model_id"))
    options.emplace_back("model", Setting(std::string(row.model), call.span()));
  // What the daemon's configuration says of a service stands between the arguments and the environment.
  const std::string service = "llm." + std::string(row.kind.substr(row.kind.rfind('.') + 1)) + ".";
  if (role == ModelRole::kChat || role == ModelRole::kEmbedder) {
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

ObjectPtr build(Builder& builder, const Call& call, ModelRole role, const ModelRow& row) {
  plan::FunctionSpec spec;
  auto options = options_of(static_cast<Evaluator&>(builder), call, role, row, spec.functions);
  if (!options) return error_object();
  spec.kind = row.kind;
  spec.returns = returns_of(role);
  if (role == ModelRole::kReranker && call.has("base_url")) {  // not in the process, but of a server
    spec.kind = "llm.reranker.http";
    spec.returns = Type::list(Kind::kFloat);
  }
  spec.name = row.name.substr(row.name.rfind('.') + 1);
  spec.deterministic = role == ModelRole::kSplitter || role == ModelRole::kParser;
  spec.options = Setting(std::move(*options), call.span());
  FunctionObject out;
  out.name = call.label();
  out.returns = spec.returns;
  out.kind = spec.kind;
  out.options = spec.options;
  out.function = make(builder, call, std::move(spec));
  return make_object({std::move(out), call.span()});
}

std::vector<ArgSpec> model_args_of(const ModelFamily& family, const ModelRow& row) {
  std::vector<ArgSpec> out = family.args(row);
  for (const PeersArgs& more : family.peers) {
    if (more.name != row.name) continue;
    for (const auto& [name, fallback] : more.args) {
      if (std::ranges::any_of(out, [&](const ArgSpec& known) { return known.name == name; })) continue;
      out.push_back(with_fallback(std::string(name), ArgKind::kAny, std::string(fallback), "As the peer's."));
      out.back().secret = name == "api_key";
    }
  }
  return out;
}

Component model_component(const ModelFamily& family, const ModelRow& row) {
  Component out;
  out.name = "xpacks.llm." + std::string(row.name);
  for (const std::string_view alias : row.aliases) out.aliases.push_back("xpacks.llm." + std::string(alias));
  out.kind = ComponentKind::kFunction;
  out.args = model_args_of(family, row);
  out.doc = row.doc;
  out.open = true;  // further members of a request, further settings of the peer
  out.example = "$it: !" + out.name + (family.role == ModelRole::kChat ? " {model: gpt-4o-mini}" : " {}");
  out.build = [&row, role = family.role](Builder& builder, const Call& call) {
    return build(builder, call, role, row);
  };
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
  for (const ModelFamily* family :
       {&chat_family(), &embedder_family(), &reranker_family(), &splitter_family(), &parser_family()})
    for (const ModelRow& row : family->rows) out.push_back(model_component(*family, row));
}

}  // namespace thalweg::lang
