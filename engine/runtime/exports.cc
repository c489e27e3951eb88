#include "engine/runtime/exports.h"

#include <algorithm>
#include <set>
#include <numeric>

#include "engine/types/batch_bytes.h"

namespace thalweg {

namespace {

std::vector<Type> types_of(const Schema& schema) {
  std::vector<Type> types;
  for (const ColumnSpec& column : schema.columns) types.push_back(column.type);
  return types;
}

constexpr std::uint64_t kDone = ~std::uint64_t{0};
std::uint64_t as_number(const Frontier& frontier) { return frontier.done ? kDone : frontier.at; }

Batch sorted_by_key(const Batch& batch) {
  std::vector<std::uint32_t> order(batch.num_rows);
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) { return batch.keys[a] < batch.keys[b]; });
  return batch.gather(order);
}

// The row of a key before some deltas; null: the key was not there.
struct Old {
  const Batch* batch = nullptr;
  std::uint32_t row = 0;
};

// Keys that `newer` touches, each with its first deleted row.
std::unordered_map<Key, Old> touched_by(const std::vector<ExportShard::Delta>& newer) {
  std::unordered_map<Key, Old> touched;
  for (const ExportShard::Delta& delta : newer) {
    for (bool deletions : {true, false})
      for (std::uint32_t i = 0; i < delta.batch.num_rows; ++i)
        if ((delta.batch.diff(i) < 0) == deletions)
          touched.try_emplace(delta.batch.keys[i], deletions ? Old{&delta.batch, i} : Old{});
  }
  return touched;
}

Batch old_row(const Old& old) {
  Batch row = old.batch->gather(std::span(&old.row, 1));
  row.diffs = nullptr;
  return row;
}

// The state before `newer`: rows whose keys no later delta touched, and the first deleted row of the others.
Batch roll_back(const RowStore& rows, const std::vector<ExportShard::Delta>& newer) {
  std::unordered_map<Key, Old> touched = touched_by(newer);
  std::vector<std::uint32_t> kept;
  for (std::uint32_t id = 0; id < rows.end(); ++id)
    if (rows.alive(id) && (touched.empty() || !touched.contains(rows.key(id)))) kept.push_back(id);
  std::vector<Batch> parts;
  parts.push_back(rows.gather(kept));
  for (const auto& [key, old] : touched)
    if (old.batch) parts.push_back(old_row(old));
  return Batch::concat(std::move(parts));
}

// Keeps the `rows_max` least of the keys it is shown: cuts its pile whenever that is twice as high.
class LeastKeys {
 public:
  explicit LeastKeys(std::size_t rows_max) : rows_max_(rows_max) {}
  void add(const Key& key, std::uint32_t id) {
    if (bound_ && !(key < *bound_)) return;
    pile_.emplace_back(key, id);
    if (pile_.size() / 2 >= rows_max_ && pile_.size() > kPileMin) cut();
  }
  [[nodiscard]] std::vector<std::uint32_t> ids() {
    if (pile_.size() > rows_max_) cut();
    std::vector<std::uint32_t> out;
    for (const auto& [key, id] : pile_) out.push_back(id);
    return out;
  }

 private:
  static constexpr std::size_t kPileMin = 64;
  void cut() {
    auto end = pile_.begin() + static_cast<std::ptrdiff_t>(rows_max_);
    std::nth_element(pile_.begin(), end - 1, pile_.end());
    bound_ = (end - 1)->first;
    pile_.erase(end, pile_.end());
  }
  const std::size_t rows_max_;
  std::vector<std::pair<Key, std::uint32_t>> pile_;
  std::optional<Key> bound_;  // what is not below it cannot be among the least
};

// The first `rows_max` rows of that state with a key above `after`, and a few too many.
Batch roll_back_page(const RowStore& rows, const std::vector<ExportShard::Delta>& newer,
                     const std::optional<Key>& after, std::size_t rows_max) {
  std::unordered_map<Key, Old> touched = touched_by(newer);
  LeastKeys least(rows_max);
  for (std::uint32_t id = 0; id < rows.end(); ++id) {
    if (!rows.alive(id)) continue;
    const Key& key = rows.key(id);
    if ((after && key <= *after) || (!touched.empty() && touched.contains(key))) continue;
    least.add(key, id);
  }
  std::vector<Batch> parts;
  parts.push_back(rows.gather(least.ids()));
  for (const auto& [key, old] : touched)
    if (old.batch && !(after && key <= *after)) parts.push_back(old_row(old));
  return Batch::concat(std::move(parts));
}

}  // namespace

ExportShard::ExportShard(const Schema& schema, const std::vector<plan::Columns>& indexes)
    : schema_(schema), rows_(types_of(schema)) {
  for (const plan::Columns& columns : indexes) indexes_.push_back({columns, {}});
}

