// engine/operators/loop/loop_grouped.cc
//
// A functional operator inside a loop, from the operator outside of loops: per group (the hash that its routes ask
// for) the history of its input rows is kept as (row, round) with counts before and in this commit. In round r the
// groups that changed in this commit and have history at r are evaluated twice by throwaway instances, with the
// history as it is and as it was; each gives the difference of round r over round r - 1 by itself, being incremental.
//
// Groups that share a hash are evaluated together: that costs time and is right all the same.
#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "engine/operators/loop/loop_node.h"
#include "engine/state/hash_index.h"
#include "engine/state/row_store.h"

namespace thalweg {

namespace {

std::vector<Type> types_of(const Schema& schema) {
  std::vector<Type> types;
  for (const ColumnSpec& column : schema.columns) types.push_back(column.type);
  return types;
}

class Grouped : public LoopNode {
 public:
  Grouped(const plan::Node& node, const plan::Plan& plan, const OperatorDescriptor& descriptor)
      : node_(node), plan_(plan), descriptor_(descriptor), routes_(descriptor.routes(node)) {
    for (NodeId input : node.inputs) ports_.emplace_back(types_of(plan.node(input).schema));
  }

  void push(std::size_t port, Batch batch) override {
    batch.materialise_keys();
    staged_.emplace_back(port, std::move(batch));
  }
  void run(std::uint64_t round, OperatorContext& context, std::vector<Batch>& out) override;
  [[nodiscard]] std::optional<std::uint64_t> next_round() const override {
    return agenda_.empty() ? std::nullopt : std::optional(agenda_.begin()->first);
  }
  void end_commit() override;
  [[nodiscard]] StateSize state() const override {
    StateSize size;
    for (const Port& port : ports_) {
      size.rows += port.rows.size();
      size.bytes += port.rows.bytes() + port.index.bytes() + port.places.capacity() * (sizeof(Place) + sizeof(Entry));
    }
    return size;
  }

 private:
  struct Entry {
    std::uint32_t row = 0;
    std::uint32_t round = 0;
    Diff before = 0;      // as of the last commit
    Diff change = 0;      // in this one
  };
  // Of one group, side by side: evaluating a group reads all of them.
  using Entries = std::vector<Entry>;
  struct Place {
    std::uint64_t hash = 0;   // of (row, round)
    std::uint64_t group = 0;
    std::uint32_t at = 0;     // in the group's entries
    bool listed = false;      // in changed_
  };
  struct Port {
    explicit Port(std::vector<Type> types) : rows(std::move(types), true) {}
    [[nodiscard]] Entry& entry(std::uint32_t row) { return groups[places[row].group][places[row].at]; }
    RowStore rows;
    std::vector<Place> places;   // by row
    HashIndex index;             // (row, round)
    std::unordered_map<std::uint64_t, Entries> groups;
  };
  using Groups = std::vector<std::uint64_t>;

  std::vector<std::uint64_t> group_hashes(std::size_t port, const Batch& batch) const;
  void absorb(std::size_t port, const Batch& batch, std::uint64_t round);
  void plan_rounds(std::uint64_t group, std::uint64_t from);
  void evaluate(bool now, std::uint64_t round, const Groups& groups, OperatorContext& context, std::vector<Batch>& out);
  // Rows of the groups before `round`, and at it.
  static std::pair<Batch, Batch> rows_of(const Port& port, const Groups& groups, bool now, std::uint64_t round);

