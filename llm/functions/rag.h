// llm/functions/rag.h
//
// What question answering is made of.
//
//   llm.rag.messages(docs, query)          the messages for a model; options: prompt_template, context_metadata_keys …
//   llm.rag.options(model)                 options of a call of a chat
//   llm.rag.answer(answer, docs, with)     {"response": …, "context_docs": …}
//   llm.rag.adaptive(docs, query, model)   [answer, number of documents]: asks with more and more documents (chat)
//   llm.rag.summary(texts)                 the messages that ask for a summary
//   llm.rag.rerank(docs, query)            the best documents in the judgement of a model (chat)
//   llm.rag.slides(docs)                   documents without pictures
#pragma once

#include "llm/functions/functions.h"

namespace thalweg::llm {

[[nodiscard]] std::expected<plan::UserFunctionPtr, plan::FunctionError> make_rag_function(
    const plan::FunctionSpec& spec, std::string text);

}  // namespace thalweg::llm
