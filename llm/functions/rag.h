// llm/functions/rag.h
//
// What question answering is made of.
//
//   llm.rag.respond(docs, query, model, with_docs, with_receipt, stream)   {"response": …, "context_docs"?, "receipt"?}
//       asks once with all documents, or (`adaptive`) with few and then with more (chat)
//   llm.rag.summary(texts)                 the messages that ask for a summary
//   llm.rag.options(model, stream)         options of a call of a chat
//   llm.rag.rerank(docs, query)            the best documents in the judgement of a model (chat, embedder or reranker)
//   llm.rag.slides(docs)                   documents without pictures
//
// D1  With `on_unavailable: degrade` a model that does not answer costs its part alone: documents stay in the order of
//     the index, an answer is null; `degraded` of the answer names what was missing.
#pragma once

#include "llm/functions/functions.h"

namespace thalweg::llm {

[[nodiscard]] std::expected<plan::UserFunctionPtr, plan::FunctionError> make_rag_function(
    const plan::FunctionSpec& spec, std::string text);

}  // namespace thalweg::llm
