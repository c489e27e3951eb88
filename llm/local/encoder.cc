#include "llm/local/encoder.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>

#include "llm/kernels/kernels.h"
#include "llm/local/encoder_files.h"

namespace thalweg::llm {

namespace {

using Encoded = Tokenizer::Encoded;

// Tokens that are read at once: what is computed in between stays in the caches.
constexpr std::size_t kTokensAtOnce = 512;

// All texts behind each other, a row per token.
struct Flow {
  std::size_t rows = 0, width = 0;
  std::vector<float> state;
  std::vector<std::size_t> ends;  // of texts
};

class Layers {
 public:
  explicit Layers(const EncoderWeights& weights) : w_(weights) {}

  void run(Flow& flow) const {
    const std::size_t n = flow.rows, h = w_.hidden;
    std::vector<float> query(n * h), key(n * h), value(n * h), mixed(n * h), inner(n * w_.intermediate);
    for (const EncoderWeights::Layer& layer : w_.layers) {
      apply(layer.query, flow.state, n, query);
      apply(layer.key, flow.state, n, key);
      apply(layer.value, flow.state, n, value);
      attend(flow, query, key, value, mixed);
      apply(layer.mixed, mixed, n, query);
      add_and_normalize(flow.state, query, n, layer.after_attention);
      apply(layer.widen, flow.state, n, inner);
      activate(inner);
      apply(layer.narrow, inner, n, query);
      add_and_normalize(flow.state, query, n, layer.after_inner);
    }
  }
  void normalize(std::vector<float>& rows, std::size_t n, const EncoderWeights::Norm& norm) const {
    for (std::size_t i = 0; i < n; ++i)
      normalize_layer(rows.data() + i * w_.hidden, w_.hidden, norm.scale.data(), norm.shift.data(), w_.epsilon);
  }

 private:
  static void apply(const EncoderWeights::Linear& linear, const std::vector<float>& from, std::size_t rows,
                    std::vector<float>& to) {
    multiply(from.data(), linear.in, rows, linear.in, linear.packed.data(), linear.out, linear.bias.data(), to.data(),
             linear.out);
  }
  void activate(std::vector<float>& inner) const {
    switch (w_.activation) {
      case EncoderWeights::Activation::kGelu: return gelu(inner.data(), inner.size());
      case EncoderWeights::Activation::kGeluTanh: return gelu_tanh(inner.data(), inner.size());
      case EncoderWeights::Activation::kRelu: break;
    }
    for (float& number : inner) number = std::max(number, 0.0F);
  }
  void add_and_normalize(std::vector<float>& state, const std::vector<float>& what, std::size_t n,
                         const EncoderWeights::Norm& norm) const {
    add_to(state.data(), what.data(), n * w_.hidden);
    normalize(state, n, norm);
  }
  // Every token of a text looks at all tokens of it, head by head.
  void attend(const Flow& flow, const std::vector<float>& query, const std::vector<float>& key,
              const std::vector<float>& value, std::vector<float>& out) const {
    const std::size_t h = w_.hidden, d = h / w_.heads;
    const float factor = 1.0F / std::sqrt(static_cast<float>(d));
    std::vector<float> packed, weights;
    std::size_t begin = 0;
    for (const std::size_t end : flow.ends) {
      const std::size_t n = end - begin;
      weights.resize(n * n);
      packed.resize(std::max(packed_floats(d, n), packed_floats(n, d)));
      for (std::size_t head = 0; head < w_.heads; ++head) {
        const std::size_t at = begin * h + head * d;
        pack(key.data() + at, d, n, 1, h, packed.data());
        multiply(query.data() + at, h, n, d, packed.data(), n, nullptr, weights.data(), n);
        for (std::size_t row = 0; row < n; ++row) softmax(weights.data() + row * n, n, factor);
        pack(value.data() + at, n, d, h, 1, packed.data());
        multiply(weights.data(), n, n, n, packed.data(), d, nullptr, out.data() + at, h);
      }
      begin = end;
    }
  }

  const EncoderWeights& w_;
};

void to_length_one(std::vector<float>& vector) {
  double sum = 0;
  for (const float number : vector) sum += static_cast<double>(number) * number;
  if (sum <= 0) return;
  for (float& number : vector) number = static_cast<float>(number / std::sqrt(sum));
}

}  // namespace

struct Encoder::Model {
  EncoderWeights weights;
  std::shared_ptr<const Tokenizer> tokenizer;

