#include "llm/local/static_model.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "llm/local/model_files.h"
#include "llm/local/safetensors.h"

namespace thalweg::llm {

namespace {

constexpr std::size_t kTokensMax = 8192;
std::string table_of(const Safetensors& file) { return file.first_of({"embeddings", "embedding.weight"}); }

}  // namespace

bool StaticModel::is_one(const std::string& folder) {
  const auto file = Safetensors::open(folder + "/model.safetensors");
  return file && !table_of(*file).empty();
}

Result<std::shared_ptr<const StaticModel>> StaticModel::load(const std::string& folder) {
  std::shared_ptr<StaticModel> out(new StaticModel());
  out->tokenizer_ = TRY(Tokenizer::load(folder));
  const Safetensors file = TRY(Safetensors::open(folder + "/model.safetensors"));
  const auto broken = [&] { return fail(Code::kBadData, folder + ": its table of vectors is none"); };
  auto table = TRY(file.read(table_of(file)));
  if (table.shape.size() != 2 || table.numbers.empty()) return broken();
  out->dimensions_ = table.shape[1];
  out->rows_ = std::move(table.numbers);
  if (file.has("weights")) out->weights_ = TRY(file.read("weights")).numbers;
  if (file.has("mapping"))
    return fail(Code::kInvalidArgument,
                folder + ": tables with a mapping of tokens (quantised vocabularies) are not known");
  if (!std::filesystem::exists(folder + "/config.json")) return out;
  const nlohmann::json config = nlohmann::json::parse(TRY(read_model_file(folder + "/config.json")), nullptr, false);
  const auto it = config.is_object() ? config.find("normalize") : config.end();
  out->normalizes_ = it != config.end() && it->is_boolean() && it->get<bool>();
  return out;
}

std::vector<std::vector<float>> StaticModel::embed(std::span<const std::string> texts) const {
  std::vector<std::vector<float>> out;
  for (const std::string& text : texts) {
    std::vector<Token> tokens = tokenizer_->plain(text);
    if (tokenizer_->unknown()) std::erase(tokens, *tokenizer_->unknown());
    tokens.resize(std::min(tokens.size(), kTokensMax));
    std::vector<float> sum(dimensions_);
    std::size_t count = 0;
    for (const Token token : tokens) {
      if ((token + std::size_t{1}) * dimensions_ > rows_.size()) continue;
      const float weight = token < weights_.size() ? weights_[token] : 1.0F;
      const float* const row = rows_.data() + token * dimensions_;
      for (std::size_t i = 0; i < dimensions_; ++i) sum[i] += weight * row[i];
      ++count;
    }
    double length = 0;
    for (float& number : sum) {
      number /= static_cast<float>(std::max<std::size_t>(1, count));
      length += static_cast<double>(number) * number;
    }
    if (normalizes_ && length > 0)
      for (float& number : sum) number = static_cast<float>(number / std::sqrt(length));
    out.push_back(std::move(sum));
  }
  return out;
}

}  // namespace thalweg::llm
