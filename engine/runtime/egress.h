// engine/runtime/egress.h
//
// One output: a sink on a thread of its own behind a bounded queue.
//
// S1  The sink gets every commit once, in order, consolidated; rows with an ERROR cell are left out and reported.
//     What it refuses is kept as dead letters, and what comes of that is in refusals.h.
// S2  A table that only grows within a commit flows through in chunks; else a commit is staged until it closes.
// S3  A full queue holds the engine back, and no commit begins while the sink is some commits behind. Nothing is lost.
// S4  Where state is kept, a commit is given to the sink only once it is durable (release), and what the sink has not
//     written yet is part of a snapshot (save).
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "engine/io/sink.h"
#include "engine/operators/operator.h"
#include "engine/runtime/refusals.h"

namespace thalweg {

class Egress {
 public:
  static constexpr std::size_t kQueuedRowsMax = 1 << 20;
  static constexpr std::size_t kQueuedCommitsMax = 8;

  Egress(std::unique_ptr<Sink> sink, Schema schema, std::string name, Env& env, std::function<void(Error)> on_failure);
  ~Egress();
  Result<void> open(SinkContext context = {});
  // ---- before open()
  void keep_letters(LetterPolicy policy, std::shared_ptr<durable::DeadLetters> store, std::string part, bool durable);
  [[nodiscard]] Refusals& refusals() { return *refusals_; }
  // ---- where state is kept; before open()
  void hold() { held_ = true; }
  // After open(): what a snapshot says that the sink has not written, and the newest commit that is known to be
  // written.
  Result<void> resume(std::optional<Commit> written, std::vector<std::pair<Commit, Batch>> waiting);
  [[nodiscard]] std::optional<Commit> last_commit() const { return sink_->last_commit(); }
  [[nodiscard]] Delivery delivery() const { return sink_->delivery(); }
  // Commits up to this one are durable.
  void release(Commit commit);
  // Of commits up to this one. Any thread; waits until the sink is between two commits where it has something to save.
  struct Saved {
    std::string saved;
    std::optional<Commit> written;
    std::vector<std::pair<Commit, Batch>> waiting;
  };
  Result<Saved> save(Commit commit);

  void tell_failures_to(std::function<void(Error)> on_failure);
  // Called (sink thread) when the sink is no longer behind.
  void tell_room_to(std::function<void()> on_room);
  // So much waits for the sink that no further commit should begin: a slow sink gets few large commits instead of many
  // small ones, and what waits is bounded also where nothing may be written before it is durable.
  [[nodiscard]] bool is_behind();

  // Worker side (one worker unless the sink discards).
  void write(Commit commit, Batch batch);
  void end(Commit commit);
  void drain();               // waits until all is written so far, or it has failed
  void close(bool complete);  // waits until all is written

  [[nodiscard]] bool discards() const { return discards_; }
  void count_discarded(std::uint64_t rows) { rows_ += rows; }
  [[nodiscard]] std::uint64_t rows() const { return rows_; }
  [[nodiscard]] std::uint64_t bytes() const { return sink_->bytes_written(); }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  struct Entry {
    Commit commit = 0;
    std::optional<Batch> batch;  // none: the commit ends
    bool ends_rows = false;      // and had some
  };
  void loop();
  Result<void> handle(const Entry& entry);
  Result<void> begin(Commit commit);
  void push(Entry entry);
  void save_now(Commit commit);
  [[nodiscard]] Saved what_waits(Commit commit) const;  // requires: mutex_ is held
  [[nodiscard]] bool may_go(const Entry& entry) const { return !held_ || entry.commit <= released_; }

  const std::unique_ptr<Sink> sink_;
  const Schema schema_;
  const std::string name_;
  Env& env_;
  std::unique_ptr<Refusals> refusals_;
  void failed(Error error);
  [[nodiscard]] bool behind() const;       // requires: mutex_ is held
  std::function<void(Error)> on_failure_;  // guarded by mutex_ after the start
  std::function<void()> on_room_;          // guarded by mutex_
  const bool discards_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Entry> queue_;                              // guarded by mutex_
  std::size_t queued_rows_ = 0;                          // guarded by mutex_
  std::size_t queued_commits_ = 0;                       // guarded by mutex_; those with rows
  bool pushed_rows_ = false;                             // guarded by mutex_; of the commit that is being pushed
  bool busy_ = false;                                    // guarded by mutex_; the sink has an entry in its hands
  bool closing_ = false;                                 // guarded by mutex_
  std::optional<Commit> begun_;                          // sink thread
  bool held_ = false;                                    // fixed before the start
  Commit released_ = 0;                                  // guarded by mutex_, as is all below
  std::optional<Commit> written_;                        // the newest commit that the sink has ended
  std::vector<std::pair<Commit, Batch>> begun_batches_;  // of the commit that it is in; only where state is kept
  std::optional<Commit> save_wanted_;
  std::optional<Result<Saved>> saved_;
  std::atomic<std::uint64_t> rows_{0};
  std::atomic<bool> failed_{false};
};

}  // namespace thalweg
