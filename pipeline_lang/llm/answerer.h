// pipeline_lang/llm/answerer.h
//
// Question answering as tables: what a tag of it says, and answers to a table of questions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pipeline_lang/llm/models.h"
#include "pipeline_lang/llm/store.h"

namespace thalweg::lang {

// What a tag of question answering says.
struct Answerer {
  StorePtr store;
  const FunctionObject* chat = nullptr;  // lives in the call
  std::int64_t search_topk = 6;
  bool adaptive = false, decks = false;
  plan::UserFunctionPtr rerank;
  Setting::Map prompt;  // options of the prompt
  std::string model;    // the default of requests
};

[[nodiscard]] bool is_answerer(std::string_view component);
// Rows of `asked` have prompt, docs, model, return_context_docs, return_receipt, stream (the name of one, or None) →
// result.
[[nodiscard]] std::optional<Table> answered(Writer& writer, const Answerer& answerer, const Table& asked);

}  // namespace thalweg::lang