Key ExportShard::index_key(const Index& index, const Batch& batch, std::size_t row) const {
  std::vector<Value> values;
  for (std::uint32_t column : index.columns)
    values.push_back(batch.columns[column].value(schema_.columns[column].type, row));
  return key_of_values(values);
}

void ExportShard::update_indexes(const Batch& delta) {
  for (Index& index : indexes_)
    for (std::size_t row = 0; row < delta.num_rows; ++row) {
      Key hash = index_key(index, delta, row);
      if (delta.diff(row) > 0) {
        index.keys.emplace(hash, delta.keys[row]);
        continue;
      }
      auto [begin, end] = index.keys.equal_range(hash);
      auto at = std::find_if(begin, end, [&](const auto& entry) { return entry.second == delta.keys[row]; });
      if (at != end) index.keys.erase(at);
    }
}

std::vector<Batch> ExportShard::find_rows(std::size_t which, const std::vector<Value>& values, std::uint64_t at) const {
  std::lock_guard lock(mutex_);
  const Index& index = indexes_[which];
  Key hash = key_of_values(values);
  std::set<Key> candidates;
  auto [begin, end] = index.keys.equal_range(hash);
  for (auto entry = begin; entry != end; ++entry) candidates.insert(entry->second);
  for (const Delta& delta : deltas_)  // rows that had these values at that frontier, and have not any more
    for (std::size_t row = 0; delta.time >= at && row < delta.batch.num_rows; ++row)
      if (delta.batch.diff(row) < 0 && index_key(index, delta.batch, row) == hash)
        candidates.insert(delta.batch.keys[row]);
  std::vector<Batch> out;
  for (const Key& key : candidates)
    if (auto row = lookup_locked(key, at); row && index_key(index, *row, 0) == hash) {
      row->keys = KeyColumn({key});
      out.push_back(std::move(*row));
    }
  return out;
}

void ExportShard::stage_events(Batch chunk, Commit commit) {
  chunk.materialise_keys();
  std::vector<Key> keys;
  keys.reserve(chunk.num_rows);
  for (std::size_t row = 0; row < chunk.num_rows; ++row) {
    const Key& key = chunk.keys[row];
    keys.push_back(chunk.diff(row) > 0 && rows_.find(key) ? key_of_part(key, static_cast<std::uint64_t>(commit)) : key);
  }
  chunk.keys = KeyColumn(std::move(keys));
  rows_.stage(std::move(chunk));
}

void ExportShard::close(Commit commit, std::int64_t now_ns, const std::function<void(const Key&)>& on_duplicate) {
  if (!rows_.has_staged()) return;
  std::lock_guard lock(mutex_);
  Batch delta = rows_.settle(on_duplicate);
  if (delta.empty()) return;
  update_indexes(delta);
  std::size_t bytes = bytes_of(delta);
  delta_bytes_ += bytes;
  deltas_.push_back({commit, std::move(delta), bytes, now_ns});
}

void ExportShard::trim(std::uint64_t published, const RunOptions& limits, std::int64_t now_ns) {
  std::lock_guard lock(mutex_);
  while (!deltas_.empty() && deltas_.front().time < published) {
    const Delta& oldest = deltas_.front();
    bool keep = deltas_.size() <= limits.history_commits && delta_bytes_ <= limits.history_bytes &&
                now_ns - oldest.closed_ns <= limits.history_ns;
    if (keep) return;
    oldest_ = oldest.time + 1;
    delta_bytes_ -= oldest.bytes;
    deltas_.pop_front();
  }
}

StateSize ExportShard::state() const {
  std::lock_guard lock(mutex_);
  return {rows_.size(), rows_.bytes() + delta_bytes_};
}

std::size_t ExportShard::num_rows() const {
  std::lock_guard lock(mutex_);
  return rows_.size();
}

ExportShard::View ExportShard::view(std::uint64_t at) const {
  std::lock_guard lock(mutex_);
  View view{rows_.rows().share(), {}};
  for (const Delta& delta : deltas_)
    if (delta.time >= at) view.newer.push_back(delta);
  return view;
}

std::vector<ExportShard::Delta> ExportShard::deltas(std::uint64_t from, std::uint64_t to) const {
  std::lock_guard lock(mutex_);
  std::vector<Delta> out;
  for (const Delta& delta : deltas_)
    if (delta.time >= from && delta.time < to) out.push_back(delta);
  return out;
}

std::optional<Batch> ExportShard::lookup(const Key& key, std::uint64_t at) const {
  std::lock_guard lock(mutex_);
  return lookup_locked(key, at);
}

