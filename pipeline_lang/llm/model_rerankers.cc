// Rerankers, by their tags.
#include "pipeline_lang/llm/model_family.h"

namespace thalweg::lang {
namespace {

const ModelRow kRerankerRows[] = {
    {"rerankers.CrossEncoderReranker",
     {"CrossEncoderReranker"},
     "llm.local.cross_encoder",
     "",
     "",
     "",
     "Scores a document for a query (0 to 1) by a cross-encoder in this process, looked up as an embedder's model is."},
    {"rerankers.FlashRankReranker",
     {"FlashRankReranker"},
     "llm.local.cross_encoder",
     "ms-marco-TinyBERT-L-2-v2",
     "",
     "",
     "Scores a document for a query (0 to 1) by a small cross-encoder in this process."},
    {"rerankers.EncoderReranker",
     {"EncoderReranker"},
     "llm.local.encoder_reranker",
     "",
     "",
     "",
     "Scores a document for a query by the cosine of their vectors, by a model in this process."},
};

const PeersArgs kRerankerPeersArgs[] = {
    {"rerankers.FlashRankReranker", {{"model_cache_dir", "flashrank_cache"}, {"max_length", "512"}}},
};

std::vector<ArgSpec> reranker_args(const ModelRow& row) {
  std::vector<ArgSpec> out;
  out.push_back(with_fallback("models_dir", ArgKind::kText, "the variable THALWEG_MODELS_DIR",
                              "The folder that models are looked up in."));
  out.push_back(with_fallback("model", ArgKind::kText, std::string(row.model), "The model's name."));
  out.back().aliases = {"model_name"};
  out.push_back(with_fallback("cache_strategy", ArgKind::kAny, "none", "Whether scores are kept."));
  out.push_back(with_fallback("base_url", ArgKind::kText, "",
                              "A server with `/rerank` is asked (text-embeddings-inference, Cohere, Jina)."));
  out.push_back(with_fallback("api_key", ArgKind::kText, "", "Its key."));
  out.back().secret = true;
  return out;
}

}  // namespace

const ModelFamily& reranker_family() {
  static const ModelFamily kRerankerFamily{ModelRole::kReranker, kRerankerRows, kRerankerPeersArgs, reranker_args};
  return kRerankerFamily;
}

}  // namespace thalweg::lang
