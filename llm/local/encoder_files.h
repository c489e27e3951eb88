// llm/local/encoder_files.h
//
// The weights of an encoder out of its files: config.json, model.safetensors, and what sentence-transformers adds
// (modules.json, 1_Pooling/config.json, sentence_bert_config.json).
#pragma once

#include <string>
#include <vector>

#include "llm/local/encoder.h"

namespace thalweg::llm {

struct EncoderWeights {
  enum class Activation : std::uint8_t { kGelu, kGeluTanh, kRelu };
  struct Linear {
    std::size_t in = 0, out = 0;
    std::vector<float> packed, bias;
  };
  struct Norm {
    std::vector<float> scale, shift;
  };
  struct Layer {
    Linear query, key, value, mixed, widen, narrow;
    Norm after_attention, after_inner;
  };

  std::size_t hidden = 0, intermediate = 0, heads = 0, tokens_max = 512;
  std::size_t first_position = 0;
  float epsilon = 1e-12F;
  Activation activation = Activation::kGelu;
  std::vector<float> words, positions, segments;  // a row each
  Norm after_words;
  std::vector<Layer> layers;
  Encoder::Pooling pooling = Encoder::Pooling::kMean;
  bool normalizes = false;
  Linear pooler, classifier;                         // of a cross-encoder
  Activation pooler_activation = Activation::kGelu;  // kRelu: DistilBERT's; else tanh
};

[[nodiscard]] Result<EncoderWeights> read_encoder(const std::string& folder);

}  // namespace thalweg::llm
