// An index after any history of edits is the index of what is left.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <catch2/catch.hpp>

#include "llm/index/factory.h"
#include "tests/support/random.h"

namespace thalweg::llm {
namespace {

using testing::Random;

class AllRows final : public plan::IndexScope {
 public:
  std::vector<Key> keys;
  std::set<std::uint32_t> refused;
  [[nodiscard]] bool admits(std::uint32_t slot) const override { return !refused.contains(slot); }
  [[nodiscard]] const Key& key(std::uint32_t slot) const override { return keys[slot]; }
};

struct Doc {
  std::string text;
  std::vector<double> vector;
};

Value vector_value(const std::vector<double>& vector) {
  std::vector<Value> items;
  for (const double item : vector) items.push_back(Value::of(item));
  return Value::tuple(std::move(items));
}

// Cells for one row: a text for words, a vector for neighbours, by part.
class Cells {
 public:
  Cells(const Doc& doc, const std::vector<bool>& is_vector) {
    for (const bool vector : is_vector) {
      types_.push_back(vector ? Type::list(Kind::kFloat) : Type(Kind::kStr));
      columns_.push_back(Column::constant(types_.back(), vector ? vector_value(doc.vector) : Value::str(doc.text), 1));
    }
    for (std::size_t i = 0; i < types_.size(); ++i) cells_.push_back({&types_[i], &columns_[i], 0});
  }
  [[nodiscard]] std::span<const plan::IndexCell> all() const { return cells_; }