  [[nodiscard]] Flow begin(std::span<const Encoded> texts) const {
    const EncoderWeights& w = weights;
    Flow flow;
    flow.width = w.hidden;
    for (const Encoded& text : texts) {
      flow.rows += text.tokens.size();
      flow.ends.push_back(flow.rows);
    }
    flow.state.resize(flow.rows * w.hidden);
    float* to = flow.state.data();
    for (const Encoded& text : texts)
      for (std::size_t i = 0; i < text.tokens.size(); ++i, to += w.hidden) {
        const std::size_t word = std::min<std::size_t>(text.tokens[i], w.words.size() / w.hidden - 1);
        std::copy_n(w.words.data() + word * w.hidden, w.hidden, to);
        add_to(to, w.positions.data() + (i + w.first_position) * w.hidden, w.hidden);
        if (w.segments.empty()) continue;
        const std::size_t segment = std::min<std::size_t>(text.segments[i], w.segments.size() / w.hidden - 1);
        add_to(to, w.segments.data() + segment * w.hidden, w.hidden);
      }
    const Layers layers(w);
    layers.normalize(flow.state, flow.rows, w.after_words);
    layers.run(flow);
    return flow;
  }

  // Calls `use(text, rows, count)` with what the model made of each text, some texts at a time.
  template <class Use>
  void each(const std::vector<Encoded>& texts, Use use) const {
    for (std::size_t at = 0; at < texts.size();) {
      std::size_t end = at, tokens = 0;
      while (end < texts.size() && (end == at || tokens + texts[end].tokens.size() <= kTokensAtOnce))
        tokens += texts[end++].tokens.size();
      const Flow flow = begin(std::span(texts).subspan(at, end - at));
      std::size_t row = 0;
      for (std::size_t i = at; i < end; ++i) {
        use(i, flow.state.data() + row * flow.width, texts[i].tokens.size());
        row = flow.ends[i - at];
      }
      at = end;
    }
  }

  [[nodiscard]] std::vector<float> pooled(const float* rows, std::size_t count) const {
    std::vector<float> out(weights.hidden);
    if (count == 0) return out;
    std::copy_n(rows, weights.hidden, out.data());
    for (std::size_t row = 1; row < count && weights.pooling != Pooling::kFirst; ++row)
      for (std::size_t i = 0; i < weights.hidden; ++i) {
        const float number = rows[row * weights.hidden + i];
        out[i] = weights.pooling == Pooling::kMax ? std::max(out[i], number) : out[i] + number;
      }
    if (weights.pooling == Pooling::kMean)
      for (float& number : out) number /= static_cast<float>(count);
    if (weights.normalizes) to_length_one(out);
    return out;
  }

  [[nodiscard]] float judged(const float* first) const {
    std::vector<float> inner(first, first + weights.hidden), out(weights.hidden);
    const auto apply = [&](const EncoderWeights::Linear& linear) {
      multiply(inner.data(), linear.in, 1, linear.in, linear.packed.data(), linear.out, linear.bias.data(), out.data(),
               linear.out);
    };
    apply(weights.pooler);
    for (std::size_t i = 0; i < weights.hidden; ++i) {
      inner[i] =
          weights.pooler_activation == EncoderWeights::Activation::kRelu ? std::max(out[i], 0.0F) : std::tanh(out[i]);
    }
    apply(weights.classifier);
    return out[0];
  }
};

Encoder::Encoder(std::unique_ptr<const Model> model) : model_(std::move(model)) {}
Encoder::~Encoder() = default;

Result<std::shared_ptr<const Encoder>> Encoder::load(const std::string& folder) {
  auto model = std::make_unique<Model>();
  model->tokenizer = TRY(Tokenizer::load(folder));
  model->weights = TRY(read_encoder(folder));
  return std::shared_ptr<const Encoder>(new Encoder(std::move(model)));
}

std::size_t Encoder::dimensions() const { return model_->weights.hidden; }
bool Encoder::scores_pairs() const { return !model_->weights.classifier.packed.empty(); }

std::vector<std::vector<float>> Encoder::embed(std::span<const std::string> texts) const {
  std::vector<Encoded> encoded;
  for (const std::string& text : texts) encoded.push_back(model_->tokenizer->encode(text, model_->weights.tokens_max));
  std::vector<std::vector<float>> out(texts.size());
  model_->each(encoded, [&](std::size_t text, const float* rows, std::size_t count) {
    out[text] = model_->pooled(rows, count);
  });
  return out;
}

std::vector<float> Encoder::score(std::span<const std::pair<std::string, std::string>> pairs) const {
  std::vector<Encoded> encoded;
  for (const auto& [first, second] : pairs)
    encoded.push_back(model_->tokenizer->encode_pair(first, second, model_->weights.tokens_max));
  std::vector<float> out(pairs.size());
  model_->each(encoded, [&](std::size_t pair, const float* rows, std::size_t count) {
    out[pair] = count == 0 ? 0 : model_->judged(rows);
  });
  return out;
}

}  // namespace thalweg::llm
