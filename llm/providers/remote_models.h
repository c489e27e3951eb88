// llm/providers/remote_models.h
//
// Chats (`llm.chat.…`: messages, options → text) and embedders (`llm.embedder.…`: text → vector) behind HTTP. Retries,
// capacity, batches and the cache are those of functions outside (connectors/functions).
#pragma once

#include "llm/functions/functions.h"

namespace thalweg::llm {

[[nodiscard]] std::expected<plan::UserFunctionPtr, plan::FunctionError> make_chat(
    const plan::FunctionSpec& spec, std::string text, std::shared_ptr<const net::AddressPolicy> egress);
[[nodiscard]] std::expected<plan::UserFunctionPtr, plan::FunctionError> make_embedder(
    const plan::FunctionSpec& spec, std::string text, std::shared_ptr<const net::AddressPolicy> egress);
// `llm.reranker.http`: question, texts → scores.
[[nodiscard]] std::expected<plan::UserFunctionPtr, plan::FunctionError> make_reranker(
    const plan::FunctionSpec& spec, std::string text, std::shared_ptr<const net::AddressPolicy> egress);

}  // namespace thalweg::llm
