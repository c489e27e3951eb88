#include <catch2/catch.hpp>

#include <random>
#include <set>

#include "engine/state/ordered_index.h"

namespace thalweg {
namespace {

struct Model {
  std::set<OrderedEntry, OrderedEntryLess> entries;
};

bool same(const OrderedEntry& a, const OrderedEntry& b) {
  return !OrderedEntryLess()(a, b) && !OrderedEntryLess()(b, a);
}

void check_all(const OrderedIndex<>& index, const Model& model) {
  REQUIRE(index.size() == model.entries.size());
  auto cursor = index.first();
  if (model.entries.empty()) {
    REQUIRE_FALSE(index.seek(first_of(0, INT64_MIN)));
    return;
  }
  for (const OrderedEntry& entry : model.entries) {
    REQUIRE(cursor);
    REQUIRE(same(*cursor, entry));
    cursor.next();
  }
  REQUIRE_FALSE(cursor);
}

void check_seek(const OrderedIndex<>& index, const Model& model, const OrderedEntry& probe) {
  auto at = model.entries.lower_bound(probe);
  auto cursor = index.seek(probe);
  REQUIRE(static_cast<bool>(cursor) == (at != model.entries.end()));
  if (cursor) REQUIRE(same(*cursor, *at));
  auto before = index.seek_before(probe);
  REQUIRE(static_cast<bool>(before) == (at != model.entries.begin()));
  if (before) REQUIRE(same(*before, *std::prev(at)));
}

}  // namespace

TEST_CASE("X1: an ordered index holds what a set holds, under inserts and erases") {
  for (std::uint32_t seed = 1; seed <= 6; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 rng(seed);
    OrderedIndex<> index;
    Model model;
    auto random_entry = [&] {
      return OrderedEntry{static_cast<std::uint32_t>(rng() % (seed % 2 ? 3 : 400)),
                          static_cast<std::uint32_t>(rng() % 4),
                          static_cast<std::int64_t>(rng() % 2000) - 1000,
                          {0, rng() % 3}};
    };
    std::size_t most = seed < 3 ? 300 : 20000;
    for (std::size_t round = 0; round < 60000; ++round) {
      bool growing = (round / most) % 2 == 0;
      OrderedEntry entry = random_entry();
      if (rng() % 10 < (growing ? 8U : 2U)) {
        if (model.entries.insert(entry).second) index.insert(entry);
      } else {
        if (!growing && !model.entries.empty()) {
          auto at = model.entries.lower_bound(entry);
          if (at != model.entries.end()) entry = *at;
        }
        REQUIRE(index.erase(entry) == (model.entries.erase(entry) > 0));
      }
      if (round % 37 == 0) check_seek(index, model, random_entry());
      if (round % 5003 == 0) check_all(index, model);
    }
    check_all(index, model);
    while (!model.entries.empty()) {
      OrderedEntry entry = *(rng() % 2 ? model.entries.begin() : std::prev(model.entries.end()));
      model.entries.erase(entry);
      REQUIRE(index.erase(entry));
    }
    check_all(index, model);
    REQUIRE(index.bytes() == 0);
  }
}

TEST_CASE("appending in order fills the leaves") {
  OrderedIndex<> index;
  for (std::int64_t i = 0; i < 100000; ++i) index.insert({0, static_cast<std::uint32_t>(i), i, {}});
  CHECK(index.bytes() < 100000 * 36);
}

TEST_CASE("doubles have an order as integers and come back") {
  double values[] = {-INFINITY, -1e300, -1.5, -1e-300, 0.0, 1e-300, 2.5, 1e300, INFINITY};
  for (std::size_t i = 0; i + 1 < std::size(values); ++i)
    CHECK(order_of_float(values[i]) < order_of_float(values[i + 1]));
  for (double value : values) CHECK(float_of_order(order_of_float(value)) == value);
  CHECK(order_of_float(-0.0) == order_of_float(0.0));
  CHECK(order_of_float(NAN) > order_of_float(INFINITY));
}

}  // namespace thalweg
