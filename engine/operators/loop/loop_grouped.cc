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
#include <set>
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
      size.bytes += port.rows.bytes() + port.index.bytes() + port.entries.capacity() * sizeof(Entry);
    }
    return size;
  }

 private:
  struct Entry {
    std::uint64_t group = 0;
    std::uint64_t round = 0;
    std::uint64_t hash = 0;
    std::uint32_t next = HashIndex::kNoRow;  // in the group's list of this port
    Diff before = 0;                         // as of the last commit
    Diff change = 0;                         // in this one
    bool listed = false;                     // in changed_
  };
  struct Port {
    explicit Port(std::vector<Type> types) : rows(std::move(types), true) {}
    RowStore rows;
    std::vector<Entry> entries;  // by row
    HashIndex index;             // (row, round)
    std::unordered_map<std::uint64_t, std::uint32_t> heads;  // by group
  };

  std::vector<std::uint64_t> group_hashes(std::size_t port, const Batch& batch) const;
  void absorb(std::size_t port, const Batch& batch, std::uint64_t round);
  void plan_rounds(std::uint64_t group, std::uint64_t from);
  void evaluate(bool now, std::uint64_t round, const std::set<std::uint64_t>& groups, OperatorContext& context, std::vector<Batch>& out);
  Batch rows_of(const Port& port, const std::set<std::uint64_t>& groups, bool now, std::uint64_t round, bool at_round) const;

  const plan::Node node_;
  const plan::Plan& plan_;
  const OperatorDescriptor& descriptor_;
  const std::vector<Route> routes_;
  std::vector<Port> ports_;
  std::vector<std::pair<std::size_t, Batch>> staged_;
  std::map<std::uint64_t, std::set<std::uint64_t>> agenda_;          // this commit: groups to evaluate, by round
  std::unordered_set<std::uint64_t> touched_;                        // this commit
  std::vector<std::pair<std::uint32_t, std::uint32_t>> changed_;     // (port, row) whose entry has a change
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
      return port.entries[other].round == round && port.rows.key(other) == batch.keys[row] && port.rows.row_equals(other, columns, row);
    });
    if (id == HashIndex::kNoRow) {
      id = port.rows.insert(batch, row);
      if (id >= port.entries.size()) port.entries.resize(id + 1);
      auto [head, fresh] = port.heads.try_emplace(groups[row], HashIndex::kNoRow);
      port.entries[id] = Entry{.group = groups[row], .round = round, .hash = hashes[row], .next = head->second};
      head->second = id;
      port.index.insert(hashes[row], id);
    }
    Entry& entry = port.entries[id];
    entry.change += batch.diff(row);
    if (!entry.listed) {
      entry.listed = true;
      changed_.emplace_back(static_cast<std::uint32_t>(p), id);
    }
    agenda_[round].insert(groups[row]);
    if (touched_.insert(groups[row]).second) plan_rounds(groups[row], round + 1);
  }
}

// A group that changed must be looked at again in every later round in which it has history.
void Grouped::plan_rounds(std::uint64_t group, std::uint64_t from) {
  for (Port& port : ports_) {
    auto head = port.heads.find(group);
    if (head == port.heads.end()) continue;
    for (std::uint32_t id = head->second; id != HashIndex::kNoRow; id = port.entries[id].next)
      if (port.entries[id].round >= from) agenda_[port.entries[id].round].insert(group);
  }
}

Batch Grouped::rows_of(const Port& port, const std::set<std::uint64_t>& groups, bool now, std::uint64_t round, bool at_round) const {
  std::vector<std::uint32_t> ids;
  std::vector<Diff> diffs;
  for (std::uint64_t group : groups) {
    auto head = port.heads.find(group);
    if (head == port.heads.end()) continue;
    for (std::uint32_t id = head->second; id != HashIndex::kNoRow; id = port.entries[id].next) {
      const Entry& entry = port.entries[id];
      if (at_round ? entry.round != round : entry.round >= round) continue;
      Diff count = entry.before + (now ? entry.change : 0);
      if (count == 0) continue;
      ids.push_back(id);
      diffs.push_back(count);
    }
  }
  Batch batch = port.rows.gather(ids);
  batch.set_diffs(std::move(diffs));
  return batch;
}

void Grouped::evaluate(bool now, std::uint64_t round, const std::set<std::uint64_t>& groups, OperatorContext& context,
                       std::vector<Batch>& out) {
  std::vector<Batch> earlier;
  std::vector<Batch> at;
  bool any = false;
  for (const Port& port : ports_) {
    earlier.push_back(rows_of(port, groups, now, round, false));
    at.push_back(rows_of(port, groups, now, round, true));
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
  std::set<std::uint64_t> groups = std::move(due->second);
  agenda_.erase(due);
  std::vector<Batch> parts;
  evaluate(true, round, groups, context, parts);
  evaluate(false, round, groups, context, parts);
  if (parts.empty()) return;
  Batch all = consolidate(Batch::concat(std::move(parts)));
  if (!all.empty()) out.push_back(std::move(all));
}

void Grouped::end_commit() {
  std::unordered_map<std::uint64_t, std::set<std::uint32_t>> emptied;  // groups by port with entries to unlink
  for (auto [p, id] : changed_) {
    Port& port = ports_[p];
    Entry& entry = port.entries[id];
    entry.before += entry.change;
    entry.change = 0;
    entry.listed = false;
    if (entry.before == 0) emptied[entry.group].insert(p);
  }
  for (const auto& [group, ports] : emptied) {
    for (std::uint32_t p : ports) {
      Port& port = ports_[p];
      std::uint32_t* link = &port.heads[group];
      while (*link != HashIndex::kNoRow) {
        std::uint32_t id = *link;
        Entry& entry = port.entries[id];
        if (entry.before != 0) {
          link = &entry.next;
          continue;
        }
        *link = entry.next;
        port.index.erase(entry.hash, id);
        port.rows.erase(id);
      }
      if (port.heads[group] == HashIndex::kNoRow) port.heads.erase(group);
    }
  }
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
