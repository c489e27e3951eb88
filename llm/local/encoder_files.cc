#include "llm/local/encoder_files.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "llm/kernels/kernels.h"
#include "llm/local/model_files.h"
#include "llm/local/safetensors.h"

namespace thalweg::llm {

namespace {

// Names of weights by family; `{}` is the number of a layer.
struct Names {
  std::string_view layer, query, key, value, mixed, after_attention, widen, narrow, after_inner;
};
constexpr Names kBert = {"encoder.layer.{}.",    "attention.self.query",   "attention.self.key",
                         "attention.self.value", "attention.output.dense", "attention.output.LayerNorm",
                         "intermediate.dense",   "output.dense",           "output.LayerNorm"};
constexpr Names kDistil = {"transformer.layer.{}.", "attention.q_lin", "attention.k_lin", "attention.v_lin",
                           "attention.out_lin",     "sa_layer_norm",   "ffn.lin1",        "ffn.lin2",
                           "output_layer_norm"};

Result<nlohmann::json> read_json(const std::string& path) {
  nlohmann::json out = nlohmann::json::parse(TRY(read_model_file(path)), nullptr, false);
  if (!out.is_object() && !out.is_array()) return fail(Code::kBadData, path + " is no JSON");
  return out;
}

class Reader {
 public:
  explicit Reader(std::string folder) : folder_(std::move(folder)) {}

  Result<EncoderWeights> read() {
    const nlohmann::json config = TRY(read_json(folder_ + "/config.json"));
    files_ = TRY(Safetensors::open(folder_ + "/model.safetensors"));
    TRY(read_shape(config));
    for (const char* prefix : {"", "bert.", "roberta.", "distilbert.", "model."})
      if (files_.has(prefix + std::string("embeddings.word_embeddings.weight"))) prefix_ = prefix;
    TRY(read_words());
    for (std::size_t i = 0; i < num_layers_; ++i) TRY(read_layer(i));
    TRY(read_classifier());
    TRY(read_sentence_files());
    return std::move(out_);
  }

 private:
  [[nodiscard]] std::unexpected<Error> unknown(const std::string& what) const {
    return fail(Code::kInvalidArgument, folder_ + ": " + what);
  }

  Result<void> read_shape(const nlohmann::json& config) {
    const std::string type = config.value("model_type", "");
    is_distil_ = type == "distilbert";
    const bool is_roberta = type == "roberta" || type == "xlm-roberta" || type == "camembert";
    if (type != "bert" && !is_distil_ && !is_roberta)
      return unknown("models of the type `" + type +
                     "` are not known; there are bert, roberta, xlm-roberta, camembert, "
                     "distilbert, and static ones (model2vec)");
    const auto number = [&](const char* name, const char* distil) -> std::size_t {
      const auto it = config.find(is_distil_ ? distil : name);
      return it != config.end() && it->is_number_unsigned() ? it->get<std::size_t>() : 0;
    };
    out_.hidden = number("hidden_size", "dim");
    out_.intermediate = number("intermediate_size", "hidden_dim");
    out_.heads = number("num_attention_heads", "n_heads");
    num_layers_ = number("num_hidden_layers", "n_layers");
    constexpr std::size_t kMost = 65536;
    if (out_.hidden == 0 || out_.intermediate == 0 || out_.heads == 0 || out_.hidden % out_.heads != 0 ||
        out_.hidden > kMost || out_.intermediate > kMost || num_layers_ > 1000)
      return unknown("its config.json has no sound sizes");
    if (config.value("position_embedding_type", "absolute") != "absolute")
      return unknown("relative positions are not known");
    const std::string act = config.value(is_distil_ ? "activation" : "hidden_act", "gelu");
    if (act == "relu")
      out_.activation = EncoderWeights::Activation::kRelu;
    else if (act == "gelu_new" || act == "gelu_pytorch_tanh" || act == "gelu_fast")
      out_.activation = EncoderWeights::Activation::kGeluTanh;
    else if (act != "gelu")
      return unknown("the activation `" + act + "` is not known");
    out_.epsilon = config.value("layer_norm_eps", 1e-12F);
    if (is_roberta) out_.first_position = config.value("pad_token_id", std::size_t{1}) + 1;
    return {};
  }

  Result<void> read_words() {
    const std::string at = prefix_ + "embeddings.";
    auto words = TRY(files_.read(at + "word_embeddings.weight"));
    auto positions = TRY(files_.read(at + "position_embeddings.weight"));
    if (words.shape.size() != 2 || words.shape[1] != out_.hidden || words.shape[0] == 0 ||
        positions.shape.size() != 2 || positions.shape[1] != out_.hidden || positions.shape[0] <= out_.first_position)
      return unknown("its words or positions have another size than its config.json says");
    out_.tokens_max = positions.shape[0] - out_.first_position;
    out_.words = std::move(words.numbers);
    out_.positions = std::move(positions.numbers);
    if (files_.has(at + "token_type_embeddings.weight")) {
      auto segments = TRY(files_.read(at + "token_type_embeddings.weight"));
      if (segments.shape.size() != 2 || segments.shape[1] != out_.hidden || segments.shape[0] == 0)
        return unknown("its segments have another size");
      out_.segments = std::move(segments.numbers);
    }
    out_.after_words = TRY(norm(at + "LayerNorm"));
    return {};
  }

