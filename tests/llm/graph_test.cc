// The graph of nearest vectors under random changes, beside an exact search.
#include <algorithm>
#include <cmath>
#include <set>

#include <catch2/catch.hpp>

#include "llm/index/hnsw.h"
#include "llm/index/knn.h"
#include "tests/support/random.h"

namespace thalweg::llm {
namespace {

using testing::Random;

constexpr std::size_t kDimensions = 20;

class Scope final : public plan::IndexScope {
 public:
  std::vector<Key> keys;
  std::set<std::uint32_t> refused;
  [[nodiscard]] bool admits(std::uint32_t slot) const override { return !refused.contains(slot); }
  [[nodiscard]] const Key& key(std::uint32_t slot) const override { return keys[slot]; }
};

class VectorCell {
 public:
  explicit VectorCell(const std::vector<double>& numbers)
      : column_(Column::constant(type_, Value::array({{static_cast<std::int64_t>(numbers.size())}, numbers}), 1)) {}
  [[nodiscard]] plan::IndexCell get() const { return {&type_, &column_, 0}; }

 private:
  Type type_ = Type::array();
  Column column_;
};

// Rows lie in clusters, and some of them on each other, as those of texts do.
class Vectors {
 public:
  explicit Vectors(Random& random) : random_(random) {
    for (int i = 0; i < 30; ++i) centres_.push_back(noise(10));
  }
  std::vector<double> next() {
    if (!given_.empty() && random_.chance(5)) return random_.one_of(given_);
    std::vector<double> out = random_.one_of(centres_), rest = noise(4);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] += rest[i];
    given_.push_back(out);
    return out;
  }

 private:
  std::vector<double> noise(double size) {
    std::vector<double> out;
    for (std::size_t i = 0; i < kDimensions; ++i)
      out.push_back(size * (static_cast<double>(random_.below(2001)) / 1000 - 1));
    return out;
  }
  Random& random_;
  std::vector<std::vector<double>> centres_, given_;
};

Hnsw::Options options_of(Metric metric) {
  Hnsw::Options out;
  out.metric = metric;
  out.exact_rows = 0;  // never a scan where a walk will do
  out.walk_cost = 0;
  return out;
}

// The same rows in a graph and in an exact index.
struct Pair {
  explicit Pair(Metric metric) : graph(options_of(metric)), exact(metric, 0) {}
  Hnsw graph;
  Knn exact;
  Scope scope;
  std::set<std::uint32_t> live;
  std::vector<std::uint32_t> free;

