// engine/runtime/ingest.h
//
// Where input becomes commits. Sources put pieces and transaction ends into their queues; workers take pieces of the
// open commit and decode them.
//
// I1  A transaction is in one commit. A commit may hold many.
// I2  A commit closes as soon as nothing more of it is waiting: a quiet pipeline answers at once, a loaded one batches
//     by itself, for at most `autocommit_ms` or kCommitBytesMax (then no new transaction is let in).
// I3  What waits undecoded is bounded: deliver() blocks above kQueuedBytesMax per source. A source may have a bound of
//     records, too, of what was delivered and is not visible yet (`max_backlog_size`): it blocks before a transaction
//     that would begin beyond it; within one, only what waits undecoded counts, so that every transaction gets through.
// I4  Everything that a static source gives is in one commit, let in piece by piece.
// I5  Positions of sources are told (take_moves) as of a moment at which no transaction is half taken.
// Threads  one mutex; taken once per piece, never per row.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/source.h"

namespace thalweg {

class Ingest {
 public:
  static constexpr std::size_t kQueuedBytesMax = 16U << 20;
  static constexpr std::size_t kEarlyBytes = 4U << 20;  // a transaction larger than this is let in before its end
  static constexpr std::size_t kCommitBytesMax = 64U << 20;

  struct Item {
    std::uint32_t source = 0;
    std::uint64_t order = 0;
    std::unique_ptr<Piece> piece;  // or
    Batch batch;
    std::vector<std::uint64_t> replayed;  // the dead letters that it is made of
  };

  // `wake_workers` is called when a worker may have something to do.
  Ingest(Env& env, std::int64_t autocommit_ms, std::function<void()> wake_workers);
  // `held`: all that the source gives goes into one commit. `records_max`: see I3; 0: no bound.
  std::uint32_t add_source(bool held, std::size_t records_max = 0);
  // Called after commits that held transactions of the source, with their number since the start. None: no more calls.
  void listen(std::uint32_t source, std::function<void(std::uint64_t)> on_committed);
  // Other workers take from here on. Requires: no commit is open.
  void wake_others(std::function<void()> wake_workers);

  // ---- source threads
  bool deliver(std::uint32_t source, std::unique_ptr<Piece> piece, Batch batch);
  using Puts = std::vector<std::pair<std::string, Blob>>;
  void end_transaction(std::uint32_t source, std::string position, Puts puts = {});
  void end_source(std::uint32_t source);
  // A piece that the source does not know of, as a transaction of its own. Any thread. False: no more commits come.
  bool inject(std::uint32_t source, std::unique_ptr<Piece> piece, std::vector<std::uint64_t> replayed);

  // ---- workers
  // kAbandoned: the run stops and part of a transaction is missing; nothing of this commit may become visible.
  enum class Taken : std::uint8_t { kItem, kWait, kClosed, kAbandoned };
  Taken take(Item& out);

  // ---- the coordinating worker
  [[nodiscard]] bool has_work();   // a commit may be opened
  [[nodiscard]] bool all_ended();  // and nothing is left
  void open_commit();
  // How far sources have come with what commits have taken so far, and what they want to keep, as far as that has
  // changed since it was last asked for. Between commits.
  struct Move {
    std::uint32_t source = 0;
    std::string position;
    Puts puts;
  };
  [[nodiscard]] std::vector<Move> take_moves();
  // A source has moved on without rows, so long ago that this should be kept, too.
  [[nodiscard]] bool moves_wait(std::int64_t longer_than_ns);
  void tell_committed();  // the oldest commit that this was not called for is visible
  // When the pieces of the last commit were delivered (monotonic).
  [[nodiscard]] std::vector<std::int64_t> take_arrivals();
  [[nodiscard]] std::int64_t opened_ns();
  // The oldest delivery that is not visible yet; nothing if there is none.
  [[nodiscard]] std::optional<std::int64_t> oldest_waiting_ns();
  struct Queue {
    std::uint64_t bytes = 0;
    std::uint64_t stalled_ns = 0;
    std::int64_t lag_ns = 0;
  };
  [[nodiscard]] Queue queue(std::uint32_t source);

  void stop();
  [[nodiscard]] bool stopping();
  [[nodiscard]] bool ended(std::uint32_t source);

 private:
  struct Entry {
    std::unique_ptr<Piece> piece;
    Batch batch;
    std::size_t bytes = 0;
    std::size_t records = 0;
    std::int64_t arrived_ns = 0;
    bool is_end = false;
    bool moves = false;  // the source is at `position` after it
    std::string position;
    Puts puts;
  };
  struct SourceState {
    bool held = false;
    bool ended = false;
    bool in_transaction = false;  // part of one is in the open commit
    bool delivers_one = false;    // the last that was delivered is no end
    bool moved = false;
    std::deque<Entry> queue;
    std::deque<Item> injected;
    std::size_t queued_bytes = 0;
    std::size_t queued_records = 0;
    std::size_t records_max = 0;      // 0: no bound
    std::size_t records_pending = 0;  // delivered and not visible
    std::size_t records_let_in = 0;   // of them, into the open commit
    std::int64_t stalled_ns = 0;
    std::size_t ends_queued = 0;
    std::uint64_t next_order = 0;
    std::int64_t moved_ns = 0;    // since when
    std::uint64_t let_in = 0;     // transactions
    std::uint64_t closed_in = 0;  // of them, in commits that have closed
    std::string position;
    Puts puts;  // since the last take_moves
  };
  // What a commit that has closed took in of a source.
  struct TakenIn {
    std::uint32_t source = 0;
    std::uint64_t transactions = 0;  // since the start
    std::size_t records = 0;
  };
  [[nodiscard]] static bool has_room(const SourceState& source);
  [[nodiscard]] std::vector<TakenIn> close_commit();
  void move_to(SourceState& source, std::string position, Puts puts);
  void collect_moves();
  [[nodiscard]] bool may_enter(const SourceState& source, bool sealed) const;
  void pop_ends(SourceState& source);

  Env& env_;
  const std::int64_t autocommit_ns_;
  void wake();
  std::shared_ptr<const std::function<void()>> wake_workers_;  // guarded by mutex_ after the start
  std::mutex telling_;                                         // taken before mutex_
  std::vector<std::function<void(std::uint64_t)>> listeners_;  // by source; guarded by telling_
  std::mutex mutex_;
  std::condition_variable room_;
  std::vector<std::unique_ptr<SourceState>> sources_;  // guarded by mutex_, as is all below
  std::size_t cursor_ = 0;
  bool open_ = false;
  std::int64_t opened_ns_ = 0;
  std::size_t commit_bytes_ = 0;  // let into the open commit
  static constexpr std::size_t kArrivalsMax = 4096;
  std::vector<std::int64_t> arrivals_;       // of the open commit; its first kArrivalsMax pieces
  std::vector<Move> moves_;                  // as of the close of the last commit
  std::deque<std::vector<TakenIn>> closed_;  // commits that are not visible yet
  bool stopping_ = false;
  bool abandoned_ = false;
};

}  // namespace thalweg