  // Weights of old files are named gamma and beta.
  Result<EncoderWeights::Norm> norm(const std::string& name) const {
    EncoderWeights::Norm out;
    const bool old = files_.has(name + ".gamma");
    out.scale = TRY(files_.read(name + (old ? ".gamma" : ".weight"), {out_.hidden}));
    out.shift = TRY(files_.read(name + (old ? ".beta" : ".bias"), {out_.hidden}));
    return out;
  }

  Result<EncoderWeights::Linear> linear(const std::string& name, std::size_t in, std::size_t out) const {
    EncoderWeights::Linear made;
    made.in = in;
    made.out = out;
    const std::vector<float> weights = TRY(files_.read(name + ".weight", {out, in}));
    made.bias = TRY(files_.read(name + ".bias", {out}));
    made.packed.resize(packed_floats(in, out));
    pack(weights.data(), in, out, 1, in, made.packed.data());
    return made;
  }

  Result<void> read_layer(std::size_t number) {
    const Names& names = is_distil_ ? kDistil : kBert;
    const std::string at = prefix_ + fmt::format(fmt::runtime(names.layer), number);
    const auto named = [&](std::string_view name) { return at + std::string(name); };
    const std::size_t h = out_.hidden, i = out_.intermediate;
    EncoderWeights::Layer layer;
    layer.query = TRY(linear(named(names.query), h, h));
    layer.key = TRY(linear(named(names.key), h, h));
    layer.value = TRY(linear(named(names.value), h, h));
    layer.mixed = TRY(linear(named(names.mixed), h, h));
    layer.widen = TRY(linear(named(names.widen), h, i));
    layer.narrow = TRY(linear(named(names.narrow), i, h));
    layer.after_attention = TRY(norm(named(names.after_attention)));
    layer.after_inner = TRY(norm(named(names.after_inner)));
    out_.layers.push_back(std::move(layer));
    return {};
  }

  // What makes a model a judge of pairs.
  Result<void> read_classifier() {
    const std::string pooler = files_.has("classifier.dense.weight")    ? "classifier.dense"
                               : files_.has("pre_classifier.weight")    ? "pre_classifier"
                               : files_.has("bert.pooler.dense.weight") ? "bert.pooler.dense"
                                                                        : "";
    const std::string last = files_.has("classifier.out_proj.weight") ? "classifier.out_proj" : "classifier";
    if (pooler.empty() || !files_.has(last + ".weight")) return {};
    const std::size_t labels = TRY(files_.read(last + ".bias")).numbers.size();
    if (labels != 1) return {};  // a classifier of something else
    out_.pooler = TRY(linear(pooler, out_.hidden, out_.hidden));
    out_.classifier = TRY(linear(last, out_.hidden, 1));
    if (is_distil_) out_.pooler_activation = EncoderWeights::Activation::kRelu;
    return {};
  }

  Result<void> read_sentence_files() {
    if (std::filesystem::exists(folder_ + "/sentence_bert_config.json")) {
      const nlohmann::json config = TRY(read_json(folder_ + "/sentence_bert_config.json"));
      const auto it = config.find("max_seq_length");
      if (it != config.end() && it->is_number_unsigned() && it->get<std::size_t>() > 0)
        out_.tokens_max = std::min(out_.tokens_max, it->get<std::size_t>());
    }
    if (std::filesystem::exists(folder_ + "/modules.json")) {
      const nlohmann::json modules = TRY(read_json(folder_ + "/modules.json"));
      for (const nlohmann::json& module : modules) {
        const std::string type = module.is_object() ? module.value("type", "") : "";
        if (type.ends_with(".Normalize")) out_.normalizes = true;
        if (type.ends_with(".Dense")) return unknown("a layer behind the pooling (`Dense`) is not known");
      }
    }
    const std::string pooling = folder_ + "/1_Pooling/config.json";
    if (!std::filesystem::exists(pooling)) return {};
    const nlohmann::json config = TRY(read_json(pooling));
    const auto is = [&](const char* name) { return config.value(name, false); };
    if (is("pooling_mode_cls_token"))
      out_.pooling = Encoder::Pooling::kFirst;
    else if (is("pooling_mode_max_tokens"))
      out_.pooling = Encoder::Pooling::kMax;
    else if (!config.value("pooling_mode_mean_tokens", true))
      return unknown("its way of pooling is not known");
    return {};
  }

  const std::string folder_;
  Safetensors files_;
  std::string prefix_;
  std::size_t num_layers_ = 0;
  bool is_distil_ = false;
  EncoderWeights out_;
};

}  // namespace

Result<EncoderWeights> read_encoder(const std::string& folder) {
  try {  // values of other types than these files have
    return Reader(folder).read();
  } catch (const nlohmann::json::exception&) {
    return fail(Code::kBadData, folder + ": a value in its JSON files is of another type than models have");
  }
}

}  // namespace thalweg::llm
