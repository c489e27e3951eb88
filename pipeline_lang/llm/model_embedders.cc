// Embedders, by their tags.
#include "pipeline_lang/llm/model_family.h"

namespace thalweg::lang {
namespace {

const ModelRow kEmbedderRows[] = {
    {"embedders.OpenAIEmbedder",
     {"OpenAIEmbedder"},
     "llm.embedder.openai",
     "text-embedding-3-small",
     "OPENAI_API_KEY",
     "OPENAI_BASE_URL",
     "Vectors by OpenAI, or by any server that speaks its language (`base_url`)."},
    {"embedders.LiteLLMEmbedder",
     {"LiteLLMEmbedder"},
     "llm.embedder.litellm",
     "",
     "",
     "",
     "Vectors by LiteLLM's names: `ollama/nomic-embed-text`, `gemini/…`, `cohere/…`."},
    {"embedders.GeminiEmbedder",
     {"GeminiEmbedder"},
     "llm.embedder.gemini",
     "models/embedding-001",
     "GOOGLE_API_KEY",
     "",
     "Vectors by Google."},
    {"embedders.CohereEmbedder",
     {"CohereEmbedder"},
     "llm.embedder.cohere",
     "embed-v4.0",
     "COHERE_API_KEY",
     "",
     "Vectors by Cohere."},
    {"embedders.OllamaEmbedder",
     {"OllamaEmbedder"},
     "llm.embedder.ollama",
     "nomic-embed-text",
     "",
     "OLLAMA_BASE_URL",
     "Vectors by a model that Ollama serves."},
    {"embedders.AzureOpenAIEmbedder",
     {"AzureOpenAIEmbedder"},
     "llm.embedder.azure",
     "",
     "AZURE_OPENAI_API_KEY",
     "AZURE_OPENAI_ENDPOINT",
     "Vectors by OpenAI on Azure."},
    {"embedders.HuggingFaceEmbedder",
     {"HuggingFaceEmbedder"},
     "llm.embedder.huggingface",
     "",
     "HF_TOKEN",
     "TEI_BASE_URL",
     "Vectors by a server of Hugging Face's text-embeddings-inference (`base_url`)."},
    {"embedders.SentenceTransformerEmbedder",
     {"SentenceTransformerEmbedder", "embedders.LocalEmbedder", "LocalEmbedder"},
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
     "llm.embedder.bedrock",
     "amazon.titan-embed-text-v2:0",
     "",
     "",
     "Vectors by Amazon Bedrock: models of Titan and Cohere."},
    {"embedders.CustomEmbedder",
     {"CustomEmbedder"},
     "llm.embedder.custom",
     "",
     "",
     "",
     "Vectors behind a REST API of one's own: `template` is the body of a request, `answer` where the vectors are."},
    {"embedders.MarengoEmbedder",
     {},
     "llm.missing.marengo",
     "marengo3.0",
     "",
     "",
     "Vectors by TwelveLabs: not in this version."},
};

const PeersArgs kEmbedderPeersArgs[] = {
    {"embedders.SentenceTransformerEmbedder", {{"call_kwargs", "{}"}, {"device", "cpu"}}},
    {"embedders.MarengoEmbedder", {{"embedding_dimension", "512"}}},
};

std::vector<ArgSpec> embedder_args(const ModelRow& row) {
  std::vector<ArgSpec> out = served_model_args(row);
  if (row.kind.ends_with(".custom")) add_custom_args(out);
  if (row.kind.ends_with(".bedrock")) add_bedrock_args(out);
  if (row.is_local())
    out.push_back(with_fallback("models_dir", ArgKind::kText, "the variable THALWEG_MODELS_DIR",
                                "The folder that models are looked up in."));
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
  return out;
}

}  // namespace

const ModelFamily& embedder_family() {
  static const ModelFamily kEmbedderFamily{ModelRole::kEmbedder, kEmbedderRows, kEmbedderPeersArgs, embedder_args};
  return kEmbedderFamily;
}

}  // namespace thalweg::lang
