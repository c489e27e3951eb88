// Chats, by their tags.
#include "pipeline_lang/llm/model_family.h"

namespace thalweg::lang {
namespace {

const ModelRow kChatRows[] = {
    {"llms.OpenAIChat",
     {"OpenAILanguageModel", "OpenAIChat"},
     "llm.chat.openai",
     "gpt-3.5-turbo",
     "OPENAI_API_KEY",
     "OPENAI_BASE_URL",
     "A chat model of OpenAI, or of any server that speaks its language (`base_url`)."},
    {"llms.LiteLLMChat",
     {"LiteLLMChat"},
     "llm.chat.litellm",
     "",
     "",
     "",
     "A chat model by LiteLLM's names: `ollama/mistral`, `anthropic/claude-…`, `gemini/…`, `mistral/…`."},
    {"llms.AnthropicChat",
     {"AnthropicLanguageModel"},
     "llm.chat.anthropic",
     "claude-3-5-sonnet-latest",
     "ANTHROPIC_API_KEY",
     "ANTHROPIC_BASE_URL",
     "A chat model of Anthropic."},
    {"llms.CohereChat", {"CohereChat"}, "llm.chat.cohere", "command", "COHERE_API_KEY", "", "A chat model of Cohere."},
    {"llms.GeminiChat",
     {"GeminiChat"},
     "llm.chat.gemini",
     "gemini-1.5-flash",
     "GOOGLE_API_KEY",
     "",
     "A chat model of Google."},
    {"llms.OllamaChat",
     {"OllamaChat", "OllamaLanguageModel"},
     "llm.chat.ollama",
     "llama3",
     "",
     "OLLAMA_BASE_URL",
     "A chat model that Ollama serves."},
    {"llms.AzureOpenAIChat",
     {"AzureOpenAILanguageModel"},
     "llm.chat.azure",
     "",
     "AZURE_OPENAI_API_KEY",
     "AZURE_OPENAI_ENDPOINT",
     "A chat model of OpenAI on Azure: `endpoint`, `deployment`, `api_version`."},
    {"llms.HFPipelineChat",
     {"HFPipelineChat"},
     "llm.missing.chat",
     "gpt2",
     "",
     "",
     "A model of Hugging Face in the process itself: not in this version."},
    {"llms.BedrockChat",
     {"BedrockChat"},
     "llm.chat.bedrock",
     "",
     "",
     "",
     "A chat model on Amazon Bedrock, by the Converse API."},
    {"llms.CustomChat",
     {"CustomChat"},
     "llm.chat.custom",
     "",
     "",
     "",
     "A chat model behind a REST API of one's own: `template` is the body of a request, `answer` where the answer is."},
};

const PeersArgs kChatPeersArgs[] = {
    {"llms.OpenAIChat", {{"async_mode", "batch_async"}}},
    {"llms.LiteLLMChat", {{"async_mode", "batch_async"}}},
    {"llms.BedrockChat", {{"async_mode", "batch_async"}}},
    {"llms.HFPipelineChat", {{"call_kwargs", "{}"}, {"device", "cpu"}, {"batch_size", "32"}}},
};

std::vector<ArgSpec> chat_args(const ModelRow& row) {
  std::vector<ArgSpec> out = served_model_args(row);
  out.push_back(with_fallback("price_per_million_tokens", ArgKind::kLiteral, "",
                              "`{input: 0.15, output: 0.6}`: for the cost in receipts and metrics."));
  if (row.kind.ends_with(".custom")) add_custom_args(out);
  if (row.kind.ends_with(".bedrock")) add_bedrock_args(out);
  return out;
}

}  // namespace

const ModelFamily& chat_family() {
  static const ModelFamily kChatFamily{ModelRole::kChat, kChatRows, kChatPeersArgs, chat_args};
  return kChatFamily;
}

}  // namespace thalweg::lang
