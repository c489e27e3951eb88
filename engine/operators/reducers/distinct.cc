// engine/operators/reducers/distinct.cc
//
// count_distinct: every (group, values) once, with its count. The approximate form keeps a HyperLogLog sketch per
// group (Flajolet et al. 2007, with linear counting for small sets); it cannot forget, so its input must only grow.
#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/operators/reducers/reducer.h"
#include "engine/state/hash_index.h"
#include "engine/state/saved_rows.h"

namespace thalweg {

namespace {

std::vector<Type> value_types(const plan::Reducer& reducer, const Schema& input) {
  std::vector<Type> types{Type(Kind::kInt)};  // the group
  for (std::uint32_t column : reducer.args) types.push_back(input.columns[column].type);
  return types;
}

class CountDistinct : public Reducer {
 public:
  CountDistinct(const plan::Reducer& reducer, const Schema& input)
      : args_(reducer.args), values_(value_types(reducer, input), false) {}

  void reserve(std::size_t groups) override { distinct_.resize(groups); }

  void update(const ReducerRows& rows) override {
    std::size_t n = rows.rows.size();
    std::vector<std::int64_t> group_cells(rows.batch.num_rows);
    for (std::size_t i = 0; i < n; ++i) group_cells[rows.rows[i]] = rows.groups[i];
    Column group_column = Column::from_vector<std::int64_t>(Phys::kI64, std::move(group_cells));
    std::vector<const Column*> columns{&group_column};
    for (std::uint32_t column : args_) columns.push_back(&rows.batch.columns[column]);
    std::vector<std::uint64_t> hashes(rows.batch.num_rows, 0);
    for (const Column* column : columns) column->hash_into(hashes);
    constexpr std::size_t kAhead = 16;
    for (std::size_t i = 0; i < n; ++i) {
      if (i + kAhead < n) index_.prefetch(hashes[rows.rows[i + kAhead]]);
      change(columns, rows.rows[i], hashes[rows.rows[i]], rows.groups[i], rows.diffs[i]);
    }
  }

  Column results(std::span<const std::uint32_t> groups, const ReducerErrors&) override {
    std::vector<std::int64_t> out(groups.size());
    // Without arguments there is one value: the empty tuple.
    for (std::size_t i = 0; i < groups.size(); ++i) out[i] = distinct_[groups[i]];
    return Column::from_vector<std::int64_t>(Phys::kI64, std::move(out));
  }
  void clear(std::uint32_t group) override { distinct_[group] = 0; }
  [[nodiscard]] std::size_t bytes() const override {
    return values_.bytes() + index_.bytes() + counts_.capacity() * 8 + distinct_.capacity() * 8;
  }
  void maintain() override { values_.compact_if_worthwhile(); }

  // Values with the place of their group in its stead.
  void save(GroupList groups, StateWriter& out) const override {
    std::vector<std::uint32_t> places(distinct_.size(), kNotMine);
    for (std::uint32_t place = 0; place < groups.size(); ++place) places[groups[place]] = place;
    std::vector<std::uint32_t> ids;
    for (std::uint32_t id : live_rows(values_))
      if (places[group_of(id)] != kNotMine) ids.push_back(id);
    save_rows(values_, ids, out, [&](Batch& batch, std::span<const std::uint32_t> part) {
      std::vector<std::int64_t> of_row(part.size());
      std::vector<std::int64_t> counts(part.size());
      for (std::size_t i = 0; i < part.size(); ++i) {
        of_row[i] = places[group_of(part[i])];
        counts[i] = counts_[part[i]];
      }
      batch.columns[0] = Column::from_vector<std::int64_t>(Phys::kI64, std::move(of_row));
      batch.columns.push_back(Column::from_vector<std::int64_t>(Phys::kI64, std::move(counts)));
    });
  }
  Result<void> load(StateReader& in, GroupList groups) override {
    return load_chunks(in, with_types(values_.types(), {Kind::kInt}), false, [&](Batch batch) -> Result<void> {
      std::vector<std::int64_t> now(batch.num_rows);
      Cells<std::int64_t> places = batch.columns[0].i64();
      for (std::size_t row = 0; row < batch.num_rows; ++row) {
        auto place = static_cast<std::uint64_t>(places[row]);
        if (place >= groups.size()) return in.corrupt("a value of no group");
        now[row] = groups[place];
      }
      batch.columns[0] = Column::from_vector<std::int64_t>(Phys::kI64, std::move(now));
      load_values(batch);
      return {};
    });
  }

