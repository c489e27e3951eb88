// llm/text/splitters.h
//
// Texts → chunks.
//
// S1  Chunks are views of the text, in order; without overlap they cover all of it but blanks.
// S2  No chunk ends inside a code point.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace thalweg::llm {

struct Piece {
  std::size_t begin = 0, end = 0;  // bytes of the text
};

// How long a text is: characters, or tokens of a model.
using Measure = std::function<std::size_t(std::string_view text)>;

struct RecursiveOptions {
  std::size_t chunk_size = 500;
  std::size_t chunk_overlap = 0;
  std::vector<std::string> separators = {"\n\n", "\n", " ", ""};
};
// Splits by the first separator that the text has, goes on with the further ones inside of what is still too long, and
// puts neighbours together while they fit.
[[nodiscard]] std::vector<Piece> split_recursively(std::string_view text, const RecursiveOptions& options,
                                                   const Measure& measure);

// Whole sentences, as many as fit into `chunk_size`, with whole sentences of overlap.
[[nodiscard]] std::vector<Piece> split_sentences(std::string_view text, std::size_t chunk_size, std::size_t overlap,
                                                 const Measure& measure);

}  // namespace thalweg::llm
