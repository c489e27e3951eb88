// engine/runtime/egress.h
//
// One output: a sink on a thread of its own behind a bounded queue.
//
// S1  The sink gets every commit once, in order, consolidated; rows with an ERROR cell are left out and reported.
// S2  A table that only grows within a commit flows through in chunks; else a commit is staged until it closes.
// S3  A full queue holds the engine back; nothing is dropped.
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

namespace thalweg {

class Egress {
 public:
  static constexpr std::size_t kQueuedRowsMax = 1 << 20;

  Egress(std::unique_ptr<Sink> sink, Schema schema, std::string name, Env& env, std::function<void(Error)> on_failure);
  ~Egress();
  Result<void> open();
  void tell_failures_to(std::function<void(Error)> on_failure);

  // Worker side (one worker unless the sink discards).
  void write(Commit commit, Batch batch);
  void end(Commit commit);
  void drain();               // waits until all is written so far, or it has failed
  void close(bool complete);  // waits until all is written

  [[nodiscard]] bool discards() const { return discards_; }
  void count_discarded(std::uint64_t rows) { rows_ += rows; }
  [[nodiscard]] std::uint64_t rows() const { return rows_; }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  struct Entry {
    Commit commit = 0;
    std::optional<Batch> batch;  // none: the commit ends
  };
  void loop();
  Result<void> handle(const Entry& entry);
  void push(Entry entry);

  const std::unique_ptr<Sink> sink_;
  const Schema schema_;
  const std::string name_;
  Env& env_;
  void failed(Error error);
  std::function<void(Error)> on_failure_;  // guarded by mutex_ after the start
  const bool discards_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Entry> queue_;      // guarded by mutex_
  std::size_t queued_rows_ = 0;  // guarded by mutex_
  bool busy_ = false;            // guarded by mutex_; the sink has an entry in its hands
  bool closing_ = false;         // guarded by mutex_
  std::optional<Commit> begun_;  // sink thread
  std::atomic<std::uint64_t> rows_{0};
  std::atomic<bool> failed_{false};
};

}  // namespace thalweg
