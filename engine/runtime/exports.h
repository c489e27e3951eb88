// engine/runtime/exports.h
//
// Exported tables: one shard per worker, read from any thread at one published frontier.
//
// X1  Readers see a frontier only after every shard has closed all commits below it.
// X2  rows at F = rows now minus the deltas of [F, now); what a shard is ahead of the published frontier is in its
//     deltas too.
// X3  History never grows past its bounds (commits, bytes, age); the oldest readable frontier only moves forward.
// Threads  the owning worker applies a commit under the shard's mutex; readers hold it only while they take
//          references to segments and deltas, and do all their work outside.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <unordered_map>

#include "engine/runtime/run.h"
#include "engine/state/keyed_rows.h"

namespace thalweg {

class ExportShard {
 public:
  explicit ExportShard(const Schema& schema, const std::vector<plan::Columns>& indexes = {});

  // ---- owning worker
  void stage(Batch chunk) { rows_.stage(std::move(chunk)); }  // not visible to readers: needs no lock
  // Rows of a stream: one whose key is there already gets a key of its own, made of the key and the commit.
  void stage_events(Batch chunk, Commit commit);
  void close(Commit commit, std::int64_t now_ns, const std::function<void(const Key&)>& on_duplicate);
  void trim(std::uint64_t published, const RunOptions& limits, std::int64_t now_ns);
  [[nodiscard]] StateSize state() const;

  // ---- readers
  struct Delta {
    Commit time = 0;
    Batch batch;
    std::size_t bytes = 0;
    std::int64_t closed_ns = 0;
  };
  struct View {
    RowStore rows;
    std::vector<Delta> newer;  // with time >= the asked one, oldest first
  };
  [[nodiscard]] View view(std::uint64_t at) const;
  [[nodiscard]] std::vector<Delta> deltas(std::uint64_t from, std::uint64_t to) const;
  [[nodiscard]] std::optional<Batch> lookup(const Key& key, std::uint64_t at) const;
  // Rows with these values in the columns of an index.
  [[nodiscard]] std::vector<Batch> find_rows(std::size_t index, const std::vector<Value>& values,
                                             std::uint64_t at) const;
  [[nodiscard]] std::uint64_t oldest() const { return oldest_.load(); }
  [[nodiscard]] std::size_t num_rows() const;
  [[nodiscard]] Batch all_rows() const;  // as they are now
  // ---- while nobody applies commits: `older` in the place of this shard's own history, then what leads from `old` to
  // the rows of now as one commit at `time`.
  void continue_history(const ExportShard& old, Commit time, std::int64_t now_ns);
  // The rows as they are, without the way back. Requires: no commit runs.
  void save(StateWriter& out) const;
  Result<void> load(StateReader& in, const ShardFilter& mine);
  void begin_history(std::uint64_t at) { oldest_ = at; }

 private:
  // From the values of its columns, hashed, to row keys.
  struct Index {
    plan::Columns columns;
    std::unordered_multimap<Key, Key> keys;
  };
  [[nodiscard]] Key index_key(const Index& index, const Batch& batch, std::size_t row) const;
  void update_indexes(const Batch& delta);                                                   // requires: mutex_ is held
  [[nodiscard]] std::optional<Batch> lookup_locked(const Key& key, std::uint64_t at) const;  // requires: mutex_ is held

  const Schema schema_;
  mutable std::mutex mutex_;
  std::vector<Index> indexes_;  // guarded by mutex_
  KeyedRows rows_;              // settled part guarded by mutex_
  std::deque<Delta> deltas_;    // guarded by mutex_
  std::size_t delta_bytes_ = 0;
  std::atomic<std::uint64_t> oldest_{0};  // smallest readable frontier
};

// Whether the rows of a node are events that only grow in number and whose keys repeat: what `to_stream` makes, or
// rows written as a stream, after operators that go row by row.
[[nodiscard]] bool is_event_stream(const plan::Plan& plan, NodeId id);

class ExportTable : public ExportReader {
 public:
  // `events`: the table is a stream (is_event_stream).
  ExportTable(std::string name, Schema schema, std::uint32_t workers, bool events = false,
              std::vector<plan::Columns> indexes = {});

  [[nodiscard]] ExportShard& shard(std::uint32_t worker) { return *shards_[worker]; }
  // All shards have closed everything below `frontier`.
  void publish(Frontier frontier);
  // All below `frontier` was loaded; the history begins there.
  void begin_at(Frontier frontier);
  // Readers of `old` can go on here: its history, then the difference as one commit, just below the frontier of this
  // table. Nothing is done unless schema and shards are the same. Requires: no commit runs on either.
  void continue_history(const ExportTable& old, std::int64_t now_ns);

  // How far its history goes: `retain_ns` (`retain:` of its tag) in the place of the bounds of age and commits.
  void retain(std::int64_t retain_ns, const RunOptions& options) {
    own_limits_.emplace();
    own_limits_->history_ns = retain_ns;
    own_limits_->history_commits = ~std::uint64_t{0};
    own_limits_->history_bytes = options.history_bytes;
  }
  [[nodiscard]] const RunOptions& limits(const RunOptions& options) const {
    return own_limits_ ? *own_limits_ : options;
  }

  [[nodiscard]] bool events() const { return events_; }
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] const Schema& schema() const override { return schema_; }
  [[nodiscard]] Frontier frontier() const override;
  [[nodiscard]] Frontier oldest() const override;
  [[nodiscard]] std::uint64_t num_rows() const override;
  Result<Snapshot> snapshot(std::optional<Frontier> at) override;
  Result<Snapshot> page(std::optional<Frontier> at, const std::optional<Key>& after, std::size_t rows_max) override;
  Result<Row> lookup(const Key& key) override;
  Result<std::optional<Snapshot>> find_rows(const std::vector<std::uint32_t>& columns,
                                            const std::vector<Value>& values) override;
  Result<std::vector<Change>> diff(Frontier from, Frontier to) override;
  std::uint64_t subscribe(std::function<void(Frontier)> on_commit) override;
  void unsubscribe(std::uint64_t id) override;

 private:
  // What `collect` makes of every shard's rows at `at`, in key order.
  Result<Snapshot> read(std::optional<Frontier> at, const std::function<Batch(const ExportShard::View&)>& collect);
  const std::string name_;
  const Schema schema_;
  const bool events_;
  const std::vector<plan::Columns> indexes_;
  std::optional<RunOptions> own_limits_;
  std::vector<std::unique_ptr<ExportShard>> shards_;
  mutable std::mutex mutex_;
  Frontier frontier_;                                                 // guarded by mutex_
  std::map<std::uint64_t, std::function<void(Frontier)>> callbacks_;  // guarded by mutex_
  std::uint64_t next_callback_ = 1;
};

}  // namespace thalweg
