// engine/durable/store.h
//
// The folder in which a pipeline keeps its state: a lock, snapshots, the log of commits.
//
//   LOCK          held while a run uses the folder
//   GENERATION    how many runs have used it
//   CURRENT       the newest manifest; CURRENT.1 and CURRENT.2 the two before it
//   manifest-<n>  what a snapshot consists of: its commit, packs, and parts as lists of chunks (manifest.h)
//   seg/          packs of chunks; a snapshot adds one, with what the snapshot before did not have (pack_writer.h)
//   elog/         the log (epoch_log.h)
//   PLAN          before the first snapshot: what plan the log is of (runtime/saved_plan.h)
//
// D1  Everything that CURRENT names is on the platter before CURRENT names it.
// D2  A snapshot that does not verify is passed over for the one before it, loudly; if none verifies, or manifests are
//     there without CURRENT, the folder is refused: nothing is guessed, nothing is deleted.
// D3  The log goes back to the oldest of the snapshots that are kept.
// D4  What a run that does not end in order leaves behind is found by the next: files that nobody names are removed.
// D5  A large snapshot may be verified beside its loading: each chunk is verified as it is read in any case, and nobody
//     may act on what was loaded before verified() says that all of it is good.
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/base/env.h"
#include "engine/durable/epoch_log.h"
#include "engine/durable/manifest.h"
#include "engine/durable/pack_writer.h"
#include "engine/durable/snapshot_info.h"

namespace thalweg::durable {

class Store {
 public:
  static constexpr int kGenerations = 3;

  enum class Verify : std::uint8_t { kFirst, kBeside };
  // Locks the folder and reads what it holds. kUnavailable: another run has it.
  static Result<std::unique_ptr<Store>> open(std::shared_ptr<Disk> disk, std::string directory,
                                             Verify verify = Verify::kFirst);
  ~Store();

  // ---- what was found
  [[nodiscard]] bool fresh() const { return fresh_; }
  [[nodiscard]] std::uint64_t generation() const { return generation_; }  // of this run
  // The snapshot to go on from; nothing: the log is all there is.
  [[nodiscard]] const std::optional<SnapshotInfo>& snapshot() const { return snapshot_; }
  [[nodiscard]] std::vector<std::string> part_names() const;
  // kNotFound: the snapshot has no such part.
  [[nodiscard]] Result<std::string> read_part(const std::string& name) const;
  [[nodiscard]] Result<std::unique_ptr<PartReader>> open_part(const std::string& name) const;  // any thread
  [[nodiscard]] Result<std::uint64_t> part_bytes(const std::string& name) const;
  // Records of the log after the snapshot.
  [[nodiscard]] std::size_t first_record() const { return first_record_; }
  // Waits. An error: the snapshot is damaged; opened again and verified first, it is passed over (D2). Any thread.
  [[nodiscard]] Result<void> verified() const;
  // What was out of order, for the log of events.
  [[nodiscard]] const std::vector<std::string>& events() const { return events_; }

  // ---- going on
  Result<void> start(std::uint64_t next_epoch);
  [[nodiscard]] EpochLog& log() { return *log_; }
  // A snapshot of the state after `epoch`. Everything up to it must be durable in the log, or is by this snapshot.
  // `log_hash`: of the newest record up to it.
  Result<SnapshotInfo> write_snapshot(std::uint64_t epoch, std::uint64_t log_hash, std::vector<Part> parts,
                                      Clock& clock);
  // Those that are kept, newest first.
  [[nodiscard]] std::vector<SnapshotInfo> snapshots() const;
  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] Disk& disk() { return *disk_; }

 private:
  Store(std::shared_ptr<Disk> disk, std::string directory, Verify verify)
      : disk_(std::move(disk)), directory_(std::move(directory)), verify_(verify) {}
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }
  Result<void> take_lock();
  Result<void> next_generation();
  Result<void> read_current();
  Result<void> verify(const Manifest& manifest);
  Result<Manifest> read_manifest(std::uint64_t number) const;
  void use(std::size_t kept);
  [[nodiscard]] Result<std::size_t> find_part(const std::string& name) const;
  Result<void> find_first_record();
  Result<void> swap_current(std::uint64_t number);
  Result<void> clean_up();

  const std::shared_ptr<Disk> disk_;
  const std::string directory_;
  const Verify verify_;
  std::shared_future<Result<void>> verification_;  // not valid: it is over
  std::shared_ptr<void> lock_;
  bool fresh_ = false;
  std::uint64_t generation_ = 0;
  std::uint64_t next_number_ = 1;
  std::optional<SnapshotInfo> snapshot_;
  std::vector<std::shared_ptr<const Manifest>> kept_;         // newest first
  std::shared_ptr<const Manifest> used_;                      // the one that is gone on from; null: none
  std::unordered_map<std::string_view, std::size_t> places_;  // of its parts, by name
  std::size_t first_record_ = 0;
  std::vector<std::string> events_;
  std::unique_ptr<EpochLog> log_;
};

}  // namespace thalweg::durable
