// llm/functions/rerank.h
//
// Documents in a better order: by the judgement of a chat model (1 to 5 for each), by vectors of another embedder, or
// by a server of a cross-encoder. Equal scores keep the order of the index.
#pragma once

#include "llm/functions/functions.h"

namespace thalweg::llm {

struct RerankOptions {
  enum class By : std::uint8_t {
    kChat,    // messages → {"score": 1 to 5}
    kScorer,  // document, question → a number
    kScores,  // question, texts → scores
  };
  By by = By::kChat;
  std::size_t keep = 3;
  // A model that does not answer leaves the order as it is: the answer is {"docs": …, "degraded": ["reranker"]}.
  bool degrade = false;
};
[[nodiscard]] plan::UserFunctionPtr make_rerank(std::string text, plan::UserFunctionPtr model, RerankOptions options);

}  // namespace thalweg::llm
