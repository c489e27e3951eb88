// llm/local/pieces.h
//
// How a tokenizer cuts a text into pieces that no token reaches across (`pre_tokenizer` of a tokenizer.json).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/base/result.h"

namespace thalweg::llm {

using Pieces = std::vector<std::string>;
using CutStep = std::function<Pieces(const Pieces&)>;

// The steps of `pre_tokenizer`; none for null. An error names what is not known.
[[nodiscard]] Result<std::vector<CutStep>> cut_steps(const nlohmann::json& pre_tokenizer);
// That of BERT: words, and punctuation one by one.
[[nodiscard]] CutStep bert_cut();

// The character that stands for a byte in vocabularies over bytes (GPT-2).
[[nodiscard]] std::string byte_letter(unsigned char byte);

}  // namespace thalweg::llm
