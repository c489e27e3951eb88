#include <catch2/catch.hpp>
#include <limits>
#include <map>
#include <random>

#include "engine/state/order_prefix.h"
#include "engine/state/row_store.h"
#include "engine/state/sorted_entries.h"

namespace thalweg {
namespace {

// Values order by themselves; the prefix is a coarser value, so that many rows share one.
struct Model {
  explicit Model(std::int64_t coarse) : coarse_(coarse) {}

  auto sought(std::int64_t value) const {
    auto order = [this, value](std::uint32_t id) { return values_[id] < value ? -1 : (values_[id] > value ? 1 : 0); };
    return Sought<decltype(order)>{static_cast<std::uint64_t>(value / coarse_), coarse_ == 1, order};
  }
  void insert(std::int64_t value) {
    auto [id, found] = entries_.find_or_insert(sought(value), [&] {
      values_.push_back(value);
      return static_cast<std::uint32_t>(values_.size() - 1);
    });
    CHECK(found == (expected_.count(value) > 0));
    CHECK(values_[id] == value);
    expected_.emplace(value, id);
  }
  void erase(std::int64_t value) {
    if (expected_.erase(value) > 0) entries_.erase(sought(value));
  }
  void check() const {
    std::vector<std::uint32_t> found;
    entries_.for_each([&](std::uint32_t id) {
      found.push_back(id);
      return true;
    });
    std::vector<std::uint32_t> wanted;
    for (auto [value, id] : expected_) wanted.push_back(id);
    REQUIRE(found == wanted);
    CHECK(entries_.empty() == wanted.empty());
    CHECK(entries_.first() == (wanted.empty() ? SortedEntries::kNoId : wanted.front()));
    CHECK(entries_.last() == (wanted.empty() ? SortedEntries::kNoId : wanted.back()));
  }

  std::int64_t coarse_;
  SortedEntries entries_;
  std::vector<std::int64_t> values_;  // by id
  std::map<std::int64_t, std::uint32_t> expected_;
};

}  // namespace

TEST_CASE("sorted entries keep any order, growing to chunks and shrinking to nothing") {
  for (std::int64_t coarse : {1, 10, 100'000}) {
    Model model(coarse);
    std::mt19937_64 random(static_cast<std::uint64_t>(coarse));
    for (int phase = 0; phase < 4; ++phase) {
      bool grows = phase % 2 == 0;
      for (int i = 0; i < 3000; ++i) {
        auto value = static_cast<std::int64_t>(random() % 4000);
        bool insert = grows ? random() % 10 != 0 : random() % 10 == 0;
        if (insert)
          model.insert(value);
        else
          model.erase(value);
        if (i % 100 == 0) model.check();
      }
      if (!grows)
        while (!model.expected_.empty()) model.erase(model.expected_.begin()->first);
      model.check();
    }
  }
}

TEST_CASE("sorted entries move without losing a row") {
  Model model(1);
  for (std::int64_t v = 0; v < 700; ++v) model.insert(v * 7 % 701);
  SortedEntries moved = std::move(model.entries_);
  CHECK(model.entries_.empty());
  CHECK(model.values_[moved.first()] == 0);
  CHECK(model.values_[moved.last()] == 700);
}

TEST_CASE("prefixes of cells order as the cells do") {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  auto check = [](const Type& type, std::vector<Value> ascending) {
    ColumnBuilder builder(type, ascending.size());
    for (const Value& value : ascending) builder.push_value(type, value);
    Column column = builder.finish();
    RowStore store({type}, false);
    const Column* columns[] = {&column};
    for (std::size_t i = 0; i < ascending.size(); ++i) store.insert(columns, i, nullptr);
    OrderPrefix prefix(type);
    for (std::uint32_t a = 0; a < ascending.size(); ++a)
      for (std::uint32_t b = 0; b < ascending.size(); ++b) {
        int order = store.compare(0, a, b);
        std::uint64_t x = prefix.of(column, a);
        std::uint64_t y = prefix.of(column, b);
        INFO(ascending[a].to_text() << " and " << ascending[b].to_text());
        if (x < y) CHECK(order < 0);
        if (x > y) CHECK(order > 0);
        if (x == y && prefix.decides(x)) CHECK(order == 0);
      }
  };
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  check(Type(Kind::kInt, true),
        {Value::none(), Value::of(kMin), Value::of(kMin + 1), Value::of(kMin + 2), Value::of(std::int64_t{-1}),
         Value::of(std::int64_t{0}), Value::of(std::int64_t{1}), Value::of(kMax - 1), Value::of(kMax), Value::error()});
  check(Type(Kind::kFloat, true),
        {Value::none(), Value::of(-kInf), Value::of(-1.5), Value::of(-0.0), Value::of(0.0), Value::of(1e-300),
         Value::of(2.0), Value::of(kInf), Value::of(std::nan("")), Value::error()});
  check(Type(Kind::kBool, true), {Value::none(), Value::of(false), Value::of(true), Value::error()});
  check(Type(Kind::kStr, true),
        {Value::none(), Value::str(""), Value::str(std::string(1, '\0')), Value::str("a"), Value::str("abcdefgh"),
         Value::str("abcdefghi"), Value::str("b"), Value::str("\xF4\x8F\xBF\xBF"), Value::error()});
}

}  // namespace thalweg
