#include "llm/index/factory.h"

#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "connectors/setting_reader.h"
#include "llm/filter/jmespath.h"
#include "llm/index/bm25.h"
#include "llm/index/hnsw.h"
#include "llm/index/hybrid.h"
#include "llm/index/knn.h"
#include "llm/index/vector_cell.h"

namespace thalweg::llm {

namespace {

class MetadataFilter final : public plan::IndexFilter {
 public:
  explicit MetadataFilter(JmesPath path) : path_(std::move(path)) {}
  [[nodiscard]] Result<bool> admits(std::string_view metadata_json) const override {
    const auto document = nlohmann::json::parse(metadata_json, nullptr, false);
    const auto found = TRY(path_.search(document.is_discarded() ? nlohmann::json() : document));
    if (found.is_null()) return false;  // the metadata have nothing to compare
    if (!found.is_boolean())
      return fail(Code::kInvalidArgument, "the metadata filter is no condition: it gives " + shown(found));
    return found.get<bool>();
  }

 private:
  static std::string shown(const nlohmann::json& value) {
    constexpr std::size_t kShown = 100;
    std::string text = value.dump(-1, ' ', true);
    if (text.size() > kShown) text = text.substr(0, kShown) + "…";
    return "`" + text + "`";
  }
  const JmesPath path_;
};

// Finds every row, in the order of keys; nothing is indexed.
class Everything final : public plan::Index {
 public:
  Result<void> add(std::uint32_t slot, std::span<const plan::IndexCell> /*cells*/) override {
    if (used_.size() <= slot) used_.resize(slot + 1);
    used_[slot] = 1;
    return {};
  }
  void remove(std::uint32_t slot) override { used_[slot] = 0; }
  [[nodiscard]] Result<std::vector<plan::IndexHit>> search(std::span<const plan::IndexCell> /*query*/,
                                                           std::size_t limit, const plan::IndexScope& scope) override {
    std::vector<plan::IndexHit> hits;
    for (std::uint32_t slot = 0; slot < used_.size(); ++slot)
      if (used_[slot] != 0 && scope.admits(slot)) hits.push_back({slot, 0});
    std::ranges::sort(hits, [&](const auto& a, const auto& b) { return scope.key(a.slot) < scope.key(b.slot); });
    if (hits.size() > limit) hits.resize(limit);
    return hits;
  }
  [[nodiscard]] std::uint64_t bytes() const override { return used_.size(); }
  [[nodiscard]] std::string save(std::uint32_t /*slot*/) const override { return {}; }
  Result<void> restore(std::uint32_t slot, std::string_view /*saved*/) override { return add(slot, {}); }

 private:
  std::vector<std::uint8_t> used_;  // by slot
};

enum class IndexKind : std::uint8_t { kBm25, kKnn, kHnsw, kHybrid, kAll };

// One kind of index with its settings.
struct Recipe {
  IndexKind kind = IndexKind::kAll;
  std::string language;
  Hnsw::Options vectors;
  double k = 60;
  std::vector<Recipe> parts;
  std::size_t cells = 1;

  [[nodiscard]] std::unique_ptr<plan::Index> make() const {
    switch (kind) {
      case IndexKind::kBm25: return std::make_unique<Bm25>(language);
      case IndexKind::kKnn: return std::make_unique<Knn>(vectors.metric, vectors.dimensions);
      case IndexKind::kHnsw: return std::make_unique<Hnsw>(vectors);
      case IndexKind::kAll: return std::make_unique<Everything>();
      case IndexKind::kHybrid: break;
    }
    std::vector<Hybrid::Part> made;
    for (const Recipe& part : parts) made.push_back({part.make(), part.cells});
    return std::make_unique<Hybrid>(std::move(made), k);
  }
  void collect(std::vector<IndexKind>& leaves) const {
    if (kind != IndexKind::kHybrid) return leaves.push_back(kind);
    for (const Recipe& part : parts) part.collect(leaves);
  }
};

class Factory final : public plan::IndexFactory {
 public:
  Factory(Recipe recipe, std::vector<plan::IndexPart> parts, std::string text)
      : recipe_(std::move(recipe)), parts_(std::move(parts)), text_(std::move(text)) {
    recipe_.collect(leaves_);
  }
  [[nodiscard]] const std::string& text() const override { return text_; }
  [[nodiscard]] const std::vector<plan::IndexPart>& parts() const override { return parts_; }
  [[nodiscard]] std::string objection(std::size_t part, const Type& type) const override {
    if (leaves_[part] == IndexKind::kBm25 && !type.is(Kind::kStr)) return "a full-text index is over texts";
    const bool is_of_vectors = leaves_[part] == IndexKind::kKnn || leaves_[part] == IndexKind::kHnsw;
    if (is_of_vectors && !may_be_vector(type))
      return "an index of vectors is over lists of numbers; for texts it needs an `embedder`";
    return {};
  }
  [[nodiscard]] std::unique_ptr<plan::Index> make() const override { return recipe_.make(); }
  [[nodiscard]] Result<std::shared_ptr<const plan::IndexFilter>> filter(const std::string& text) const override {
    return std::make_shared<const MetadataFilter>(TRY(JmesPath::parse(text)));
  }