std::optional<Batch> ExportShard::lookup_locked(const Key& key, std::uint64_t at) const {
  for (const Delta& delta : deltas_) {
    if (delta.time < at) continue;
    bool inserted = false;
    for (std::uint32_t i = 0; i < delta.batch.num_rows; ++i) {
      if (delta.batch.keys[i] != key) continue;
      if (delta.batch.diff(i) < 0) {
        Batch row = delta.batch.gather(std::span(&i, 1));
        row.diffs = nullptr;
        return row;
      }
      inserted = true;
    }
    if (inserted) return std::nullopt;
  }
  auto id = rows_.find(key);
  if (!id) return std::nullopt;
  return rows_.rows().gather(std::span(&*id, 1));
}

Batch ExportShard::all_rows() const {
  View now = view(kDone);
  return roll_back(now.rows, {});
}

void ExportShard::continue_history(const ExportShard& old, Commit time, std::int64_t now_ns) {
  View before = old.view(kDone);
  std::deque<Delta> history;
  std::size_t bytes = 0;
  {
    std::lock_guard lock(old.mutex_);
    history = old.deltas_;
    bytes = old.delta_bytes_;
  }
  std::lock_guard lock(mutex_);
  Batch gone = roll_back(before.rows, {});
  gone.set_diffs(std::vector<Diff>(gone.num_rows, -1));
  std::vector<Batch> both;
  both.push_back(std::move(gone));
  both.push_back(roll_back(rows_.rows(), {}));
  Batch change = consolidate(Batch::concat(std::move(both)));
  deltas_ = std::move(history);
  delta_bytes_ = bytes;
  oldest_ = old.oldest();
  if (change.empty()) return;
  std::size_t change_bytes = bytes_of(change);
  delta_bytes_ += change_bytes;
  deltas_.push_back({time, std::move(change), change_bytes, now_ns});
}

void ExportShard::save(StateWriter& out) const {
  std::lock_guard lock(mutex_);
  rows_.save(out);
}

Result<void> ExportShard::load(StateReader& in, const ShardFilter& mine) {
  std::lock_guard lock(mutex_);
  return rows_.load(
      in, [&](const Key& key) { return mine.takes_key(key); }, [&](const Batch& rows) { update_indexes(rows); });
}

// ---------------------------------------------------------------- table

bool is_event_stream(const plan::Plan& plan, NodeId id) {
  while (true) {
    const plan::Node& node = plan.node(id);
    if (!node.append_only) return false;
    if (std::holds_alternative<plan::ToStream>(node.params)) return true;
    if (const auto* written = std::get_if<plan::StaticRows>(&node.params)) {
      std::set<Key> keys;
      return written->as_stream &&
             std::ranges::any_of(*written->rows, [&](const auto& row) { return !keys.insert(row.key).second; });
    }
    const bool row_by_row = std::holds_alternative<plan::Project>(node.params) ||
                            std::holds_alternative<plan::Filter>(node.params) ||
                            std::holds_alternative<plan::Remember>(node.params) ||
                            std::holds_alternative<plan::RemoveErrors>(node.params) ||
                            std::holds_alternative<plan::AssertAppendOnly>(node.params);
    if (!row_by_row) return false;
    id = node.inputs[0];
  }
}

ExportTable::ExportTable(std::string name, Schema schema, std::uint32_t workers, bool events,
                         std::vector<plan::Columns> indexes)
    : name_(std::move(name)), schema_(std::move(schema)), events_(events), indexes_(std::move(indexes)) {
  for (std::uint32_t i = 0; i < workers; ++i) shards_.push_back(std::make_unique<ExportShard>(schema_, indexes_));
}

void ExportTable::publish(Frontier frontier) {
  std::lock_guard lock(mutex_);
  frontier_ = frontier;
  for (const auto& [id, callback] : callbacks_) callback(frontier);
}

void ExportTable::begin_at(Frontier frontier) {
  for (const auto& shard : shards_) shard->begin_history(as_number(frontier));
  publish(frontier);
}

void ExportTable::continue_history(const ExportTable& old, std::int64_t now_ns) {
  bool same = old.shards_.size() == shards_.size() && old.schema_.size() == schema_.size() && old.events_ == events_;
  for (std::size_t i = 0; same && i < schema_.size(); ++i)
    same = schema_.columns[i].name == old.schema_.columns[i].name &&
           schema_.columns[i].type == old.schema_.columns[i].type;
  Frontier now = frontier();
  if (!same || now.done || now.at < old.frontier().at + 2) return;
  for (std::size_t i = 0; i < shards_.size(); ++i) shards_[i]->continue_history(*old.shards_[i], now.at - 2, now_ns);
}

Frontier ExportTable::frontier() const {
  std::lock_guard lock(mutex_);
  return frontier_;
}

Frontier ExportTable::oldest() const {
  std::uint64_t oldest = 0;
  for (const auto& shard : shards_) oldest = std::max(oldest, shard->oldest());
  return {oldest, false};
}

