// tests/bench/algebra/jobs.h
//
// The rows of the three jobs, the changes that come after them, and what the answers must be. dd/src/main.rs and
// pathway_job.py have the same formulas.
//
//   join     ROWS orders (person, amount) meet KEYS people (person, height); then single orders get a new amount
//   groupby  ROWS rows (g, v) in KEYS groups: count, min and max of v; a tenth is deleted at once, then single rows
//   topk     ROWS rows (g, v) in KEYS groups: the ten smallest v of each; then single rows come and go at the top
//
// Every answer is summed up over all rows of the result: how many (groupby: the sum of counts), and two sums.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace thalweg::bench {

inline std::uint64_t mix(std::int64_t i) {
  std::uint64_t z = static_cast<std::uint64_t>(i) + 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

struct Row {
  std::int64_t a = 0;
  std::int64_t b = 0;
};

struct Change {
  std::int64_t id = 0;  // of the row
  Row row;
  int diff = 1;
};

using Sums = std::array<std::int64_t, 3>;

enum class Name : std::uint8_t { kJoin, kGroupby, kTopk };

struct Job {
  Name name = Name::kJoin;
  std::int64_t rows = 0;
  std::int64_t keys = 0;
  std::int64_t updates = 0;

  [[nodiscard]] std::int64_t key(std::int64_t i) const {
    return static_cast<std::int64_t>(mix(i) % static_cast<std::uint64_t>(keys));
  }
  [[nodiscard]] static std::int64_t value(std::int64_t i) {
    return static_cast<std::int64_t>(mix(i ^ (std::int64_t{1} << 40)) % 1'000'000);
  }
  [[nodiscard]] Row row(std::int64_t i) const {
    return name == Name::kJoin ? Row{key(i), i % 1000} : Row{key(i), value(i)};
  }
  [[nodiscard]] static Row person(std::int64_t j) { return {j, value(j)}; }

  [[nodiscard]] std::vector<Change> deletions() const {
    std::vector<Change> out;
    if (name == Name::kGroupby)
      for (std::int64_t i = 0; i < rows; i += 10) out.push_back({i, row(i), -1});
    return out;
  }
  // What comes in one commit.
  [[nodiscard]] std::vector<Change> update(std::int64_t u) const {
    switch (name) {
      case Name::kJoin: {
        std::int64_t i = (u * 104'729) % rows;
        Row old = row(i);
        return {{i, old, -1}, {i, {old.a, old.b + 1000}, 1}};
      }
      case Name::kGroupby: return {{10 * u + 1, row(10 * u + 1), -1}};
      case Name::kTopk: return {{rows + u / 2, {key(rows + u / 2), -1 - u / 2}, u % 2 == 0 ? 1 : -1}};
    }
    return {};
  }
};

// After the rows, after the deletions (groupby only), after the updates: computed plainly.
std::vector<Sums> expected(const Job& job);

}  // namespace thalweg::bench
