#include "tests/daemon/fake_run.h"

namespace thalweg::tests {
namespace {

bool below(Commit time, const Frontier& at) { return at.done || time < at.at; }

bool less(const Frontier& a, const Frontier& b) {
  if (a.done || b.done) return !a.done && b.done;
  return a.at < b.at;
}

}  // namespace

void FakeTable::commit(Commit time, const std::vector<Update>& updates, bool last) {
  std::map<std::uint64_t, std::function<void(Frontier)>> subscribers;
  Frontier now;
  {
    std::lock_guard lock(mutex_);
    history_.emplace_back(time, updates);
    frontier_ = now = last ? Frontier{0, true} : Frontier{time + 1, false};
    subscribers = subscribers_;
  }
  for (const auto& [id, call] : subscribers) call(now);
}

void FakeTable::forget_below(Commit time) {
  std::lock_guard lock(mutex_);
  oldest_ = Frontier{time, false};
}

Frontier FakeTable::frontier() const {
  std::lock_guard lock(mutex_);
  return frontier_;
}

Frontier FakeTable::oldest() const {
  std::lock_guard lock(mutex_);
  return oldest_;
}

std::uint64_t FakeTable::num_rows() const {
  std::lock_guard lock(mutex_);
  return rows_at(frontier_).size();
}

std::map<Key, std::vector<Value>> FakeTable::rows_at(Frontier at) const {
  std::map<Key, std::vector<Value>> rows;
  for (const auto& [time, updates] : history_) {
    if (!below(time, at)) break;
    for (const Update& update : updates)
      if (update.diff < 0) rows.erase(update.key);
    for (const Update& update : updates)
      if (update.diff > 0) rows[update.key] = update.row;
  }
  return rows;
}

Result<ExportReader::Snapshot> FakeTable::snapshot(std::optional<Frontier> at) {
  ++num_snapshots;
  std::lock_guard lock(mutex_);
  Snapshot out{at.value_or(frontier_), {}};
  if (less(out.frontier, oldest_)) return fail(Code::kNotFound, "the history of that frontier is gone");
  // Batches of three rows: readers must not care how a table is cut.
  BatchBuilder builder(schema_);
  for (const auto& [key, row] : rows_at(out.frontier)) {
    builder.push(key, row);
    if (builder.num_rows() == 3) out.batches.push_back(builder.finish());
  }
  if (builder.num_rows() > 0) out.batches.push_back(builder.finish());
  return out;
}

Result<ExportReader::Snapshot> FakeTable::page(std::optional<Frontier> at, const std::optional<Key>& after,
                                               std::size_t rows_max) {
  std::lock_guard lock(mutex_);
  Snapshot out{at.value_or(frontier_), {}};
  if (less(out.frontier, oldest_)) return fail(Code::kNotFound, "the history of that frontier is gone");
  BatchBuilder builder(schema_);
  for (const auto& [key, row] : rows_at(out.frontier))
    if ((!after || key > *after) && builder.num_rows() < rows_max) builder.push(key, row);
  if (builder.num_rows() > 0) out.batches.push_back(builder.finish());
  return out;
}

Result<ExportReader::Row> FakeTable::lookup(const Key& key) {
  std::lock_guard lock(mutex_);
  auto rows = rows_at(frontier_);
  Row out{frontier_, {}};
  if (auto found = rows.find(key); found != rows.end()) {
    BatchBuilder builder(schema_);
    builder.push(key, found->second);
    out.row = builder.finish();
  }
  return out;
}

Result<std::vector<ExportReader::Change>> FakeTable::diff(Frontier from, Frontier to) {
  std::lock_guard lock(mutex_);
  if (less(from, oldest_)) return fail(Code::kNotFound, "the history of that frontier is gone");
  std::vector<Change> out;
  for (const auto& [time, updates] : history_) {
    if (below(time, from) || !below(time, to) || updates.empty()) continue;
    BatchBuilder builder(schema_);
    for (const Update& update : updates) builder.push(update.key, update.row, update.diff);
    out.push_back({time, builder.finish()});
  }
  return out;
}

std::uint64_t FakeTable::subscribe(std::function<void(Frontier)> on_commit) {
  std::lock_guard lock(mutex_);
  subscribers_.emplace(next_id_, std::move(on_commit));
  return next_id_++;
}

void FakeTable::unsubscribe(std::uint64_t id) {
  std::lock_guard lock(mutex_);
  subscribers_.erase(id);
}

std::size_t FakeTable::num_subscribers() const {
  std::lock_guard lock(mutex_);
  return subscribers_.size();
}

std::optional<Error> FakeRun::failure() const {
  if (now != RunState::kFailed) return std::nullopt;
  return Error{Code::kIo, "the disk is full", {}, {}};
}

std::shared_ptr<ExportReader> FakeRun::find_export(std::string_view name) const {
  for (const auto& table : tables)
    if (table->name() == name) return table;
  return nullptr;
}

std::vector<ConnectorStatus> FakeRun::connectors() const {
  return {{.name = "orders", .connector = "io.csv.read", .rows = 7, .bytes = 70},
          {.name = "out", .connector = "io.csv.write", .is_source = false, .rows = 5}};
}

}  // namespace thalweg::tests
