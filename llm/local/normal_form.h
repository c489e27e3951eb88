// llm/local/normal_form.h
//
// What a tokenizer does to a text before it looks for tokens (`normalizer` of a tokenizer.json).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/base/result.h"

namespace thalweg::llm {

using TextStep = std::function<std::string(std::string)>;

// The steps of `normalizer`; none for null. An error names what is not known.
[[nodiscard]] Result<std::vector<TextStep>> normal_form(const nlohmann::json& normalizer);
// That of BERT: no control characters, Chinese characters apart; optionally lower case without accents.
[[nodiscard]] TextStep bert_form(bool clean, bool chinese_apart, bool strip_accents, bool lower_case);

[[nodiscard]] bool is_punctuation(char32_t c);
[[nodiscard]] bool is_white(char32_t c);
[[nodiscard]] bool is_letter(char32_t c);
[[nodiscard]] bool is_digit(char32_t c);  // any kind of number

}  // namespace thalweg::llm
