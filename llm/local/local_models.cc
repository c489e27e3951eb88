#include "llm/local/local_models.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <thread>

#include <nlohmann/json.hpp>

#include "connectors/functions/remote_function.h"
#include "connectors/setting_reader.h"
#include "llm/functions/wrong.h"
#include "llm/local/encoder.h"
#include "llm/local/model_files.h"
#include "llm/local/static_model.h"

namespace thalweg::llm {

namespace {

using functions::Refusal;
using Vector = std::vector<float>;

// Either kind of model.
struct LocalModel {
  std::shared_ptr<const Encoder> encoder;
  std::shared_ptr<const StaticModel> table;

  [[nodiscard]] std::vector<Vector> embed(std::span<const std::string> texts) const {
    return table != nullptr ? table->embed(texts) : encoder->embed(texts);
  }
};

Result<std::shared_ptr<const LocalModel>> load(const std::string& folder) {
  auto out = std::make_shared<LocalModel>();
  if (StaticModel::is_one(folder))
    out->table = TRY(StaticModel::load(folder));
  else
    out->encoder = TRY(Encoder::load(folder));
  return out;
}

// One copy of a model's weights per process, for as long as anybody has it.
Result<std::shared_ptr<const LocalModel>> shared_model(const std::string& folder) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<const LocalModel>> known;
  const std::lock_guard lock(mutex);
  if (auto there = known[folder].lock()) return there;
  auto fresh = TRY(load(folder));
  known[folder] = fresh;
  return fresh;
}

std::string value_line(const nlohmann::json& value) { return "{\"value\":" + value.dump() + "}"; }

// Loads the model with the first call (U1) and keeps it.
class LocalTransport : public functions::Transport {
 public:
  explicit LocalTransport(std::string folder) : folder_(std::move(folder)) {}

  std::expected<std::vector<std::string>, Refusal> exchange(const std::vector<std::string>& lines,
                                                            std::int64_t /*timeout_ms*/) override {
    const auto loaded = model();
    if (!loaded) return std::unexpected(Refusal{loaded.error().message, false, 0});
    std::vector<nlohmann::json> rows;
    for (const std::string& line : lines) rows.push_back(nlohmann::json::parse(line, nullptr, false));
    return answer(**loaded, rows);
  }

 protected:
  [[nodiscard]] virtual std::expected<std::vector<std::string>, Refusal> answer(
      const LocalModel& model, const std::vector<nlohmann::json>& rows) = 0;

 private:
  Result<std::shared_ptr<const LocalModel>> model() {
    const std::lock_guard lock(mutex_);
    if (model_ == nullptr) model_ = TRY(shared_model(folder_));
    return model_;
  }
  const std::string folder_;
  std::mutex mutex_;
  std::shared_ptr<const LocalModel> model_;
};

// Text `index` of a question; nothing if it is none.
std::optional<std::string> text_at(const nlohmann::json& row, std::size_t index) {
  if (!row.is_array() || row.size() <= index) return std::nullopt;
  const nlohmann::json& cell = row[index];
  if (cell.is_string()) return cell.get<std::string>();
  // A document of a store: {"text": …, "metadata": …}.
  if (cell.is_object() && cell.contains("text") && cell["text"].is_string()) return cell["text"].get<std::string>();
  return std::nullopt;
}

void normalize_to_one(Vector& vector) {
  double sum = 0;
  for (const float number : vector) sum += static_cast<double>(number) * number;
  if (sum > 0)
    for (float& number : vector) number = static_cast<float>(number / std::sqrt(sum));
}

class EmbedTransport final : public LocalTransport {
 public:
  EmbedTransport(std::string folder, bool normalize) : LocalTransport(std::move(folder)), normalize_(normalize) {}

