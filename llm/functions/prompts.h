// llm/functions/prompts.h
//
// Questions and documents → the messages that a model is asked with.
//
// P1  What was retrieved is data: it stands between marks of its own, as JSON, and the prompt says that nothing in it
// is
//     an instruction. No template can be changed by it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "llm/functions/functions.h"
#include "llm/providers/protocol.h"

namespace thalweg::llm {

struct ContextOptions {
  std::vector<std::string> metadata_keys = {"path"};
  std::string joiner = "\n\n";
};
// Documents `[{text, metadata}]` as the model sees them.
[[nodiscard]] std::string context_of(const Json& documents, std::size_t count, const ContextOptions& options);

struct PromptOptions {
  std::string name = "prompt_qa";  // one of the peer's, or a template of one's own with {context} and {query}
  std::string custom;
  std::string not_found = "No information found.";
  std::string additional_rules;
};
[[nodiscard]] bool knows_prompt(std::string_view name);
[[nodiscard]] std::string prompt_of(const PromptOptions& options, const std::string& context, const std::string& query);
// `[{"role": "system", "content": prompt}]`
[[nodiscard]] Json messages_of(std::string prompt);

}  // namespace thalweg::llm
