// llm/local/local_models.h
//
// Models that run in this process: embedders (text → vector) and rerankers (document, query → score). Models are
// loaded with the first call and shared by all that name the same folder.
#pragma once

#include <expected>
#include <string>

#include "engine/plan/user_function.h"

namespace thalweg::llm {

// `llm.local.embedder`, `llm.local.cross_encoder`, `llm.local.encoder_reranker`. An error about `model`: it is not
// here.
[[nodiscard]] std::expected<plan::UserFunctionPtr, plan::FunctionError> make_local_model(const plan::FunctionSpec& spec,
                                                                                         std::string text);

}  // namespace thalweg::llm