 private:
  Recipe recipe_;
  std::vector<plan::IndexPart> parts_;
  std::string text_;
  std::vector<IndexKind> leaves_;
};

std::unexpected<plan::FunctionError> wrong_index(std::string message, std::string option) {
  plan::FunctionError out;
  out.message = std::move(message);
  out.option = std::move(option);
  return std::unexpected(std::move(out));
}

std::expected<Hnsw::Options, plan::FunctionError> read_vectors(const SettingReader& options, std::string& text) {
  Hnsw::Options out;
  const std::string metric = options.text("metric", "cos");
  out.metric = metric == "l2sq" ? Metric::kL2 : metric == "ip" ? Metric::kIp : Metric::kCos;
  // 0 stands for the usual value, as it does in the peer.
  const auto number = [&](const char* name, std::int64_t least, std::int64_t most,
                          std::size_t& to) -> std::expected<void, plan::FunctionError> {
    const std::int64_t given = options.integer(name, 0);
    if (given == 0) return {};
    if (given < least || given > most)
      return wrong_index(fmt::format("`{}` is between {} and {}, or 0 for the usual value", name, least, most), name);
    to = static_cast<std::size_t>(given);
    return {};
  };
  const std::int64_t dimensions = options.integer("dimensions", 0);
  if (dimensions < 0 || dimensions > 65536) return wrong_index("`dimensions` is between 1 and 65536", "dimensions");
  out.dimensions = static_cast<std::size_t>(dimensions);
  for (const auto& got : {number("connectivity", 2, 256, out.shape.connectivity),
                          number("expansion_add", 1, 65536, out.shape.expansion_add),
                          number("expansion_search", 1, 65536, out.expansion_search)})
    if (!got) return std::unexpected(got.error());
  text += fmt::format("({}, {}", metric, dimensions);
  if (out.shape.connectivity != 16 || out.shape.expansion_add != 128 || out.expansion_search != 64)
    text += fmt::format(", {}, {}, {}", out.shape.connectivity, out.shape.expansion_add, out.expansion_search);
  text += ")";
  return out;
}

std::expected<Recipe, plan::FunctionError> read(const plan::IndexSpec& spec, std::vector<plan::IndexPart>& parts,
                                                std::string& text) {
  const SettingReader options(spec.options);
  Recipe out;
  text += spec.kind;
  if (spec.kind == "hybrid") {
    out.kind = IndexKind::kHybrid;
    out.k = options.number("k", 60);
    if (!(out.k >= 0)) return wrong_index("`k` is not negative", "k");
    if (spec.parts.size() < 2) return wrong_index("a hybrid index is made of two or more", "retriever_factories");
    out.cells = 0;
    text += fmt::format("(k={}", out.k);
    for (const plan::IndexSpec& part : spec.parts) {
      text += ", ";
      auto made = read(part, parts, text);
      if (!made) return made;
      out.cells += made->cells;
      out.parts.push_back(std::move(*made));
    }
    text += ")";
    return out;
  }
  if (spec.kind == "bm25") {
    out.kind = IndexKind::kBm25;
    out.language = options.text("language");
    if (out.language == "none") out.language.clear();
    if (!out.language.empty() && !Words::knows(out.language)) {
      std::string names;
      for (const std::string& name : Words::languages()) names += (names.empty() ? "" : ", ") + name;
      return wrong_index(fmt::format("no stemmer knows `{}`; there are {}", out.language, names), "language");
    }
    if (!out.language.empty()) text += "(" + out.language + ")";
  } else if (spec.kind == "knn" || spec.kind == "hnsw") {
    out.kind = spec.kind == "knn" ? IndexKind::kKnn : IndexKind::kHnsw;
    auto vectors = read_vectors(options, text);
    if (!vectors) return std::unexpected(std::move(vectors.error()));
    out.vectors = *vectors;
  }
  if (spec.embed) text += " of " + spec.embed->text();
  parts.push_back({spec.embed, spec.embedded});
  return out;
}

}  // namespace

std::expected<plan::IndexFactoryPtr, plan::FunctionError> make_index(const plan::IndexSpec& spec) {
  std::vector<plan::IndexPart> parts;
  std::string text;
  auto recipe = read(spec, parts, text);
  if (!recipe) return std::unexpected(std::move(recipe.error()));
  return std::make_shared<const Factory>(std::move(*recipe), std::move(parts), std::move(text));
}

}  // namespace thalweg::llm
