// connectors/objects/state_disk.h
//
// A disk made of objects, for the folder in which a pipeline keeps its state (engine/durable/store.h).
//
//   PATH              a file that is written as a whole: by way of `PATH.tmp` and a rename, which is one request
//                     A small one may also be written on; each sync is a request with all of it, made with If-Match.
//   PATH/<20 digits>  a piece of a file that grows, named by where it begins; what was appended between two syncs is
//   one
//                     piece, made with If-None-Match. A piece without content is a seal: its writer can go no further.
//   LOCK              who writes: owner, a count that rises while it lives, the growing files it has open
//
// K1  What a rename publishes and what a sync acknowledges is there with all of its content, or not at all.
// K2  One writer. Whoever takes the lock over changes LOCK by If-Match and then seals every file that the last owner
// had
//     open. Before it opens another one, a writer says so in LOCK; so a writer that was taken over, however late it
//     wakes up, can acknowledge nothing more.
// K3  Writes and removals outside of growing files, and acknowledgements, are made only by a writer whose lock was
//     renewed within kLeaseNs; else it is renewed first. The lock of an owner that gives no sign for so long is taken
//     over; that of a process of this machine that is gone at once.
// K4  A server that does not keep conditions is refused.
// Threads  any; one thread per file.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "connectors/objects/block_cache.h"
#include "connectors/objects/object_store.h"
#include "engine/base/env.h"

namespace thalweg::objects {

struct StateDiskOptions {
  std::string prefix;  // of all keys
  std::string base;    // what paths begin with that mean the prefix
  std::shared_ptr<Clock> clock;
  std::shared_ptr<Rng> rng;
  std::int64_t lease_ns = 15'000'000'000;
};

class StateDisk final : public Disk, public std::enable_shared_from_this<StateDisk> {
 public:
  StateDisk(std::shared_ptr<ObjectStore> store, StateDiskOptions options);

  Result<FileStat> stat(const std::string& path) override;
  Result<std::unique_ptr<ReadFile>> open_read(const std::string& path) override;
  Result<std::unique_ptr<WriteFile>> open_write(const std::string& path, WriteMode mode) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> remove(const std::string& path) override;
  Result<void> make_directories(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<void> sync_directory(const std::string& directory) override;
  Result<std::shared_ptr<void>> lock(const std::string& path) override;

 private:
  class Reader;
  class GrowingFile;
  class OldFile;
  class WholeFile;
  class Temporary;
  class Lock;
  struct Draft;  // content of a `.tmp`
  struct Piece {
    ObjectInfo info;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };
  [[nodiscard]] std::string key_of(const std::string& path) const;
  // What a growing file consists of, from its beginning; nothing: there is no such file.
  Result<std::vector<Piece>> pieces_of(const std::string& key);
  Result<std::vector<Extent>> extents_of(const std::string& path);
  Result<std::vector<std::string>> piece_keys(const std::string& key);
  Result<bool> is_growing_file(const std::string& key, bool& is_left_over);
  Result<void> publish(const std::string& key, Draft& draft);
  Result<void> remove_pieces(const std::string& key);
  // K3; without a lock there is nothing to check.
  Result<void> check_lock();
  Result<void> declare(const std::string& key);
  void forget_layout(const std::string& key);
  void closed(const std::string& key);

  const std::shared_ptr<ObjectStore> store_;
  const StateDiskOptions options_;
  BlockCache cache_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Draft>> drafts_;     // by path; guarded by mutex_, as is all below
  std::map<std::string, std::optional<std::string>> etags_;  // of whole objects, as last seen; nothing: absent
  std::map<std::string, std::vector<Extent>> layouts_;       // of growing files that grow no more
  std::weak_ptr<Lock> lock_;
};

}  // namespace thalweg::objects
