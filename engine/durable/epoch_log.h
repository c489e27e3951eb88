// engine/durable/epoch_log.h
//
// The log of commits: what a commit took in, one record each, in segments that only grow.
//
//   segment   <first epoch>-<generation>.log: header, records
//   record    magic, length, epoch, generation, hash of the record before it, what of the segment was durable when it
//             was written, checksum · payload
//
// G1  A record is acknowledged once it and all before it are on the platter; records that wait are synced together.
// G2  Opening finds every record that was ever acknowledged. What follows the last whole record was not: it is set
//     aside in quarantine/ and cut off. Damage to what was acknowledged (a bad record before bytes that a later one
//     knows to have been durable, a broken chain of hashes, a missing segment) is refused.
// G3  What opening found is synced before anybody acts on it.
// G4  After a failed write or sync nothing more is written: what is on the platter is known only to the next start.
// Threads  append() from any thread; callbacks come in order from the log's own thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/env.h"

namespace thalweg::durable {

class EpochLog {
 public:
  struct Found {
    std::uint64_t epoch = 0;
    std::uint64_t generation = 0;
    std::uint64_t previous = 0;  // hash of the record before it
    std::uint64_t hash = 0;
    std::string segment;
    std::uint64_t offset = 0;  // of the payload
    std::uint64_t length = 0;
  };
  using Done = std::function<void(const Result<void>&)>;
  static constexpr std::uint64_t kRecordBytesMax = 1ULL << 30;

  // Reads what is there; nothing is written but what torn tails need.
  static Result<std::unique_ptr<EpochLog>> open(std::shared_ptr<Disk> disk, std::string directory);
  ~EpochLog();

  // ---- what was found, oldest first
  [[nodiscard]] const std::vector<Found>& found() const { return found_; }
  [[nodiscard]] Result<std::string> read(const Found& record) const;
  [[nodiscard]] const std::vector<std::string>& events() const { return events_; }

  // ---- going on
  // New records follow the last one found, or, where nothing was found, one with the hash `previous`.
  Result<void> start(std::uint64_t generation, std::uint64_t next_epoch, std::uint64_t previous);
  // Takes records away that follow `count` ones: they were never acknowledged. Before start().
  Result<void> forget_after(std::size_t count);
  // Epochs rise. `done` gets an error if it cannot be made durable.
  void append(std::uint64_t epoch, std::string payload, Done done);
  void drain();  // until all that was appended is durable or has failed
  // The next record begins a segment.
  void roll();
  // Segments that hold nothing from `epoch` on are removed.
  Result<void> drop_below(std::uint64_t epoch);
  [[nodiscard]] std::uint64_t last_hash();  // of the newest record appended
  [[nodiscard]] std::uint64_t bytes();      // appended since the start
  [[nodiscard]] std::uint64_t waiting();    // bytes not yet durable
  [[nodiscard]] std::uint64_t sync_count();

 private:
  struct Waiting {
    std::uint64_t epoch = 0;
    std::string head;
    std::string payload;
    Done done;
    bool rolls = false;
    [[nodiscard]] std::size_t bytes() const { return head.size() + payload.size(); }
  };
  struct Segment {
    std::string name;
    std::uint64_t first_epoch = 0;
  };
  EpochLog(std::shared_ptr<Disk> disk, std::string directory)
      : disk_(std::move(disk)), directory_(std::move(directory)) {}
  Result<void> scan();
  Result<void> scan_segment(const std::string& name, bool last);
  Result<void> cut(const std::string& name, std::uint64_t at, std::string_view rest);
  Result<void> new_segment(std::uint64_t first_epoch, std::uint64_t previous);
  Result<void> write(std::deque<Waiting>& group);
  void loop();
  [[nodiscard]] std::string path_of(const std::string& name) const { return directory_ + "/" + name; }

  const std::shared_ptr<Disk> disk_;
  const std::string directory_;
  std::vector<Found> found_;
  std::vector<std::string> events_;
  std::uint64_t generation_ = 0;

  // ---- the log's thread
  std::unique_ptr<WriteFile> file_;
  std::uint64_t written_ = 0;  // bytes of the segment
  std::uint64_t durable_ = 0;

  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Waiting> queue_;  // guarded by mutex_, as is all below
  std::deque<Segment> segments_;
  std::uint64_t hash_ = 0;  // of the newest record
  std::uint64_t bytes_ = 0;
  std::uint64_t waiting_bytes_ = 0;
  std::uint64_t syncs_ = 0;
  bool rolls_ = false;
  bool busy_ = false;
  bool stop_ = false;
  std::optional<Error> failed_;
};

}  // namespace thalweg::durable