 private:
  std::vector<Type> types_;
  std::vector<Column> columns_;
  std::vector<plan::IndexCell> cells_;
};

Doc random_doc(Random& random) {
  static const std::vector<std::string> kWords = {"red", "green", "blue", "apple", "pear", "plum", "tree", "root"};
  Doc doc;
  for (std::size_t i = 0, n = random.below(12); i < n; ++i) doc.text += random.one_of(kWords) + " ";
  for (int i = 0; i < 5; ++i) doc.vector.push_back(static_cast<double>(random.between(-3, 3)));
  return doc;
}

struct Setup {
  const char* name;
  plan::IndexFactoryPtr factory;
  std::vector<bool> is_vector;
};

plan::IndexSpec spec_of(const char* kind, Setting::Map options = {}) {
  plan::IndexSpec out;
  out.kind = kind;
  out.options = Setting(std::move(options));
  return out;
}

std::vector<Setup> setups() {
  const auto metric = [](const char* name) { return Setting::Map{{"metric", Setting(std::string(name))}}; };
  plan::IndexSpec hybrid = spec_of("hybrid");
  hybrid.parts = {spec_of("bm25"), spec_of("knn", metric("cos"))};
  return {{"bm25", *make_index(spec_of("bm25")), {false}},
          {"stems", *make_index(spec_of("bm25", {{"language", Setting(std::string("english"))}})), {false}},
          {"cos", *make_index(spec_of("knn", metric("cos"))), {true}},
          {"l2", *make_index(spec_of("knn", metric("l2sq"))), {true}},
          {"ip", *make_index(spec_of("knn", metric("ip"))), {true}},
          {"graph", *make_index(spec_of("hnsw", metric("cos"))), {true}},
          {"hybrid", *make_index(hybrid), {false, true}},
          {"all", *make_index(spec_of("all")), {false}}};
}

using Answers = std::vector<std::pair<Key, double>>;
Answers answers(plan::Index& index, const Doc& query, const std::vector<bool>& is_vector, std::size_t limit,
                const AllRows& scope) {
  const Cells cells(query, is_vector);
  auto hits = index.search(cells.all(), limit, scope);
  REQUIRE(hits);
  Answers out;
  for (const plan::IndexHit& hit : *hits) out.emplace_back(scope.keys[hit.slot], hit.score);
  return out;
}

TEST_CASE("an index is that of its rows, however they came") {
  const std::uint64_t seed = testing::setting_or("THALWEG_PROPERTY_SEED", 1);
  for (const Setup& setup : setups()) {
    INFO(setup.name << ", seed " << seed);
    Random random(seed);
    auto index = setup.factory->make();
    std::map<std::uint32_t, Doc> rows;
    AllRows scope;
    std::vector<std::uint32_t> free;
    for (int step = 0; step < 4000; ++step) {
      // Long enough for the sweep of removed rows, with slots used again.
      if (!rows.empty() && random.chance(rows.size() > 300 ? 60 : 35)) {
        auto it = rows.begin();
        std::advance(it, static_cast<std::ptrdiff_t>(random.below(rows.size())));
        index->remove(it->first);
        free.push_back(it->first);
        rows.erase(it);
      } else {
        std::uint32_t slot = static_cast<std::uint32_t>(scope.keys.size());
        if (!free.empty() && random.chance(80)) {
          slot = free.back();
          free.pop_back();
        } else {
          scope.keys.emplace_back();
        }
        scope.keys[slot] = {random.next(), random.next()};
        const Doc doc = random_doc(random);
        REQUIRE(index->add(slot, Cells(doc, setup.is_vector).all()));
        rows.emplace(slot, doc);
      }
      if (step % 500 != 499) continue;
      auto fresh = setup.factory->make();
      auto restored = setup.factory->make();
      AllRows fresh_scope, restored_scope;
      for (const auto& [slot, doc] : rows) {
        const auto next = static_cast<std::uint32_t>(fresh_scope.keys.size());
        fresh_scope.keys.push_back(scope.keys[slot]);
        REQUIRE(fresh->add(next, Cells(doc, setup.is_vector).all()));
        REQUIRE(restored->restore(next, index->save(slot)));
        const bool refused = random.chance(30);
        if (refused) fresh_scope.refused.insert(next);
        refused ? (void)scope.refused.insert(slot) : (void)scope.refused.erase(slot);
      }
      restored_scope = fresh_scope;
      for (int query = 0; query < 20; ++query) {
        const Doc asked = random_doc(random);
        const std::size_t limit = random.below(12);
        const Answers expected = answers(*fresh, asked, setup.is_vector, limit, fresh_scope);
        CHECK(answers(*index, asked, setup.is_vector, limit, scope) == expected);
        CHECK(answers(*restored, asked, setup.is_vector, limit, restored_scope) == expected);
      }
    }
  }
}

TEST_CASE("BM25 scores by the formula") {
  auto index = (*make_index(spec_of("bm25")))->make();
  const std::vector<std::string> texts = {"a a b", "a c c c", "d"};
  AllRows scope;
  for (std::uint32_t i = 0; i < texts.size(); ++i) {
    scope.keys.push_back({0, i});
    REQUIRE(index->add(i, Cells({texts[i], {}}, {false}).all()));
  }
  const Answers found = answers(*index, {"a c", {}}, {false}, 3, scope);
  const double average = 8.0 / 3;
  const auto score = [&](double docs, double count, double length) {
    return std::log(1 + (3 - docs + 0.5) / (docs + 0.5)) * count * 2.2 /
           (count + 1.2 * (0.25 + 0.75 * length / average));
  };
  REQUIRE(found.size() == 2);
  CHECK(found[0].first.lo == 1);
  CHECK(found[0].second == Approx(score(2, 1, 4) + score(1, 3, 4)));
  CHECK(found[1].second == Approx(score(2, 2, 3)));
}

TEST_CASE("vectors of odd sizes and of nothing") {
  for (const std::size_t dimensions : {1, 15, 16, 17, 33, 300}) {
    auto index = (*make_index(spec_of("knn", {{"metric", Setting(std::string("l2sq"))}})))->make();
    AllRows scope;
    Random random(dimensions);
    std::vector<Doc> docs(50);
    for (std::uint32_t i = 0; i < docs.size(); ++i) {
      for (std::size_t d = 0; d < dimensions; ++d) docs[i].vector.push_back(static_cast<double>(random.between(-9, 9)));
      scope.keys.push_back({0, i});
      REQUIRE(index->add(i, Cells(docs[i], {true}).all()));
    }
    const Answers found = answers(*index, docs[7], {true}, 50, scope);
    REQUIRE(found.size() == 50);
    for (const auto& [key, score] : found) {
      double expected = 0;
      for (std::size_t d = 0; d < dimensions; ++d) expected -= std::pow(docs[7].vector[d] - docs[key.lo].vector[d], 2);
      CHECK(score == Approx(expected));
    }
    CHECK(found[0].second == 0);
    CHECK_FALSE(index->add(99, Cells({"", {}}, {true}).all()));
    CHECK_FALSE(index->add(99, Cells({"", std::vector<double>(dimensions + 1, 1.0)}, {true}).all()));
    CHECK_FALSE(index->add(99, Cells({"", {std::nan("")}}, {true}).all()));
  }
}

TEST_CASE("broken saved rows are errors") {
  for (const Setup& setup : setups()) {
    if (std::string_view(setup.name) == "all") continue;
    auto index = setup.factory->make();
    for (const std::string& broken : {std::string("\x01"), std::string("abcdefg"), std::string(9, '\xFF')})
      CHECK_FALSE(index->restore(0, broken));
  }
}

}  // namespace
}  // namespace thalweg::llm
