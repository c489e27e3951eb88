// engine/operators/reducers/extreme.cc
//
// min and max of a column of whole numbers (ints, datetimes, durations): the extreme of every group in its place in an
// array, the other values of the group in order beside it, the best last. Over append-only input only the extreme.
#include <algorithm>
#include <map>

#include "engine/operators/reducers/reducer.h"

namespace thalweg {

namespace {

using plan::ReducerKind;

struct Counted {
  std::int64_t value = 0;
  std::int64_t count = 0;  // negative only while deletions of a commit are ahead of its insertions
};

// What is behind the extreme. Many values go into a tree, so that one more does not move them all.
class Rest {
 public:
  // Says by how many values there are more.
  int add(Counted fresh) {
    if (tree_) return add_to_tree(fresh);
    auto at = std::ranges::lower_bound(list_, fresh.value, std::ranges::greater{}, &Counted::value);
    if (at == list_.end() || at->value != fresh.value) {
      list_.insert(at, fresh);
      if (list_.size() > kListMax) make_tree();
      return 1;
    }
    at->count += fresh.count;
    if (at->count != 0) return 0;
    list_.erase(at);
    return -1;
  }
  // The best, taken out. Requires: not empty.
  Counted take() {
    if (tree_) {
      auto first = tree_->begin();
      Counted best{first->first, first->second};
      tree_->erase(first);
      if (tree_->empty()) tree_.reset();
      return best;
    }
    Counted best = list_.back();
    list_.pop_back();
    return best;
  }
  [[nodiscard]] bool empty() const { return list_.empty() && !tree_; }

 private:
  static constexpr std::size_t kListMax = 256;
  int add_to_tree(Counted fresh) {
    auto [at, inserted] = tree_->try_emplace(fresh.value, fresh.count);
    if (inserted) return 1;
    at->second += fresh.count;
    if (at->second != 0) return 0;
    tree_->erase(at);
    if (tree_->empty()) tree_.reset();
    return -1;
  }
  void make_tree() {
    tree_ = std::make_unique<std::map<std::int64_t, std::int64_t>>();
    for (const Counted& item : list_) tree_->emplace(item.value, item.count);
    list_ = {};
  }
  std::vector<Counted> list_;  // falling
  std::unique_ptr<std::map<std::int64_t, std::int64_t>> tree_;
};

class Extreme : public Reducer {
 public:
  Extreme(std::uint32_t column, bool is_max, bool append_only) : column_(column), flip_(is_max ? -1 : 0), append_only_(append_only) {}

  void reserve(std::size_t groups) override { groups_.resize(groups); }
  void update(const ReducerRows& rows) override {
    Cells<std::int64_t> cells = rows.batch.columns[column_].i64();
    constexpr std::size_t kAhead = 12;
    std::size_t n = rows.rows.size();
    for (std::size_t i = 0; i < n; ++i) {
      if (i + kAhead < n) __builtin_prefetch(&groups_[rows.groups[i + kAhead]]);
      add(groups_[rows.groups[i]], {cells[rows.rows[i]] ^ flip_, rows.diffs[i]});
    }
  }
  Column results(std::span<const std::uint32_t> groups, const ReducerErrors&) override {
    std::vector<std::int64_t> out(groups.size());
    for (std::size_t i = 0; i < groups.size(); ++i) out[i] = groups_[groups[i]].best.value ^ flip_;
    return Column::from_vector<std::int64_t>(Phys::kI64, std::move(out));
  }
  Column merged(std::span<const std::uint32_t> groups, std::span<const Stretch> stretches, const ReducerErrors& errors) override {
    auto beats = [&](std::uint32_t a, std::uint32_t b) { return groups_[a].best.value <= groups_[b].best.value; };
    return results(slide_best(groups, stretches, beats), errors);
  }
  void clear(std::uint32_t group) override { groups_[group] = {}; }
  [[nodiscard]] std::size_t bytes() const override {
    constexpr std::size_t kBytesOfValue = 2 * sizeof(Counted);
    return groups_.capacity() * sizeof(Group) + static_cast<std::size_t>(values_) * kBytesOfValue;
  }

 private:
  struct Group {
    Counted best;  // none if its count is 0
    std::unique_ptr<Rest> rest;
  };

  void add(Group& group, Counted fresh) {
    if (group.best.count == 0) {
      group.best = fresh;
    } else if (fresh.value == group.best.value) {
      group.best.count += fresh.count;
      if (group.best.count == 0 && group.rest) {
        group.best = group.rest->take();
        --values_;
        if (group.rest->empty()) group.rest.reset();
      }
    } else if (append_only_) {
      if (fresh.value < group.best.value) group.best = fresh;
    } else {
      if (!group.rest) group.rest = std::make_unique<Rest>();
      if (fresh.value < group.best.value) std::swap(group.best, fresh);
      values_ += group.rest->add(fresh);
      if (group.rest->empty()) group.rest.reset();
    }
  }

  const std::uint32_t column_;
  const std::int64_t flip_;  // all ones for max: turns the order around
  const bool append_only_;
  std::vector<Group> groups_;
  std::int64_t values_ = 0;  // behind extremes
};

}  // namespace

std::unique_ptr<Reducer> make_extreme_reducer(const plan::Reducer& reducer, const Schema& input, bool append_only) {
  if (reducer.kind != ReducerKind::kMin && reducer.kind != ReducerKind::kMax) return nullptr;
  const Type& type = input.columns[reducer.args[0]].type;
  bool only_values = reducer.skip_errors && (reducer.skip_nones || !type.optional());
  if (type.phys() != Phys::kI64 || !only_values) return nullptr;
  return std::make_unique<Extreme>(reducer.args[0], reducer.kind == ReducerKind::kMax, append_only);
}

}  // namespace thalweg
