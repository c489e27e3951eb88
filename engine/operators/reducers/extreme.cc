// engine/operators/reducers/extreme.cc
//
// min and max of a column of whole numbers (ints, datetimes, durations): the extreme of every group in its place in an
// array, the other values of the group in a list beside it, in order, the best last; many of them in a tree, so that
// one more does not move them all. Over append-only input only the extreme.
#include <algorithm>
#include <map>

#include "engine/operators/reducers/reducer.h"
#include "engine/state/block_pool.h"

namespace thalweg {

namespace {

using plan::ReducerKind;

struct Counted {
  std::int64_t value;
  std::int64_t count;  // negative only while deletions of a commit are ahead of its insertions
};

class Extreme : public Reducer {
 public:
  Extreme(std::uint32_t column, bool is_max, bool append_only)
      : column_(column), flip_(is_max ? -1 : 0), append_only_(append_only) {}
  ~Extreme() override {
    for (Group& group : groups_) group.list.release(pool_);
  }

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
  Column merged(std::span<const std::uint32_t> groups, std::span<const Stretch> stretches,
                const ReducerErrors& errors) override {
    auto beats = [&](std::uint32_t a, std::uint32_t b) { return groups_[a].best.value <= groups_[b].best.value; };
    return results(slide_best(groups, stretches, beats), errors);
  }
  void clear(std::uint32_t group) override {
    if (groups_[group].tree) in_trees_ -= groups_[group].tree->size();
    groups_[group].list.release(pool_);
    groups_[group] = {};
  }
  [[nodiscard]] std::size_t bytes() const override {
    constexpr std::size_t kNodeBytes = 56;
    return groups_.capacity() * sizeof(Group) + pool_.bytes() + in_trees_ * kNodeBytes;
  }

  // Per group its values, the best last: so each finds its place at the end when they come back.
  void save(GroupList groups, StateWriter& out) const override {
    std::vector<std::uint32_t> sizes;
    std::vector<std::int64_t> values, counts;
    auto put = [&](std::int64_t value, std::int64_t count) {
      values.push_back(value);
      counts.push_back(count);
    };
    for (std::size_t from = 0; from < groups.size(); from += kGroupsPerPiece) {
      sizes.clear(), values.clear(), counts.clear();
      for (std::uint32_t group : groups.subspan(from, std::min(kGroupsPerPiece, groups.size() - from))) {
        const Group& of = groups_[group];
        std::size_t before = values.size();
        if (of.tree)
          for (auto at = of.tree->rbegin(); at != of.tree->rend(); ++at) put(at->first, at->second);
        for (const Counted& item : std::span(of.list.data, of.list.size)) put(item.value, item.count);
        if (of.best.count != 0) put(of.best.value, of.best.count);
        sizes.push_back(static_cast<std::uint32_t>(values.size() - before));
      }
      out.put_numbers(sizes);
      out.put_numbers(values);
      out.put_numbers(counts);
    }
  }
  Result<void> load(StateReader& in, GroupList groups) override {
    for (std::size_t from = 0; from < groups.size(); from += kGroupsPerPiece) {
      GroupList part = groups.subspan(from, std::min(kGroupsPerPiece, groups.size() - from));
      std::vector<std::uint32_t> sizes = TRY(in.numbers<std::uint32_t>());
      std::vector<std::int64_t> values = TRY(in.numbers<std::int64_t>());
      std::vector<std::int64_t> counts = TRY(in.numbers<std::int64_t>());
      if (sizes.size() != part.size() || values.size() != counts.size()) return in.corrupt("another number of groups");
      std::size_t next = 0;
      for (std::size_t i = 0; i < part.size(); ++i) {
        if (sizes[i] > values.size() - next) return in.corrupt("values of no group");
        for (std::size_t end = next + sizes[i]; next < end; ++next)
          if (part[i] != kNotMine && counts[next] != 0) add(groups_[part[i]], {values[next], counts[next]});
      }
    }
    return {};
  }

 private:
  static constexpr std::size_t kListMax = 256;
  using Tree = std::map<std::int64_t, std::int64_t>;
  struct Group {
    Counted best{0, 0};          // none if its count is 0
    PooledArray<Counted> list;   // the others, falling
    std::unique_ptr<Tree> tree;  // instead, if they are many
  };

  void add(Group& group, Counted fresh) {
    if (group.best.count == 0) {
      group.best = fresh;
    } else if (fresh.value == group.best.value) {
      group.best.count += fresh.count;
      if (group.best.count == 0) take_best(group);
    } else if (append_only_) {
      if (fresh.value < group.best.value) group.best = fresh;
    } else {
      if (fresh.value < group.best.value) std::swap(group.best, fresh);
      if (group.tree)
        add_to_tree(group, fresh);
      else
        add_to_list(group, fresh);
    }
  }

  // The best of the others takes the place of the extreme that went.
  void take_best(Group& group) {
    if (group.tree) {
      auto first = group.tree->begin();
      group.best = {first->first, first->second};
      erase_from_tree(group, first);
    } else if (group.list.size > 0) {
      group.best = group.list.data[--group.list.size];
      if (group.list.size == 0) group.list.release(pool_);
    }
  }

  void add_to_list(Group& group, Counted fresh) {
    std::span<Counted> list(group.list.data, group.list.size);
    auto at = std::ranges::lower_bound(list, fresh.value, std::ranges::greater{}, &Counted::value);
    auto index = static_cast<std::uint32_t>(at - list.begin());
    if (at == list.end() || at->value != fresh.value) {
      group.list.insert(index, fresh, pool_);
      if (group.list.size > kListMax) make_tree(group);
      return;
    }
    at->count += fresh.count;
    if (at->count != 0) return;
    group.list.erase(index);
    if (group.list.size == 0) group.list.release(pool_);
  }

  void add_to_tree(Group& group, Counted fresh) {
    auto [at, inserted] = group.tree->try_emplace(fresh.value, fresh.count);
    if (inserted) {
      ++in_trees_;
      return;
    }
    at->second += fresh.count;
    if (at->second == 0) erase_from_tree(group, at);
  }
  void erase_from_tree(Group& group, Tree::iterator at) {
    group.tree->erase(at);
    --in_trees_;
    if (group.tree->empty()) group.tree.reset();
  }
  void make_tree(Group& group) {
    group.tree = std::make_unique<Tree>();
    for (const Counted& item : std::span(group.list.data, group.list.size)) group.tree->emplace(item.value, item.count);
    in_trees_ += group.list.size;
    group.list.release(pool_);
  }

  const std::uint32_t column_;
  const std::int64_t flip_;  // all ones for max: turns the order around
  const bool append_only_;
  BlockPool<Counted> pool_;
  std::vector<Group> groups_;
  std::size_t in_trees_ = 0;
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