 private:
  [[nodiscard]] std::uint32_t group_of(std::uint32_t id) const {
    return static_cast<std::uint32_t>(values_.cell<std::int64_t>(0, id));
  }
  void load_values(const Batch& batch) {
    Batch values = without_last(batch, 1);
    std::vector<const Column*> columns = pointers_to(values);
    std::vector<std::uint64_t> hashes(batch.num_rows, 0);
    for (const Column* column : columns) column->hash_into(hashes);
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      auto group = static_cast<std::uint32_t>(batch.columns[0].i64()[row]);
      if (group != kNotMine) change(columns, row, hashes[row], group, batch.columns.back().i64()[row]);
    }
  }
  void change(std::span<const Column* const> columns, std::uint32_t row, std::uint64_t hash, std::uint32_t group,
              std::int64_t diff) {
    std::uint32_t id = index_.find(hash, [&](std::uint32_t v) { return values_.row_equals(v, columns, row); });
    if (id == HashIndex::kNoRow) {
      id = values_.insert(columns, row, nullptr);
      index_.insert(hash, id);
      if (id >= counts_.size()) counts_.resize(id + 1);
      counts_[id] = 0;
    }
    std::int64_t before = counts_[id];
    counts_[id] += diff;
    distinct_[group] += static_cast<int>(counts_[id] > 0) - static_cast<int>(before > 0);
    if (counts_[id] != 0) return;
    index_.erase(hash, id);
    values_.erase(id);
  }

  plan::Columns args_;
  RowStore values_;
  HashIndex index_;
  std::vector<std::int64_t> counts_;    // by value
  std::vector<std::int64_t> distinct_;  // by group
};

class ApproximateDistinct : public Reducer {
 public:
  explicit ApproximateDistinct(const plan::Reducer& reducer)
      : args_(reducer.args),
        bits_(std::clamp(static_cast<int>(reducer.parameter == 0 ? 12 : reducer.parameter), 4, 18)) {}

  void reserve(std::size_t groups) override { sketches_.resize(groups); }
  void update(const ReducerRows& rows) override {
    std::vector<std::uint64_t> hashes(rows.batch.num_rows, 0x9E3779B97F4A7C15ULL);
    for (std::uint32_t column : args_) rows.batch.columns[column].hash_into(hashes);
    for (std::size_t i = 0; i < rows.rows.size(); ++i) {
      if (rows.diffs[i] < 0) continue;
      std::uint64_t h = hashes[rows.rows[i]];
      h = (h ^ (h >> 29)) * 0xBF58476D1CE4E5B9ULL;
      h ^= h >> 32;
      auto& sketch = sketches_[rows.groups[i]];
      if (sketch.empty()) {
        sketch.resize(std::size_t{1} << bits_);
        ++filled_;
      }
      std::uint64_t rest = h << bits_;
      auto rank = static_cast<std::uint8_t>(rest == 0 ? 64 - bits_ + 1 : std::countl_zero(rest) + 1);
      std::uint8_t& cell = sketch[h >> (64 - bits_)];
      cell = std::max(cell, rank);
    }
  }
  Column results(std::span<const std::uint32_t> groups, const ReducerErrors&) override {
    std::vector<std::int64_t> out;
    for (std::uint32_t group : groups) out.push_back(estimate(sketches_[group]));
    return Column::from_vector<std::int64_t>(Phys::kI64, std::move(out));
  }
  void clear(std::uint32_t group) override {
    if (!sketches_[group].empty()) --filled_;
    sketches_[group] = {};
  }
  [[nodiscard]] std::size_t bytes() const override {
    return sketches_.capacity() * sizeof(sketches_[0]) + (filled_ << bits_);
  }
  void save(GroupList groups, StateWriter& out) const override {
    for (std::uint32_t group : groups) out.put_numbers(sketches_[group]);
  }
  Result<void> load(StateReader& in, GroupList groups) override {
    for (std::uint32_t group : groups) {
      std::vector<std::uint8_t> sketch = TRY(in.numbers<std::uint8_t>());
      if (!sketch.empty() && sketch.size() != std::size_t{1} << bits_) return in.corrupt("a sketch of another size");
      if (group == kNotMine) continue;
      if (!sketch.empty()) ++filled_;
      sketches_[group] = std::move(sketch);
    }
    return {};
  }

 private:
  [[nodiscard]] static std::int64_t estimate(const std::vector<std::uint8_t>& sketch) {
    if (sketch.empty()) return 0;
    auto m = static_cast<double>(sketch.size());
    double sum = 0;
    std::size_t zeros = 0;
    for (std::uint8_t rank : sketch) {
      sum += std::ldexp(1.0, -rank);
      zeros += rank == 0 ? 1 : 0;
    }
    double alpha = 0.7213 / (1 + 1.079 / m);
    double raw = alpha * m * m / sum;
    if (raw <= 2.5 * m && zeros > 0) raw = m * std::log(m / static_cast<double>(zeros));
    return static_cast<std::int64_t>(std::llround(raw));
  }

  plan::Columns args_;
  int bits_;
  std::vector<std::vector<std::uint8_t>> sketches_;
  std::size_t filled_ = 0;  // sketches that are not empty
};

}  // namespace

std::unique_ptr<Reducer> make_distinct_reducer(const plan::Reducer& reducer, const Schema& input) {
  if (reducer.kind == plan::ReducerKind::kCountDistinct) return std::make_unique<CountDistinct>(reducer, input);
  if (reducer.kind == plan::ReducerKind::kCountDistinctApproximate)
    return std::make_unique<ApproximateDistinct>(reducer);
  return nullptr;
}

}  // namespace thalweg