  const plan::Node node_;
  const plan::Plan& plan_;
  const OperatorDescriptor& descriptor_;
  const std::vector<Route> routes_;
  std::vector<Port> ports_;
  std::vector<std::pair<std::size_t, Batch>> staged_;
  std::map<std::uint64_t, Groups> agenda_;                           // this commit: groups to evaluate, by round
  std::unordered_set<std::uint64_t> touched_;                        // this commit
  std::vector<std::pair<std::uint32_t, std::uint32_t>> changed_;     // (port, row) whose entry has a change
  bool has_past_ = false;                                            // an earlier commit left rows
};

std::vector<std::uint64_t> Grouped::group_hashes(std::size_t port, const Batch& batch) const {
  std::vector<std::uint64_t> hashes(batch.num_rows, 0);
  const Route route = port < routes_.size() ? routes_[port] : Route{Route::By::kOne, {}};
  switch (route.by) {
    case Route::By::kAny:
    case Route::By::kOne:
    case Route::By::kAll: break;
    case Route::By::kKey:
      for (std::size_t i = 0; i < batch.num_rows; ++i) hashes[i] = hash_of_key(batch.keys[i]);
      break;
    case Route::By::kPointer: {
      const Column& column = batch.columns[route.columns[0]];
      for (std::size_t i = 0; i < batch.num_rows; ++i)
        if (column.is_value(i)) hashes[i] = hash_of_key(column.u128()[i]);
      break;
    }
    case Route::By::kColumns:
      for (std::uint32_t column : route.columns) batch.columns[column].hash_into(hashes);
      break;
  }
  return hashes;
}

void Grouped::absorb(std::size_t p, const Batch& batch, std::uint64_t round) {
  Port& port = ports_[p];
  std::vector<std::uint64_t> groups = group_hashes(p, batch);
  std::vector<std::uint64_t> hashes(batch.num_rows);
  for (std::size_t i = 0; i < batch.num_rows; ++i) hashes[i] = hash_of_key(batch.keys[i]) ^ (round * 0x9E3779B97F4A7C15ULL);
  std::vector<const Column*> columns;
  for (const Column& column : batch.columns) {
    columns.push_back(&column);
    column.hash_into(hashes);
  }
  for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
    std::uint32_t id = port.index.find(hashes[row], [&](std::uint32_t other) {
      return port.entry(other).round == round && port.rows.key(other) == batch.keys[row] && port.rows.row_equals(other, columns, row);
    });
    if (id == HashIndex::kNoRow) {
      id = port.rows.insert(batch, row);
      if (id >= port.places.size()) port.places.resize(id + 1);
      Entries& entries = port.groups[groups[row]];
      port.places[id] = Place{.hash = hashes[row], .group = groups[row], .at = static_cast<std::uint32_t>(entries.size())};
      entries.push_back(Entry{.row = id, .round = static_cast<std::uint32_t>(round)});
      port.index.insert(hashes[row], id);
    }
    port.entry(id).change += batch.diff(row);
    if (!port.places[id].listed) {
      port.places[id].listed = true;
      changed_.emplace_back(static_cast<std::uint32_t>(p), id);
    }
    agenda_[round].push_back(groups[row]);
    if (touched_.insert(groups[row]).second) plan_rounds(groups[row], round + 1);
  }
}

// A group that changed must be looked at again in every later round in which it has history.
void Grouped::plan_rounds(std::uint64_t group, std::uint64_t from) {
  for (Port& port : ports_) {
    auto found = port.groups.find(group);
    if (found == port.groups.end()) continue;
    for (const Entry& entry : found->second)
      if (entry.round >= from) agenda_[entry.round].push_back(group);
  }
}

std::pair<Batch, Batch> Grouped::rows_of(const Port& port, const Groups& groups, bool now, std::uint64_t round) {
  std::vector<std::uint32_t> ids[2];
  std::vector<Diff> diffs[2];
  for (std::uint64_t group : groups) {
    auto found = port.groups.find(group);
    if (found == port.groups.end()) continue;
    for (const Entry& entry : found->second) {
      if (entry.round > round) continue;
      Diff count = entry.before + (now ? entry.change : 0);
      if (count == 0) continue;
      int at_round = entry.round == round ? 1 : 0;
      ids[at_round].push_back(entry.row);
      diffs[at_round].push_back(count);
    }
  }
  std::pair<Batch, Batch> out{port.rows.gather(ids[0]), port.rows.gather(ids[1])};
  out.first.set_diffs(std::move(diffs[0]));
  out.second.set_diffs(std::move(diffs[1]));
  return out;
}

void Grouped::evaluate(bool now, std::uint64_t round, const Groups& groups, OperatorContext& context, std::vector<Batch>& out) {
  std::vector<Batch> earlier;
  std::vector<Batch> at;
  bool any = false;
  for (const Port& port : ports_) {
    auto [before_round, at_round] = rows_of(port, groups, now, round);
    earlier.push_back(std::move(before_round));
    at.push_back(std::move(at_round));
    any |= !at.back().empty();
  }
  // Outer operators may answer with rows over nothing (SQL's aggregate): that is part of round 0.
  if (!any && round != 0) return;
  Result<std::unique_ptr<Operator>> made = descriptor_.make(node_, plan_);
  if (!made) return context.fail(std::move(made).error());
  CollectingContext inner(context);
  inner.collect(false);
  bool any_earlier = std::ranges::any_of(earlier, [](const Batch& batch) { return !batch.empty(); });
  if (any_earlier) {
    for (std::size_t p = 0; p < earlier.size(); ++p)
      if (!earlier[p].empty()) (*made)->push(p, std::move(earlier[p]), inner);
    (*made)->close(inner);
  }
  inner.collect(true);
  for (std::size_t p = 0; p < at.size(); ++p)
    if (!at[p].empty()) (*made)->push(p, std::move(at[p]), inner);
  (*made)->close(inner);
  for (Batch& batch : inner.take()) {
    if (!now) {
      std::vector<Diff> diffs(batch.num_rows);
      for (std::size_t i = 0; i < diffs.size(); ++i) diffs[i] = -batch.diff(i);
      batch.set_diffs(std::move(diffs));
    }
    out.push_back(std::move(batch));
  }
}

void Grouped::run(std::uint64_t round, OperatorContext& context, std::vector<Batch>& out) {
  for (auto& [port, batch] : std::exchange(staged_, {})) absorb(port, batch, round);
  auto due = agenda_.find(round);
  if (due == agenda_.end()) return;
  Groups groups = std::move(due->second);
  agenda_.erase(due);
  std::ranges::sort(groups);
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  std::vector<Batch> parts;
  evaluate(true, round, groups, context, parts);
  if (has_past_) evaluate(false, round, groups, context, parts);
  if (parts.empty()) return;
  Batch all = consolidate(Batch::concat(std::move(parts)));
  if (!all.empty()) out.push_back(std::move(all));
}

void Grouped::end_commit() {
  for (auto [p, id] : changed_) {
    Port& port = ports_[p];
    Place& place = port.places[id];
    Entries& entries = port.groups[place.group];
    Entry& entry = entries[place.at];
    entry.before += entry.change;
    entry.change = 0;
    place.listed = false;
    if (entry.before != 0) continue;
    port.index.erase(place.hash, id);
    port.rows.erase(id);
    entry = entries.back();
    port.places[entry.row].at = place.at;
    entries.pop_back();
    if (entries.empty()) port.groups.erase(place.group);
  }
  has_past_ |= !changed_.empty();
  for (Port& port : ports_) port.rows.compact_if_worthwhile();
  changed_.clear();
  touched_.clear();
  agenda_.clear();
}

}  // namespace

std::unique_ptr<LoopNode> make_loop_grouped(const plan::Node& node, const plan::Plan& plan, const OperatorDescriptor& descriptor) {
  return std::make_unique<Grouped>(node, plan, descriptor);
}

}  // namespace thalweg