std::uint64_t ExportTable::num_rows() const {
  std::uint64_t rows = 0;
  for (const auto& shard : shards_) rows += shard->num_rows();
  return rows;
}

Result<ExportReader::Snapshot> ExportTable::read(std::optional<Frontier> at,
                                                 const std::function<Batch(const ExportShard::View&)>& collect) {
  Frontier newest = frontier();
  Frontier wanted = at.value_or(newest);
  if (as_number(wanted) > as_number(newest))
    return fail(Code::kUnavailable, "frontier " + std::to_string(wanted.at) + " is not reached yet; the table is at " +
                                        std::to_string(newest.at));
  Snapshot out{wanted, {}};
  for (const auto& shard : shards_) {
    ExportShard::View view = shard->view(as_number(wanted));
    // Looked at after the view was taken: history that was trimmed meanwhile is noticed.
    if (shard->oldest() > as_number(wanted))
      return fail(Code::kNotFound, "frontier " + std::to_string(wanted.at) +
                                       " is older than the retained history; the oldest is " +
                                       std::to_string(oldest().at));
    Batch rows = collect(view);
    if (!rows.empty()) out.batches.push_back(sorted_by_key(rows));
  }
  if (out.batches.size() > 1) {
    Batch all = sorted_by_key(Batch::concat(std::move(out.batches)));
    out.batches.clear();
    out.batches.push_back(std::move(all));
  }
  return out;
}

Result<ExportReader::Snapshot> ExportTable::snapshot(std::optional<Frontier> at) {
  return read(at, [](const ExportShard::View& view) { return roll_back(view.rows, view.newer); });
}

Result<ExportReader::Snapshot> ExportTable::page(std::optional<Frontier> at, const std::optional<Key>& after,
                                                 std::size_t rows_max) {
  if (rows_max == 0) return Snapshot{at.value_or(frontier()), {}};
  Snapshot out = TRY(
      read(at, [&](const ExportShard::View& view) { return roll_back_page(view.rows, view.newer, after, rows_max); }));
  if (!out.batches.empty() && out.batches[0].num_rows > rows_max) out.batches[0] = out.batches[0].slice(0, rows_max);
  return out;
}

Result<ExportReader::Row> ExportTable::lookup(const Key& key) {
  Frontier newest = frontier();
  std::uint32_t worker = shard_of_key(key) * static_cast<std::uint32_t>(shards_.size()) / kVirtualShards;
  return Row{newest, shards_[worker]->lookup(key, as_number(newest))};
}

Result<std::optional<ExportReader::Snapshot>> ExportTable::find_rows(const std::vector<std::uint32_t>& columns,
                                                                     const std::vector<Value>& values) {
  for (std::size_t i = 0; i < indexes_.size(); ++i) {
    if (indexes_[i].size() != columns.size()) continue;
    std::vector<Value> ordered;
    for (std::uint32_t column : indexes_[i])
      if (auto at = std::ranges::find(columns, column); at != columns.end())
        ordered.push_back(values[static_cast<std::size_t>(at - columns.begin())]);
    if (ordered.size() != columns.size()) continue;
    Snapshot out{frontier(), {}};
    std::vector<Batch> rows;
    for (const auto& shard : shards_)
      for (Batch& row : shard->find_rows(i, ordered, as_number(out.frontier))) rows.push_back(std::move(row));
    if (!rows.empty()) out.batches.push_back(sorted_by_key(Batch::concat(std::move(rows))));
    return out;
  }
  return std::nullopt;
}

Result<std::vector<ExportReader::Change>> ExportTable::diff(Frontier from, Frontier to) {
  std::uint64_t end = std::min(as_number(to), as_number(frontier()));
  if (oldest().at > as_number(from))
    return fail(Code::kNotFound, "frontier " + std::to_string(from.at) +
                                     " is older than the retained history; the oldest is " +
                                     std::to_string(oldest().at));
  std::map<Commit, std::vector<Batch>> by_time;
  for (const auto& shard : shards_)
    for (ExportShard::Delta& delta : shard->deltas(as_number(from), end))
      by_time[delta.time].push_back(std::move(delta.batch));
  std::vector<Change> changes;
  for (auto& [time, parts] : by_time) changes.push_back({time, Batch::concat(std::move(parts))});
  return changes;
}

std::uint64_t ExportTable::subscribe(std::function<void(Frontier)> on_commit) {
  std::lock_guard lock(mutex_);
  callbacks_.emplace(next_callback_, std::move(on_commit));
  return next_callback_++;
}

void ExportTable::unsubscribe(std::uint64_t id) {
  std::lock_guard lock(mutex_);
  callbacks_.erase(id);
}

}  // namespace thalweg