  void add(Random& random, const std::vector<double>& vector) {
    auto slot = static_cast<std::uint32_t>(scope.keys.size());
    if (!free.empty()) {
      slot = free.back();
      free.pop_back();
    } else {
      scope.keys.emplace_back();
    }
    scope.keys[slot] = {random.next(), random.next()};
    const VectorCell cell(vector);
    const plan::IndexCell cells[] = {cell.get()};
    REQUIRE(graph.add(slot, cells));
    REQUIRE(exact.add(slot, cells));
    live.insert(slot);
  }
  void remove(std::uint32_t slot) {
    graph.remove(slot);
    exact.remove(slot);
    live.erase(slot);
    free.push_back(slot);
  }
  void remove_any(Random& random) {
    auto it = live.lower_bound(static_cast<std::uint32_t>(random.below(scope.keys.size())));
    remove(it == live.end() ? *live.begin() : *it);
  }
};

std::vector<plan::IndexHit> found(plan::Index& index, const std::vector<double>& query, std::size_t limit,
                                  const Scope& scope) {
  const VectorCell cell(query);
  const plan::IndexCell cells[] = {cell.get()};
  auto hits = index.search(cells, limit, scope);
  REQUIRE(hits);
  return *hits;
}

// The part of the best rows that the graph finds; by score, since rows lie on each other.
double recall(Pair& pair, Vectors& vectors, int queries, std::size_t limit) {
  std::size_t right = 0, all = 0;
  for (int i = 0; i < queries; ++i) {
    const std::vector<double> query = vectors.next();
    const auto expected = found(pair.exact, query, limit, pair.scope),
               got = found(pair.graph, query, limit, pair.scope);
    std::set<std::uint32_t> slots;
    for (const plan::IndexHit& hit : got) {
      CHECK(pair.live.contains(hit.slot));
      CHECK(pair.scope.admits(hit.slot));
      CHECK(slots.insert(hit.slot).second);
      right += !expected.empty() && hit.score >= expected.back().score ? 1 : 0;
    }
    CHECK(got.size() == expected.size());
    all += expected.size();
  }
  return all == 0 ? 1 : static_cast<double>(right) / static_cast<double>(all);
}

TEST_CASE("a graph finds what is near, and nothing that is gone, after any changes") {
  const std::uint64_t seed = testing::setting_or("THALWEG_PROPERTY_SEED", 1);
  for (const Metric metric : {Metric::kCos, Metric::kL2}) {
    INFO("seed " << seed << ", metric " << static_cast<int>(metric));
    Random random(seed);
    Vectors vectors(random);
    Pair pair(metric);
    for (int i = 0; i < 3000; ++i) pair.add(random, vectors.next());
    CHECK(recall(pair, vectors, 50, 10) > 0.95);
    for (int round = 0; round < 4; ++round) {
      for (int i = 0; i < 1500; ++i) {
        if (random.chance(50) || pair.live.size() < 1000)
          pair.add(random, vectors.next());
        else
          pair.remove_any(random);
      }
      CHECK(recall(pair, vectors, 50, 10) > 0.95);
    }
    for (std::uint32_t slot = 0; slot < pair.scope.keys.size(); ++slot)
      if (random.chance(60)) pair.scope.refused.insert(slot);
    CHECK(recall(pair, vectors, 30, 5) > 0.95);
    for (std::uint32_t slot = 0; slot < pair.scope.keys.size(); ++slot)
      if (random.chance(98)) pair.scope.refused.insert(slot);
    CHECK(recall(pair, vectors, 30, 5) == 1);  // few that are admitted are searched exactly
    pair.scope.refused.clear();
    while (!pair.live.empty()) pair.remove_any(random);
    CHECK(recall(pair, vectors, 1, 5) == 1);
    for (int i = 0; i < 300; ++i) pair.add(random, vectors.next());
    CHECK(recall(pair, vectors, 20, 10) > 0.95);
  }
}

TEST_CASE("rows that lie on each other are all found") {
  Random random(3);
  Vectors vectors(random);
  Pair pair(Metric::kL2);
  for (int i = 0; i < 2000; ++i) pair.add(random, vectors.next());
  const std::vector<double> same = vectors.next();
  for (int i = 0; i < 200; ++i) pair.add(random, same);
  std::size_t there = 0;
  for (const plan::IndexHit& hit : found(pair.graph, same, 100, pair.scope)) there += hit.score == 0 ? 1 : 0;
  CHECK(there > 90);
}

TEST_CASE("the same changes make the same graph, and a saved graph is the same again") {
  Random random(5), again(5);
  Vectors vectors(random), same_vectors(again);
  Pair pair(Metric::kCos), same(Metric::kCos);
  const auto change = [](Pair& to, Random& with, Vectors& rows) {
    for (int i = 0; i < 2500; ++i) to.add(with, rows.next());
    for (int i = 0; i < 800; ++i) to.remove_any(with);
    for (int i = 0; i < 200; ++i) to.add(with, rows.next());
  };
  change(pair, random, vectors);
  change(same, again, same_vectors);
  // As the engine does it: slots in order, without gaps.
  Hnsw restored(options_of(Metric::kCos));
  Scope scope;
  for (const std::uint32_t slot : pair.live) {
    const auto now = static_cast<std::uint32_t>(scope.keys.size());
    scope.keys.push_back(pair.scope.keys[slot]);
    REQUIRE(restored.restore(now, pair.graph.save(slot)));
  }
  const auto keyed = [](const std::vector<plan::IndexHit>& hits, const Scope& of) {
    std::vector<std::pair<Key, double>> out;
    for (const plan::IndexHit& hit : hits) out.emplace_back(of.keys[hit.slot], hit.score);
    return out;
  };
  for (int i = 0; i < 50; ++i) {
    const std::vector<double> query = vectors.next();
    const auto expected = keyed(found(pair.graph, query, 10, pair.scope), pair.scope);
    CHECK(keyed(found(same.graph, query, 10, same.scope), same.scope) == expected);
    CHECK(keyed(found(restored, query, 10, scope), scope) == expected);
  }
  // Links to rows that are not there any more are left out.
  Hnsw half(options_of(Metric::kCos));
  std::uint32_t now = 0;
  for (const std::uint32_t slot : pair.live)
    if (now % 2 == 0 || slot % 2 == 0) {
      scope.keys[now] = pair.scope.keys[slot];
      REQUIRE(half.restore(now++, pair.graph.save(slot)));
    }
  CHECK(found(half, vectors.next(), 10, scope).size() == 10);
}

}  // namespace
}  // namespace thalweg::llm
