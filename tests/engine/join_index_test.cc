#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <tuple>

#include "engine/state/join_index.h"

namespace thalweg {
namespace {

Column ints(std::vector<std::int64_t> values) {
  return Column::from_vector<std::int64_t>(Phys::kI64, std::move(values));
}

using Rows =
    std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t>, std::int64_t>;  // (join key, row key, cell): count

// What the index holds of a side.
Rows rows_of(const JoinIndex& index, int side, const std::vector<std::uint32_t>& entry_of, bool with_keys) {
  Rows rows;
  for (std::size_t join_key = 0; join_key < entry_of.size(); ++join_key) {
    if (entry_of[join_key] == JoinIndex::kNone) continue;
    for (std::uint32_t id = index.head(side, entry_of[join_key]); id != JoinIndex::kNone; id = index.next(side, id))
      rows[{static_cast<std::int64_t>(join_key), with_keys ? static_cast<std::int64_t>(index.rows(side).key(id).hi) : 0,
            index.rows(side).cell<std::int64_t>(0, id)}] += index.row_count(side, id);
  }
  return rows;
}

void check(bool with_keys, std::uint64_t seed) {
  constexpr std::int64_t kJoinKeys = 3;  // few: long lists, so that rows are found by an index of their own
  JoinIndex index({Type(Kind::kInt)}, {std::vector<Type>{Type(Kind::kInt)}, std::vector<Type>{Type(Kind::kInt)}},
                  with_keys);
  Rows expected[2];
  std::mt19937_64 random(seed);
  for (int step = 0; step < 4000; ++step) {
    int side = static_cast<int>(random() % 2);
    bool deletes = !expected[side].empty() && random() % 100 < (step < 2000 ? 30U : 70U);
    std::tuple<std::int64_t, std::int64_t, std::int64_t> row;
    if (deletes)
      row = std::next(expected[side].begin(), static_cast<std::ptrdiff_t>(random() % expected[side].size()))->first;
    else
      row = {random() % kJoinKeys, with_keys ? random() % 500 : 0, random() % 300};
    auto [join_key, key, cell] = row;
    Column on = ints({join_key});
    Column kept = ints({cell});
    const Column* on_columns[] = {&on};
    const Column* kept_columns[] = {&kept};
    std::vector<std::uint64_t> hashes{0};
    on.hash_into(hashes);
    std::vector<std::uint32_t> entries;
    std::vector<std::uint8_t> matches{1};
    index.find_or_add_all(on_columns, hashes, matches, entries);
    Key row_key{static_cast<std::uint64_t>(key), 0};
    index.change(side, entries[0], kept_columns, 0, with_keys ? &row_key : nullptr, deletes ? -1 : 1);
    if (deletes) {
      index.drop_if_empty(entries[0]);
      index.drop_if_empty(entries[0]);
      index.maintain();
    }
    if ((expected[side][row] += deletes ? -1 : 1) == 0) expected[side].erase(row);
  }
  std::vector<std::uint32_t> entry_of;
  for (std::int64_t join_key = 0; join_key < kJoinKeys; ++join_key) {
    Column on = ints({join_key});
    const Column* on_columns[] = {&on};
    std::vector<std::uint64_t> hashes{0};
    on.hash_into(hashes);
    entry_of.push_back(index.find(on_columns, 0, hashes[0]));
  }
  for (int side : {0, 1}) CHECK(rows_of(index, side, entry_of, with_keys) == expected[side]);
}

}  // namespace

TEST_CASE("a join index finds the row to delete among many of one join key, with row keys and without") {
  for (std::uint64_t seed : {1U, 2U, 3U}) {
    check(true, seed);
    check(false, seed);
  }
}

}  // namespace thalweg
