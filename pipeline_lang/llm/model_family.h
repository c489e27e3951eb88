// pipeline_lang/llm/model_family.h
//
// The tags of language models by family: chats, embedders, rerankers, splitters, parsers. A family is a table of tags
// and what arguments they take; model_components.cc makes functions of them all.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline_lang/component.h"

namespace thalweg::lang {

enum class ModelRole : std::uint8_t { kChat, kEmbedder, kReranker, kSplitter, kParser };

struct ModelRow {
  std::string_view name;  // behind `xpacks.llm.`
  std::initializer_list<std::string_view> aliases;
  std::string_view kind;   // of the function; `llm.missing.…`: it answers with an ERROR that says why
  std::string_view model;  // default
  std::string_view key;    // the variable of the environment with its key
  std::string_view url;    // the variable with its URL
  std::string_view doc;
  // A pipeline whose model is not on this machine loads all the same: what is asked of it is answered with an ERROR.
  [[nodiscard]] bool is_local() const { return kind.starts_with("llm.local."); }
};

// Arguments that the peer's classes have as well, with its defaults.
struct PeersArgs {
  std::string_view name;  // of the tag
  std::initializer_list<std::pair<std::string_view, std::string_view>> args;
};

struct ModelFamily {
  ModelRole role;
  std::span<const ModelRow> rows;
  std::span<const PeersArgs> peers;
  std::vector<ArgSpec> (*args)(const ModelRow& row);
};

[[nodiscard]] const ModelFamily& chat_family();
[[nodiscard]] const ModelFamily& embedder_family();
[[nodiscard]] const ModelFamily& reranker_family();
[[nodiscard]] const ModelFamily& splitter_family();
[[nodiscard]] const ModelFamily& parser_family();

[[nodiscard]] ArgSpec with_fallback(std::string name, ArgKind kind, std::string fallback, std::string doc);
// Those of a model behind HTTP.
[[nodiscard]] std::vector<ArgSpec> served_model_args(const ModelRow& row);
void add_custom_args(std::vector<ArgSpec>& out);
void add_bedrock_args(std::vector<ArgSpec>& out);

}  // namespace thalweg::lang
