// Splitters, by their tags.
#include "pipeline_lang/llm/model_family.h"

namespace thalweg::lang {
namespace {

const ModelRow kSplitterRows[] = {
    {"splitters.TokenCountSplitter",
     {"TokenSplitter", "splitters.TokenSplitter", "splitters.DefaultTokenCountSplitter"},
     "llm.splitter.token_count",
     "",
     "",
     "",
     "Chunks of at most `max_tokens` tokens that end with a sentence where that leaves at least `min_tokens`."},
    {"splitters.RecursiveSplitter",
     {"RecursiveSplitter"},
     "llm.splitter.recursive",
     "",
     "",
     "",
     "Chunks of at most `chunk_size`, split by the first of `separators` that helps. Sizes are tokens with "
     "`encoding_name` or `model_name`, else characters."},
    {"splitters.SentenceSplitter",
     {"SentenceSplitter"},
     "llm.splitter.sentence",
     "",
     "",
     "",
     "Whole sentences, as many as fit into `chunk_size`."},
    {"splitters.NullSplitter", {"splitters.null_splitter"}, "llm.splitter.null", "", "", "", "The text as one chunk."},
};

const PeersArgs kSplitterPeersArgs[] = {
    {"splitters.NullSplitter", {{"cache_strategy", ""}}},
    {"splitters.RecursiveSplitter", {{"hf_tokenizer", ""}}},
};

std::vector<ArgSpec> splitter_args(const ModelRow& row) {
  std::vector<ArgSpec> out;
  if (row.kind == "llm.splitter.token_count") {
    out.push_back(with_fallback("min_tokens", ArgKind::kInt, "50", "The least size of a chunk."));
    out.push_back(with_fallback("max_tokens", ArgKind::kInt, "500", "The largest size of a chunk."));
    out.back().aliases = {"chunk_size"};
    out.push_back(with_fallback("encoding_name", ArgKind::kText, "cl100k_base", "Whose tokens: or `o200k_base`."));
  }
  if (row.kind == "llm.splitter.recursive" || row.kind == "llm.splitter.sentence") {
    out.push_back(with_fallback("chunk_size", ArgKind::kInt, "500", "The largest size of a chunk."));
    out.push_back(with_fallback("chunk_overlap", ArgKind::kInt, "0", "How much of a chunk the next one begins with."));
    out.push_back(with_fallback("encoding_name", ArgKind::kText, "", "Sizes are tokens of this encoding."));
    out.push_back(with_fallback("model_name", ArgKind::kText, "", "Sizes are tokens of this model."));
  }
  if (row.kind == "llm.splitter.recursive") {
    out.push_back(
        with_fallback("separators", ArgKind::kAny, R"(["\n\n", "\n", " ", ""])", "What chunks are split by."));
    out.push_back(with_fallback("separator", ArgKind::kText, "", "The first of the separators."));
    out.push_back(with_fallback("is_separator_regex", ArgKind::kBool, "false", "Not in this version."));
  }
  return out;
}

}  // namespace

const ModelFamily& splitter_family() {
  static const ModelFamily kSplitterFamily{ModelRole::kSplitter, kSplitterRows, kSplitterPeersArgs, splitter_args};
  return kSplitterFamily;
}

}  // namespace thalweg::lang