 protected:
  std::expected<std::vector<std::string>, Refusal> answer(const LocalModel& model,
                                                          const std::vector<nlohmann::json>& rows) override {
    std::vector<std::string> texts, out;
    for (const nlohmann::json& row : rows) {
      auto text = text_at(row, 0);
      if (!text) return std::unexpected(Refusal{"what is embedded is a text", false, 0});
      texts.push_back(std::move(*text));
    }
    for (Vector& vector : model.embed(texts)) {
      if (normalize_) normalize_to_one(vector);
      out.push_back(value_line(vector));
    }
    return out;
  }

 private:
  const bool normalize_;
};

// Document and query to a score: by a cross-encoder, or by the cosine of both vectors.
class ScoreTransport final : public LocalTransport {
 public:
  ScoreTransport(std::string folder, bool cross) : LocalTransport(std::move(folder)), cross_(cross) {}

 protected:
  std::expected<std::vector<std::string>, Refusal> answer(const LocalModel& model,
                                                          const std::vector<nlohmann::json>& rows) override {
    std::vector<std::string> documents, queries, out;
    for (const nlohmann::json& row : rows) {
      auto document = text_at(row, 0), query = text_at(row, 1);
      if (!document || !query)
        return std::unexpected(Refusal{"a reranker is asked with a document and a query", false, 0});
      documents.push_back(std::move(*document));
      queries.push_back(std::move(*query));
    }
    if (!cross_) {
      std::vector<Vector> a = model.embed(documents), b = model.embed(queries);
      for (std::size_t i = 0; i < a.size(); ++i) {
        normalize_to_one(a[i]);
        normalize_to_one(b[i]);
        double sum = 0;
        for (std::size_t d = 0; d < a[i].size(); ++d) sum += static_cast<double>(a[i][d]) * b[i][d];
        out.push_back(value_line(sum));
      }
      return out;
    }
    if (model.encoder == nullptr || !model.encoder->scores_pairs())
      return std::unexpected(Refusal{"the model scores no pairs: it is no cross-encoder", false, 0});
    std::vector<std::pair<std::string, std::string>> pairs;
    for (std::size_t i = 0; i < documents.size(); ++i) pairs.emplace_back(queries[i], documents[i]);
    for (const float score : model.encoder->score(pairs)) out.push_back(value_line(1 / (1 + std::exp(-double{score}))));
    return out;
  }

 private:
  const bool cross_;
};

}  // namespace

std::expected<plan::UserFunctionPtr, plan::FunctionError> make_local_model(const plan::FunctionSpec& spec,
                                                                           std::string text) {
  const SettingReader read(spec.options);
  std::string name = read.text("model");
  if (name.empty()) name = read.text("model_name");
  if (name.empty()) return wrong("`model:` is missing: the name of a folder with a model");
  auto folder = find_model(name, read.text("models_dir"));
  if (!folder) return wrong(folder.error().message, "model");
  const std::int64_t batch = read.integer("batch_size", 32);
  if (batch < 1 || batch > 65536) return wrong("`batch_size` is between 1 and 65536", "batch_size");
  functions::RemoteOptions defaults;
  defaults.capacity = std::clamp<std::size_t>(std::thread::hardware_concurrency() / 2, 1, 8);
  defaults.batch_rows = static_cast<std::size_t>(std::min<std::int64_t>(batch, 32));
  auto options = TRY_OPTION(functions::remote_options(spec.options, defaults));
  std::unique_ptr<functions::Transport> transport;
  if (spec.kind == "llm.local.embedder") {
    bool normalize = read.flag("normalize", false);
    if (const Setting* call = read.map("call_kwargs"))
      normalize = normalize || SettingReader(*call).flag("normalize_embeddings", false);
    transport = std::make_unique<EmbedTransport>(std::move(*folder), normalize);
  } else {
    transport = std::make_unique<ScoreTransport>(std::move(*folder), spec.kind == "llm.local.cross_encoder");
  }
  plan::FunctionSpec same = spec;
  same.deterministic = true;  // equal texts are embedded once
  return functions::make_remote(same, options, std::move(transport), std::move(text));
}

}  // namespace thalweg::llm
